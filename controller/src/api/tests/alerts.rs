//! What Alertmanager posts, and what is shown of it.

use super::Site;
use omni_common::api::v1::{AlertStatus, AlertView, AlertsTaken, ClusterHealth, HealthState, Page};
use serde_json::{Value, json};

const HOOK: &str = "/api/v1/hooks/alertmanager";

/// A message as Alertmanager 0.25 sends it, keys that omni has no use for included.
fn message(status: &str, alerts: &[(&str, &str)]) -> Value {
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|(name, severity)| {
            json!({
                "status": status,
                "labels": {"alertname": name, "severity": severity, "host": "web-1"},
                "annotations": {"summary": format!("{name} it is"), "runbook": "alerts/runbooks/host.md"},
                "startsAt": "2026-08-01T10:00:00.123456789Z",
                "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-08-01T11:00:00Z" },
                "generatorURL": "http://prometheus.example/graph",
                "fingerprint": format!("fp-{name}"),
            })
        })
        .collect();
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "omni",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093",
        "alerts": alerts,
    })
}

#[tokio::test]
async fn alerts_are_taken_shown_and_taken_back() {
    let site = Site::new();
    let alerts = [("DiskSlow", "warning"), ("HostDown", "critical")];
    for _ in 0..2 {
        let taken: AlertsTaken = site.post(HOOK, message("firing", &alerts)).await.ok();
        assert_eq!(taken.firing, 2, "delivery is at least once");
    }
    let page: Page<AlertView> = site.get("/api/v1/alerts").await.ok();
    let names: Vec<_> = page.items.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names, ["HostDown", "DiskSlow"], "the worst first");
    let worst = &page.items[0];
    assert_eq!(worst.summary.as_deref(), Some("HostDown it is"));
    assert_eq!(
        (worst.status, worst.runbook.as_deref()),
        (AlertStatus::Firing, Some("alerts/runbooks/host.md"))
    );
    let health = async || {
        let health: ClusterHealth = site.get("/api/v1/health").await.ok();
        let found = health.checks.into_iter().find(|check| check.name == "alerts");
        found.map(|check| (check.state, check.message))
    };
    assert_eq!(health().await, Some((HealthState::Degraded, "critical: HostDown".to_owned())));

    site.post(HOOK, message("resolved", &alerts[1..])).await.ok::<AlertsTaken>();
    assert_eq!(site.get("/api/v1/alerts").await.ok::<Page<AlertView>>().items.len(), 1);
    let all: Page<AlertView> = site.get("/api/v1/alerts?all=true").await.ok();
    assert_eq!(all.items.last().map(|alert| alert.status), Some(AlertStatus::Resolved));
    assert_eq!(health().await, Some((HealthState::Ok, "1, none of them critical".to_owned())));
    assert!(site.delete("/api/v1/alerts/fp-DiskSlow").await.status.is_success());
    site.delete("/api/v1/alerts/fp-DiskSlow").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_message_that_makes_no_sense_says_where() {
    let site = Site::new();
    let mut other = message("firing", &[("A", "warning")]);
    other["version"] = json!("5");
    let problem = site.post(HOOK, other).await.problem(400, "invalid");
    assert_eq!(problem.errors[0].pointer, "/version");
    let mut odd = message("firing", &[("A", "warning")]);
    odd["alerts"][0]["status"] = json!("perhaps");
    site.post(HOOK, odd).await.problem(400, "invalid_body");
}

#[tokio::test]
async fn long_texts_are_cut_and_many_labels_are_not_all_kept() {
    let site = Site::new();
    let mut large = message("firing", &[("A", "warning")]);
    large["alerts"][0]["annotations"]["summary"] = json!("ö".repeat(10_000));
    for number in 0..200 {
        large["alerts"][0]["labels"][format!("l{number}")] = json!("x".repeat(5_000));
    }
    site.post(HOOK, large).await.ok::<AlertsTaken>();
    let page: Page<AlertView> = site.get("/api/v1/alerts").await.ok();
    let kept = &page.items[0];
    assert!(kept.summary.as_ref().is_some_and(|text| text.len() <= 1024 && text.ends_with('…')));
    assert!(kept.labels.len() <= 64 && kept.labels.values().all(|value| value.len() <= 512));
}
