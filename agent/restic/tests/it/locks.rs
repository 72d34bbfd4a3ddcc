//! Locks of others.

use crate::bed::{Bed, eventually};
use crate::stream::request;
use omni_restic::{Error, Prune, Retry, Source, Unlock};
use std::time::Duration;

#[tokio::test]
async fn a_repository_in_use_is_locked_and_said_to_be() {
    // Its lock will be gone when it is to remove it, which restic tries for as long as it may.
    let bed = Bed::with(|settings, _| settings.grace = Duration::from_secs(1)).await;
    let repository = bed.repository("repository");
    bed.backup(&repository, &bed.source()).await;
    let (_writer, silent) = tokio::io::duplex(64);
    let running = bed.restic.backup_stream(&repository, &request(), Source::reader(silent));
    let lock =
        eventually("a lock", async || bed.restic.locks(&repository).await.expect("it lists").pop()).await;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!((lock.hostname.as_str(), lock.exclusive), (host.as_str(), false));
    assert_eq!(lock.id.len(), 64);

    let error = bed.restic.prune(&repository, &Prune::default()).end().await.expect_err("it is in use");
    let Error::Locked { lock: Some(holder), .. } = &error else { panic!("{error:?}") };
    assert_eq!((holder.pid, holder.hostname.as_str()), (lock.pid, host.as_str()));
    let (said, written) = (holder.time.expect("since when"), lock.time.expect("since when"));
    assert!((said.as_second() - written.as_second()).abs() <= 1, "{said} {written}");
    assert!(lock.id.starts_with(&holder.id), "{holder:?}");
    assert_eq!(error.retry(), Retry::Later);

    // Its process is alive, so it is not stale.
    bed.restic.unlock(&repository, Unlock::Stale).await.expect("nothing to do");
    assert_eq!(bed.restic.locks(&repository).await.expect("it lists").len(), 1);
    bed.restic.unlock(&repository, Unlock::All).await.expect("it goes");
    assert!(bed.restic.locks(&repository).await.expect("it lists").is_empty());
    running.cancel();
    running.end().await.expect_err("it was cancelled");
    assert_eq!(bed.snapshots(&repository).await.len(), 1);
    bed.restic.prune(&repository, &Prune::default()).end().await.expect("nobody is in the way");
}
