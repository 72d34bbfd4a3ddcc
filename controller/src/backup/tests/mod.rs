//! What is decided about backups, over made-up clusters.

mod data;
mod days;
mod promises;
mod world;
