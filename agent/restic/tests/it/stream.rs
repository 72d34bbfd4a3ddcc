//! Backups of streams: no snapshot without a good end.

use crate::bed::{Bed, noise};
use omni_restic::{Error, Labels, Limits, Repository, Source, StreamBackup};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::process::Command;

pub(crate) fn request() -> StreamBackup {
    StreamBackup {
        name: "shop.sql".parse().expect("a good name"),
        labels: Labels::default(),
        limits: Limits::default(),
    }
}

fn shell(script: &str) -> Source {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Source::command(command).expect("there is a shell")
}

async fn refused(bed: &Bed, repository: &Repository, source: Source) -> Error {
    let error =
        bed.restic.backup_stream(repository, &request(), source).end().await.expect_err("a bad source");
    assert!(bed.snapshots(repository).await.is_empty(), "there is a snapshot after {error}");
    assert!(bed.locks_in("repository").is_empty(), "there is a lock after {error}");
    error
}

#[tokio::test]
async fn a_stream_comes_back_as_it_went() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let bytes = noise(5 << 20);
    let (mut writer, reader) = tokio::io::duplex(1 << 16);
    let sent = bytes.clone();
    let sending = tokio::spawn(async move { writer.write_all(&sent).await });
    let report = bed.restic.backup_stream(&repository, &request(), Source::reader(reader)).end().await;
    let report = report.expect("a good stream");
    sending.await.expect("it runs").expect("all was read");
    assert_eq!((report.bytes, report.is_partial()), (5 << 20, false));
    let id = report.snapshot.expect("there is a snapshot");
    assert_eq!(bed.snapshots(&repository).await[0].paths, ["/shop.sql"]);
    let back = bed.path("back");
    let file = tokio::fs::File::create(&back).await.expect("our own folder");
    let dump = bed.restic.dump(&repository, &id, "/shop.sql".as_ref(), file).expect("a good path");
    assert_eq!(dump.end().await.expect("it is there"), 5 << 20);
    assert!(std::fs::read(&back).expect("it was written") == bytes);

    let report =
        bed.restic.backup_stream(&repository, &request(), shell("echo one; echo two >&2")).end().await;
    assert_eq!(report.expect("a good command").bytes, 4);
}

#[tokio::test]
async fn a_program_that_fails_leaves_no_snapshot() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let script = "head -c 3000000 /dev/zero; echo 'connection to the database lost' >&2; exit 3";
    let error = refused(&bed, &repository, shell(script)).await;
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("exit status: 3: connection to the database lost"), "{said}");
}

#[tokio::test]
async fn a_program_that_is_killed_leaves_no_snapshot() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let error = refused(&bed, &repository, shell("echo half a database; kill -KILL $$")).await;
    assert!(matches!(&error, Error::Source { detail } if detail.contains("signal: 9")), "{error:?}");
}

#[tokio::test]
async fn a_bad_verdict_after_all_bytes_leaves_no_snapshot() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let source = Source::new(&b"all of it"[..], async { Err("exit code 1 in the container".to_owned()) });
    let error = refused(&bed, &repository, source).await;
    assert!(matches!(&error, Error::Source { detail } if detail.contains("in the container")), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_is_empty_leaves_no_snapshot() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let broken = tokio::io::AsyncReadExt::chain(&b"some of it"[..], Broken);
    let error = refused(&bed, &repository, Source::reader(broken)).await;
    assert!(matches!(&error, Error::Source { detail } if detail.contains("reset")), "{error:?}");
    let error = refused(&bed, &repository, shell("exit 0")).await;
    assert!(matches!(error, Error::EmptyStream), "{error:?}");
}

/// The cause is with restic, not with the source, and is said.
#[tokio::test]
async fn a_stream_into_a_repository_that_does_not_open_says_why() {
    let bed = Bed::new().await;
    let missing = bed.at(bed.path("missing").to_str().expect("plain"));
    let endless = Source::reader(tokio::io::repeat(7));
    let error =
        bed.restic.backup_stream(&missing, &request(), endless).end().await.expect_err("nothing there");
    assert!(matches!(error, Error::RepositoryMissing { .. }), "{error:?}");
}
