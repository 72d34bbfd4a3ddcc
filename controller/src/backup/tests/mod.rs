//! What is decided about backups, over made-up clusters.

mod alone;
mod data;
mod days;
mod moments;
mod orders;
mod policies;
mod promises;
mod world;
