//! How services hand over their data as a stream, and take it back. Pure: programs and arguments, run by others.
//!
//! Each method is a file here. A user's password comes from the container's own environment, or reaches the program in a
//! variable; it never stands in an argument.

pub(in crate::backup) mod mariadb;
pub(in crate::backup) mod postgres;
pub(in crate::backup) mod redis;

use super::super::facts::stream::Kind;
use super::super::failure::Failure;
use super::super::place::Place;
use super::super::seam::called;
use omni_common::domain::app::{Service, ServiceName};
use omni_common::domain::backup::{Item, Take};

/// How a stream is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backup) struct Save {
    /// In whose container.
    pub(in crate::backup) service: ServiceName,
    /// Program and arguments.
    pub(in crate::backup) command: Vec<String>,
    /// Variables, beside those of the container.
    pub(in crate::backup) environment: Vec<String>,
    /// What it is called in messages.
    pub(in crate::backup) name: String,
    /// Name of the snapshot's file. Stable, so that snapshots of an item belong together.
    pub(in crate::backup) file: String,
    /// What is known of the stream.
    pub(in crate::backup) kind: Kind,
}

/// How a stream is loaded into a service that runs alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backup) struct Load {
    /// Whose container.
    pub(in crate::backup) service: ServiceName,
    /// The volume in the app that holds the service's data, when the order says.
    pub(in crate::backup) data: Option<String>,
    /// Ends with 0 when the service is ready to be loaded.
    pub(in crate::backup) ready: Vec<String>,
    /// Reads the stream.
    pub(in crate::backup) command: Vec<String>,
    /// Variables of both.
    pub(in crate::backup) environment: Vec<String>,
    /// What it is called in messages.
    pub(in crate::backup) name: String,
    /// Prints the name of the user who may do everything; the lines about it are left out of the stream, because it is
    /// there already and cannot be removed.
    pub(in crate::backup) owner: Option<Vec<String>>,
    /// What is known of the stream.
    pub(in crate::backup) kind: Kind,
    /// Variables that the container gets when it lacks them.
    pub(in crate::backup) defaults: Vec<(&'static str, String)>,
}

/// How an item is saved.
pub(in crate::backup) fn save(place: &Place<'_>, item: &Item) -> Result<Save, Failure> {
    match &item.take {
        Take::Postgres { service, databases, .. } => Ok(postgres::save(item, service, databases)),
        Take::Mariadb { service, databases, .. } => Ok(mariadb::save(item, service, databases)),
        Take::Redis { service, .. } => Ok(redis::save(item, service, place.service(service)?)),
        Take::Command { service, save, .. } => Ok(Save {
            service: service.clone(),
            command: save.clone(),
            environment: Vec::new(),
            name: called(save),
            file: format!("{}.data", item.name),
            kind: Kind::Bytes,
        }),
        Take::Volume { .. } | Take::HostPath { .. } => {
            Err(Failure::new("internal", format!("{} is taken file by file", item.name)))
        }
    }
}

/// How an item is loaded; absent for what is not loaded into a running service.
pub(in crate::backup) fn load(item: &Item) -> Result<Option<Load>, Failure> {
    match &item.take {
        Take::Postgres { service, data, .. } => Ok(Some(postgres::load(service, data.clone()))),
        Take::Mariadb { service, data, .. } => Ok(Some(mariadb::load(service, data.clone()))),
        Take::Command { load, .. } if load.is_empty() => Err(Failure::new(
            "not_loadable",
            format!(
                "{} has no command that loads it; restore it into a folder and load it by hand",
                item.name
            ),
        )),
        Take::Command { service, load, .. } => Ok(Some(Load {
            service: service.clone(),
            data: None,
            ready: vec!["true".to_owned()],
            command: load.clone(),
            environment: Vec::new(),
            name: called(load),
            owner: None,
            kind: Kind::Bytes,
            defaults: Vec::new(),
        })),
        Take::Redis { .. } | Take::Volume { .. } | Take::HostPath { .. } => Ok(None),
    }
}

/// A shell's command with arguments that it finds as `$1`, `$2` and so on.
fn shell(script: &str, arguments: &[String]) -> Vec<String> {
    let words = ["sh", "-c", script, "omni"].map(str::to_owned);
    words.into_iter().chain(arguments.iter().cloned()).collect()
}

/// The value of an option in a service's command, as `--name VALUE` or `--name=VALUE`.
fn option<'a>(service: &'a Service, name: &str) -> Option<&'a str> {
    let words = service.command.as_deref().unwrap_or_default();
    words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(name)? {
        "" => words.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}
