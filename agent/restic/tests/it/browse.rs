//! Looking around in snapshots.

use crate::bed::Bed;
use crate::stream::request;
use omni_restic::{Entry, EntryKind, Error, Folder, Source};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn names(folder: &Folder) -> Vec<&str> {
    folder.entries.iter().map(|entry| entry.path.rsplit('/').next().expect("a name")).collect()
}

#[tokio::test]
async fn one_folder_is_listed_without_what_is_below() {
    let bed = Bed::new().await;
    let repository = bed.repository("repo");
    let source = bed.source();
    fs::create_dir(source.join("empty")).expect("our own folder");
    symlink("b/c", source.join("link")).expect("our own folder");
    symlink("to -> there", source.join("odd -> name")).expect("our own folder");
    fs::write(source.join("<b>&\"quote\u{202e}\n"), "").expect("our own folder");
    fs::write(source.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").expect("our own folder");
    fs::set_permissions(source.join("a"), Permissions::from_mode(0o4750)).expect("our own file");
    let id = bed.backup(&repository, &source).await.snapshot.expect("a snapshot");
    let look = async |path: &Path, skip, most| bed.restic.browse(&repository, &id, path, skip, most).await;

    let all = look(&source, 0, 100).await.expect("it opens");
    assert_eq!(
        names(&all),
        ["<b>&\"quote\u{202e}\n", "a", "b", "bad\u{fffd}", "empty", "link", "odd -> name"]
    );
    assert_eq!(all.made_of, [source.display().to_string()]);
    assert!(!all.more);
    let entry = |name: &str| -> &Entry {
        let found = all.entries.iter().find(|entry| entry.path.ends_with(name));
        found.unwrap_or_else(|| panic!("{name} is in {all:?}"))
    };
    assert_eq!((entry("/a").kind, entry("/a").size, entry("/a").unix_mode()), (EntryKind::File, 6, 0o4750));
    assert!(entry("/a").mtime.is_some());
    assert_eq!(entry("/empty").kind, EntryKind::Dir);
    let target = |name: &str| all.targets.get(&entry(name).path).map(String::as_str);
    assert_eq!(
        (target("/link"), target("odd -> name"), target("/a")),
        (Some("b/c"), Some("to -> there"), None)
    );

    // In pieces it is the same.
    let first = look(&source, 0, 3).await.expect("it opens");
    let rest = look(&source, 3, 100).await.expect("it opens");
    assert!(first.more && !rest.more);
    assert_eq!([first.entries, rest.entries].concat(), all.entries);
    assert_eq!(rest.targets, all.targets);

    let empty = look(&source.join("empty"), 0, 100).await.expect("it opens");
    assert_eq!((names(&empty), empty.itself.as_ref().map(|one| one.kind)), (vec![], Some(EntryKind::Dir)));
    let file = look(&source.join("a"), 0, 100).await.expect("it opens");
    assert_eq!((names(&file), file.itself.as_ref().map(|one| one.kind)), (vec![], Some(EntryKind::File)));
    let nothing = look(&source.join("none"), 0, 100).await.expect("it opens");
    assert_eq!((names(&nothing), &nothing.itself), (vec![], &None));
    let root = look(Path::new("/"), 0, 0).await.expect("it opens");
    assert_eq!((names(&root), root.more, &root.made_of), (vec![], true, &all.made_of));
}

#[tokio::test]
async fn a_dump_is_the_one_file_at_the_root() {
    let bed = Bed::new().await;
    let repository = bed.repository("repo");
    let source = Source::reader(&b"select 1;\n"[..]);
    let stored = bed.restic.backup_stream(&repository, &request(), source).end().await.expect("it is stored");
    let id = stored.snapshot.expect("a snapshot");
    let root = bed.restic.browse(&repository, &id, Path::new("/"), 0, 10).await.expect("it opens");
    assert_eq!((names(&root), &root.made_of[..]), (vec!["shop.sql"], &["/shop.sql".to_owned()][..]));
}

#[tokio::test]
async fn looking_around_takes_no_lock_and_waits_for_none() {
    let bed = Bed::new().await;
    let repository = bed.repository("repo");
    let source = bed.source();
    let id = bed.backup(&repository, &source).await.snapshot.expect("a snapshot");
    let locks = bed.path("repo").join("locks");
    fs::remove_dir(&locks).expect("no lock is in it");
    let listed = bed.restic.browse(&repository, &id, &source, 0, 10).await.expect("it opens");
    assert_eq!(names(&listed), ["a", "b"]);
    assert!(!locks.exists(), "restic makes that folder for a lock");
}

#[tokio::test]
async fn what_keeps_a_listing_from_being_made_is_told_apart() {
    let bed = Bed::new().await;
    let repository = bed.repository("repo");
    let source = bed.source();
    let id = bed.backup(&repository, &source).await.snapshot.expect("a snapshot");
    let unknown = "0123456789abcdef".repeat(4).parse().expect("an id");
    let missing = bed.restic.browse(&repository, &unknown, &source, 0, 10).await;
    assert!(matches!(missing, Err(Error::SnapshotMissing { .. })), "{missing:?}");
    let nowhere = bed.restic.browse(&bed.at("/nonexistent/repo"), &id, &source, 0, 10).await;
    assert!(matches!(nowhere, Err(Error::RepositoryMissing { .. })), "{nowhere:?}");
    let silent = bed.restic.browse(&bed.at("rest:http://127.0.0.1:9/"), &id, &source, 0, 10).await;
    assert!(matches!(silent, Err(Error::Unreachable { .. })), "{silent:?}");
    let wrong = crate::bed::repository(
        bed.path("repo").to_str().expect("a plain path"),
        omni_restic::Credentials::None,
        "not this one",
    );
    let wrong = bed.restic.browse(&wrong, &id, &source, 0, 10).await;
    assert!(matches!(wrong, Err(Error::WrongPassword { .. })), "{wrong:?}");
    let relative = bed.restic.browse(&repository, &id, Path::new("a"), 0, 10).await;
    assert!(matches!(relative, Err(Error::Invalid(_))), "{relative:?}");
}
