//! Groups that run on every host that matches.

use super::{Planner, Team};
use crate::choose::Choice;
use crate::filters::{FILTERS, first_class_miss, first_host_miss, mismatch, pick_gpus};
use crate::ids::Slot;
use crate::index::{Ask, Held, HostIx};
use crate::problem::AllocationState;
use crate::why::{Miss, NoHost, PlaceWhy, StopWhy, Wait};

impl Planner<'_> {
    pub(super) fn global(&mut self, team: &mut Team<'_>) {
        let entry = team.entry;
        for held in entry.held.iter().filter(|held| held.allocation.wanted()) {
            // From a time when the group had a number of replicas, or on a host that is gone.
            if held.allocation.slot != Slot::Host(held.allocation.host) || held.host.is_none() {
                self.stop(team, held, StopWhy::NotWanted);
            }
        }
        for ix in self.index.host_ixs() {
            self.on_host(team, ix);
        }
    }

    fn on_host(&mut self, team: &mut Team<'_>, ix: HostIx) {
        let slot = Slot::Host(self.index.host(ix).id);
        let here = team.entry.of_slot(slot);
        let mut wanted = here.iter().filter(|held| held.allocation.wanted() && held.host == Some(ix));
        let Some(current) = wanted.next() else { return self.start_on(team, slot, ix, here) };
        for older in wanted {
            self.stop(team, older, StopWhy::Replaced(current.allocation.epoch));
        }
        self.keep_on(team, ix, current);
    }

    /// One that is meant to run on its host.
    fn keep_on(&mut self, team: &mut Team<'_>, ix: HostIx, held: &Held) {
        let host = self.index.host(ix);
        if host.state.is_down() {
            self.lose(held);
            return self.wait_at(team, held, Wait::HostDown);
        }
        let slot = held.allocation.slot;
        let no_match = {
            let ask = Ask::new(team.group, slot, team.placed(self.index), None);
            mismatch(&ask, self.index.view(&self.rooms, ix))
        };
        if let Some(why) = no_match {
            self.stop(team, held, StopWhy::NoMatch(why));
            self.count_stopped(team, held);
        } else if host.departs() {
            self.leave(team, held);
        } else if team.group.renew.contains_key(&slot) {
            // One on each host: there is no second place to start first.
            self.stop(team, held, StopWhy::Outdated);
            self.count_stopped(team, held);
        } else if held.allocation.state == AllocationState::Failed {
            match self.failed_out(team, slot) {
                Some(why) => self.wait_at(team, held, why),
                None => self.stop(team, held, StopWhy::Failed),
            }
        }
    }

    /// Its host is emptied; there is no other place for it.
    fn leave(&mut self, team: &mut Team<'_>, held: &Held) {
        let stays = if self.plan.halted.is_some() {
            Err(Wait::Storm)
        } else if held.allocation.pinned {
            Err(Wait::Pinned)
        } else {
            self.leaves_enough(team, held)
        };
        let overdue = held.host.is_some_and(|ix| self.index.host(ix).overdue);
        match stays {
            Err(why) if !overdue || why == Wait::Storm => self.wait_at(team, held, why),
            Ok(()) | Err(_) => {
                self.stop(team, held, StopWhy::Drain(None));
                self.count_stopped(team, held);
            }
        }
    }

    /// Starts the group on a host that matches and has room. A host that does not match, or gets nothing new, is no
    /// place where the group is missing.
    fn start_on(&mut self, team: &mut Team<'_>, slot: Slot, ix: HostIx, before: &[Held]) {
        let host = self.index.host(ix);
        let ask = Ask::new(team.group, slot, team.placed(self.index), None);
        let view = self.index.view(&self.rooms, ix);
        if first_class_miss(&ask, view).is_err() {
            return;
        }
        let there = Some(self.index.host_ref(host.id));
        if let Some(why) = self.blocked(before) {
            // There is no other host for this slot, so it waits even where two could run.
            return self.wait(team.group, slot, there, why);
        }
        if let Err((filter, _)) = first_host_miss(&ask, view) {
            let (filter, text) = (FILTERS[filter].name(), FILTERS[filter].describe(&ask, view));
            let nearest = Some(Miss { host: self.index.host_ref(host.id), filter, text });
            let why = Wait::NoHost(NoHost { nearest, out: vec![(filter, 1)] });
            return self.wait(team.group, slot, there, why);
        }
        let gpus = match &team.group.gpus {
            Some(demand) => pick_gpus(demand, host, view.room).unwrap_or_default(),
            None => Vec::new(),
        };
        self.place(team, slot, Choice { host: ix, points: 0, gpus }, PlaceWhy::Missing);
    }
}
