mod between_hosts;
mod data;
mod failover;
mod half_done;
mod moves;
mod promises;
mod rescue;
mod world;
