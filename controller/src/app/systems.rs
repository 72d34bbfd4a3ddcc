//! The platform's systems: the catalogue beside what runs.

use super::containers::ContainerFilter;
use super::selectors::LabelSelector;
use super::{App, AppError};
use crate::state::{HostStatus, State};
use omni_catalogue::{Catalogue, Component, HealthKind, System};
use omni_common::api::v1::{ComponentContainer, ComponentView, Condition, Page, SystemView, Tier};
use omni_common::domain::{ContainerState, Health, LABEL_COMPONENT};
use std::collections::BTreeMap;

/// Containers by the component that their label names.
type Found = BTreeMap<String, Vec<ComponentContainer>>;

impl App {
    /// Every system of the catalogue, by number. There are a few dozen, so they come in one piece.
    pub fn list_systems(&self, state: &State) -> Page<SystemView> {
        let mut found = self.by_component(state, &ContainerFilter::default());
        Page::whole(
            self.catalogue.systems().map(|system| view(&self.catalogue, system, &mut found)).collect(),
        )
    }

    /// One system by its number or codename.
    pub fn get_system(&self, state: &State, name: &str) -> Result<SystemView, AppError> {
        let called = |system: &&System| {
            system.number.to_string() == name
                || system.codename.as_deref().is_some_and(|code| code.eq_ignore_ascii_case(name))
        };
        let system = self.catalogue.systems().find(called);
        let system = system.ok_or_else(|| AppError::not_found("system", name))?;
        let own = self.catalogue.of_system(system.number).map(|component| component.name.as_str()).collect();
        let filter = ContainerFilter::of(None, LabelSelector::default(), Some(own));
        Ok(view(&self.catalogue, system, &mut self.by_component(state, &filter)))
    }

    fn by_component<'a>(&'a self, state: &'a State, filter: &'a ContainerFilter<'a>) -> Found {
        let mut found = Found::new();
        for seen in self.containers(state, filter, None) {
            let container = seen.container();
            let Some(component) = container.labels.get(LABEL_COMPONENT) else { continue };
            found.entry(component.clone()).or_default().push(ComponentContainer {
                host: seen.host.id,
                host_name: seen.host.name.clone(),
                name: container.name.clone(),
                state: container.state,
                health: container.health,
                exit_code: container.exit_code,
                current: seen.host.status != HostStatus::Down,
            });
        }
        found
    }
}

fn view(catalogue: &Catalogue, system: &System, found: &mut Found) -> SystemView {
    let components: Vec<_> =
        catalogue.of_system(system.number).map(|component| component_view(component, found)).collect();
    SystemView {
        number: system.number,
        name: system.name.clone(),
        codename: system.codename.clone(),
        tier: tier(system.tier),
        summary: system.summary.clone(),
        condition: together(components.iter().map(|one| one.condition)),
        components,
    }
}

fn component_view(component: &Component, found: &mut Found) -> ComponentView {
    let containers = found.remove(component.name.as_str()).unwrap_or_default();
    let names = |list: &[omni_catalogue::ComponentName]| list.iter().map(ToString::to_string).collect();
    ComponentView {
        name: component.name.to_string(),
        summary: component.summary.clone(),
        tier: tier(component.tier),
        image: component.image.as_ref().map(|image| image.reference.clone()),
        licence: component.licence.name.clone(),
        needs: names(&component.depends.hard),
        superseded_by: names(&component.superseded_by),
        condition: condition(&containers, component.health.kind == HealthKind::None),
        containers,
    }
}

/// What a system's components add up to: the worst of them. It is down when none of it runs.
fn together(mut components: impl Iterator<Item = Condition> + Clone) -> Condition {
    let worst = components.clone().max().unwrap_or(Condition::Absent);
    let some_runs = components.any(|one| matches!(one, Condition::Running | Condition::Degraded));
    if worst == Condition::Down && some_runs { Condition::Degraded } else { worst }
}

/// What the containers of one component add up to. What listens nowhere may be a job, and a job may have ended well.
fn condition(containers: &[ComponentContainer], may_end: bool) -> Condition {
    let well = |one: &&ComponentContainer| match one.state {
        ContainerState::Running => one.health != Health::Unhealthy,
        ContainerState::Exited => may_end && one.exit_code == Some(0),
        _ => false,
    };
    if containers.is_empty() {
        return Condition::Absent;
    }
    let heard: Vec<_> = containers.iter().filter(|one| one.current).collect();
    if heard.is_empty() {
        return Condition::Unknown;
    }
    let well = heard.iter().copied().filter(well).count();
    if well == 0 {
        Condition::Down
    } else if well < containers.len() {
        Condition::Degraded
    } else if heard.iter().any(|one| one.health == Health::Starting) {
        Condition::Starting
    } else {
        Condition::Running
    }
}

fn tier(tier: omni_catalogue::Tier) -> Tier {
    match tier {
        omni_catalogue::Tier::Critical => Tier::Critical,
        omni_catalogue::Tier::High => Tier::High,
        omni_catalogue::Tier::Medium => Tier::Medium,
        omni_catalogue::Tier::Standard => Tier::Standard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::ids::HostId;

    #[test]
    fn what_components_add_up_to() {
        use Condition::{Absent, Degraded, Down, Running, Starting, Unknown};
        for (components, expected) in [
            (vec![], Absent),
            (vec![Absent, Absent], Absent),
            (vec![Absent, Running], Running),
            (vec![Running, Starting], Starting),
            (vec![Running, Unknown], Unknown),
            (vec![Running, Down], Degraded),
            (vec![Absent, Down, Unknown], Down),
        ] {
            assert_eq!(together(components.iter().copied()), expected, "{components:?}");
        }
    }

    fn container(state: ContainerState, health: Health, current: bool) -> ComponentContainer {
        let host = HostId::from_u128(1);
        let exit_code = (state == ContainerState::Exited).then_some(0);
        ComponentContainer {
            host,
            host_name: "h".into(),
            name: "c".into(),
            state,
            health,
            exit_code,
            current,
        }
    }

    #[test]
    fn what_containers_add_up_to() {
        use ContainerState::{Exited, Running};
        let well = container(Running, Health::Healthy, true);
        let plain = container(Running, Health::None, true);
        let starting = container(Running, Health::Starting, true);
        let sick = container(Running, Health::Unhealthy, true);
        let ended = container(Exited, Health::None, true);
        let silent = container(Running, Health::Healthy, false);
        for (containers, expected) in [
            (vec![], Condition::Absent),
            (vec![&well, &plain], Condition::Running),
            (vec![&well, &starting], Condition::Starting),
            (vec![&well, &sick], Condition::Degraded),
            (vec![&well, &ended], Condition::Degraded),
            (vec![&well, &silent], Condition::Degraded),
            (vec![&sick, &ended], Condition::Down),
            (vec![&ended, &silent], Condition::Down),
            (vec![&silent], Condition::Unknown),
        ] {
            let containers: Vec<_> = containers.into_iter().cloned().collect();
            assert_eq!(condition(&containers, false), expected, "{containers:#?}");
        }
        assert_eq!(condition(std::slice::from_ref(&ended), true), Condition::Running, "a job that is done");
    }
}
