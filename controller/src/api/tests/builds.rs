//! Images that are built on a host.

use super::sockets::{Client, Port, two_hosts};
use crate::app::testing::FakeAgent;
use crate::state::ApiRole;
use futures_util::SinkExt;
use omni_common::api::v1::{BuildOutput, socket_close};
use omni_common::domain::app::{BuildOrder, BuiltName, ContentDigest};
use omni_common::wire::{AgentRequest, ImageInput, ImageReply, ReplyFrame, RequestInput};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

fn start(host: &str) -> Value {
    let name = BuiltName::new("default", "shop", "web").of(&ContentDigest::of(b"source"));
    json!({"op": "start", "service": "web", "name": name, "build": {"target": "run"}, "host": host})
}

/// The next host that is asked to build, which says that it begins.
async fn builds(port: &mut Port) -> (BuildOrder, FakeAgent) {
    let (_, agent) = port.site.bench.agents.recv().await.expect("a request");
    let AgentRequest::Build(order) = &agent.request else { panic!("{:?}", agent.request) };
    let order = serde_json::from_str(order.reveal()).expect("an order");
    agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    (order, agent)
}

async fn problem(client: &mut Client) -> (String, String) {
    match client.hear().await {
        BuildOutput::Error { problem } => {
            (problem.code.clone(), serde_json::to_string(&problem).expect("JSON"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_builds_from_what_is_sent() {
    let mut port = two_hosts();
    let mut client = port.dial("apps/default/shop/build", Some(ApiRole::Operator)).await;
    client.say(start("web-2")).await;
    let (order, mut agent) = builds(&mut port).await;
    assert_eq!((order.build.target.as_deref(), order.platform), (Some("run"), None));
    assert!(matches!(client.hear().await, BuildOutput::Started { host } if host == "web-2"));
    client.0.send(Message::binary(&b"a tar file"[..])).await.expect("the site reads");
    client.say(json!({"op": "eof"})).await;
    let piece = RequestInput::Image(ImageInput::Chunk(b"a tar file"[..].into()));
    assert_eq!(agent.inputs.recv().await, Some(piece));
    assert_eq!(agent.inputs.recv().await, Some(RequestInput::Eof));
    let id = ContentDigest::of(b"config");
    let words = [
        ImageReply::Waiting,
        ImageReply::BuildOutput("Step 1/1".to_owned()),
        ImageReply::Built { id: id.clone() },
    ];
    for word in words {
        agent.replies.send(ReplyFrame::Image(word)).await.expect("somebody reads");
    }
    assert_eq!(client.hear::<BuildOutput>().await, BuildOutput::Output { text: "Step 1/1".to_owned() });
    assert_eq!(client.hear::<BuildOutput>().await, BuildOutput::Built { id });
    assert_eq!(client.closed().await, socket_close::DONE);
    let entries = port.site.get("/api/v1/audit?what=image.build").await.text();
    assert!(entries.contains("default/shop") && entries.contains("on web-2"), "{entries}");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_says_why_while_the_context_is_still_sent() {
    let mut port = two_hosts();
    let mut client = port.dial("apps/default/shop/build", Some(ApiRole::Operator)).await;
    client.say(start("web-1")).await;
    let (_, agent) = builds(&mut port).await;
    assert!(matches!(client.hear().await, BuildOutput::Started { .. }));
    let failed = ReplyFrame::Failed { code: "failed".to_owned(), message: "no such step".to_owned() };
    agent.replies.send(failed).await.expect("somebody reads");
    drop(agent);
    client.0.send(Message::binary(&b"x"[..])).await.expect("the site reads");
    let (_, text) = problem(&mut client).await;
    assert!(text.contains("no such step"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_app_builds_its_own_images_only() {
    let port = two_hosts();
    let refused = async |change: fn(&mut Value)| {
        let mut client = port.dial("apps/default/shop/build", Some(ApiRole::Operator)).await;
        let mut start = start("web-1");
        change(&mut start);
        client.say(start).await;
        problem(&mut client).await
    };
    let (code, text) =
        refused(|start| start["name"] = json!("omni.local/default/blog/web:0123456789abcdef")).await;
    assert!(code == "invalid" && text.contains("omni.local/default/shop/web:"), "{code} {text}");
    let (code, text) = refused(|start| start["name"] = json!("nginx:latest")).await;
    assert!(code == "invalid" && text.contains("omni.local/default/shop/web:"), "{code} {text}");
    let (code, _) = refused(|start| start["host"] = json!("web-9")).await;
    assert_eq!(code, "not_found");
    let (code, text) = refused(|start| start["build"] = json!({"dockerfile_inline": "FROM a"})).await;
    assert!(code == "invalid" && text.contains("tar file"), "{code} {text}");
    let (_, text) = refused(|start| *start = json!({"op": "eof"})).await;
    assert!(text.contains("the first message is `start`"), "{text}");
}
