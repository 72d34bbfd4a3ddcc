//! From what a person calls a container to the one container meant.
//!
//! A name alone is enough when only one host has it. Otherwise the candidates are listed, ready to copy.

use anyhow::Result;
use omni_common::api::v1::{CommaList, ContainerView, ContainersQuery, HostView, HostsQuery};
use omni_common::domain::LABEL_COMPOSE_SERVICE;
use omni_sdk::Client;
use std::str::FromStr;

/// Least digits of an id that may stand for a container.
const LEAST_ID: usize = 4;
/// Most names suggested.
const MAX_SUGGESTIONS: usize = 3;
/// How alike two names must be for one to be suggested for the other: a letter or two of a short name.
const ALIKE: f64 = 0.8;

/// A name that does not lead to one thing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NameError {
    /// Nothing has it.
    #[error("there is no {kind} `{name}`{}", suggest(.near))]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// As typed.
        name: String,
        /// Names that are close.
        near: Vec<String>,
    },
    /// Several things have it.
    #[error("`{name}` is the name of {} {kind}s:{}", .candidates.len(), lines(.candidates))]
    Ambiguous {
        /// What was looked for.
        kind: &'static str,
        /// As typed.
        name: String,
        /// Each one, as it can be typed to mean just it.
        candidates: Vec<String>,
    },
}

fn suggest(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!(
            "; did you mean {}?",
            near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
        )
    }
}

fn lines(candidates: &[String]) -> String {
    candidates.iter().map(|candidate| format!("\n  {candidate}")).collect()
}

/// A container as it was typed: `NAME` or `HOST/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    host: Option<String>,
    name: String,
}

impl FromStr for Wanted {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((host, name)) if !host.is_empty() => {
                Self { host: Some(host.to_owned()), name: name.to_owned() }
            }
            _ => Self { host: None, name: text.trim_start_matches('/').to_owned() },
        })
    }
}

impl Wanted {
    fn on_host(&self, view: &ContainerView) -> bool {
        let named = |host: &String| *host == view.host_name || *host == view.host.to_string();
        self.host.as_ref().is_none_or(named)
    }

    /// The ways a container can be meant, the most literal first.
    fn meanings(&self) -> [impl Fn(&ContainerView) -> bool + '_; 3] {
        let by = |way: usize| {
            move |view: &ContainerView| match way {
                0 => view.container.name == self.name || view.container.id == self.name,
                1 => {
                    let service = view.container.labels.get(LABEL_COMPOSE_SERVICE);
                    let component = view.role.as_ref().map(|role| &role.component);
                    component == Some(&self.name) || service == Some(&self.name)
                }
                _ => self.name.len() >= LEAST_ID && view.container.id.starts_with(&self.name),
            }
        };
        [by(0), by(1), by(2)]
    }

    /// All containers meant, by the most literal meaning that any has.
    pub(crate) fn find<'a>(&self, all: &'a [ContainerView]) -> Vec<&'a ContainerView> {
        for meant in self.meanings() {
            let found: Vec<_> = all.iter().filter(|view| self.on_host(view) && meant(view)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The one container meant.
    pub(crate) fn find_one<'a>(&self, all: &'a [ContainerView]) -> Result<&'a ContainerView, NameError> {
        match self.find(all).as_slice() {
            [one] => Ok(one),
            [] => Err(self.unknown(all)),
            several => Err(self.ambiguous(several)),
        }
    }

    fn unknown(&self, all: &[ContainerView]) -> NameError {
        NameError::Unknown {
            kind: "container",
            name: self.text(),
            near: near(&self.name, all.iter().map(|view| view.container.name.as_str())),
        }
    }

    fn ambiguous(&self, several: &[&ContainerView]) -> NameError {
        let mut candidates: Vec<String> = several.iter().map(|view| full_name(view)).collect();
        candidates.sort();
        NameError::Ambiguous { kind: "container", name: self.text(), candidates }
    }

    fn text(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// `HOST/NAME`: means one container and no other.
pub(crate) fn full_name(view: &ContainerView) -> String {
    format!("{}/{}", view.host_name, view.container.name)
}

/// Names that are close to `wanted`, the closest first.
pub(crate) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            let part_of = wanted.len() >= 3 && name.contains(wanted);
            (if part_of { 1.0 } else { strsim::jaro_winkler(wanted, name) }, name)
        })
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// Containers that `typed` may mean, asked of the cluster.
///
/// The server narrows by text first; a component's name need not be part of the container's, so that is
/// asked next; the whole list is only fetched to suggest names.
pub(crate) async fn candidates(client: &Client, typed: &str, hosts: &[String]) -> Result<Vec<ContainerView>> {
    let Ok(wanted) = typed.parse::<Wanted>();
    let on_hosts = || {
        let hosts = wanted.host.iter().chain(hosts).cloned().collect::<Vec<_>>();
        (!hosts.is_empty()).then_some(CommaList(hosts))
    };
    let by_text =
        ContainersQuery { q: Some(wanted.name.clone()), host: on_hosts(), ..ContainersQuery::default() };
    let by_component = ContainersQuery {
        component: Some(CommaList(vec![wanted.name.clone()])),
        host: on_hosts(),
        ..ContainersQuery::default()
    };
    for query in [by_text, by_component] {
        let found = client.containers(query).await?;
        if !wanted.find(&found).is_empty() {
            return Ok(found);
        }
    }
    Ok(client.containers(ContainersQuery::default()).await?)
}

/// The one container that `typed` means, asked of the cluster.
pub(crate) async fn container(client: &Client, typed: &str, host: Option<&str>) -> Result<ContainerView> {
    let Ok(mut wanted) = typed.parse::<Wanted>();
    wanted.host = wanted.host.or_else(|| host.map(str::to_owned));
    let all = candidates(client, &wanted.text(), &[]).await?;
    Ok(wanted.find_one(&all)?.clone())
}

/// A host by name or id; a near name is suggested when there is none.
pub(crate) async fn host(client: &Client, typed: &str) -> Result<HostView> {
    match client.host(typed).await {
        Err(error) if error.status() == Some(404) => {
            let all = client.hosts(HostsQuery::default()).await?;
            let near = near(typed, all.iter().map(|host| host.name.as_str()));
            Err(NameError::Unknown { kind: "host", name: typed.to_owned(), near }.into())
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{container, of_component};

    fn all() -> Vec<ContainerView> {
        vec![
            container("web-1", "nginx", "aaaa1111"),
            container("web-2", "nginx", "bbbb2222"),
            of_component(container("web-1", "quantum-gitea-1", "cccc3333"), "gitea"),
            container("web-2", "redis", "dddd4444"),
        ]
    }

    fn find(typed: &str) -> Result<String, NameError> {
        let Ok(wanted) = typed.parse::<Wanted>();
        wanted.find_one(&all()).map(full_name)
    }

    #[test]
    fn a_name_alone_is_enough_when_it_is_the_only_one() {
        assert_eq!(find("redis"), Ok("web-2/redis".to_owned()));
        assert_eq!(find("web-2/nginx"), Ok("web-2/nginx".to_owned()));
        assert_eq!(find("gitea"), Ok("web-1/quantum-gitea-1".to_owned()));
        assert_eq!(find("dddd"), Ok("web-2/redis".to_owned()));
        assert_eq!(find("/redis"), Ok("web-2/redis".to_owned()), "as docker inspect prints it");
    }

    #[test]
    fn an_ambiguous_name_lists_what_to_type_instead() {
        let error = find("nginx").expect_err("two hosts have it");
        assert_eq!(error.to_string(), "`nginx` is the name of 2 containers:\n  web-1/nginx\n  web-2/nginx");
    }

    #[test]
    fn an_unknown_name_is_met_with_near_ones() {
        let error = find("ngnix").expect_err("a slip");
        assert_eq!(error.to_string(), "there is no container `ngnix`; did you mean `nginx`?");
        let error = find("web-1/redis").expect_err("on the other host");
        assert_eq!(error.to_string(), "there is no container `web-1/redis`; did you mean `redis`?");
        let error = find("zzz").expect_err("nothing like it");
        assert_eq!(error.to_string(), "there is no container `zzz`");
        assert!(find("ddd").is_err(), "three digits are too few for an id");
    }
}
