//! A program's way: RFC 8628. The program talks to a controller and the controller to the provider, so that the program
//! needs neither the provider's address nor its certificates, and gets a session of omni, never a token of the provider.

use super::browser::{scope, waits};
use super::provider::Grant;
use crate::app::{App, AppError, Began, Denied, View, Visitor};
use crate::state::OidcSettings;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_common::api::v1::DeviceStarted;
use omni_common::clock::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the sealing of a device's sign-in is for.
const PURPOSE: &[u8] = b"omni oidc device";
/// A provider that says nothing is asked this often, seconds (RFC 8628, 3.2).
const INTERVAL: u64 = 5;
/// What a provider that was asked too often adds, seconds (RFC 8628, 3.5).
const SLOWER: u64 = 5;
/// Longest that a device's sign-in is followed, seconds.
const MOST: u64 = 1_800;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Serialize, Deserialize)]
struct Handle {
    device_code: String,
    interval: u64,
    ends: Time,
}

/// How a device's sign-in stands.
pub(crate) enum DeviceStep {
    /// The person has not said yes: ask again after so many seconds.
    Wait(u64),
    /// They have.
    Began(Box<View<Began>>),
}

impl App {
    /// Begins a device's sign-in.
    pub(crate) async fn start_device(&self) -> Result<DeviceStarted, AppError> {
        let settings = self.oidc_settings()?;
        let (client, secret) = self.device_client(&settings)?;
        let provider = self.people.providers.get(&settings).await?;
        let codes = provider.device_codes(&client, secret.as_deref(), &scope(&settings)).await?;
        let ttl_secs = codes.expires_in.min(MOST);
        let handle = Handle {
            device_code: codes.device_code,
            interval: codes.interval.unwrap_or(INTERVAL).clamp(1, 60),
            ends: self.clock.now().plus(Duration::from_secs(ttl_secs)),
        };
        let interval_secs = handle.interval;
        let plain = serde_json::to_vec(&handle).expect("plain values");
        let sealed = self.cluster_key.seal(PURPOSE, &plain).map_err(AppError::Secret)?;
        Ok(DeviceStarted {
            verification_uri: codes.verification_uri,
            verification_uri_complete: codes.verification_uri_complete,
            user_code: codes.user_code,
            handle: URL_SAFE_NO_PAD.encode(sealed),
            interval_secs,
            ttl_secs,
        })
    }

    /// Asks the provider once whether the person has said yes.
    pub(crate) async fn poll_device(&self, visitor: &Visitor, handle: &str) -> Result<DeviceStep, AppError> {
        let settings = self.oidc_settings()?;
        let handle = self.device_handle(handle).ok_or(Denied::SignedOut)?;
        let (client, secret) = self.device_client(&settings)?;
        let grant = Grant {
            client: &client,
            secret: secret.as_deref(),
            form: vec![("grant_type", GRANT), ("device_code", &handle.device_code)],
            nonce: None,
        };
        match self.people.providers.redeem(&settings, &grant).await {
            Ok(vouched) => {
                let began = self.enter_vouched(visitor, &settings, &vouched).await?;
                Ok(DeviceStep::Began(Box::new(began)))
            }
            Err(error) => match waits(&error) {
                Some(slower) => Ok(DeviceStep::Wait(handle.interval + if slower { SLOWER } else { 0 })),
                None => Err(error.into()),
            },
        }
    }

    fn device_client(&self, settings: &OidcSettings) -> Result<(String, Option<String>), AppError> {
        match &settings.device_client {
            Some(client) => Ok((client.clone(), None)),
            None => Ok((settings.client.clone(), self.oidc_secret(settings)?)),
        }
    }

    fn device_handle(&self, text: &str) -> Option<Handle> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = self.cluster_key.open(PURPOSE, &sealed).ok()?;
        let handle: Handle = serde_json::from_slice(&plain).ok()?;
        (handle.ends > self.clock.now()).then_some(handle)
    }
}
