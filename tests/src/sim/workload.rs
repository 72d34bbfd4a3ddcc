//! Writers and readers: what clients do all the while.

use super::apps;
use super::client::Client;
use super::dice::Dice;
use super::history::{COUNTER, Effect, MARK};
use super::invariants::writes::counter;
use super::setup::{joins, secret};
use super::world::World;
use anyhow::Result;
use omni_common::clock::Clock;
use omni_common::ids::{HostId, RequestId, TokenId};
use omni_controller::state::command::HostPatch;
use omni_controller::state::{Actor, ActorKind, ApiRole, Command, NewEvent, Proposal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How busy the clients are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Clients that write.
    pub writers: usize,
    /// Clients that read.
    pub readers: usize,
    /// Longest pause of a client between two calls.
    pub pause: Duration,
}

/// Clients at work; each ends its present write, however long that takes, when told to stop.
pub(super) struct Workload {
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Workload {
    /// Sets clients to work.
    pub(super) fn start(world: &Arc<World>, dice: &mut Dice, load: Load) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..load.writers {
            let writer = Writer::new(Arc::clone(world), dice.fork(), load.pause);
            tasks.spawn(writer.run(stop.clone()));
        }
        for _ in 0..load.readers {
            tasks.spawn(read(Arc::clone(world), dice.fork(), load.pause, stop.clone()));
        }
        tasks.spawn(apps::operate(Arc::clone(world), dice.fork(), stop.clone()));
        Self { stop, tasks }
    }

    /// Tells the clients to stop and waits until every write has been acknowledged.
    ///
    /// # Errors
    /// When one has not, though nothing has been broken for `within`.
    pub(super) async fn finish(mut self, within: Duration) -> Result<()> {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let waited = tokio::time::timeout(within, ended).await;
        anyhow::ensure!(waited.is_ok(), "a write was not acknowledged within {within:?} of the last fault");
        Ok(())
    }
}

async fn read(world: Arc<World>, mut dice: Dice, pause: Duration, stop: CancellationToken) {
    let mut client = Client::new(Arc::clone(&world), dice.fork());
    while !stop.is_cancelled() {
        world.verdict.check(client.read().await.map(|_| ()));
        tokio::time::sleep(dice.between(Duration::from_millis(5)..pause)).await;
    }
}

/// A client that writes, one thing at a time.
struct Writer {
    world: Arc<World>,
    dice: Dice,
    clients: [Client; 2],
    pause: Duration,
    /// Environments that it made and has not removed.
    environments: Vec<String>,
}

impl Writer {
    fn new(world: Arc<World>, mut dice: Dice, pause: Duration) -> Self {
        let clients = [dice.fork(), dice.fork()].map(|dice| Client::new(Arc::clone(&world), dice));
        Self { world, dice, clients, pause, environments: Vec::new() }
    }

    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let written = self.write_something().await;
            self.world.verdict.check(written);
            tokio::time::sleep(self.dice.between(Duration::from_millis(5)..self.pause)).await;
        }
    }

    async fn write_something(&mut self) -> Result<()> {
        match self.dice.below(100) {
            0..45 => self.commit(Effect::Mark, mark).await,
            45..60 => self.make().await,
            60..70 => self.remove().await,
            70..80 => self.join().await,
            _ => self.count_up().await,
        }
    }

    async fn make(&mut self) -> Result<()> {
        let name = format!("e{}", self.world.invariants().history.next());
        self.environments.push(name.clone());
        self.commit(Effect::Made(name.clone()), |_, _| Command::CreateEnvironment(name.clone())).await
    }

    async fn remove(&mut self) -> Result<()> {
        let Some(name) = self.environments.pop() else { return Ok(()) };
        self.commit(Effect::Removed(name.clone()), |_, _| Command::DeleteEnvironment(name.clone())).await
    }

    async fn join(&mut self) -> Result<()> {
        let tokens: Vec<TokenId> = self.world.invariants().history.tokens().keys().copied().collect();
        let Some(token) = self.dice.pick(&tokens) else { return Ok(()) };
        let host = HostId::from_u128(u128::from(self.dice.number()) | (1 << 100));
        let effect = Effect::Joined { token, host };
        self.commit(effect, |number, _| joins(token, secret(), host, format!("j{number}"))).await
    }

    /// Reads a counter, adds one, and writes it back unless it has changed meanwhile.
    async fn count_up(&mut self) -> Result<()> {
        let hosts: Vec<HostId> = self.world.hosts().keys().copied().collect();
        let Some(host) = self.dice.pick(&hosts) else { return Ok(()) };
        let Some(state) = self.clients[0].read().await? else { return Ok(()) };
        let Some(revision) = state.hosts.get(&host).map(|host| host.revision) else { return Ok(()) };
        let label = (COUNTER.to_owned(), (counter(&state, host) + 1).to_string());
        let patch = HostPatch { set_labels: BTreeMap::from([label]), ..HostPatch::default() };
        let update = |_, _| Command::UpdateHost { host, patch: patch.clone(), expect: Some(revision) };
        self.commit(Effect::Added(host), update).await
    }

    /// Has a write applied, repeating it until somebody says so, and sometimes after that.
    async fn commit(
        &mut self,
        effect: Effect,
        command: impl FnOnce(usize, omni_common::clock::Time) -> Command,
    ) -> Result<()> {
        let now = self.world.clock.now();
        let request = RequestId::from_u128(u128::from(self.dice.number()) | (2 << 100));
        let number = {
            let history = &mut self.world.invariants().history;
            let number = history.next();
            history.begin(request, effect);
            number
        };
        let actor = Actor {
            kind: ActorKind::Token,
            name: "token:sim".to_owned(),
            role: Some(ApiRole::Admin),
            from: None,
        };
        let proposal = Proposal { request, fingerprint: None, at: now, actor, command: command(number, now) };
        while !self.attempt(number, &proposal).await? {
            tokio::time::sleep(self.dice.between(Duration::from_millis(5)..Duration::from_millis(250))).await;
        }
        if self.dice.chance(20) {
            self.attempt(number, &proposal).await?;
        }
        Ok(())
    }

    /// One try, sometimes through two controllers at the same time; whether anybody answered.
    async fn attempt(&mut self, number: usize, proposal: &Proposal) -> Result<bool> {
        let [first, second] = &mut self.clients;
        let answers = if self.dice.chance(10) {
            let (first, second) = tokio::join!(first.propose(proposal), second.propose(proposal));
            [first, second]
        } else {
            [first.propose(proposal).await, None]
        };
        let mut answered = false;
        for (applied, state) in answers.into_iter().flatten() {
            self.world.invariants().write_acknowledged(number, &applied, &state)?;
            answered = true;
        }
        Ok(answered)
    }
}

fn mark(number: usize, at: omni_common::clock::Time) -> Command {
    Command::RecordEvents(vec![NewEvent {
        at,
        topic: "cluster".to_owned(),
        kind: "cluster.mark".to_owned(),
        message: "a writer was here".to_owned(),
        host: None,
        data: BTreeMap::from([(MARK.to_owned(), number.to_string())]),
    }])
}
