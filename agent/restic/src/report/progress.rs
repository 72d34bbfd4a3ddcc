//! How far an operation is.

use serde::{Deserialize, Deserializer};

/// Most names of files shown at once; restic reads two at a time, or as many as it is told to.
const MAX_CURRENT_FILES: usize = 8;
/// Longer names are cut.
const MAX_NAME: usize = 512;
/// Estimates beyond this are none: old versions print 2^63 for "no idea". A year.
const MAX_SECONDS_LEFT: u64 = 366 * 24 * 3600;

/// How far an operation is. What restic has not said is absent, and never zero.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<f32>,
    /// Files done.
    pub files_done: Option<u64>,
    /// Files there are. Grows while restic is still looking.
    pub files_total: Option<u64>,
    /// Bytes done.
    pub bytes_done: Option<u64>,
    /// Bytes there are. Grows while restic is still looking.
    pub bytes_total: Option<u64>,
    /// Since the start.
    pub seconds_elapsed: u64,
    /// As restic guesses it.
    pub seconds_left: Option<u64>,
    /// Things that went wrong so far.
    pub errors: u64,
    /// What is being read or written at the moment; at most eight.
    pub current_files: Vec<String>,
    /// What is being counted, where it is not files: `snapshots`, `packs`.
    pub counting: Option<String>,
    /// Done of what is being counted.
    pub count_done: Option<u64>,
    /// All of what is being counted.
    pub count_total: Option<u64>,
}

impl Progress {
    /// Reads a line of an operation that counts packs or snapshots: `[0:05] 40.00%  2 / 5 packs processed`.
    pub(crate) fn from_counter(line: &str) -> Option<Self> {
        let (clock, rest) = line.strip_prefix('[')?.split_once(']')?;
        let mut words = rest.split_whitespace();
        let percent = words.next()?.strip_suffix('%')?.parse().ok()?;
        let done = words.next()?.parse().ok()?;
        if words.next()? != "/" {
            return None;
        }
        let total = words.next()?.parse().ok()?;
        let seconds = clock.split(':').try_fold(0_u64, |sum, part| {
            Some(sum.saturating_mul(60).saturating_add(part.parse::<u64>().ok()?))
        })?;
        Some(Self {
            percent: Some(percent),
            seconds_elapsed: seconds,
            counting: words.next().map(str::to_owned),
            count_done: Some(done),
            count_total: Some(total),
            ..Self::default()
        })
    }
}

/// A `status` line of a backup or a restore.
#[derive(Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    percent_done: f64,
    #[serde(default)]
    seconds_elapsed: u64,
    #[serde(default, deserialize_with = "seconds")]
    seconds_remaining: Option<u64>,
    #[serde(default)]
    total_files: u64,
    #[serde(default)]
    files_done: u64,
    #[serde(default)]
    files_restored: u64,
    #[serde(default)]
    total_bytes: u64,
    #[serde(default)]
    bytes_done: u64,
    #[serde(default)]
    bytes_restored: u64,
    #[serde(default)]
    error_count: u64,
    #[serde(default)]
    current_files: Vec<String>,
}

/// Anything that is no sensible number of seconds is none at all.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().filter(|seconds| *seconds <= MAX_SECONDS_LEFT))
}

impl From<Status> for Progress {
    fn from(status: Status) -> Self {
        // What is left out is zero; a total of zero is one that is not known yet.
        let known = |total: u64, done: u64| (total > 0 || done > 0).then_some(done);
        let files = status.files_done.max(status.files_restored);
        let bytes = status.bytes_done.max(status.bytes_restored);
        Self {
            #[expect(clippy::cast_possible_truncation, reason = "a percentage for people")]
            percent: (status.total_bytes > 0 || status.total_files > 0)
                .then_some((status.percent_done.clamp(0.0, 1.0) * 100.0) as f32),
            files_done: known(status.total_files, files),
            files_total: Some(status.total_files).filter(|total| *total > 0),
            bytes_done: known(status.total_bytes, bytes),
            bytes_total: Some(status.total_bytes).filter(|total| *total > 0),
            seconds_elapsed: status.seconds_elapsed,
            seconds_left: status.seconds_remaining,
            errors: status.error_count,
            current_files: status
                .current_files
                .into_iter()
                .take(MAX_CURRENT_FILES)
                .map(|name| cut(name, MAX_NAME))
                .collect(),
            ..Self::default()
        }
    }
}

/// At most so many bytes of a text, cut between characters.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
