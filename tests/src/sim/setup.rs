//! Makes a cluster: the first controller, the others, and hosts, by the same commands as in production.

use super::client::Client;
use super::dice::Dice;
use super::host::Host;
use super::member::{address, name};
use super::world::{CLUSTER, World};
use anyhow::{Context, Result, anyhow, ensure};
use omni_certs::SecretHash;
use omni_common::clock::{Clock, Time};
use omni_common::ids::{ControllerId, HostId, RequestId, TokenId};
use omni_controller::state::{
    Actor, Command, Controller, HostStatus, JoinRole, JoinToken, Outcome, Proposal, Reply,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Without faults each step of the setting up is done by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tokens with which controllers and hosts of the simulation join.
const CONTROLLERS: TokenId = TokenId::from_u128(1);
const HOSTS: TokenId = TokenId::from_u128(2);
/// Tokens with few uses, which writers spend.
const COUNTED: [(TokenId, u32); 3] =
    [(TokenId::from_u128(3), 2), (TokenId::from_u128(4), 5), (TokenId::from_u128(5), 9)];

/// What a cluster begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Controllers, all of which vote.
    pub controllers: u64,
    /// Hosts with agents.
    pub hosts: u64,
}

/// The secret of every join token.
pub(super) fn secret() -> SecretHash {
    SecretHash::of(b"simulated")
}

/// The command by which a machine becomes a host.
pub(super) fn joins(token: TokenId, secret: SecretHash, host: HostId, name: String) -> Command {
    Command::EnrollHost { token, secret, host, name, labels: BTreeMap::new(), region: None, zone: None }
}

/// Makes a cluster of this size and waits until all of it is up.
///
/// # Errors
/// When it does not come up, although nothing is broken yet.
pub(super) async fn found(world: &Arc<World>, dice: &mut Dice, size: Size) -> Result<()> {
    let first = world.start_controller(ControllerId(1), Some(bootstrap(world.clock.now()))).await?;
    first.controller.bootstrap().await.context("the first entry")?;
    for (token, uses) in COUNTED {
        world.invariants().history.add_token(token, uses);
    }
    let mut client = Client::new(Arc::clone(world), dice.fork());
    for _ in 1..size.controllers {
        let id = add_controller(world, &mut client).await?;
        world.eventually(&format!("{} votes", name(id)), PATIENCE, || votes(world, id)).await?;
    }
    for number in 1..=size.hosts {
        let rate = if dice.chance(50) { 1.0 } else { 0.85 + dice.below(31) as f64 / 100.0 };
        let host = Host::new(format!("h{number}"), rate, dice.number());
        add_host(world, &mut client, number, host).await?;
    }
    let up = || world.newest().hosts.values().all(|host| host.status == HostStatus::Up).then_some(());
    world.eventually("all hosts are up", PATIENCE, up).await
}

fn votes(world: &World, id: ControllerId) -> Option<()> {
    world.running().iter().all(|process| process.raft().voters.contains(&id)).then_some(())
}

/// Takes another controller into the cluster and starts it; it votes once it has caught up.
///
/// # Errors
/// When the cluster refuses it, or it does not start.
pub(super) async fn add_controller(world: &Arc<World>, client: &mut Client) -> Result<ControllerId> {
    let expected = ControllerId(world.newest().next_controller);
    let enroll = Command::EnrollController {
        token: CONTROLLERS,
        secret: secret(),
        name: name(expected),
        quic: address(expected),
        api: format!("api-of-{}", name(expected)),
        region: None,
        zone: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let Reply::Controller(id) = insist(world, client, enroll).await?? else {
        return Err(anyhow!("a controller was taken for something else"));
    };
    ensure!(id == expected, "the next controller should be {expected} and is {id}");
    world.start_controller(id, None).await?;
    Ok(id)
}

async fn add_host(world: &Arc<World>, client: &mut Client, number: u64, host: Host) -> Result<()> {
    let id = HostId::from_u128(u128::from(number));
    insist(world, client, joins(HOSTS, secret(), id, host.name.clone())).await??;
    world.hosts().insert(id, host);
    world.start_agent(id);
    tokio::spawn(super::apps::watch(Arc::clone(world), id));
    Ok(())
}

/// Repeats a command of omni's own until somebody answers.
async fn insist(world: &Arc<World>, client: &mut Client, command: Command) -> Result<Outcome> {
    let actor = Actor::system();
    let proposal =
        Proposal { request: RequestId::mint(), fingerprint: None, at: world.clock.now(), actor, command };
    let asking = async {
        loop {
            if let Some((applied, _)) = client.propose(&proposal).await {
                return applied.outcome;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 6, asking).await.context("nobody answers")
}

fn bootstrap(now: Time) -> Proposal {
    let id = ControllerId(1);
    let controller = Controller {
        id,
        name: name(id),
        quic: address(id),
        api: format!("api-of-{}", name(id)),
        region: None,
        zone: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        joined: now,
        certificate: None,
    };
    let unlimited = [(CONTROLLERS, JoinRole::Controller, None), (HOSTS, JoinRole::Agent, None)];
    let counted = COUNTED.map(|(token, uses)| (token, JoinRole::Agent, Some(uses)));
    let tokens = unlimited.into_iter().chain(counted);
    Proposal {
        request: RequestId::from_u128(1),
        fingerprint: None,
        at: now,
        actor: Actor::system(),
        command: Command::Bootstrap {
            cluster: CLUSTER,
            // Identities are given in a simulation, so nobody reads the authority's certificate and key.
            ca_cert: Vec::new(),
            ca_key_sealed: Vec::new(),
            controller,
            api_tokens: Vec::new(),
            join_tokens: tokens.map(|(id, role, uses)| join_token(id, role, uses, now)).collect(),
        },
    }
}

fn join_token(id: TokenId, role: JoinRole, uses_left: Option<u32>, now: Time) -> JoinToken {
    JoinToken {
        id,
        role,
        hash: secret(),
        created: now,
        expires: now.plus(Duration::from_secs(24 * 3600)),
        uses_left,
        used: 0,
        labels: BTreeMap::new(),
        created_by: "setup".to_owned(),
    }
}
