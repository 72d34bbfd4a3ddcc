//! Frames, good and hostile. Whatever one peer sends, the sessions of others go on.

use crate::support::{client, dial_agent, echo, end_of, pair, within};
use omni_common::codec::{MAX_FRAME, encode};
use omni_common::ids::HostId;
use omni_common::wire::{AgentFrame, CloseCode};
use omni_transport::{ClosedBy, Connection, FrameError, FrameReader, FrameWriter, Network, TransportError};

/// What a gateway does with a frame it cannot read.
async fn judge(far: &Connection) -> FrameError {
    let (_send, recv) = within(far.accept_bi()).await.expect("a stream");
    let mut reader = FrameReader::<AgentFrame>::new(recv);
    let error = loop {
        match within(reader.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended cleanly"),
            Err(error) => break error,
        }
    };
    far.close(error.close_code(), &error.to_string());
    error
}

#[tokio::test]
async fn hostile_frames_close_only_their_own_connection() {
    let pair = pair().await;
    let good = AgentFrame::Heartbeat { seq: 1, sent_ms: 2, generation: 3 };
    let body = encode(&good).expect("small");
    let framed = [&(body.len() as u32).to_le_bytes()[..], &body].concat();
    let cases: [(&str, Vec<u8>, CloseCode); 5] = [
        ("oversized", u32::MAX.to_le_bytes().to_vec(), CloseCode::FrameTooLarge),
        ("one over", (MAX_FRAME as u32 + 1).to_le_bytes().to_vec(), CloseCode::FrameTooLarge),
        ("garbage", [&framed[..], &[3, 0, 0, 0, 255, 255, 255]].concat(), CloseCode::BadFrame),
        ("trailing", [&[(body.len() + 1) as u8, 0, 0, 0][..], &body, &[0]].concat(), CloseCode::BadFrame),
        ("torn", framed[..framed.len() - 1].to_vec(), CloseCode::BadFrame),
    ];
    for (position, (name, bytes, code)) in cases.into_iter().enumerate() {
        let tls = pair.cluster.host_tls(HostId::from_u128(100 + position as u128));
        let hostile = client(&tls);
        let near = dial_agent(&hostile, &pair.server).await;
        let far = within(pair.server.accept()).await.expect("the server is up");
        let (mut send, _recv) = near.open_bi().await.expect("a stream");
        send.write_all(&bytes).await.expect("sent");
        send.finish();
        let error = judge(&far).await;
        assert_eq!(error.close_code(), code, "{name}: {error}");
        let closed = end_of(&near).await;
        assert_eq!((closed.code, closed.by), (code, ClosedBy::Peer), "{name}");
        echo(&pair.near, &pair.far).await;
    }
    let counts = pair.server.rejections().counts();
    assert_eq!((counts["frame_too_large"], counts["bad_frame"]), (2, 3));
}

#[tokio::test]
async fn an_announced_size_allocates_nothing_until_bytes_arrive() {
    let pair = pair().await;
    let (mut send, _recv) = pair.near.open_bi().await.expect("a stream");
    send.write_all(&(MAX_FRAME as u32).to_le_bytes()).await.expect("sent");
    let (_send, recv) = within(pair.far.accept_bi()).await.expect("a stream");
    let mut reader = FrameReader::<Vec<u8>>::new(recv);
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), reader.next()).await;
    assert!(waiting.is_err(), "a frame that has not arrived is waited for");
    let (_, rest) = reader.into_inner();
    assert_eq!(rest.len(), 4);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let pair = pair().await;
    let (send, _recv) = pair.near.open_bi().await.expect("a stream");
    let frames: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; usize::from(n) * 5000]).collect();
    let sending = async {
        let mut writer = FrameWriter::<Vec<u8>>::new(send);
        for frame in &frames {
            writer.send(frame).await.expect("sent");
        }
        writer.finish();
    };
    let receiving = async {
        let (_send, recv) = pair.far.accept_bi().await.expect("a stream");
        let mut reader = FrameReader::<Vec<u8>>::new(recv);
        let mut received = Vec::new();
        loop {
            tokio::select! {
                biased;
                frame = reader.next() => match frame.expect("good frames") {
                    Some(frame) => received.push(frame),
                    None => return received,
                },
                // Cancels the wait each time it has to wait at all.
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let ((), received) = within(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(received, frames);
}

#[tokio::test]
async fn a_cancelled_send_never_mixes_frames() {
    let pair = pair().await;
    let (send, _recv) = pair.near.open_bi().await.expect("a stream");
    let mut writer = FrameWriter::<Vec<u8>>::new(send);
    let large = vec![7; MAX_FRAME - 16];
    // Nobody reads yet, so the flow-control window fills up and a send hangs halfway.
    let mut begun = 0;
    loop {
        let sent = tokio::time::timeout(std::time::Duration::from_millis(100), writer.send(&large)).await;
        begun += 1;
        if sent.is_err() {
            break;
        }
    }
    let receiving = async {
        let (_send, recv) = pair.far.accept_bi().await.expect("a stream");
        let mut reader = FrameReader::<Vec<u8>>::new(recv);
        let mut received = Vec::new();
        while let Some(frame) = reader.next().await.expect("good frames") {
            received.push(frame.len());
        }
        received
    };
    let sending = async {
        writer.send(&vec![1; 10]).await.expect("sent");
        writer.finish();
    };
    let ((), received) = within(async { tokio::join!(sending, receiving) }).await;
    let mut expected = vec![large.len(); begun];
    expected.push(10);
    assert_eq!(received, expected);
}

#[tokio::test]
async fn a_sender_cannot_exceed_its_own_limit() {
    let pair = pair().await;
    let (send, _recv) = pair.near.open_bi().await.expect("a stream");
    let mut writer = FrameWriter::<Vec<u8>>::with_limit::<64>(send);
    assert!(matches!(writer.send(&vec![0; 65]).await, Err(TransportError::Encode(_))));
    assert!(matches!(writer.send_raw(&[0; 65]).await, Err(TransportError::TooLarge { size: 65, limit: 64 })));
    writer.send(&vec![5; 60]).await.expect("fits");
    writer.finish();
    assert!(matches!(writer.send(&vec![5; 60]).await, Err(TransportError::Finished)));
    let (_send, recv) = within(pair.far.accept_bi()).await.expect("a stream");
    let mut reader = FrameReader::<Vec<u8>>::with_limit::<64>(recv);
    assert_eq!(within(reader.next()).await.expect("a frame"), Some(vec![5; 60]));
    assert_eq!(within(reader.next()).await.expect("the end"), None);
}

#[tokio::test]
async fn resets_and_stops_carry_their_code() {
    let pair = pair().await;
    let (mut send, mut recv) = pair.near.open_bi().await.expect("a stream");
    send.write_all(b"abc").await.expect("sent");
    let (mut far_send, mut far_recv) = within(pair.far.accept_bi()).await.expect("a stream");
    send.reset(CloseCode::OutOfOrder);
    let error = loop {
        match within(far_recv.read_chunk(10)).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(error, Err(TransportError::Reset(CloseCode::OutOfOrder))), "{error:?}");

    recv.stop(CloseCode::Done);
    let error = within(async {
        loop {
            if let Err(error) = far_send.write_all(&[0; 1024]).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, TransportError::Stopped(CloseCode::Done)), "{error}");
}
