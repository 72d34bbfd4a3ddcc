//! Whatever is asked for and whatever breaks, in any order: nothing exclusive runs twice (I1), no rollout takes a group
//! below its minimum (I4), nothing is decided without end, and all comes back when the faults are over (I6).

use super::world::{World, group, host, key, rules};
use crate::rollout::problem_of;
use crate::state::command::Steer;
use crate::state::*;
use omni_common::ids::DeploymentId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOSTS: u128 = 4;
/// Instances of the group that may run twice.
const REPLICAS: u32 = 3;

/// How an image turns out.
#[derive(Clone, Copy, Debug)]
enum Quality {
    Good,
    Bad,
    Sick,
}

/// One thing that somebody does, or that happens.
#[derive(Clone, Debug)]
enum Act {
    Deploy {
        quality: Quality,
        stop_first: bool,
        on_failure: OnFailure,
        merged: bool,
        port: bool,
    },
    /// The planner decides and the agents answer, so often.
    Steps(u8),
    /// The planner decides, and no agent has heard of it yet.
    Decide,
    Pass(u16),
    Cut(u128),
    Down(u128),
    Return(u128),
    Drain {
        host: u128,
        deadline: bool,
    },
    Undrain(u128),
    Scale(u32),
    Restart,
    Stop,
    Start,
    Steer(Steer),
}

fn acts() -> impl Strategy<Value = Act> {
    let any_host = || 1..=HOSTS;
    let quality = prop_oneof![3 => Just(Quality::Good), 1 => Just(Quality::Bad), 1 => Just(Quality::Sick)];
    let on_failure = prop_oneof![
        3 => Just(OnFailure::Rollback), 1 => Just(OnFailure::Pause), 1 => Just(OnFailure::Continue)
    ];
    let deploy = (quality, any::<bool>(), on_failure, any::<bool>(), any::<bool>());
    let steer =
        prop_oneof![Just(Steer::Pause), Just(Steer::Resume), Just(Steer::Promote), Just(Steer::Abort)];
    prop_oneof![
        4 => deploy.prop_map(|(quality, stop_first, on_failure, merged, port)| {
            Act::Deploy { quality, stop_first, on_failure, merged, port }
        }),
        8 => (1u8..8).prop_map(Act::Steps),
        3 => Just(Act::Decide),
        2 => (1u16..4_000).prop_map(Act::Pass),
        3 => any_host().prop_map(Act::Cut),
        2 => any_host().prop_map(Act::Down),
        4 => any_host().prop_map(Act::Return),
        1 => (any_host(), any::<bool>()).prop_map(|(host, deadline)| Act::Drain { host, deadline }),
        1 => any_host().prop_map(Act::Undrain),
        1 => (1..=REPLICAS).prop_map(Act::Scale),
        1 => Just(Act::Restart),
        1 => Just(Act::Stop),
        1 => Just(Act::Start),
        1 => steer.prop_map(Act::Steer),
    ]
}

/// The groups of a release: one that may run twice, one that may not, and a database, in a group of its own or not.
fn groups(image: &str, act: &Act) -> Vec<(&'static str, Group)> {
    let Act::Deploy { stop_first, on_failure, merged, port, .. } = *act else { unreachable!("of a deploy") };
    let order = if stop_first { Order::StopFirst } else { Order::StartFirst };
    let update = UpdateRules { order, on_failure, ..rules() };
    let rollback = UpdateRules { order, ..rules() };
    let of = |replicas| Group { update, rollback, ..group(image, replicas) };
    let ports =
        if port { vec![HostPort { protocol: "tcp".to_owned(), ip: None, port: 80 }] } else { Vec::new() };
    let data = Group { exclusive: true, volumes: vec!["data".to_owned()], ..of(1) };
    let web = Group { ports, ..of(REPLICAS) };
    let job = Group { exclusive: true, ..of(1) };
    let place = if merged { "job" } else { "db" };
    match merged {
        true => vec![("web", web), (place, data)],
        false => vec![("web", web), ("job", job), (place, data)],
    }
}

/// The world, and what its promises are checked against.
struct Trial {
    world: World,
    releases: u64,
}

impl Trial {
    fn new() -> Self {
        let mut trial = Self { world: World::new(HOSTS).checked(never_twice), releases: 0 };
        trial.world.before = Some(trial.world.state.clone());
        trial.deploy(&Act::Deploy {
            quality: Quality::Good,
            stop_first: false,
            on_failure: OnFailure::Rollback,
            merged: false,
            port: false,
        });
        trial.world.settle();
        trial
    }

    fn deploy(&mut self, act: &Act) {
        let Act::Deploy { quality, .. } = *act else { unreachable!("of a deploy") };
        self.releases += 1;
        let image: &'static str = Box::leak(format!("it:{}", self.releases).into_boxed_str());
        match quality {
            Quality::Good => {}
            Quality::Bad => {
                self.world.bad.insert(image.to_owned());
            }
            Quality::Sick => {
                self.world.sick.insert(image.to_owned());
            }
        }
        self.world.deploy(groups(image, act));
    }

    fn act(&mut self, act: &Act) {
        let world = &mut self.world;
        let open = world.app().open_deployment().map(|open| open.id);
        // What makes no sense at the moment is refused, and that is fine.
        match act {
            Act::Deploy { .. } => self.deploy(act),
            Act::Steps(count) => {
                for _ in 0..*count {
                    world.step();
                }
            }
            Act::Decide => {
                let (based_on, steps) = (world.state.plan_version, world.decide().steps);
                if !steps.is_empty() {
                    world.apply(Command::AdoptPlan { based_on, steps }).expect("a plan can be carried out");
                }
            }
            Act::Pass(secs) => world.now = world.now.plus(Duration::from_secs((*secs).into())),
            Act::Cut(number) => {
                world.cut.insert(host(*number));
                world.status(*number, HostStatus::Suspect);
            }
            Act::Down(number) => {
                world.cut.insert(host(*number));
                // Its lease has ended, and its agent has stopped what needs one.
                world.fence(host(*number));
                world.status(*number, HostStatus::Down);
            }
            Act::Return(number) => {
                world.cut.remove(&host(*number));
                world.status(*number, HostStatus::Up);
            }
            Act::Drain { host: number, deadline } => {
                let deadline = deadline.then(|| world.now.plus(Duration::from_secs(60)));
                let drain = Command::DrainHost { host: host(*number), drain: true, deadline };
                world.apply(drain).expect("taken");
            }
            Act::Undrain(number) => {
                let undrain = Command::DrainHost { host: host(*number), drain: false, deadline: None };
                world.apply(undrain).expect("taken");
            }
            Act::Scale(count) => {
                let replicas = BTreeMap::from([("web".to_owned(), Some(*count))]);
                world.apply(Command::ScaleApp { app: key(), replicas, expect: None }).ok();
            }
            Act::Restart => {
                let deployment = world.fresh();
                world.apply(Command::RestartApp { app: key(), deployment }).ok();
            }
            Act::Stop => {
                world.apply(Command::SetGoal { app: key(), goal: Goal::Stop, expect: None }).ok();
            }
            Act::Start => {
                world.apply(Command::SetGoal { app: key(), goal: Goal::Run, expect: None }).ok();
            }
            Act::Steer(what) => {
                let back = world.fresh();
                let deployment = open.unwrap_or(DeploymentId::from_u128(0));
                world.apply(Command::SteerDeployment { app: key(), deployment, back, what: *what }).ok();
            }
        }
    }

    /// The faults are over, and a release that works is deployed.
    fn heal(&mut self) {
        self.world.bad.clear();
        self.world.sick.clear();
        for number in 1..=HOSTS {
            self.act(&Act::Return(number));
            self.act(&Act::Undrain(number));
        }
        self.world.settle();
        self.act(&Act::Scale(REPLICAS));
        self.deploy(&Act::Deploy {
            quality: Quality::Good,
            stop_first: false,
            on_failure: OnFailure::Rollback,
            merged: false,
            port: false,
        });
        self.world.settle();
    }
}

/// I1 and I4, looked at after each command.
fn never_twice(world: &World) {
    let mut slots = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    for work in world.runs.keys().filter_map(|id| world.known.get(id)) {
        assert!(
            !work.exclusive || slots.insert(&work.slot),
            "I1: {:?} runs twice: {:?}",
            work.slot,
            world.runs
        );
        for volume in &work.volumes {
            assert!(volumes.insert(volume), "I1: {volume} is written by two: {:?}", world.runs);
        }
    }
    let Some(before) = &world.before else { return };
    for held in before.allocations_of(&key()).filter(|held| held.is_healthy()) {
        let outdated =
            |now: &Allocation| now.reason.as_deref().is_some_and(|why| why.starts_with("outdated"));
        let stopped = world.state.allocations.get(&held.id).is_some_and(|now| !now.run && outdated(now));
        let wanted = before.find_app("default", "shop").and_then(|app| {
            let group = app.wanted()?.groups.get(&held.group)?;
            // Whoever says `continue` or promotes wants the new release however few of it work.
            let pushed = group.update.on_failure == OnFailure::Continue
                || app.open_deployment().is_some_and(|open| open.promoted);
            let minded = !group.exclusive && !pushed;
            app.replicas(&held.group, group).filter(|_| minded)
        });
        let up = |state: &State, held: &Allocation| state.hosts[&held.host].status == HostStatus::Up;
        let (true, Some(wanted)) = (stopped && up(before, held), wanted) else { continue };
        let key = key();
        let of_group = world.state.allocations_of(&key).filter(|other| other.group == held.group);
        let serving: BTreeSet<u32> = of_group
            .filter(|other| other.is_healthy() && up(&world.state, other))
            .map(|other| other.slot)
            .collect();
        let hopeless = hopeless(before, world.now, &held.group);
        // With one at a time, one may be missing, beside those that nothing can fill.
        assert!(
            serving.len() as u32 + 1 + hopeless >= wanted,
            "I4: {} {} was stopped, and {serving:?} of {wanted} serve: {:?}",
            held.group,
            held.slot,
            world.table()
        );
    }
}

/// How many instances of a group wait for something other than a moment.
fn hopeless(state: &State, now: omni_common::clock::Time, group: &str) -> u32 {
    use omni_scheduler::Wait::{Handover, Stopping};
    let plan = omni_scheduler::plan(&problem_of(state, &BTreeMap::new(), now));
    let waiting = plan.waiting.iter().filter(|wait| &*wait.group.group == group);
    let slots: BTreeSet<_> = waiting
        .filter(|wait| !matches!(wait.why, Stopping(..) | Handover(..)))
        .map(|wait| wait.slot)
        .collect();
    slots.len() as u32
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_whatever_happens(acts in prop::collection::vec(acts(), 1..40)) {
        let mut trial = Trial::new();
        for act in &acts {
            trial.act(act);
        }
        trial.heal();
        let world = &trial.world;
        let newest = world.app().release;
        prop_assert_eq!(world.app().deployment().map(|one| one.state), Some(DeploymentState::Done), "{:?}", world.table());
        for (name, wanted) in [("web", REPLICAS as usize), ("job", 1), ("db", 1)] {
            prop_assert_eq!(world.healthy(name), wanted, "{}: {:?}", name, world.table());
        }
        prop_assert!(world.state.allocations_of(&key()).all(|held| held.release == newest));
        prop_assert_eq!(world.runs.len(), REPLICAS as usize + 2, "{:?}", world.table());
    }
}
