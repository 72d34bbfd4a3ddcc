//! Locks of repositories over the router, with agents that hold them.

use super::Site;
use crate::app::testing::{FakeAgent, NOW, host};
use crate::state::{ApiRole, HostStatus, Run, RunTask};
use axum::http::Method;
use omni_common::api::v1::{LockHolder, Page, RepositoryLock, RepositoryView, UnlockedRepository};
use omni_common::domain::HostFacts;
use omni_common::domain::backup::{HeldLock, LocksOrder, Removal, RunState};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::{AgentRequest, ReplyFrame};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

const LOCKS: &str = "/api/v1/backup/repositories/home/locks";
const UNLOCK: &str = "/api/v1/backup/repositories/home/unlock";

fn lock(number: u32, hostname: &str, minutes: u64) -> HeldLock {
    HeldLock {
        id: format!("{number:064x}"),
        hostname: hostname.to_owned(),
        username: "root".to_owned(),
        pid: number,
        renewed: Some(NOW.minus(Duration::from_secs(60 * minutes))),
        exclusive: false,
    }
}

/// The repository as agents see it: who was told to remove what.
#[derive(Default)]
struct Place {
    locks: Vec<HeldLock>,
    asked: Vec<(HostId, Removal)>,
}

impl Place {
    /// What restic does on a host: of its own, process 1 is gone; of all, what is old.
    fn answer(&mut self, host: HostId, order: &LocksOrder) -> ReplyFrame {
        assert_eq!((order.repository.name.as_str(), order.repository.create), ("home", false));
        self.asked.push((host, order.remove.clone()));
        let own = format!("web-{}", host.0.as_u128());
        match &order.remove {
            Removal::Nothing => {}
            Removal::Stale => self.locks.retain(|one| {
                let old = one.renewed.is_some_and(|at| NOW.since(at) >= Duration::from_secs(1800));
                !(old || one.hostname == own && one.pid == 1)
            }),
            Removal::These(named) => {
                if let Some(other) = self.locks.iter().find(|one| !named.contains(&one.id)) {
                    let message = format!("process {} has come to hold a lock", other.pid);
                    return ReplyFrame::Failed { code: "busy".to_owned(), message };
                }
                self.locks.clear();
            }
        }
        ReplyFrame::Locks(self.locks.clone())
    }
}

async fn agents(mut asked: mpsc::UnboundedReceiver<(HostId, FakeAgent)>, place: Arc<Mutex<Place>>) {
    while let Some((host, agent)) = asked.recv().await {
        let AgentRequest::Locks(order) = &agent.request else { panic!("{:?}", agent.request) };
        let order: LocksOrder = serde_json::from_str(order.reveal()).expect("an order");
        let answer = place.lock().expect("no panic").answer(host, &order);
        agent.replies.send(answer).await.expect("somebody reads");
        agent.replies.send(ReplyFrame::End).await.ok();
    }
}

/// Three hosts, of which the last is down, and their locks.
async fn bed(locks: Vec<HeldLock>) -> (Site, Arc<Mutex<Place>>) {
    let mut site = Site::new();
    let asked = std::mem::replace(&mut site.bench.agents, mpsc::unbounded_channel().1);
    let place = Arc::new(Mutex::new(Place { locks, asked: Vec::new() }));
    tokio::spawn(agents(asked, Arc::clone(&place)));
    let body = json!({"name": "home", "location": "rest:https://backup.lan/"});
    site.post("/api/v1/backup/repositories", body).await.ok::<RepositoryView>();
    for number in 1..=3 {
        let name = format!("web-{number}");
        let facts = HostFacts { hostname: name.clone(), ..HostFacts::default() };
        let mut host = host(number, &name);
        host.facts = Some(facts);
        host.status = if number == 3 { HostStatus::Down } else { HostStatus::Up };
        site.bench.add_host(host);
    }
    (site, place)
}

fn able(site: &Site) {
    site.bench.change(|state| {
        state.runners.extend([1, 2, 3].map(HostId::from_u128));
    });
}

/// A check that web-2 is doing on the repository.
fn at_work(site: &Site) -> RunId {
    let (id, host) = (RunId::from_u128(0xb4), HostId::from_u128(2));
    let run = Run::new(id, RunTask::Check { part: None }, "home", 1000);
    site.bench.change(|state| {
        let run = Run { host: Some(host), state: RunState::Running, ..run };
        state.runs.insert(id, Arc::new(run));
        state.open_runs.insert(id);
        state.host_runs.insert((host, id));
    });
    id
}

#[tokio::test]
async fn locks_are_told_with_who_is_behind_them() {
    let locks = vec![lock(1, "web-1", 1), lock(7, "web-2", 2), lock(8, "web-3", 3), lock(9, "laptop", 40)];
    let (site, _place) = bed(locks).await;
    let refused = site.get(LOCKS).await.problem(409, "conflict");
    assert!(refused.detail.is_some_and(|why| why.contains("no host is up")));
    able(&site);
    let run = at_work(&site);
    let page: Page<RepositoryLock> = site.get(LOCKS).await.ok();
    let told: Vec<_> = page.items.iter().map(|one| (one.host.as_deref(), one.holder, one.run)).collect();
    assert_eq!(
        told,
        [
            (Some("web-1"), LockHolder::Unknown, None),
            (Some("web-2"), LockHolder::Run, Some(run)),
            (Some("web-3"), LockHolder::Unknown, None),
            (None, LockHolder::Nobody, None),
        ]
    );
    assert!(page.items[2].why.contains("web-3 is down"), "{}", page.items[2].why);
    site.get("/api/v1/backup/repositories/away/locks").await.problem(404, "not_found");
}

#[tokio::test]
async fn only_what_nobody_holds_goes_unless_it_is_forced() {
    let locks = vec![lock(1, "web-1", 1), lock(7, "web-2", 2), lock(8, "web-3", 3), lock(9, "laptop", 40)];
    let (site, place) = bed(locks).await;
    able(&site);
    at_work(&site);
    let done: UnlockedRepository =
        site.call(Method::POST, UNLOCK, ApiRole::Operator, Some(json!({}))).await.ok();
    let processes = |locks: &[RepositoryLock]| locks.iter().map(|one| one.process).collect::<Vec<_>>();
    assert_eq!((processes(&done.removed), processes(&done.left)), (vec![1, 9], vec![7, 8]));
    let stale: Vec<u128> = {
        let place = place.lock().expect("no panic");
        place
            .asked
            .iter()
            .filter(|(_, how)| *how == Removal::Stale)
            .map(|(host, _)| host.0.as_u128())
            .collect()
    };
    assert_eq!(stale, [1, 2], "each host that is up knows its own processes");
    let done: UnlockedRepository = site.post(UNLOCK, json!({"force": true})).await.ok();
    assert_eq!((processes(&done.removed), processes(&done.left)), (vec![7, 8], vec![]));
    let state = site.bench.app.store.current();
    let told: Vec<_> = state.audit.values().map(|one| (one.action.as_str(), one.detail.as_deref())).collect();
    assert!(told.contains(&("repository.unlock", Some("those that nobody holds"))), "{told:?}");
    assert!(told.contains(&("repository.unlock", Some("all, by force"))), "{told:?}");
}

/// restic knows its own processes by the name of the machine alone, so two of one name would end each other's work.
#[tokio::test]
async fn a_name_that_two_hosts_have_says_nothing() {
    let (site, place) = bed(vec![lock(1, "web-1", 1)]).await;
    able(&site);
    site.bench.change(|state| {
        let other = state.hosts.get_mut(&HostId::from_u128(2)).map(Arc::make_mut).expect("there");
        other.facts.as_mut().expect("known").hostname = "web-1".to_owned();
    });
    let done: UnlockedRepository = site.post(UNLOCK, json!({"force": false})).await.ok();
    assert_eq!((done.removed.len(), done.left.len(), &done.left[0].host), (0, 1, &None));
    let asked = place.lock().expect("no panic").asked.clone();
    assert!(asked.iter().all(|(_, how)| *how == Removal::Nothing), "{asked:?}");
}
