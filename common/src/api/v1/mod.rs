//! Version 1 of the HTTP API: one file per noun.
//!
//! These are JSON bodies, query strings and WebSocket messages only. What crosses the mesh is in
//! [`crate::wire`], what goes into the Raft log belongs to the controller; each pair is joined by an
//! explicit conversion, so that one may change without the others.
//!
//! Every type can be read and written, because the controller, the Rust SDK and the tests share it. Fields
//! are only ever added; an absent fact is `null`, never zero.

mod alerts;
mod apps;
mod audit;
mod backups;
mod builds;
mod cluster;
mod containers;
mod controllers;
mod environments;
mod events;
mod exec;
mod hosts;
mod images;
mod list;
mod logs;
mod metrics;
mod moves;
mod oidc;
mod page;
mod problem;
mod projects;
mod read;
mod repositories;
mod secrets;
mod sessions;
mod socket;
mod systems;
mod tokens;
mod users;
mod who;

pub use alerts::*;
pub use apps::*;
pub use audit::*;
pub use backups::*;
pub use builds::*;
pub use cluster::*;
pub use containers::*;
pub use controllers::*;
pub use environments::*;
pub use events::*;
pub use exec::*;
pub use hosts::*;
pub use images::*;
pub use list::*;
pub use logs::*;
pub use metrics::*;
pub use moves::*;
pub use oidc::*;
pub use page::*;
pub use problem::*;
pub use projects::*;
pub use read::*;
pub use repositories::*;
pub use secrets::*;
pub use sessions::*;
pub use socket::*;
pub use systems::*;
pub use tokens::*;
pub use users::*;
pub use who::*;
