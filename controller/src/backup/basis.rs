//! What holds for an app where nobody says anything: the rules of a component of the platform, or of a tier.

use omni_catalogue::Tier;
use omni_catalogue::policies::{Policies, Rules};
use omni_common::domain::backup::PolicyOptions;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Rules, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Whose.
    pub of: BasisOf,
    /// The rules.
    pub rules: Arc<Rules>,
    /// The same in the words of those who say otherwise.
    pub(super) options: PolicyOptions,
}

/// Whose rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BasisOf {
    /// A component's, by its name in the catalogue.
    Component(String),
    /// A tier's.
    Tier(Tier),
}

impl fmt::Display for BasisOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name}"),
            Self::Tier(tier) => write!(f, "tier {}", tier.as_str()),
        }
    }
}

impl Default for Basis {
    /// That of data which nobody has said anything about.
    fn default() -> Self {
        Self::tier(&Policies::builtin(), Tier::Standard)
    }
}

impl Basis {
    fn new(of: BasisOf, rules: &Arc<Rules>) -> Self {
        Self { of, rules: Arc::clone(rules), options: rules.options() }
    }

    /// That of a tier.
    pub fn tier(policies: &Policies, tier: Tier) -> Self {
        Self::new(BasisOf::Tier(tier), policies.tier(tier))
    }
}

/// Whose data an app holds, as it is found.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    /// Components that have rules of their own.
    components: BTreeSet<String>,
    /// Some data belongs to none of them.
    others: bool,
    /// The highest tier of the services that belong to none of them, with data or without.
    tier: Option<Tier>,
}

impl Owners {
    /// A service: the component and the tier that its labels name, and whether it has data.
    pub(super) fn add(
        &mut self,
        policies: &Policies,
        component: Option<&str>,
        tier: Option<&str>,
        data: bool,
    ) {
        if let Some(name) = component.filter(|name| policies.component(name).is_some()) {
            if data {
                self.components.insert(name.to_owned());
            }
            return;
        }
        self.others |= data;
        let tier = match tier {
            Some("critical") => Tier::Critical,
            Some("high") => Tier::High,
            Some("medium") => Tier::Medium,
            _ => Tier::Standard,
        };
        // The highest comes first.
        self.tier = Some(self.tier.map_or(tier, |known| known.min(tier)));
    }

    /// The strictest rules among those of all whose data it is: an app's data is taken and brought back together, so what
    /// may be least old decides. Of equals a component's, then the first by name.
    pub(super) fn basis(&self, policies: &Policies) -> Basis {
        let tier = self.tier.unwrap_or(Tier::Standard);
        let of_component =
            |name: &String| Some(Basis::new(BasisOf::Component(name.clone()), policies.component(name)?));
        let components = self.components.iter().filter_map(of_component);
        let others = (self.others || self.components.is_empty()).then(|| Basis::tier(policies, tier));
        let all = components.chain(others);
        let strictest = all.min_by(|a, b| (a.rules.max_age, &a.of).cmp(&(b.rules.max_age, &b.of)));
        strictest.unwrap_or_else(|| Basis::tier(policies, tier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service: component, tier, whether it has data.
    type Service = (Option<&'static str>, Option<&'static str>, bool);

    #[test]
    fn the_strictest_rules_of_all_whose_data_it_is_hold() {
        let policies = Policies::builtin();
        let cases: [(&[Service], &str); 10] = [
            (&[], "tier standard"),
            (&[(None, None, true)], "tier standard"),
            (&[(None, Some("high"), false), (None, None, true)], "tier high"),
            (&[(Some("gitea"), Some("high"), true)], "component gitea"),
            // Its own rules are looser than its tier, for a reason: a database beside it, of which nothing is said,
            // does not change that.
            (&[(Some("gitea"), Some("high"), true), (None, None, true)], "component gitea"),
            (&[(Some("gitea"), Some("high"), true), (None, Some("critical"), true)], "tier critical"),
            (&[(Some("gitea"), None, true), (Some("postgresql"), None, true)], "component postgresql"),
            (&[(Some("gitea"), None, true), (Some("postgresql"), None, false)], "component gitea"),
            (&[(Some("redis"), None, true), (Some("postgresql"), None, true)], "component postgresql"),
            (&[(Some("nothing-known"), Some("medium"), true)], "tier medium"),
        ];
        for (services, expected) in cases {
            let mut owners = Owners::default();
            for (component, tier, data) in services {
                owners.add(&policies, *component, *tier, *data);
            }
            assert_eq!(owners.basis(&policies).of.to_string(), expected, "{services:?}");
        }
    }
}
