//! What the platform consists of: 37 systems and their components, as data.
//!
//! ```text
//! systems/*.yaml (embedded) ──┐
//!                             ├─▶ parse ─▶ merge by name ─▶ check everything ─▶ Catalogue
//! the operator's folder ──────┘      │                          │
//!                              file, line, key           every problem at once
//! ```
//!
//! A file describes one system. Files of the operator add components, or replace a built-in one of the same
//! name as a whole. A catalogue that exists has been checked: every name it mentions is in it, nothing
//! depends on itself, and every backup, health check and port makes sense. `schema.json` says the same to
//! editors and to other programs.
//!
//! [`policies`] says when, where to and for how long components are backed up.
//!
//! Nothing here reads a clock or the network, and only [`Catalogue::with_folder`] and [`policies::Policies::from_file`] read
//! files.

mod backup;
mod builtin;
mod catalogue;
mod check;
mod component;
mod error;
mod facts;
mod health;
mod load;
mod metrics;
mod name;
mod order;
pub mod policies;
mod port;
mod system;

pub use backup::{Backup, Method, Quiesce};
pub use catalogue::{Catalogue, Entry};
pub use component::{Component, Confidence, Depends, Origin, Tier};
pub use error::{Error, Problem, Problems, Result};
pub use facts::{
    Access, Data, DataPath, Flag, Gpu, GpuNeed, HostMount, Image, Instances, Keep, Licence, LicenceFlag,
    LogFormat, Logs, Network, Placement, Resources, Secret, SecretKind,
};
pub use health::{Health, HealthKind, Scheme};
pub use metrics::{Metrics, MetricsAccess, MetricsKind};
pub use name::{ComponentName, InvalidName};
pub use port::{Port, PortEntry, Protocol};
pub use system::System;
