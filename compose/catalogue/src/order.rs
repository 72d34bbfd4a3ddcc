//! Who has to be there before whom.

use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::{Component, ComponentName};
use std::collections::{BTreeMap, BTreeSet};

/// Edges of a dependency graph: each name with the names it waits for.
pub(crate) type Graph = BTreeMap<ComponentName, BTreeSet<ComponentName>>;

/// The names in waves: whatever a wave needs is in an earlier one. `Err` is a circle, closed with its first
/// name.
pub(crate) fn waves(graph: &Graph) -> std::result::Result<Vec<Vec<ComponentName>>, Vec<ComponentName>> {
    let mut waiting = graph.clone();
    let mut waves = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<ComponentName> = waiting
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !waiting.contains_key(need)))
            .map(|(name, _)| name.clone())
            .collect();
        if ready.is_empty() {
            return Err(circle(&waiting));
        }
        waiting.retain(|name, _| !ready.contains(name));
        waves.push(ready);
    }
    Ok(waves)
}

/// A circle in a graph of which every node waits for another one.
fn circle(graph: &Graph) -> Vec<ComponentName> {
    let mut path: Vec<ComponentName> = Vec::new();
    let mut next = graph.keys().next();
    while let Some(name) = next {
        if let Some(start) = path.iter().position(|seen| seen == name) {
            path.drain(..start);
            path.push(name.clone());
            break;
        }
        path.push(name.clone());
        next = graph[name].iter().find(|need| graph.contains_key(*need));
    }
    path
}

impl Catalogue {
    /// The wanted components in the order in which they can start: each wave needs nothing but what earlier
    /// waves hold. Where a stand-in of a needed component is wanted instead, the stand-in is waited for.
    /// What is needed and not wanted is left out here; [`Catalogue::missing`] names it.
    pub fn start_order<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<Vec<Vec<&Component>>> {
        let wanted = self.named(wanted)?;
        let graph = wanted
            .iter()
            .map(|(name, component)| {
                let providers = component.depends.hard.iter().flat_map(|need| self.providers(need));
                let needs = providers.filter(|p| wanted.contains_key(*p)).cloned().collect();
                ((*name).clone(), needs)
            })
            .collect();
        let waves = waves(&graph).expect("circles are refused when a catalogue is made");
        Ok(waves.iter().map(|wave| wave.iter().map(|name| wanted[name]).collect()).collect())
    }

    /// What the wanted components need and neither it nor a stand-in is wanted: (who, what).
    pub fn missing<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&ComponentName, &ComponentName)>> {
        let wanted = self.named(wanted)?;
        let mut missing = Vec::new();
        for (name, component) in &wanted {
            for need in &component.depends.hard {
                if !self.providers(need).any(|provider| wanted.contains_key(provider)) {
                    missing.push((*name, need));
                }
            }
        }
        Ok(missing)
    }

    /// A component and everything that can stand in for it.
    fn providers<'a>(&'a self, need: &'a ComponentName) -> impl Iterator<Item = &'a ComponentName> {
        std::iter::once(need).chain(self.stand_ins(need.as_str()).map(|component| &component.name))
    }

    fn named<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<&ComponentName, &Component>> {
        wanted.into_iter().map(|name| self.require(name).map(|found| (&found.name, found))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> Graph {
        let name = |word: &str| ComponentName::try_from(word.to_owned()).expect("a name");
        let line = |line: &str| {
            let (who, needs) = line.split_once(':').expect("who: needs");
            (name(who), needs.split_whitespace().map(name).collect())
        };
        text.split(';').map(line).collect()
    }

    fn show(text: &str) -> String {
        let join =
            |names: &[ComponentName]| names.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(" ");
        match waves(&graph(text)) {
            Ok(waves) => waves.iter().map(|wave| join(wave)).collect::<Vec<_>>().join(" | "),
            Err(circle) => format!("circle {}", join(&circle)),
        }
    }

    #[test]
    fn a_wave_needs_only_earlier_ones() {
        assert_eq!(show("c:b;b:a;a:;d:"), "a d | b | c");
        assert_eq!(show("app:db cache;db:;cache:;worker:app"), "cache db | app | worker");
    }

    #[test]
    fn needs_outside_the_graph_are_not_waited_for() {
        assert_eq!(show("a:elsewhere"), "a");
    }

    #[test]
    fn a_circle_is_named_without_what_merely_leads_to_it() {
        assert_eq!(show("a:a"), "circle a a");
        assert_eq!(show("a:b;b:c;c:b"), "circle b c b");
        assert_eq!(show("x:;a:b x;b:a"), "circle a b a");
    }
}
