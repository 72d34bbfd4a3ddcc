//! No room, and no right to write.

use crate::bed::{Bed, noise, program};
use omni_restic::{Backup, Error, FullPlace, Restore};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process with a file system of eight MiB, in a mount namespace of its own so that it goes with the
/// process.
struct Small(Child);

impl Small {
    fn new(folder: &Path) -> Self {
        let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && echo ready && exec sleep 600";
        let mut holder = Command::new(program("unshare"))
            .args(["--mount", "sh", "-c", script])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut line).expect("it says something");
        assert_eq!(line, "ready\n", "no small file system: this test has to be root with the right to mount");
        Self(holder)
    }

    fn prefix(&self) -> String {
        format!("nsenter --mount=/proc/{}/ns/mnt", self.0.id())
    }

    fn run(&self, script: &str) {
        let script = format!("exec {} sh -c '{script}'", self.prefix());
        assert!(Command::new("sh").args(["-c", &script]).status().expect("there is a shell").success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

#[tokio::test]
async fn a_full_repository_and_a_full_target_are_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = Small::new(folder.path());
    let bed = Bed::wrapped(&small.prefix()).await;
    let large = bed.repository("repository");
    let source = bed.file("source/noise", noise(12 << 20));

    let full = folder.path().join("repository");
    let plain = full.to_str().expect("plain");
    small.run(&format!("cp -a {} {plain}", bed.path("repository").display()));
    let full = bed.at(plain);
    let backup = Backup { paths: vec![source.clone()], ..Backup::default() };
    let error =
        bed.restic.backup(&full, &backup).expect("a good backup").end().await.expect_err("it is full");
    assert!(matches!(error, Error::Full { place: FullPlace::Repository, .. }), "{error:?}");
    assert!(error.to_string().starts_with(plain), "{error}");
    assert!(bed.snapshots(&full).await.is_empty());

    small.run(&format!("rm -rf {plain}"));
    let id = bed.backup(&large, &source).await.snapshot.expect("there is a snapshot");
    let restore = Restore::new(id, folder.path().join("target"));
    let error =
        bed.restic.restore(&large, &restore).expect("a good restore").end().await.expect_err("it is full");
    assert!(matches!(error, Error::Full { place: FullPlace::Target, .. }), "{error:?}");
    assert!(error.to_string().contains("the target's file system is full"), "{error}");
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_refuses_at_once() {
    let bed = Bed::unprivileged().await;
    let repository = bed.repository("repository");
    let backup = Backup { paths: vec![bed.source()], ..Backup::default() };
    let running = bed.restic.backup(&repository, &backup).expect("a good backup");
    // By itself restic 0.14 tries for a quarter of an hour.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), running.end()).await;
    let error = ended.expect("it does not try for long").expect_err("it may not");
    assert!(
        matches!(&error, Error::Refused { detail, .. } if detail.contains("permission denied")),
        "{error:?}"
    );
}
