//! Which services are placed as one, and by which rules.
//!
//! No network spans hosts, so services that talk by name share a group: all of an app, unless the file says
//! otherwise with `deploy.mode: global` or `x-omni.group`.

mod checks;

use crate::fault::FaultKind;
use crate::read::{Draft, Omni, check_word, needed};
use crate::report::{At, Report};
use omni_common::domain::app::{
    DataSource, Group, GroupMode, GroupName, HostPort, MountSource, Priority, ProjectContent, Protocol,
    Resources, RolloutPolicy, Service, ServiceName, Tier,
};
use omni_common::domain::{LABEL_CRITICAL, LABEL_TIER};
use std::collections::{BTreeMap, BTreeSet};

/// Most requests for GPUs in one group, counted for each container.
const MAX_GPU_REQUESTS: usize = 1024;

type Drafts = BTreeMap<ServiceName, Draft>;

/// Paths of a host that are its own, not an app's data.
const FACILITIES: [&str; 10] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/etc/localtime",
    "/etc/timezone",
    "/lib/modules",
    "/usr/share/zoneinfo",
    "/boot",
];

/// Forms the groups, and settles in the services what depends on them.
pub(crate) fn form(drafts: &mut Drafts, top: &Omni, report: &mut Report) -> BTreeMap<GroupName, Group> {
    let main = top.group.clone().unwrap_or_else(GroupName::main);
    let mut members: BTreeMap<GroupName, BTreeSet<ServiceName>> = BTreeMap::new();
    let global = global_groups(drafts);
    for (name, draft) in drafts.iter() {
        let group = draft.omni.group.as_ref().or(global.get(name)).unwrap_or(&main);
        members.entry(group.clone()).or_default().insert(name.clone());
    }
    if top.replicas.is_some() && !members.contains_key(&main) {
        let message = format!("the app has no group `{main}` that this number could be for");
        report.fault(
            top.at,
            "x-omni.replicas",
            FaultKind::Conflict,
            message,
            "put it into a service's `x-omni`",
        );
    }
    let own = Omni::default();
    let mut groups = BTreeMap::new();
    for (name, services) in members {
        let outer = if name == main { top } else { &own };
        let former = Former { name: &name, services: &services, outer, top };
        let group = former.form(drafts, report);
        groups.insert(name, group);
    }
    checks::check(&groups, drafts, report);
    groups
}

/// Groups of the global services that name none: those that wait for each other or share something are one, named
/// for the first of them, since a condition can be waited for only on the same host.
fn global_groups(drafts: &Drafts) -> BTreeMap<ServiceName, GroupName> {
    let free: BTreeSet<&ServiceName> = drafts
        .iter()
        .filter(|(_, draft)| draft.deploy.global && draft.omni.group.is_none())
        .map(|(name, _)| name)
        .collect();
    // Links in both directions, so that a walk from any of them finds all.
    let mut links: BTreeMap<&ServiceName, BTreeSet<&ServiceName>> = BTreeMap::new();
    for name in &free {
        for other in drafts.get(*name).map(|draft| needed(&draft.service)).unwrap_or_default() {
            if free.contains(other) {
                links.entry(name).or_default().insert(other);
                links.entry(other).or_default().insert(name);
            }
        }
    }
    let mut groups: BTreeMap<ServiceName, GroupName> = BTreeMap::new();
    for first in &free {
        let Ok(group) = GroupName::new(first.as_str()) else { continue };
        let mut open = vec![*first];
        while let Some(name) = open.pop() {
            if groups.contains_key(name) {
                continue;
            }
            groups.insert(name.clone(), group.clone());
            open.extend(links.get(name).into_iter().flatten());
        }
    }
    groups
}

struct Former<'a> {
    name: &'a GroupName,
    services: &'a BTreeSet<ServiceName>,
    /// `x-omni` of the app where it speaks of this group only.
    outer: &'a Omni,
    /// `x-omni` of the app where it speaks of every group.
    top: &'a Omni,
}

impl Former<'_> {
    fn form(&self, drafts: &mut Drafts, report: &mut Report) -> Group {
        let mode = self.mode(drafts, report);
        let members: Vec<&Draft> = self.services.iter().filter_map(|name| drafts.get(name)).collect();
        let data: BTreeSet<DataSource> = members.iter().flat_map(|draft| data(&draft.service)).collect();
        let asked = self
            .agreed(&members, "exclusive", |omni| omni.exclusive, report)
            .or(self.outer.exclusive.map(|(it, _)| it));
        let failover = self
            .agreed(&members, "failover", |omni| omni.failover, report)
            .or(self.top.failover.map(|(it, _)| it));
        let region = self.agreed(&members, "region", |omni| omni.region.clone(), report);
        let region = region.or_else(|| self.top.region.as_ref().map(|(region, _)| region.clone()));
        // Two allocations on one host would share these.
        let single = !data.is_empty() || members.iter().any(|draft| draft.service.container_name.is_some());
        let max_per_host = members.iter().filter_map(|draft| draft.deploy.max_per_host).min();
        Group {
            services: self.services.clone(),
            mode,
            exclusive: asked.unwrap_or(!data.is_empty()),
            failover: failover.unwrap_or_default(),
            constraints: distinct(members.iter().flat_map(|draft| draft.deploy.constraints.iter().cloned())),
            spread: distinct(members.iter().flat_map(|draft| draft.deploy.spread.iter().cloned())),
            max_per_host: if single { Some(1) } else { max_per_host },
            region,
            platforms: members.iter().filter_map(|draft| draft.service.platform.clone()).collect(),
            resources: self.resources(&members, report),
            ports: self.ports(&members, report),
            data,
            update: self.policy(&members, "update_config", |draft| draft.deploy.update.clone(), report),
            rollback: self.policy(&members, "rollback_config", |draft| draft.deploy.rollback.clone(), report),
            priority: priority(&members, report),
        }
    }

    /// How many allocations; containers side by side are settled in the services.
    fn mode(&self, drafts: &mut Drafts, report: &mut Report) -> GroupMode {
        let members: Vec<&Draft> = self.services.iter().filter_map(|name| drafts.get(name)).collect();
        let asked =
            self.agreed_at(&members, "replicas", |omni| omni.replicas, report).or(self.outer.replicas);
        let global = members.iter().any(|draft| draft.deploy.global);
        if let (true, Some((_, at))) = (global, asked) {
            let message = format!("the group `{}` is global, so it has no number of replicas", self.name);
            report.fault(
                at,
                "x-omni.replicas",
                FaultKind::Conflict,
                message,
                "take out the number, or `mode: global`",
            );
        }
        for draft in
            members.iter().filter(|draft| global && !draft.deploy.global && draft.omni.group.is_none())
        {
            let message = format!(
                "the group `{}` has a global service, so this one would run on every host too",
                self.name
            );
            let hint = "name the group of one of them with `x-omni.group`";
            report.fault(draft.place("image"), &draft.path, FaultKind::Conflict, message, hint);
        }
        let alone = self.services.len() == 1;
        let mut replicas = asked.map(|(count, _)| count);
        for name in self.services {
            let Some(draft) = drafts.get_mut(name) else { continue };
            let Some((count, at)) = draft.deploy.replicas else { continue };
            if alone && replicas.is_none() {
                replicas = Some(count);
            } else {
                side_by_side(draft, count, at, report);
            }
        }
        if global { GroupMode::Global } else { GroupMode::Replicated(replicas.unwrap_or(1)) }
    }

    /// What the services of the group say with one voice.
    fn agreed<T: Clone + PartialEq>(
        &self,
        members: &[&Draft],
        key: &str,
        get: impl Fn(&Omni) -> Option<(T, At)>,
        report: &mut Report,
    ) -> Option<T> {
        self.agreed_at(members, key, get, report).map(|(value, _)| value)
    }

    fn agreed_at<T: Clone + PartialEq>(
        &self,
        members: &[&Draft],
        key: &str,
        get: impl Fn(&Omni) -> Option<(T, At)>,
        report: &mut Report,
    ) -> Option<(T, At)> {
        let mut agreed: Option<(T, At)> = None;
        for draft in members {
            let Some((value, at)) = get(&draft.omni) else { continue };
            match &agreed {
                Some((before, _)) if *before != value => {
                    let message =
                        format!("services of the group `{}` say different things about `{key}`", self.name);
                    let key = format!("{}.x-omni.{key}", draft.path);
                    report.fault(
                        at,
                        &key,
                        FaultKind::Conflict,
                        message,
                        "say it once; it holds for the whole group",
                    );
                }
                Some(_) => {}
                None => agreed = Some((value, at)),
            }
        }
        agreed
    }

    fn policy(
        &self,
        members: &[&Draft],
        key: &str,
        get: impl Fn(&Draft) -> Option<RolloutPolicy>,
        report: &mut Report,
    ) -> RolloutPolicy {
        let mut agreed: Option<RolloutPolicy> = None;
        for draft in members {
            let Some(policy) = get(draft) else { continue };
            match &agreed {
                Some(before) if *before != policy => {
                    let message = format!("services of the group `{}` have different rollouts", self.name);
                    let key = format!("{}.deploy.{key}", draft.path);
                    let hint = "a group is rolled out as one: say it once, or give the service a group with `x-omni.group`";
                    report.fault(draft.place("deploy"), &key, FaultKind::Conflict, message, hint);
                }
                Some(_) => {}
                None => agreed = Some(policy),
            }
        }
        agreed.unwrap_or_default()
    }

    /// The sum over all containers.
    fn resources(&self, members: &[&Draft], report: &mut Report) -> Resources {
        let mut sum = Resources::default();
        for draft in members {
            let count = draft.service.container_count();
            let kept = &draft.service.reservations;
            sum.nano_cpus = sum.nano_cpus.saturating_add(kept.nano_cpus.saturating_mul(u64::from(count)));
            sum.memory_bytes =
                sum.memory_bytes.saturating_add(kept.memory_bytes.saturating_mul(u64::from(count)));
            if sum.gpus.len() + kept.gpus.len().saturating_mul(count as usize) > MAX_GPU_REQUESTS {
                let message =
                    format!("the group `{}` asks for devices more than {MAX_GPU_REQUESTS} times", self.name);
                let key = format!("{}.deploy.resources.reservations.devices", draft.path);
                report.fault(
                    draft.place("deploy"),
                    &key,
                    FaultKind::TooLarge,
                    message,
                    "ask for several with `count`",
                );
                continue;
            }
            for _ in 0..count {
                sum.gpus.extend(kept.gpus.iter().cloned());
            }
        }
        sum
    }

    /// Ports of the host that the group binds; one that is bound twice is a fault.
    fn ports(&self, members: &[&Draft], report: &mut Report) -> BTreeSet<HostPort> {
        let mut ports: BTreeMap<(u16, Protocol), Vec<HostPort>> = BTreeMap::new();
        for draft in members {
            for port in host_ports(&draft.service) {
                let known = ports.entry((port.port, port.protocol)).or_default();
                if known.iter().any(|other| clash(other, &port)) {
                    let message = format!(
                        "port {}/{} of the host is published twice",
                        port.port,
                        port.protocol.as_str()
                    );
                    let key = format!("{}.ports", draft.path);
                    let hint = "publish one of them on another port";
                    report.fault(draft.place("ports"), &key, FaultKind::Conflict, message, hint);
                }
                known.push(port);
            }
        }
        ports.into_values().flatten().collect()
    }
}

/// Several containers of a service beside each other on one host, as Compose has them.
fn side_by_side(draft: &mut Draft, count: u32, at: At, report: &mut Report) {
    draft.service.containers = Some(count).filter(|count| *count != 1);
    if count < 2 {
        return;
    }
    let key = format!("{}.deploy.replicas", draft.path);
    let message = format!(
        "{count} containers run beside each other on one host, as with docker compose; for {count} over hosts, give \
         the service a group of its own with `x-omni.group`"
    );
    report.note(at, &key, message);
    let fixed = host_ports(&draft.service).into_iter().find(|port| port.port == port.last);
    if let Some(port) = fixed {
        let message = format!("{count} containers on one host cannot all have its port {}", port.port);
        let hint =
            "publish a range of ports, or none, or give the service a group of its own with `x-omni.group`";
        report.fault(at, &key, FaultKind::Conflict, message, hint);
    }
    if let Some(name) = &draft.service.container_name {
        let message = format!("{count} containers on one host cannot all be named `{name}`");
        report.fault(at, &key, FaultKind::Conflict, message, "take out `container_name`");
    }
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

fn host_ports(service: &Service) -> Vec<HostPort> {
    let fixed = |port: &omni_common::domain::app::PortMapping| {
        let first = port.host_port?;
        let host_ip = port.host_ip.clone().filter(|ip| ip != "0.0.0.0" && ip != "::");
        Some(HostPort {
            host_ip,
            port: first,
            last: port.host_port_last.unwrap_or(first),
            protocol: port.protocol,
        })
    };
    service.ports.iter().filter_map(fixed).collect()
}

/// Whether two fixed ports of one host exclude each other. Of a range, another port will do.
fn clash(a: &HostPort, b: &HostPort) -> bool {
    let same_address = a.host_ip == b.host_ip || a.host_ip.is_none() || b.host_ip.is_none();
    let fixed = a.port == a.last && b.port == b.last;
    fixed && a.port == b.port && a.protocol == b.protocol && same_address
}

/// Data that a service writes and that outlives it.
fn data(service: &Service) -> Vec<DataSource> {
    let writable = service.mounts.iter().filter(|mount| !mount.read_only);
    writable
        .filter_map(|mount| match &mount.source {
            MountSource::Volume(volume) => volume.volume.clone().map(DataSource::Volume),
            MountSource::Host(host) if is_facility(&host.path) => None,
            MountSource::Host(host) => Some(DataSource::Host(host.path.clone())),
            MountSource::Project(project) => match project.content {
                ProjectContent::OnHost | ProjectContent::Seed(_) => {
                    Some(DataSource::Project(project.path.clone()))
                }
                ProjectContent::File(_) | ProjectContent::Folder(_) => None,
            },
            MountSource::Tmpfs(_) => None,
        })
        .collect()
}

/// Whether a path is a part of the host that programs use, not data of an app.
fn is_facility(path: &str) -> bool {
    let below = |facility: &&str| {
        path.strip_prefix(*facility).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == "/" || path.ends_with(".sock") || FACILITIES.iter().any(below)
}

fn priority(members: &[&Draft], report: &mut Report) -> Priority {
    let mut priority = Priority::default();
    for draft in members {
        let labels = &draft.service.labels;
        priority.critical |= labels.get(LABEL_CRITICAL).is_some_and(|value| value == "true");
        let Some(word) = labels.get(LABEL_TIER) else { continue };
        let tier = match check_word(word, &["critical", "high", "medium", "standard"]) {
            Ok("critical") => Tier::Critical,
            Ok("high") => Tier::High,
            Ok("medium") => Tier::Medium,
            Ok(_) => Tier::Standard,
            Err(why) => {
                let key = format!("{}.labels.{LABEL_TIER}", draft.path);
                report.note(draft.place("labels"), &key, format!("{why}; it counts as `standard`"));
                Tier::Standard
            }
        };
        priority.tier = priority.tier.max(tier);
    }
    priority
}
