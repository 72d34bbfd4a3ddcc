//! The plan against an engine made of values: what is planned is done to it, and planned again, until nothing is left to
//! do. Every test is a story of wishes and a list of what was done.

mod adopt;
mod bodies;
mod life;
mod phases;
mod releases;
mod storms;
mod world;

use world::{World, app, wish};
