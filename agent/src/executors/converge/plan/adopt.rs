//! Containers that ran before their app was omni's: taken over as they run.
//!
//! An engine cannot label a container that exists. What the labels would say is kept in the agent's data folder instead, and
//! laid over what the engine says (`inventory.rs`), so that everything else treats the container as one that omni made. One is
//! taken over only when the specification names it by its id, its compose labels name the same project and service, and nobody
//! has it yet.

use super::{Planner, SlotKey};
use crate::executors::converge::definition::Definition;
use crate::executors::converge::names::{self, Own};
use crate::executors::converge::phase::{Situation, Verdict};
use crate::executors::converge::steps::{Action, Target};
use crate::workloads::Wish;
use omni_common::domain::app::{Adopted, AppSpec, ServiceName};
use omni_common::domain::{AllocationState, Container, LABEL_COMPOSE_PROJECT, LABEL_COMPOSE_SERVICE};
use std::collections::BTreeMap;

impl<'a> Planner<'a> {
    /// Has the containers taken over that the specification names, and says how far that is; absent when nothing is left to be
    /// taken over.
    pub(super) fn adopt(
        &mut self,
        wish: &Wish,
        spec: &AppSpec,
        definitions: &[Definition],
    ) -> Option<Verdict> {
        let adopted = spec.adopted.as_ref().filter(|adopted| adopted.host.to_string() == self.view.host)?;
        let waiting: Vec<(&Container, &Definition)> =
            definitions.iter().filter_map(|one| Some((self.adoptable(adopted, one)?, one))).collect();
        let first = waiting.first()?.0.name.clone();
        let ids = ids(adopted);
        let mut situation = Situation::default();
        for (container, definition) in waiting {
            let definition = definition.join(&spec.services[&definition.service], &ids);
            let mut labels: BTreeMap<String, String> =
                definition.body.labels.clone().unwrap_or_default().into_iter().collect();
            labels.retain(|name, _| names::OWN.contains(&name.as_str()));
            labels.extend(SlotKey::from(&wish.allocation).labels());
            labels.insert(names::ADOPTED.to_owned(), adopted.project.clone());
            let target = Target { id: container.id.clone(), name: container.name.clone() };
            let restart =
                definition.body.host_config.and_then(|host| host.restart_policy).unwrap_or_default();
            let action = Action::Adopt { target, labels, restart };
            self.push(Some(wish.allocation.id), action, &mut situation);
        }
        let (reason, state) = match situation.trouble {
            Some((reason, true)) => (reason, AllocationState::Failed),
            Some((reason, false)) => (reason, AllocationState::Preparing),
            None => (format!("takes over {first}"), AllocationState::Preparing),
        };
        Some((state, Some(reason), None))
    }

    /// The container of the project that stands for this one and that nobody has yet.
    fn adoptable(&self, adopted: &Adopted, definition: &Definition) -> Option<&'a Container> {
        let meant = |container: &&Container| {
            let label = |name: &str| container.labels.get(name).map(String::as_str);
            let named = adopted.containers.get(&container.id);
            named.is_some_and(|one| one.service == definition.service && one.number == definition.number)
                && label(LABEL_COMPOSE_PROJECT) == Some(&adopted.project)
                && label(LABEL_COMPOSE_SERVICE) == Some(definition.service.as_str())
                // Not of another agent on the same engine either.
                && label(names::ALLOCATION).is_none()
        };
        self.view
            .containers
            .iter()
            .find(meant)
            .filter(|container| Own::read(container, self.view.host).is_none())
    }
}

/// The first container of each service, which others share namespaces and volumes with.
fn ids(adopted: &Adopted) -> BTreeMap<&ServiceName, String> {
    let first = adopted.containers.iter().filter(|(_, one)| one.number == 1);
    first.map(|(id, one)| (&one.service, id.clone())).collect()
}
