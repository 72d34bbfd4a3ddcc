//! How to sign in to registries: asked of the gateway for each pull, and never kept.

use super::Images;
use crate::session::{Unanswered, ask};
use bollard::auth::DockerCredentials;
use omni_common::domain::{Registry, RegistryLogin};
use omni_common::wire::{HostRequest, MAX_LOGIN};

impl Images {
    /// The login to an image's registry, if there is one. Without a controller to ask the pull goes on without: most
    /// images need none, and one that does says so.
    pub(crate) async fn login(&self, image: &str) -> Option<DockerCredentials> {
        let connection = self.uplink.for_logins()?;
        let registry = Registry::of_image(image);
        let bytes = match ask(&connection, &HostRequest::Login(registry.clone()), MAX_LOGIN).await {
            Ok(bytes) => bytes,
            Err(Unanswered::Nothing(_)) => return None,
            Err(error) => {
                tracing::warn!(%registry, %error, "the login to a registry is not known, the pull goes without");
                return None;
            }
        };
        let Ok(login) = serde_json::from_slice::<RegistryLogin>(&bytes) else {
            tracing::warn!(%registry, "the login to a registry cannot be read: put it again with `omni registry login`");
            return None;
        };
        Some(credentials(&registry, &login))
    }
}

/// A login as the engine wants it.
pub(super) fn credentials(registry: &Registry, login: &RegistryLogin) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.reveal().to_owned()),
        serveraddress: Some(registry.to_string()),
        ..DockerCredentials::default()
    }
}
