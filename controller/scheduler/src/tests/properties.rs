//! What holds of every plan, whatever the mesh.

use super::random::{grown, problem};
use super::{assert_settles, carry_out};
use crate::problem::*;
use crate::{AllocationId, GroupKey, HostRef, Index, Placement, Plan, Slot, Step, plan};
use omni_common::ids::HostId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn host(problem: &Problem, id: HostId) -> &Host {
    problem.hosts.iter().find(|host| host.id == id).expect("plans name hosts of the problem")
}

fn placements(plan: &Plan) -> impl Iterator<Item = &Placement> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Place { placement, .. } | Step::Move { placement, .. } => Some(placement),
        Step::Lose { .. } | Step::Stop { .. } | Step::Renew { .. } => None,
    })
}

/// What may take more of its host than before.
fn takers(plan: &Plan) -> impl Iterator<Item = &Placement> {
    let renewed = plan.steps.iter().filter_map(|step| match step {
        Step::Renew { placement, .. } => Some(placement),
        _ => None,
    });
    placements(plan).chain(renewed)
}

fn group<'a>(problem: &'a Problem, key: &GroupKey) -> &'a Group {
    problem.groups.iter().find(|group| group.key == *key).expect("plans name groups of the problem")
}

/// Whether it takes something on its host.
fn takes(allocation: &Allocation) -> bool {
    !(allocation.wanted == Wanted::Stop && allocation.state == AllocationState::Stopped)
}

fn is_down(problem: &Problem, id: HostId) -> bool {
    problem
        .hosts
        .iter()
        .find(|host| host.id == id)
        .is_none_or(|host| matches!(host.state, HostState::Down { .. }))
}

fn is_fenced(problem: &Problem, id: HostId) -> bool {
    let host = problem.hosts.iter().find(|host| host.id == id);
    host.is_none_or(|host| host.state == HostState::Down { fenced: true })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do(problem in problem()) {
        assert_settles(&problem, &plan(&problem));
    }

    #[test]
    fn nothing_goes_over_capacity(problem in problem()) {
        let plan = plan(&problem);
        let after = carry_out(&problem, &plan);
        for id in takers(&plan).map(|placement| placement.host.id).collect::<BTreeSet<_>>() {
            let host = host(&after, id);
            let here = || after.allocations.iter().filter(|one| one.host == id && takes(one));
            let cpus: u64 = here().map(|one| one.reservations.millicores).sum();
            let memory: u64 = here().map(|one| one.reservations.memory).sum();
            // A host may have been too full before; a placement that reserves something must not be on it.
            for placement in takers(&plan).filter(|placement| placement.host.id == id) {
                let asks = group(&after, &placement.group).reservations;
                prop_assert!(asks.millicores == 0 || cpus + host.foreign_millicores <= host.millicores);
                prop_assert!(asks.memory == 0 || memory + host.foreign_memory <= host.memory);
            }
        }
    }

    #[test]
    fn a_port_and_a_card_have_one_owner(problem in problem()) {
        let plan = plan(&problem);
        let after = carry_out(&problem, &plan);
        for placement in takers(&plan) {
            let host = host(&after, placement.host.id);
            let group = group(&after, &placement.group);
            let others = || {
                let own = |one: &&Allocation| {
                    one.group == placement.group && one.slot == placement.slot && one.epoch == placement.epoch
                };
                after.allocations.iter().filter(move |one| one.host == host.id && takes(one) && !own(one))
            };
            let mut held = host.foreign_ports.iter().chain(others().flat_map(|one| &one.ports));
            prop_assert!(!held.any(|held| group.ports.iter().any(|port| port.clashes(held))));
            let demand = group.gpus.as_ref();
            prop_assert_eq!(demand.is_some(), !placement.gpus.is_empty());
            for grant in &placement.gpus {
                let card = host.gpus.iter().find(|card| card.uuid == grant.uuid).expect("a card of the host");
                let on_card = || others().flat_map(|one| &one.gpus).filter(|other| other.uuid == grant.uuid);
                let share: u32 = on_card().map(|other| other.share.unwrap_or(100)).sum();
                prop_assert!(share + grant.share.unwrap_or(100) <= 100);
                prop_assert!(grant.share.is_some() || card.foreign_users == 0);
                let memory: u64 = on_card().map(|other| other.memory).sum();
                let asked = demand.and_then(|demand| demand.memory).is_some();
                let all = card.memory.unwrap_or_default();
                prop_assert!(!asked || memory + grant.memory + card.foreign_memory <= all);
            }
        }
    }

    #[test]
    fn no_host_runs_more_of_a_group_than_it_may(problem in problem()) {
        let plan = plan(&problem);
        let after = carry_out(&problem, &plan);
        for placement in takers(&plan) {
            let Some(limit) = group(&problem, &placement.group).max_per_host else { continue };
            let here = after.allocations.iter().filter(|one| {
                one.group == placement.group && one.host == placement.host.id && takes(one)
            });
            prop_assert!(here.count() <= limit as usize, "{placement}");
        }
    }

    #[test]
    fn only_hosts_that_may_get_something_new_do(problem in problem()) {
        for placement in placements(&plan(&problem)) {
            let (host, group) = (host(&problem, placement.host.id), group(&problem, &placement.group));
            prop_assert_eq!(host.state, HostState::Up);
            prop_assert!(!host.cordoned && !host.draining);
            prop_assert!(group.constraints.iter().all(|constraint| constraint.holds(host)));
        }
    }

    #[test]
    fn an_exclusive_slot_never_runs_twice(problem in problem()) {
        let plan = plan(&problem);
        for placement in placements(&plan) {
            let group = group(&problem, &placement.group);
            if !group.exclusive {
                continue;
            }
            let others = problem.allocations.iter().filter(|one| {
                one.group == group.key && one.slot == placement.slot && takes(one)
            });
            for other in others {
                prop_assert!(is_fenced(&problem, other.host), "{placement} beside {}", other.reference());
            }
            if let Slot::Replica(number) = placement.slot {
                let mut held = group.volumes.iter().filter_map(|volume| volume.held.get(&number));
                prop_assert!(held.all(|holder| *holder == placement.host.id));
            }
        }
    }

    #[test]
    fn epochs_go_up_and_slots_are_filled_once(problem in problem()) {
        let plan = plan(&problem);
        let mut slots = BTreeSet::new();
        for placement in placements(&plan) {
            prop_assert!(slots.insert((placement.group.clone(), placement.slot)));
            let same = |one: &&Allocation| one.group == placement.group && one.slot == placement.slot;
            prop_assert!(problem.allocations.iter().filter(same).all(|one| one.epoch < placement.epoch));
        }
    }

    #[test]
    fn as_many_run_as_should_or_the_plan_says_why(problem in problem()) {
        let plan = plan(&problem);
        let after = carry_out(&problem, &plan);
        for group in &problem.groups {
            let Mode::Replicated(count) = group.mode else { continue };
            let runs = |one: &&Allocation| one.group == group.key && one.wanted == Wanted::Run;
            let filled: BTreeSet<Slot> =
                after.allocations.iter().filter(runs).map(|one| one.slot).collect();
            let explained = plan.waiting.iter().filter(|waiting| waiting.group == group.key);
            let stopped = plan.steps.iter().filter(|step| {
                matches!(step, Step::Stop { allocation, .. } if allocation.group == group.key)
            });
            prop_assert!(filled.len() <= count as usize);
            prop_assert!(filled.len() + explained.count() + stopped.count() >= count as usize);
        }
    }

    #[test]
    fn draining_leaves_enough_healthy(problem in problem()) {
        let plan = plan(&problem);
        let drained = |step: &&Step| {
            matches!(step, Step::Stop { why: crate::StopWhy::Drain(_), .. })
        };
        for group in &problem.groups {
            let of_group = |step: &&Step| {
                matches!(step, Step::Stop { allocation, .. } if allocation.group == group.key)
            };
            if plan.steps.iter().filter(of_group).any(|step| drained(&step)) {
                let healthy = |problem: &Problem| {
                    let counts = |one: &&Allocation| {
                        one.group == group.key
                            && one.wanted == Wanted::Run
                            && one.state == AllocationState::Healthy
                            && !is_down(problem, one.host)
                    };
                    problem.allocations.iter().filter(counts).count()
                };
                // Other steps may take more away: an older copy, a host that no longer matches. Draining may not.
                let others = plan.steps.iter().filter(of_group).filter(|step| !drained(step)).count();
                prop_assert!(healthy(&carry_out(&problem, &plan)) + others >= group.min_healthy as usize
                    || healthy(&problem) < group.min_healthy as usize);
            }
        }
    }

    #[test]
    fn failover_moves_only_what_was_lost(problem in grown()) {
        let mut problem = problem;
        problem.hosts.iter_mut().for_each(|host| host.draining = false);
        problem.hosts.retain(|host| host.state != HostState::Leaving);
        let gone: BTreeSet<HostId> = problem.allocations.iter().map(|one| one.host).collect();
        let plan = plan(&problem);
        for step in &plan.steps {
            match step {
                Step::Lose { host, .. } | Step::Stop { host, .. } => {
                    let global = matches!(step, Step::Stop { allocation, .. } if matches!(allocation.slot, Slot::Host(_)));
                    prop_assert!(is_down(&problem, host.id) || global, "{step}");
                }
                Step::Move { .. } | Step::Renew { .. } => prop_assert!(false, "{step}"),
                Step::Place { placement, .. } => {
                    let same = |one: &Allocation| one.group == placement.group && one.slot == placement.slot;
                    let was = problem.allocations.iter().find(|one| same(one));
                    prop_assert!(was.is_none_or(|was| is_down(&problem, was.host)), "{step}");
                }
            }
        }
        prop_assert!(!gone.is_empty() || problem.allocations.is_empty());
    }

    #[test]
    fn strangers_move_nothing(problem in grown(), at in 0_u128..100) {
        let mut problem = problem;
        problem.hosts.iter_mut().for_each(|host| host.state = HostState::Up);
        problem.groups.iter_mut().for_each(|group| group.mode = match group.mode {
            Mode::Global => Mode::Replicated(1),
            mode @ Mode::Replicated(_) => mode,
        });
        problem.allocations.retain(|one| matches!(one.slot, Slot::Replica(_)));
        problem.hosts.iter_mut().for_each(|host| host.draining = false);
        let settled = carry_out(&problem, &plan(&problem));
        let mut with_strangers = settled.clone();
        let mut stranger = Host::new(HostId::from_u128(1000 + at), "stranger");
        (stranger.millicores, stranger.memory) = (64_000, 1 << 40);
        with_strangers.hosts.push(stranger);
        with_strangers.groups.push(Group::new(GroupKey::new("default", "stranger", "main")));
        for step in plan(&with_strangers).steps {
            prop_assert!(matches!(step, Step::Place { .. }), "{step}");
        }
    }

    #[test]
    fn a_storm_moves_nothing_of_the_lost(problem in problem()) {
        let plan = plan(&problem);
        let Some(halt) = &plan.halted else { return Ok(()) };
        prop_assert!(halt.lost.len() > 1);
        let lost: BTreeSet<&HostRef> = halt.lost.iter().filter(|lost| !host(&problem, lost.id).draining).collect();
        for step in &plan.steps {
            let renews = matches!(step, Step::Move { why: crate::PlaceWhy::Renew, .. });
            prop_assert!(renews || !matches!(step, Step::Move { .. }), "{step}");
            if let Step::Place { why: crate::PlaceWhy::Lost(host), .. } = step {
                prop_assert!(!lost.contains(host), "{step}");
            }
        }
    }

    #[test]
    fn the_order_of_the_problem_does_not_matter(problem in problem()) {
        let mut turned = problem.clone();
        turned.hosts.reverse();
        turned.groups.reverse();
        turned.allocations.reverse();
        prop_assert_eq!(plan(&problem), plan(&turned));
    }

    #[test]
    fn an_explanation_agrees_with_placing(problem in problem()) {
        let index = Index::new(problem.clone());
        for group in &problem.groups {
            let verdicts = index.explain(&group.key, None).expect("a group of the problem");
            prop_assert_eq!(verdicts.len(), problem.hosts.len());
            let eligible = verdicts.iter().any(|verdict| verdict.eligible);
            if let Mode::Replicated(_) = group.mode {
                prop_assert_eq!(verdicts.iter().any(|verdict| verdict.chosen), eligible);
                // In a mesh this small every host is looked at, so the choice is the best there is.
                let most = verdicts.iter().filter(|one| one.eligible).map(|one| one.points).max();
                let chosen = verdicts.iter().find(|one| one.chosen).map(|one| one.points);
                prop_assert_eq!(chosen, most);
            }
        }
    }

    #[test]
    fn moves_are_bounded(problem in problem()) {
        let plan = plan(&problem);
        let mut moves: BTreeMap<&GroupKey, u32> = BTreeMap::new();
        for step in &plan.steps {
            if let Step::Move { placement, why, .. } = step
                && *why != crate::PlaceWhy::Renew
            {
                *moves.entry(&placement.group).or_default() += 1;
            }
        }
        for (key, moves) in &moves {
            prop_assert!(*moves <= group(&problem, key).max_moving);
        }
        prop_assert!(moves.values().sum::<u32>() <= problem.policy.max_moving);
    }
}

#[test]
fn a_mesh_under_way_converges() {
    // Agents do what they are told; hosts come and go; each round plans, carries out, and lets agents catch up.
    let mut problem = super::language::read(
        "host a zone=a
         host b zone=b
         host c zone=c
         group web replicas=3 memory=2
         group db exclusive memory=4
         group logs global",
    );
    let obey = |problem: &mut Problem| {
        let down: BTreeSet<HostId> =
            problem.hosts.iter().filter(|host| host.state != HostState::Up).map(|host| host.id).collect();
        for one in problem.allocations.iter_mut().filter(|one| !down.contains(&one.host)) {
            one.state = match one.wanted {
                Wanted::Run => AllocationState::Healthy,
                Wanted::Stop => AllocationState::Stopped,
            };
        }
    };
    let settle = |problem: &mut Problem| {
        for _ in 0..6 {
            let plan = plan(problem);
            *problem = carry_out(problem, &plan);
            obey(problem);
        }
        let last = plan(problem);
        assert!(last.is_empty() && last.halted.is_none(), "{last}");
    };
    let running = |problem: &Problem| {
        let runs = |one: &&Allocation| one.wanted == Wanted::Run && one.state == AllocationState::Healthy;
        problem.allocations.iter().filter(runs).count()
    };
    settle(&mut problem);
    assert_eq!(running(&problem), 7);
    for lost in [1, 2, 0] {
        problem.hosts[lost].state = HostState::Down { fenced: false };
        settle(&mut problem);
        problem.hosts[lost].state = HostState::Down { fenced: true };
        settle(&mut problem);
        // All but the copy of `logs` on the lost host.
        assert_eq!(running(&problem), 6);
        problem.hosts[lost].state = HostState::Up;
        obey(&mut problem);
        settle(&mut problem);
        assert_eq!(running(&problem), 7);
    }
    let ids: BTreeSet<AllocationId> = problem.allocations.iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), problem.allocations.len());
}
