mod data;
mod failover;
mod half_done;
mod many;
mod moves;
mod promises;
mod rescue;
mod world;
