//! Images from a workstation.

use super::sockets::{Port, two_hosts};
use crate::app::testing::FakeAgent;
use crate::state::ApiRole;
use futures_util::SinkExt;
use omni_common::api::v1::{PushOutput, socket_close};
use omni_common::wire::{AgentRequest, ImageInput, ImageReply, ReplyFrame, RequestInput};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// The next host that is asked to load an image, which says that it begins.
async fn loads(port: &mut Port) -> FakeAgent {
    let (_, agent) = port.site.bench.agents.recv().await.expect("a request");
    assert_eq!(agent.request, AgentRequest::LoadImage);
    agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    agent
}

fn piece(bytes: &'static [u8]) -> RequestInput {
    RequestInput::Image(ImageInput::Chunk(bytes.into()))
}

#[tokio::test(start_paused = true)]
async fn an_image_goes_to_several_hosts_and_one_that_fails_is_left_behind() {
    let mut port = two_hosts();
    let mut client = port.dial("images/push?all=true&name=web%3A1", Some(ApiRole::Operator)).await;
    let (mut one, mut two) = (loads(&mut port).await, loads(&mut port).await);
    match client.hear().await {
        PushOutput::Started { hosts } => assert_eq!(hosts, ["web-1", "web-2"]),
        other => panic!("{other:?}"),
    }
    client.0.send(Message::binary(&b"half of "[..])).await.expect("the site reads");
    assert_eq!(one.inputs.recv().await, Some(piece(b"half of ")));
    assert_eq!(two.inputs.recv().await, Some(piece(b"half of ")));
    let full = ReplyFrame::Failed { code: "failed".to_owned(), message: "the disk is full".to_owned() };
    two.replies.send(full).await.expect("somebody reads");
    drop(two);
    client.0.send(Message::binary(&b"an image"[..])).await.expect("the site reads");
    client.say(json!({"op": "eof"})).await;
    assert_eq!(one.inputs.recv().await, Some(piece(b"an image")));
    assert_eq!(one.inputs.recv().await, Some(RequestInput::Eof));
    one.replies.send(ReplyFrame::Image(ImageReply::Waiting)).await.expect("somebody reads");
    let loaded = ImageReply::Loaded { images: vec!["web:1".to_owned()] };
    one.replies.send(ReplyFrame::Image(loaded)).await.expect("somebody reads");
    match client.hear().await {
        PushOutput::Host(outcome) => {
            assert_eq!((outcome.images, outcome.problem), (vec!["web:1".to_owned()], None))
        }
        other => panic!("{other:?}"),
    }
    match client.hear().await {
        PushOutput::Host(outcome) => {
            let problem = outcome.problem.expect("it failed");
            assert_eq!(outcome.host, "web-2");
            assert!(problem.detail.is_some_and(|detail| detail.contains("the disk is full")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.hear::<PushOutput>().await, PushOutput::End);
    assert_eq!(client.closed().await, socket_close::DONE);
    let entries = port.site.get("/api/v1/audit?what=image.push").await.text();
    assert!(entries.contains("web-1,web-2") && entries.contains("web:1"), "{entries}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_nobody_takes_is_not_sent_to_the_end() {
    let mut port = two_hosts();
    let mut client = port.dial("images/push?host=web-1", Some(ApiRole::Operator)).await;
    let agent = loads(&mut port).await;
    assert!(matches!(client.hear().await, PushOutput::Started { .. }));
    let busy = ReplyFrame::Failed { code: "busy".to_owned(), message: "another image".to_owned() };
    agent.replies.send(busy).await.expect("somebody reads");
    drop(agent);
    client.0.send(Message::binary(&b"x"[..])).await.expect("the site reads");
    assert!(matches!(client.hear().await, PushOutput::Host(outcome) if outcome.problem.is_some()));
    assert_eq!(client.hear::<PushOutput>().await, PushOutput::End);
    let mut nowhere = port.dial("images/push?host=web-9", Some(ApiRole::Operator)).await;
    assert!(matches!(nowhere.hear().await, PushOutput::Error { problem } if problem.code == "not_found"));
}
