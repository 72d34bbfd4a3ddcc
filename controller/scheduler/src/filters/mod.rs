//! Filters: whether a host can take a group at all. One a file; the table gives the order.
//!
//! A filter of [`Scope::Class`] looks only at what all hosts of a class have in common (see `index/class.rs`) and
//! is asked once for all of them. How to add one: `docs/how-to/add-a-scheduler-filter.md`.

mod constraints;
mod cordon;
mod data;
mod drain;
mod gpus;
mod images;
mod per_host;
mod platform;
mod ports;
mod region;
mod resources;
mod state;
mod taints;

pub(crate) use gpus::pick as pick_gpus;

use crate::index::{Ask, Room};
use crate::problem::Host;
use std::sync::LazyLock;

/// What a filter may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What all hosts of a class have in common, and of the question only the group.
    Class,
    /// Anything of the host.
    Host,
}

/// By how much a host misses, in the filter's own unit: of two misses of one filter, the smaller is the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shortfall(pub(crate) u64);

/// A host as a filter or a score sees it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) host: &'a Host,
    pub(crate) room: &'a Room,
}

/// One condition.
pub(crate) trait Filter: Sync {
    /// Its name in verdicts: one word.
    fn name(&self) -> &'static str;

    /// What it looks at.
    fn scope(&self) -> Scope;

    /// Whether the host passes. Called for thousands of hosts: no allocation, no text.
    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall>;

    /// What the host lacks, with numbers. Asked only after a miss.
    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String;
}

/// All filters. A host that gets further is nearer to fitting, so what changes least comes first.
pub(crate) const FILTERS: [&dyn Filter; 13] = [
    &platform::PlatformFilter,
    &region::RegionFilter,
    &constraints::ConstraintsFilter,
    &taints::TaintsFilter,
    &data::DataFilter,
    &state::StateFilter,
    &cordon::CordonFilter,
    &drain::DrainFilter,
    &images::ImagesFilter,
    &per_host::PerHostFilter,
    &ports::PortsFilter,
    &gpus::GpusFilter,
    &resources::ResourcesFilter,
];

/// A filter's place in the table, and by how much a host misses.
type Missed = (usize, Shortfall);

fn of_scope(scope: Scope) -> Vec<(usize, &'static dyn Filter)> {
    FILTERS.into_iter().enumerate().filter(|(_, filter)| filter.scope() == scope).collect()
}

static OF_CLASS: LazyLock<Vec<(usize, &dyn Filter)>> = LazyLock::new(|| of_scope(Scope::Class));
static OF_HOST: LazyLock<Vec<(usize, &dyn Filter)>> = LazyLock::new(|| of_scope(Scope::Host));

fn first<'f>(
    filters: impl Iterator<Item = (usize, &'f dyn Filter)>,
    ask: &Ask<'_>,
    view: View<'_>,
) -> Result<(), Missed> {
    for (place, filter) in filters {
        filter.check(ask, view).map_err(|shortfall| (place, shortfall))?;
    }
    Ok(())
}

/// The first filter that the host does not pass.
pub(crate) fn first_miss(ask: &Ask<'_>, view: View<'_>) -> Result<(), Missed> {
    first(FILTERS.into_iter().enumerate(), ask, view)
}

/// Whether what is there already may stay in another form: what only keeps new work away does not count.
pub(crate) fn may_stay(ask: &Ask<'_>, view: View<'_>) -> bool {
    const OF_NEW_WORK: [&dyn Filter; 4] =
        [&taints::TaintsFilter, &state::StateFilter, &cordon::CordonFilter, &drain::DrainFilter];
    let counts = |filter: &&dyn Filter| OF_NEW_WORK.iter().all(|other| other.name() != filter.name());
    FILTERS.iter().filter(|filter| counts(filter)).all(|filter| filter.check(ask, view).is_ok())
}

/// The first filter that no host of this one's class passes.
pub(crate) fn first_class_miss(ask: &Ask<'_>, view: View<'_>) -> Result<(), Missed> {
    first(OF_CLASS.iter().copied(), ask, view)
}

/// The first filter that the host itself does not pass.
pub(crate) fn first_host_miss(ask: &Ask<'_>, view: View<'_>) -> Result<(), Missed> {
    first(OF_HOST.iter().copied(), ask, view)
}

/// Why a host is not one that the group is meant for, as opposed to one that takes nothing new or has no room today.
/// A global group leaves such a host.
pub(crate) fn mismatch(ask: &Ask<'_>, view: View<'_>) -> Option<String> {
    const MATCHING: [&dyn Filter; 3] =
        [&platform::PlatformFilter, &region::RegionFilter, &constraints::ConstraintsFilter];
    MATCHING.iter().find(|filter| filter.check(ask, view).is_err()).map(|filter| filter.describe(ask, view))
}
