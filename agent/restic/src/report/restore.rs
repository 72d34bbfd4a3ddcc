//! The end of a restore.

use super::progress::{Progress, Status};
use serde::Deserialize;

/// The end of a restore that has written everything. What restic does not say before 0.16 is absent; and no
/// version says that a pattern fitted nothing, so look at the counts or at the target.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RestoreReport {
    /// Files and folders there were to restore.
    pub files_total: Option<u64>,
    /// Files and folders written.
    pub files_restored: Option<u64>,
    /// Files that were there already. Since restic 0.17.
    pub files_skipped: Option<u64>,
    /// Files deleted at the target. Since restic 0.17.
    pub files_deleted: Option<u64>,
    /// Bytes there were to restore.
    pub bytes_total: Option<u64>,
    /// Bytes written.
    pub bytes_restored: Option<u64>,
    /// How long restic took.
    pub seconds: Option<u64>,
    /// Files read again and found right, where that was asked for and restic says it.
    pub files_verified: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    seconds_elapsed: u64,
    total_files: u64,
    files_restored: u64,
    files_skipped: u64,
    files_deleted: u64,
    total_bytes: u64,
    bytes_restored: u64,
}

#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Line {
    Status(Status),
    Summary(Summary),
    #[serde(other)]
    Other,
}

/// Reads the lines of a restore, which are JSON or, before 0.16, text.
#[derive(Default)]
pub(crate) struct RestoreLines {
    report: RestoreReport,
}

impl RestoreLines {
    /// Takes a line in; says how far the restore is when the line does.
    pub(crate) fn line(&mut self, line: &str) -> Option<Progress> {
        if let Some(rest) = line.strip_prefix("finished verifying ") {
            self.report.files_verified = rest.split(' ').next().and_then(|count| count.parse().ok());
            return None;
        }
        match serde_json::from_str(line).ok()? {
            Line::Status(status) => return Some(status.into()),
            Line::Summary(summary) => {
                self.report = RestoreReport {
                    files_total: Some(summary.total_files),
                    files_restored: Some(summary.files_restored),
                    files_skipped: Some(summary.files_skipped),
                    files_deleted: Some(summary.files_deleted),
                    bytes_total: Some(summary.total_bytes),
                    bytes_restored: Some(summary.bytes_restored),
                    seconds: Some(summary.seconds_elapsed),
                    files_verified: self.report.files_verified,
                }
            }
            Line::Other => {}
        }
        None
    }

    /// The report.
    pub(crate) fn report(self) -> RestoreReport {
        self.report
    }
}
