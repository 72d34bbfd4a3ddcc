//! The runs that are named, how far each is, and who is next. Pure.

use super::claim::Claim;
use super::kept::Kept;
use omni_common::domain::backup::{RunOrder, RunOutcome};
use omni_common::ids::RunId;
use omni_common::wire::{DesiredRuns, MAX_RUNS_PER_HOST, RunReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far a run is.
#[derive(Clone, Debug)]
enum Stage {
    /// Its order has not been fetched.
    Unknown,
    /// Its order is here.
    Ready(Arc<RunOrder>, Claim),
    /// It is under way.
    Running(Claim),
    /// It is under way and no longer named, so it was told to end.
    Ending(Claim),
    /// It is over.
    Over(RunOutcome),
}

/// All that is known of runs.
#[derive(Debug, Default)]
pub(super) struct Book {
    generation: u64,
    /// In the order in which they should be done.
    named: Vec<RunId>,
    /// Whether a list has been heard since the agent started.
    heard: bool,
    stages: BTreeMap<RunId, Stage>,
    /// What the host is at by itself.
    aside: Option<Claim>,
    /// What this session has not been told yet.
    untold: BTreeSet<RunId>,
}

impl Book {
    pub(super) fn new(kept: Kept) -> Self {
        let stages: BTreeMap<_, _> =
            kept.outcomes.into_iter().map(|(run, outcome)| (run, Stage::Over(outcome))).collect();
        Self { generation: kept.generation, stages, ..Self::default() }
    }

    /// What has to outlive the process.
    pub(super) fn kept(&self) -> Kept {
        let over = |(run, stage): (&RunId, &Stage)| match stage {
            Stage::Over(outcome) => Some((*run, outcome.clone())),
            _ => None,
        };
        Kept { generation: self.generation, outcomes: self.stages.iter().filter_map(over).collect() }
    }

    /// Takes up a list that is not older than the one known; returns the runs that are to be given up.
    pub(super) fn desire(&mut self, desired: DesiredRuns) -> Vec<RunId> {
        if desired.runs.len() > MAX_RUNS_PER_HOST {
            tracing::error!(runs = desired.runs.len(), "list of runs is over the limit, ignored");
            return Vec::new();
        }
        // The list itself is not kept over a restart, so the same generation is taken up once.
        if desired.generation < self.generation || (self.heard && desired.generation == self.generation) {
            return Vec::new();
        }
        self.heard = true;
        self.generation = desired.generation;
        self.named = desired.runs;
        let named: BTreeSet<RunId> = self.named.iter().copied().collect();
        let mut given_up = Vec::new();
        for (run, stage) in &mut self.stages {
            if let (false, Stage::Running(claim)) = (named.contains(run), &*stage) {
                *stage = Stage::Ending(claim.clone());
                given_up.push(*run);
            }
        }
        self.stages.retain(|run, stage| named.contains(run) || matches!(stage, Stage::Ending(_)));
        for run in &self.named {
            self.stages.entry(*run).or_insert(Stage::Unknown);
        }
        self.untold.retain(|run| named.contains(run));
        given_up
    }

    /// The next run whose order should be fetched, when there is room for it among `most`.
    pub(super) fn wanted(&self, most: usize, not_yet: impl Fn(RunId) -> bool) -> Option<RunId> {
        let busy =
            self.stages.values().filter(|stage| !matches!(stage, Stage::Unknown | Stage::Over(_))).count();
        let unknown = |run: &&RunId| matches!(self.stages.get(*run), Some(Stage::Unknown));
        self.named.iter().filter(unknown).find(|run| busy < most && !not_yet(**run)).copied()
    }

    /// An order arrived; it counts when its run is still waiting for it.
    pub(super) fn provide(&mut self, order: RunOrder) {
        if let Some(stage @ Stage::Unknown) = self.stages.get_mut(&order.id) {
            let claim = Claim::of(&order);
            *stage = Stage::Ready(Arc::new(order), claim);
        }
    }

    /// The runs that begin now, marked as such: in the named order, at most `most` at once, none that conflicts with one
    /// under way or with one that waits longer, and none that is `held`.
    pub(super) fn begin(&mut self, most: usize, held: impl Fn(&RunOrder) -> bool) -> Vec<Arc<RunOrder>> {
        let mut ahead: Vec<Claim> = self.aside.iter().cloned().collect();
        for stage in self.stages.values() {
            if let Stage::Running(claim) | Stage::Ending(claim) = stage {
                ahead.push(claim.clone());
            }
        }
        let (mut under_way, mut begun) = (ahead.len(), Vec::new());
        for run in &self.named {
            let Some(stage) = self.stages.get_mut(run) else { continue };
            let Stage::Ready(order, claim) = &*stage else { continue };
            let (order, claim) = (order.clone(), claim.clone());
            let free = !held(&order) && !ahead.iter().any(|other| other.conflicts(&claim));
            ahead.push(claim.clone());
            if free && under_way < most {
                *stage = Stage::Running(claim);
                under_way += 1;
                self.untold.insert(*run);
                begun.push(order);
            }
        }
        begun
    }

    /// The host begins something by itself, or has done it.
    pub(super) fn aside(&mut self, claim: Option<Claim>) {
        self.aside = claim;
    }

    /// A run is over. What was given up is forgotten, or begun anew when it has been named again meanwhile.
    pub(super) fn ended(&mut self, run: RunId, outcome: RunOutcome) {
        match self.stages.get_mut(&run) {
            Some(stage @ Stage::Running(_)) | Some(stage @ Stage::Unknown) => {
                *stage = Stage::Over(outcome);
                self.untold.insert(run);
            }
            Some(stage @ Stage::Ending(_)) => match self.named.contains(&run) {
                true => *stage = Stage::Unknown,
                false => drop(self.stages.remove(&run)),
            },
            _ => {}
        }
    }

    /// A session begins: everything that is known of named runs is told again.
    pub(super) fn rewind(&mut self) {
        let told = |(_, stage): &(&RunId, &Stage)| matches!(stage, Stage::Running(_) | Stage::Over(_));
        self.untold = self.stages.iter().filter(told).map(|(run, _)| *run).collect();
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.untold.is_empty()
    }

    /// The next thing to tell.
    pub(super) fn take(&mut self) -> Option<RunReport> {
        loop {
            let run = self.untold.pop_first()?;
            match self.stages.get(&run) {
                Some(Stage::Over(outcome)) => return Some(RunReport { run, outcome: Some(outcome.clone()) }),
                Some(Stage::Running(_)) => return Some(RunReport { run, outcome: None }),
                _ => {}
            }
        }
    }
}
