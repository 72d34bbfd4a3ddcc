//! Hosts made by join token, without the agent that would keep them.

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use omni_certs::{KeyPair, MeshTls, TokenText};
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::{HostId, RequestId};
use omni_common::wire::{
    ALPN_ENROLL, Applicant, CloseCode, ControllerList, EnrollReply, EnrollRequest, Enrolled, PROTOCOL_MAX,
    PROTOCOL_MIN,
};
use omni_transport::{Connect, FrameReader, FrameWriter, Network, QuicNetwork};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Enrolments at the same time; controllers admit more, and turn floods away.
const AT_ONCE: usize = 16;
/// One enrolment, its commit included.
const WITHIN: Duration = Duration::from_secs(20);
/// Times that one is tried while the cluster is busy.
const TRIES: u32 = 5;

/// A host's identity.
pub(super) struct HostIdentity {
    /// Its id.
    pub(super) host: HostId,
    /// Its name.
    pub(super) name: String,
    /// Its certificate.
    pub(super) tls: MeshTls,
    /// Where the controllers are.
    pub(super) controllers: ControllerList,
}

/// Makes `count` hosts named `PREFIX-1` and so on; asks the controllers in turn.
///
/// # Errors
/// When one of them is refused, or not answered for long.
pub(super) async fn enroll(
    token: &str,
    controllers: &[SocketAddr],
    prefix: &str,
    count: u32,
) -> Result<Vec<HostIdentity>> {
    let token: TokenText = token.parse().context("reading the join token")?;
    let network = QuicNetwork::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)?;
    let all = stream::iter(1..=count).map(|number| {
        let controller = controllers[number as usize % controllers.len()].to_string();
        let (token, network) = (&token, &network);
        async move { enroll_one(network, &controller, token, format!("{prefix}-{number}")).await }
    });
    let made: Vec<Result<HostIdentity>> = all.buffered(AT_ONCE).collect().await;
    network.shutdown(CloseCode::Done, "enrolled").await;
    made.into_iter().collect()
}

async fn enroll_one(
    network: &Arc<QuicNetwork>,
    controller: &str,
    token: &TokenText,
    name: String,
) -> Result<HostIdentity> {
    let key = KeyPair::generate()?;
    let request = EnrollRequest {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: token.id,
        secret: token.secret.clone(),
        now: SystemClock.now(),
        csr: key.csr()?,
        applicant: Applicant::Host { name: name.clone(), labels: BTreeMap::new(), region: None, zone: None },
        request: RequestId::mint(),
    };
    let mut last = None;
    for _ in 0..TRIES {
        match tokio::time::timeout(WITHIN, ask(network, controller, token, &request)).await {
            Ok(Ok(EnrollReply::Accepted { enrolled: Enrolled::Host(host), chain, controllers, .. })) => {
                let tls = MeshTls::new(key.pkcs8(), &chain)?;
                return Ok(HostIdentity { host, name, tls, controllers });
            }
            Ok(Ok(EnrollReply::Accepted { .. })) => bail!("{name} was taken for a controller"),
            Ok(Ok(EnrollReply::Refused { code, message })) => {
                ensure!(code == "unavailable", "{name} was refused: {message} ({code})");
                last = Some(anyhow::anyhow!(message));
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(anyhow::anyhow!("no answer within {WITHIN:?}")),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried"))).with_context(|| format!("enrolling {name}"))
}

async fn ask(
    network: &Arc<QuicNetwork>,
    controller: &str,
    token: &TokenText,
    request: &EnrollRequest,
) -> Result<EnrollReply> {
    let connection = network.connect(controller, ALPN_ENROLL, Connect::Enroll(&token.ca)).await?;
    let (send, receive) = connection.open_bi().await?;
    let mut requests = FrameWriter::new(send);
    requests.send(request).await?;
    requests.finish();
    let reply = FrameReader::<EnrollReply>::new(receive).next().await?;
    connection.close(CloseCode::Done, "enrolled");
    reply.context("the controller closed the connection without an answer")
}
