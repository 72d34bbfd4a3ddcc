//! The care of repositories: copies, checks, retention.

use super::context::Context;
use super::failure::Failure;
use super::repository::Opened;
use crate::runs::Done;
use omni_common::domain::backup::{
    CheckTask, CopyTask, Expire, Forget, ItemName, ItemOutcome, Phase, PruneTask, RunState, TAG_ITEM,
    TAG_SLOT,
};
use omni_restic::{
    Check, Copy, CopyReport, Filter, GroupBy, Keep, Prune, ReadData, Retention, Snapshot, SnapshotId, Tag,
    Unused, Within,
};
use std::collections::{BTreeMap, BTreeSet};

/// Snapshots removed by one call of restic.
const FORGET_AT_ONCE: usize = 200;

/// Copies snapshots. Each that was copied is told as an item by the name it was taken under, with the id of its copy and,
/// as a fact, of what it is a copy of.
pub(super) async fn copy(context: &Context<'_>, task: &CopyTask) -> Done {
    match copied(context, task).await {
        Ok(items) => Done { state: RunState::Succeeded, items, code: None, message: None },
        Err(failure) => failure.into(),
    }
}

async fn copied(context: &Context<'_>, task: &CopyTask) -> Result<Vec<ItemOutcome>, Failure> {
    let (from, to) = (context.open(&task.from)?, context.open(&task.to)?);
    let snapshots = ids(task.snapshots.iter())?;
    if snapshots.is_empty() {
        return Ok(Vec::new());
    }
    // Cut alike, or what is copied shares nothing with what is there.
    context.unless_cancelled(to.ensure(task.to.create, Some(&from.repository))).await?;
    context.errand.reporter.enter(Phase::Transferring, None);
    let copy = Copy { snapshots, limits: to.limits, ..Copy::default() };
    let report = to
        .unlocked(|| async { context.attend(to.restic.copy(&from.repository, &to.repository, &copy)).await })
        .await?;
    let listed = context
        .unless_cancelled(async { Ok(to.restic.snapshots(&to.repository, &Filter::default()).await?) });
    Ok(items(&report, &listed.await?))
}

/// What was copied, in words of the wire. Pure.
fn items(report: &CopyReport, listed: &[Snapshot]) -> Vec<ItemOutcome> {
    let item = |copied: &omni_restic::CopiedSnapshot| {
        let snapshot = listed.iter().find(|snapshot| snapshot.id == copied.copy)?;
        let tag = tag_value(snapshot, TAG_ITEM).and_then(|name| ItemName::new(name).ok());
        let short = || ItemName::new(&copied.source.as_str()[..8]).ok();
        let taken = omni_common::clock::Time::from_millis(snapshot.time.as_millisecond());
        let source = BTreeMap::from([("source".to_owned(), copied.source.as_str().to_owned())]);
        Some(ItemOutcome {
            state: RunState::Succeeded,
            snapshot: Some(copied.copy.as_str().to_owned()),
            facts: source,
            ..super::context::nothing_yet(&tag.or_else(short)?, taken)
        })
    };
    report.snapshots.iter().filter_map(item).collect()
}

fn ids<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<SnapshotId>, Failure> {
    let id = |text: &String| {
        text.parse::<SnapshotId>().map_err(|error| Failure::new("invalid", format!("`{text}`: {error}")))
    };
    texts.map(id).collect()
}

/// Looks whether a repository is whole.
pub(super) async fn check(context: &Context<'_>, task: &CheckTask) -> Done {
    match checked(context, task).await {
        Ok(()) => Done { state: RunState::Succeeded, items: Vec::new(), code: None, message: None },
        Err(failure) => failure.into(),
    }
}

async fn checked(context: &Context<'_>, task: &CheckTask) -> Result<(), Failure> {
    let opened = context.open(&task.repository)?;
    context.errand.reporter.enter(Phase::Verifying, None);
    let read_data = match task.read {
        None => ReadData::Nothing,
        Some(read) if read.of == 1 => ReadData::All,
        Some(read) => ReadData::Part { part: read.part, of: read.of },
    };
    let check = Check { read_data, limits: opened.limits };
    opened.unlocked(|| async { context.attend(opened.restic.check(&opened.repository, &check)?).await }).await
}

/// Forgets what retention no longer keeps, and frees its space.
pub(super) async fn prune(context: &Context<'_>, task: &PruneTask) -> Done {
    match pruned(context, task).await {
        Ok(message) => {
            Done { state: RunState::Succeeded, items: Vec::new(), code: None, message: Some(message) }
        }
        Err(failure) => failure.into(),
    }
}

async fn pruned(context: &Context<'_>, task: &PruneTask) -> Result<String, Failure> {
    let rules = task.forget.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let max_unused = task.max_unused.as_deref().map(unused).transpose()?;
    let max_repack_bytes = task.max_repack_size.as_deref().map(repacked).transpose()?;
    let opened = context.open(&task.repository)?;
    let mut removed = 0;
    for (tag, keep) in rules {
        let filter = Filter { tags: vec![vec![tag.clone()]], ..Filter::default() };
        let listed = context
            .unless_cancelled(opened.unlocked(|| opened.restic.snapshots(&opened.repository, &filter)))
            .await?;
        for tags in groups(&listed, &tag) {
            context.check()?;
            let retention = Retention {
                keep: keep.clone(),
                group_by: GroupBy { host: false, paths: false, tags: false },
                filter: Filter { tags: vec![tags], ..Filter::default() },
                dry_run: false,
            };
            let forgotten = context
                .unless_cancelled(opened.unlocked(|| opened.restic.forget(&opened.repository, &retention)));
            removed += forgotten.await?.iter().map(|group| group.remove.len()).sum::<usize>();
        }
    }
    for expire in &task.expire {
        context.check()?;
        removed += expired(context, &opened, expire).await?;
    }
    let prune = Prune { max_unused, max_repack_bytes, limits: opened.limits, ..Prune::default() };
    let report = opened
        .unlocked(|| async { context.attend(opened.restic.prune(&opened.repository, &prune)).await })
        .await?;
    let freed = report.bytes_freed.map(|bytes| format!(", {} MiB freed", bytes >> 20)).unwrap_or_default();
    Ok(format!("{removed} snapshots removed{freed}"))
}

/// Removes the snapshots with a tag of that name which are old enough; says how many.
async fn expired(context: &Context<'_>, opened: &Opened, expire: &Expire) -> Result<usize, Failure> {
    let all = Filter::default();
    let listed = context
        .unless_cancelled(opened.unlocked(|| opened.restic.snapshots(&opened.repository, &all)))
        .await?;
    let old: Vec<SnapshotId> = too_old(&listed, expire).map(|snapshot| snapshot.id.clone()).collect();
    for some in old.chunks(FORGET_AT_ONCE) {
        context
            .unless_cancelled(opened.unlocked(|| opened.restic.forget_snapshots(&opened.repository, some)))
            .await?;
    }
    Ok(old.len())
}

/// Pure.
fn too_old<'s>(listed: &'s [Snapshot], expire: &Expire) -> impl Iterator<Item = &'s Snapshot> {
    let before = expire.before.as_millis();
    listed.iter().filter(move |snapshot| {
        tag_value(snapshot, &expire.tag).is_some() && snapshot.time.as_millisecond() < before
    })
}

/// The series of snapshots that rules are applied to, one by one, as the tags that each of a series has: those of one item
/// of one instance, whichever host it was on. What has no such tags is somebody else's, and stays. Pure.
fn groups(listed: &[Snapshot], tag: &Tag) -> BTreeSet<Vec<Tag>> {
    let series = |snapshot: &Snapshot| {
        let tag_of = |name: &str| format!("{name}={}", tag_value(snapshot, name)?).parse::<Tag>().ok();
        Some(vec![tag.clone(), tag_of(TAG_ITEM)?, tag_of(TAG_SLOT)?])
    };
    listed.iter().filter_map(series).collect()
}

fn tag_value<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s str> {
    snapshot.tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='))
}

/// A rule as restic is told it. Pure.
fn rule(forget: &Forget) -> Result<(Tag, Keep), Failure> {
    let invalid = |why: String| Failure::new("invalid", format!("retention of {}: {why}", forget.tag));
    let tag = forget.tag.parse().map_err(|error| invalid(format!("{error}")))?;
    let mut keep = Keep::default();
    for (name, value) in &forget.keep {
        let count = || value.parse::<u32>().map_err(|_| invalid(format!("{name}: `{value}` is no number")));
        let span = || {
            within(value)
                .map(Some)
                .ok_or_else(|| invalid(format!("{name}: `{value}` is no span, such as 1y6m30d12h")))
        };
        match name.as_str() {
            "last" => keep.last = count()?,
            "hourly" => keep.hourly = count()?,
            "daily" => keep.daily = count()?,
            "weekly" => keep.weekly = count()?,
            "monthly" => keep.monthly = count()?,
            "yearly" => keep.yearly = count()?,
            "within" => keep.within = span()?,
            "within-hourly" => keep.within_hourly = span()?,
            "within-daily" => keep.within_daily = span()?,
            "within-weekly" => keep.within_weekly = span()?,
            "within-monthly" => keep.within_monthly = span()?,
            "within-yearly" => keep.within_yearly = span()?,
            _ => return Err(invalid(format!("there is no rule `{name}`"))),
        }
    }
    if keep == Keep::default() {
        return Err(invalid("it keeps nothing".to_owned()));
    }
    Ok((tag, keep))
}

/// `1y5m7d2h`, any part of which may be missing, but not all. Pure.
fn within(text: &str) -> Option<Within> {
    let mut within = Within::default();
    let mut number = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let value = std::mem::take(&mut number).parse().ok()?;
        match character {
            'y' => within.years = value,
            'm' => within.months = value,
            'd' => within.days = value,
            'h' => within.hours = value,
            _ => return None,
        }
    }
    (number.is_empty() && within != Within::default()).then_some(within)
}

/// `10%`, `unlimited`, `5G`. Pure.
fn unused(text: &str) -> Result<Unused, Failure> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Unused::Percent),
        None if text == "unlimited" => Some(Unused::Unlimited),
        None => bytes(text).map(Unused::Bytes),
    };
    parsed.ok_or_else(|| {
        Failure::new("invalid", format!("`{text}` is no share of unused space: write 10%, 5G or unlimited"))
    })
}

fn repacked(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::new("invalid", format!("`{text}` is no amount of data: write 10G or 512M"));
    bytes(text).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

fn bytes(text: &str) -> Option<u64> {
    let (number, power) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1),
        (at, 'm' | 'M') => (&text[..at], 2),
        (at, 'g' | 'G') => (&text[..at], 3),
        (at, 't' | 'T') => (&text[..at], 4),
        _ => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_restic_writes_them() {
        let keep = [("last", "3"), ("within-daily", "1y5m7d2h"), ("within", "30d")];
        let keep = keep.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (tag, keep) =
            rule(&Forget { tag: "omni-app=default/shop".to_owned(), keep }).expect("good rules");
        assert_eq!((tag.to_string().as_str(), keep.last), ("omni-app=default/shop", 3));
        assert_eq!(keep.within_daily, Some(Within { years: 1, months: 5, days: 7, hours: 2 }));
        assert_eq!(keep.within, Some(Within { days: 30, ..Within::default() }));
    }

    #[test]
    fn rules_that_keep_nothing_or_make_no_sense_are_refused() {
        for (name, value) in [
            ("last", "0"),
            ("last", "-1"),
            ("always", "1"),
            ("within", "30"),
            ("within", ""),
            ("within", "0d"),
            ("within", "3x"),
        ] {
            let keep = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(rule(&Forget { tag: "omni-app=a/b".to_owned(), keep }).is_err(), "{name} {value}");
        }
        assert!(rule(&Forget { tag: "omni-app=a/b".to_owned(), keep: BTreeMap::new() }).is_err());
    }

    #[test]
    fn what_is_written_anew_is_an_amount() {
        assert_eq!(repacked("10G").ok(), Some(10 << 30));
        for text in ["", "0", "10%", "-1G", "unlimited"] {
            assert!(repacked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unused_space_has_three_spellings() {
        for (text, expected) in [
            ("10%", Some(Unused::Percent(10))),
            ("unlimited", Some(Unused::Unlimited)),
            ("5G", Some(Unused::Bytes(5 << 30))),
            ("1024", Some(Unused::Bytes(1024))),
            ("101%", None),
            ("much", None),
            ("", None),
            ("99999999999999T", None),
        ] {
            assert_eq!(unused(text).ok(), expected, "{text}");
        }
    }
}
