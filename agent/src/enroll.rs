//! One question to a controller over the protocol that needs no certificate of ours: to join, or to be taken back.

use omni_certs::CaFingerprint;
use omni_common::wire::{ALPN_ENROLL, CloseCode, EnrollReply, EnrollRequest};
use omni_transport::{Connect, ConnectError, FrameError, FrameReader, FrameWriter, Network, TransportError};
use std::time::Duration;

/// A controller has this long for the whole of it: it commits the answer to a majority of controllers.
const DEADLINE: Duration = Duration::from_secs(20);

/// A controller gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it ended the conversation without an answer")]
    NoAnswer,
    #[error("no answer within {} s", DEADLINE.as_secs())]
    TimedOut,
}

/// Asks one controller, which first has to prove that it belongs to the cluster whose root has this fingerprint.
///
/// # Errors
/// When it does not, or gives no answer in time.
pub(crate) async fn ask(
    address: &str,
    ca: &CaFingerprint,
    request: &EnrollRequest,
    network: &dyn Network,
) -> Result<EnrollReply, AskError> {
    let asked = tokio::time::timeout(DEADLINE, exchange(address, ca, request, network)).await;
    asked.unwrap_or(Err(AskError::TimedOut))
}

async fn exchange(
    address: &str,
    ca: &CaFingerprint,
    request: &EnrollRequest,
    network: &dyn Network,
) -> Result<EnrollReply, AskError> {
    let connection = network.connect(address, ALPN_ENROLL, Connect::Enroll(ca)).await?;
    let (send, recv) = connection.open_bi().await?;
    let mut writer = FrameWriter::new(send);
    writer.send(request).await?;
    writer.finish();
    let reply = FrameReader::<EnrollReply>::new(recv).next().await?.ok_or(AskError::NoAnswer);
    connection.close(CloseCode::Done, "");
    reply
}
