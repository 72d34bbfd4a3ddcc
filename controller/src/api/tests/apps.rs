//! Deploys over the API.

use super::*;
use crate::state::command::PlanStep;
use crate::state::{Actor, ActorKind, AppKey, Command, Proposal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{AppGoal, AppView, DeployPlan, Page, ProjectReading, ReleaseView};
use omni_common::ids::{AllocationId, RequestId};
use serde_json::json;

fn project(image: &str) -> Value {
    let text = format!("name: shop\nservices:\n  web:\n    image: {image}\n");
    let file = json!({"content": STANDARD.encode(text)});
    json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}})
}

#[tokio::test]
async fn what_stands_at_a_specification_gets_no_release_of_it_again() {
    let site = Site::new();
    let deploy = async |image| site.post("/api/v1/apps", project(image)).await.ok::<AppView>();
    let plan = async |image| site.post("/api/v1/apps/plan", project(image)).await.ok::<DeployPlan>();
    assert_eq!(deploy("web:1").await.release, 1);
    let again = plan("web:1").await;
    assert!(again.unchanged && again.changes.is_empty(), "{again:?}");
    let app = deploy("web:1").await;
    assert_eq!(app.release, 1, "nothing is replaced by the same");
    let stopped = site
        .call(Method::PATCH, "/api/v1/apps/default/shop", ApiRole::Admin, Some(json!({"goal": "stop"})))
        .await
        .ok::<AppView>();
    let app = deploy("web:1").await;
    assert_eq!((app.release, app.goal), (1, AppGoal::Run), "but what was stopped runs again");
    assert!(app.revision > stopped.revision);
    assert!(!plan("web:2").await.unchanged);
    assert_eq!(deploy("web:2").await.release, 2);
    assert_eq!(deploy("web:1").await.release, 3, "an older one again is a new one");
    let releases = site.get("/api/v1/apps/default/shop/releases").await.ok::<Page<ReleaseView>>();
    assert_eq!(releases.items.len(), 3);
}

#[tokio::test]
async fn what_was_given_up_is_tried_again() {
    let site = Site::new();
    let app = site.post("/api/v1/apps", project("web:1")).await.ok::<AppView>();
    let deployment = app.deployment.expect("it moves").id;
    let path = format!("/api/v1/apps/default/shop/deployments/{deployment}");
    let answer = site.post(&path, json!({"action": "abort"})).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    assert_eq!(site.post("/api/v1/apps", project("web:1")).await.ok::<AppView>().release, 2);
}

/// Each host has its own data of a group that runs on every host: all of it is named before it is lost.
#[tokio::test]
async fn data_of_every_host_is_shown() {
    let site = Site::new();
    let compose = "name: shop\nservices:\n  it:\n    image: it:1\n    volumes: [\"data:/data\"]\n    deploy: {mode: global}\nvolumes: {data: }\n";
    let file = json!({"content": STANDARD.encode(compose)});
    let body = json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}});
    let release = site.post("/api/v1/apps", body).await.ok::<AppView>().release;
    let hosts =
        [(1, "web-1"), (2, "web-2")].map(|(number, name)| site.bench.add_reporting(number, name, vec![]));
    let steps = (1..).zip(hosts).map(|(number, host)| PlanStep::Place {
        id: AllocationId::from_u128(number),
        app: AppKey { environment: "default".to_owned(), name: "shop".to_owned() },
        group: "it".to_owned(),
        slot: 0,
        host,
        release,
        gpus: Vec::new(),
        why: "it is missing".to_owned(),
    });
    let based_on = site.bench.app.store.current().plan_version;
    let proposal = Proposal {
        request: RequestId::from_u128(9),
        fingerprint: None,
        at: site.bench.app.clock.now(),
        actor: Actor { kind: ActorKind::System, name: "planner".to_owned(), role: None, from: None },
        command: Command::AdoptPlan { based_on, steps: steps.collect() },
    };
    site.bench.app.proposer.propose(proposal).await.expect("it leads").outcome.expect("adopted");
    let app = site.get("/api/v1/apps/default/shop").await.ok::<AppView>();
    let shown: Vec<_> = app.volumes.iter().map(|one| (&*one.name, &*one.host_name)).collect();
    assert_eq!(shown, [("data", "web-1"), ("data", "web-2")]);
}

/// A value is taken when the release is made, from the app's own folder or its environment's and from nowhere else.
#[tokio::test]
async fn external_secrets_come_from_the_app_and_its_environment() {
    let site = Site::new();
    let compose = "name: shop\nservices:\n  web:\n    image: web:1\n    secrets: [key]\nsecrets:\n  key: {external: true, name: backup}\n";
    let file = json!({"content": STANDARD.encode(compose)});
    let body = json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}});
    let put = async |name: &str, value: &str| {
        let path = format!("/api/v1/secrets/{}", name.replace('/', "%2F"));
        let answer = site.call(Method::PUT, &path, ApiRole::Admin, Some(json!({"value": value}))).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    };
    put("backup", "key-1").await;
    put("app/default/other/backup", "key-2").await;
    let refused = site.post("/api/v1/apps", body.clone()).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("omni secrets put app/default/shop/backup"), "{}", refused.text());

    put("env/default/backup", "key-3").await;
    assert_eq!(site.post("/api/v1/apps", body.clone()).await.ok::<AppView>().release, 1);
    let plan = site.post("/api/v1/apps/plan", body.clone()).await.ok::<DeployPlan>();
    assert!(plan.unchanged, "{plan:?}");
    put("app/default/shop/backup", "key-4").await;
    let plan = site.post("/api/v1/apps/plan", body.clone()).await;
    assert!(!plan.text().contains("key-4"), "{}", plan.text());
    assert!(!plan.ok::<DeployPlan>().unchanged, "a new value is a change");
    assert_eq!(site.post("/api/v1/apps", body).await.ok::<AppView>().release, 2);

    let spec =
        site.get("/api/v1/apps/default/shop/releases/2").await.ok::<omni_common::domain::app::AppSpec>();
    let taken = spec.secrets.get("key").expect("it is used");
    let omni_common::domain::app::SecretSource::Packed(packed) = taken else { panic!("{taken:?}") };
    assert_eq!(packed.content.digest, omni_common::domain::app::ContentDigest::of(b"key-4"));
}

#[tokio::test]
async fn external_configs_come_from_the_same_places() {
    let site = Site::new();
    let compose = "name: shop\nservices:\n  web:\n    image: web:1\n    configs: [page]\nconfigs:\n  page: {external: true}\n  unused: {external: true}\n";
    let file = json!({"content": STANDARD.encode(compose)});
    let body = json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}});
    let refused = site.post("/api/v1/apps", body.clone()).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let text = refused.text();
    assert!(
        text.contains("configs.page") && text.contains("omni secrets put app/default/shop/page"),
        "{text}"
    );

    let path = "/api/v1/secrets/app%2Fdefault%2Fshop%2Fpage";
    let put = site.call(Method::PUT, path, ApiRole::Admin, Some(json!({"value": "words"}))).await;
    assert!(put.status.is_success(), "{}", put.text());
    assert_eq!(site.post("/api/v1/apps", body).await.ok::<AppView>().release, 1);
    let release = site.get("/api/v1/apps/default/shop/releases/1").await;
    let spec = release.ok::<omni_common::domain::app::AppSpec>();
    let taken = spec.configs.get("page").expect("it is used");
    let omni_common::domain::app::ConfigSource::Packed(packed) = taken else { panic!("{taken:?}") };
    assert_eq!(packed.content.digest, omni_common::domain::app::ContentDigest::of(b"words"));
}

/// What is to be built is told with the names that the images get; only under these, and only for what says how to build it,
/// they are taken.
#[tokio::test]
async fn images_are_built_before_a_project_is_deployed() {
    let site = Site::new();
    let compose = "name: shop\nservices:\n  web:\n    build: {context: web, target: run, platforms: [linux/arm64]}\n  own:\n    image: lan/own:1\n    pull_policy: always\n    build: own\n  db:\n    image: db:1\n";
    let project = |built: Value| {
        let file = json!({"content": STANDARD.encode(compose)});
        json!({"compose": ["app/compose.yaml"], "files": {"app/compose.yaml": file}, "built": built})
    };
    let read = async |built: Value| {
        let body = json!({"project": project(built)});
        site.post("/api/v1/apps/read", body).await.ok::<ProjectReading>().builds
    };
    let builds = read(json!({})).await;
    let [web] = &builds[..] else { panic!("an image that is to be pulled is not built: {builds:?}") };
    assert_eq!((web.service.as_str(), web.folder.as_deref()), ("web", Some("app/web")));
    assert_eq!((web.build.target.as_deref(), web.platform.as_deref()), (Some("run"), Some("linux/arm64")));
    assert_eq!(web.repository, "omni.local/default/shop/web");

    let refused = async |built: Value, word: &str| {
        let answer = site.post("/api/v1/apps", json!({"project": project(built)})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    };
    refused(json!({}), "has to be built before").await;
    refused(json!({"web": "omni.local/default/blog/web:0123456789abcdef"}), "omni.local/default/shop/web:")
        .await;
    refused(json!({"db": "omni.local/default/shop/db:0123456789abcdef"}), "nothing says how to build it")
        .await;

    let image = "omni.local/default/shop/web:0123456789abcdef";
    assert!(read(json!({"web": image})).await.is_empty());
    let body = json!({"project": project(json!({"web": image}))});
    assert_eq!(site.post("/api/v1/apps", body).await.ok::<AppView>().release, 1);
    let spec =
        site.get("/api/v1/apps/default/shop/releases/1").await.ok::<omni_common::domain::app::AppSpec>();
    let web = spec.services.get("web").expect("it is there");
    assert_eq!(web.image.as_deref(), Some(image));
    assert_eq!(web.pull_policy, Some(omni_common::domain::app::PullPolicy::Build));
}
