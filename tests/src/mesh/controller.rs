//! A controller as a process.

use super::{Answer, Place, Program, SOON};
use crate::testbed::eventually;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::cell::RefCell;
use std::ops::Deref;

/// What `omni-controller init -o json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Init {
    /// The cluster.
    pub cluster_id: String,
    /// SHA-256 of its root.
    pub ca_fingerprint: String,
    /// May do everything.
    pub admin_token: String,
    /// For hosts, any number of times within a day.
    pub agent_join_token: String,
    /// For controllers, likewise.
    pub controller_join_token: String,
}

/// A controller: its folder, its addresses and perhaps its process.
#[derive(Debug)]
pub struct Controller<'a> {
    program: Program<'a>,
    quic: String,
    api: String,
}

impl<'a> Deref for Controller<'a> {
    type Target = Program<'a>;

    fn deref(&self) -> &Program<'a> {
        &self.program
    }
}

impl<'a> Controller<'a> {
    /// One that is neither made nor joined yet, with addresses of its own.
    pub fn new(place: Place<'a>, name: &str) -> Self {
        let (quic, api) = place.controller_ports();
        let at = |port| format!("{}:{port}", place.address());
        Self { program: Program::new(place, name, "omni-controller"), quic: at(quic), api: at(api) }
    }

    /// `host:port` of its QUIC endpoint.
    pub fn quic(&self) -> &str {
        &self.quic
    }

    /// `host:port` of its API.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Its API as `omni login` takes it.
    pub fn url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// Makes a cluster.
    ///
    /// # Errors
    /// When that fails.
    pub fn init(&self) -> Result<Init> {
        let mut args = self.identity();
        args.extend(["-o".to_owned(), "json".to_owned()]);
        self.call("init", args)?.json()
    }

    /// Joins the cluster of the controller at `via`.
    ///
    /// # Errors
    /// When the program cannot be run; a refusal is an answer.
    pub fn join(&self, via: &str, token: &str) -> Result<Answer> {
        let mut args = self.identity();
        args.extend(["--controller", via, "--token", token].map(str::to_owned));
        self.call("join", args)
    }

    /// Joins through a controller that may still be starting.
    ///
    /// # Errors
    /// When it is refused for long.
    pub fn join_patiently(&self, via: &Controller<'_>, token: &str) -> Result<()> {
        let last = RefCell::new(None);
        let joined = eventually(&format!("{} joins", self.name()), SOON, || {
            let answer = self.join(via.quic(), token).and_then(Answer::done);
            answer.map_err(|error| *last.borrow_mut() = Some(error)).ok().map(drop)
        });
        joined.with_context(|| format!("the last answer: {:?}", last.borrow()))
    }

    fn identity(&self) -> Vec<String> {
        ["--name", self.name(), "--quic-addr", &self.quic, "--api-addr", &self.api]
            .map(str::to_owned)
            .to_vec()
    }
}
