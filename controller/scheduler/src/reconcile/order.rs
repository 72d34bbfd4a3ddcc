//! Who is placed first: the more important, and what others depend on before them.

use crate::ids::GroupKey;
use crate::index::Index;
use crate::problem::{Group, Tier};
use crate::why::Note;
use std::collections::{BTreeMap, BTreeSet};

/// What a group is ordered by: its rank, then how many steps of dependencies lie below it.
type Place = ((bool, Tier), u32);

/// The groups in the order in which room is given out. What an important group depends on is as important.
pub(super) fn order(index: &Index) -> (Vec<&GroupKey>, Option<Note>) {
    let groups: BTreeMap<&GroupKey, &Group> =
        index.groups.iter().filter_map(|(key, entry)| Some((key, entry.group.as_ref()?))).collect();
    let mut places: BTreeMap<&GroupKey, Place> =
        groups.iter().map(|(key, group)| (*key, (group.priority.rank(), 0))).collect();
    let (sorted, circle) = sort(&groups);
    for key in &sorted {
        let below = known(&groups, key).map(|on| places[on].1 + 1).max().unwrap_or(0);
        places.entry(key).and_modify(|place| place.1 = below);
    }
    // From the top down, so that importance reaches everything below.
    for key in sorted.iter().rev() {
        let rank = places[key].0;
        for on in known(&groups, key) {
            places.entry(on).and_modify(|place| place.0 = place.0.min(rank));
        }
    }
    let mut order: Vec<&GroupKey> = groups.keys().copied().collect();
    order.sort_by_key(|key| (places[key], *key));
    (order, circle)
}

/// The groups that one depends on, those that are not there left out.
fn known<'a>(
    groups: &BTreeMap<&'a GroupKey, &'a Group>,
    key: &GroupKey,
) -> impl Iterator<Item = &'a GroupKey> {
    let on = groups.get(key).map_or(&[][..], |group| &group.depends_on);
    on.iter().filter_map(|on| groups.get_key_value(on).map(|(key, _)| *key)).collect::<Vec<_>>().into_iter()
}

/// The groups, each after all that it depends on; those in a circle are left out and named.
fn sort<'a>(groups: &BTreeMap<&'a GroupKey, &'a Group>) -> (Vec<&'a GroupKey>, Option<Note>) {
    let mut open: BTreeMap<&GroupKey, usize> = BTreeMap::new();
    let mut above: BTreeMap<&GroupKey, Vec<&'a GroupKey>> = BTreeMap::new();
    let mut ready: BTreeSet<&'a GroupKey> = BTreeSet::new();
    for key in groups.keys() {
        let on: BTreeSet<&GroupKey> = known(groups, key).collect();
        if on.is_empty() {
            ready.insert(key);
        } else {
            open.insert(key, on.len());
            on.into_iter().for_each(|on| above.entry(on).or_default().push(key));
        }
    }
    let mut sorted = Vec::with_capacity(groups.len());
    while let Some(key) = ready.pop_first() {
        sorted.push(key);
        for waiting in above.remove(key).unwrap_or_default() {
            let left = open.entry(waiting).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                open.remove(waiting);
                ready.insert(waiting);
            }
        }
    }
    let circle: Vec<GroupKey> = open.into_keys().cloned().collect();
    (sorted, (!circle.is_empty()).then_some(Note::Circle(circle)))
}
