//! The real `omni` binary against a strict fake controller behind real TLS.
//!
//! The fake serves the bodies of `fixtures` typed with `api::v1`, and answers anything it does not know with a
//! problem: a call that the API does not have fails here. Screens are snapshots; review them in the diff.

mod adopt;
mod apps;
mod backups;
mod completion;
mod deploy;
mod errors;
mod fake;
mod fixtures;
mod help;
mod images;
mod login;
mod people;
mod programs;
mod screens;
mod streams;
mod writes;
