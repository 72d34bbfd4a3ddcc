use super::*;
use crate::captured::{Captured, VERSIONS};
use crate::secret::{Masks, Secret};
use std::time::Duration;
use tokio::time::Instant;

const PLAIN: Operation = Operation::Plain("forget");

/// The name of an error's variant, or `ok`.
fn name(error: Option<&Error>) -> String {
    let text = error.map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"));
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

#[test]
fn each_failure_is_recognised_in_both_versions() {
    use Operation::{Backup, Check, Dump, Restore};
    for (fixture, operation, expected) in [
        ("backup", Backup, ["ok", "ok"]),
        ("partial", Backup, ["ok", "ok"]),
        ("backup-missing-path", Backup, ["ok", "ok"]),
        ("backup-all-missing", Backup, ["SourceMissing"; 2]),
        ("wrong-password", Backup, ["WrongPassword"; 2]),
        ("wrong-password-snapshots", PLAIN, ["WrongPassword"; 2]),
        ("missing-repo", Backup, ["RepositoryMissing"; 2]),
        ("missing-repo-snapshots", PLAIN, ["RepositoryMissing"; 2]),
        ("rest-missing", PLAIN, ["RepositoryMissing"; 2]),
        ("copy-missing-from", PLAIN, ["RepositoryMissing"; 2]),
        ("copy-wrong-from", PLAIN, ["WrongPassword"; 2]),
        ("copy-missing-id", PLAIN, ["SnapshotMissing"; 2]),
        ("rest-unauth", PLAIN, ["AccessDenied"; 2]),
        ("rest-badauth", PLAIN, ["AccessDenied"; 2]),
        // 0.18 calls it a success.
        ("rest-ao-forget", PLAIN, ["Refused"; 2]),
        ("rest-ao-forget-id", PLAIN, ["Refused"; 2]),
        ("ro-backup", Backup, ["Refused"; 2]),
        // Both call it a success.
        ("forget-unknown", PLAIN, ["SnapshotMissing"; 2]),
        // 0.14 calls it a success.
        ("ls-missing", PLAIN, ["SnapshotMissing"; 2]),
        ("dump-missing-snap", Dump, ["SnapshotMissing"; 2]),
        ("dump-missing-file", Dump, ["PathMissing"; 2]),
        ("restore-missing", Restore, ["SnapshotMissing"; 2]),
        ("key-remove-unknown", PLAIN, ["SnapshotMissing"; 2]),
        ("key-remove-current", PLAIN, ["Other"; 2]),
        ("full-backup", Backup, ["Full"; 2]),
        ("full-restore", Restore, ["Full"; 2]),
        ("restore-ro-target", Restore, ["Incomplete"; 2]),
        ("locked-prune", PLAIN, ["Locked"; 2]),
        ("locked-forget", PLAIN, ["Locked"; 2]),
        ("check", Check, ["ok", "ok"]),
        ("damage-check", Check, ["Damaged"; 2]),
        ("damage-check-json", Check, ["Damaged"; 2]),
        ("lost-check", Check, ["Damaged"; 2]),
        ("index-check", Check, ["Damaged"; 2]),
        ("rclone-missing-remote", PLAIN, ["Unreachable"; 2]),
        ("unreachable", PLAIN, ["Unreachable"; 2]),
        ("unreachable-sftp", PLAIN, ["Unreachable"; 2]),
        ("unreachable-host", PLAIN, ["Unreachable"; 2]),
        ("unreachable-init", PLAIN, ["Unreachable"; 2]),
        ("config-bad", PLAIN, ["Other"; 2]),
    ] {
        for (version, expected) in VERSIONS.into_iter().zip(expected) {
            let error = Captured::read(version, fixture).error(operation);
            assert_eq!(name(error.as_ref()), expected, "{version} {fixture}: {error:?}");
        }
    }
}

#[test]
fn a_message_says_what_was_wrong_and_what_to_do() {
    for (fixture, operation, said) in [
        ("wrong-password", PLAIN, "wrong password for /srv/t/repo: give the one"),
        ("missing-repo", PLAIN, "no repository at /srv/t/repo: check the location, or initialise it"),
        ("rest-ao-forget", PLAIN, "403 Forbidden"),
        ("rest-ao-forget", PLAIN, "it is append-only or read-only"),
        ("full-restore", Operation::Restore, "the target's file system is full: "),
        ("full-backup", Operation::Backup, "/srv/t/repo is full: "),
        ("damage-check", Operation::Check, ": unexpected file size: got 5004"),
        ("damage-check", Operation::Check, "use another copy"),
        ("restore-ro-target", Operation::Restore, "files were not restored, such as /src2 (mkdir "),
        ("forget-unknown", PLAIN, "deadbeef"),
    ] {
        for version in VERSIONS {
            let error = Captured::read(version, fixture).error(operation).expect(fixture).to_string();
            assert!(error.contains(said), "{version} {fixture}: {error}");
        }
    }
}

#[test]
fn a_repository_that_is_there_already_is_known_for_it() {
    for fixture in ["init-again", "rest-init-again"] {
        for version in VERSIONS {
            let findings = Captured::read(version, fixture).findings(PLAIN);
            assert!(findings.named(Cause::AlreadyThere).is_some(), "{version} {fixture}");
        }
    }
}

#[test]
fn a_lock_is_said_with_its_holder_and_time() {
    for (version, pid, time) in
        [("0.14", 23665, "2026-11-27T16:04:28Z"), ("0.18", 2140, "2026-11-27T16:11:24Z")]
    {
        for fixture in ["locked-prune", "locked-forget"] {
            let error = Captured::read(version, fixture).error(PLAIN).expect(fixture);
            let Error::Locked { lock: Some(lock), .. } = &error else {
                panic!("{version} {fixture}: {error:?}")
            };
            assert_eq!((lock.pid, lock.hostname.as_str(), lock.username.as_str()), (pid, "web-1", "root"));
            assert_eq!(lock.time.map(|time| time.to_string()).as_deref(), Some(time), "{version} {fixture}");
            assert_eq!(lock.id.len(), 8, "{version} {fixture}: {lock:?}");
            assert!(!lock.exclusive);
            let said = error.to_string();
            assert!(
                said.contains("locked by process") && said.contains("of root on web-1 since 2026"),
                "{said}"
            );
        }
    }
    let mut exclusive = Findings::new(Masks::default(), Duration::ZERO, false);
    for line in [
        "unable to create lock in backend: repository is already locked exclusively by PID 7 on a.b by x (UID 1, GID 2)",
        "lock was created at 2026-11-27 16:04:28 (1h2m ago)",
    ] {
        exclusive.line(line, Instant::now());
    }
    let lock = exclusive.lock.expect("a lock was named");
    assert!(lock.exclusive);
    assert_eq!((lock.pid, lock.hostname.as_str(), lock.username.as_str()), (7, "a.b", "x"));
}

#[test]
fn files_that_are_missing_are_listed_with_the_reason() {
    for version in VERSIONS {
        let files = Captured::read(version, "partial").findings(Operation::Backup).into_files();
        let listed: Vec<_> = files.named.iter().map(|file| file.path.as_str()).collect();
        // Relative, because restic was called with a relative path here.
        assert_eq!(listed, ["/srv/t/src2/a", "src2/d", "/srv/t/src2/h"], "{version}");
        assert!(files.named[0].reason.to_lowercase().contains("permission denied"), "{version} {files:?}");
        let files = Captured::read(version, "backup-missing-path").findings(Operation::Backup).into_files();
        assert_eq!((files.count(), files.named[0].path.as_str()), (1, "nowhere"), "{version}");
    }
}

#[test]
fn what_cannot_end_well_is_given_up_at_once_and_the_rest_after_patience() {
    let now = Instant::now();
    let line = |wait: &str, reason: &str| {
        format!("Save(<lock/01d64c0b77>) returned error, retrying after {wait}: {reason}")
    };
    let refused = line("552.330144ms", "open /r/locks/01-tmp-1: permission denied");
    let away =
        line("1.5s", "Post \"http://127.0.0.1:1/\": dial tcp 127.0.0.1:1: connect: connection refused");
    let patience = Duration::from_secs(60);
    let fresh = || Findings::new(Masks::default(), patience, false);
    assert!(matches!(fresh().line(&refused, now), Some(GiveUp::Hopeless(_))));

    let mut findings = fresh();
    assert_eq!(findings.line(&away, now), None);
    assert_eq!(findings.line(&away, now + Duration::from_secs(30)), None);
    assert_eq!(findings.line(&away, now + Duration::from_secs(59)), Some(GiveUp::Patience));
    let error = judge(PLAIN, "/r", Exit::Code(130), false, &findings);
    assert_eq!(name(error.as_ref()), "Unreachable");

    // It will try again when patience is over, so there is no use in waiting for that.
    let long = line("1m27.932977685s", "connection reset by peer");
    assert_eq!(fresh().line(&long, now), Some(GiveUp::Patience));

    // A pack that is gone: a restore cannot go on, a check has more to find.
    let gone = "Load(<data/c88790c0ed>, 0, 0) returned error, retrying after 1s: open /r/data/c8/c8: no such file or directory";
    assert!(matches!(fresh().line(gone, now), Some(GiveUp::Hopeless(Cause::Damaged))));
    assert_eq!(Findings::new(Masks::default(), patience, true).line(gone, now), None);
}

#[test]
fn cancelled_and_killed_are_told_apart_and_a_late_wish_to_stop_does_not_undo_success() {
    let nothing = Captured::read("0.14", "hang");
    let findings = || nothing.findings(PLAIN);
    for (exit, cancelled, expected) in [
        (Exit::Code(130), true, "Cancelled"),
        (Exit::Code(1), true, "Cancelled"),
        (Exit::Signal(9), true, "Cancelled"),
        (Exit::Signal(9), false, "Killed"),
        (Exit::Code(0), true, "ok"),
        (Exit::Code(1), false, "Other"),
    ] {
        let error = judge(PLAIN, "/r", exit, cancelled, &findings());
        assert_eq!(name(error.as_ref()), expected, "{exit:?} {cancelled}");
    }
}

#[test]
fn secrets_and_floods_do_not_get_through() {
    let masks = Masks::new([Secret::new("hunter22")]);
    let mut findings = Findings::new(masks, Duration::from_secs(9), true);
    let now = Instant::now();
    for number in 0..2_000 {
        findings.line(&format!("pack {number} hunter22 {}", "x".repeat(5000)), now);
    }
    let error = judge(Operation::Check, "/r", Exit::Code(1), false, &findings);
    assert_eq!(name(error.as_ref()), "Other");
    findings.line("Fatal: repository contains errors", now);
    let error = judge(Operation::Check, "/r", Exit::Code(1), false, &findings).expect("it failed");
    let Error::Damaged { problems, more, .. } = &error else { panic!("{error:?}") };
    assert_eq!((problems.len(), *more), (100, 1_900));
    let said = format!("{error} {error:?}");
    assert!(!said.contains("hunter22") && said.len() < 100_000, "{} bytes", said.len());
}

#[test]
fn a_secret_is_found_in_whatever_way_json_spells_it() {
    let mut findings = Findings::new(Masks::new([Secret::new("a\"b\\<c>")]), Duration::ZERO, false);
    let message = |text: &str| {
        let quoted =
            serde_json::to_string(text).expect("a text").replace('<', "\\u003c").replace('>', "\\u003e");
        format!(r#"{{"message_type":"exit_error","code":1,"message":{quoted}}}"#)
    };
    findings.line(&message("Fatal: server says a\"b\\<c> is wrong"), Instant::now());
    let error = judge(PLAIN, "/r", Exit::Code(1), false, &findings).expect("it failed");
    assert!(error.to_string().ends_with("Fatal: server says *** is wrong"), "{error}");
}

#[test]
fn a_target_that_is_read_only_is_not_taken_for_the_repository() {
    let mut findings = Findings::new(Masks::default(), Duration::ZERO, false);
    for line in ["ignoring error for /a: open /target/a: read-only file system", "Fatal: There were 1 errors"]
    {
        findings.line(line, Instant::now());
    }
    for (operation, expected) in [(Operation::Restore, "Incomplete"), (PLAIN, "Refused")] {
        let error = judge(operation, "/r", Exit::Code(1), false, &findings);
        assert_eq!(name(error.as_ref()), expected);
    }
}

#[test]
fn a_partial_backup_is_partial_even_when_restic_names_nothing() {
    let mut findings = Captured::read("0.18", "backup").findings(Operation::Backup);
    findings.note_partial();
    assert_eq!(findings.into_files().count(), 1);
}

#[test]
fn the_same_again_makes_sense_or_does_not() {
    let repository = || "/r".to_owned();
    assert_eq!(Error::Locked { repository: repository(), lock: None }.retry(), Retry::Later);
    assert_eq!(Error::WrongPassword { repository: repository() }.retry(), Retry::AfterRepair);
}
