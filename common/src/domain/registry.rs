//! Registries of images, and how hosts sign in to them.
//!
//! A login is one of the platform's secrets under a name that follows from the registry's, so it is sealed, versioned,
//! audited and removed as every other secret is.

use super::backup::Hidden;
use super::{InvalidSecretName, SecretName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The registry that is meant where an image's name has none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Another name of it.
const DEFAULT_ALIAS: &str = "index.docker.io";
/// The folder of secrets that logins are in.
const FOLDER: &str = "registry";
/// Longest name of a registry, bytes: a host name of DNS and a port.
const MAX_REGISTRY: usize = 253 + 6;

/// A registry: a host, with its port when that is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Registry(String);

/// A text that is no registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no registry: write its host as images name it, with the port if they have one, e.g. `registry.lan:5000`"
)]
pub struct InvalidRegistry(String);

impl Registry {
    /// Checks a text: a host name or address, and a port.
    ///
    /// # Errors
    /// When it holds anything else, such as a scheme or a path.
    pub fn new(text: &str) -> Result<Self, InvalidRegistry> {
        let invalid = || InvalidRegistry(text.chars().take(MAX_REGISTRY).collect());
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let host_fits = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(fine);
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        match host_fits && port_fits && text.len() <= MAX_REGISTRY {
            true if host == DEFAULT_ALIAS => Ok(Self(DEFAULT_REGISTRY.to_owned())),
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(invalid()),
        }
    }

    /// The registry of an image. By the engine's rule what comes before the first slash is a registry when it has a dot or
    /// a port or is `localhost`, and a folder of Docker Hub otherwise.
    pub fn of_image(reference: &str) -> Self {
        let first = reference.split_once('/').map(|(first, _)| first);
        let named = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
        named.and_then(|named| Self::new(named).ok()).unwrap_or_else(|| Self(DEFAULT_REGISTRY.to_owned()))
    }

    /// As images name it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The secret that its login is kept in. No host name has an underscore, so that two registries never share one.
    ///
    /// # Errors
    /// When the registry's name is too long for that of a secret.
    pub fn secret(&self) -> Result<SecretName, InvalidSecretName> {
        SecretName::new(format!("{FOLDER}/{}", self.0.replace(':', "_")))
    }

    /// The registry whose login a secret holds.
    pub fn of_secret(name: &SecretName) -> Option<Self> {
        let rest = name.as_str().strip_prefix(FOLDER)?.strip_prefix('/')?;
        Self::new(&rest.replacen('_', ":", 1)).ok()
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Registry {
    type Error = InvalidRegistry;

    fn try_from(text: String) -> Result<Self, InvalidRegistry> {
        Self::new(&text)
    }
}

impl From<Registry> for String {
    fn from(registry: Registry) -> Self {
        registry.0
    }
}

/// How hosts sign in to a registry: the value of its secret, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryLogin {
    /// Name of the account.
    pub username: String,
    /// Its password or access token.
    pub password: Hidden,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_names_its_registry_as_engines_read_it() {
        for (image, registry) in [
            ("redis", "docker.io"),
            ("team/app:1", "docker.io"),
            ("index.docker.io/library/redis", "docker.io"),
            ("ghcr.io/team/app@sha256:00", "ghcr.io"),
            ("Registry.Lan:5000/app", "registry.lan:5000"),
            ("localhost/app", "localhost"),
        ] {
            assert_eq!(Registry::of_image(image).as_str(), registry, "{image}");
        }
    }

    #[test]
    fn a_login_is_a_secret_of_its_own() {
        for text in ["docker.io", "registry.lan:5000", "10.0.0.1:80", "localhost"] {
            let registry = Registry::new(text).expect("it is one");
            let secret = registry.secret().expect("it fits");
            assert_eq!(Registry::of_secret(&secret), Some(registry), "{secret}");
        }
        let other = SecretName::new("backup/home/password").expect("it is a name");
        assert_eq!(Registry::of_secret(&other), None);
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for text in
            ["", "https://ghcr.io", "ghcr.io/team", "a b", "host:", "host:0", "host:99999", "h_st", "-a"]
        {
            assert!(Registry::new(text).is_err(), "{text}");
        }
    }
}
