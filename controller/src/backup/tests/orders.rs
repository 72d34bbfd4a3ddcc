//! What hosts are told to do.

use super::world::{World, key};
use crate::backup::opening::Opener;
use crate::backup::order::order;
use crate::backup::{Outline, Outlines, standing_orders};
use crate::state::command::NewSecret;
use crate::state::{AppKey, Command, RunKind, State};
use omni_catalogue::policies::Policies;
use omni_common::domain::SecretName;
use omni_common::domain::app::AppSpec;
use omni_common::domain::backup::{Repository, Task};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use zeroize::Zeroizing;

static POLICIES: LazyLock<Arc<Policies>> = LazyLock::new(Policies::builtin);

/// Opens what was never sealed.
struct Open(Outlines);

impl Opener for Open {
    fn open(&self, _: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(sealed.to_vec()))
    }

    fn release(&self, _: &State, app: &AppKey, _: u64) -> Option<(AppSpec, Arc<Outline>)> {
        Some((AppSpec::default(), self.0.get(app)?.clone()))
    }

    fn outlines(&self, _: &State) -> Outlines {
        self.0.clone()
    }

    fn policies(&self) -> &Policies {
        &POLICIES
    }
}

fn world() -> World {
    let mut world = World::new("2026-11-23T00:30:00Z");
    let version = NewSecret { size: 4, sealed: b"word".to_vec() };
    let name = SecretName::new("p").expect("a name");
    world.apply(Command::PutSecret { name, version, expect: None }).expect("it may");
    world
}

/// The repositories that runs of this kind, just given out, write into.
fn targets(world: &World, kind: RunKind) -> Vec<Repository> {
    let opener = Open(world.outlines.clone());
    let own = world.given().into_iter().filter(|run| run.kind() == kind && run.app == Some(key()));
    let target = |task| match task {
        Task::Backup(task) => task.to,
        Task::Copy(task) => task.to,
        other => panic!("{other:?}"),
    };
    own.map(|run| target(order(&world.state, &run, &opener).expect("an order").task)).collect()
}

/// An empty repository in place of one that was lost, or whose disk is not mounted, would look as if all were well.
#[test]
fn a_repository_is_made_once() {
    let mut world = world();
    let mut seen = Vec::new();
    for _ in 0..24 {
        world.pass(Duration::from_secs(300));
        world.decide();
        for kind in [RunKind::Backup, RunKind::Copy] {
            seen.extend(targets(&world, kind).into_iter().map(|to| (to.name, to.create)));
        }
        world.work();
    }
    for name in ["home", "away"] {
        let made: Vec<bool> = seen.iter().filter(|(to, _)| to == name).map(|(_, create)| *create).collect();
        assert!(made.len() > 1 && made[0], "the first makes it: {made:?}");
        assert!(made[1..].iter().all(|made| !made), "and no other: {made:?}");
    }
}

#[test]
fn a_host_that_is_alone_makes_none() {
    let mut world = world();
    let opener = Open(world.outlines.clone());
    let host = super::world::host(1);
    let none = standing_orders(&world.state, host, &world.limits, &opener);
    assert!(none.orders.is_empty(), "nobody has seen the repository yet");
    world.live(60);
    let told = standing_orders(&world.state, host, &world.limits, &opener);
    let [one] = told.orders.as_slice() else { panic!("{told:?}") };
    assert!(!one.task.to.create && one.task.same_moment.is_empty());
}
