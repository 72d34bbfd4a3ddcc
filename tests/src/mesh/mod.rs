//! omni's own programs as real processes: controllers, agents, and the `omni` command of an operator.
//!
//! ```text
//!   Mesh ── Controller c1, c2, c3 ─┐
//!        ── Agent …                ├─ each a Program: data folder, log, start, stop, kill -9
//!        ── Omni (the command)     │
//!        ── Api  (the SDK)         ┘
//!              │
//!              ▼
//!        Place: this machine's loopback, or a host of the testbed
//! ```
//!
//! ```no_run
//! use omni_tests::mesh::{self, Mesh, Place};
//! mesh::test(|here| {
//!     let mut mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
//!     mesh.add_agent(Place::Here(here), "a1")?;
//!     mesh.controller("c2").kill()?;
//!     mesh.omni().run(["hosts"])?.done().map(drop)
//! });
//! ```
//!
//! The programs are the debug builds beside the test; `cargo build --workspace --bins` makes them.

mod agent;
mod answer;
mod api;
mod apps;
mod controller;
mod omni;
mod place;
mod program;
mod rogue;
mod view;
mod writes;

pub use agent::Agent;
pub use answer::Answer;
pub use api::Api;
pub use apps::{Project, hosts_of, is_well, present, settled, told};
pub use controller::{Controller, Init};
pub use omni::Omni;
pub use place::{Loopback, Place};
pub use program::Program;
pub use rogue::{Rogue, Stranger};
pub use writes::Writes;

use anyhow::{Context, Result, ensure};
use omni_certs::TokenText;
use omni_common::ids::ControllerId;
use std::time::Duration;

/// Long enough for anything that happens at all, on a machine that also compiles. Waits end when the value is there.
pub const SOON: Duration = Duration::from_secs(60);

/// A test of programs on this machine's loopback: no root, no Docker. Prints the ends of all logs when `body`
/// fails.
///
/// # Panics
/// When `body` fails.
pub fn test(body: impl FnOnce(&Loopback) -> Result<()>) {
    let here = Loopback::new().unwrap_or_else(|error| panic!("no place to run: {error:?}"));
    if let Err(error) = body(&here) {
        panic!("{error:?}");
    }
}

/// Runs any command to its end.
///
/// # Errors
/// When it cannot be run; that it fails is for the caller to judge.
pub fn run(command: std::process::Command) -> Result<Answer> {
    Answer::of(command)
}

/// A cluster. Dropping it kills its programs.
#[derive(Debug)]
pub struct Mesh<'a> {
    controllers: Vec<Controller<'a>>,
    agents: Vec<Agent<'a>>,
    init: Init,
    omni: Omni<'a>,
    desk: Place<'a>,
}

impl<'a> Mesh<'a> {
    /// One controller `cN` on each of `places`, all of them voters, and an operator logged in at `desk`.
    ///
    /// # Errors
    /// When a program cannot be run, or the group does not form.
    pub fn form(places: &[Place<'a>], desk: Place<'a>) -> Result<Self> {
        let controllers = places
            .iter()
            .enumerate()
            .map(|(number, place)| Controller::new(*place, &format!("c{}", number + 1)))
            .collect();
        Self::of(controllers, desk)
    }

    /// The same with controllers that were made ready by the caller; the first one makes the cluster.
    ///
    /// # Errors
    /// As [`Mesh::form`].
    pub fn of(controllers: Vec<Controller<'a>>, desk: Place<'a>) -> Result<Self> {
        let (first, others) = controllers.split_first().context("a cluster has controllers")?;
        let init = first.init()?;
        first.start()?;
        for other in others {
            other.join_patiently(first, &init.controller_join_token)?;
            other.start()?;
        }
        let mesh = Self { omni: Omni::new(desk), controllers, agents: Vec::new(), init, desk };
        mesh.await_voters(mesh.controllers.len())?;
        mesh.omni.login(mesh.controllers.iter().map(Controller::url), &mesh.init.admin_token)?;
        Ok(mesh)
    }

    /// Makes a host and waits until the cluster calls it up. It has no Docker engine to talk to.
    ///
    /// # Errors
    /// When the agent does not join, or the host does not come up.
    pub fn add_agent(&mut self, place: Place<'a>, name: &str) -> Result<()> {
        self.add(Agent::new(place, name))
    }

    /// The same on a host of the testbed, with that host's engine.
    ///
    /// # Errors
    /// As [`Mesh::add_agent`].
    pub fn add_agent_with_docker(&mut self, place: Place<'a>, name: &str) -> Result<()> {
        self.add(Agent::with_docker(place, name))
    }

    fn add(&mut self, agent: Agent<'a>) -> Result<()> {
        agent.join(&self.quic(), &self.init.agent_join_token)?.done()?;
        agent.start()?;
        self.await_host(agent.name(), omni_common::api::v1::HostStatus::Up, SOON)?;
        self.agents.push(agent);
        Ok(())
    }

    /// What `init` handed out.
    pub fn init(&self) -> &Init {
        &self.init
    }

    /// The controller of this name.
    ///
    /// # Panics
    /// When there is none: a test names its own controllers.
    pub fn controller(&self, name: &str) -> &Controller<'a> {
        let found = self.controllers.iter().find(|controller| controller.name() == name);
        found.unwrap_or_else(|| panic!("no controller is named {name}"))
    }

    /// All of them, in the order of their ids.
    pub fn controllers(&self) -> &[Controller<'a>] {
        &self.controllers
    }

    /// The agent of the host of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn agent(&self, name: &str) -> &Agent<'a> {
        let found = self.agents.iter().find(|agent| agent.name() == name);
        found.unwrap_or_else(|| panic!("no agent is named {name}"))
    }

    /// All agents.
    pub fn agents(&self) -> &[Agent<'a>] {
        &self.agents
    }

    /// The operator's command, logged in as the first admin.
    pub fn omni(&self) -> &Omni<'a> {
        &self.omni
    }

    /// The API as the first admin, at whichever controller answers.
    pub fn api(&self) -> Api<'a> {
        self.api_of(self.controllers.iter())
    }

    /// The API at these controllers only.
    pub fn api_of<'c>(&self, controllers: impl IntoIterator<Item = &'c Controller<'a>>) -> Api<'a>
    where
        'a: 'c,
    {
        let addresses = controllers.into_iter().map(|controller| controller.api().to_owned()).collect();
        Api::new(self.desk, addresses, self.admin())
    }

    /// QUIC addresses of all controllers.
    pub fn quic(&self) -> Vec<String> {
        self.controllers.iter().map(|controller| controller.quic().to_owned()).collect()
    }

    /// The controller of this id.
    ///
    /// # Errors
    /// When the mesh has none.
    pub fn by_id(&self, id: ControllerId) -> Result<&Controller<'a>> {
        let position = usize::try_from(id.0).unwrap_or(0).checked_sub(1);
        let found = position.and_then(|position| self.controllers.get(position));
        found.with_context(|| format!("there is no controller {id}"))
    }

    /// The admin token.
    pub fn admin(&self) -> TokenText {
        self.init.admin_token.parse().expect("init prints a token")
    }

    /// Starts every controller that does not run.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_all(&self) -> Result<()> {
        let ended = self.controllers.iter().filter(|controller| !controller.is_running());
        ended.into_iter().try_for_each(|controller| controller.start())
    }

    /// Fails when a program that should run has ended by itself.
    ///
    /// # Errors
    /// Names the program and how it ended.
    pub fn all_run(&self) -> Result<()> {
        let programs = self.controllers.iter().map(|controller| &**controller);
        for program in programs.chain(self.agents.iter().map(|agent| &**agent)) {
            ensure!(program.is_running(), "{} has ended:\n{}", program.name(), program.log()?);
        }
        Ok(())
    }
}
