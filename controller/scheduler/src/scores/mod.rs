//! Scores: which of the hosts that can take a group is the best. Points add up; the most wins, and a tie goes to
//! the host nearest on the ring from where the slot begins to look.
//!
//! The unit is what one more instance in a zone costs, 2,000 points. What is below that (balance, images) decides
//! within a zone and never across; what is above (another of the group on one host, the data elsewhere) does.

mod balance;
mod crowding;
mod data;
mod failures;
mod gpus;
mod images;
mod spread;
mod stability;

use crate::filters::{Scope, View};
use crate::index::Ask;
use std::sync::LazyLock;

/// One reason to prefer a host.
pub(crate) trait Score: Sync {
    /// Its name in verdicts: one word.
    fn name(&self) -> &'static str;

    /// What it looks at.
    fn scope(&self) -> Scope;

    /// Points; called for many hosts.
    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64;
}

/// All scores.
pub(crate) const SCORES: [&dyn Score; 8] = [
    &spread::SpreadScore,
    &crowding::CrowdingScore,
    &data::DataScore,
    &failures::FailuresScore,
    &stability::StabilityScore,
    &images::ImagesScore,
    &balance::BalanceScore,
    &gpus::GpusScore,
];

fn of_scope(scope: Scope) -> Vec<&'static dyn Score> {
    SCORES.into_iter().filter(|score| score.scope() == scope).collect()
}

static OF_CLASS: LazyLock<Vec<&dyn Score>> = LazyLock::new(|| of_scope(Scope::Class));
static OF_HOST: LazyLock<Vec<&dyn Score>> = LazyLock::new(|| of_scope(Scope::Host));

/// The most points of host scope that a host of this load can have which the question does not name itself (as the
/// one with the data, or where the slot was before), its images left out. What cannot win even with these is not
/// looked at.
pub(crate) fn most_at(load: u8) -> i64 {
    balance::at(load)
}

/// The sum of all scores.
pub(crate) fn points(ask: &Ask<'_>, view: View<'_>) -> i64 {
    SCORES.iter().map(|score| score.points(ask, view)).sum()
}

/// The sum of what is the same for all hosts of this one's class.
pub(crate) fn class_points(ask: &Ask<'_>, view: View<'_>) -> i64 {
    OF_CLASS.iter().map(|score| score.points(ask, view)).sum()
}

/// The sum of the rest.
pub(crate) fn host_points(ask: &Ask<'_>, view: View<'_>) -> i64 {
    OF_HOST.iter().map(|score| score.points(ask, view)).sum()
}
