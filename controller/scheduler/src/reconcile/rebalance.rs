//! Evening out, on request: what gains most where it is fullest.

use super::{Planner, Team};
use crate::choose::{Choice, choose};
use crate::filters::first_miss;
use crate::ids::{AllocationId, GroupKey};
use crate::index::{Ask, Entry, Held, HostIx};
use crate::plan::Step;
use crate::problem::{AllocationState, Group, Mode, Rebalance};
use crate::scores::points;
use crate::why::PlaceWhy;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Most allocations that are looked at, from the fullest hosts down: looking at one costs some microseconds, and a
/// request for a handful of moves should not cost seconds.
const LOOKED_AT: usize = 20_000;

/// What an instance gains that would not be placed where it is at all.
const MISPLACED: i64 = 1_000_000;

/// Something that could be moved.
struct Candidate<'a> {
    group: &'a Group,
    entry: &'a Entry,
    held: &'a Held,
}

impl<'a> Planner<'a> {
    /// Moves what may run twice, is healthy and gains enough. A group moves as many at a time as draining would.
    pub(super) fn rebalance(&mut self, request: Rebalance) {
        let planned = self.planned();
        let mut teams: BTreeMap<&GroupKey, Team<'a>> = BTreeMap::new();
        let mut left = request.max_moves;
        for Candidate { group, entry, held } in self.movable() {
            if left == 0 || self.moving >= self.index.policy.max_moving {
                return;
            }
            let team = teams.entry(&group.key).or_insert_with(|| {
                let mut team = Team::new(self.index, group, entry);
                let planned = planned.get(&group.key).map_or(&[][..], Vec::as_slice);
                let steps = u32::try_from(planned.len()).unwrap_or(u32::MAX);
                team.moving = self.moving_of(group, entry).saturating_add(steps);
                for ix in planned.iter().flatten() {
                    team.add(self.index, self.index.host(*ix));
                }
                team
            });
            if self.moves_left(team).is_err() {
                continue;
            }
            if let Some((choice, gain)) = self.gain(team, held)
                && gain >= request.min_gain
            {
                self.start_first(team, held, choice, PlaceWhy::Rebalance(gain));
                if let Some(ix) = held.host {
                    team.leave(self.index, held);
                    // Or its neighbours would flee a load that is on its way out.
                    self.rooms.discount(ix, self.index.host(ix), &held.allocation);
                }
                left -= 1;
            }
        }
    }

    /// The steps of this plan that each group has, with the host of what they start. Each counts as a slot in motion;
    /// what starts counts on its host as well, or a host would get more of the group than it may have.
    fn planned(&self) -> BTreeMap<GroupKey, Vec<Option<HostIx>>> {
        let mut planned: BTreeMap<GroupKey, Vec<Option<HostIx>>> = BTreeMap::new();
        for step in &self.plan.steps {
            let (group, starts_on) = match step {
                Step::Place { placement, .. } | Step::Move { placement, .. } => {
                    (&placement.group, self.index.host_ix(placement.host.id))
                }
                Step::Stop { allocation, .. }
                | Step::Lose { allocation, .. }
                | Step::Renew { allocation, .. } => (&allocation.group, None),
            };
            planned.entry(group.clone()).or_default().push(starts_on);
        }
        planned
    }

    /// What could be moved, from the fullest hosts down; nothing that this plan does something about already.
    fn movable(&self) -> Vec<Candidate<'a>> {
        let touched: BTreeSet<AllocationId> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Stop { allocation, .. }
                | Step::Lose { allocation, .. }
                | Step::Renew { allocation, .. } => Some(allocation.id),
                Step::Move { from, .. } => Some(from.id),
                Step::Place { .. } => None,
            })
            .collect();
        let mut movable = Vec::new();
        for entry in self.index.groups.values() {
            let Some(group) = &entry.group else { continue };
            if group.exclusive || group.mode == Mode::Global {
                continue;
            }
            let calm = |held: &Held| {
                held.allocation.state == AllocationState::Healthy
                    && !held.allocation.pinned
                    && !touched.contains(&held.allocation.id)
            };
            for slot in entry.slots() {
                let mut running = slot.iter().filter(|held| self.runs(held));
                if let (Some(held), None) = (running.next(), running.next())
                    && calm(held)
                {
                    movable.push(Candidate { group, entry, held });
                }
            }
        }
        let load = |held: &Held| held.host.map_or(0, |ix| self.index.rooms.room(ix).load());
        movable.sort_by_key(|one| (Reverse(load(one.held)), one.held.allocation.id));
        movable.truncate(LOOKED_AT);
        movable
    }

    /// The best other host, and the points gained there over where it is, both seen as if it were nowhere.
    fn gain(&mut self, team: &mut Team<'_>, held: &Held) -> Option<(Choice, i64)> {
        let ix = held.host?;
        let host = self.index.host(ix);
        self.rooms.give(ix, host, &held.allocation);
        team.lift(self.index, host);
        let ask = Ask::new(team.group, held.allocation.slot, team.placed(self.index), None);
        let view = self.index.view(&self.rooms, ix);
        let fits = first_miss(&ask, view).is_ok();
        let here = points(&ask, view) - if fits { 0 } else { MISPLACED };
        let best = choose(self.index, &self.rooms, &ask);
        self.rooms.take(ix, host, &held.allocation);
        team.add(self.index, host);
        let best = best.filter(|choice| choice.host != ix)?;
        let gain = best.points - here;
        Some((best, gain))
    }
}
