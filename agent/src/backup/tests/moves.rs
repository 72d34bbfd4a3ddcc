//! An instance that moves: everything is taken, the new host gets ready, and what comes is compared.

use super::*;
use omni_common::domain::backup::{Expire, Moves, PruneTask, ReadyItem, ReadyTask, TAG_MOVE};
use std::fs;

fn out(bed: &Bed, moves: Moves) -> Task {
    let items = vec![volume_item("data"), volume_item("more")];
    let to = bed.repository("repo");
    Task::Backup(Box::new(BackupTask {
        instance: instance(0),
        items,
        to,
        moves: Some(moves),
        same_moment: Default::default(),
    }))
}

fn ready(bytes: u64, replace: bool) -> Task {
    let item = |name| ReadyItem { item: volume_item(name), bytes };
    let items = ["data", "more"].map(item).to_vec();
    Task::Ready(Box::new(ReadyTask { instance: instance(0), items, replace }))
}

fn into(bed: &Bed, taken: &[ItemOutcome]) -> Task {
    let known = ["data", "more"].map(volume_item);
    let pairs: Vec<(&Item, &ItemOutcome)> = known.iter().zip(taken).collect();
    match bed.restore(&pairs, Destination::InPlace { replace: true }) {
        Task::Restore(task) => Task::Restore(Box::new(RestoreTask { compare: true, ..*task })),
        other => other,
    }
}

fn ended(done: &Done, code: &str) {
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some(code)), "{done:?}");
}

#[tokio::test]
async fn everything_is_taken_and_comes_to_a_host_that_was_got_ready() {
    let bed = Bed::new().await;
    for volume in ["data", "more"] {
        fs::write(bed.docker.volume_of_app(volume).join("file"), volume).expect("our own folder");
    }
    bed.docker.runs("db", 0);
    assert_eq!(bed.does(out(&bed, Moves::Running)).await.state, RunState::Succeeded);
    ended(&bed.does(out(&bed, Moves::Stopped)).await, "running");
    ended(&bed.does(ready(1, false)).await, "running");
    bed.docker.stops("db");
    let taken = bed.does(out(&bed, Moves::Stopped)).await;
    assert_eq!(taken.state, RunState::Succeeded, "{taken:?}");

    // As on another host: nothing of the app is there.
    ended(&bed.does(ready(1, false)).await, "not_empty");
    assert_eq!(bed.does(ready(1, true)).await.state, RunState::Succeeded, "unless it is known");
    for volume in ["shop_data", "shop_more"] {
        bed.docker.remove_volume(volume).await.expect("it is there");
    }
    ended(&bed.does(ready(u64::MAX / 4, false)).await, "disk_full");
    let done = bed.does(ready(1 << 20, false)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert!(bed.docker.volume("shop_more").await.expect("the engine works").is_some(), "it was made");

    let done = bed.does(into(&bed, &taken.items)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    for volume in ["data", "more"] {
        let file = bed.docker.files(&format!("shop_{volume}")).join("file");
        assert_eq!(fs::read_to_string(file).expect("it came"), volume);
    }
    bed.is_clean();
}

#[tokio::test]
async fn what_came_otherwise_than_it_was_taken_is_not_started_on() {
    let bed = Bed::new().await;
    for volume in ["data", "more"] {
        fs::write(bed.docker.volume_of_app(volume).join("file"), volume).expect("our own folder");
    }
    let taken = bed.does(out(&bed, Moves::Stopped)).await;
    let mut items = taken.items;
    items[1].facts.insert("files".to_owned(), "2".to_owned());
    let done = bed.does(into(&bed, &items)).await;
    ended(&done, "differs");
    assert!(
        done.message.as_ref().is_some_and(|message| message.contains("files was 2 and is 1")),
        "{done:?}"
    );
    assert!(bed.docker.is_barred("shop_more"), "nothing starts on it");
}

#[tokio::test]
async fn what_moved_is_no_backup_and_goes_after_a_while() {
    let bed = Bed::new().await;
    for volume in ["data", "more"] {
        fs::write(bed.docker.volume_of_app(volume).join("file"), volume).expect("our own folder");
    }
    bed.takes(&volume_item("data")).await;
    assert_eq!(bed.does(out(&bed, Moves::Stopped)).await.state, RunState::Succeeded);
    let count = || fs::read_dir(bed.path("repo/snapshots")).expect("a repository").count();
    assert_eq!(count(), 3);
    // restic goes by the machine's clock, and these moments are far to both sides of it.
    let prune = |before| {
        let expire = vec![Expire { tag: TAG_MOVE.to_owned(), before: Time::from_secs(before) }];
        let repository = bed.repository("repo");
        Task::Prune(PruneTask {
            repository,
            forget: Vec::new(),
            max_unused: None,
            max_repack_size: None,
            expire,
        })
    };
    assert_eq!(bed.does(prune(1_000_000_000)).await.state, RunState::Succeeded);
    assert_eq!(count(), 3, "it is not old enough");
    let done = bed.does(prune(100_000_000_000)).await;
    assert_eq!((done.state, count()), (RunState::Succeeded, 1), "{done:?}");
}
