//! Data that is good only together with other data of the same moment: instances whose backups begin together.
//!
//! ```text
//! catalogue: same_moment ─▶ Bound, of each group ─▶ Moments, of each instance ─┬─▶ due.rs    begins all of them
//!                                                                             ├─▶ give.rs   gives out all or none
//!                                                                             └─▶ order.rs  names the others
//! ```
//! Components in one group are taken in one run anyway, one after the other.

use super::limits::Limits;
use super::plan::Outlines;
use super::policy::policy;
use crate::state::{App, AppKey, Goal, HostStatus, Run, RunKind, State, subject};
use omni_catalogue::{Catalogue, Component};
use std::collections::{BTreeMap, BTreeSet};

/// An instance of an app.
pub(super) type Who = (AppKey, (String, u32));

/// What of a group belongs together with what of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its components that have data.
    components: BTreeSet<String>,
    /// Components whose data has to be of the same moment.
    with: BTreeSet<String>,
}

impl Bound {
    /// A component with data.
    pub(super) fn add(&mut self, component: &Component, catalogue: &Catalogue) {
        self.components.insert(component.name.to_string());
        for other in &component.backup.same_moment {
            self.with.insert(other.to_string());
            // Where its databases lie with another, they are in that one's dump.
            let server = catalogue.get(other.as_str()).and_then(|other| other.backup.server.as_ref());
            self.with.extend(server.map(ToString::to_string));
        }
    }
}

/// Which instances go with which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moments(BTreeMap<Who, BTreeSet<Who>>);

impl Moments {
    /// As things are: only instances that are there and backed up, within one environment. Those of which there may never be
    /// so many at a time are taken each by itself.
    pub(super) fn of(state: &State, outlines: &Outlines, limits: &Limits) -> Self {
        if outlines.values().all(|outline| outline.bound.values().all(|bound| bound.with.is_empty())) {
            return Self::default();
        }
        let mut all: Vec<(Who, &Bound)> = Vec::new();
        for (key, outline) in outlines {
            let taken = |app: &&App| {
                let policy = policy(state, app, outline);
                app.goal == Goal::Run && !policy.skip && policy.fault.is_none() && policy.to.is_some()
            };
            if outline.bound.is_empty() || state.apps.get(key).map(|app| &**app).filter(taken).is_none() {
                continue;
            }
            let held = state.allocations_of(key).filter(|held| held.counts());
            let instances: BTreeSet<(String, u32)> =
                held.map(|held| (held.group.clone(), held.slot)).collect();
            let bound = instances.into_iter().filter_map(|instance| {
                let bound = outline.bound.get(&instance.0)?;
                Some(((key.clone(), instance), bound))
            });
            all.extend(bound);
        }
        let goes_with = |(one, bound): &(Who, &Bound), (other, of): &(Who, &Bound)| {
            let near = one.0.environment == other.0.environment;
            let same = (&one.0, &one.1.0) == (&other.0, &other.1.0);
            near && !same && bound.with.iter().any(|name| of.components.contains(name))
        };
        let mut moments = BTreeMap::new();
        for one in &all {
            let with: BTreeSet<Who> =
                all.iter().filter(|other| goes_with(one, other)).map(|(who, _)| who.clone()).collect();
            if !with.is_empty() {
                moments.insert(one.0.clone(), with);
            }
        }
        let room = limits.per_host.min(limits.per_repository) as usize;
        let all = Self(moments);
        let fits = all.0.keys().filter(|who| all.reached(who).len() <= room).cloned();
        let fits: BTreeSet<Who> = fits.collect();
        Self(all.0.into_iter().filter(|(who, _)| fits.contains(who)).collect())
    }

    /// All that begin when one does, itself among them.
    fn reached(&self, who: &Who) -> BTreeSet<Who> {
        let (mut all, mut open) = (BTreeSet::new(), vec![who.clone()]);
        while let Some(one) = open.pop() {
            if all.insert(one.clone()) {
                open.extend(self.with(&one).cloned());
            }
        }
        all
    }

    /// Whose backups begin with that of an instance.
    pub(super) fn with(&self, who: &Who) -> impl Iterator<Item = &Who> {
        self.0.get(who).into_iter().flatten()
    }

    /// The same, and those that begin its own.
    pub(super) fn around(&self, who: &Who) -> BTreeSet<&Who> {
        let begins_it = self.0.iter().filter(|(_, with)| with.contains(who)).map(|(other, _)| other);
        self.with(who).chain(begins_it).collect()
    }

    /// Whose name decides how much later than its time a backup begins: of those that begin each other the first, so that
    /// they are due at one moment.
    pub(super) fn lead(&self, who: &Who) -> String {
        let mutual = self.with(who).filter(|other| self.with(other).any(|back| back == who));
        let first = mutual.chain([who]).min().unwrap_or(who);
        subject(Some(&first.0), Some(&first.1), "")
    }

    /// The runs of a queue that are given out together with one of them, itself among them; or why it waits for another.
    pub(super) fn company<'r>(
        &self,
        state: &State,
        queue: &[&'r Run],
        run: &'r Run,
    ) -> Result<Vec<&'r Run>, String> {
        let mut all = vec![run];
        let mut next = 0;
        while let Some(one) = all.get(next).and_then(|run| of(run)) {
            next += 1;
            for partner in self.with(&one) {
                if all.iter().any(|known| of(known).as_ref() == Some(partner)) {
                    continue;
                }
                match queue.iter().find(|other| of(other).as_ref() == Some(partner)) {
                    Some(other) => all.push(*other),
                    None => return Err(waits(state, partner)),
                }
            }
        }
        Ok(all)
    }
}

/// The instance that a backup is of.
pub(super) fn of(run: &Run) -> Option<Who> {
    let own = run.kind() == RunKind::Backup;
    Some((run.app.clone().filter(|_| own)?, run.instance.clone()?))
}

fn waits(state: &State, partner: &Who) -> String {
    let name = subject(Some(&partner.0), Some(&partner.1), "");
    let down = state
        .allocations_of(&partner.0)
        .filter(|held| held.counts() && (&held.group, held.slot) == (&partner.1.0, partner.1.1))
        .find_map(|held| state.hosts.get(&held.host).filter(|host| host.status != HostStatus::Up));
    let open = state.open_runs().any(|run| of(run).as_ref() == Some(partner));
    let why = match (down, open) {
        (Some(host), _) => format!("host {} is not up", host.name),
        (None, true) => "a backup of it is under way".to_owned(),
        (None, false) => "its backup has yet to begin".to_owned(),
    };
    format!("it is taken at the same moment as {name}, and {why}")
}
