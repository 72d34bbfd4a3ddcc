//! An index that was changed is the index of the changed problem.

use super::random::problem;
use crate::problem::*;
use crate::{Change, Index};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The changes that turn one problem into another.
fn between(from: &Problem, to: &Problem) -> Vec<Change> {
    let mut changes = vec![Change::Policy(to.policy)];
    let hosts: BTreeMap<_, _> = to.hosts.iter().map(|host| (host.id, host)).collect();
    let groups: BTreeMap<_, _> = to.groups.iter().map(|group| (&group.key, group)).collect();
    let allocations: BTreeMap<_, _> = to.allocations.iter().map(|one| (one.id, one)).collect();
    changes.extend(
        from.allocations
            .iter()
            .filter(|one| !allocations.contains_key(&one.id))
            .map(|one| Change::AllocationGone(one.id)),
    );
    changes.extend(
        from.groups
            .iter()
            .filter(|one| !groups.contains_key(&one.key))
            .map(|one| Change::GroupGone(one.key.clone())),
    );
    changes.extend(
        from.hosts.iter().filter(|one| !hosts.contains_key(&one.id)).map(|one| Change::HostGone(one.id)),
    );
    changes.extend(allocations.into_values().map(|one| Change::Allocation(Box::new(one.clone()))));
    changes.extend(hosts.into_values().map(|one| Change::Host(Box::new(one.clone()))));
    changes.extend(groups.into_values().map(|one| Change::Group(Box::new(one.clone()))));
    changes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_index_plans_as_a_new_one(from in problem(), to in problem()) {
        let mut index = Index::new(from.clone());
        for change in between(&from, &to) {
            index.apply(change);
        }
        prop_assert_eq!(index.plan(), crate::plan(&to));
        let fresh = Index::new(to.clone());
        for group in &to.groups {
            prop_assert_eq!(index.explain(&group.key, None), fresh.explain(&group.key, None));
        }
    }
}

#[test]
fn what_is_not_there_cannot_be_dropped() {
    let mut index = Index::new(super::language::read("host a\n group web"));
    index.apply(Change::AllocationGone(crate::AllocationId::from_u128(1)));
    index.apply(Change::GroupGone(super::language::key("api")));
    assert_eq!(index.plan().to_string(), "place web#0@1 on a: missing\n");
}
