//! One slot: who runs, who retires, who is lost.

use super::{Planner, Team};
use crate::choose::choose;
use crate::ids::Slot;
use crate::index::{Ask, Held};
use crate::problem::{AllocationState, Failover, HostState};
use crate::why::{PlaceWhy, StopWhy, Wait};
use std::collections::BTreeMap;

impl Planner<'_> {
    /// A slot of which something is meant to run.
    pub(super) fn settle(&mut self, team: &mut Team<'_>, slot: &[Held]) {
        // Nearly every slot of nearly every plan.
        if let [held] = slot
            && held.allocation.state == AllocationState::Healthy
            && !team.group.renew.contains_key(&held.allocation.slot)
            && held.host.is_some_and(|ix| {
                let host = self.index.host(ix);
                !host.state.is_down() && !host.departs()
            })
        {
            return self.note_misplaced(team, held);
        }
        let wanted: Vec<&Held> = slot.iter().filter(|held| held.allocation.wanted()).collect();
        if team.group.exclusive {
            self.settle_exclusive(team, slot, &wanted);
        } else {
            self.settle_shared(team, &wanted);
        }
    }

    /// The newest runs. An older one is kept while it is healthy and the newest is not.
    fn settle_shared(&mut self, team: &mut Team<'_>, wanted: &[&Held]) {
        let (running, lost): (Vec<&Held>, Vec<&Held>) = wanted.iter().partition(|held| self.runs(held));
        let Some((current, older)) = running.split_first() else {
            return self.replace_lost(team, &lost);
        };
        for held in lost {
            // Its place is taken, so it must not come back.
            self.stop(team, held, StopWhy::Replaced(current.allocation.epoch));
        }
        let keeper = keeper(current, older);
        for (place, held) in older.iter().enumerate() {
            if Some(place) != keeper {
                self.stop(team, held, StopWhy::Replaced(current.allocation.epoch));
            }
        }
        let Some(keeper) = keeper.map(|place| older[place]) else {
            return self.settle_running(team, current);
        };
        if team.group.renew.contains_key(&current.allocation.slot) {
            // It was to take over and is outdated before it could. What it was to take over from may be what is wanted
            // now; if that is outdated as well, it is renewed once it is the newest.
            return self.stop(team, current, StopWhy::Outdated);
        }
        if current.allocation.state == AllocationState::Failed {
            self.stop(team, current, StopWhy::Failed);
            return self.settle_running(team, keeper);
        }
        if keeper.host.is_some_and(|ix| self.index.host(ix).departs() && self.index.host(ix).expired) {
            self.stop(team, keeper, StopWhy::Overdue);
            return self.count_stopped(team, keeper);
        }
        let to = self.host_ref(current);
        self.wait_at(team, keeper, Wait::Handover(to));
    }

    /// The newest runs, and only once nothing older can.
    fn settle_exclusive(&mut self, team: &mut Team<'_>, slot: &[Held], wanted: &[&Held]) {
        let Some((current, older)) = wanted.split_first() else { return };
        for held in older {
            self.stop(team, held, StopWhy::Replaced(current.allocation.epoch));
        }
        if self.runs(current) {
            return self.settle_running(team, current);
        }
        self.lose(current);
        let others: Vec<&Held> =
            slot.iter().filter(|held| held.allocation.id != current.allocation.id).collect();
        if let Some(why) = self.stays_lost(team, current) {
            return self.wait_at(team, current, why);
        }
        if let Some(why) = self.not_fenced(current) {
            self.hold_room(team, current.allocation.slot);
            return self.wait_at(team, current, why);
        }
        if let Some(why) = self.blocked(others).or_else(|| self.data_away(team, current.allocation.slot)) {
            return self.wait_at(team, current, why);
        }
        self.place_lost(team, &[current]);
    }

    /// One instance on a host that can be told things.
    fn settle_running(&mut self, team: &mut Team<'_>, held: &Held) {
        let departs = held.host.is_some_and(|ix| self.index.host(ix).departs());
        if departs {
            self.depart(team, held);
        } else if team.group.renew.contains_key(&held.allocation.slot) {
            self.renew(team, held);
        } else if held.allocation.state == AllocationState::Failed {
            self.retry(team, held);
        } else {
            self.note_misplaced(team, held);
        }
    }

    /// All that run a slot are on lost hosts, and may run twice.
    fn replace_lost(&mut self, team: &mut Team<'_>, lost: &[&Held]) {
        for held in lost {
            self.lose(held);
        }
        let Some(newest) = lost.first() else { return };
        match self.stays_lost(team, newest) {
            Some(why) => self.wait_at(team, newest, why),
            None => self.place_lost(team, lost),
        }
    }

    fn place_lost(&mut self, team: &mut Team<'_>, lost: &[&Held]) {
        let Some(newest) = lost.first() else { return };
        let slot = newest.allocation.slot;
        match self.find(team, slot, None) {
            Ok(choice) => {
                let epoch = team.next_epoch(slot);
                for held in lost {
                    self.stop(team, held, StopWhy::Replaced(epoch));
                }
                let host = self.host_ref(newest);
                self.place(team, slot, choice, PlaceWhy::Lost(host));
            }
            Err(why) => self.wait_at(team, newest, why),
        }
    }

    /// Why a lost one is not replaced, however much room there is.
    fn stays_lost(&self, team: &Team<'_>, held: &Held) -> Option<Wait> {
        // Of a host that is gone for good there is nothing to wait for.
        held.host?;
        if self.storm.contains(&held.allocation.host) {
            Some(Wait::Storm)
        } else if held.allocation.pinned {
            Some(Wait::Pinned)
        } else if team.group.failover == Failover::Never {
            Some(Wait::Never)
        } else {
            None
        }
    }

    fn not_fenced(&self, held: &Held) -> Option<Wait> {
        (self.index.state(held) == HostState::Down { fenced: false }).then_some(Wait::Fence)
    }

    /// What of an exclusive slot may still run, so that nothing may be started.
    pub(super) fn blocked<'h>(&self, slot: impl IntoIterator<Item = &'h Held>) -> Option<Wait> {
        let running = slot.into_iter().find(|held| self.may_run(held))?;
        Some(self.not_fenced(running).unwrap_or_else(|| {
            Wait::Stopping(Box::new(running.allocation.reference()), self.host_ref(running))
        }))
    }

    /// Why an exclusive slot cannot be started because of where its data is.
    pub(super) fn data_away(&self, team: &mut Team<'_>, slot: Slot) -> Option<Wait> {
        let holders: BTreeMap<_, _> =
            team.group.data(slot).map(|(volume, host)| (host, volume.to_owned())).collect();
        if holders.len() > 1 {
            let parts = holders.into_iter().map(|(host, volume)| (volume, self.index.host_ref(host)));
            return Some(Wait::DataSplit(parts.collect()));
        }
        let (host, volume) = holders.into_iter().next()?;
        let there = self.index.host_ix(host).is_some_and(|ix| !self.index.host(ix).state.is_down());
        if there {
            return None;
        }
        let (holder, failover) = (self.index.host_ref(host), team.group.failover);
        let restore_on = (failover == Failover::Restore).then(|| self.where_to_restore(team, slot)).flatten();
        Some(Wait::Data { volume, holder, failover, restore_on })
    }

    /// The best host for a slot if its data were nowhere yet.
    pub(super) fn where_to_restore(&self, team: &mut Team<'_>, slot: Slot) -> Option<crate::HostRef> {
        let mut group = team.group.clone();
        group.volumes.clear();
        let ask = Ask::new(&group, slot, team.placed(self.index), None);
        let choice = choose(self.index, &self.rooms, &ask)?;
        Some(self.index.host_ref(self.index.host(choice.host).id))
    }

    /// Keeps room for an exclusive slot that has to wait for a moment, so that what comes later in the order does not
    /// take it.
    pub(super) fn hold_room(&mut self, team: &mut Team<'_>, slot: Slot) {
        let at_hand = !team.group.exclusive || self.data_away(team, slot).is_none();
        if at_hand && let Ok(choice) = self.find(team, slot, None) {
            self.take(team, slot, choice);
        }
    }

    /// One that failed is tried again elsewhere, a limited number of times.
    pub(super) fn retry(&mut self, team: &mut Team<'_>, held: &Held) {
        let slot = held.allocation.slot;
        if let Some(why) = self.failed_out(team, slot) {
            return self.wait_at(team, held, why);
        }
        if held.allocation.pinned {
            return self.wait_at(team, held, Wait::Pinned);
        }
        self.stop(team, held, StopWhy::Failed);
        if team.group.exclusive {
            return self.hold_room(team, slot);
        }
        // Where it is, it may hold the very ports that it needs; then a later plan places it, once it has stopped.
        if let Ok(choice) = self.find(team, slot, None) {
            let host = self.host_ref(held);
            self.place(team, slot, choice, PlaceWhy::Failed(host));
        }
    }

    /// Whether a slot failed more often than it is tried again.
    pub(super) fn failed_out(&self, team: &Team<'_>, slot: Slot) -> Option<Wait> {
        let times = u32::try_from(team.group.failures(slot).len()).unwrap_or(u32::MAX).max(1);
        let limit = team.group.max_reschedules;
        (times > limit).then_some(Wait::Failed { times, limit })
    }
}

/// Which of the older ones serves until the newest is healthy.
fn keeper(current: &Held, older: &[&Held]) -> Option<usize> {
    let healthy = |held: &Held| held.allocation.state == AllocationState::Healthy;
    older.iter().position(|held| !healthy(current) && healthy(held))
}
