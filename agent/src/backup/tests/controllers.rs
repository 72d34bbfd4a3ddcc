//! The controllers' own state, handed over by a gateway of the test.

use super::*;
use crate::backup::StateSource;
use async_trait::async_trait;
use omni_common::domain::backup::{ControllersTask, ControllersWork, KeptState};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Hands over so many bytes, and then breaks off or does not.
struct Gateway {
    bytes: usize,
    breaks: bool,
}

#[async_trait]
impl StateSource for Gateway {
    async fn hand_over(&self, _: RunId, to: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), String> {
        to.write_all(&vec![7; self.bytes]).await.map_err(|error| error.to_string())?;
        if self.breaks { Err("the gateway's answer ended in the middle".to_owned()) } else { Ok(()) }
    }
}

async fn bed(bytes: usize, breaks: bool) -> Bed {
    Bed::with_states(Arc::new(Gateway { bytes, breaks })).await
}

fn task(bed: &Bed, work: ControllersWork) -> Task {
    Task::Controllers(Box::new(ControllersTask {
        app: "@omni/controllers".to_owned(),
        slot: "main.0".to_owned(),
        repository: bed.repository("repo"),
        work,
    }))
}

fn take(bed: &Bed) -> Task {
    task(bed, ControllersWork::Take { item: named("state") })
}

fn prove(bed: &Bed, taken: &ItemOutcome) -> Task {
    let kept = KeptState {
        item: taken.item.clone(),
        snapshot: taken.snapshot.clone().expect("it was taken"),
        facts: taken.facts.clone(),
    };
    task(bed, ControllersWork::Prove { items: vec![kept] })
}

#[tokio::test]
async fn the_state_is_kept_as_it_comes_and_proven_by_reading_it_again() {
    // More than the pipe between holds.
    let bed = bed(1 << 20, false).await;
    let done = bed.does(take(&bed)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    let taken = &done.items[0];
    assert_eq!((taken.bytes, taken.facts["bytes"].as_str()), (1 << 20, "1048576"));
    let done = bed.does(prove(&bed, taken)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    let mut other = taken.clone();
    other.facts.insert("sha256".to_owned(), "00".to_owned());
    let done = bed.does(prove(&bed, &other)).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("probe_failed")), "{done:?}");
    bed.is_clean();
}

#[tokio::test]
async fn half_a_state_leaves_no_snapshot() {
    let bed = bed(1 << 10, true).await;
    let done = bed.does(take(&bed)).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("source_failed")), "{done:?}");
    assert!(done.message.as_ref().is_some_and(|message| message.contains("ended in the middle")), "{done:?}");
    assert_eq!(done.items[0].snapshot, None);
}

#[tokio::test]
async fn without_a_session_it_says_so() {
    let bed = Bed::new().await;
    let done = bed.does(take(&bed)).await;
    assert_eq!(done.state, RunState::Failed);
    assert!(done.message.as_ref().is_some_and(|message| message.contains("no controller is connected")));
}
