//! Repositories that are not what they were.

use crate::bed::{Bed, noise};
use omni_restic::{Check, Error, ReadData, Repository, Restore, SnapshotId};
use std::fs;
use std::path::{Path, PathBuf};

/// A repository with one snapshot of a file that does not compress.
async fn filled(bed: &Bed) -> (Repository, SnapshotId) {
    let repository = bed.repository("repository");
    let source = bed.file("source/noise", noise(1 << 20));
    let id = bed.backup(&repository, &source).await.snapshot.expect("there is a snapshot");
    (repository, id)
}

fn largest_pack(repository: &Path) -> PathBuf {
    let folders = fs::read_dir(repository.join("data")).expect("a repository").flatten();
    let packs = folders.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder").flatten());
    packs.max_by_key(|pack| pack.metadata().expect("a pack").len()).expect("there is a pack").path()
}

async fn check(bed: &Bed, repository: &Repository, read_data: ReadData) -> Result<(), Error> {
    let check = Check { read_data, ..Check::default() };
    bed.restic.check(repository, &check).expect("a good check").end().await
}

fn restore(bed: &Bed, id: &SnapshotId) -> Restore {
    Restore::new(id.clone(), bed.path("target"))
}

#[tokio::test]
async fn flipped_bits_are_found_by_a_check_that_reads_and_by_a_restore() {
    let bed = Bed::new().await;
    let (repository, id) = filled(&bed).await;
    for read_data in
        [ReadData::Nothing, ReadData::All, ReadData::Percent(100.0), ReadData::Part { part: 1, of: 1 }]
    {
        check(&bed, &repository, read_data).await.unwrap_or_else(|error| panic!("{read_data:?}: {error}"));
    }
    let pack = largest_pack(&bed.path("repository"));
    let mut bytes = fs::read(&pack).expect("a pack");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::remove_file(&pack).expect("a pack");
    fs::write(&pack, bytes).expect("our own folder");

    check(&bed, &repository, ReadData::Nothing).await.expect("sizes are as they were");
    let error = check(&bed, &repository, ReadData::All).await.expect_err("a flipped byte");
    let Error::Damaged { problems, .. } = &error else { panic!("{error:?}") };
    let name = pack.file_name().expect("a name").to_str().expect("plain");
    assert!(problems.iter().any(|problem| problem.contains(&name[..8])), "{problems:?}");
    assert!(error.to_string().contains("is damaged"), "{error}");

    let running = bed.restic.restore(&repository, &restore(&bed, &id)).expect("a good restore");
    let error = running.end().await.expect_err("a flipped byte");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_lost_pack_fails_a_restore_at_once() {
    let bed = Bed::new().await;
    let (repository, id) = filled(&bed).await;
    fs::remove_file(largest_pack(&bed.path("repository"))).expect("a pack");
    let running = bed.restic.restore(&repository, &restore(&bed, &id)).expect("a good restore");
    let error = running.end().await.expect_err("there is nothing to restore");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    let error = check(&bed, &repository, ReadData::Nothing).await.expect_err("a pack is missing");
    assert!(
        matches!(&error, Error::Damaged { problems, .. } if problems[0].contains("does not exist")),
        "{error:?}"
    );
}
