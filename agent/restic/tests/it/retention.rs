//! What stays and what goes.

use crate::bed::Bed;
use omni_restic::{Backup, GroupBy, Keep, Labels, Prune, Retention, Unused};

#[tokio::test]
async fn rules_keep_what_they_say_and_a_prune_frees_the_rest() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    for (hour, day) in [(1, 1), (23, 1), (12, 2), (12, 3), (13, 3)] {
        let source = bed.file("source/noise", crate::bed::noise(100_000 * day + hour));
        let time = format!("2026-03-{day:02}T{hour:02}:00:00Z").parse().expect("a time");
        let labels = Labels { time: Some(time), ..Labels::default() };
        let backup = Backup { paths: vec![source], labels, ..Backup::default() };
        bed.restic.backup(&repository, &backup).expect("a good backup").end().await.expect("a backup");
    }
    let retention = Retention {
        keep: Keep { daily: 2, ..Keep::default() },
        group_by: GroupBy { host: true, paths: false, tags: false },
        dry_run: true,
        ..Retention::default()
    };
    let times = |snapshots: &[omni_restic::Snapshot]| {
        let mut times: Vec<_> = snapshots.iter().map(|snapshot| snapshot.time.to_string()).collect();
        times.sort();
        times.join(" ")
    };
    let groups = bed.restic.forget(&repository, &retention).await.expect("rules that keep something");
    assert_eq!(groups.len(), 1);
    assert_eq!(times(&groups[0].keep), "2026-03-02T12:00:00Z 2026-03-03T13:00:00Z");
    assert_eq!(bed.snapshots(&repository).await.len(), 5, "it was a dry run");

    let retention = Retention { dry_run: false, ..retention };
    let groups = bed.restic.forget(&repository, &retention).await.expect("rules that keep something");
    assert_eq!(groups[0].remove.len(), 3);
    let left = bed.snapshots(&repository).await;
    assert_eq!(times(&left), "2026-03-02T12:00:00Z 2026-03-03T13:00:00Z");

    let prune = Prune { max_unused: Some(Unused::Percent(0)), dry_run: true, ..Prune::default() };
    let would = bed.restic.prune(&repository, &prune).end().await.expect("nobody is in the way");
    let did = bed.restic.prune(&repository, &Prune { dry_run: false, ..prune }).end().await;
    let did = did.expect("nobody is in the way");
    assert_eq!(would.bytes_freed, did.bytes_freed);
    assert!(did.bytes_freed.is_some_and(|bytes| bytes > 50_000), "{did:?}");
    let again = bed.restic.prune(&repository, &prune).end().await.expect("nobody is in the way");
    assert_eq!(again.bytes_freed, Some(0));

    bed.restic.forget_snapshots(&repository, &[left[0].id.clone()]).await.expect("it is there");
    assert_eq!(bed.snapshots(&repository).await, left[1..]);
}
