//! What stops, makes way or goes: containers, then networks, and volumes when that is said.

use super::{Account, Planner, target};
use crate::executors::converge::names::{self, Own, SlotKey};
use crate::executors::converge::phase::{self, Situation};
use crate::executors::converge::steps::Action;
use crate::workloads::Wish;
use omni_common::domain::{AllocationState, ContainerState};
use omni_common::ids::AllocationId;
use omni_common::wire::DesiredAllocation;
use std::collections::{BTreeMap, BTreeSet};

impl<'a> Planner<'a> {
    /// An allocation that is to be stopped and kept.
    pub(super) fn take_down(&mut self, wish: &'a Wish) -> Account {
        let allocation = &wish.allocation;
        let key = SlotKey::from(allocation);
        let other = |wish: &Wish| wish.allocation.run && SlotKey::from(&wish.allocation) == key;
        // What makes way for another one of the instance goes, and is not kept.
        let mine: Vec<&Own<'_>> = match self.view.wishes.iter().any(other) {
            true => self.own.iter().filter(|own| own.allocation == allocation.id).collect(),
            false => self.all_of(allocation),
        };
        let theirs = self.left.iter().copied().filter(|own| own.slot == key);
        let may_run = mine.iter().copied().chain(theirs);
        let over = !may_run.into_iter().any(|own| phase::is_alive(own.container) || self.starts(own));
        let alive: Vec<&Own<'_>> =
            mine.iter().copied().filter(|own| phase::is_alive(own.container)).collect();
        self.stop_highest(&alive);
        self.networks.extend(
            mine.iter().flat_map(|own| own.container.networks.iter().map(|place| place.network.clone())),
        );
        // Its files stay as well: nobody has said that it is over.
        self.plan.files = None;
        let state = if over { AllocationState::Stopped } else { AllocationState::Stopping };
        Account { epoch: allocation.epoch, verdict: (state, None, None), spec: Some(allocation.spec.clone()) }
    }

    /// The containers of an allocation, with those that it took over from older ones of its instance, whose labels they
    /// keep.
    fn all_of(&mut self, allocation: &DesiredAllocation) -> Vec<&'a Own<'a>> {
        let key = SlotKey::from(allocation);
        let mut all: Vec<&Own<'_>> = self.own.iter().filter(|own| own.allocation == allocation.id).collect();
        all.extend(self.left.extract_if(.., |own| own.slot == key));
        all
    }

    fn starts(&self, own: &Own<'_>) -> bool {
        self.view.memory.starting.contains(&own.container.id)
    }

    /// An instance of which nothing is to be kept: its containers go, those of older allocations of it too, then its
    /// volumes.
    pub(super) fn purge(&mut self, wish: &'a Wish) -> Account {
        let allocation = &wish.allocation;
        let key = SlotKey::from(allocation);
        let all = self.all_of(allocation);
        self.retire(&all);
        let mut situation = Situation::default();
        let labels = key.labels();
        let of_slot = |(_, found): &(&String, &BTreeMap<String, String>)| {
            labels.iter().all(|(name, value)| found.get(name) == Some(value))
        };
        let volumes: Option<Vec<&String>> =
            self.view.volumes.map(|all| all.iter().filter(of_slot).map(|(name, _)| name).collect());
        let verdict = match volumes {
            _ if !all.is_empty() => (AllocationState::Stopping, None, None),
            None => (AllocationState::Stopping, Some("looks for its volumes".to_owned()), None),
            Some(volumes) if volumes.is_empty() => (AllocationState::Stopped, None, None),
            Some(volumes) => {
                for name in volumes {
                    self.push(Some(allocation.id), Action::RemoveVolume(name.clone()), &mut situation);
                }
                let reason = situation.trouble.map(|(reason, _)| reason);
                let reason = reason.unwrap_or_else(|| "its volumes are being removed".to_owned());
                (AllocationState::Stopping, Some(reason), None)
            }
        };
        Account { epoch: allocation.epoch, verdict, spec: Some(allocation.spec.clone()) }
    }

    /// Keeps what older allocations of the instance have running, while the new one is got ready.
    pub(super) fn hold(&mut self, key: &SlotKey, successor: &DesiredAllocation) {
        let held: Vec<&Own<'_>> = self.left.extract_if(.., |own| own.slot == *key).collect();
        self.plan.files = None;
        for own in held {
            self.networks.extend(own.container.networks.iter().map(|place| place.network.clone()));
            let reason = format!("goes on until release {} can take its place", successor.release);
            let verdict = (AllocationState::Stopping, Some(reason), None);
            self.plan.accounts.entry(own.allocation).or_insert(Account {
                epoch: own.epoch,
                verdict,
                spec: None,
            });
        }
    }

    /// Stops and removes what nobody desires any more.
    pub(super) fn retire_left_over(&mut self) {
        let mut by_allocation: BTreeMap<AllocationId, Vec<&Own<'_>>> = BTreeMap::new();
        for own in std::mem::take(&mut self.left) {
            by_allocation.entry(own.allocation).or_default().push(own);
        }
        for (id, all) in by_allocation {
            self.retire(&all);
            let epoch = all.iter().map(|own| own.epoch).max().unwrap_or(0);
            let verdict = (AllocationState::Stopping, None, None);
            self.plan.accounts.insert(id, Account { epoch, verdict, spec: None });
        }
    }

    pub(super) fn retire(&mut self, all: &[&'a Own<'a>]) {
        let alive: Vec<&Own<'_>> = all.iter().copied().filter(|own| phase::is_alive(own.container)).collect();
        self.stop_highest(&alive);
        for own in all {
            let still = phase::is_alive(own.container) || self.starts(own);
            if !still && own.container.state != ContainerState::Removing {
                self.push(None, Action::Remove(target(own)), &mut Situation::default());
            }
        }
    }

    /// Stops those on which no other of them stands.
    fn stop_highest(&mut self, alive: &[&'a Own<'a>]) {
        let highest = alive.iter().map(|own| own.order).max();
        for own in alive.iter().filter(|own| Some(own.order) == highest) {
            let action = self.stop_action(own, false);
            self.push(None, action, &mut Situation::default());
        }
    }

    pub(super) fn stop_action(&self, own: &Own<'_>, again: bool) -> Action {
        let hooks = own.container.labels.get(names::PRE_STOP);
        let hooks = hooks.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Action::Stop { target: target(own), grace_ms: own.grace_ms(), hooks, again }
    }

    /// Removes networks of omni's that nothing desired needs and nothing is in.
    pub(super) fn remove_networks(&mut self) {
        // What waits for a file will need its network in a moment.
        if self.view.wishes.iter().any(|wish| wish.allocation.run && wish.reason().is_some()) {
            return;
        }
        let used = self.view.containers.iter().flat_map(|container| &container.networks);
        let used: BTreeSet<&str> = used.map(|place| place.network.as_str()).collect();
        let idle = self
            .view
            .networks
            .keys()
            .filter(|name| !self.networks.contains(*name) && !used.contains(name.as_str()));
        let steps: Vec<Action> = idle.map(|name| Action::RemoveNetwork(name.clone())).collect();
        for action in steps {
            self.push(None, action, &mut Situation::default());
        }
    }
}
