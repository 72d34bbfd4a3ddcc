//! The controllers' own state, which is kept as if it were the data of an app: with a policy, copies, drills, and an age.
//!
//! It stands in no map of apps. What is common to both asks for [`app`] and [`outline`].

use super::{AppStanding, Basis, Outline, Policy, policy, standing};
use crate::state::{App, AppKey, State};
use omni_catalogue::Tier;
use omni_catalogue::policies::Policies;
use omni_common::clock::Time;
use omni_common::domain::backup::{Item, ItemName, Quiesce, Take};
use std::collections::{BTreeMap, BTreeSet};

/// Group that the state is kept under; there is one instance of it.
pub(crate) const GROUP: &str = "main";
/// Name of what is kept.
const ITEM: &str = "state";
/// Its component of the platform, as alerts name it.
const COMPONENT: &str = "omni";

/// The name of what is kept.
pub(crate) fn item() -> ItemName {
    ItemName::new(ITEM).expect("a constant that is a name")
}

/// The controllers as an app: one that always runs and belongs to no host.
pub(crate) fn app(state: &State) -> App {
    App::new(AppKey::controllers(), state.cluster.as_ref().map_or(Time::EPOCH, |cluster| cluster.created))
}

/// What of them is data. No host is ever told how the item is taken: the gateway hands it over.
pub(crate) fn outline(policies: &Policies) -> Outline {
    let take = Take::HostPath { path: "/".to_owned(), exclude: Vec::new() };
    let item = Item { name: item(), take, quiesce: Quiesce::None };
    Outline {
        groups: BTreeMap::from([(GROUP.to_owned(), vec![item])]),
        components: BTreeSet::from([COMPONENT.to_owned()]),
        basis: Basis::tier(policies, Tier::Critical),
        ..Outline::default()
    }
}

/// What holds for it.
pub(crate) fn controllers_policy(state: &State, policies: &Policies) -> Policy {
    policy(state, &app(state), &outline(policies))
}

/// How its backups stand.
pub(crate) fn controllers_standing(state: &State, policies: &Policies, now: Time) -> AppStanding {
    standing(state, &app(state), &outline(policies), now)
}
