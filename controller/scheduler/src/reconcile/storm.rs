//! Whether so many hosts were lost at once that failover has to stop.
//!
//! Whether a loss belongs to a storm depends on when hosts were lost, not on when it is looked at: otherwise a storm
//! would end by itself after a while, and the first host of one that is noticed bit by bit would be replaced before
//! the second is counted.

use crate::index::{Held, Index};
use crate::plan::Halt;
use crate::problem::{Host, Storm};
use omni_common::ids::HostId;
use std::collections::BTreeSet;

/// The hosts lost in storms that nobody has drained, and what to say when any of them has something to replace.
pub(super) fn find(index: &Index) -> (Option<Halt>, BTreeSet<HostId>) {
    let policy = index.policy.storm;
    let mut lost: Vec<&Host> = index.hosts.iter().filter(|host| host.state.is_down()).collect();
    if lost.len() < 2 {
        return (None, BTreeSet::new());
    }
    lost.sort_by_key(|host| (host.state_since, host.id));
    let there = index.hosts.len() - lost.len();
    let mut storm: BTreeSet<HostId> = BTreeSet::new();
    let mut of = 0;
    for (first, host) in lost.iter().enumerate() {
        let until = host.state_since.as_millis().saturating_add(policy.window_ms);
        let last = lost.partition_point(|other| other.state_since.as_millis() <= until);
        let together = &lost[first..last];
        if is_storm(policy, together.len(), there + together.len()) {
            of = of.max(there + together.len());
            storm.extend(together.iter().map(|host| host.id));
        }
    }
    let halt = Halt { lost: storm.iter().map(|id| index.host_ref(*id)).collect(), of: of.max(storm.len()) };
    // An operator who drains a host that is down has looked, and wants what ran there elsewhere.
    storm.retain(|id| index.host_ix(*id).is_none_or(|ix| !index.host(ix).draining));
    let affected = |held: &Held| held.allocation.wanted() && storm.contains(&held.allocation.host);
    match index.groups.values().any(|entry| entry.held.iter().any(affected)) {
        true => (Some(halt), storm),
        false => (None, BTreeSet::new()),
    }
}

fn is_storm(policy: Storm, lost: usize, of: usize) -> bool {
    let share = lost.saturating_mul(100) > of.saturating_mul(policy.max_percent as usize);
    let number = policy.max_hosts.is_some_and(|most| lost > most as usize);
    lost > 1 && (share || number)
}
