//! Dialling a name that may have several addresses.

use crate::error::ConnectError;
use crate::quic::close;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::net::SocketAddr;
use std::time::Duration;

/// Put into the TLS server name, which no mesh server looks at.
const SERVER_NAME: &str = "mesh.omni.internal";
/// Addresses of one name that are tried before giving up.
const MAX_ADDRESSES: usize = 8;
/// The next address is tried beside the first when that has not answered within this (RFC 8305 recommends
/// it): a name with a dead IPv6 address costs a quarter of a second, not a timeout.
const STAGGER: Duration = Duration::from_millis(250);

/// The addresses of `host:port`, at most eight.
pub(super) async fn resolve(addr: &str) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = addr.parse() {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host(addr)
        .await
        .map_err(|source| ConnectError::Resolve { address: addr.to_owned(), source })?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

/// One dial.
pub(super) struct Dialler<'a> {
    pub(super) endpoint: &'a quinn::Endpoint,
    pub(super) config: quinn::ClientConfig,
    /// What the caller dialled, for errors.
    pub(super) name: &'a str,
    /// For each address.
    pub(super) timeout: Duration,
}

impl Dialler<'_> {
    /// Connects to whichever address answers first, starting one after the other.
    pub(super) async fn dial(&self, addresses: Vec<SocketAddr>) -> Result<quinn::Connection, ConnectError> {
        let mut waiting = addresses.into_iter();
        let mut attempts = FuturesUnordered::new();
        let mut failure = ConnectError::NoAddress(self.name.to_owned());
        loop {
            attempts.extend(waiting.next().map(|address| self.dial_one(address)));
            tokio::select! {
                biased;
                ended = attempts.next() => match ended {
                    Some(Ok(connection)) => return Ok(connection),
                    // Another address of the same server would say the same.
                    Some(Err(error @ (ConnectError::Handshake { .. } | ConnectError::ShutDown))) => {
                        return Err(error);
                    }
                    Some(Err(error)) => failure = error,
                    None => return Err(failure),
                },
                () = tokio::time::sleep(STAGGER) => {}
            }
        }
    }

    async fn dial_one(&self, address: SocketAddr) -> Result<quinn::Connection, ConnectError> {
        let connecting = self.endpoint.connect_with(self.config.clone(), address, SERVER_NAME).map_err(
            |error| match error {
                quinn::ConnectError::EndpointStopping => ConnectError::ShutDown,
                _ => ConnectError::NoAddress(self.name.to_owned()),
            },
        )?;
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(quinn::ConnectionError::TimedOut)) | Err(_) => {
                Err(ConnectError::TimedOut { address: self.name.to_owned(), waited: self.timeout })
            }
            Ok(Err(error)) => {
                Err(ConnectError::Handshake { address: self.name.to_owned(), closed: close::explain(&error) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quic::{profile, socket};
    use crate::{QuicNetwork, QuicOptions};
    use omni_certs::{ExpectServer, testing};
    use omni_common::wire::ALPN_AGENT;
    use quinn::crypto::rustls::QuicClientConfig;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_dead_address_does_not_hold_up_a_live_one() {
        let cluster = testing::cluster();
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let options = QuicOptions::default();
        let server = QuicNetwork::bind(loopback, cluster.controller.clone(), options.clone()).expect("free");
        let live = crate::Network::local_addr(&*server).parse().expect("an address");
        let silent = std::net::UdpSocket::bind(loopback).expect("a free port");
        let tls = cluster.host.client_config(ALPN_AGENT, ExpectServer::AnyController);
        let crypto = QuicClientConfig::try_from(tls).expect("ring has QUIC's initial cipher suite");
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(profile::dialled(ALPN_AGENT, &options));
        let endpoint = socket::open(loopback, None, None).expect("a free port");
        let dialler =
            Dialler { endpoint: &endpoint, config, name: "both", timeout: Duration::from_secs(3600) };
        let dead = silent.local_addr().expect("bound");
        let unreachable: SocketAddr = "[2001:db8::1]:7600".parse().expect("an address");

        let addresses = vec![unreachable, dead, live];
        let dialling = tokio::time::timeout(Duration::from_secs(30), dialler.dial(addresses));
        let connection = dialling.await.expect("does not wait for the dead one").expect("connects");
        assert_eq!(connection.remote_address(), live);

        let error = dialler.dial(vec![unreachable]).await.expect_err("no IPv6 here");
        assert!(matches!(error, ConnectError::NoAddress(_)), "{error}");
        let error = dialler.dial(Vec::new()).await.expect_err("nothing to dial");
        assert!(matches!(error, ConnectError::NoAddress(_)), "{error}");
    }
}
