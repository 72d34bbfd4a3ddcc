//! What of an app is data, and how each part of it is taken.
//!
//! A service whose image, label or `x-omni.backup.method` says that it is a database gets a dump, and the volume that it
//! keeps its files in is left out: files of a running server are no backup of it. Everything else that a service writes
//! and that outlives its containers is taken as files.

use super::basis::{Basis, Owners};
use super::methods::way;
use super::moment::Bound;
use super::moved::moved;
use omni_catalogue::policies::Policies;
use omni_catalogue::{Catalogue, Component, HealthKind, Scheme};
use omni_common::domain::app::{AppSpec, GroupName, MountSource, ProjectContent, Service, ServiceName};
use omni_common::domain::backup::{
    Item, ItemName, MAX_ITEMS, PolicyOptions, Quiesce, QuiesceOption, ServiceOptions, Take, TakeMethod,
    common_options, policy_options, service_options,
};
use omni_common::domain::{LABEL_COMPONENT, LABEL_TIER};
use std::collections::{BTreeMap, BTreeSet};

/// Folders of a host that are never data.
const NOT_DATA: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/var/lib/docker"];

/// What backups need to know of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// What its file says about when, where to and how long.
    pub options: PolicyOptions,
    /// What is taken of an instance of each group; groups without data are absent.
    pub groups: BTreeMap<String, Vec<Item>>,
    /// Components of the platform that the data belongs to, by their label.
    pub components: BTreeSet<String>,
    /// What holds where neither its file nor a person says anything.
    pub basis: Basis,
    /// What its file says that cannot be read; a release of before a key was known may have such.
    pub fault: Option<String>,
    /// Of each component that answers over HTTP, the first service that it is.
    pub web: BTreeMap<String, Web>,
    /// Of each group with data of components: which, and whose has to be of the same moment.
    pub bound: BTreeMap<String, Bound>,
    /// What goes along when an instance of a group moves to another host; groups that keep nothing are absent.
    pub moved: BTreeMap<String, Vec<Item>>,
}

/// A service that answers over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Its group.
    pub group: String,
    /// Which.
    pub service: ServiceName,
    /// The port that the catalogue knows.
    pub port: u16,
    /// Components that it does not work without.
    pub needs: Vec<String>,
}

impl Web {
    fn of(group: &GroupName, service: &ServiceName, component: &Component) -> Option<Self> {
        let health = &component.health;
        let plain = health.kind == HealthKind::Http && health.scheme == Scheme::Http;
        let port = health.port.filter(|_| plain)?.number();
        let needs = component.depends.hard.iter().map(ToString::to_string).collect();
        Some(Self { group: group.to_string(), service: service.clone(), port, needs })
    }
}

impl Outline {
    /// An item of a group by its name.
    pub fn item(&self, group: &str, name: &ItemName) -> Option<&Item> {
        self.groups.get(group)?.iter().find(|item| item.name == *name)
    }
}

/// What of an app is data, and what holds for it where nobody says anything.
pub fn outline(spec: &AppSpec, catalogue: &Catalogue, policies: &Policies) -> Outline {
    Outline { moved: moved(spec), ..backed_up(spec, catalogue, policies) }
}

fn backed_up(spec: &AppSpec, catalogue: &Catalogue, policies: &Policies) -> Outline {
    let json = spec.omni.backup.as_ref();
    let (options, common) = match (policy_options(json), common_options(json)) {
        (Ok(options), Ok(common)) => (options, common),
        (Err(fault), _) | (_, Err(fault)) => return Outline { fault: Some(fault), ..Outline::default() },
    };
    let mut outline = Outline { options, ..Outline::default() };
    let mut owners = Owners::default();
    for (group_name, group) in &spec.groups {
        let mut gathered = Gathered::default();
        let services = group.services.iter().filter_map(|name| Some((name, spec.services.get(name)?)));
        for (name, service) in services {
            let label = |name: &str| service.labels.get(name).map(String::as_str);
            if let Some(component) = label(LABEL_COMPONENT).and_then(|name| catalogue.get(name))
                && let Some(web) = Web::of(group_name, name, component)
            {
                outline.web.entry(component.name.to_string()).or_insert(web);
            }
            match service_options(service.omni.backup.as_ref()) {
                Ok(own) => {
                    let data = gathered.service(name, service, &own, &common, catalogue);
                    owners.add(policies, label(LABEL_COMPONENT), label(LABEL_TIER), data);
                    let component = label(LABEL_COMPONENT).and_then(|name| catalogue.get(name));
                    if let Some(component) = component.filter(|_| data) {
                        outline.bound.entry(group_name.to_string()).or_default().add(component, catalogue);
                    }
                }
                Err(fault) => outline.fault = Some(format!("{name}: {fault}")),
            }
        }
        outline.components.append(&mut gathered.components);
        let items = gathered.items();
        if !items.is_empty() {
            outline.groups.insert(group_name.to_string(), items);
        }
    }
    outline.basis = owners.basis(policies);
    outline
}

/// Data of a group's services, as it is found.
#[derive(Default)]
struct Gathered {
    dumps: Vec<(String, Take, Quiesce)>,
    /// Files by volume or path, with the quiescing that its services ask for.
    files: BTreeMap<String, (Take, Quiesce)>,
    /// Volumes and folders that a server keeps its files in.
    of_servers: BTreeSet<String>,
    components: BTreeSet<String>,
}

impl Gathered {
    /// Adds what of a service is data, and says whether anything is.
    fn service(
        &mut self,
        name: &ServiceName,
        service: &Service,
        own: &ServiceOptions,
        common: &ServiceOptions,
        catalogue: &Catalogue,
    ) -> bool {
        if own.skip == Some(true) {
            return false;
        }
        let label = service.labels.get(LABEL_COMPONENT);
        let before = self.dumps.len();
        let known = way(service, label.and_then(|label| catalogue.get(label)));
        let method = own.method.unwrap_or(known.method);
        let quiesce = match own.quiesce.as_ref().or(common.quiesce.as_ref()) {
            Some(said) => quiesced(said, name),
            None => held(known.quiesce, name),
        };
        let databases = own.databases.clone().unwrap_or(known.databases);
        let mut mounts = mounts(service);
        let files = server_data(method, &mounts);
        let data = files.filter(|mount| !mount.host).map(|mount| mount.name.clone());
        let service = name.clone();
        match method {
            TakeMethod::None => return false,
            TakeMethod::Volume => {}
            TakeMethod::Postgres => {
                let take = Take::Postgres { service, databases, data: data.clone() };
                self.dumps.push((format!("postgres-{name}"), take, Quiesce::None));
            }
            TakeMethod::Mariadb => {
                let take = Take::Mariadb { service, databases, data: data.clone() };
                self.dumps.push((format!("mariadb-{name}"), take, Quiesce::None));
            }
            // One that keeps nothing is a cache.
            TakeMethod::Redis if files.is_none() => return false,
            TakeMethod::Redis => {
                let take = Take::Redis { service, data: data.clone() };
                self.dumps.push((format!("redis-{name}"), take, Quiesce::None));
            }
            TakeMethod::Command => {
                let (save, load) = match &own.save {
                    Some(save) => (save.clone(), own.load.clone().unwrap_or_default()),
                    None => (known.save, known.load),
                };
                if !save.is_empty() {
                    let take = Take::Command { service, save, load };
                    self.dumps.push((format!("command-{name}"), take, quiesce.clone()));
                }
            }
        }
        self.of_servers.extend(files.map(|mount| mount.name.clone()));
        if let Some(paths) = known.paths.filter(|_| own.method.is_none()) {
            let kept = |mount: &Found| paths.iter().any(|path| within(&mount.target, path));
            mounts.retain(kept);
        }
        let has_data = !mounts.is_empty() || self.dumps.len() > before;
        if has_data {
            self.components.extend(label.cloned());
        }
        let mut exclude = own.exclude.clone().unwrap_or_default();
        exclude.extend(common.exclude.iter().flatten().cloned());
        for mount in mounts {
            self.file(mount, own.include.clone().unwrap_or_default(), &exclude, &quiesce);
        }
        has_data
    }

    fn file(&mut self, mount: Found, include: Vec<String>, exclude: &[String], quiesce: &Quiesce) {
        let take = match mount.host {
            true => Take::HostPath { path: mount.name.clone(), exclude: exclude.to_vec() },
            false => Take::Volume {
                volume: mount.name.clone(),
                include: include.clone(),
                exclude: exclude.to_vec(),
            },
        };
        let known = self.files.entry(mount.name).or_insert((take, quiesce.clone()));
        // A service that is to hold still holds still, whoever else has the volume.
        known.1 = both(&known.1, quiesce);
        if let Take::Volume { include: all, .. } = &mut known.0
            && include.is_empty()
        {
            all.clear();
        }
    }

    fn items(self) -> Vec<Item> {
        let files = self.files.into_iter().filter(|(name, _)| !self.of_servers.contains(name));
        let files = files.map(|(name, (take, quiesce))| {
            let kind = if matches!(take, Take::Volume { .. }) { "volume" } else { "path" };
            (format!("{kind}-{name}"), take, quiesce)
        });
        let mut names = BTreeSet::new();
        let all = self.dumps.into_iter().chain(files);
        all.filter_map(|(name, take, quiesce)| Some(Item { name: named(&name, &mut names)?, take, quiesce }))
            .take(MAX_ITEMS)
            .collect()
    }
}

/// A name in the letters that a name may have, told apart from those before it.
pub(super) fn named(text: &str, taken: &mut BTreeSet<String>) -> Option<ItemName> {
    let plain: String = text
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-') => c,
            _ => '-',
        })
        .take(90)
        .collect();
    let numbered = (2..1_000).map(|number| format!("{plain}-{number}"));
    let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name))?;
    taken.insert(free.clone());
    ItemName::new(free).ok()
}

/// Something that a service writes and that outlives its containers.
struct Found {
    /// The volume's name, `./PATH` in the app's folder, or an absolute path of the host.
    name: String,
    target: String,
    host: bool,
}

fn mounts(service: &Service) -> Vec<Found> {
    let writable = service.mounts.iter().filter(|mount| !mount.read_only);
    writable
        .filter_map(|mount| {
            let (name, host) = match &mount.source {
                MountSource::Volume(volume) => (volume.volume.clone()?, false),
                MountSource::Host(host) if is_data(&host.path) => (host.path.clone(), true),
                MountSource::Project(project) => match project.content {
                    ProjectContent::OnHost | ProjectContent::Seed(_) => (format!("./{}", project.path), true),
                    ProjectContent::File(_) | ProjectContent::Folder(_) => return None,
                },
                MountSource::Host(_) | MountSource::Tmpfs(_) => return None,
            };
            Some(Found { name, target: mount.target.clone(), host })
        })
        .collect()
}

fn is_data(path: &str) -> bool {
    path != "/" && !path.ends_with(".sock") && !NOT_DATA.iter().any(|folder| within(path, folder))
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a server keeps its files in.
fn server_data(method: TakeMethod, mounts: &[Found]) -> Option<&Found> {
    let folder = match method {
        TakeMethod::Postgres => "/var/lib/postgresql",
        TakeMethod::Mariadb => "/var/lib/mysql",
        TakeMethod::Redis => "/data",
        _ => return None,
    };
    let usual = mounts.iter().find(|mount| mount.target.starts_with(folder));
    usual.or_else(|| mounts.first().filter(|_| mounts.len() == 1))
}

fn quiesced(said: &QuiesceOption, service: &ServiceName) -> Quiesce {
    let services = vec![service.clone()];
    match said {
        QuiesceOption::None => Quiesce::None,
        QuiesceOption::Pause => Quiesce::Pause { services },
        QuiesceOption::Stop => Quiesce::Stop { services },
        QuiesceOption::Hook { before, after } => {
            Quiesce::Hook { service: service.clone(), before: before.clone(), after: after.clone() }
        }
    }
}

/// What the catalogue says, of one service.
fn held(known: omni_catalogue::Quiesce, service: &ServiceName) -> Quiesce {
    let services = vec![service.clone()];
    match known {
        omni_catalogue::Quiesce::None => Quiesce::None,
        omni_catalogue::Quiesce::Stop => Quiesce::Stop { services },
        // Nobody knows how each product is told to refuse writes; frozen, it makes none.
        omni_catalogue::Quiesce::Pause | omni_catalogue::Quiesce::ReadOnly => Quiesce::Pause { services },
    }
}

/// The stronger of two, for all services of both. A hook counts for more than none, and for less than holding still.
fn both(one: &Quiesce, other: &Quiesce) -> Quiesce {
    let strength = |quiesce: &Quiesce| match quiesce {
        Quiesce::None => 0,
        Quiesce::Hook { .. } => 1,
        Quiesce::Pause { .. } => 2,
        Quiesce::Stop { .. } => 3,
    };
    let (strong, weak) = if strength(other) > strength(one) { (other, one) } else { (one, other) };
    let joined = |own: &[ServiceName]| {
        let more = match weak {
            Quiesce::Pause { services } | Quiesce::Stop { services } => services.as_slice(),
            _ => &[],
        };
        own.iter().chain(more).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    };
    match strong {
        Quiesce::Pause { services } => Quiesce::Pause { services: joined(services) },
        Quiesce::Stop { services } => Quiesce::Stop { services: joined(services) },
        other => other.clone(),
    }
}
