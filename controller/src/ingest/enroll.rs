//! Enrolment: a machine that shows a join token becomes a host or a controller; a host whose certificate ended while it
//! was away gets a new one.

use super::accept::Gateway;
use super::issuer::controller_names;
use crate::app::ports::ProposeError;
use crate::state::{Actor, Command, Outcome, Proposal, Reply, command::Subject};
use omni_certs::{Role, SecretHash};
use omni_common::clock::Time;
use omni_common::ids::{HostId, RequestId};
use omni_common::wire::{
    Applicant, CloseCode, EnrollReply, EnrollRequest, Enrolled, MAX_CLOCK_SKEW_MS, PROTOCOL_MAX,
    PROTOCOL_MIN, settle_protocol,
};
use omni_transport::{Connection, FrameReader, FrameWriter};
use std::time::Duration;

/// A machine that has not asked by then is cut off.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// The answer must be taken by then.
const TAKE_WITHIN: Duration = Duration::from_secs(5);

/// A refusal with its stable word.
struct No(&'static str, String);

impl From<ProposeError> for No {
    fn from(error: ProposeError) -> Self {
        Self(
            "unavailable",
            format!("the cluster cannot take the machine in right now: {error}; try again in a moment"),
        )
    }
}

/// Serves one joining machine, then closes the connection.
pub(super) async fn serve(gateway: &Gateway, connection: Connection) {
    let exchange = tokio::time::timeout(ASK_WITHIN, async {
        let (send, receive) = connection.accept_bi().await.ok()?;
        let mut requests = FrameReader::<EnrollRequest>::new(receive);
        match requests.next().await {
            Ok(request) => Some((send, request?)),
            Err(error) => {
                connection.close(error.close_code(), &error.to_string());
                None
            }
        }
    });
    let Ok(Some((send, request))) = exchange.await else {
        connection.close(CloseCode::HelloTimeout, "no enrolment request came");
        return;
    };
    let reply = answer(gateway, &connection.remote(), &request).await.unwrap_or_else(|No(code, message)| {
        tracing::info!(peer = connection.remote(), code, "enrolment refused");
        EnrollReply::Refused { code: code.to_owned(), message }
    });
    let mut replies = FrameWriter::new(send);
    if replies.send(&reply).await.is_ok() {
        replies.finish();
        // The machine closes once it has read the answer.
        if tokio::time::timeout(TAKE_WITHIN, connection.closed()).await.is_err() {
            connection.close(CloseCode::Done, "enrolment is over");
        }
    }
}

async fn answer(gateway: &Gateway, from: &str, request: &EnrollRequest) -> Result<EnrollReply, No> {
    let now = gateway.clock.now();
    check_versions(request)?;
    check_clock(now, request.now)?;
    check_made(gateway)?;
    let (role, names) = match &request.applicant {
        Applicant::Returning { certificate } => {
            (Role::Host(returning(gateway, &request.csr, certificate)?), Vec::new())
        }
        Applicant::Host { .. } | Applicant::Controller { .. } => {
            newcomer(gateway, from, request, now).await?
        }
    };
    let state = gateway.store.current();
    let issued = gateway
        .issuer
        .issue(&state, &request.csr, role, &names, now)
        .map_err(|error| No("invalid", format!("no certificate can be issued: {error}")))?;
    let subject = match role {
        Role::Host(id) => Subject::Host(id),
        Role::Controller(id) => Subject::Controller(id),
    };
    let record = Command::RecordCertificate { subject, serial: issued.serial, not_after: issued.not_after };
    gateway
        .propose(Actor::machine(format!("{role:?}"), from), record)
        .await?
        .map_err(|refusal| No("unavailable", refusal.message))?;
    let state = gateway.store.current();
    let cluster =
        state.cluster.as_ref().ok_or_else(|| No("unavailable", "no cluster is known here".to_owned()))?.id;
    Ok(EnrollReply::Accepted {
        cluster,
        enrolled: match role {
            Role::Host(id) => Enrolled::Host(id),
            Role::Controller(id) => Enrolled::Controller { id, cluster_key: gateway.issuer.cluster_key() },
        },
        chain: issued.chain,
        controllers: state.controller_list(),
    })
}

/// A machine with a token: who it is from now on, and what people may type to reach it.
async fn newcomer(
    gateway: &Gateway,
    from: &str,
    request: &EnrollRequest,
    now: Time,
) -> Result<(Role, Vec<String>), No> {
    match (enroll(gateway, from, request, now).await?, &request.applicant) {
        (Reply::Controller(id), Applicant::Controller { quic, api, .. }) => {
            Ok((Role::Controller(id), controller_names(&[quic, api])))
        }
        (Reply::Host(id), Applicant::Host { .. }) => Ok((Role::Host(id), Vec::new())),
        _ => Err(No("invalid", "this request was used for another kind of member".to_owned())),
    }
}

/// A host that was away for longer than its certificate held, and is still one of ours.
///
/// Its newest certificate counts, and the one before: the answer to its last renewal may have been lost. Older ones do
/// not, so a key that was copied from a host is worth nothing once the host has renewed twice.
fn returning(gateway: &Gateway, csr: &[u8], certificate: &[u8]) -> Result<HostId, No> {
    let state = gateway.store.current();
    let cluster =
        state.cluster.as_ref().ok_or_else(|| No("unavailable", "no cluster is known here".to_owned()))?;
    let shown = omni_certs::prove_return(csr, certificate, &cluster.ca_cert)
        .map_err(|error| No("invalid", format!("this host cannot be taken back: {error}")))?;
    let Role::Host(id) = shown.identity.role else {
        return Err(No("invalid", "only hosts are taken back this way".to_owned()));
    };
    let unknown = "this host is not known here, or was removed; to bring it back, join with a new token";
    let host = state.hosts.get(&id).ok_or_else(|| No("host_unknown", unknown.to_owned()))?;
    let newest = host.certificate.as_ref().map_or(shown.not_after, |newest| newest.not_after);
    if newest.since(shown.not_after) > gateway.issuer.host_lifetime() {
        let message = format!(
            "this certificate ended {}, and the host has had newer ones since, until {newest}; is this an old copy of \
             its data folder? Restore the newest, or remove the host and join with a new token",
            shown.not_after
        );
        return Err(No("invalid", message));
    }
    tracing::info!(node = %id, ended = %shown.not_after, "a host returns whose certificate had ended");
    Ok(id)
}

fn check_versions(request: &EnrollRequest) -> Result<(), No> {
    let theirs = (request.protocol_min, request.protocol_max);
    if settle_protocol((PROTOCOL_MIN, PROTOCOL_MAX), theirs).is_some() {
        return Ok(());
    }
    let message = format!(
        "this controller speaks protocol {PROTOCOL_MIN} to {PROTOCOL_MAX}, the machine {} to {} (version {}); \
         install a version within one minor release",
        theirs.0, theirs.1, request.version
    );
    Err(No("invalid", message))
}

/// A controller that has just been started knows no tokens yet; nobody must be sent away for that.
fn check_made(gateway: &Gateway) -> Result<(), No> {
    if gateway.store.current().cluster.is_some() {
        return Ok(());
    }
    let message = "this controller has not loaded the cluster's state yet; try again in a moment";
    Err(No("unavailable", message.to_owned()))
}

/// Certificates mean nothing between machines that disagree about the time.
fn check_clock(ours: Time, theirs: Time) -> Result<(), No> {
    let apart = ours.as_millis().abs_diff(theirs.as_millis());
    if apart <= MAX_CLOCK_SKEW_MS {
        return Ok(());
    }
    let side = if theirs < ours { "behind" } else { "ahead of" };
    let message = format!(
        "this machine's clock is {} s {side} the controller's: here it is {theirs}, there {ours}; \
         set the clock (timedatectl set-ntp true) and join again",
        apart / 1000
    );
    Err(No("clock_skew", message))
}

/// Commits the enrolment. The secret never goes into the log, only its hash.
async fn enroll(gateway: &Gateway, from: &str, request: &EnrollRequest, now: Time) -> Result<Reply, No> {
    let secret = SecretHash::of(&request.secret);
    let (name, command) = match request.applicant.clone() {
        Applicant::Host { name, labels, region, zone } => {
            let enroll = Command::EnrollHost {
                token: request.token,
                secret,
                host: HostId::mint(),
                name: name.clone(),
                labels,
                region,
                zone,
            };
            (name, enroll)
        }
        Applicant::Controller { name, quic, api, region, zone } => {
            let enroll = Command::EnrollController {
                token: request.token,
                secret,
                name: name.clone(),
                quic,
                api,
                region,
                zone,
                version: request.version.chars().take(64).collect(),
            };
            (name, enroll)
        }
        Applicant::Returning { .. } => return Err(No("invalid", "it is a host already".to_owned())),
    };
    let proposal = Proposal {
        request: scoped(request),
        fingerprint: None,
        at: now,
        actor: Actor::machine(format!("joining:{}", name.chars().take(63).collect::<String>()), from),
        command,
    };
    let outcome: Outcome = gateway.proposer.propose(proposal).await?.outcome;
    outcome.map_err(|refusal| No(refusal.code.as_str(), refusal.message))
}

/// The request id that is kept: the machine's own, mixed with its token's secret. Somebody who saw or guessed
/// another machine's request id therefore gets his own answer, not that machine's identity.
fn scoped(request: &EnrollRequest) -> RequestId {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new()
        .chain_update(b"omni enrol")
        .chain_update(request.request.0.as_bytes())
        .chain_update(request.token.0.as_bytes())
        .chain_update(&request.secret)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
