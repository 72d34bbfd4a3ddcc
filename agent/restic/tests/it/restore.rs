//! Restores of parts, and into places where something is.

use crate::bed::{Bed, noise};
use omni_restic::{Error, Existing, Feature, Restore};
use std::fs;

#[tokio::test]
async fn parts_are_restored_and_verified() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let source = bed.source();
    bed.file("source/noise", noise(300_000));
    let id = bed.backup(&repository, &source).await.snapshot.expect("there is a snapshot");
    let inside = |target: &str, name: &str| {
        bed.path(target).join(source.strip_prefix("/").expect("absolute")).join(name)
    };
    let part = Restore {
        include: vec![source.join("b").to_str().expect("plain").to_owned()],
        verify: true,
        ..Restore::new(id.clone(), bed.path("part"))
    };
    let report =
        bed.restic.restore(&repository, &part).expect("a good restore").end().await.expect("it restores");
    assert_eq!(fs::read_to_string(inside("part", "b/c")).expect("restored"), "second\n");
    assert!(!inside("part", "a").exists());
    if !bed.restic.version().has(Feature::RestoreProgress) {
        assert_eq!(report.files_verified, Some(1));
    }
    let rest = Restore { exclude: vec!["noise".into()], ..Restore::new(id.clone(), bed.path("rest")) };
    bed.restic.restore(&repository, &rest).expect("a good restore").end().await.expect("it restores");
    assert!(inside("rest", "a").exists() && !inside("rest", "noise").exists());

    // In place: what is there and what is too much.
    let target = bed.path("rest");
    fs::write(inside("rest", "a"), "changed since").expect("our own file");
    fs::write(inside("rest", "b/extra"), "too much").expect("our own file");
    let dry = Restore { dry_run: true, ..Restore::new(id.clone(), &target) };
    let keep = Restore { existing: Existing::Keep, ..Restore::new(id.clone(), &target) };
    let exact = Restore { delete: true, ..Restore::new(id, &target) };
    if bed.restic.version().has(Feature::RestoreInPlace) {
        bed.restic.restore(&repository, &dry).expect("0.17 can").end().await.expect("a dry run");
        bed.restic.restore(&repository, &keep).expect("0.17 can").end().await.expect("it restores");
        assert_eq!(fs::read_to_string(inside("rest", "a")).expect("kept"), "changed since");
        let report =
            bed.restic.restore(&repository, &exact).expect("0.17 can").end().await.expect("it restores");
        assert!(report.files_restored.is_some(), "{report:?}");
        assert_eq!(fs::read_to_string(inside("rest", "a")).expect("restored"), "first\n");
        assert!(!inside("rest", "b/extra").exists());
    } else {
        for newer in [dry, keep, exact] {
            let error = bed.restic.restore(&repository, &newer).expect_err("0.14 cannot");
            assert!(matches!(error, Error::TooOld { .. }), "{error:?}");
        }
    }
}

/// Its user may not write there.
#[tokio::test]
async fn files_that_cannot_be_written_are_listed() {
    let bed = Bed::unprivileged().await;
    let repository = bed.repository_of_nobody("repository");
    let id = bed.backup(&repository, &bed.source()).await.snapshot.expect("there is a snapshot");
    fs::create_dir(bed.path("target")).expect("our own folder");
    let restore = Restore::new(id, bed.path("target"));
    let error = bed
        .restic
        .restore(&repository, &restore)
        .expect("a good restore")
        .end()
        .await
        .expect_err("it may not");
    let Error::Incomplete { files } = &error else { panic!("{error:?}") };
    assert!(
        files.count() >= 2 && files.named.iter().any(|file| file.reason.contains("permission denied")),
        "{files:?}"
    );
}
