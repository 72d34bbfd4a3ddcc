//! The `omni` command of an operator.

use super::{Answer, Place};
use crate::testbed::Process;
use anyhow::Result;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// Where an operator sits, and what `omni` knows of him.
#[derive(Clone, Debug)]
pub struct Omni<'a> {
    place: Place<'a>,
    config: PathBuf,
}

impl<'a> Omni<'a> {
    /// An operator who has not logged in yet.
    pub fn new(place: Place<'a>) -> Self {
        Self { place, config: place.dir("omni-contexts.toml") }
    }

    /// The command, ready to be run.
    ///
    /// # Errors
    /// When it is not built, or the place is off.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Command> {
        let mut command = self.place.program("omni")?;
        // The variables of whoever runs the tests must not decide what is tested.
        let ours = ["OMNI_URL", "OMNI_TOKEN", "OMNI_CONTEXT", "OMNI_OUTPUT", "OMNI_TIMEOUT", "OMNI_ENV"];
        for variable in ours.into_iter().chain(["COMPOSE_FILE", "COMPOSE_PROJECT_NAME"]) {
            command.env_remove(variable);
        }
        command.env("OMNI_CONFIG", &self.config).args(args);
        Ok(command)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be run; that it fails is for the caller to judge.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Answer> {
        Answer::of(self.command(args)?)
    }

    /// Runs it with `-o json` and reads what it prints.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        self.run(args.iter().chain(&["-o", "json"]))?.json()
    }

    /// Starts it; its output goes to a log of this name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = A>) -> Result<Process> {
        self.place.spawn(name, self.command(args)?)
    }

    /// Logs in.
    ///
    /// # Errors
    /// When no controller takes the token.
    pub fn login(&self, urls: impl IntoIterator<Item = String>, token: &str) -> Result<()> {
        let mut args = vec!["login".to_owned(), "--token".to_owned(), token.to_owned()];
        args.extend(urls);
        self.run(args)?.done().map(drop)
    }
}
