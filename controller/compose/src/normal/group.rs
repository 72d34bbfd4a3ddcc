//! What services say about their group. Each thing is said once, by the first service of the group.

use super::options;
use super::out::Out;
use crate::units::{show_decimal, show_duration};
use omni_common::domain::app::{
    AppSpec, Constraint, Failover, FailoverMode, Group, GroupMode, GroupName, HostProperty, OnFailure,
    RolloutOrder, RolloutPolicy, Service, ServiceName,
};
use serde_json::{Value as Json, json};

/// Adds to a service what it says about its group.
pub(super) fn add(
    name: &ServiceName,
    service: &Service,
    group_name: &GroupName,
    group: &Group,
    spec: &AppSpec,
    out: &mut Out,
) {
    let first = group.services.first() == Some(name);
    let speaker = speaker(group, spec) == Some(name);
    let alone = group.services.len() == 1;
    let side_by_side = service.containers;
    out.below("deploy", |deploy| {
        deploy.maybe("replicas", side_by_side);
        if speaker && group.mode == GroupMode::Global {
            deploy.put("mode", "global");
        }
        if let (true, None, GroupMode::Replicated(count)) = (alone, side_by_side, group.mode)
            && count != 1
        {
            deploy.put("replicas", count);
        }
        if first {
            placement(group, spec, deploy);
            policy("update_config", &group.update, deploy);
            policy("rollback_config", &group.rollback, deploy);
        }
    });
    out.below("x-omni", |omni| {
        options(&service.omni, omni);
        let own = alone && group.mode == GroupMode::Global && group_name.as_str() == name.as_str();
        if group_name.as_str() != GroupName::MAIN && !own {
            omni.put("group", group_name.as_str());
        }
        if let GroupMode::Replicated(count) = group.mode
            && first
            && (count != 1 && !alone || alone && side_by_side.is_some())
        {
            omni.put("replicas", count);
        }
        if first {
            omni.maybe("region", group.region.clone());
            if group.exclusive == group.data.is_empty() {
                omni.put("exclusive", group.exclusive);
            }
            if group.failover != Failover::default() {
                omni.put("failover", failover(&group.failover));
            }
        }
    });
}

/// The service of a global group that says so: one that has no number of its own.
fn speaker<'a>(group: &'a Group, spec: &AppSpec) -> Option<&'a ServiceName> {
    let countless =
        |name: &&ServiceName| spec.services.get(*name).is_some_and(|service| service.containers.is_none());
    group.services.iter().find(countless)
}

fn failover(failover: &Failover) -> Json {
    let mode = match failover.mode {
        FailoverMode::Restart => "restart",
        FailoverMode::Restore => "restore",
        FailoverMode::Never => "never",
    };
    let mut out = Out::default();
    out.put("mode", mode);
    out.maybe("max_data_age", failover.max_data_age_ms.map(show_duration));
    out.into_json()
}

fn placement(group: &Group, spec: &AppSpec, deploy: &mut Out) {
    let named =
        |name: &ServiceName| spec.services.get(name).is_some_and(|service| service.container_name.is_some());
    let implied = !group.data.is_empty() || group.services.iter().any(named);
    deploy.below("placement", |out| {
        out.list(
            "constraints",
            group.constraints.iter().map(|constraint| Json::from(show_constraint(constraint))),
        );
        out.list(
            "preferences",
            group.spread.iter().map(|property| json!({ "spread": show_property(property) })),
        );
        out.maybe("max_replicas_per_node", group.max_per_host.filter(|_| !implied));
    });
}

fn show_constraint(constraint: &Constraint) -> String {
    let operator = if constraint.equal { "==" } else { "!=" };
    format!("{} {operator} {}", show_property(&constraint.property), constraint.value)
}

fn show_property(property: &HostProperty) -> String {
    match property {
        HostProperty::Id => "node.id".to_owned(),
        HostProperty::Name => "node.hostname".to_owned(),
        HostProperty::Os => "node.platform.os".to_owned(),
        HostProperty::Architecture => "node.platform.arch".to_owned(),
        HostProperty::Region => "node.region".to_owned(),
        HostProperty::Zone => "node.zone".to_owned(),
        HostProperty::Label(key) => format!("node.labels.{key}"),
        HostProperty::EngineLabel(key) => format!("engine.labels.{key}"),
    }
}

fn policy(key: &str, policy: &RolloutPolicy, deploy: &mut Out) {
    let mut out = Out::default();
    out.maybe("parallelism", policy.parallelism);
    out.maybe("delay", Some(policy.delay_ms).filter(|ms| *ms > 0).map(show_duration));
    out.maybe("monitor", policy.monitor_ms.map(show_duration));
    out.maybe(
        "failure_action",
        policy.on_failure.map(|action| match action {
            OnFailure::Pause => "pause",
            OnFailure::Continue => "continue",
            OnFailure::Rollback => "rollback",
        }),
    );
    let ratio = Some(u64::from(policy.max_failure_millionths)).filter(|ratio| *ratio > 0);
    out.maybe("max_failure_ratio", ratio.map(|ratio| show_decimal(ratio, 1_000_000)));
    out.maybe(
        "order",
        policy.order.map(|order| match order {
            RolloutOrder::StartFirst => "start-first",
            RolloutOrder::StopFirst => "stop-first",
        }),
    );
    deploy.object(key, out);
}
