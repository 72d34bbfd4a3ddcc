//! Off hosts that are drained or leave.

use super::{Planner, Team};
use crate::choose::Choice;
use crate::index::Held;
use crate::plan::Step;
use crate::problem::{AllocationState, Failover};
use crate::why::{PlaceWhy, StopWhy, Wait};

impl Planner<'_> {
    /// An instance that runs on a host that is being emptied.
    pub(super) fn depart(&mut self, team: &mut Team<'_>, held: &Held) {
        match self.may_depart(team, held) {
            Err(why @ (Wait::Storm | Wait::Moves(_))) => self.wait_at(team, held, why),
            Err(_) if held.host.is_some_and(|ix| self.index.host(ix).overdue) => {
                self.stop(team, held, StopWhy::Overdue);
                self.count_stopped(team, held);
            }
            Err(why) => self.wait_at(team, held, why),
            Ok(choice) if team.group.exclusive => self.stop_first(team, held, choice),
            Ok(choice) if held.allocation.state == AllocationState::Healthy => {
                self.start_first(team, held, choice, PlaceWhy::Drain);
            }
            Ok(choice) => self.swap(team, held, choice, PlaceWhy::Drain),
        }
    }

    /// Where it goes, or why it stays for now.
    fn may_depart(&self, team: &mut Team<'_>, held: &Held) -> Result<Choice, Wait> {
        let allocation = &held.allocation;
        if self.plan.halted.is_some() {
            return Err(Wait::Storm);
        }
        if allocation.pinned {
            return Err(Wait::Pinned);
        }
        if team.group.exclusive
            && let Some((volume, holder)) = team.group.data(allocation.slot).next()
        {
            let (volume, holder) = (volume.to_owned(), self.index.host_ref(holder));
            let failover = team.group.failover;
            let restores = failover == Failover::Restore;
            let restore_on = restores.then(|| self.where_to_restore(team, allocation.slot)).flatten();
            return Err(Wait::Data { volume, holder, failover, restore_on });
        }
        // Moves that fail again and again must end.
        if !team.group.failures(allocation.slot).is_empty()
            && let Some(why) = self.failed_out(team, allocation.slot)
        {
            return Err(why);
        }
        self.moves_left(team)?;
        if team.group.exclusive {
            self.leaves_enough(team, held)?;
        }
        // The successor may be where the one that goes was counted.
        team.leave(self.index, held);
        let found = self.find(team, allocation.slot, None);
        if found.is_err() {
            team.stay(self.index, held);
        }
        found
    }

    /// Whether one more slot may be in motion.
    pub(super) fn moves_left(&self, team: &Team<'_>) -> Result<(), Wait> {
        let (of_group, of_all) = (team.group.max_moving, self.index.policy.max_moving);
        if team.moving >= of_group {
            Err(Wait::Moves(of_group))
        } else if self.moving >= of_all {
            Err(Wait::Moves(of_all))
        } else {
            Ok(())
        }
    }

    /// Whether enough of the group stay healthy without this one.
    pub(super) fn leaves_enough(&self, team: &Team<'_>, held: &Held) -> Result<(), Wait> {
        let counts = held.allocation.state == AllocationState::Healthy;
        let (healthy, minimum) = (team.healthy, team.group.min_healthy);
        if counts && healthy <= minimum { Err(Wait::MinHealthy { healthy, minimum }) } else { Ok(()) }
    }

    /// The new one starts beside the old one, which is healthy.
    pub(super) fn start_first(&mut self, team: &mut Team<'_>, held: &Held, choice: Choice, why: PlaceWhy) {
        let (from, from_host) = (held.allocation.reference(), self.host_ref(held));
        let placement = self.take(team, held.allocation.slot, choice);
        self.plan.steps.push(Step::Move { from, from_host, placement, why });
        team.moving += 1;
        self.moving += 1;
    }

    /// One that is not healthy serves nobody while its successor starts.
    pub(super) fn swap(&mut self, team: &mut Team<'_>, held: &Held, choice: Choice, why: PlaceWhy) {
        let slot = held.allocation.slot;
        let epoch = team.next_epoch(slot);
        self.stop(team, held, StopWhy::Replaced(epoch));
        self.place(team, slot, choice, why);
        team.moving += 1;
        self.moving += 1;
    }

    /// The old one stops; a later plan places the new one. Its room is taken now, so that this plan does not promise
    /// it twice.
    fn stop_first(&mut self, team: &mut Team<'_>, held: &Held, choice: Choice) {
        let to = self.take(team, held.allocation.slot, choice).host;
        self.stop(team, held, StopWhy::Drain(Some(to)));
        self.count_stopped(team, held);
        team.moving += 1;
        self.moving += 1;
    }

    pub(super) fn count_stopped(&self, team: &mut Team<'_>, held: &Held) {
        if held.allocation.state == AllocationState::Healthy {
            team.healthy = team.healthy.saturating_sub(1);
        }
    }
}
