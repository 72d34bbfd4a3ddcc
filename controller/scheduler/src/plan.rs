//! What a plan says: steps, and why nothing happens where nothing does.

use crate::ids::{AllocationRef, GroupKey, HostRef, Slot};
use crate::why::{Note, PlaceWhy, StopWhy, Wait};
use std::fmt;
use std::sync::Arc;

/// A card, or a share of it, that an allocation may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuGrant {
    /// The card.
    pub uuid: Arc<str>,
    /// Memory reserved on it, bytes.
    pub memory: u64,
    /// Its share in percent; absent: the whole card, alone.
    pub share: Option<u32>,
}

/// A new allocation, to be minted by whoever carries the plan out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its group.
    pub group: GroupKey,
    /// Its slot.
    pub slot: Slot,
    /// Its host.
    pub host: HostRef,
    /// Its epoch: above every earlier one of the slot.
    pub epoch: u64,
    /// The cards it may use.
    pub gpus: Vec<GpuGrant>,
}

/// One change. Each names what it was planned for, so that an outdated one can be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is known of this allocation any more: show it as lost. What it is told stays as it is.
    Lose {
        /// Which.
        allocation: AllocationRef,
        /// The lost host.
        host: HostRef,
    },
    /// Tell the host to stop it; a lost host hears it when it returns. One whose state is `Stopped` already counts as
    /// pending from now on, until its agent has said that it stopped *after* it was told to: what was seen before
    /// may have been started again since.
    Stop {
        /// Which.
        allocation: AllocationRef,
        /// Where it is.
        host: HostRef,
        /// Why.
        why: StopWhy,
    },
    /// Make a new allocation.
    Place {
        /// What and where.
        placement: Placement,
        /// Why.
        why: PlaceWhy,
    },
    /// Make a new allocation beside one that keeps running until the new one is healthy; a later plan stops it.
    Move {
        /// The one that is moved.
        from: AllocationRef,
        /// Where it is.
        from_host: HostRef,
        /// What and where.
        placement: Placement,
        /// Why.
        why: PlaceWhy,
    },
    /// Have its host turn an allocation into one of the wanted form: it keeps its identity, and gets a new epoch.
    Renew {
        /// Which, as it is.
        allocation: AllocationRef,
        /// What it becomes, on the host where it is.
        placement: Placement,
    },
}

/// Something that is wanted and does not happen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub group: GroupKey,
    /// Which instance.
    pub slot: Slot,
    /// Where it is or should be, when that is settled.
    pub host: Option<HostRef>,
    /// What it waits for.
    pub why: Wait,
}

/// Failover has stopped: so many hosts are lost at once that a person has to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// The hosts lost at once.
    pub lost: Vec<HostRef>,
    /// Of how many that were there.
    pub of: usize,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order: the more important and what others depend on first.
    pub steps: Vec<Step>,
    /// Why nothing happens where something is wanted.
    pub waiting: Vec<Waiting>,
    /// What an operator should know.
    pub notes: Vec<Note>,
    /// Failover, draining and rebalancing have stopped, and why.
    pub halted: Option<Halt>,
}

impl Step {
    /// The group that it is about.
    pub fn group(&self) -> &GroupKey {
        match self {
            Self::Lose { allocation, .. }
            | Self::Stop { allocation, .. }
            | Self::Renew { allocation, .. } => &allocation.group,
            Self::Place { placement, .. } | Self::Move { placement, .. } => &placement.group,
        }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}@{} on {}", self.group, self.slot, self.epoch, self.host)?;
        for grant in &self.gpus {
            write!(f, " gpu {}", grant.uuid)?;
            if let Some(share) = grant.share {
                write!(f, " {share}%")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lose { allocation, host } => write!(f, "lose {allocation} on {host}"),
            Self::Stop { allocation, host, why } => write!(f, "stop {allocation} on {host}: {why}"),
            Self::Place { placement, why } => write!(f, "place {placement}: {why}"),
            Self::Move { from, from_host, placement, why } => {
                write!(f, "move {from} on {from_host} to {}@{}", placement.host, placement.epoch)?;
                write!(f, ": {why}")
            }
            Self::Renew { allocation, placement } => {
                write!(f, "renew {allocation} on {} as @{}", placement.host, placement.epoch)?;
                placement.gpus.iter().try_for_each(|grant| write!(f, " gpu {}", grant.uuid))?;
                f.write_str(": what differs is replaced")
            }
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wait {}{}", self.group, self.slot)?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// How many lost hosts are named before the rest is counted.
const NAMED: usize = 8;

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.lost.iter().take(NAMED).map(|host| &*host.name).collect();
        write!(f, "{} of {} hosts were lost at once ({}", self.lost.len(), self.of, names.join(", "))?;
        if self.lost.len() > NAMED {
            write!(f, " and {} more", self.lost.len() - NAMED)?;
        }
        f.write_str(
            "): what ran there is not replaced until some return; `omni drain HOST` replaces it all the same",
        )
    }
}

/// One line each: the form that people are shown and that tests compare.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(halt) = &self.halted {
            writeln!(f, "halt: {halt}")?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        self.waiting.iter().try_for_each(|waiting| writeln!(f, "{waiting}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
