//! Operations that are ended, by us or by others.

use crate::bed::{Bed, alive, eventually, noise};
use crate::stream::request;
use omni_restic::{Backup, BackupReport, Error, Limits, Lock, Repository, Running, Source, Unlock};
use rustix::process::{Pid, Signal, kill_process};

/// A backup that takes minutes.
fn slow(bed: &Bed, repository: &Repository) -> Running<BackupReport> {
    let source = bed.file("source/noise", noise(24 << 20));
    let limits = Limits { upload_kib_per_second: Some(64), download_kib_per_second: None };
    let backup = Backup { paths: vec![source], limits, ..Backup::default() };
    bed.restic.backup(repository, &backup).expect("a good backup")
}

/// The lock of the one that is at work.
async fn lock(bed: &Bed, repository: &Repository) -> Lock {
    let lock = eventually("a lock", async || bed.restic.locks(repository).await.expect("it lists").pop());
    lock.await
}

async fn nothing_left(bed: &Bed, repository: &Repository, pid: u32) {
    eventually("restic to be gone", async || (!alive(pid)).then_some(())).await;
    eventually("its lock to be gone", async || bed.locks_in("repository").is_empty().then_some(())).await;
    assert!(bed.snapshots(repository).await.is_empty());
}

#[tokio::test]
async fn a_cancelled_backup_leaves_no_process_no_lock_and_no_snapshot() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let running = slow(&bed, &repository);
    let pid = lock(&bed, &repository).await.pid;
    assert!(alive(pid));
    running.cancel();
    let error = running.end().await.expect_err("it was cancelled");
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    nothing_left(&bed, &repository, pid).await;
}

#[tokio::test]
async fn a_dropped_backup_leaves_no_process_no_lock_and_no_snapshot() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let running = slow(&bed, &repository);
    let pid = lock(&bed, &repository).await.pid;
    drop(running.end());
    nothing_left(&bed, &repository, pid).await;
}

/// Nobody is left who could wait for restic.
#[test]
fn a_runtime_that_goes_away_takes_restic_with_it() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let (bed, repository, pid, running) = {
        let runtime = runtime();
        let parts = runtime.block_on(async {
            let bed = Bed::new().await;
            let repository = bed.repository("repository");
            let running = slow(&bed, &repository);
            let pid = lock(&bed, &repository).await.pid;
            (bed, repository, pid, running)
        });
        runtime.shutdown_background();
        parts
    };
    runtime().block_on(async {
        eventually("restic to be gone", async || (!alive(pid)).then_some(())).await;
        assert!(bed.snapshots(&repository).await.is_empty());
        // Its lock may have stayed; it is one that restic takes for left behind.
        bed.restic.unlock(&repository, Unlock::Stale).await.expect("it unlocks");
        assert!(bed.locks_in("repository").is_empty());
    });
    drop(running);
}

/// restic 0.18 does not look up from an input that gives them nothing.
#[tokio::test]
async fn a_cancelled_stream_ends_though_its_source_says_nothing() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let (_writer, silent) = tokio::io::duplex(64);
    let running = bed.restic.backup_stream(&repository, &request(), Source::reader(silent));
    let pid = lock(&bed, &repository).await.pid;
    running.canceller().cancel();
    let error = running.end().await.expect_err("it was cancelled");
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    nothing_left(&bed, &repository, pid).await;
}

/// Somebody kills it, as a kernel short of memory does. The lock goes, because it is the only one and was
/// ours.
#[tokio::test]
async fn a_killed_backup_is_told_from_a_cancelled_one_and_leaves_no_lock() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let running = slow(&bed, &repository);
    let pid = lock(&bed, &repository).await.pid;
    kill_process(process(pid), Signal::KILL).expect("it is at work");
    let error = running.end().await.expect_err("it was killed");
    assert!(matches!(error, Error::Killed { signal: 9, .. }), "{error:?}");
    assert!(error.to_string().contains("killed by signal 9"), "{error}");
    nothing_left(&bed, &repository, pid).await;
}

/// Not restic, but as stubborn as one that hangs in the kernel: it ignores the request, and has a child in a
/// group of its own, as restic's `ssh` and `rclone` are.
struct Stubborn {
    bed: Bed,
    running: Option<Running<BackupReport>>,
    pid: u32,
    child: u32,
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        // Where the test has failed, nobody else does it.
        for pid in [self.pid, self.child].into_iter().filter(|pid| alive(*pid)) {
            kill_process(process(pid), Signal::KILL).ok();
        }
    }
}

impl Stubborn {
    async fn new() -> Self {
        let bed = Bed::with(|settings, folder| {
            let script = "#!/bin/sh\n\
                 case \"$*\" in version) echo restic 0.14.0 compiled; exit ;; *list*) exit 1 ;; esac\n\
                 trap '' INT TERM\n\
                 setsid sleep 600 & echo $! >CHILD; echo $$ >SELF.tmp; mv SELF.tmp SELF\n\
                 while :; do sleep 600; done\n";
            let script = script.replace("CHILD", folder.join("child").to_str().expect("plain"));
            let script = script.replace("SELF", folder.join("self").to_str().expect("plain"));
            settings.binary = Some(crate::bed::write_program(&folder.join("stubborn"), &script));
            settings.grace = std::time::Duration::from_millis(300);
        })
        .await;
        let repository = bed.repository("repository");
        let backup = Backup { paths: vec![bed.source()], ..Backup::default() };
        let running = bed.restic.backup(&repository, &backup).expect("a good backup");
        let read = |name| std::fs::read_to_string(bed.path(name)).ok()?.trim().parse::<u32>().ok();
        let pid = eventually("it to start", async || read("self")).await;
        let child = read("child").expect("it was written first");
        assert!(alive(pid) && alive(child));
        Self { bed, running: Some(running), pid, child }
    }
}

#[tokio::test]
async fn what_does_not_end_when_asked_to_is_killed_with_its_children() {
    let mut stubborn = Stubborn::new().await;
    let running = stubborn.running.take().expect("it was just started");
    running.cancel();
    let error = running.end().await.expect_err("it was cancelled");
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    let gone = async || (!alive(stubborn.pid) && !alive(stubborn.child)).then_some(());
    eventually("both to be gone", gone).await;
    assert!(stubborn.bed.locks_in("repository").is_empty());
}

/// With nobody left but the leash. What restic starts ends by itself when restic does; this child is not such
/// a one.
#[test]
fn what_does_not_end_when_asked_to_is_killed_by_the_leash_too() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let first = runtime();
    let stubborn = first.block_on(Stubborn::new());
    first.shutdown_background();
    runtime().block_on(eventually("it to be gone", async || (!alive(stubborn.pid)).then_some(())));
    assert!(alive(stubborn.child));
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a number of a process")).expect("not zero")
}
