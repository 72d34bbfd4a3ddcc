//! A cluster that begins again from a copy of its state.

use super::*;
use crate::app::testing::{allocation, host};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use omni_common::ids::{AllocationId, BootId, ClusterId, ControllerId, DeploymentId, HostId, RunId, TokenId};
use std::collections::BTreeMap;
use std::sync::Arc;

const TAKEN: Time = Time::from_secs(1_800_000_000);
const NOW: Time = Time::from_secs(1_800_003_600);

fn controller(id: u64, name: &str) -> Controller {
    Controller {
        id: ControllerId(id),
        name: name.to_owned(),
        quic: format!("{name}:7600"),
        api: format!("{name}:7601"),
        region: None,
        zone: None,
        version: "0.1.0".to_owned(),
        joined: TAKEN,
        certificate: None,
    }
}

fn app_key() -> AppKey {
    AppKey { environment: "default".to_owned(), name: "shop".to_owned() }
}

/// Three controllers, a host that runs something, one that was removed of which nothing is known, and an open run.
fn copy() -> State {
    let mut state = State {
        index: 5_000,
        now: TAKEN,
        next_controller: 4,
        controllers_version: 9,
        next_event: 70,
        next_audit: 80,
        ..State::default()
    };
    state.cluster = Some(Cluster {
        id: ClusterId::mint(),
        created: TAKEN,
        ca_cert: vec![1],
        ca_key_sealed: vec![2],
        liveness: LivenessConfig::default(),
    });
    state.controllers = (1..=3).map(|id| (ControllerId(id), controller(id, &format!("c{id}")))).collect();
    let known = Host { status: HostStatus::Up, boot: Some(BootId::from_u128(1)), ..host(1, "h1") };
    state.host_names.insert(known.name.clone(), known.id);
    state.hosts.insert(known.id, Arc::new(known));
    let held = allocation(AllocationId::from_u128(1), app_key(), HostId::from_u128(1));
    state.host_allocations.insert((held.host, held.id));
    state.app_allocations.insert((app_key(), held.id));
    state.allocations.insert(held.id, Arc::new(held));
    let move_under_way = Deployment {
        id: DeploymentId::from_u128(1),
        from: None,
        to: 1,
        back: false,
        promoted: false,
        state: DeploymentState::Running,
        started: TAKEN,
        since: TAKEN,
        by: "test".to_owned(),
        reason: None,
        log: None,
    };
    let shop =
        App { key: app_key(), deployments: vec![move_under_way], ..crate::backup::controllers::app(&state) };
    state.apps.insert(app_key(), Arc::new(shop));
    let task =
        RunTask::Restore { items: Vec::new(), into: RestoreInto::InPlace { replace: true }, start: true };
    let run = Run {
        app: Some(app_key()),
        host: Some(HostId::from_u128(1)),
        state: RunState::Running,
        ..Run::new(RunId::from_u128(1), task, "home", 1_000)
    };
    state.host_runs.insert((HostId::from_u128(1), run.id));
    state.open_runs.insert(run.id);
    state.runs.insert(run.id, Arc::new(run));
    let token = JoinToken {
        id: TokenId::from_u128(1),
        role: JoinRole::Agent,
        hash: omni_certs::SecretHash::of(b"old"),
        created: TAKEN,
        expires: NOW,
        uses_left: Some(1),
        used: 0,
        labels: BTreeMap::new(),
        created_by: "test".to_owned(),
    };
    state.join_tokens.insert(token.id, token);
    state
}

fn begun_again(copy: &State) -> State {
    let own = Controller { id: first_controller(copy), ..controller(0, "new") };
    restored(copy, Restoration { controller: own, join_tokens: Vec::new(), taken: TAKEN, at: NOW })
}

#[test]
fn only_the_new_controller_is_a_member_and_its_number_was_never_used() {
    let state = begun_again(&copy());
    assert_eq!(state.controllers.keys().copied().collect::<Vec<_>>(), [ControllerId(1001)]);
    assert_eq!(state.next_controller, 1002);
    let old = omni_certs::Role::Controller(ControllerId(4));
    assert!(!state.accepts_certificate(old), "one that may have joined after the copy was taken");
    let again = begun_again(&state);
    assert_eq!(again.controllers.keys().copied().collect::<Vec<_>>(), [ControllerId(2001)]);
}

#[test]
fn whatever_hosts_compare_is_beyond_what_they_can_have_seen() {
    let before = copy();
    let state = begun_again(&before);
    let h1 = HostId::from_u128(1);
    assert_eq!(state.index, 1_000_000_000_000);
    assert_eq!((state.generations[&h1], state.run_generations[&h1]), (state.index, state.index));
    assert!(state.allocations.values().all(|held| held.epoch == state.index));
    assert_eq!(state.controllers_version, state.index);
    assert!(state.next_event > 70 && state.next_audit > 80);
    // And again, from a copy of the restored cluster.
    assert_eq!(begun_again(&state).index, 2_000_000_000_000);
}

#[test]
fn hosts_are_waited_for_and_nothing_is_given_up_for_them() {
    let state = begun_again(&copy());
    let known = &state.hosts[&HostId::from_u128(1)];
    assert_eq!((known.status, known.boot), (HostStatus::Pending, Some(BootId::from_u128(1))));
    assert!(state.allocations.values().all(|held| held.run && !held.lost));
}

#[test]
fn a_move_that_was_under_way_waits_for_a_person() {
    let state = begun_again(&copy());
    let open = state.apps[&app_key()].open_deployment().expect("it is still under way");
    assert_eq!((open.state, open.since), (DeploymentState::Paused, NOW), "its deadline passed long ago");
    assert!(open.reason.as_ref().is_some_and(|reason| reason.contains("resume")));
}

#[test]
fn what_may_have_happened_since_does_not_happen_again() {
    let state = begun_again(&copy());
    assert!(state.open_runs.is_empty() && state.host_runs.is_empty());
    let run = &state.runs[&RunId::from_u128(1)];
    assert_eq!((run.state, run.code.as_deref()), (RunState::Cancelled, Some("controllers_restored")));
    assert!(state.join_tokens.is_empty(), "a token that was used once since would be good once more");
}

#[test]
fn it_is_written_down_with_what_was_lost() {
    let state = begun_again(&copy());
    let (_, entry) = state.audit.get_max().expect("an entry");
    assert_eq!((entry.action.as_str(), entry.who.as_str()), ("cluster.restore", "restore:new"));
    assert!(entry.detail.as_ref().is_some_and(|detail| detail.contains("3600 s")), "{entry:?}");
    assert!(state.events.values().any(|event| event.kind == "cluster.restored"));
    // It is a state like any other.
    let bytes = snapshot::encode(&state).expect("encodes");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), state);
}
