//! The death of the process that uses this crate.

use crate::bed::{Bed, alive, eventually, noise};
use crate::stream::request;
use omni_restic::{Backup, Limits, Repository, Source, Unlock};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Tells the victim what to do and where.
const VICTIM: &str = "OMNI_RESTIC_VICTIM";

/// The process that is killed. It backs something up for ever.
#[tokio::test]
#[ignore = "started by the tests beside it, and killed by them"]
async fn victim() {
    #[expect(clippy::disallowed_methods, reason = "the only way to tell a test anything")]
    let task = std::env::var(VICTIM).expect("started by the tests beside it");
    let (kind, folder) = task.split_once(':').expect("a kind and a folder");
    let folder = std::path::Path::new(folder);
    let restic = omni_restic::Restic::find(crate::bed::settings(folder)).await.expect("restic is there");
    let location = folder.join("repository");
    let repository = crate::bed::repository(
        location.to_str().expect("plain"),
        omni_restic::Credentials::None,
        crate::bed::PASSWORD,
    );
    if kind == "stream" {
        // Most of a database, and then nothing for a while: a restic that saw the end now would save it.
        let (mut writer, reader) = tokio::io::duplex(1 << 16);
        let running = restic.backup_stream(&repository, &request(), Source::reader(reader));
        writer.write_all(&noise(2 << 20)).await.expect("restic reads it");
        fs::write(folder.join("sent"), "").expect("our own folder");
        running.end().await.expect("it is killed before");
    } else {
        let limits = Limits { upload_kib_per_second: Some(64), download_kib_per_second: None };
        let backup = Backup { paths: vec![folder.join("source")], limits, ..Backup::default() };
        fs::write(folder.join("sent"), "").expect("our own folder");
        restic.backup(&repository, &backup).expect("a good backup").end().await.expect("it is killed before");
    }
}

/// What the victim had: restic, and the shell that holds it.
struct Family {
    restic: u32,
    leash: u32,
}

/// Starts the victim, has something done to its family, and kills it where it hurts.
async fn kill_victim(
    bed: &Bed,
    repository: &Repository,
    kind: &str,
    prepare: impl FnOnce(&Family),
) -> Family {
    let folder = bed.path("").to_str().expect("plain").trim_end_matches('/').to_owned();
    let victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "death::victim", "--ignored", "--nocapture"])
        .env(VICTIM, format!("{kind}:{folder}"))
        .stdout(Stdio::null())
        .spawn()
        .expect("this program starts");
    let mut victim = Killed(victim);
    eventually("the victim to be at work", async || bed.path("sent").exists().then_some(())).await;
    let lock =
        eventually("its lock", async || bed.restic.locks(repository).await.expect("it lists").pop()).await;
    let children = children(victim.0.id());
    assert!(children.contains(&lock.pid) && children.len() == 2, "{children:?}, {lock:?}");
    let leash = children.into_iter().find(|child| *child != lock.pid).expect("the other one");
    let family = Family { restic: lock.pid, leash };
    prepare(&family);
    victim.0.kill().expect("it is at work");
    victim.0.wait().expect("it was ours");
    family
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Also when the test fails halfway.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it is at work");
    let lists = threads.map(|thread| fs::read_to_string(thread.expect("a thread").path().join("children")));
    lists
        .flat_map(|list| {
            list.expect("the kernel tells").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|pid| pid.parse().expect("a number"))
        .collect()
}

async fn nothing_left(bed: &Bed, repository: &Repository, family: &Family) {
    let gone = async || (!alive(family.restic) && !alive(family.leash)).then_some(());
    eventually("its processes to be gone", gone).await;
    assert!(bed.snapshots(repository).await.is_empty(), "half a backup was saved as a snapshot");
    // A lock may have stayed; it is one that restic takes for left behind.
    bed.restic.unlock(repository, Unlock::Stale).await.expect("it unlocks");
    assert!(bed.restic.locks(repository).await.expect("it lists").is_empty());
}

#[tokio::test]
async fn half_a_stream_is_no_snapshot_when_this_process_is_killed() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let family = kill_victim(&bed, &repository, "stream", |_| {}).await;
    nothing_left(&bed, &repository, &family).await;
}

#[tokio::test]
async fn restic_does_not_go_on_when_this_process_is_killed() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    bed.file("source/noise", noise(24 << 20));
    let family = kill_victim(&bed, &repository, "files", |_| {}).await;
    nothing_left(&bed, &repository, &family).await;
}

/// On a busy host the leash is slow to notice. Here it does not notice at first, because its lifeline is held
/// by this test; nor does restic notice that nobody listens any more. Still there is no end of the stream for
/// it to see.
#[tokio::test]
async fn half_a_stream_is_no_snapshot_even_when_the_leash_is_late() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let mut lifeline = None;
    let mut ears = Vec::new();
    let family = kill_victim(&bed, &repository, "stream", |family| {
        let end = fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/0", family.leash));
        lifeline = Some(end.expect("a pipe"));
        let ear = |fd| fs::File::open(format!("/proc/{}/fd/{fd}", family.restic)).expect("a pipe");
        ears = [1, 2].map(ear).into();
    })
    .await;
    let (say, said) = mpsc::channel();
    let output = BufReader::new(ears.remove(0));
    // A thread, because this waits for a pipe that may never say anything. It ends with restic.
    std::thread::spawn(move || {
        output.lines().map_while(Result::ok).for_each(|line| say.send(line).unwrap_or_default())
    });
    // Two seconds of progress: time enough to save what there is, had there been an end.
    for _ in 0..4 {
        let line = said.recv_timeout(Duration::from_secs(60)).expect("restic goes on to wait");
        assert!(line.contains("\"status\""), "restic has seen an end of the stream: {line}");
    }
    drop(lifeline);
    nothing_left(&bed, &repository, &family).await;
}
