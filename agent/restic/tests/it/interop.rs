//! What this crate writes is plain restic, and what plain restic writes it reads: compared as trees.

use crate::bed::{Bed, bare, noise};
use omni_restic::{Check, Feature, ReadData, Restore};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree with everything that a backup may lose.
fn tree(bed: &Bed) -> PathBuf {
    let root = bed.source();
    let (a, c) = (root.join("a"), root.join("b/c"));
    fs::set_permissions(&a, fs::Permissions::from_mode(0o4751)).expect("our own file");
    fs::set_permissions(&c, fs::Permissions::from_mode(0o400)).expect("our own file");
    fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o1770)).expect("our own folder");
    for (path, uid, gid) in [(&a, 1234, 4321), (&c, 65534, 0)] {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("these tests run as root");
    }
    // A change of owner takes the set-user bit away.
    fs::set_permissions(&a, fs::Permissions::from_mode(0o4751)).expect("our own file");
    symlink("b/c", root.join("link")).expect("our own folder");
    symlink("/nowhere", root.join("dangling")).expect("our own folder");
    fs::hard_link(&c, root.join("hard")).expect("our own folder");
    fs::create_dir(root.join("empty")).expect("our own folder");
    bed.file("source/-rf ünï\u{301} $x\n", "a name that nobody should have given");
    bed.file("source/noise", noise(2 << 20));
    let sparse = fs::File::create(root.join("sparse")).expect("our own folder");
    sparse.set_len(8 << 20).expect("a hole");
    rustix::fs::setxattr(&a, "user.note", b"kept", rustix::fs::XattrFlags::empty())
        .expect("a temporary folder on a file system with extended attributes (set TMPDIR to one)");
    for path in [&a, &c, &root.join("b")] {
        let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
        fs::File::open(path).and_then(|file| file.set_modified(old)).expect("our own file");
    }
    root
}

/// Everything about a tree that has to survive, by path.
fn portrait(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("our own folder") {
            let path = entry.expect("an entry").path();
            let data = fs::symlink_metadata(&path).expect("an entry");
            let content = if data.is_symlink() {
                format!("to {:?}", fs::read_link(&path).expect("a link"))
            } else if data.is_dir() {
                folders.push(path.clone());
                String::new()
            } else {
                let bytes = fs::read(&path).expect("a file");
                let sum =
                    bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                format!("{} bytes, {sum:x}, {} names", bytes.len(), data.nlink())
            };
            let mut note = [0; 64];
            let note =
                rustix::fs::lgetxattr(&path, "user.note", &mut note).map(|length| note[..length].to_vec());
            // Folders and links change while they are being restored; restic sets the times of what it made.
            let line = format!(
                "{:o} {}:{} {}.{} {content} {note:?}",
                data.mode(),
                data.uid(),
                data.gid(),
                data.mtime(),
                data.mtime_nsec()
            );
            found.insert(path.strip_prefix(root).expect("below it").to_owned(), line);
        }
    }
    found
}

#[tokio::test]
async fn bare_restic_checks_lists_and_restores_what_this_wrote() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let root = tree(&bed);
    let before = portrait(&root);
    let id = bed.backup(&repository, &root).await.snapshot.expect("there is a snapshot");
    let folder = bed.path("repository");
    bare(&bed, &folder, &["check", "--read-data"]);
    assert!(bare(&bed, &folder, &["snapshots"]).contains(&id.as_str()[..8]));
    let target = bed.path("target");
    bare(&bed, &folder, &["restore", id.as_str(), "--target", target.to_str().expect("plain")]);
    assert_eq!(portrait(&target.join(root.strip_prefix("/").expect("absolute"))), before);
}

#[tokio::test]
async fn this_checks_lists_and_restores_what_bare_restic_wrote() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let root = tree(&bed);
    let before = portrait(&root);
    bare(&bed, &bed.path("repository"), &["backup", root.to_str().expect("plain")]);
    let check = Check { read_data: ReadData::All, ..Check::default() };
    bed.restic.check(&repository, &check).expect("a good check").end().await.expect("nothing is wrong");
    let id = bed.snapshots(&repository).await[0].id.clone();
    let target = bed.path("target");
    let restore = Restore { verify: true, ..Restore::new(id, &target) };
    bed.restic.restore(&repository, &restore).expect("a good restore").end().await.expect("it restores");
    let restored = target.join(root.strip_prefix("/").expect("absolute"));
    assert_eq!(portrait(&restored), before);
    let blocks = fs::metadata(restored.join("sparse")).expect("restored").blocks();
    if bed.restic.version().has(Feature::SparseRestore) {
        assert_eq!(blocks, 0, "a hole of 8 MiB was filled");
    }
}
