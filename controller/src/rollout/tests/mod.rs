mod failover;
mod moves;
mod promises;
mod world;
