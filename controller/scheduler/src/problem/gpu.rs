//! GPUs: what a host has, and what a group asks for.

use std::sync::Arc;

/// A card of a host, or a slice of one that containers ask for by its own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// The vendor's stable id; how a grant names it.
    pub uuid: Arc<str>,
    /// Index on its host.
    pub index: u32,
    /// Model name, as the driver says it.
    pub model: String,
    /// Memory, bytes; absent when the driver does not say.
    pub memory: Option<u64>,
    /// Memory that processes outside omni's allocations use, bytes.
    pub foreign_memory: u64,
    /// Processes on it outside omni's allocations.
    pub foreign_users: u32,
}

/// How many cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuCount {
    /// This many.
    Count(u32),
    /// Every card of the host that fits the rest of the demand; at least one.
    All,
}

/// What a group asks of a host's GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuDemand {
    /// How many cards.
    pub count: GpuCount,
    /// Only these cards, by uuid or index; any when empty.
    pub ids: Vec<String>,
    /// Words that the model's name holds, in any case: `L4`, `A100`.
    pub model: Option<String>,
    /// Memory free on each card, bytes; reserved for the allocation.
    pub memory: Option<u64>,
    /// The share of each card in percent, when it is shared. Absent: the whole card, alone.
    pub share: Option<u32>,
}

impl Gpu {
    /// Whether the card is of those that are asked for, taken or not.
    pub(crate) fn suits(&self, demand: &GpuDemand) -> bool {
        let named = |id: &String| **id == *self.uuid || *id == self.index.to_string();
        let of_model = |wanted: &String| self.model.to_lowercase().contains(&wanted.to_lowercase());
        demand.model.as_ref().is_none_or(of_model) && (demand.ids.is_empty() || demand.ids.iter().any(named))
    }
}
