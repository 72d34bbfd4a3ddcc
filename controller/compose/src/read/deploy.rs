//! `deploy`: how many, where, and how one release replaces another.

use super::Reader;
use super::field::Field;
use crate::fault::{FaultKind, quoted};
use crate::report::{At, Report};
use crate::units;
use omni_common::domain::app::{
    Constraint, HostProperty, OnFailure, RestartPolicy, RolloutOrder, RolloutPolicy,
};

/// Most containers or allocations of one service.
pub(crate) const MAX_REPLICAS: i64 = 1000;
const MILLIONTHS: u64 = 1_000_000;

/// What `deploy` says about placing a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deploy {
    pub(crate) global: bool,
    pub(crate) replicas: Option<(u32, At)>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) spread: Vec<HostProperty>,
    pub(crate) max_per_host: Option<u32>,
    pub(crate) update: Option<RolloutPolicy>,
    pub(crate) rollback: Option<RolloutPolicy>,
    pub(crate) restart: Option<RestartPolicy>,
}

/// Reads `deploy` and `scale`.
pub(super) fn read(field: &Field<'_>, reader: &mut Reader<'_>) -> Deploy {
    let report = &mut *reader.report;
    let scale = field.get("scale");
    let mut all = Deploy::default();
    if let Some(scale) = &scale {
        all.replicas = scale.integer(report, 0, MAX_REPLICAS).map(|count| (count, scale.at()));
    }
    let Some(deploy) = field.get("deploy") else { return all };
    if let Some(mode) = deploy.get("mode") {
        all.global = super::word(&mode, &["replicated", "global"], report).as_deref() == Some("global");
    }
    if let Some(replicas) = deploy.get("replicas") {
        let count: Option<u32> = replicas.integer(report, 0, MAX_REPLICAS);
        if let (Some(count), Some((scale, _))) = (count, all.replicas)
            && count != scale
        {
            let message = format!("`scale` says {scale} and `deploy.replicas` says {count}");
            replicas.fault(report, FaultKind::Conflict, message, "keep one of them");
        }
        all.replicas = count.map(|count| (count, replicas.at()));
    }
    if all.global
        && let Some((_, at)) = all.replicas
    {
        let message = "a global service runs once on every host that fits, so it has no number of replicas";
        report.fault(
            at,
            &deploy.path,
            FaultKind::Conflict,
            message,
            "take out the number, or `mode: global`",
        );
    }
    if let Some(placement) = deploy.get("placement") {
        read_placement(&placement, &mut all, report);
    }
    all.update = deploy.get("update_config").map(|field| rollout(&field, true, report));
    all.rollback = deploy.get("rollback_config").map(|field| rollout(&field, false, report));
    all.restart = deploy.get("restart_policy").and_then(|field| restart(&field, report));
    all
}

fn read_placement(placement: &Field<'_>, all: &mut Deploy, report: &mut Report) {
    if let Some(constraints) = placement.get("constraints") {
        for item in constraints.items(report) {
            all.constraints.extend(item.text(report).and_then(|text| constraint(&text, &item, report)));
        }
    }
    if let Some(preferences) = placement.get("preferences") {
        for item in preferences.items(report) {
            let Some(spread) = item.get("spread") else {
                item.wrong(report, "a preference needs `spread`", "write `- spread: node.labels.NAME`");
                continue;
            };
            all.spread.extend(spread.text(report).and_then(|text| property(&text, &spread, report)));
        }
    }
    all.max_per_host = placement
        .get("max_replicas_per_node")
        .and_then(|field| field.integer(report, 0, MAX_REPLICAS))
        .filter(|n| *n > 0);
}

fn constraint(text: &str, item: &Field<'_>, report: &mut Report) -> Option<Constraint> {
    let (name, equal, value) = if let Some((name, value)) = text.split_once("!=") {
        (name, false, value)
    } else if let Some((name, value)) = text.split_once("==") {
        (name, true, value)
    } else {
        let message = format!("`{}` is no constraint", quoted(text));
        item.wrong(report, message, "write `node.labels.NAME == VALUE` or `!=`");
        return None;
    };
    let value = value.trim().to_owned();
    if value.is_empty() {
        item.wrong(report, format!("`{}` compares with nothing", quoted(text)), "write a value after it");
        return None;
    }
    let property = property(name.trim(), item, report)?;
    Some(Constraint { property, equal, value })
}

fn property(name: &str, item: &Field<'_>, report: &mut Report) -> Option<HostProperty> {
    let label = |prefix: &str| name.strip_prefix(prefix).filter(|key| !key.is_empty()).map(str::to_owned);
    if let Some(key) = label("node.labels.") {
        return Some(HostProperty::Label(key));
    }
    if let Some(key) = label("engine.labels.") {
        return Some(HostProperty::EngineLabel(key));
    }
    match name {
        "node.id" => Some(HostProperty::Id),
        "node.hostname" => Some(HostProperty::Name),
        "node.platform.os" => Some(HostProperty::Os),
        "node.platform.arch" => Some(HostProperty::Architecture),
        "node.region" => Some(HostProperty::Region),
        "node.zone" => Some(HostProperty::Zone),
        "node.role" => {
            let hint = "give the hosts that are meant a label and write `node.labels.NAME == VALUE`";
            item.fault(
                report,
                FaultKind::Unsupported,
                "hosts of omni have no roles: none is a manager",
                hint,
            );
            None
        }
        _ => {
            let message = format!("`{}` is nothing that a host has", quoted(name));
            let known = [
                "node.id",
                "node.hostname",
                "node.platform.os",
                "node.platform.arch",
                "node.region",
                "node.zone",
            ];
            let hint = crate::suggest::nearest(name, known)
                .map_or("labels are `node.labels.NAME`".to_owned(), |near| format!("did you mean `{near}`?"));
            item.wrong(report, message, &hint);
            None
        }
    }
}

fn rollout(field: &Field<'_>, update: bool, report: &mut Report) -> RolloutPolicy {
    let duration =
        |key: &str, report: &mut Report| field.get(key).and_then(|field| field.duration_ms(report));
    let actions: super::Words =
        if update { &["pause", "continue", "rollback"] } else { &["pause", "continue"] };
    let on_failure = field.get("failure_action").and_then(|field| super::word(&field, actions, report));
    let order =
        field.get("order").and_then(|field| super::word(&field, &["start-first", "stop-first"], report));
    RolloutPolicy {
        parallelism: field.get("parallelism").and_then(|field| field.integer(report, 0, MAX_REPLICAS)),
        delay_ms: duration("delay", report).unwrap_or_default(),
        monitor_ms: duration("monitor", report),
        on_failure: on_failure.as_deref().map(|word| match word {
            "continue" => OnFailure::Continue,
            "rollback" => OnFailure::Rollback,
            _ => OnFailure::Pause,
        }),
        max_failure_millionths: field
            .get("max_failure_ratio")
            .and_then(|field| ratio(&field, report))
            .unwrap_or_default(),
        order: order.as_deref().map(|word| match word {
            "start-first" => RolloutOrder::StartFirst,
            _ => RolloutOrder::StopFirst,
        }),
    }
}

fn ratio(field: &Field<'_>, report: &mut Report) -> Option<u32> {
    let text = field.text(report)?;
    let ratio = units::decimal(&text, MILLIONTHS).filter(|ratio| *ratio <= MILLIONTHS);
    if ratio.is_none() {
        field.wrong(report, format!("`{}` is no share from 0 to 1", quoted(&text)), "");
    }
    ratio.and_then(|ratio| u32::try_from(ratio).ok())
}

fn restart(field: &Field<'_>, report: &mut Report) -> Option<RestartPolicy> {
    let attempts: Option<u32> =
        field.get("max_attempts").and_then(|field| field.integer(report, 0, 1_000_000));
    let attempts = attempts.filter(|attempts| *attempts > 0);
    let condition = field.get("condition");
    let word = match &condition {
        Some(condition) => super::word(condition, &["none", "on-failure", "any"], report)?,
        None => "any".to_owned(),
    };
    match word.as_str() {
        "none" => Some(RestartPolicy::No),
        "on-failure" => Some(RestartPolicy::OnFailure(attempts)),
        _ => {
            if attempts.is_some() {
                field.note(report, "the engine counts attempts only after failures: it restarts without end");
            }
            Some(RestartPolicy::UnlessStopped)
        }
    }
}
