//! What Prometheus asks for.

use super::{Site, request};
use crate::api::ApiOptions;
use crate::app::TargetGroup;
use crate::app::testing::container;
use axum::http::{Method, StatusCode, header};
use omni_common::domain::{LABEL_COMPONENT, LABEL_SCRAPE, LABEL_SCRAPE_PATH, NetworkAddress, Port};

#[tokio::test]
async fn discovery_is_plain_json() {
    let site = Site::new();
    let path = "/api/v1/prometheus/sd";
    let empty = site.get(path).await;
    assert_eq!((empty.status, empty.text().as_str()), (StatusCode::OK, "[]"));
    assert_eq!(empty.header(header::CONTENT_TYPE), "application/json");
    let mut one = container("c1", "git");
    for (key, value) in [(LABEL_SCRAPE, "true"), (LABEL_SCRAPE_PATH, "/m"), (LABEL_COMPONENT, "gitea")] {
        one.labels.insert(key.to_owned(), value.to_owned());
    }
    one.ports =
        vec![Port { host_ip: None, host_port: None, container_port: 3000, protocol: "tcp".to_owned() }];
    one.networks =
        vec![NetworkAddress { network: "bridge".to_owned(), address: Some("172.17.0.2".to_owned()) }];
    site.bench.add_reporting(1, "web-1", vec![one, container("c2", "other")]);
    let groups: Vec<TargetGroup> = site.get(path).await.ok();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].targets, ["172.17.0.2:3000"]);
    let label = |name: &str| groups[0].labels.get(name).map(String::as_str);
    assert_eq!(label("omni_component"), Some("gitea"));
    assert_eq!(label("omni_host"), Some("web-1"));
    assert_eq!(label("__metrics_path__"), Some("/m"));
    assert_eq!(label("__meta_omni_container_label_prometheus_scrape"), Some("true"));
}

#[tokio::test]
async fn metrics_are_text_and_need_a_token_unless_public() {
    let site = Site::new();
    site.bench.add_reporting(1, "web-1", vec![container("c1", "git")]);
    let page = site.get("/metrics").await;
    assert_eq!(page.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
    let text = page.text();
    for line in ["own_metric 1\n", "omni_host_up{host=\"web-1\"} 1\n", "omni_hosts{status=\"up\"} 1\n"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("omni_container_running{host=\"web-1\",container=\"git\",component=\"\"} 1\n"));
    assert!(text.ends_with('\n'));
    let nobody = || request(Method::GET, "/metrics", None, None);
    site.send(nobody()).await.problem(401, "unauthenticated");
    let public = Site::with(ApiOptions { metrics_public: true, ..ApiOptions::default() });
    assert_eq!(public.send(nobody()).await.status, StatusCode::OK);
}
