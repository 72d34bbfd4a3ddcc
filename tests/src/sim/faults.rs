//! What goes wrong, as the seed decides: one fault after the other, several at a time, each of them mended again
//! after a while.

use super::client::Client;
use super::dice::Dice;
use super::member::name;
use super::setup::add_controller;
use super::world::World;
use anyhow::Result;
use omni_common::ids::{ControllerId, HostId, RequestId};
use omni_controller::app::Call;
use omni_controller::state::Actor;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One-way latency while nothing is wrong: machines in one site.
pub(super) const FAIR: Range<Duration> = Duration::from_micros(200)..Duration::from_millis(2);
/// One-way latency in a storm: still well within Raft's timing, which is for one site.
const STORM: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(12);
/// Pause between two faults.
const PAUSE: Range<Duration> = Duration::from_millis(300)..Duration::from_secs(5);
/// How long a fault lasts. Beyond lease, window and idle times, and far below them.
const LASTS: [Range<Duration>; 3] = [
    Duration::from_millis(50)..Duration::from_secs(1),
    Duration::from_secs(1)..Duration::from_secs(6),
    Duration::from_secs(9)..Duration::from_secs(25),
];
/// Controllers that join in one run at most, and that are removed.
const JOINING: usize = 1;
const LEAVING: usize = 1;

/// What a seed's faults are like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temper {
    /// Whether so many controllers may be gone at a time that nobody can lead.
    pub may_lose_majority: bool,
}

/// How a fault is mended.
#[derive(Clone, Debug)]
enum Mend {
    Rejoin(String),
    Isolate(String),
    Join(String, String),
    StartController(ControllerId),
    StartAgent(HostId),
    Hurry(String),
    Calm,
    FastDisk(ControllerId),
}

/// Breaks things, and mends them.
pub(super) struct Faults {
    world: Arc<World>,
    dice: Dice,
    temper: Temper,
    /// What is to be mended, by when.
    due: BTreeMap<(Instant, usize), Mend>,
    broken: usize,
    joined: usize,
    left: usize,
    /// A change of membership under way.
    change: Option<JoinHandle<Result<()>>>,
}

impl Faults {
    /// Faults that follow from `dice`.
    pub(super) fn new(world: Arc<World>, dice: Dice, temper: Temper) -> Self {
        Self { world, dice, temper, due: BTreeMap::new(), broken: 0, joined: 0, left: 0, change: None }
    }

    /// Breaks and mends things for `length`.
    ///
    /// # Errors
    /// When a controller does not start.
    pub(super) async fn rage(&mut self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        let mut next = Instant::now();
        while Instant::now() < end {
            let due = self.due.first_key_value().map_or(end, |((at, _), _)| *at);
            tokio::time::sleep_until(next.min(due).min(end)).await;
            self.mend_due(Instant::now()).await?;
            if Instant::now() >= next {
                self.break_something();
                next = Instant::now() + self.dice.between(PAUSE);
            }
        }
        Ok(())
    }

    /// Mends everything and waits for a change of membership that is under way.
    ///
    /// # Errors
    /// When a controller does not start, or the change fails.
    pub(super) async fn calm(mut self) -> Result<()> {
        self.world.mend_all();
        let starts = std::mem::take(&mut self.due).into_values();
        for mend in starts.filter(|mend| !matches!(mend, Mend::Isolate(_))) {
            self.mend(mend).await?;
        }
        self.world.verdict.note("everything is mended");
        match self.change.take() {
            Some(change) => change.await?,
            None => Ok(()),
        }
    }

    async fn mend_due(&mut self, now: Instant) -> Result<()> {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let mend = entry.remove();
            self.mend(mend).await?;
        }
        Ok(())
    }

    async fn mend(&self, mend: Mend) -> Result<()> {
        let world = &self.world;
        match mend {
            Mend::Rejoin(name) => self.isolate(&name, false),
            Mend::Isolate(name) => self.isolate(&name, true),
            Mend::Join(a, b) => self.cut(&a, &b, false),
            Mend::StartController(id) if world.members().contains_key(&id) => {
                world.start_controller(id, None).await?;
            }
            Mend::StartController(_) => {}
            Mend::StartAgent(id) => world.start_agent(id),
            Mend::Hurry(name) => {
                world.set_slow(&name, Duration::ZERO);
                world.verdict.note(format!("{name} is quick again"));
            }
            Mend::Calm => {
                world.set_latency(FAIR);
                world.verdict.note("the storm is over");
            }
            Mend::FastDisk(id) => {
                world.set_disk_latency(id, Duration::ZERO);
                world.verdict.note(format!("{}'s disk is quick again", name(id)));
            }
        }
        Ok(())
    }

    fn isolate(&self, name: &str, isolated: bool) {
        self.world.set_isolated(name, isolated);
        self.world.verdict.note(format!("{name} is {}", if isolated { "cut off" } else { "back" }));
    }

    fn cut(&self, a: &str, b: &str, cut: bool) {
        self.world.set_cut(a, b, cut);
        let how = if cut { "can no longer talk" } else { "can talk again" };
        self.world.verdict.note(format!("{a} and {b} {how}"));
    }

    /// Mends something in `after` from now.
    fn later(&mut self, after: Duration, mend: Mend) {
        self.broken += 1;
        self.due.insert((Instant::now() + after, self.broken), mend);
    }

    fn length(&mut self) -> Duration {
        let range = self.dice.pick(&LASTS).expect("there are some");
        self.dice.between(range)
    }

    fn break_something(&mut self) {
        match self.dice.below(100) {
            0..10 => self.isolate_controller(),
            10..20 => self.isolate_host(),
            20..28 => self.cut_controllers(),
            28..36 => self.cut_host_from_controller(),
            36..46 => self.split(),
            46..60 => self.end_controller(),
            60..66 => self.end_agent(),
            66..72 => self.flap(),
            72..77 => self.slow(),
            77..80 => self.storm(),
            80..85 => self.slow_disk(),
            85..90 => self.transfer(),
            90..94 => self.snapshot(),
            _ => self.change_members(),
        }
    }

    fn controllers(&self) -> Vec<ControllerId> {
        self.world.members().keys().copied().collect()
    }

    fn any_host(&mut self) -> Option<(HostId, String)> {
        let hosts: Vec<_> = self.world.hosts().iter().map(|(id, host)| (*id, host.name.clone())).collect();
        self.dice.pick(&hosts)
    }

    /// A controller that may be lost now.
    fn expendable(&mut self) -> Option<ControllerId> {
        let all = self.controllers();
        let map = self.world.map();
        let reachable = |id: &&ControllerId| {
            let others = all.iter().filter(|other| map.open_since(&name(**id), &name(**other)).is_some());
            others.count() * 2 > all.len()
        };
        let healthy: Vec<_> = all.iter().filter(reachable).copied().collect();
        let spare = (healthy.len() - usize::from(!healthy.is_empty())) * 2 > all.len();
        drop(map);
        if spare || self.temper.may_lose_majority { self.dice.pick(&all) } else { None }
    }

    fn isolate_controller(&mut self) {
        let Some(id) = self.expendable() else { return };
        let length = self.length();
        self.isolate(&name(id), true);
        self.later(length, Mend::Rejoin(name(id)));
    }

    fn isolate_host(&mut self) {
        let Some((_, host)) = self.any_host() else { return };
        let length = self.length();
        self.isolate(&host, true);
        self.later(length, Mend::Rejoin(host));
    }

    fn cut_controllers(&mut self) {
        let Some(a) = self.expendable() else { return };
        let others: Vec<_> = self.controllers().into_iter().filter(|other| *other != a).collect();
        let Some(b) = self.dice.pick(&others) else { return };
        let length = self.length();
        self.cut(&name(a), &name(b), true);
        self.later(length, Mend::Join(name(a), name(b)));
    }

    fn cut_host_from_controller(&mut self) {
        let (Some((_, host)), Some(id)) = (self.any_host(), self.dice.pick(&self.controllers())) else {
            return;
        };
        let length = self.length();
        self.cut(&host, &name(id), true);
        self.later(length, Mend::Join(host, name(id)));
    }

    /// Two halves that cannot talk to each other, hosts on either side.
    fn split(&mut self) {
        if self.expendable().is_none() {
            return;
        }
        let controllers: Vec<_> = self.controllers().into_iter().map(name).collect();
        let hosts: Vec<_> = self.world.hosts().values().map(|host| host.name.clone()).collect();
        let minority = self.dice.below(controllers.len().div_ceil(2)).max(1);
        let start = self.dice.below(controllers.len());
        let aside: Vec<_> =
            (0..minority).map(|step| controllers[(start + step) % controllers.len()].clone()).collect();
        let mut sides: Vec<(String, bool)> =
            controllers.into_iter().map(|name| (name.clone(), aside.contains(&name))).collect();
        sides.extend(hosts.into_iter().map(|host| (host, self.dice.chance(40))));
        let length = self.length();
        for (number, (a, left)) in sides.iter().enumerate() {
            for (b, right) in &sides[number + 1..] {
                if left != right && (a.starts_with('c') || b.starts_with('c')) {
                    self.cut(a, b, true);
                    self.later(length, Mend::Join(a.clone(), b.clone()));
                }
            }
        }
    }

    fn end_controller(&mut self) {
        let Some(id) = self.expendable() else { return };
        if self.world.members().get(&id).is_none_or(|member| member.process.is_none()) {
            return;
        }
        if self.dice.chance(65) {
            self.world.crash_controller(id);
        } else {
            self.world.stop_controller(id);
        }
        let length = self.length();
        self.later(length, Mend::StartController(id));
    }

    fn end_agent(&mut self) {
        let Some((id, _)) = self.any_host() else { return };
        if self.world.hosts().get(&id).is_none_or(|host| host.agent.is_none()) {
            return;
        }
        if self.dice.chance(65) {
            self.world.crash_agent(id);
        } else {
            self.world.stop_agent(id);
        }
        let length = self.length();
        self.later(length, Mend::StartAgent(id));
    }

    /// On and off several times.
    fn flap(&mut self) {
        let chosen = if self.dice.chance(50) {
            self.expendable().map(name)
        } else {
            self.any_host().map(|(_, host)| host)
        };
        let Some(chosen) = chosen else { return };
        let mut after = Duration::ZERO;
        for _ in 0..self.dice.below(8) + 2 {
            self.later(after, Mend::Isolate(chosen.clone()));
            after += self.dice.between(Duration::from_millis(50)..Duration::from_millis(1_500));
            self.later(after, Mend::Rejoin(chosen.clone()));
            after += self.dice.between(Duration::from_millis(50)..Duration::from_millis(2_500));
        }
    }

    /// A host far away, or a controller with a poor line.
    fn slow(&mut self) {
        let (chosen, extra) = if self.dice.chance(70) {
            (self.any_host().map(|(_, host)| host), 20..250)
        } else {
            (self.dice.pick(&self.controllers()).map(name), 2..12)
        };
        let Some(chosen) = chosen else { return };
        let extra = self.dice.between(Duration::from_millis(extra.start)..Duration::from_millis(extra.end));
        self.world.set_slow(&chosen, extra);
        self.world.verdict.note(format!("{chosen} is {extra:?} further away"));
        let length = self.length();
        self.later(length, Mend::Hurry(chosen));
    }

    fn storm(&mut self) {
        self.world.set_latency(STORM);
        self.world.verdict.note("a storm begins");
        let length = self.length();
        self.later(length, Mend::Calm);
    }

    fn slow_disk(&mut self) {
        let Some(id) = self.dice.pick(&self.controllers()) else { return };
        let latency = self.dice.between(Duration::from_millis(5)..Duration::from_millis(400));
        self.world.set_disk_latency(id, latency);
        self.world.verdict.note(format!("{}'s disk takes {latency:?} to sync", name(id)));
        let length = self.length();
        self.later(length, Mend::FastDisk(id));
    }

    /// Somebody asks a controller to hand leadership over.
    fn transfer(&mut self) {
        let Some(process) = self.dice.pick(&self.world.running()) else { return };
        let to = self.dice.pick(&self.controllers()).filter(|_| self.dice.chance(50));
        self.world.verdict.note(format!("leadership is to go to {to:?}, says {}", process.name()));
        tokio::spawn(async move { process.controller.app().mesh.transfer(to).await.ok() });
    }

    fn snapshot(&mut self) {
        let Some(process) = self.dice.pick(&self.world.running()) else { return };
        self.world.verdict.note(format!("{} takes a snapshot", process.name()));
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            let taken = process.controller.snapshot().await;
            if !process.gone.is_cancelled() {
                world.verdict.check(taken.map_err(|error| anyhow::anyhow!("no snapshot: {error}")));
            }
        });
    }

    /// A controller joins, or one is removed. One change at a time.
    fn change_members(&mut self) {
        if self.change.as_ref().is_some_and(|change| !change.is_finished()) {
            return;
        }
        let client = Client::new(Arc::clone(&self.world), self.dice.fork());
        let world = Arc::clone(&self.world);
        if self.joined < JOINING && self.dice.chance(60) {
            self.joined += 1;
            self.change = Some(tokio::spawn(join(world, client)));
        } else if self.left < LEAVING && self.controllers().len() > 3 {
            let Some(id) = self.dice.pick(&self.controllers()) else { return };
            self.left += 1;
            self.change = Some(tokio::spawn(leave(world, self.dice.fork(), id)));
        }
    }
}

async fn join(world: Arc<World>, mut client: Client) -> Result<()> {
    world.verdict.note("a controller joins");
    let id = add_controller(&world, &mut client).await?;
    world.verdict.note(format!("{} has joined", name(id)));
    Ok(())
}

/// Asks, through any controller, until one says that it is done; then switches the machine off.
async fn leave(world: Arc<World>, mut dice: Dice, id: ControllerId) -> Result<()> {
    world.verdict.note(format!("{} is to be removed", name(id)));
    let name = name(id);
    let call = Call::everywhere(Actor::system(), RequestId::mint());
    loop {
        // Until it is done two majorities are needed to decide anything, and there may be only one.
        world.map().disturb(Instant::now());
        let chosen = dice.pick(&world.running());
        if let Some(process) = chosen {
            let asked = process.controller.app().remove_controller(&call, &name);
            let answer = tokio::select! {
                answer = asked => answer.map_err(|error| error.to_string()),
                () = process.gone.cancelled() => Err("it is gone".to_owned()),
            };
            match answer {
                Ok(_) => break,
                Err(error) => world.verdict.note(format!("{} does not remove it: {error}", process.name())),
            }
        }
        tokio::time::sleep(dice.between(Duration::from_millis(200)..Duration::from_secs(2))).await;
    }
    world.verdict.note(format!("{name} is removed"));
    world.map().disturb(Instant::now());
    world.scrap_controller(id);
    Ok(())
}
