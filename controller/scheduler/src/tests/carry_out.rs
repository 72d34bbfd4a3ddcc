//! What a controller does with a plan, and nothing of what agents do then.

use crate::{
    Allocation, AllocationId, AllocationRef, AllocationState, Placement, Plan, Problem, Step, Wanted,
};

/// The problem once the plan's steps are in the state.
pub(super) fn carry_out(problem: &Problem, plan: &Plan) -> Problem {
    let mut after = problem.clone();
    // The request has been answered.
    after.policy.rebalance = None;
    for step in &plan.steps {
        answer_renewal(&mut after, step);
        match step {
            Step::Lose { allocation, .. } => find(&mut after, allocation).state = AllocationState::Lost,
            Step::Stop { allocation, .. } => {
                let stopped = find(&mut after, allocation);
                stopped.wanted = Wanted::Stop;
                if stopped.state == AllocationState::Stopped {
                    // Seen before it was told to; it may have been started again since.
                    stopped.state = AllocationState::Pending;
                }
            }
            Step::Place { placement, .. } | Step::Move { placement, .. } => mint(&mut after, placement),
            Step::Renew { allocation, placement } => {
                let fresh = minted(&after, placement, allocation.id);
                *find(&mut after, allocation) = fresh;
            }
        }
    }
    after
}

/// A slot that something was done about is no longer to be renewed.
fn answer_renewal(problem: &mut Problem, step: &Step) {
    let slot = match step {
        Step::Lose { .. } => return,
        Step::Stop { allocation, .. } | Step::Renew { allocation, .. } => allocation.slot,
        Step::Place { placement, .. } | Step::Move { placement, .. } => placement.slot,
    };
    for group in problem.groups.iter_mut().filter(|group| group.key == *step.group()) {
        group.renew.remove(&slot);
    }
}

fn find<'a>(problem: &'a mut Problem, reference: &AllocationRef) -> &'a mut Allocation {
    let same = |one: &&mut Allocation| one.id == reference.id && one.epoch == reference.epoch;
    problem.allocations.iter_mut().find(same).expect("steps name allocations of the problem")
}

fn mint(problem: &mut Problem, placement: &Placement) {
    let newest = problem.allocations.iter().map(|allocation| allocation.id.0.as_u128()).max().unwrap_or(0);
    let allocation = minted(problem, placement, AllocationId::from_u128(newest + 1));
    problem.allocations.push(allocation);
}

fn minted(problem: &Problem, placement: &Placement, id: AllocationId) -> Allocation {
    let group =
        problem.groups.iter().find(|group| group.key == placement.group).expect("a group of the problem");
    Allocation {
        id,
        group: placement.group.clone(),
        slot: placement.slot,
        host: placement.host.id,
        epoch: placement.epoch,
        wanted: Wanted::Run,
        state: AllocationState::Pending,
        pinned: false,
        reservations: group.reservations,
        ports: group.ports.clone(),
        gpus: placement.gpus.clone(),
    }
}
