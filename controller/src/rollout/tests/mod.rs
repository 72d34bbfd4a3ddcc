mod failover;
mod moves;
mod world;
