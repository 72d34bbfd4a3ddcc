//! Peers that break the protocol, and strangers: each is closed with a named reason and counted, and the session
//! of a well-behaved host beside them goes on.

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::HostStatus;
use omni_common::clock::Time;
use omni_common::codec::MAX_FRAME;
use omni_common::ids::{BootId, RequestId, TokenId};
use omni_common::wire::{
    ALPN_AGENT, ALPN_ENROLL, ALPN_PEER, ALPN_RAFT, AgentFrame, Applicant, CloseCode, EnrollRequest, Hello,
    PROTOCOL_MAX, PROTOCOL_MIN,
};
use omni_tests::mesh::{self, Agent, Controller, Mesh, Place, Rogue, SOON, Stranger};
use omni_tests::testbed::eventually;
use omni_transport::{Connection, FrameWriter};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

/// Far longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than the machines that may enrol at one time.
const NEWCOMERS: usize = 400;

#[test]
fn hostile_peers_are_closed_and_counted_and_nobody_else_notices() {
    mesh::test(|here| {
        let mut mesh = Mesh::form(&[Place::Here(here)], Place::Here(here))?;
        mesh.add_agent(Place::Here(here), "good")?;
        let bad = Agent::new(Place::Here(here), "bad");
        bad.join(&mesh.quic(), &mesh.init().agent_join_token)?.done()?;
        let (rogue, target) = (Rogue::of(&bad)?, mesh.controller("c1"));
        mesh.while_writing(|writes| {
            broken_frames(&rogue, target)?;
            broken_order(&rogue, target)?;
            wrong_roles(&rogue, target)?;
            strangers(target)?;
            floods(&rogue, target)?;
            newcomers_that_say_nothing(&rogue, target)?;
            noise_at_the_ports(target)?;
            writes.next_after(std::time::Instant::now()).map(drop)
        })?;
        everything_was_counted(&mesh)?;
        the_good_host_did_not_notice(&mesh)?;
        mesh.all_run()
    });
}

/// What the controller closed the connection with.
async fn closed_with(connection: &Connection) -> Result<CloseCode> {
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.context("it was not closed")?;
    eprintln!("closed: {closed}");
    Ok(closed.code)
}

fn hello() -> AgentFrame {
    AgentFrame::Hello(Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        version: "0.0.0".to_owned(),
        capabilities: Vec::new(),
        boot: BootId::mint(),
        controllers_version: 0,
    })
}

fn heartbeat(seq: u64) -> AgentFrame {
    AgentFrame::Heartbeat { seq, sent_ms: seq, generation: 0 }
}

/// Opens a stream of this protocol, sends these bytes, and tells how the connection ended.
async fn says(stranger: &Stranger, target: &str, alpn: &'static [u8], bytes: &[u8]) -> Result<CloseCode> {
    let connection = stranger.dial(target, alpn).await?;
    let (mut send, _receive) = connection.open_bi().await?;
    send.write_all(bytes).await?;
    closed_with(&connection).await
}

/// A frame's length, then these bytes.
fn framed(length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), body].concat()
}

fn broken_frames(rogue: &Rogue, target: &Controller<'_>) -> Result<()> {
    rogue.run(async |stranger| {
        let garbage = framed(64, &[0xff; 64]);
        ensure!(says(stranger, target.quic(), ALPN_AGENT, &garbage).await? == CloseCode::BadFrame);
        let empty = framed(0, &[]);
        ensure!(says(stranger, target.quic(), ALPN_AGENT, &empty).await? == CloseCode::BadFrame);
        let limit = u32::try_from(MAX_FRAME)?;
        for length in [limit + 1, u32::MAX] {
            let code = says(stranger, target.quic(), ALPN_AGENT, &framed(length, &[])).await?;
            ensure!(code == CloseCode::FrameTooLarge, "{length} bytes: {code}");
        }
        Ok(())
    })
}

fn broken_order(rogue: &Rogue, target: &Controller<'_>) -> Result<()> {
    let too_new = AgentFrame::Hello(Hello {
        protocol_min: 900,
        protocol_max: 901,
        ..match hello() {
            AgentFrame::Hello(hello) => hello,
            _ => unreachable!("it is a hello"),
        }
    });
    let cases = [
        (vec![heartbeat(1)], CloseCode::OutOfOrder),
        (vec![hello(), hello()], CloseCode::OutOfOrder),
        (vec![too_new], CloseCode::UnsupportedProtocol),
        (vec![], CloseCode::HelloTimeout),
    ];
    rogue.run(async |stranger| {
        for (frames, expected) in cases {
            let connection = stranger.dial(target.quic(), ALPN_AGENT).await?;
            let (send, _receive) = connection.open_bi().await?;
            let mut writer = FrameWriter::new(send);
            for frame in &frames {
                writer.send(frame).await?;
            }
            let code = closed_with(&connection).await?;
            ensure!(code == expected, "{frames:?} ended with {code}, not {expected}");
        }
        Ok(())
    })
}

/// A host's certificate opens nothing that is for controllers, and no certificate opens nothing but enrolment.
fn wrong_roles(rogue: &Rogue, target: &Controller<'_>) -> Result<()> {
    rogue.run(async |stranger| {
        for alpn in [ALPN_RAFT, ALPN_PEER, ALPN_ENROLL] {
            let connection = stranger.dial(target.quic(), alpn).await?;
            ensure!(closed_with(&connection).await? == CloseCode::WrongRole, "as a host: {alpn:?}");
        }
        for alpn in [ALPN_RAFT, ALPN_PEER, ALPN_AGENT] {
            let connection = stranger.dial_bare(rogue, target.quic(), alpn).await?;
            ensure!(closed_with(&connection).await? == CloseCode::WrongRole, "as nobody: {alpn:?}");
        }
        Ok(())
    })
}

/// A host of another cluster finds out that the controller is not its own; the other way round it is not let in.
fn strangers(target: &Controller<'_>) -> Result<()> {
    let foreign = Rogue::of_another_cluster(&omni_certs::testing::cluster());
    let error = foreign.run(async |stranger| stranger.dial(target.quic(), ALPN_AGENT).await.map(drop)).err();
    let error = error.context("a controller of another cluster was trusted")?;
    eprintln!("a host of another cluster: {error:#}");
    Ok(())
}

fn floods(rogue: &Rogue, target: &Controller<'_>) -> Result<()> {
    rogue.run(async |stranger| {
        let connection = stranger.dial(target.quic(), ALPN_AGENT).await?;
        let (send, _receive) = connection.open_bi().await?;
        let mut writer = FrameWriter::new(send);
        writer.send(&hello()).await?;
        for seq in 1.. {
            if writer.send(&heartbeat(seq)).await.is_err() {
                break;
            }
        }
        ensure!(closed_with(&connection).await? == CloseCode::Flood);

        let forged = EnrollRequest {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            version: "0".repeat(10_000),
            token: TokenId::from_u128(1),
            secret: vec![0; 10_000],
            now: Time::EPOCH,
            csr: vec![0xff; 10_000],
            applicant: Applicant::Host {
                name: "x".repeat(10_000),
                labels: BTreeMap::new(),
                region: None,
                zone: None,
            },
            request: RequestId::from_u128(1),
        };
        let connection = stranger.dial_bare(rogue, target.quic(), ALPN_ENROLL).await?;
        let (send, mut receive) = connection.open_bi().await?;
        FrameWriter::new(send).send(&forged).await?;
        let answer = receive.read_chunk(1 << 20).await?;
        ensure!(answer.is_some(), "nonsense in a well-formed request is answered, and refused");
        Ok(())
    })
}

fn newcomers_that_say_nothing(rogue: &Rogue, target: &Controller<'_>) -> Result<()> {
    rogue.run(async |stranger| {
        let mut held = Vec::new();
        let mut turned_away = 0;
        for _ in 0..NEWCOMERS {
            match stranger.dial_bare(rogue, target.quic(), ALPN_ENROLL).await {
                Ok(connection) => held.push(connection),
                Err(_) => turned_away += 1,
            }
        }
        let mut codes = BTreeMap::<String, usize>::new();
        for connection in &held {
            *codes.entry(closed_with_quietly(connection).await?.to_string()).or_default() += 1;
        }
        eprintln!("{NEWCOMERS} newcomers without a word: {codes:?}, {turned_away} turned away");
        ensure!(codes.keys().all(|code| ["flood", "hello_timeout"].contains(&code.as_str())), "{codes:?}");
        Ok(())
    })
}

async fn closed_with_quietly(connection: &Connection) -> Result<CloseCode> {
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.context("it was not closed")?;
    Ok(closed.code)
}

fn noise_at_the_ports(target: &Controller<'_>) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for number in 0..5_000_u32 {
        // Every first byte and many lengths; some look like the beginning of a QUIC packet.
        let bytes: Vec<u8> =
            number.to_le_bytes().into_iter().cycle().take((number % 1_400) as usize).collect();
        socket.send_to(&bytes, target.quic())?;
    }
    for noise in [&b"\0\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff, 1]] {
        let mut stream = TcpStream::connect(target.api())?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        stream.write_all(noise)?;
        let mut answer = Vec::new();
        // Closed, reset, or an alert: what counts is what comes after.
        stream.read_to_end(&mut answer).ok();
        ensure!(answer.len() < 1_000, "noise is not answered at length: {answer:?}");
    }
    Ok(())
}

fn everything_was_counted(mesh: &Mesh<'_>) -> Result<()> {
    let codes = [
        "bad_frame",
        "frame_too_large",
        "out_of_order",
        "unsupported_protocol",
        "hello_timeout",
        "wrong_role",
    ];
    let counted = eventually("the refusals are counted", SOON, || {
        let text = mesh.api().ask(async |client| client.exposition().await).ok()?;
        let has = |code: &str| text.lines().any(|line| line.contains("refused") && line.contains(code));
        codes.iter().all(|code| has(code)).then_some(text)
    })?;
    let lines = counted.lines().filter(|line| line.contains("refused_total{"));
    eprintln!("{}", lines.collect::<Vec<_>>().join("\n"));
    Ok(())
}

fn the_good_host_did_not_notice(mesh: &Mesh<'_>) -> Result<()> {
    mesh.await_host("good", HostStatus::Up, SOON)?;
    for kind in ["host.suspect", "host.down"] {
        let events = mesh.events_of("good", kind)?;
        ensure!(events.is_empty(), "the good host suffered: {events:#?}");
    }
    let log = mesh.agent("good").log()?;
    ensure!(log.matches("session begun").count() == 1, "its session was cut: {log}");
    let panicked = mesh.controller("c1").log()?.lines().any(|line| line.contains("panicked"));
    ensure!(!panicked, "nothing panics at what peers send");
    Ok(())
}
