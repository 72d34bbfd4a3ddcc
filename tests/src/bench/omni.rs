//! Three controllers on loopback, as real processes with their own data folders.

use super::process::{Program, free_port, log_file, output};
use anyhow::{Context, Result, bail};
use omni_common::ids::ControllerId;
use omni_controller::bench_client::{BenchLink, BenchMesh};
use omni_controller::raft::{RaftRole, RaftStatus};
use omni_sdk::{Client, Options};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Members of the group.
pub(super) const MEMBERS: usize = 3;
/// `init` and `join` answer within this, or something is wrong.
const SETS_UP_WITHIN: Duration = Duration::from_secs(30);
/// The group is whole within this after a start.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// One question to one controller.
const ANSWERS_WITHIN: Duration = Duration::from_millis(1_500);
/// Between two looks at the group.
const LOOK: Duration = Duration::from_millis(20);

/// What `omni-controller init -o json` prints, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Made {
    admin_token: String,
    agent_join_token: String,
    controller_join_token: String,
}

/// One controller.
#[derive(Debug)]
struct Member {
    id: ControllerId,
    folder: PathBuf,
    log: PathBuf,
    quic: SocketAddr,
    api: SocketAddr,
    program: Option<Program>,
}

/// A group of three. Dropping it ends the processes.
pub(super) struct OmniCluster {
    controller: PathBuf,
    members: Vec<Member>,
    mesh: BenchMesh,
    links: Mutex<HashMap<usize, BenchLink>>,
    made: Made,
}

impl OmniCluster {
    /// Makes a cluster of the programs in `programs` with its data below `folder`, and waits until all vote.
    ///
    /// # Errors
    /// When a program fails, or the group does not come together.
    pub(super) async fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let controller = programs.join("omni-controller");
        let mut members = Vec::new();
        for number in 1..=MEMBERS as u64 {
            members.push(Member {
                id: ControllerId(number),
                folder: folder.join(format!("controller-{number}")),
                log: log_file(folder, &format!("controller-{number}"))?,
                quic: free_port()?,
                api: free_port()?,
                program: None,
            });
        }
        let made: Made = {
            let text = set_up(&controller, "init", &members[0], &["-o".into(), "json".into()]).await?;
            serde_json::from_str(&text).context("reading what init printed")?
        };
        members[0].run(&controller)?;
        let first = members[0].quic;
        for member in &mut members[1..] {
            join(&controller, member, &made, first).await?;
            member.run(&controller)?;
        }
        let caller = Member {
            id: ControllerId(MEMBERS as u64 + 1),
            folder: folder.join("caller"),
            log: PathBuf::new(),
            quic: free_port()?,
            api: free_port()?,
            program: None,
        };
        join(&controller, &caller, &made, first).await?;
        let mesh = BenchMesh::open(&caller.folder).context("taking the caller's identity")?;
        let cluster = Self { controller, members, mesh, links: Mutex::default(), made };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// A token by which hosts join.
    pub(super) fn agent_token(&self) -> &str {
        &self.made.agent_join_token
    }

    /// Where agents reach a member.
    pub(super) fn quic(&self, member: usize) -> SocketAddr {
        self.members[member].quic
    }

    /// Its pid.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn pid(&self, member: usize) -> Result<u32> {
        Ok(self.program(member)?.pid())
    }

    fn program(&self, member: usize) -> Result<&Program> {
        self.members[member]
            .program
            .as_ref()
            .with_context(|| format!("controller {} does not run", member + 1))
    }

    /// A client of the API of these members, asked in this order.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub(super) fn client(&self, members: &[usize], options: Options) -> Result<Client> {
        let addresses = members.iter().map(|member| Ok(self.members[*member].api.to_string().parse()?));
        let addresses = addresses.collect::<Result<Vec<_>>>()?;
        Ok(Client::new(addresses, &self.made.admin_token.parse()?, options)?)
    }

    /// A fresh connection to a member over the protocol between controllers.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(super) async fn link(&self, member: usize) -> Result<BenchLink> {
        let Member { id, quic, .. } = &self.members[member];
        let link = tokio::time::timeout(ANSWERS_WITHIN, self.mesh.connect(*id, &quic.to_string())).await;
        link.with_context(|| format!("controller {id} does not answer"))?
            .with_context(|| format!("connecting to controller {id}"))
    }

    /// What a member knows of the group; `None` when it does not answer.
    async fn status(&self, member: usize) -> Option<RaftStatus> {
        let kept = self.links.lock().expect("no panic while locked").get(&member).cloned();
        let link = match kept.filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => self.link(member).await.ok()?,
        };
        let status = tokio::time::timeout(ANSWERS_WITHIN, link.status()).await.ok()?.ok();
        let mut links = self.links.lock().expect("no panic while locked");
        match &status {
            Some(_) => links.insert(member, link),
            None => links.remove(&member),
        };
        status
    }

    /// The member that leads, by its own word.
    ///
    /// # Errors
    /// When nobody does for long.
    pub(super) async fn leader(&self) -> Result<usize> {
        self.leader_among(&[0, 1, 2]).await
    }

    /// The one of these members that leads, by its own word.
    ///
    /// # Errors
    /// When none of them does for long.
    pub(super) async fn leader_among(&self, members: &[usize]) -> Result<usize> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            for &member in members {
                if self.members[member].program.is_some()
                    && self.status(member).await.is_some_and(|status| status.role == RaftRole::Leader)
                {
                    return Ok(member);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("no controller leads after {READY_WITHIN:?}\n{}", self.logs())
    }

    /// Waits until all three run, vote, and hold what the leader holds.
    ///
    /// # Errors
    /// When that does not come about.
    pub(super) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let mut statuses = Vec::new();
            for member in 0..MEMBERS {
                statuses.extend(self.status(member).await);
            }
            if is_whole(&statuses) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the controllers are no whole group after {READY_WITHIN:?}\n{}", self.logs())
    }

    /// `kill -9`; returns when the signal has been sent.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn kill(&self, member: usize) -> Result<()> {
        self.program(member)?.kill()
    }

    /// Asks a member to stop, which makes it hand leadership over first.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn terminate(&self, member: usize) -> Result<()> {
        self.program(member)?.terminate()
    }

    /// Starts a member again that was killed or told to stop, and waits until the group is whole.
    ///
    /// # Errors
    /// When it does not end, or does not come back.
    pub(super) async fn revive(&mut self, member: usize) -> Result<()> {
        if let Some(mut program) = self.members[member].program.take() {
            program.wait().await?;
        }
        self.links.lock().expect("no panic while locked").remove(&member);
        let controller = self.controller.clone();
        self.members[member].run(&controller)?;
        self.ready().await
    }

    /// Fails when a program that should run has ended.
    ///
    /// # Errors
    /// As said, with the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        self.members.iter_mut().filter_map(|member| member.program.as_mut()).try_for_each(Program::check)
    }

    /// Lines in all members' logs that are `wanted`.
    pub(super) fn count_in_logs(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let lines = |member: &Member| {
            let log = std::fs::read(&member.log).unwrap_or_default();
            String::from_utf8_lossy(&log).lines().filter(|line| wanted(line)).count() as u64
        };
        self.members.iter().map(lines).sum()
    }

    fn logs(&self) -> String {
        let running = self.members.iter().filter_map(|member| member.program.as_ref());
        running.map(|program| program.log_tail() + "\n").collect()
    }
}

impl Member {
    fn run(&mut self, controller: &Path) -> Result<()> {
        let args = ["run".as_ref(), "--data-dir".as_ref(), self.folder.as_os_str()];
        self.program = Some(Program::start(&format!("controller {}", self.id), controller, args, &self.log)?);
        Ok(())
    }
}

async fn set_up(controller: &Path, verb: &str, member: &Member, more: &[String]) -> Result<String> {
    let mut args: Vec<String> = vec![verb.into(), "--name".into(), format!("c{}", member.id)];
    args.extend(["--data-dir".into(), member.folder.display().to_string()]);
    args.extend(["--quic-addr".into(), member.quic.to_string(), "--api-addr".into(), member.api.to_string()]);
    args.extend_from_slice(more);
    output(controller, args, SETS_UP_WITHIN).await
}

/// The first controller may still be electing itself, so a join is tried until it works.
async fn join(controller: &Path, member: &Member, made: &Made, first: SocketAddr) -> Result<()> {
    let more =
        ["--token".into(), made.controller_join_token.clone(), "--controller".into(), first.to_string()];
    let deadline = Instant::now() + SETS_UP_WITHIN;
    loop {
        match set_up(controller, "join", member, &more).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn is_whole(statuses: &[RaftStatus]) -> bool {
    let leads = |status: &&RaftStatus| status.role == RaftRole::Leader;
    let Some(leader) = statuses.iter().find(leads) else { return false };
    statuses.len() == MEMBERS
        && leader.voters.len() == MEMBERS
        && statuses.iter().all(|status| status.leader == Some(leader.id) && status.applied >= leader.applied)
}
