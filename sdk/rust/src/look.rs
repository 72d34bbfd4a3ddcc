//! Which root a controller shows, for a person to say whether it is the right one.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::execute::explain;
use omni_certs::{CaFingerprint, SeenRoot, looking_client_config};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A controller is looked at for this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fingerprint of the root that the controller at `address` shows. Nothing is sent to it.
///
/// # Errors
/// When it cannot be reached, or shows no root.
pub async fn shown_root(address: &Address) -> Result<CaFingerprint> {
    let seen = SeenRoot::default();
    let failed = |why: String| Error::Lost { address: address.clone(), why };
    let looking = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await;
        let tcp = tcp.map_err(|error| failed(explain(&error)))?;
        let name =
            ServerName::try_from(address.host().to_owned()).map_err(|error| failed(error.to_string()))?;
        let config = Arc::new(looking_client_config(Arc::clone(&seen)));
        // It never succeeds: the look is all that is wanted.
        Ok::<_, Error>(TlsConnector::from(config).connect(name, tcp).await.err().map(|error| explain(&error)))
    };
    let why =
        timeout(PATIENCE, looking).await.map_err(|_| failed("no answer to the handshake".to_owned()))??;
    let found = *seen.lock().expect("no panic while locked");
    found.ok_or_else(|| failed(why.unwrap_or_else(|| "it shows no root".to_owned())))
}
