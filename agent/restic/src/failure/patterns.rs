//! The sentences by which causes are known.

use crate::report::{Lock, utc};

/// What a sentence of restic is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cause {
    WrongPassword,
    RepositoryMissing,
    Locked,
    AlreadyThere,
    SnapshotMissing,
    PathMissing,
    SourceMissing,
    Damaged,
    Full,
    Refused,
    AccessDenied,
    Unreachable,
}

/// Finds the cause that a sentence names. The more telling sentences stand first: an unreachable server also
/// has no configuration that could be opened.
pub(crate) fn cause(text: &str) -> Option<Cause> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let writes =
        has(&["Save(", "Remove(", "create lock", "create repository", "unable to remove", "not removed"]);
    let rules: [(Cause, bool); 15] = [
        (Cause::WrongPassword, has(&["wrong password or no key found"])),
        (Cause::Locked, has(&["repository is already locked"])),
        (Cause::AlreadyThere, has(&["config file already exists", "already initialized"])),
        (
            Cause::Full,
            has(&["no space left on device", "disk quota exceeded", "Insufficient Storage", "(507)"]),
        ),
        (Cause::SnapshotMissing, has(&["no matching ID found", "no snapshot found", "invalid id \""])),
        (Cause::PathMissing, text.contains("path \"") && text.contains("not found in snapshot")),
        (
            Cause::SourceMissing,
            has(&["all target directories/files do not exist", "all source directories/files do not exist"]),
        ),
        (Cause::Refused, has(&["read-only file system"]) || (writes && has(&["ermission denied"]))),
        (Cause::Refused, writes && has(&["403 Forbidden", "(403)", "Access Denied", "AccessDenied"])),
        (
            Cause::AccessDenied,
            has(&[
                "401 Unauthorized",
                "403 Forbidden",
                "Access Denied",
                "AccessDenied",
                "Access Key Id you provided does not exist",
                "request signature we calculated does not match",
                "Permission denied (publickey",
                "Host key verification failed",
            ]),
        ),
        (
            Cause::Unreachable,
            has(&[
                "dial tcp",
                "onnection refused",
                "onnection reset",
                "onnection timed out",
                "no such host",
                "i/o timeout",
                "etwork is unreachable",
                "No route to host",
                "no route to host",
                "TLS handshake",
                "x509:",
                "context deadline exceeded",
                "unable to start the sftp session",
                "subprocess ssh:",
                "Failed to create file system",
                "error talking HTTP to rclone",
                "Could not resolve hostname",
                "502 Bad Gateway",
                "503 Service Unavailable",
                "504 Gateway Timeout",
                "broken pipe",
            ]) || (text.contains("http") && text.contains("EOF")),
        ),
        (Cause::RepositoryMissing, has(&["repository does not exist"])),
        (
            Cause::RepositoryMissing,
            text.contains("unable to open config file")
                && has(&["no such file or directory", "does not exist", "404 Not Found"]),
        ),
        (
            Cause::Damaged,
            has(&[
                "repository contains errors",
                "LoadIndex returned errors",
                "invalid data returned",
                "ciphertext verification failed",
                "unexpected file size",
                "repository index is damaged",
                "repository is damaged",
                "error loading index",
                "wrong hash returned",
                "blob not found",
                "not found in index",
                "unable to find pack",
                "failed to load pack",
                "is not mapped to any pack",
            ]),
        ),
        (
            Cause::Damaged,
            has(&["Load(<", "ReadFull(<", "StreamPack", "LoadBlob", "LoadTree", "LoadRaw(<"])
                && has(&["no such file or directory", "does not exist", "404 Not Found", "hash"]),
        ),
    ];
    rules.into_iter().find(|(_, holds)| *holds).map(|(cause, _)| cause)
}

/// Reads whose lock it is: `repository is already locked exclusively by PID 12 on web-1 by root (UID 0, GID
/// 0)`, then `lock was created at 2026-11-27 16:04:28 (…)` and `storage ID 5be4b798`, in the child's time
/// zone, UTC.
pub(crate) fn add_to_lock(line: &str, lock: &mut Option<Lock>) {
    if let Some(rest) = line.split_once("by PID ").map(|(_, rest)| rest) {
        let Some((pid, rest)) = rest.split_once(" on ") else { return };
        let (hostname, rest) = rest.split_once(" by ").unwrap_or((rest, ""));
        *lock = Some(Lock {
            id: String::new(),
            time: None,
            exclusive: line.contains("locked exclusively"),
            hostname: hostname.to_owned(),
            username: rest.split(" (UID").next().unwrap_or_default().to_owned(),
            pid: pid.trim().parse().unwrap_or(0),
        });
        return;
    }
    let Some(lock) = lock else { return };
    if let Some((_, rest)) = line.split_once("lock was created at ") {
        lock.time = rest.split(" (").next().and_then(|time| utc(time.trim()));
    } else if let Some((_, id)) = line.split_once("storage ID ") {
        lock.id = id.trim().to_owned();
    }
}
