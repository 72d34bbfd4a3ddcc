//! A repository: where it lies, with what it is opened, and how both reach the child.

mod child;
mod credentials;

pub(crate) use child::{Access, Role, merge};
pub use credentials::{BadCredentials, Credentials, S3Keys, SshKey};
pub use omni_common::domain::backup::{BadLocation, Location, LocationKind};

use crate::secret::Secret;
use std::path::PathBuf;

/// A repository and all it takes to open it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    location: Location,
    credentials: Credentials,
    password: Secret,
    ca_file: Option<PathBuf>,
}

impl Repository {
    /// Puts the parts together, after looking whether they fit.
    pub fn new(
        location: Location,
        credentials: Credentials,
        password: Secret,
    ) -> Result<Self, BadCredentials> {
        credentials.check(location.kind())?;
        if password.reveal().is_empty() || password.reveal().contains(['\0', '\n', '\r']) {
            return Err(BadCredentials::Password);
        }
        Ok(Self { location, credentials, password, ca_file: None })
    }

    /// The same repository behind a server whose certificate this authority signed, and not the system's.
    /// Certificates in PEM.
    #[must_use]
    pub fn with_ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(path.into()), ..self }
    }

    /// The same repository opened with another password, as after a rotation.
    pub fn with_password(self, password: Secret) -> Result<Self, BadCredentials> {
        let ca_file = self.ca_file;
        Ok(Self { ca_file, ..Self::new(self.location, self.credentials, password)? })
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.location
    }
}
