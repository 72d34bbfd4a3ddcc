//! Which snapshots stay.

use super::{Args, Filter, Tag, joined};
use crate::failure::Error;
use std::ffi::OsString;
use std::fmt;

/// A span counted back from the newest snapshot of a group.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Within {
    /// Years.
    pub years: u16,
    /// Months.
    pub months: u16,
    /// Days.
    pub days: u16,
    /// Hours.
    pub hours: u16,
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}y{}m{}d{}h", self.years, self.months, self.days, self.hours)
    }
}

/// What is kept. A snapshot stays when any rule wants it. Hours, days and so on are those of UTC on every
/// host.
///
/// Where others can write into the repository, prefer the `within` rules: a flood of made-up snapshots pushes
/// good ones out of the counted rules, but not out of these.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// One of each of the newest so many hours that have any; and so on.
    pub hourly: u32,
    /// Days.
    pub daily: u32,
    /// Weeks.
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
    /// Years.
    pub yearly: u32,
    /// All within a span of the newest.
    pub within: Option<Within>,
    /// One of each hour within a span; and so on.
    pub within_hourly: Option<Within>,
    /// Days.
    pub within_daily: Option<Within>,
    /// Weeks.
    pub within_weekly: Option<Within>,
    /// Months.
    pub within_monthly: Option<Within>,
    /// Years.
    pub within_yearly: Option<Within>,
    /// All with every tag of any of these sets.
    pub tags: Vec<Vec<Tag>>,
}

impl Keep {
    fn add_to(&self, args: &mut Args) {
        for (flag, count) in [
            ("--keep-last", self.last),
            ("--keep-hourly", self.hourly),
            ("--keep-daily", self.daily),
            ("--keep-weekly", self.weekly),
            ("--keep-monthly", self.monthly),
            ("--keep-yearly", self.yearly),
        ] {
            if count > 0 {
                args.add(format!("{flag}={count}"));
            }
        }
        for (flag, span) in [
            ("--keep-within", self.within),
            ("--keep-within-hourly", self.within_hourly),
            ("--keep-within-daily", self.within_daily),
            ("--keep-within-weekly", self.within_weekly),
            ("--keep-within-monthly", self.within_monthly),
            ("--keep-within-yearly", self.within_yearly),
        ] {
            if let Some(span) = span.filter(|span| *span != Within::default()) {
                args.add(format!("{flag}={span}"));
            }
        }
        for set in self.tags.iter().filter(|set| !set.is_empty()) {
            args.add(format!("--keep-tag={}", joined(set)));
        }
    }
}

/// What snapshots are told apart by before the rules are applied to each group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupBy {
    /// The host.
    pub host: bool,
    /// The paths.
    pub paths: bool,
    /// The tags.
    pub tags: bool,
}

impl Default for GroupBy {
    /// As restic has it.
    fn default() -> Self {
        Self { host: true, paths: true, tags: false }
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.host, "host"), (self.paths, "paths"), (self.tags, "tags")];
        let words: Vec<_> = parts.iter().filter(|(wanted, _)| *wanted).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

/// Rules, and the snapshots that they are for.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Retention {
    /// What stays.
    pub keep: Keep,
    /// How snapshots are grouped.
    pub group_by: GroupBy,
    /// Which snapshots are looked at; the rest stays.
    pub filter: Filter,
    /// Whether nothing is removed and only the report made.
    pub dry_run: bool,
}

impl Retention {
    pub(crate) fn args(&self) -> Result<Vec<OsString>, Error> {
        let mut args = Args::default();
        args.add("forget");
        self.keep.add_to(&mut args);
        if args.0.len() == 1 {
            return Err(Error::Invalid("a retention keeps something; none of its rules is set".into()));
        }
        args.each("--group-by=", [&self.group_by]);
        self.filter.add_to(&mut args);
        args.flag(self.dry_run, "--dry-run");
        Ok(args.0)
    }
}
