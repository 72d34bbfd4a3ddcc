//! What placing needs to know of a release, taken out of its specification.

use crate::rollout::adopted_from;
use crate::state::{Failover, Gpus, Group, HostPort, Mode, OnFailure, Order, Tier, UpdateRules};
use omni_common::domain::app::{
    self as spec, AppSpec, DataSource, FailoverMode, GpuCount, GpuNeed, GroupMode, GroupName, HostProperty,
    Protocol, RolloutOrder, RolloutPolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A new instance must be healthy this soon after its containers began to start, unless its checks need longer.
const DEADLINE: Duration = Duration::from_secs(60);
/// A new instance is watched this long before it counts as well, unless the file says otherwise. Compose's default of
/// 5 s, as Swarm has it.
const MONITOR: Duration = Duration::from_secs(5);

/// The groups of an app in clear.
pub(super) fn groups(app: &AppSpec) -> BTreeMap<String, Arc<Group>> {
    let groups = app.groups.iter();
    groups.map(|(name, group)| (name.to_string(), Arc::new(outline(app, name, group)))).collect()
}

fn outline(app: &AppSpec, name: &GroupName, group: &spec::Group) -> Group {
    let images = group.services.iter().filter_map(|service| app.services.get(service)?.image.clone());
    Group {
        services: group.services.iter().map(ToString::to_string).collect(),
        mode: match group.mode {
            GroupMode::Replicated(count) => Mode::Replicated(count),
            GroupMode::Global => Mode::Global,
        },
        exclusive: group.exclusive,
        failover: match group.failover.mode {
            FailoverMode::Restart => Failover::Restart,
            FailoverMode::Restore => Failover::Restore,
            FailoverMode::Never => Failover::Never,
        },
        max_data_age_ms: group.failover.max_data_age_ms,
        cpu_millis: group.resources.nano_cpus.div_ceil(1_000_000),
        memory: group.resources.memory_bytes,
        gpus: group.resources.gpus.iter().map(gpus).collect(),
        ports: group.ports.iter().filter(|port| port.port == port.last).map(port).collect(),
        constraints: group.constraints.iter().map(constraint).chain(adopted(app, group)).collect(),
        spread: group.spread.iter().map(property).collect(),
        region: group.region.clone(),
        max_per_host: group.max_per_host.unwrap_or(0),
        volumes: group.data.iter().map(data).collect(),
        images: images.collect::<BTreeSet<_>>().into_iter().collect(),
        platforms: group.platforms.iter().cloned().collect(),
        after: after(app, name, group),
        critical: group.priority.critical,
        tier: match group.priority.tier {
            spec::Tier::Critical => Tier::Critical,
            spec::Tier::High => Tier::High,
            spec::Tier::Medium => Tier::Medium,
            spec::Tier::Standard => Tier::Standard,
        },
        update: rules(&group.update, group, app),
        rollback: rules(&group.rollback, group, app),
    }
}

/// Where the group runs that is taken over from a compose project.
fn adopted(app: &AppSpec, group: &spec::Group) -> Option<String> {
    let adopted = app.adopted.as_ref()?;
    let runs = adopted.containers.values().any(|one| group.services.contains(&one.service));
    runs.then(|| adopted_from(adopted.host, &adopted.project))
}

/// Groups whose services this one's services wait for.
fn after(app: &AppSpec, name: &GroupName, group: &spec::Group) -> Vec<String> {
    let services = group.services.iter().filter_map(|service| app.services.get(service));
    let waited_for = services.flat_map(|service| service.depends_on.keys());
    let others = waited_for.filter_map(|service| app.group_of(service)).map(|(other, _)| other);
    others
        .filter(|other| *other != name)
        .map(ToString::to_string)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn gpus(need: &GpuNeed) -> Gpus {
    let count = match need.count {
        _ if !need.device_ids.is_empty() => u32::try_from(need.device_ids.len()).ok(),
        GpuCount::All => None,
        GpuCount::Count(count) => Some(count),
    };
    Gpus {
        count,
        ids: need.device_ids.iter().cloned().collect(),
        model: need.model.clone(),
        memory: need.memory_bytes,
    }
}

fn port(port: &spec::HostPort) -> HostPort {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    HostPort { ip: port.host_ip.clone(), port: port.port, protocol: protocol.to_owned() }
}

fn constraint(constraint: &spec::Constraint) -> String {
    let operator = if constraint.equal { "==" } else { "!=" };
    format!("{} {operator} {}", property(&constraint.property), constraint.value)
}

/// As Compose files write it.
fn property(property: &HostProperty) -> String {
    match property {
        HostProperty::Id => "node.id".to_owned(),
        HostProperty::Name => "node.hostname".to_owned(),
        HostProperty::Os => "node.platform.os".to_owned(),
        HostProperty::Architecture => "node.platform.arch".to_owned(),
        HostProperty::Region => "node.labels.region".to_owned(),
        HostProperty::Zone => "node.labels.zone".to_owned(),
        HostProperty::Label(key) => format!("node.labels.{key}"),
        HostProperty::EngineLabel(key) => format!("engine.labels.{key}"),
    }
}

fn data(data: &DataSource) -> String {
    match data {
        DataSource::Volume(name) => name.clone(),
        DataSource::Project(path) => format!("./{path}"),
        DataSource::Host(path) => path.clone(),
    }
}

fn rules(policy: &RolloutPolicy, group: &spec::Group, app: &AppSpec) -> UpdateRules {
    UpdateRules {
        parallelism: policy.parallelism.unwrap_or(1),
        delay_ms: policy.delay_ms,
        monitor_ms: policy.monitor_ms.unwrap_or(millis(MONITOR)),
        deadline_ms: millis(DEADLINE).max(checks(group, app)),
        order: match policy.order {
            Some(RolloutOrder::StopFirst) => Order::StopFirst,
            Some(RolloutOrder::StartFirst) => Order::StartFirst,
            None if group.exclusive => Order::StopFirst,
            None => Order::StartFirst,
        },
        on_failure: match policy.on_failure {
            Some(spec::OnFailure::Pause) => OnFailure::Pause,
            Some(spec::OnFailure::Continue) => OnFailure::Continue,
            Some(spec::OnFailure::Rollback) | None => OnFailure::Rollback,
        },
        max_failures: policy.max_failure_millionths / 1_000,
    }
}

/// How long the health checks of a group may take to say that all are healthy, one service after the other, twice.
fn checks(group: &spec::Group, app: &AppSpec) -> u64 {
    let services = group.services.iter().filter_map(|service| app.services.get(service));
    let checks = services.filter_map(|service| service.healthcheck.as_ref());
    let time = |check: &spec::Healthcheck| {
        let interval = check.interval_ms.unwrap_or(30_000);
        let retries = u64::from(check.retries.unwrap_or(3));
        check.start_period_ms.unwrap_or(0).saturating_add(interval.saturating_mul(retries))
    };
    checks.map(time).fold(0, u64::saturating_add).saturating_mul(2)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
