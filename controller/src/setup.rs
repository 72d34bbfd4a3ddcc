//! Becoming a controller: making a cluster, or joining one.

use crate::config::{InitArgs, JoinArgs, Output, Settings};
use crate::data_dir::{Addresses, DataDir, HexBytes, Joining, Member};
use crate::ingest::{ca_key_context, controller_names};
use crate::state::{Actor, ApiRole, ApiToken, Command, Controller, JoinRole, JoinToken, Proposal};
use anyhow::{Context, bail};
use omni_certs::{
    Authority, CaFingerprint, ClusterKey, Identity, KeyPair, Role, Secret, TokenKind, TokenText, lifetimes,
};
use omni_common::clock::{Clock, SystemClock, Time};
use omni_common::domain::check_name;
use omni_common::ids::{ClusterId, ControllerId, RequestId, TokenId};
use omni_common::wire::{
    ALPN_ENROLL, Applicant, CloseCode, EnrollReply, EnrollRequest, Enrolled, PROTOCOL_MAX, PROTOCOL_MIN,
};
use omni_transport::{Connect, FrameReader, FrameWriter, Network, QuicNetwork};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The first join tokens run this long: time to set up the first machines.
const FIRST_TOKENS: Duration = Duration::from_secs(24 * 3600);
/// One controller is asked for this long before the next is tried.
const ASK_WITHIN: Duration = Duration::from_secs(15);

/// What `init` hands out, once.
#[derive(Serialize)]
struct Made {
    cluster_id: ClusterId,
    ca_fingerprint: String,
    admin_token: String,
    setup_link: String,
    agent_join_token: String,
    controller_join_token: String,
    api: String,
    quic: String,
}

/// Makes a cluster. Nothing is on the network yet; `run` commits its first entry.
pub fn init(args: InitArgs) -> anyhow::Result<String> {
    let settings = args.common.settings.with_file(&args.common.data_dir)?;
    check_name(&args.name)?;
    let addresses = settings.addresses(None)?;
    let dir = DataDir::create(&args.common.data_dir)?;
    let now = SystemClock.now();
    let cluster = ClusterId::mint();
    let authority = Authority::create(cluster, now)?;
    let cluster_key = ClusterKey::generate()?;
    let id = ControllerId(1);
    let key = KeyPair::generate()?;
    let identity = Identity { cluster, role: Role::Controller(id) };
    let names = controller_names(&[&addresses.advertise_quic, &addresses.advertise_api]);
    let issued = authority.issue(&key.csr()?, identity, &names, now, lifetimes::CONTROLLER)?;
    let tokens = FirstTokens::mint(now)?;
    let made = tokens.made(cluster, authority.fingerprint(), &addresses);
    let controller = founder(id, &args.name, &addresses, &settings, now);
    let entry = Proposal {
        request: RequestId::mint(),
        fingerprint: None,
        at: now,
        actor: Actor::machine(format!("init:{}", args.name), "local"),
        command: Command::Bootstrap {
            cluster,
            ca_cert: authority.cert_der().to_vec(),
            ca_key_sealed: cluster_key.seal(&ca_key_context(cluster), authority.key_pkcs8())?,
            controller,
            api_tokens: vec![tokens.admin.0],
            join_tokens: vec![tokens.agent.0, tokens.controller.0, tokens.person.0],
        },
    };
    dir.save_bootstrap(&omni_common::codec::encode(&entry)?)?;
    dir.save_member(&Member {
        cluster,
        id,
        name: args.name,
        key: key.pkcs8().to_vec(),
        chain: issued.chain.into_iter().map(HexBytes).collect(),
        cluster_key: cluster_key.as_bytes().to_vec(),
        addresses,
        region: settings.region,
        zone: settings.zone,
    })?;
    Ok(match args.output {
        Output::Json => serde_json::to_string_pretty(&made)?,
        Output::Text => made.text(&args.common.data_dir.display().to_string()),
    })
}

/// The tokens of a new cluster: what the state keeps, and the secret that is shown once.
struct FirstTokens {
    admin: (ApiToken, Secret),
    agent: (JoinToken, Secret),
    controller: (JoinToken, Secret),
    person: (JoinToken, Secret),
}

impl FirstTokens {
    fn mint(now: Time) -> anyhow::Result<Self> {
        let secret = Secret::generate()?;
        let admin = ApiToken {
            id: TokenId::mint(),
            name: "first-admin".to_owned(),
            role: ApiRole::Admin,
            environments: Vec::new(),
            hash: secret.hash(),
            created: now,
            expires: None,
            created_by: "init".to_owned(),
        };
        Ok(Self {
            admin: (admin, secret),
            agent: first_join(JoinRole::Agent, now)?,
            controller: first_join(JoinRole::Controller, now)?,
            person: first_join(JoinRole::Admin, now)?,
        })
    }

    fn made(&self, cluster: ClusterId, ca: CaFingerprint, addresses: &crate::data_dir::Addresses) -> Made {
        let text = |kind, id, secret: &Secret| token_text(kind, id, secret, ca);
        Made {
            cluster_id: cluster,
            ca_fingerprint: ca.to_string(),
            admin_token: text(TokenKind::Api, self.admin.0.id, &self.admin.1),
            agent_join_token: text(TokenKind::Join, self.agent.0.id, &self.agent.1),
            controller_join_token: text(TokenKind::Join, self.controller.0.id, &self.controller.1),
            setup_link: format!(
                "https://{}/#/setup/{}",
                addresses.advertise_api,
                text(TokenKind::Join, self.person.0.id, &self.person.1)
            ),
            api: format!("https://{}", addresses.advertise_api),
            quic: addresses.advertise_quic.clone(),
        }
    }
}

/// The first controller of a cluster, as its state knows it.
pub(crate) fn founder(
    id: ControllerId,
    name: &str,
    addresses: &Addresses,
    settings: &Settings,
    joined: Time,
) -> Controller {
    Controller {
        id,
        name: name.to_owned(),
        quic: addresses.advertise_quic.clone(),
        api: addresses.advertise_api.clone(),
        region: settings.region.clone(),
        zone: settings.zone.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        joined,
        certificate: None,
    }
}

/// A token as people copy it.
pub(crate) fn token_text(kind: TokenKind, id: TokenId, secret: &Secret, ca: CaFingerprint) -> String {
    TokenText::new(kind, id, secret, ca).to_string()
}

/// A join token of the first day.
pub(crate) fn first_join(role: JoinRole, now: Time) -> anyhow::Result<(JoinToken, Secret)> {
    let secret = Secret::generate()?;
    let token = JoinToken {
        id: TokenId::mint(),
        role,
        hash: secret.hash(),
        created: now,
        expires: now.plus(FIRST_TOKENS),
        // Machines are many, the first person is one.
        uses_left: (role == JoinRole::Admin).then_some(1),
        used: 0,
        labels: BTreeMap::new(),
        created_by: "init".to_owned(),
    };
    Ok((token, secret))
}

impl Made {
    fn text(&self, data_dir: &str) -> String {
        format!(
            "Made cluster {cluster}, with the root {ca}.\n\
             \n\
             These are shown once. Keep the token and the link safe: they may do everything.\n\
             \n\
             for you, in a browser   {setup}\n\
             \x20                       (once, within 24 hours: choose a name and a password)\n\
             admin token             {admin}\n\
             join token, agents      {agent}\n\
             join token, controllers {controller}\n\
             \n\
             The join tokens end in 24 hours; `omni token create` makes new ones.\n\
             \n\
             Next:\n\
             \x20 omni-controller run --data-dir {data_dir}\n\
             \x20 omni login {api} --token {admin}\n\
             \x20 omni-agent join --controller {quic} --token <join token, agents>      (on each host)\n\
             \x20 omni-controller join --controller {quic} --token <join token, controllers> --name NAME   (on two more)\n",
            cluster = self.cluster_id,
            ca = self.ca_fingerprint,
            setup = self.setup_link,
            admin = self.admin_token,
            agent = self.agent_join_token,
            controller = self.controller_join_token,
            api = self.api,
            quic = self.quic,
        )
    }
}

/// Joins a cluster. `run` then takes part in it.
pub async fn join(args: JoinArgs) -> anyhow::Result<String> {
    let settings = args.common.settings.with_file(&args.common.data_dir)?;
    check_name(&args.name)?;
    let token: TokenText = args.token.trim().parse().context("--token is not a join token")?;
    if token.kind != TokenKind::Join {
        bail!(
            "--token is an API token; a controller joins with a join token (`omni token create --role controller`)"
        );
    }
    let addresses = settings.addresses(None)?;
    let dir = DataDir::create(&args.common.data_dir)?;
    let joining = match dir.joining()? {
        Some(joining) => joining,
        None => {
            let joining = Joining { request: RequestId::mint(), key: KeyPair::generate()?.pkcs8().to_vec() };
            dir.save_joining(&joining)?;
            joining
        }
    };
    let request = EnrollRequest {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: token.id,
        secret: token.secret.clone(),
        now: SystemClock.now(),
        csr: KeyPair::from_pkcs8(&joining.key)?.csr()?,
        applicant: Applicant::Controller {
            name: args.name.clone(),
            quic: addresses.advertise_quic.clone(),
            api: addresses.advertise_api.clone(),
            region: settings.region.clone(),
            zone: settings.zone.clone(),
        },
        request: joining.request,
    };
    let (cluster, enrolled, chain) = ask_all(&args.controller, &token.ca, &request).await?;
    let Enrolled::Controller { id, cluster_key } = enrolled else {
        bail!("the cluster took this machine for a host; use a join token for controllers");
    };
    dir.save_member(&Member {
        cluster,
        id,
        name: args.name.clone(),
        key: joining.key,
        chain: chain.into_iter().map(HexBytes).collect(),
        cluster_key,
        addresses,
        region: settings.region,
        zone: settings.zone,
    })?;
    dir.forget_joining()?;
    Ok(format!(
        "Joined cluster {cluster} as controller {id} ({}).\nNext: omni-controller run --data-dir {}\n",
        args.name,
        args.common.data_dir.display()
    ))
}

type Joined = (ClusterId, Enrolled, Vec<Vec<u8>>);

/// Asks each controller in turn until one answers; a refusal is an answer.
async fn ask_all(
    controllers: &[String],
    ca: &CaFingerprint,
    request: &EnrollRequest,
) -> anyhow::Result<Joined> {
    let network = QuicNetwork::client(SocketAddr::from(([0, 0, 0, 0], 0)), None)?;
    let mut failures = Vec::new();
    for address in controllers {
        match tokio::time::timeout(ASK_WITHIN, ask(&network, address, ca, request)).await {
            Ok(Ok(EnrollReply::Accepted { cluster, enrolled, chain, .. })) => {
                network.shutdown(CloseCode::Done, "joined").await;
                return Ok((cluster, enrolled, chain));
            }
            Ok(Ok(EnrollReply::Refused { code, message })) if code == "unavailable" => {
                failures.push(format!("{address}: {message}"));
            }
            Ok(Ok(EnrollReply::Refused { code, message })) => {
                bail!("the cluster refused: {message} [{code}]")
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error:#}")),
            Err(_) => failures.push(format!("{address}: no answer within {} s", ASK_WITHIN.as_secs())),
        }
    }
    bail!("no controller could be asked:\n  {}", failures.join("\n  "))
}

async fn ask(
    network: &Arc<QuicNetwork>,
    address: &str,
    ca: &CaFingerprint,
    request: &EnrollRequest,
) -> anyhow::Result<EnrollReply> {
    let connection = network.connect(address, ALPN_ENROLL, Connect::Enroll(ca)).await?;
    let (send, receive) = connection.open_bi().await?;
    let mut requests = FrameWriter::new(send);
    requests.send(request).await?;
    requests.finish();
    let mut replies = FrameReader::<EnrollReply>::new(receive);
    let reply = replies.next().await?.context("the controller closed the connection without an answer")?;
    connection.close(CloseCode::Done, "enrolled");
    Ok(reply)
}

/// The effective settings as TOML; there are no secrets among them.
pub fn show(settings: &Settings) -> anyhow::Result<String> {
    Ok(toml::to_string_pretty(settings)?)
}
