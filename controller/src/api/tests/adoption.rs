//! A compose project that runs becomes an app, over the API.

use super::*;
use crate::app::adoption::tests::found;
use crate::app::testing::{FakeAgent, container};
use crate::state::HostStatus;
use omni_common::api::v1::{
    AppView, DefinitionSource, DeployPlan, HostProject, Page, ProjectDefinition, ReleaseView,
};
use omni_common::domain::app::AppSpec;
use omni_common::domain::{Container, FoundProject, LABEL_ALLOCATION, Port};
use omni_common::ids::HostId;
use omni_common::wire::{AgentRequest, ReplyFrame};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What compose has made.
fn composed(service: &str, port: Option<u16>) -> Container {
    let mut one = container(&format!("{service}-id"), &format!("shop_{service}_1"));
    for (name, value) in [
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.service", service),
        ("com.docker.compose.project.working_dir", "/srv/shop"),
        ("com.docker.compose.project.config_files", "docker-compose.yml"),
    ] {
        one.labels.insert(name.to_owned(), value.to_owned());
    }
    one.ports.extend(port.map(|port| Port {
        host_ip: None,
        host_port: Some(port),
        container_port: 80,
        protocol: "tcp".to_owned(),
    }));
    one
}

/// Two hosts, on the second of which the project runs, and an agent that tells of it.
fn site(found: FoundProject) -> Site {
    let mut site = Site::new();
    site.bench.add_reporting(2, "web-2", vec![]);
    site.bench.add_reporting(1, "web-1", vec![composed("web", Some(8080)), composed("db", None)]);
    let facts = super::moves::with_docker();
    site.bench.change(|state| {
        for host in state.hosts.iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            let host = Arc::make_mut(state.hosts.get_mut(&host).expect("it is there"));
            host.facts = Some(facts.clone());
        }
    });
    let mut agents = std::mem::replace(&mut site.bench.agents, mpsc::unbounded_channel().1);
    tokio::spawn(async move {
        while let Some((host, FakeAgent { request, replies, inputs })) = agents.recv().await {
            assert_eq!(host, HostId::from_u128(1));
            let AgentRequest::Project { name, .. } = request else { panic!("{request:?}") };
            let frames = match name == found.name {
                true => {
                    let json = serde_json::to_vec(&found).expect("plain values");
                    let parts = json.chunks(1_000).map(|part| ReplyFrame::Project(part.to_vec()));
                    parts.chain([ReplyFrame::End]).collect()
                }
                false if name == "newer" => vec![ReplyFrame::Failed {
                    code: "invalid".to_owned(),
                    message: "this agent does not understand the request: unknown".to_owned(),
                }],
                false => {
                    vec![ReplyFrame::Failed { code: "not_found".to_owned(), message: "nothing".to_owned() }]
                }
            };
            for frame in frames {
                replies.send(frame).await.ok();
            }
            drop(inputs);
        }
    });
    site
}

const PROJECT: &str = "/api/v1/hosts/web-1/projects/shop";

/// A deploy that adopts it.
fn body(definition: &ProjectDefinition, name: &str) -> Value {
    let mut project = definition.project.clone();
    project.name = Some(name.to_owned());
    json!({"project": project, "adopt": {"host": "web-1", "project": "shop"}})
}

#[tokio::test]
async fn a_project_is_listed_defined_and_adopted() {
    let site = site(found());
    let listed = site.get("/api/v1/hosts/web-1/projects").await.ok::<Page<HostProject>>();
    let [one] = listed.items.as_slice() else { panic!("{listed:?}") };
    assert_eq!((one.name.as_str(), one.containers, one.running, one.adoptable), ("shop", 2, 2, true));
    assert_eq!((one.services.join(" "), one.folder.as_deref()), ("db web".to_owned(), Some("/srv/shop")));
    let none = site.get("/api/v1/hosts/web-2/projects").await.ok::<Page<HostProject>>();
    assert!(none.items.is_empty());

    let definition = site.get(PROJECT).await.ok::<ProjectDefinition>();
    assert_eq!((definition.from, definition.containers.len()), (DefinitionSource::Files, 2));
    let plan = site.post("/api/v1/apps/plan", body(&definition, "shop")).await.ok::<DeployPlan>();
    let taken = plan.notes.iter().filter(|note| note.message.contains("taken over")).count();
    assert_eq!((taken, plan.from, plan.unchanged), (2, None, false), "{plan:?}");
    assert!(plan.steps.iter().all(|step| step.contains("web-1")) && !plan.steps.is_empty(), "{plan:?}");

    let app = site.post("/api/v1/apps", body(&definition, "shop")).await.ok::<AppView>();
    assert_eq!((app.name.as_str(), app.release), ("shop", 1));
    let releases = site.get("/api/v1/apps/default/shop/releases").await.ok::<Page<ReleaseView>>();
    assert_eq!(releases.items[0].source.as_deref(), Some("adopted from web-1: shop"));
    let spec = site.get("/api/v1/apps/default/shop/releases/1").await.ok::<AppSpec>();
    assert_eq!(spec.adopted.as_ref().map(|adopted| adopted.containers.len()), Some(2));

    // A release of the same files, by somebody who knows nothing of it, goes on with the project's things.
    let again = json!({"project": definition.project.clone()});
    let same = site.post("/api/v1/apps/plan", again).await.ok::<DeployPlan>();
    assert!(same.unchanged, "{same:?}");
}

#[tokio::test]
async fn what_cannot_be_adopted_is_refused_in_words() {
    let site = site(found());
    let definition = site.get(PROJECT).await.ok::<ProjectDefinition>();
    site.get("/api/v1/hosts/web-1/projects/other").await.problem(404, "not_found");
    let told = site.get("/api/v1/hosts/web-1/projects/newer").await.problem(409, "conflict");
    assert!(told.detail.expect("a sentence").contains("too old"), "an agent of before");

    // Not what runs.
    let mut wrong = definition.clone();
    let file = wrong.project.files.get_mut("web.env").expect("it is there");
    file.content = "S0VZPW90aGVyCg==".to_owned();
    let told = site.post("/api/v1/apps", body(&wrong, "shop")).await.problem(400, "invalid");
    assert_eq!(told.errors[0].pointer, "services.web.environment.KEY");

    // An app already.
    assert_eq!(site.post("/api/v1/apps", body(&definition, "shop")).await.ok::<AppView>().release, 1);
    assert_eq!(
        site.post("/api/v1/apps", body(&definition, "shop")).await.ok::<AppView>().release,
        1,
        "repeated"
    );
    let told = site.post("/api/v1/apps", body(&wrong, "shop")).await;
    assert_eq!(told.status, 400, "{}", told.text());

    // Its containers are somebody's.
    let mut web = composed("web", Some(8080));
    for (name, value) in [
        (LABEL_ALLOCATION, "x"),
        ("omni.environment", "default"),
        ("omni.app", "shop"),
        ("omni.adopted", "shop"),
    ] {
        web.labels.insert(name.to_owned(), value.to_owned());
    }
    site.bench.add_reporting(1, "web-1", vec![web, composed("db", None)]);
    let told = site.post("/api/v1/apps", body(&definition, "twice")).await.problem(409, "conflict");
    assert!(told.detail.expect("a sentence").contains("belongs to the app default/shop"), "by name");
    let listed = site.get("/api/v1/hosts/web-1/projects").await.ok::<Page<HostProject>>();
    assert_eq!(listed.items[0].reason.as_deref(), Some("is the app default/shop"));

    // Its host is away.
    site.bench.change(|state| {
        let host = state.hosts.get_mut(&HostId::from_u128(1)).expect("it is there");
        Arc::make_mut(host).status = HostStatus::Down;
    });
    let told = site.get(PROJECT).await.problem(409, "conflict");
    assert!(told.detail.expect("a sentence").contains("web-1 is down"), "it says which");
}
