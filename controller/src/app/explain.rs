//! Why an app runs where it runs, and why not elsewhere.

use super::apps::{NoIds, find_app};
use super::{App, AppError};
use crate::rollout;
use crate::state::State;
use omni_common::api::v1::{Explanation, GroupExplanation, HostExplanation};
use omni_scheduler::{GroupKey, HostVerdict, Index};

impl App {
    /// Each host's verdict for each group of an app.
    pub fn explain_app(&self, state: &State, environment: &str, name: &str) -> Result<Explanation, AppError> {
        let app = find_app(state, environment, name)?;
        let now = self.clock.now();
        let index = Index::new(rollout::problem_of(state, &self.foreign(), now));
        let waiting = rollout::decide(state, &self.foreign(), now, &mut NoIds).plan.waiting;
        let groups = app.wanted().into_iter().flat_map(|release| release.groups.keys());
        let groups = groups.map(|group| {
            let key = GroupKey::new(environment, name, group);
            let waits = waiting.iter().filter(|wait| wait.group == key);
            GroupExplanation {
                group: group.clone(),
                waiting: waits.map(|wait| wait.why.to_string()).collect(),
                hosts: index.explain(&key, None).unwrap_or_default().iter().map(verdict).collect(),
            }
        });
        Ok(Explanation { groups: groups.collect() })
    }
}

fn verdict(verdict: &HostVerdict) -> HostExplanation {
    let misses = verdict.filters.iter().filter_map(|filter| filter.miss.clone());
    HostExplanation {
        host: verdict.host.name.to_string(),
        runs: !verdict.running.is_empty(),
        fits: verdict.eligible,
        against: misses.collect(),
        score: verdict.eligible.then_some(verdict.points),
        parts: verdict.scores.iter().map(|part| format!("{} {:+}", part.score, part.points)).collect(),
    }
}
