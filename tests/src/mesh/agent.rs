//! An agent as a process.

use super::{Answer, Place, Program};
use anyhow::Result;
use std::ops::Deref;

/// A socket that is not there: an agent of a test must not see this machine's own containers.
const NO_DOCKER: &str = "unix:///nonexistent/docker.sock";
/// Where a host of the testbed has its engine.
const HOST_DOCKER: &str = "unix:///run/docker.sock";

/// An agent: its folder and perhaps its process.
#[derive(Debug)]
pub struct Agent<'a> {
    program: Program<'a>,
    docker: &'static str,
}

impl<'a> Deref for Agent<'a> {
    type Target = Program<'a>;

    fn deref(&self) -> &Program<'a> {
        &self.program
    }
}

impl<'a> Agent<'a> {
    /// The agent of a host without Docker, which has not joined yet.
    pub fn new(place: Place<'a>, name: &str) -> Self {
        Self { program: Program::new(place, name, "omni-agent"), docker: NO_DOCKER }
    }

    /// The agent of a host of the testbed, with that host's engine.
    pub fn with_docker(place: Place<'a>, name: &str) -> Self {
        Self { program: Program::new(place, name, "omni-agent"), docker: HOST_DOCKER }
    }

    /// Joins as a host of this agent's name.
    ///
    /// # Errors
    /// When the program cannot be run; a refusal is an answer.
    pub fn join(&self, controllers: &[String], token: &str) -> Result<Answer> {
        self.call("join", self.join_args(controllers, token))
    }

    /// What follows `omni-agent join --data-dir DIR`.
    pub fn join_args(&self, controllers: &[String], token: &str) -> Vec<String> {
        let mut args = ["--name", self.name(), "--token", token, "--docker-host", self.docker]
            .map(str::to_owned)
            .to_vec();
        for controller in controllers {
            args.extend(["--controller".to_owned(), controller.clone()]);
        }
        args
    }
}
