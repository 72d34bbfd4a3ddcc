//! Locks are told and removed as it was said, with the real restic.

use super::repositories::leave_a_lock;
use super::*;
use crate::executors::Failure;
use omni_common::domain::backup::{HeldLock, LocksOrder, Removal};
use std::fs;
use std::process::Stdio;
use tokio::process::{Child, Command};

async fn shop() -> Bed {
    let bed = Bed::new().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "content").expect("our own folder");
    bed.takes(&volume_item("data")).await;
    bed
}

async fn ask(bed: &Bed, remove: Removal) -> Result<Vec<HeldLock>, Failure> {
    let order = LocksOrder { repository: bed.repository("repo"), remove };
    locksmith(bed).answer(&Hidden::new(serde_json::to_string(&order).expect("JSON"))).await
}

fn locksmith(bed: &Bed) -> Locksmith {
    Locksmith { restic: bed.backups.shared.restic.clone(), work: bed.path("work") }
}

fn ids(locks: &[HeldLock]) -> BTreeSet<String> {
    locks.iter().map(|lock| lock.id.clone()).collect()
}

/// A restic that is at work until its input ends, and holds a lock meanwhile.
async fn at_work(bed: &Bed) -> Child {
    let before = count(bed);
    let child = Command::new("restic")
        .args(["backup", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .env("RESTIC_REPOSITORY", bed.path("repo"))
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", bed.path("bare-cache"))
        .kill_on_drop(true)
        .spawn()
        .expect("restic starts");
    while count(bed) == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child
}

fn count(bed: &Bed) -> usize {
    fs::read_dir(bed.path("repo/locks")).expect("a repository").count()
}

#[tokio::test]
async fn what_holds_a_repository_is_told_and_left_alone() {
    let bed = shop().await;
    assert_eq!(ask(&bed, Removal::Nothing).await, Ok(Vec::new()), "looking holds nothing");
    let mut working = at_work(&bed).await;
    let told = ask(&bed, Removal::Nothing).await.expect("it can be read");
    assert_eq!(told.len(), 1, "{told:?}");
    let lock = &told[0];
    assert_eq!((Some(lock.pid), lock.exclusive), (working.id(), false));
    assert!(!lock.hostname.is_empty() && lock.renewed.is_some() && lock.id.len() == 64, "{lock:?}");
    // Its process lives, so it is not left behind.
    let left = ask(&bed, Removal::Stale).await.expect("it can be read");
    assert_eq!(ids(&left), ids(&told));
    let mut input = working.stdin.take().expect("piped");
    // It refuses to keep nothing at all.
    tokio::io::AsyncWriteExt::write_all(&mut input, b"x").await.expect("it reads");
    drop(input);
    assert!(working.wait().await.expect("it ends").success(), "nobody took its lock away");
    assert_eq!(count(&bed), 0);
}

#[tokio::test]
async fn only_what_was_left_behind_goes_as_stale() {
    let bed = shop().await;
    leave_a_lock(&bed).await;
    let working = at_work(&bed).await;
    let left = ask(&bed, Removal::Stale).await.expect("it can be read");
    assert_eq!(left.iter().map(|lock| Some(lock.pid)).collect::<Vec<_>>(), [working.id()]);
}

#[tokio::test]
async fn named_locks_go_whoever_holds_them_unless_another_has_come() {
    let bed = shop().await;
    let _first = at_work(&bed).await;
    let seen = ask(&bed, Removal::Nothing).await.expect("it can be read");
    let second = at_work(&bed).await;
    let named: Vec<String> = ids(&seen).into_iter().collect();
    let refused = ask(&bed, Removal::These(named)).await.expect_err("nobody has decided about the second");
    let pid = second.id().expect("it runs").to_string();
    assert!(refused.code == "busy" && refused.message.contains(&pid), "{refused:?}");
    assert_eq!(count(&bed), 2, "nothing went");
    let all = ask(&bed, Removal::Nothing).await.expect("it can be read");
    let left = ask(&bed, Removal::These(ids(&all).into_iter().collect())).await;
    assert_eq!((left, count(&bed)), (Ok(Vec::new()), 0));
}

#[tokio::test]
async fn what_cannot_be_answered_says_why_and_shows_no_secret() {
    let bed = shop().await;
    let unreadable = Hidden::new(format!("{{\"repository\": \"{PASSWORD}\"}}"));
    let refused = locksmith(&bed).answer(&unreadable).await.expect_err("that is no order");
    assert!(refused.code == "invalid" && !refused.message.contains(PASSWORD), "{refused:?}");
    let mut order = LocksOrder { repository: bed.repository("repo"), remove: Removal::Nothing };
    order.repository.password = Hidden::new("wrong one");
    let json = Hidden::new(serde_json::to_string(&order).expect("JSON"));
    let refused = locksmith(&bed).answer(&json).await.expect_err("the password is wrong");
    assert!(refused.code == "failed" && !refused.message.contains("wrong one"), "{refused:?}");
    let without = Locksmith { restic: None, ..locksmith(&bed) };
    let refused = without.answer(&json).await.expect_err("there is no restic");
    assert_eq!(refused.code, "unsupported");
}
