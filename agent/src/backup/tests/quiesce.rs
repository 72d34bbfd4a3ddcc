//! Services rest while their data is read, and go on whatever happens.

use super::*;
use crate::backup::debts::{Change, Debt};
use crate::ledger::Ledger;
use omni_common::domain::ContainerState;
use std::fs;

fn resting(quiesce: Quiesce) -> Item {
    Item { quiesce, ..volume_item("data") }
}

async fn shop() -> Bed {
    let bed = Bed::new().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "content").expect("our own folder");
    for (name, order) in [("db", 0), ("web", 1), ("cache", 0)] {
        bed.docker.runs(name, order);
    }
    bed
}

#[tokio::test]
async fn what_mounts_the_volume_is_frozen_and_let_go_again_in_order() {
    let bed = shop().await;
    bed.takes(&resting(Quiesce::Pause { services: Vec::new() })).await;
    let expected = ["paused id-of-web", "paused id-of-db", "running id-of-db", "running id-of-web"];
    assert_eq!(
        bed.docker.did(),
        expected,
        "what stands highest rests first, and the others mount nothing of it"
    );
    bed.takes(&resting(Quiesce::Stop { services: vec![service("cache")] })).await;
    assert_eq!(bed.docker.did(), ["exited id-of-cache", "running id-of-cache"]);
    bed.is_clean();
}

#[tokio::test]
async fn what_rests_already_is_left_as_it_is() {
    let bed = shop().await;
    bed.docker.pause("id-of-web").await.expect("it runs");
    bed.docker.stops("db");
    bed.docker.did();
    bed.takes(&resting(Quiesce::Pause { services: Vec::new() })).await;
    assert_eq!(bed.docker.did(), [""; 0]);
    assert_eq!(bed.docker.state("id-of-web"), Some(ContainerState::Paused));
}

#[tokio::test]
async fn hooks_come_before_and_after_and_a_failing_one_takes_nothing() {
    let bed = shop().await;
    let shell = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    let hook = |before: &str| {
        let (before, after) = (shell(before), shell("echo thaw >>log"));
        resting(Quiesce::Hook { service: service("db"), before, after })
    };
    bed.takes(&hook("echo freeze >>log")).await;
    let log = bed.path("docker/containers/id-of-db/log");
    assert_eq!(fs::read_to_string(&log).expect("it was written"), "freeze\nthaw\n");
    let done = bed.does(bed.backup(vec![hook("echo no lock >&2; exit 4")])).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("hook_failed")));
    assert!(
        done.message.as_ref().is_some_and(|message| message.contains("exit code 4: no lock")),
        "{done:?}"
    );
    assert_eq!(fs::read_to_string(&log).expect("it was written"), "freeze\nthaw\nthaw\n");
    bed.is_clean();
}

#[tokio::test]
async fn a_backup_that_fails_lets_go_all_the_same() {
    let bed = shop().await;
    let mut task = bed.backup(vec![resting(Quiesce::Pause { services: Vec::new() })]);
    if let Task::Backup(task) = &mut task {
        task.items[0].take = Take::Volume {
            volume: "data".to_owned(),
            include: vec!["absent".to_owned()],
            exclude: Vec::new(),
        };
    }
    let done = bed.does(task).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("source_missing")), "{done:?}");
    assert_eq!(bed.docker.did().len(), 4);
    bed.is_clean();
    // Also when the second cannot be frozen.
    bed.docker.set(|rules| rules.refuses_pause = true);
    let done = bed.does(bed.backup(vec![resting(Quiesce::Pause { services: Vec::new() })])).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("docker")), "{done:?}");
    bed.is_clean();
}

#[tokio::test]
async fn a_run_that_is_given_up_lets_go_before_restic_has_ended() {
    let bed = Bed::new().await;
    for name in ["db", "web", "cache"] {
        bed.docker.runs(name, 0);
    }
    // A stream that never ends.
    let mut item = command_item("while :; do echo more; sleep 0.1; done", "");
    item.quiesce = Quiesce::Pause { services: vec![service("db")] };
    let order = bed.order(bed.backup(vec![item]));
    let errand = errand(&order);
    let work = bed.backups.perform(&order, &errand);
    let give_up = async {
        while bed.docker.state("id-of-db") != Some(ContainerState::Paused) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        errand.cancel.cancel();
        while bed.docker.state("id-of-db") != Some(ContainerState::Running) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (done, ()) = tokio::join!(work, give_up);
    assert_eq!((done.state, done.code.as_deref()), (RunState::Cancelled, Some("cancelled")), "{done:?}");
    let left = bed.does(Task::Check(omni_common::domain::backup::CheckTask {
        repository: bed.repository("repo"),
        read: None,
    }));
    assert_eq!(left.await.state, RunState::Succeeded, "no lock is left behind");
    bed.is_clean();
}

#[tokio::test]
async fn what_an_agent_owed_that_died_is_paid_by_the_next_one() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("agent");
    let run = RunId::from_u128(7);
    let debts = [
        Change::Paused { container: "id-of-db".to_owned() },
        Change::Stopped { container: "id-of-web".to_owned(), grace_ms: 1000 },
    ]
    .map(|change| Debt { run, change });
    {
        let ledger = Arc::new(Ledger::create(&dir).expect("a fresh folder"));
        let before = Debts::open(ledger).expect("it can be read");
        for debt in &debts {
            before.owe(debt.clone()).await.expect("it can be written");
        }
    }
    let bed = shop().await;
    bed.docker.pause("id-of-db").await.expect("it runs");
    bed.docker.hold("id-of-web", Duration::ZERO).await.expect("it runs");
    let ledger = Arc::new(Ledger::open(&dir).expect("the same folder"));
    let shared = Shared::new(
        bed.docker.clone(),
        None,
        Debts::open(ledger.clone()).expect("it can be read"),
        Arc::new(Fixed),
        HOST.to_owned(),
        bed.path("work"),
        Dirs { files: bed.path("apps"), secrets: bed.path("secrets") },
    );
    let next = Backups::new(shared);
    assert!(!next.able(), "it has no restic, and pays nevertheless");
    bed.docker.set(|rules| rules.away = true);
    assert!(next.tidy(None).await.is_err());
    assert_eq!(next.shared.debts.of(None).len(), 2, "nothing is forgotten while the engine is away");
    bed.docker.set(|rules| rules.away = false);
    next.tidy(None).await.expect("the engine is back");
    for name in ["id-of-db", "id-of-web"] {
        assert_eq!(bed.docker.state(name), Some(ContainerState::Running));
    }
    assert_eq!(ledger.debts().expect("it can be read"), Some(Vec::new()));
    bed.is_clean();
}

#[tokio::test]
async fn a_change_that_cannot_be_written_down_is_not_made() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("agent");
    let ledger = Arc::new(Ledger::create(&dir).expect("a fresh folder"));
    let debts = Debts::open(ledger).expect("it can be read");
    // Where the file should be, a folder is in the way.
    fs::create_dir_all(dir.join("debts").join("in the way")).expect("our own folder");
    let debt = Debt { run: RunId::from_u128(1), change: Change::Paused { container: "x".to_owned() } };
    assert!(debts.owe(debt).await.is_err());
    assert_eq!(debts.of(None), []);
}
