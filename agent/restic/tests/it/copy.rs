//! Copies in a second repository.

use crate::bed::Bed;
use omni_restic::{Copy, Error, Filter, SnapshotId};

#[tokio::test]
async fn snapshots_are_copied_once_and_found_by_what_they_are_copies_of() {
    let bed = Bed::new().await;
    let (near, far) = (bed.repository("near"), bed.repository("far"));
    let source = bed.source();
    let first = bed.backup(&near, &source).await.snapshot.expect("there is a snapshot");
    bed.file("source/later", "x");
    let second = bed.backup(&near, &source).await.snapshot.expect("there is a snapshot");

    let one = Copy { snapshots: vec![first.clone()], ..Copy::default() };
    let report = bed.restic.copy(&near, &far, &one).end().await.expect("it copies");
    assert_eq!(report.snapshots.len(), 1);
    let copied = &report.snapshots[0];
    assert_eq!((&copied.source, copied.already_there), (&first, false));
    assert_ne!(copied.copy, first);

    let report = bed.restic.copy(&near, &far, &Copy::default()).end().await.expect("it copies");
    let there: Vec<_> =
        report.snapshots.iter().map(|copied| (&copied.source, copied.already_there)).collect();
    assert_eq!(there, [(&first, true), (&second, false)]);
    let copies = bed.snapshots(&far).await;
    assert_eq!(copies.iter().map(|copy| copy.origin().clone()).collect::<Vec<_>>(), [first, second]);

    // A copy of a copy is known for what it is.
    let third = bed.repository("third");
    let report = bed.restic.copy(&far, &third, &Copy::default()).end().await.expect("it copies");
    assert_eq!(report.snapshots.len(), 2);
    let report = bed.restic.copy(&near, &third, &Copy::default()).end().await.expect("nothing to do");
    assert!(report.snapshots.iter().all(|copied| copied.already_there), "{report:?}");
}

#[tokio::test]
async fn what_cannot_be_copied_says_which_side_is_at_fault() {
    let bed = Bed::new().await;
    let (near, far) = (bed.repository("near"), bed.repository("far"));
    bed.backup(&near, &bed.source()).await;
    let nobody: SnapshotId = "deadbeef".parse().expect("an id");
    let copy = Copy { snapshots: vec![nobody], ..Copy::default() };
    let error = bed.restic.copy(&near, &far, &copy).end().await.expect_err("it is not there");
    assert!(matches!(error, Error::SnapshotMissing { .. }), "{error:?}");
    let missing = bed.at(bed.path("missing").to_str().expect("plain"));
    for (from, to) in [(&near, &missing), (&missing, &near)] {
        let error = bed.restic.copy(from, to, &Copy::default()).end().await.expect_err("one is missing");
        assert!(
            matches!(&error, Error::RepositoryMissing { repository } if repository.ends_with("/missing")),
            "{error:?}"
        );
    }
    let nothing =
        Copy { filter: Filter { hosts: vec!["nobody".into()], ..Filter::default() }, ..Copy::default() };
    let report = bed.restic.copy(&near, &far, &nothing).end().await.expect("nothing to do");
    assert!(report.snapshots.is_empty());
}
