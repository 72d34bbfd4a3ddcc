//! How a session begins, is renewed and ends.

use super::*;
use crate::session::{Proof, RenewError};
use async_trait::async_trait;
use omni_common::wire::{AgentFrame, CloseCode, GatewayFrame};
use std::sync::Mutex;

#[tokio::test(start_paused = true)]
async fn it_begins_with_hello_and_heartbeats_count_up() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent(&[1]);
    let Told::Hello(hello) = gateway.hears().await else { panic!("hello comes first") };
    assert_eq!((hello.boot, hello.controllers_version), (BootId::from_u128(5), 1));
    let mut beats = Vec::new();
    while beats.len() < 5 {
        if let Told::Frame(AgentFrame::Heartbeat { seq, sent_ms, .. }) = gateway.hears().await {
            beats.push((seq, sent_ms));
        }
    }
    assert_eq!(beats.iter().map(|&(seq, _)| seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(beats.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 1_000), "{beats:?}");
    drop(agent);
}

#[tokio::test(start_paused = true)]
async fn stopping_takes_leave() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let mut agent = world.agent(&[1]);
    agent.with(gateway.id).await;
    agent.stop.cancel();
    gateway.hears_of(|told| matches!(told, Told::Frame(AgentFrame::Leaving)).then_some(())).await;
    agent.ended.await.expect("no panic").expect("stopped on request");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_somebody_else_is_left() {
    let world = World::new();
    // Its certificate says 1, its welcome 7.
    let identity = Identity::controller(CLUSTER, ControllerId(1));
    let liar = Gateway::start(world.net.endpoint("c1", Some(identity)), ControllerId(7));
    let honest = world.gateway(2);
    let mut agent = world.agent(&[1, 2]);
    assert_eq!(agent.somewhere().await, honest.id);
    drop(liar);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_agent_waits_longer_each_time() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let mut agent = world.agent(&[1]);
    let mut waits = Vec::new();
    for _ in 0..4 {
        agent.somewhere().await;
        gateway.hears_of(|told| matches!(told, Told::Hello(_)).then_some(())).await;
        gateway.closes(CloseCode::Superseded).await;
        agent.nowhere().await;
        let lost = Instant::now();
        agent.somewhere().await;
        waits.push(lost.elapsed().as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_host_stops_and_says_what_to_do() {
    let world = World::new();
    let gateways = [world.gateway(1), world.gateway(2), world.gateway(3)];
    for gateway in &gateways {
        gateway.set(|manners| &manners.revokes, true);
    }
    let agent = world.agent(&[1, 2, 3]);
    let removed = agent.ended.await.expect("no panic").expect_err("removed");
    assert!(removed.to_string().contains("omni-agent join"), "{removed}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_saw_the_host_go_is_believed_at_once() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let _others = [world.gateway(2), world.gateway(3)];
    let mut agent = world.agent(&[1]);
    agent.with(gateway.id).await;
    let told = Instant::now();
    gateway.closes(CloseCode::Revoked).await;
    agent.ended.await.expect("no panic").expect_err("removed");
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_controller_that_lags_cannot_send_a_host_away() {
    let world = World::new();
    let gateways = [world.gateway(1), world.gateway(2), world.gateway(3)];
    gateways[0].set(|manners| &manners.revokes, true);
    let mut agent = world.agent(&[1, 2, 3]);
    for _ in 0..10 {
        let with = agent.somewhere().await;
        assert_ne!(with, gateways[0].id);
        tokio::time::sleep(Duration::from_secs(30)).await;
        agent.somewhere().await;
    }
    assert!(!agent.ended.is_finished());
}

#[tokio::test(start_paused = true)]
async fn even_all_of_them_cannot_while_they_catch_up() {
    let world = World::new();
    let gateway = world.gateway(1);
    gateway.set(|manners| &manners.revokes, true);
    let mut agent = world.agent(&[1]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    gateway.set(|manners| &manners.revokes, false);
    agent.with(gateway.id).await;
}

/// A certificate that lives for an hour, on paper.
struct Paper {
    clock: Arc<SimClock>,
    validity: Mutex<(Time, Time)>,
    accepted: watch::Sender<u32>,
    saved: watch::Sender<u32>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Paper {
    fn new(clock: Arc<SimClock>) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self {
            clock,
            validity: Mutex::new((now, now.plus(HOUR))),
            accepted: watch::Sender::new(0),
            saved: watch::Sender::new(0),
        })
    }
}

#[async_trait]
impl Credentials for Paper {
    fn validity(&self) -> (Time, Time) {
        *self.validity.lock().expect("no panic")
    }

    fn request(&self) -> Result<Vec<u8>, RenewError> {
        Ok(b"csr".to_vec())
    }

    fn prove(&self) -> Result<Proof, RenewError> {
        let ca = omni_certs::CaFingerprint::of(b"root");
        Ok(Proof { csr: b"csr".to_vec(), certificate: b"ended".to_vec(), ca })
    }

    fn accept(&self, chain: Vec<Vec<u8>>) -> Result<(), RenewError> {
        if chain.is_empty() {
            return Err(RenewError::Unasked);
        }
        let now = self.clock.now();
        *self.validity.lock().expect("no panic") = (now, now.plus(HOUR));
        self.accepted.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn save(&self) {
        self.saved.send_modify(|count| *count += 1);
    }
}

async fn renewal(gateway: &mut Gateway) {
    gateway.hears_of(|told| matches!(told, Told::Frame(AgentFrame::Renew { .. })).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_renewed_at_two_thirds_in_the_same_session() {
    let world = World::new();
    let paper = Paper::new(world.clock.clone());
    let mut gateway = world.gateway(1);
    let mut agent = world.agent_with(&[1], 1, Some(paper.clone()));
    agent.with(gateway.id).await;
    for round in 1..=3 {
        let begun = world.clock.now();
        renewal(&mut gateway).await;
        let after = world.clock.now().since(begun).as_secs();
        assert!((2_398..=2_402).contains(&after), "{after}");
        gateway.says(GatewayFrame::Renewed { chain: vec![vec![1]] }).await;
        paper.saved.subscribe().wait_for(|&count| count == round).await.expect("it lives");
    }
    assert_eq!(agent.status.borrow().sessions, 1, "no gap");
}

#[tokio::test(start_paused = true)]
async fn refused_lost_and_useless_renewals_are_asked_for_again() {
    let world = World::new();
    let paper = Paper::new(world.clock.clone());
    let mut gateway = world.gateway(1);
    let _agent = world.agent_with(&[1], 1, Some(paper.clone()));
    renewal(&mut gateway).await;
    let (code, message) = ("unavailable".to_owned(), "no quorum".to_owned());
    gateway.says(GatewayFrame::RenewRefused { code, message }).await;
    renewal(&mut gateway).await;
    // No answer at all.
    renewal(&mut gateway).await;
    gateway.says(GatewayFrame::Renewed { chain: Vec::new() }).await;
    renewal(&mut gateway).await;
    gateway.says(GatewayFrame::Renewed { chain: vec![vec![1]] }).await;
    paper.accepted.subscribe().wait_for(|&count| count == 1).await.expect("it lives");
    assert!(world.clock.now() < Time::from_secs(1_800_000_000).plus(HOUR), "before the end of the first");
}
