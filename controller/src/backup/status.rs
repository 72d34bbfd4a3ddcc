//! How old the newest proven snapshot of an app is, how long bringing it back takes, and how many copies there are.
//!
//! Never green for what is unproven: a snapshot counts when it is whole, in its repository and in every one that it is
//! copied to, and the last check of each of them passed.

use super::due::{Set, sets};
use super::{Outline, Policy, policy};
use crate::state::{App, BackupRepository, Medium, Run, RunKind, State};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use std::collections::BTreeSet;
use std::time::Duration;

/// How an app's backups stand.
#[derive(Clone, Debug, PartialEq)]
pub struct AppStanding {
    /// What holds for it.
    pub policy: Policy,
    /// It has data.
    pub has_data: bool,
    /// Age of the newest proven snapshot; absent when there is none.
    pub age: Option<Duration>,
    /// Components of the platform that its data belongs to.
    pub components: BTreeSet<String>,
    /// That is more than it may be, or there is none.
    pub overdue: bool,
    /// Why it is not younger, in words.
    pub why: String,
    /// The repositories that its snapshots belong into.
    pub copies: Vec<CopyStanding>,
    /// How long the last drill that passed took.
    pub restore: Option<Duration>,
    /// When it was.
    pub drilled: Option<Time>,
    /// The last drill failed, the last that passed is too old, or none was done in the time for one.
    pub drill_overdue: bool,
    /// About drills, in words.
    pub drill_why: String,
    /// Copies, media, places.
    pub three_two_one: ThreeTwoOne,
}

/// What of an app lies in a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyStanding {
    /// Which.
    pub repository: String,
    /// Moment that the newest whole snapshot there is of.
    pub newest: Option<Time>,
    /// Whether its last check passed; absent when there was none.
    pub checked: Option<bool>,
    /// How many sets of snapshots are known there.
    pub sets: u32,
}

/// Three copies, two media, one off site, and one that cannot be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreeTwoOne {
    /// Copies with the data itself.
    pub copies: u32,
    /// Media of the backups.
    pub media: u32,
    /// Backups off site.
    pub offsite: u32,
    /// Backups that cannot be deleted by who writes them, off site.
    pub append_only: u32,
    /// What is missing, in words; empty when nothing is.
    pub missing: Vec<String>,
}

/// How the backups of an app stand.
pub fn standing(state: &State, app: &App, outline: &Outline, now: Time) -> AppStanding {
    let policy = policy(state, app, outline);
    let copies: Vec<CopyStanding> =
        policy.to.iter().chain(&policy.copy_to).map(|name| copy(state, app, outline, name)).collect();
    let has_data = !outline.groups.is_empty();
    let (proven, why) = proven(&policy, outline, &copies);
    let age = proven.map(|taken| now.since(taken));
    let wanted = has_data && !policy.skip;
    let drill = drill(state, app, &policy, now);
    AppStanding {
        has_data,
        components: outline.components.clone(),
        age,
        overdue: wanted && age.is_none_or(|age| age > policy.max_age),
        why,
        restore: drill.took,
        drilled: drill.at,
        drill_overdue: wanted && drill.overdue,
        drill_why: drill.why,
        three_two_one: three_two_one(state, &copies),
        copies,
        policy,
    }
}

fn copy(state: &State, app: &App, outline: &Outline, name: &str) -> CopyStanding {
    let sets = sets(state, &app.key, name);
    let known = state.repositories.get(name);
    CopyStanding {
        repository: name.to_owned(),
        newest: newest(app, outline, &sets),
        checked: known.and_then(|one| one.checked).map(|checked| checked.passed),
        sets: u32::try_from(sets.values().map(Vec::len).max().unwrap_or(0)).unwrap_or(u32::MAX),
    }
}

/// The moment that all instances can be brought back to from one repository: that of the one whose snapshot is oldest.
fn newest(
    app: &App,
    outline: &Outline,
    sets: &std::collections::BTreeMap<(String, u32), Vec<Set>>,
) -> Option<Time> {
    let mut wanted: BTreeSet<(String, u32)> = BTreeSet::new();
    for group in outline.groups.keys() {
        let homes = app.homes.keys().filter(|(own, _)| own == group);
        wanted.extend(homes.cloned());
        if !wanted.iter().any(|(own, _)| own == group) {
            wanted.insert((group.clone(), 0));
        }
    }
    let of = |instance: &(String, u32)| {
        let items = outline.groups.get(&instance.0).map_or(0, Vec::len);
        let whole = |set: &&Set| set.whole && set.items.len() >= items;
        sets.get(instance)?.iter().find(whole).map(|set| set.taken)
    };
    wanted.iter().map(of).collect::<Option<Vec<_>>>()?.into_iter().min()
}

fn proven(policy: &Policy, outline: &Outline, copies: &[CopyStanding]) -> (Option<Time>, String) {
    if let Some(fault) = outline.fault.as_ref().or(policy.fault.as_ref()) {
        return (None, fault.clone());
    }
    if policy.skip {
        return (None, "backups of it are switched off".to_owned());
    }
    if outline.groups.is_empty() {
        return (None, "it has no data of its own".to_owned());
    }
    let names = |wanted: &dyn Fn(&&CopyStanding) -> bool| {
        let found: Vec<&str> = copies.iter().filter(wanted).map(|one| one.repository.as_str()).collect();
        found.join(", ")
    };
    let empty = names(&|one| one.newest.is_none());
    let unchecked = names(&|one| one.checked.is_none());
    let damaged = names(&|one| one.checked == Some(false));
    match (empty.as_str(), damaged.as_str(), unchecked.as_str()) {
        ("", "", "") => {
            let oldest = copies.iter().min_by_key(|one| one.newest);
            let why = oldest.map(|one| format!("{} is the one furthest behind", one.repository));
            let why = why.filter(|_| copies.len() > 1).unwrap_or_else(|| "stored and checked".to_owned());
            (oldest.and_then(|one| one.newest), why)
        }
        ("", "", some) => (None, format!("not checked yet: {some}")),
        ("", some, _) => (None, format!("the last check found damage in {some}")),
        (some, _, _) => (None, format!("no whole snapshot in {some}")),
    }
}

struct Drilled {
    took: Option<Duration>,
    at: Option<Time>,
    overdue: bool,
    why: String,
}

fn drill(state: &State, app: &App, policy: &Policy, now: Time) -> Drilled {
    let Some(drills) = &policy.drills else {
        let why = "drills are switched off".to_owned();
        return Drilled { took: None, at: None, overdue: false, why };
    };
    let over = |run: &&Run| {
        run.kind() == RunKind::Drill && run.app.as_ref() == Some(&app.key) && run.state.is_over()
    };
    let mut past: Vec<&Run> = state.runs.values().map(|run| &**run).filter(over).collect();
    past.retain(|run| run.state != RunState::Cancelled);
    past.sort_by_key(|run| run.ended);
    let took = |run: &Run| Some(run.ended?.since(run.began?));
    let good = |run: &&&Run| {
        run.state == RunState::Succeeded && took(run).is_some_and(|took| took <= drills.restore_within)
    };
    let passed = past.iter().rev().find(good);
    let at = passed.and_then(|run| run.ended);
    let old = at.is_none_or(|at| now.since(at) > drills.max_age);
    let (overdue, why) = match (past.last(), at) {
        // A young app's first one is yet to come.
        (None, _) => (now.since(app.created) > drills.max_age, "no drill has been done yet".to_owned()),
        (Some(last), _) if last.state == RunState::Succeeded && !good(&last) => {
            (true, "the last drill took longer than it may".to_owned())
        }
        (Some(last), _) if !good(&last) && last.state != RunState::Partial => {
            let reason = last.message.clone().unwrap_or_else(|| last.state.to_string());
            (true, format!("the last drill failed: {reason}"))
        }
        // What could not be probed was neither proven nor shown to be bad.
        (Some(last), _) if last.state == RunState::Partial => {
            let reason = last.message.clone().unwrap_or_else(|| last.state.to_string());
            let late = now.since(at.unwrap_or(app.created)) > drills.max_age;
            (late, format!("the last drill brought all back, and proved no more: {reason}"))
        }
        (Some(last), Some(_)) if !old => (false, format!("from repository {}", last.repository)),
        _ => (true, "the last drill that passed is too long ago".to_owned()),
    };
    Drilled { took: passed.and_then(|run| took(run)), at, overdue, why }
}

fn three_two_one(state: &State, copies: &[CopyStanding]) -> ThreeTwoOne {
    let counted = copies.iter().filter(|one| one.newest.is_some() && one.checked != Some(false));
    let places: Vec<&BackupRepository> =
        counted.filter_map(|one| state.repositories.get(&one.repository).map(|one| &**one)).collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let media: BTreeSet<Medium> = places.iter().map(|one| one.medium).collect();
    let mut found = ThreeTwoOne {
        copies: 1 + number(places.len()),
        media: number(media.len()),
        offsite: number(places.iter().filter(|one| one.offsite).count()),
        append_only: number(places.iter().filter(|one| one.offsite && one.append_only).count()),
        missing: Vec::new(),
    };
    let rules = [
        (found.copies < 3, format!("{} of 3 copies, the data itself among them", found.copies)),
        (found.media < 2, "one kind of medium where two are wanted".to_owned()),
        (found.offsite < 1, "nothing off site".to_owned()),
        (found.append_only < 1, "nothing off site that is append-only".to_owned()),
    ];
    found.missing = rules.into_iter().filter(|(missing, _)| *missing).map(|(_, why)| why).collect();
    found
}
