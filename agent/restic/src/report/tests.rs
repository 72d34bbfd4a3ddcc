use super::*;
use crate::captured::{Captured, VERSIONS};
use jiff::Timestamp;

fn stdout(version: &str, name: &str) -> String {
    Captured::read(version, name).stdout
}

fn backup(version: &str, name: &str) -> (BackupReport, Vec<Progress>) {
    let mut lines = BackupLines::default();
    let progress = stdout(version, name).lines().filter_map(|line| lines.line(line)).collect();
    (lines.report().unwrap_or_else(|| panic!("{version} {name} has no summary")), progress)
}

#[test]
fn a_backup_ends_with_a_report() {
    let (old, _) = backup("0.14", "backup");
    assert_eq!((old.files, old.files_new, old.bytes, old.bytes_added), (4, 4, 3_000_014, 3_002_383));
    assert_eq!(old.bytes_stored, None);
    assert_eq!(old.snapshot.as_ref().map(|id| (id.as_str(), id.is_whole())), Some(("ee6aa9db", false)));
    let (new, _) = backup("0.18", "backup");
    assert_eq!((new.files, new.bytes_added, new.bytes_stored), (4, 3_002_310, Some(3_001_396)));
    assert!(new.snapshot.is_some_and(|id| id.is_whole()));
    for version in VERSIONS {
        let (dry, _) = backup(version, "backup-dry");
        assert_eq!((dry.snapshot, dry.files_unmodified), (None, 4), "{version}");
    }
}

#[test]
fn progress_shows_what_is_known_and_nothing_else() {
    let (_, progress) = backup_lines(&[
        r#"{"message_type":"status","percent_done":0}"#,
        r#"{"message_type":"status","seconds_elapsed":1,"seconds_remaining":9223372036854775808,"percent_done":0,"total_files":1,"current_files":["/x.sql"]}"#,
        r#"{"message_type":"status","seconds_elapsed":3,"seconds_remaining":9,"percent_done":0.25,"total_files":4,"files_done":1,"total_bytes":100,"bytes_done":25,"error_count":2}"#,
        r#"{"message_type":"status","seconds_remaining":"soon","percent_done":7.5,"total_files":1}"#,
        r#"{"message_type":"something new","files":1}"#,
        "no JSON at all",
    ]);
    assert_eq!(progress.len(), 4);
    assert_eq!(progress[0], Progress::default());
    assert_eq!(
        (progress[1].seconds_left, progress[1].files_done, progress[1].bytes_total),
        (None, Some(0), None)
    );
    assert_eq!(progress[1].current_files, ["/x.sql"]);
    let third = &progress[2];
    assert_eq!((third.percent, third.seconds_left, third.errors), (Some(25.0), Some(9), 2));
    assert_eq!((third.files_done, third.files_total), (Some(1), Some(4)));
    assert_eq!((third.bytes_done, third.bytes_total), (Some(25), Some(100)));
    assert_eq!((progress[3].percent, progress[3].seconds_left), (Some(100.0), None));
}

fn backup_lines(lines: &[&str]) -> (Option<BackupReport>, Vec<Progress>) {
    let mut reader = BackupLines::default();
    let progress = lines.iter().filter_map(|line| reader.line(line)).collect();
    (reader.report(), progress)
}

#[test]
fn current_files_are_bounded() {
    let long = "ä".repeat(1000);
    let names: Vec<_> = (0..50).map(|_| format!("\"{long}\"")).collect();
    let line = format!(r#"{{"message_type":"status","current_files":[{}]}}"#, names.join(","));
    let (_, progress) = backup_lines(&[&line]);
    assert_eq!(progress[0].current_files.len(), 8);
    assert!(progress[0].current_files.iter().all(|name| name.len() < 520));
}

#[test]
fn counters_of_prunes_checks_and_copies_are_progress() {
    for (line, expected) in [
        ("[0:05] 40.00%  2 / 5 packs processed", Some((40.0, 5, 2, 5, Some("packs")))),
        ("[1:02:03] 100.00%  7 / 7 snapshots", Some((100.0, 3723, 7, 7, Some("snapshots")))),
        ("[0:00] 0.00%  0 / 1 files deleted", Some((0.0, 0, 0, 1, Some("files")))),
        ("[0:00] what", None),
        ("load indexes", None),
        ("[]", None),
    ] {
        let read = Progress::from_counter(line);
        let read = read.as_ref().map(|progress| {
            (
                progress.percent.unwrap_or(-1.0),
                progress.seconds_elapsed,
                progress.count_done.unwrap_or(0),
                progress.count_total.unwrap_or(0),
                progress.counting.as_deref(),
            )
        });
        assert_eq!(read, expected, "{line}");
    }
    for version in VERSIONS {
        let counted = stdout(version, "prune").lines().filter_map(Progress::from_counter).count();
        assert!(counted >= 2, "{version}: {counted}");
    }
}

#[test]
fn snapshots_are_read_with_what_they_are_copies_of() {
    for (version, count) in [("0.14", 4), ("0.18", 4)] {
        let text = stdout(version, "snapshots");
        let snapshots: Vec<Snapshot> = serde_json::from_str(document(&text)).expect(version);
        assert_eq!(snapshots.len(), count, "{version}");
        let first = &snapshots[0];
        assert_eq!((first.hostname.as_str(), first.tags.join(",").as_str()), ("h1", "t1,t2"), "{version}");
        assert_eq!(first.paths, ["/srv/t/src"], "{version}");
        assert_eq!(first.origin(), &first.id, "{version}");
        assert!(first.id.is_whole() && first.time > Timestamp::UNIX_EPOCH, "{version}");
        assert_eq!(snapshots[1].parent.as_ref(), Some(&first.id), "{version}");
    }
    let none: Vec<Snapshot> =
        serde_json::from_str(document(&stdout("0.14", "snapshots-none"))).expect("a list");
    assert!(none.is_empty());
}

#[test]
fn a_document_is_found_among_other_lines() {
    for (text, found) in [
        ("[1]\n", "[1]\n"),
        ("found 2 old cache directories [really]\n{\"a\":1}\n", "{\"a\":1}\n"),
        ("nothing here", ""),
        ("", ""),
    ] {
        assert_eq!(document(text), found);
    }
}

#[test]
fn a_retention_is_reported_group_by_group() {
    for version in VERSIONS {
        for name in ["forget", "forget-dry", "forget-prune"] {
            let text = stdout(version, name);
            let mut documents =
                serde_json::Deserializer::from_str(document(&text)).into_iter::<Vec<ForgetGroup>>();
            let groups = documents.next().expect("there is a document").expect(name);
            assert!(groups.iter().all(|group| group.keep.len() == 1), "{version} {name}");
            assert!(groups.iter().any(|group| !group.remove.is_empty()), "{version} {name}");
        }
    }
}

#[test]
fn a_listing_ends_where_it_was_asked_to() {
    for version in VERSIONS {
        let text = stdout(version, "ls");
        let mut all = EntryLines::new(1000);
        assert!(text.lines().all(|line| all.line(line)), "{version}");
        let all = all.listing();
        assert!(!all.truncated && all.entries.len() > 3, "{version} {all:?}");
        assert_eq!(
            (all.entries[0].path.as_str(), all.entries[0].kind),
            ("/proc", EntryKind::Dir),
            "{version}"
        );
        let mut some = EntryLines::new(2);
        assert!(!text.lines().all(|line| some.line(line)), "{version}");
        let some = some.listing();
        assert!(some.truncated && some.entries == all.entries[..2], "{version}");
    }
}

#[test]
fn a_restore_is_reported_as_far_as_restic_says() {
    let report = |version, name| {
        let mut lines = RestoreLines::default();
        for line in stdout(version, name).lines() {
            lines.line(line);
        }
        lines.report()
    };
    assert_eq!(report("0.14", "restore"), RestoreReport::default());
    assert_eq!(report("0.14", "restore-verify").files_verified, Some(0));
    assert_eq!(report("0.18", "restore").files_restored, Some(11));
    assert_eq!(report("0.18", "restore").bytes_total, Some(0));
}

#[test]
fn a_prune_is_reported_in_bytes() {
    for (version, left) in [("0.14", 1088), ("0.18", 1114)] {
        let mut lines = PruneLines::default();
        stdout(version, "forget-prune").lines().for_each(|line| lines.line(line));
        let report = lines.report();
        assert_eq!(report, PruneReport { bytes_freed: Some(3_001_024), bytes_left: Some(left) }, "{version}");
        let mut lines = PruneLines::default();
        stdout(version, "prune").lines().for_each(|line| lines.line(line));
        assert_eq!(lines.report().bytes_freed, Some(0), "{version}");
    }
}

#[test]
fn the_small_answers_are_read() {
    for version in VERSIONS {
        let keys: Vec<Key> = serde_json::from_str(&stdout(version, "key-list2")).expect(version);
        assert_eq!(keys.iter().filter(|key| key.current).count(), 1, "{version}");
        assert!(keys.iter().all(|key| key.created.is_some() && key.user == "root"), "{version}");
        let lock: Lock = serde_json::from_str(&stdout(version, "cat-lock")).expect(version);
        assert!(lock.pid > 0 && !lock.exclusive && lock.hostname == "web-1", "{version}");
        let info: RepositoryInfo = serde_json::from_str(&stdout(version, "cat-config")).expect(version);
        assert_eq!((info.version, info.id.len()), (2, 64), "{version}");
        let stats: Stats = serde_json::from_str(&stdout(version, "stats")).expect(version);
        assert_eq!((stats.total_file_count, stats.snapshots_count), (Some(32), 4), "{version}");
        let raw: Stats = serde_json::from_str(&stdout(version, "stats-raw")).expect(version);
        assert!(raw.total_blob_count.is_some(), "{version}");
    }
}
