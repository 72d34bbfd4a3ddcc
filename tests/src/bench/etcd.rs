//! The peer: three etcd members on loopback, with etcd's own defaults.

use super::omni::MEMBERS;
use super::process::{Program, free_port, log_file, output};
use anyhow::{Context, Result, bail};
use etcd_client::Client;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Where Debian's etcd-server puts it.
const ETCD: &str = "/usr/bin/etcd";
/// The group is whole within this after a start; an election takes one to two seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// One question to one member.
const ANSWERS_WITHIN: Duration = Duration::from_millis(1_500);
/// Between two looks at the group.
const LOOK: Duration = Duration::from_millis(20);

/// One member.
#[derive(Debug)]
struct Member {
    name: String,
    folder: PathBuf,
    log: PathBuf,
    clients: SocketAddr,
    peers: SocketAddr,
    program: Option<Program>,
}

/// What a member says of itself and the group.
#[derive(Clone, Copy, Debug)]
struct Status {
    id: u64,
    leader: u64,
    applied: u64,
}

/// A group of three. Dropping it ends the processes.
pub(super) struct EtcdCluster {
    members: Vec<Member>,
}

impl EtcdCluster {
    /// Makes a cluster with its data below `folder`, and waits until it is whole.
    ///
    /// # Errors
    /// When etcd is not installed, fails, or does not come together.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let mut members = Vec::new();
        for number in 1..=MEMBERS {
            let name = format!("etcd-{number}");
            members.push(Member {
                folder: folder.join(&name),
                log: log_file(folder, &name)?,
                clients: free_port()?,
                peers: free_port()?,
                program: None,
                name,
            });
        }
        let mut cluster = Self { members };
        for member in 0..MEMBERS {
            cluster.run(member)?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Its version.
    ///
    /// # Errors
    /// When it is not installed.
    pub(super) async fn version() -> Result<String> {
        let text = output(Path::new(ETCD), ["--version"], ANSWERS_WITHIN)
            .await
            .context("etcd is needed (Debian package etcd-server; `deploy/packages.sh bench` installs it)")?;
        Ok(text.lines().next().unwrap_or_default().trim_start_matches("etcd Version: ").to_owned())
    }

    /// Only names, folders and addresses are given; heartbeats, elections, snapshots and fsync stay as etcd has
    /// them.
    fn run(&mut self, member: usize) -> Result<()> {
        let all: Vec<_> = self.members.iter().map(|m| format!("{}=http://{}", m.name, m.peers)).collect();
        let Member { name, folder, log, clients, peers, .. } = &self.members[member];
        let (clients, peers) = (format!("http://{clients}"), format!("http://{peers}"));
        let args = [
            ("--name", name.clone()),
            ("--data-dir", folder.display().to_string()),
            ("--listen-client-urls", clients.clone()),
            ("--advertise-client-urls", clients),
            ("--listen-peer-urls", peers.clone()),
            ("--initial-advertise-peer-urls", peers),
            ("--initial-cluster", all.join(",")),
        ];
        let args = args.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        let program = Program::start(name, Path::new(ETCD), args, log)?;
        self.members[member].program = Some(program);
        Ok(())
    }

    /// A client of one member, over one connection.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub(super) async fn client(&self, member: usize) -> Result<Client> {
        let address = format!("http://{}", self.members[member].clients);
        Client::connect([address], None).await.context("making an etcd client")
    }

    /// Its pid.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn pid(&self, member: usize) -> Result<u32> {
        Ok(self.program(member)?.pid())
    }

    fn program(&self, member: usize) -> Result<&Program> {
        let Member { name, program, .. } = &self.members[member];
        program.as_ref().with_context(|| format!("{name} does not run"))
    }

    async fn status(&self, member: usize) -> Option<Status> {
        self.members[member].program.as_ref()?;
        let asked = async { self.client(member).await?.status().await.context("asking for the status") };
        let answer = tokio::time::timeout(ANSWERS_WITHIN, asked).await.ok()?.ok()?;
        let id = answer.header()?.member_id();
        Some(Status { id, leader: answer.leader(), applied: answer.raft_applied_index() })
    }

    async fn statuses(&self) -> Vec<Option<Status>> {
        let mut statuses = Vec::new();
        for member in 0..MEMBERS {
            statuses.push(self.status(member).await);
        }
        statuses
    }

    /// The member that leads, by its own word.
    ///
    /// # Errors
    /// When nobody does for long.
    pub(super) async fn leader(&self) -> Result<usize> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let statuses = self.statuses().await;
            let leads = |status: &Option<Status>| status.is_some_and(|status| status.leader == status.id);
            if let Some(leader) = statuses.iter().position(leads) {
                return Ok(leader);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("no etcd member leads after {READY_WITHIN:?}\n{}", self.logs())
    }

    /// etcd's own id of a member.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn member_id(&self, member: usize) -> Result<u64> {
        let status = self.status(member).await;
        Ok(status.with_context(|| format!("{} does not answer", self.members[member].name))?.id)
    }

    /// Waits until all three run, follow one leader, and hold what it holds.
    ///
    /// # Errors
    /// When that does not come about.
    pub(super) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if is_whole(&self.statuses().await) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("etcd is no whole group after {READY_WITHIN:?}\n{}", self.logs())
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
        self.run(member)?;
        self.ready().await
    }

    /// Fails when a program that should run has ended.
    ///
    /// # Errors
    /// As said, with the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        self.members.iter_mut().filter_map(|member| member.program.as_mut()).try_for_each(Program::check)
    }

    fn logs(&self) -> String {
        let running = self.members.iter().filter_map(|member| member.program.as_ref());
        running.map(|program| program.log_tail() + "\n").collect()
    }
}

fn is_whole(statuses: &[Option<Status>]) -> bool {
    let Some(known) = statuses.iter().copied().collect::<Option<Vec<_>>>() else { return false };
    let Some(leader) = known.iter().find(|status| status.leader == status.id) else { return false };
    known.iter().all(|status| status.leader == leader.id && status.applied >= leader.applied)
}
