//! Data on lost hosts: whether it comes back, and what is lost with it.

use super::App;
use super::apps::host_name;
use crate::backup::{Choice, Stranded, Unrescued, choose, stranded};
use crate::state::{AppKey, State};
use omni_common::api::v1::{StrandedState, StrandedView};
use omni_common::clock::Time;
use std::collections::BTreeMap;

impl App {
    /// What of each app waits for data, by app. Cheap where no host with data is down.
    pub(super) fn stranded(&self, state: &State) -> BTreeMap<AppKey, Vec<StrandedView>> {
        let mut found: BTreeMap<AppKey, Vec<StrandedView>> = BTreeMap::new();
        for one in stranded(state) {
            let view = self.stranded_view(state, &one);
            found.entry(one.app).or_default().push(view);
        }
        found
    }

    /// The same of one app.
    pub(super) fn stranded_of(&self, state: &State, key: &AppKey) -> Vec<StrandedView> {
        let of_app = stranded(state).into_iter().filter(|one| one.app == *key);
        of_app.map(|one| self.stranded_view(state, &one)).collect()
    }

    fn stranded_view(&self, state: &State, one: &Stranded) -> StrandedView {
        let (group, slot) = &one.instance;
        let down = state.hosts.get(&one.from).map_or(state.now, |host| host.status_since);
        let release = state.apps.get(&one.app).and_then(|app| app.wanted());
        let volumes =
            release.and_then(|release| release.groups.get(group)).map(|group| group.volumes.clone());
        let Outcome { state: stands, taken, allowed_ms, why } = self.outcome(state, one);
        let lost = taken.map(|taken| down.since(taken));
        StrandedView {
            group: group.clone(),
            slot: *slot,
            volumes: volumes.into_iter().flatten().collect(),
            host: one.from,
            host_name: host_name(state, one.from),
            down,
            state: stands,
            taken,
            lost_ms: lost.map(|lost| u64::try_from(lost.as_millis()).unwrap_or(u64::MAX)),
            allowed_ms,
            why,
        }
    }

    fn outcome(&self, state: &State, one: &Stranded) -> Outcome {
        if let Some(run) = state.open_runs().find(|run| one.is_rescued_by(run)) {
            let taken = run.taken.unwrap_or(run.created);
            let why = format!("data of {taken} is being brought back by run {}", run.id.short());
            return Outcome::new(StrandedState::Returning, Some(taken), why);
        }
        let outline =
            state.apps.get(&one.app).and_then(|app| self.releases.outline(state, &app.wanted()?.spec));
        let Some(outline) = outline else {
            return Outcome::new(StrandedState::Stuck, None, "its release cannot be read".to_owned());
        };
        match choose(state, &outline, one, None, self.clock.now()) {
            Choice::Take(_, set) => {
                let why = format!("its data of {} can come back once a host has room for it", set.taken);
                Outcome::new(StrandedState::Waiting, Some(set.taken), why)
            }
            Choice::Later(again) => {
                let why = format!("bringing its data back failed and is tried again at {again}");
                Outcome::new(StrandedState::Waiting, None, why)
            }
            Choice::Nothing(reason) => {
                let why = format!("its data does not come back: {reason}");
                match reason {
                    Unrescued::TooOld { taken, allowed_ms } => Outcome {
                        allowed_ms: Some(allowed_ms),
                        ..Outcome::new(StrandedState::TooOld, Some(taken), why)
                    },
                    Unrescued::NoSnapshot | Unrescued::Failed => {
                        Outcome::new(StrandedState::Stuck, None, why)
                    }
                }
            }
        }
    }
}

/// What can be said of data that is stranded.
struct Outcome {
    state: StrandedState,
    taken: Option<Time>,
    allowed_ms: Option<u64>,
    why: String,
}

impl Outcome {
    fn new(state: StrandedState, taken: Option<Time>, why: String) -> Self {
        Self { state, taken, allowed_ms: None, why }
    }
}
