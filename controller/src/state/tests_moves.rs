//! Moves between hosts as the log and the snapshot have them.

use super::command::MoveStep;
use super::*;
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemName, RunState};
use omni_common::ids::{AllocationId, HostId, MoveId, RequestId, RunId};
use std::sync::Arc;

fn key() -> AppKey {
    AppKey { environment: "default".to_owned(), name: "shop".to_owned() }
}

fn moving() -> Move {
    let at = Time::from_secs(1_800_000_000);
    let item = ItemName::new("volume-data").expect("a name");
    let facts = [("files".to_owned(), "7".to_owned())].into();
    Move {
        id: MoveId::from_u128(7),
        app: key(),
        to: HostId::from_u128(2),
        repository: Some("near".to_owned()),
        release: 3,
        legs: vec![Leg {
            group: "main".to_owned(),
            slot: 0,
            from: HostId::from_u128(1),
            data: true,
            replace: false,
            run: Some(RunId::from_u128(9)),
            ended: Some(LegEnd { state: RunState::Succeeded, message: None }),
            items: vec![MovedItem { item, snapshot: "ab".repeat(32), bytes: 1 << 20, facts }],
        }],
        stage: MoveStage::Syncing,
        since: at,
        started: at,
        by: "token:test".to_owned(),
        stopped: Some(at),
        healthy: None,
        reason: None,
    }
}

fn run(task: RunTask) -> Run {
    Run {
        app: Some(key()),
        instance: Some(("main".to_owned(), 0)),
        ..Run::new(RunId::from_u128(9), task, "near", 5)
    }
}

/// Log entries are for ever: the bytes of one entry of each kind, as the first release that had them wrote them.
#[test]
fn log_entries_about_moves_keep_their_bytes() {
    let item = ItemName::new("volume-data").expect("a name");
    let wanted = WantedItem { item: item.clone(), snapshot: "ab".to_owned(), path: None };
    let begin = |task| MoveStep::Begin { id: MoveId::from_u128(7), run: Box::new(run(task)) };
    let commands = [
        Command::StartMove(Box::new(moving())),
        Command::AdoptMoves(vec![
            begin(RunTask::MoveOut { last: true }),
            begin(RunTask::MoveReady { bytes: vec![(item, 5)], replace: false }),
            begin(RunTask::MoveIn { items: vec![wanted] }),
            MoveStep::Enter {
                app: key(),
                id: MoveId::from_u128(7),
                from: MoveStage::Syncing,
                to: MoveStage::Failed,
                reason: Some("why".to_owned()),
            },
        ]),
        Command::ConfirmMove { app: key(), hosts: vec![HostId::from_u128(1)] },
        Command::ReturnMove(key()),
    ];
    let entry = |command| Proposal {
        request: RequestId::from_u128(7),
        fingerprint: None,
        at: Time::from_secs(1_800_000_007),
        actor: Actor::system(),
        command,
    };
    let text: String = commands
        .into_iter()
        .map(|command| omni_common::codec::encode(&entry(command)).expect("small"))
        .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_snapshot_has_moves_and_old_data() {
    let mut state = State::default();
    state.moves.insert(key(), Arc::new(moving()));
    let place = OldDataKey { app: key(), instance: ("main".to_owned(), 0), host: HostId::from_u128(1) };
    let old = OldData {
        since: Time::from_secs(1_800_000_000),
        why: OldDataWhy::Moved,
        going: true,
        by: Some(AllocationId::from_u128(3)),
    };
    state.old_data.insert(place, old);
    let bytes = snapshot::encode(&state).expect("encodes");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), state);
}
