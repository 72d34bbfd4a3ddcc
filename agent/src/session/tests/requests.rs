//! Requests within a session.

use super::*;
use crate::session::MAX_REQUESTS;
use omni_common::wire::{AgentRequest, ExecRequest, LogsRequest, ReplyFrame};
use omni_transport::FrameWriter;

#[tokio::test(start_paused = true)]
async fn each_is_answered_on_its_stream() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let _agent = world.agent(&[1]);
    let answer = gateway.asks(&AgentRequest::Processes).await.answer().await;
    assert!(
        matches!(answer[..], [ReplyFrame::Started, ReplyFrame::Processes(_), ReplyFrame::End]),
        "{answer:?}"
    );
    let logs = LogsRequest {
        container: "web".into(),
        follow: false,
        since: None,
        until: None,
        tail: None,
        grep: None,
    };
    let answer = gateway.asks(&AgentRequest::Logs(logs)).await.answer().await;
    assert!(matches!(answer[..], [ReplyFrame::Started, ReplyFrame::Log(_), ReplyFrame::End]), "{answer:?}");
    let exec = ExecRequest {
        container: "web".into(),
        command: vec!["sh".into()],
        tty: false,
        stdin: false,
        env: Vec::new(),
        user: None,
        workdir: None,
        size: None,
    };
    let answer = gateway.asks(&AgentRequest::Exec(exec)).await.answer().await;
    assert!(matches!(&answer[..], [ReplyFrame::Failed { code, .. }] if code == "unsupported"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_refused_in_words() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let mut agent = world.agent(&[1]);
    let connection = gateway.connection().await;
    // Streams on which the question is begun but not ended hold their places.
    let mut held = Vec::new();
    for _ in 0..MAX_REQUESTS {
        let (mut send, recv) = connection.open_bi().await.expect("the session lives");
        send.write_all(&[1]).await.expect("the session lives");
        held.push((send, recv));
    }
    while agent.agent.request_slots.available_permits() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answer = gateway.asks(&AgentRequest::Processes).await.answer().await;
    assert!(matches!(&answer[..], [ReplyFrame::Failed { code, .. }] if code == "busy"), "{answer:?}");
    drop(held);
    while agent.agent.request_slots.available_permits() < MAX_REQUESTS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answer = gateway.asks(&AgentRequest::Processes).await.answer().await;
    assert_eq!(answer.len(), 3);
    assert_eq!(agent.somewhere().await, gateway.id);
    assert_eq!(agent.status.borrow().sessions, 1, "the session did not suffer");
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_newer_gateway_is_refused_and_the_session_lives() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent(&[1]);
    let (send, recv) = gateway.connection().await.open_bi().await.expect("the session lives");
    // A variant that does not exist yet.
    let mut writer = FrameWriter::<u8>::new(send);
    writer.send_raw(&[250]).await.expect("the session lives");
    let mut replies = omni_transport::FrameReader::<ReplyFrame>::new(recv);
    let refused = replies.next().await.expect("a frame").expect("a frame");
    assert!(matches!(&refused, ReplyFrame::Failed { code, .. } if code == "invalid"), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(agent.status.borrow().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_never_comes_frees_its_place() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent(&[1]);
    let (mut send, _recv) = gateway.connection().await.open_bi().await.expect("the session lives");
    send.write_all(&[9]).await.expect("the session lives");
    while agent.agent.request_slots.available_permits() == MAX_REQUESTS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while agent.agent.request_slots.available_permits() < MAX_REQUESTS {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
