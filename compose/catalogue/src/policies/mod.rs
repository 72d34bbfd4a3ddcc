//! When, where to and for how long components are backed up, and how that is proven.
//!
//! ```text
//! compose/backup/policies/effective.yaml (embedded) ─┐
//!                                                    ├─▶ file.rs ─▶ check.rs ─▶ Policies
//! the operator's own file, in its place ─────────────┘    strict     every problem at once
//! ```
//!
//! The file is made by `compose/backup/scripts/policy.py` from what people write, and holds one flat block for each
//! component and for each tier: nothing is inherited any more. What its keys mean stands in
//! `compose/backup/policies/README.md`.

mod check;
mod file;
mod rules;

pub use file::{
    Access, CatchUp, CatchUpAfter, CatchUpMode, Check, Credentials, Limits, Maintenance, Medium, Prune, Via,
};
pub use rules::{Compare, DrillRules, Engine, Probe, ProbeKind, RepositoryRules, RestoreInto, Rules};

use crate::error::{Error, Problems, Result};
use crate::load::{self, Source};
use crate::{Catalogue, Tier};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The policies that come with omni.
const BUILTIN: (&str, &str) =
    ("built-in effective.yaml", include_str!("../../../backup/policies/effective.yaml"));

/// What holds for backups unless somebody says otherwise. One that exists has been checked.
#[derive(Clone, Debug)]
pub struct Policies {
    time_zone: String,
    catch_up: CatchUp,
    limits: Limits,
    repositories: BTreeMap<String, RepositoryRules>,
    tiers: BTreeMap<Tier, Arc<Rules>>,
    maintenance: BTreeMap<Tier, Maintenance>,
    components: BTreeMap<String, Arc<Rules>>,
    /// What the file says of components beside their rules, to be held against a catalogue.
    said: BTreeMap<String, file::Said>,
}

impl Policies {
    /// What comes with omni.
    pub fn builtin() -> Arc<Self> {
        Arc::clone(&EMBEDDED)
    }

    /// What a file says, in place of what comes with omni.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(&load::read_file(path.as_ref())?)
    }

    fn read(source: &Source) -> Result<Self> {
        let file: file::File =
            load::parse(source).map_err(|problem| Error::Policies(Problems(vec![problem])))?;
        let problems = check::problems(&source.file, &file);
        if !problems.is_empty() {
            return Err(Error::Policies(Problems(problems)));
        }
        let maintenance = file.tiers.iter().map(|(tier, rules)| (*tier, rules.maintenance.clone())).collect();
        let said = file.said();
        Ok(Self {
            time_zone: file.time_zone,
            catch_up: file.catch_up,
            limits: file.limits,
            repositories: file.repositories,
            tiers: file.tiers.into_iter().map(|(tier, rules)| (tier, Arc::new(rules.into()))).collect(),
            maintenance,
            components: file
                .policies
                .into_iter()
                .map(|(name, rules)| (name.to_string(), Arc::new(rules.value.into())))
                .collect(),
            said,
        })
    }

    /// The rules of a component; absent for one that has no data of its own, and for one that the file does not know.
    pub fn component(&self, name: &str) -> Option<&Arc<Rules>> {
        self.components.get(name)
    }

    /// The components that have rules, by name.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Arc<Rules>)> {
        self.components.iter().map(|(name, rules)| (name.as_str(), rules))
    }

    /// The rules of data that belongs to no component.
    pub fn tier(&self, tier: Tier) -> &Arc<Rules> {
        self.tiers.get(&tier).expect("a file without one of the tiers is refused")
    }

    /// What is said of a repository of this name.
    pub fn repository(&self, name: &str) -> Option<&RepositoryRules> {
        self.repositories.get(name)
    }

    /// When a repository that has a name of its own is pruned and checked: as often as the strictest tier's.
    pub fn usual_maintenance(&self) -> &Maintenance {
        self.maintenance.get(&Tier::Critical).expect("a file without one of the tiers is refused")
    }

    /// Time zone of maintenance, and of schedules that name none.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// What is made up for after downtime.
    pub fn catch_up(&self) -> CatchUp {
        self.catch_up
    }

    /// How many runs there are at a time.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Where these were made from another catalogue than this one, a sentence each: then they are to be made anew.
    pub fn stale(&self, catalogue: &Catalogue) -> Vec<String> {
        check::stale(&self.said, catalogue)
    }
}

/// Parsed once: it never changes while the program runs.
static EMBEDDED: LazyLock<Arc<Policies>> = LazyLock::new(|| {
    let source = Source { file: BUILTIN.0.into(), text: BUILTIN.1.to_owned() };
    Arc::new(Policies::read(&source).expect("the built-in policies are checked by a test"))
});

#[cfg(test)]
mod tests;
