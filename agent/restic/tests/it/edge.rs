//! Opening repositories, and what may not be asked.

use crate::bed::{Bed, repository};
use omni_restic::{Credentials, Error, Filter, Initialised, SnapshotId, StatsMode};

#[tokio::test]
async fn a_repository_is_made_once_and_found_afterwards() {
    let bed = Bed::new().await;
    let location = bed.path("repository");
    let made = bed.at(location.to_str().expect("plain"));
    let error = bed.restic.info(&made).await.expect_err("nothing is there");
    assert!(matches!(error, Error::RepositoryMissing { .. }), "{error:?}");
    let first = bed.restic.init(&made, None).await.expect("the folder can be made");
    assert!(matches!(first, Initialised::Created(_)), "{first:?}");
    let again = bed.restic.init(&made, None).await.expect("it is there");
    assert_eq!(again, Initialised::AlreadyThere(first.repository().clone()));
    assert_eq!(first.repository().version, 2);

    // From here on one that opens faster.
    let planted = bed.repository("planted");
    let other = repository(bed.path("planted").to_str().expect("plain"), Credentials::None, "open barley");
    for error in [
        bed.restic.init(&other, None).await.expect_err("it is somebody else's"),
        bed.restic.snapshots(&other, &Filter::default()).await.map(drop).expect_err("it does not open"),
    ] {
        assert!(matches!(error, Error::WrongPassword { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("barley"), "{error:?}");
    }
    // Two repositories cut their data differently, unless they were made for each other.
    let like = bed.at(bed.path("like").to_str().expect("plain"));
    bed.restic.init(&like, Some(&planted)).await.expect("the folder can be made");
    let chunker = |name: &str| {
        let config = crate::bed::bare(&bed, &bed.path(name), &["cat", "config"]);
        config.split("chunker_polynomial").nth(1).expect("there is one").to_owned()
    };
    assert_eq!(chunker("planted"), chunker("like"));
}

#[tokio::test]
async fn a_snapshot_that_is_not_there_is_missed() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    bed.backup(&repository, &bed.source()).await;
    let nobody: SnapshotId = "deadbeef".parse().expect("an id");
    let restore = omni_restic::Restore::new(nobody.clone(), bed.path("target"));
    for error in [
        bed.restic.snapshot(&repository, &nobody).await.map(drop).expect_err("it is not there"),
        bed.restic.list(&repository, &nobody, None, 9).await.map(drop).expect_err("it is not there"),
        bed.restic
            .forget_snapshots(&repository, std::slice::from_ref(&nobody))
            .await
            .expect_err("it is not there"),
        bed.restic
            .restore(&repository, &restore)
            .expect("a good restore")
            .end()
            .await
            .map(drop)
            .expect_err("it is not there"),
    ] {
        assert!(
            matches!(&error, Error::SnapshotMissing { detail, .. } if detail.contains("deadbeef")),
            "{error:?}"
        );
    }
    let id = bed.snapshots(&repository).await[0].id.clone();
    let dump =
        bed.restic.dump(&repository, &id, "/not/there".as_ref(), tokio::io::sink()).expect("a good path");
    let error = dump.end().await.expect_err("it is not there");
    assert!(matches!(error, Error::PathMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_listing_is_cut_where_asked_and_counts_are_right() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    for number in 0..300 {
        bed.file(&format!("source/{number}"), format!("{number}"));
    }
    let id = bed.backup(&repository, &bed.path("source")).await.snapshot.expect("there is a snapshot");
    let listing = bed.restic.list(&repository, &id, None, 50).await.expect("it lists");
    assert_eq!((listing.entries.len(), listing.truncated), (50, true));
    let listing = bed.restic.list(&repository, &id, Some(&bed.path("source")), 1000).await.expect("it lists");
    assert!(!listing.truncated && (300..310).contains(&listing.entries.len()), "{}", listing.entries.len());
    assert!(bed.locks_in("repository").is_empty());
    let stats =
        bed.restic.stats(&repository, &Filter::default(), StatsMode::RestoreSize).await.expect("it counts");
    assert_eq!(stats.total_size, (0..300).map(|number: u64| number.to_string().len() as u64).sum::<u64>());
    let raw = bed.restic.stats(&repository, &Filter::default(), StatsMode::RawData).await.expect("it counts");
    assert!(raw.total_blob_count.is_some_and(|blobs| blobs >= 300), "{raw:?}");
}
