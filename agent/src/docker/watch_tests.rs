//! The watcher against an engine that comes, goes, hangs and is large.

use super::fake::{FakeEngine, copy, recorded};
use super::queue::MAX_PARALLEL;
use super::{DockerStatus, Handle, Images, Watcher};
use crate::inventory::{Containers, Delta, Inventory};
use omni_common::clock::SystemClock;
use omni_common::domain::{Container, ContainerState, Health};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn watch(engine: &FakeEngine, adjust: impl FnOnce(&mut Watcher)) -> (Handle, DropGuard) {
    let (handle, mut watcher) = Watcher::new(engine.socket(), Arc::new(SystemClock));
    adjust(&mut watcher);
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move { watcher.run(stop).await });
    handle.containers().rewind();
    (handle, guard)
}

/// The next delta, as a session would read it.
async fn delta(containers: &Containers) -> Delta {
    let next = async {
        loop {
            containers.changed().await;
            if let Some(delta) = containers.take(64, 1 << 20) {
                return delta;
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("news in time")
}

/// Reads deltas until one shows `id` so.
async fn until(containers: &Containers, id: &str, fits: impl Fn(&Container) -> bool) -> Container {
    loop {
        let delta = delta(containers).await;
        if let Some(found) = delta.upsert.into_iter().find(|container| container.id == id && fits(container))
        {
            return found;
        }
    }
}

async fn status(handle: &Handle, fits: impl Fn(&DockerStatus) -> bool) -> DockerStatus {
    let mut status = handle.status();
    let found = tokio::time::timeout(PATIENCE, status.wait_for(fits)).await;
    found.expect("in time").expect("the watcher lives").clone()
}

fn is_up(status: &DockerStatus) -> bool {
    matches!(status, DockerStatus::Up(_))
}

fn is_absent(status: &DockerStatus) -> bool {
    matches!(status, DockerStatus::Absent(_))
}

#[tokio::test]
async fn it_lists_and_then_follows() {
    let engine = FakeEngine::start(&["web", "gone", "sick"]);
    let (handle, _guard) = watch(&engine, |_| {});
    let listing = delta(handle.containers()).await;
    assert!(listing.reset && !listing.more);
    assert_eq!(listing.upsert.len(), 3);
    let DockerStatus::Up(facts) = status(&handle, is_up).await else { unreachable!("waited for") };
    assert_eq!(facts.version, "20.10.24+dfsg1");

    let mut web = recorded("inspect-web");
    web["State"]["Health"]["Status"] = json!("unhealthy");
    let id = engine.change("health_status: unhealthy", web.clone());
    until(handle.containers(), &id, |container| container.health == Health::Unhealthy).await;
    web["State"]["Status"] = json!("exited");
    engine.change("die", web);
    let exited = until(handle.containers(), &id, |container| container.state == ContainerState::Exited).await;
    assert_eq!(exited.health, Health::None, "what does not run is not healthy");
    engine.destroy(&id);
    assert_eq!(delta(handle.containers()).await.removed, [id]);
    let new = engine.change("create", recorded("inspect-fresh"));
    until(handle.containers(), &new, |_| true).await;
}

#[tokio::test]
async fn images_are_known_as_they_come() {
    let engine = FakeEngine::start(&[]);
    let (handle, _guard) = watch(&engine, |_| {});
    let mut images = handle.images();
    let known = |names: &'static [&str]| {
        move |images: &Images| {
            let tags = images.iter().flat_map(|images| images.iter().flat_map(|image| image.tags.clone()));
            images.is_some() && tags.collect::<Vec<_>>() == names
        }
    };
    images.wait_for(known(&[])).await.expect("the watcher lives");
    engine.build("web:1");
    images.wait_for(known(&["web:1"])).await.expect("the watcher lives");
    engine.build("web:2");
    images.wait_for(known(&["web:1", "web:2"])).await.expect("the watcher lives");
}

#[tokio::test]
async fn an_absent_engine_means_no_containers_and_is_found_later() {
    let mut engine = FakeEngine::start(&["web"]);
    let socket = engine.socket();
    engine.kill();
    std::fs::remove_file(socket.path()).expect("it was there");
    let (handle, _guard) = watch(&engine, |_| {});
    assert_eq!(delta(handle.containers()).await, Delta { reset: true, ..Delta::default() });
    let DockerStatus::Absent(reason) = status(&handle, is_absent).await else { unreachable!("waited for") };
    assert_eq!(reason, "there is no such socket");
    assert!(handle.engine().is_err());
    engine.restart();
    status(&handle, is_up).await;
    assert_eq!(delta(handle.containers()).await.upsert.len(), 1);
    assert!(handle.engine().is_ok());
}

#[tokio::test]
async fn a_restart_of_the_engine_is_no_news_of_its_containers() {
    let mut engine = FakeEngine::start(&["web", "sick"]);
    let (handle, _guard) = watch(&engine, |_| {});
    assert_eq!(delta(handle.containers()).await.upsert.len(), 2);
    engine.kill();
    status(&handle, is_absent).await;
    // What changes while nobody tells of it is found in the next listing.
    let mut sick = recorded("inspect-sick");
    sick["RestartCount"] = json!(5);
    let id = engine.change("start", sick);
    engine.restart();
    let news = delta(handle.containers()).await;
    assert_eq!(news.upsert.len(), 1, "only what changed: {news:?}");
    assert_eq!((news.upsert[0].id.as_str(), news.upsert[0].restarts), (id.as_str(), 5));
    assert!(news.removed.is_empty() && !news.reset);
}

#[tokio::test]
async fn an_engine_that_stays_away_takes_its_containers_with_it() {
    let mut engine = FakeEngine::start(&["web", "sick"]);
    let (handle, _guard) = watch(&engine, |watcher| watcher.forget_after = Duration::from_millis(100));
    assert_eq!(delta(handle.containers()).await.upsert.len(), 2);
    engine.kill();
    assert_eq!(delta(handle.containers()).await.removed.len(), 2);
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_and_looked_for_again() {
    let engine = FakeEngine::start(&["web"]);
    engine.freeze(true);
    let (handle, _guard) = watch(&engine, |watcher| watcher.limits.call = Duration::from_millis(100));
    let DockerStatus::Absent(reason) = status(&handle, is_absent).await else { unreachable!("waited for") };
    assert!(reason.contains("did not answer `version`"), "{reason}");
    engine.freeze(false);
    status(&handle, is_up).await;
    assert_eq!(delta(handle.containers()).await.upsert.len(), 1);
}

#[tokio::test]
async fn a_container_that_hangs_hides_neither_itself_nor_the_others() {
    let engine = FakeEngine::start(&["web", "sick"]);
    let hanging = recorded("inspect-sick")["Id"].as_str().expect("recorded").to_owned();
    engine.hang(&hanging);
    let (handle, _guard) = watch(&engine, |watcher| watcher.limits.call = Duration::from_millis(300));
    let listing = delta(handle.containers()).await;
    assert_eq!(listing.upsert.len(), 2);
    let shown = handle.containers().get(&hanging).expect("shown as the list has it");
    assert_eq!((shown.state, shown.pid), (ContainerState::Running, None));
    assert!(is_up(&handle.status().borrow()), "the engine as a whole answers");
}

#[tokio::test]
async fn many_containers_are_read_a_few_at_a_time() {
    const MANY: usize = 300;
    let engine = FakeEngine::start(&[]);
    for number in 0..MANY {
        engine.change("create", copy(&format!("c{number}"), number));
    }
    let (handle, _guard) = watch(&engine, |_| {});
    let mut seen = 0;
    while seen < MANY {
        let delta = delta(handle.containers()).await;
        assert_eq!(delta.reset, seen == 0);
        assert!(delta.upsert.len() <= 64);
        seen += delta.upsert.len();
        assert_eq!(delta.more, seen < MANY);
    }
    assert!(engine.counters().most_inspecting.load(Ordering::Relaxed) <= MAX_PARALLEL);
}

#[tokio::test]
async fn a_container_made_during_the_listing_is_not_lost() {
    let engine = FakeEngine::start(&[]);
    let (handle, _guard) = watch(&engine, |_| {});
    // Each may fall before, into or after the listing.
    for number in 0..200 {
        engine.change("create", copy(&format!("c{number}"), number));
        tokio::task::yield_now().await;
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        let delta = delta(handle.containers()).await;
        assert!(delta.removed.is_empty(), "{:?}", delta.removed);
        seen.extend(delta.upsert.into_iter().map(|container| container.id));
    }
}
