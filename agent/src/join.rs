//! `omni-agent join`: a token becomes an identity.
//!
//! Everything that can be checked here is checked before anything is sent, and nothing is sent before the
//! controller has proved to belong to the token's cluster. A join that loses its answer can simply be
//! repeated: its request id and key stay in the data folder until an answer has been kept.

use crate::enroll;
use crate::ledger::{Ledger, LedgerError, PendingJoin, StoredIdentity};
use omni_certs::{CaFingerprint, Identity, InvalidToken, KeyPair, MeshTls, Role, TokenKind, TokenText};
use omni_common::clock::{Clock, Time};
use omni_common::domain::{InvalidName, check_labels, check_name};
use omni_common::ids::{ClusterId, HostId, RequestId};
use omni_common::wire::{
    Applicant, ControllerList, EnrollReply, EnrollRequest, Enrolled, PROTOCOL_MAX, PROTOCOL_MIN,
};
use omni_transport::Network;
use std::collections::BTreeMap;

/// The machine did not join. Its data folder is as it was, but for what makes a repeated join the same join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is no token.
    #[error(
        "a join token is needed: make one with `omni token create --role agent` and pass it with --token"
    )]
    NoToken,
    /// The text is no token, or a damaged one.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// It is a token for the API.
    #[error("this is an API token; joining needs a join token, which begins with `omni-join1.`")]
    ApiToken,
    /// There is no address.
    #[error(
        "name at least one controller with --controller HOST:PORT (its QUIC address, by default port 7600)"
    )]
    NoController,
    /// Name or labels cannot be used.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A label without a value.
    #[error("`{0}` is no label: write KEY=VALUE")]
    Label(String),
    /// The folder belongs to another cluster.
    #[error(
        "this data folder already belongs to cluster {cluster}, and the token is for another one: choose another --data-dir, or move the folder away"
    )]
    OtherCluster {
        /// The cluster it belongs to.
        cluster: ClusterId,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A key or certificate is of no use.
    #[error("the certificate that the controller issued cannot be used")]
    Certificate(#[from] omni_certs::Error),
    /// The controller said no.
    #[error("{message} ({code}; this machine's clock says {now})")]
    Refused {
        /// Stable word.
        code: String,
        /// In the controller's words.
        message: String,
        /// This machine's time when it asked.
        now: Time,
    },
    /// No controller could be asked.
    #[error("no controller could be asked; this machine's clock says {now}{}", list(attempts))]
    Unreachable {
        /// Who was asked, and what came of it.
        attempts: Vec<(String, String)>,
        /// This machine's time.
        now: Time,
    },
    /// The controller's answer makes no sense.
    #[error("the controller's answer cannot be used: {0}")]
    Answer(&'static str),
}

fn list(attempts: &[(String, String)]) -> String {
    attempts.iter().map(|(address, error)| format!("\n  {address}: {error}")).collect()
}

/// What to join as.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The token.
    pub token: TokenText,
    /// Controllers to ask, in order.
    pub controllers: Vec<String>,
    /// Name of the host.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its region.
    pub region: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
}

/// The machine is a host of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The cluster.
    pub cluster: ClusterId,
    /// The host's id there.
    pub host: HostId,
    /// It was one already; nothing was changed.
    pub already: bool,
}

impl JoinOptions {
    /// Reads and checks what the command line says.
    pub fn check(args: &crate::args::JoinArgs) -> Result<Self, JoinError> {
        let token: TokenText = args.token.as_deref().ok_or(JoinError::NoToken)?.parse()?;
        if token.kind != TokenKind::Join {
            return Err(JoinError::ApiToken);
        }
        let name = args.name.clone().unwrap_or_else(machine_name);
        check_name(&name)?;
        let labels = labels(&args.labels)?;
        check_labels(&labels)?;
        for place in [&args.common.region, &args.zone].into_iter().flatten() {
            check_name(place)?;
        }
        Ok(Self {
            token,
            controllers: args.controllers.clone(),
            name,
            labels,
            region: args.common.region.clone(),
            zone: args.zone.clone(),
        })
    }
}

/// Joins, or finds out that the folder has joined this cluster before. A host that was removed joins anew.
pub async fn join(
    ledger: &Ledger,
    options: &JoinOptions,
    network: &dyn Network,
    clock: &dyn Clock,
) -> Result<Joined, JoinError> {
    if let Some(identity) = ledger.identity()?
        && !ledger.is_removed()?
    {
        return joined_before(&identity, options.token.ca);
    }
    if options.controllers.is_empty() {
        return Err(JoinError::NoController);
    }
    let pending = pending(ledger, options.token.ca)?;
    let key = KeyPair::from_pkcs8(&pending.key)?;
    let request = request(options, &pending, key.csr()?, clock.now());
    let accepted = ask_each(options, &request, network).await?;
    keep(ledger, options, pending.key, accepted)
}

fn joined_before(identity: &StoredIdentity, ca: CaFingerprint) -> Result<Joined, JoinError> {
    let same = identity.chain.last().is_some_and(|root| CaFingerprint::of(root) == ca);
    if !same {
        return Err(JoinError::OtherCluster { cluster: identity.cluster });
    }
    Ok(Joined { cluster: identity.cluster, host: identity.host, already: true })
}

/// The join that was begun before, or a new one.
fn pending(ledger: &Ledger, ca: CaFingerprint) -> Result<PendingJoin, JoinError> {
    let ca = ca.to_string();
    if let Some(pending) = ledger.pending()?.filter(|pending| pending.ca == ca) {
        return Ok(pending);
    }
    let pending = PendingJoin { request: RequestId::mint(), ca, key: KeyPair::generate()?.pkcs8().to_vec() };
    ledger.save_pending(&pending)?;
    Ok(pending)
}

fn request(options: &JoinOptions, pending: &PendingJoin, csr: Vec<u8>, now: Time) -> EnrollRequest {
    EnrollRequest {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: options.token.id,
        secret: options.token.secret.clone(),
        now,
        csr,
        applicant: Applicant::Host {
            name: options.name.clone(),
            labels: options.labels.clone(),
            region: options.region.clone(),
            zone: options.zone.clone(),
        },
        request: pending.request,
    }
}

/// What a controller granted.
struct Accepted {
    cluster: ClusterId,
    enrolled: Enrolled,
    chain: Vec<Vec<u8>>,
    controllers: ControllerList,
}

/// Asks one controller after the other until one decides.
async fn ask_each(
    options: &JoinOptions,
    request: &EnrollRequest,
    network: &dyn Network,
) -> Result<Accepted, JoinError> {
    let mut attempts = Vec::new();
    for address in &options.controllers {
        let failed = match enroll::ask(address, &options.token.ca, request, network).await {
            Ok(EnrollReply::Accepted { cluster, enrolled, chain, controllers }) => {
                return Ok(Accepted { cluster, enrolled, chain, controllers });
            }
            // Another controller may have a majority behind it.
            Ok(EnrollReply::Refused { code, message }) if code == "unavailable" => message,
            Ok(EnrollReply::Refused { code, message }) => {
                return Err(JoinError::Refused { code, message, now: request.now });
            }
            Err(error) => error.to_string(),
        };
        attempts.push((address.clone(), failed));
    }
    Err(JoinError::Unreachable { attempts, now: request.now })
}

/// Checks what was granted and writes it down. The identity comes last: a folder with an identity is complete.
fn keep(
    ledger: &Ledger,
    options: &JoinOptions,
    key: Vec<u8>,
    accepted: Accepted,
) -> Result<Joined, JoinError> {
    let Enrolled::Host(host) = accepted.enrolled else {
        return Err(JoinError::Answer("it made this machine a controller"));
    };
    let tls = MeshTls::new(&key, &accepted.chain)?;
    if tls.fingerprint() != options.token.ca {
        return Err(JoinError::Answer("the certificate is not under the token's root"));
    }
    if tls.identity() != (Identity { cluster: accepted.cluster, role: Role::Host(host) }) {
        return Err(JoinError::Answer("the certificate is for somebody else"));
    }
    if accepted.controllers.controllers.is_empty() {
        return Err(JoinError::Answer("it names no controllers"));
    }
    ledger.save_controllers(&accepted.controllers)?;
    ledger.clear_desired()?;
    ledger.clear_standing()?;
    ledger.save_identity(&StoredIdentity { cluster: accepted.cluster, host, key, chain: accepted.chain })?;
    ledger.clear_pending()?;
    ledger.clear_removed()?;
    Ok(Joined { cluster: accepted.cluster, host, already: false })
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, JoinError> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').ok_or_else(|| JoinError::Label(text.clone()))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The machine's own name, made fit to be a host's.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit: String = name
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .take(omni_common::domain::MAX_NAME)
        .collect();
    let fit = fit.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if fit.is_empty() { "host".to_owned() } else { fit.to_owned() }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
