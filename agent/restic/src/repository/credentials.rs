//! What a repository's server wants to see. The password of the repository itself is another matter.

use super::LocationKind;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a repository's server wants to see.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum Credentials {
    /// Nothing of ours: for SFTP and rclone what the files in the home folder say, for S3 what the cloud
    /// lends to this host.
    #[default]
    None,
    /// A user of a REST server.
    Rest {
        /// Name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// Keys of an object store.
    S3(S3Keys),
    /// A key of an SSH server.
    Sftp(SshKey),
    /// rclone's remotes.
    Rclone {
        /// rclone's configuration, where it is not in the home folder.
        config_file: Option<PathBuf>,
        /// Variables of rclone, which need no file: `RCLONE_CONFIG_<REMOTE>_<OPTION>`, `RCLONE_CONFIG_PASS`.
        variables: BTreeMap<String, Secret>,
    },
}

/// Keys of an object store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Keys {
    /// Who.
    pub access_key_id: String,
    /// The proof.
    pub secret_access_key: Secret,
    /// For keys that were lent for a time.
    pub session_token: Option<Secret>,
    /// Needed by stores that check it; others ignore it.
    pub region: Option<String>,
}

/// A key of an SSH server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshKey {
    /// The private key as its file has it, without a passphrase.
    pub private_key: Secret,
    /// Lines of a `known_hosts` file. Without them, those of the home folder; an unknown host is refused.
    pub known_hosts: Option<String>,
}

/// Why credentials cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadCredentials {
    /// Of another kind than the location.
    #[error("these credentials are not for a repository on a {0}")]
    Kind(LocationKind),
    /// Nothing restic could be given.
    #[error("a repository's password has at least one character, no line break and no zero byte")]
    Password,
    /// Nothing that can stand in an environment.
    #[error("`{0}` is empty or has a zero byte in it")]
    Value(&'static str),
    /// Not one of rclone's.
    #[error("`{0}` is no variable of rclone: they begin with RCLONE_ and have capitals, digits and `_`")]
    Variable(String),
    /// A name that ends where the password should begin.
    #[error("a user of a REST server has no `:` in the name")]
    User,
}

impl Credentials {
    pub(super) fn check(&self, kind: LocationKind) -> Result<(), BadCredentials> {
        let usable = |name, value: &str| {
            if value.is_empty() || value.contains('\0') { Err(BadCredentials::Value(name)) } else { Ok(()) }
        };
        match (self, kind) {
            (Self::None, _) => Ok(()),
            (Self::Rest { user, password }, LocationKind::Rest) => {
                usable("user", user)?;
                usable("password", password.reveal())?;
                if user.contains(':') { Err(BadCredentials::User) } else { Ok(()) }
            }
            (Self::S3(keys), LocationKind::S3) => {
                usable("access key id", &keys.access_key_id)?;
                usable("secret access key", keys.secret_access_key.reveal())?;
                keys.session_token
                    .as_ref()
                    .map_or(Ok(()), |token| usable("session token", token.reveal()))?;
                keys.region.as_ref().map_or(Ok(()), |region| usable("region", region))
            }
            (Self::Sftp(key), LocationKind::Sftp) => usable("private key", key.private_key.reveal()),
            (Self::Rclone { variables, .. }, LocationKind::Rclone) => {
                let good = |name: &str| {
                    name.starts_with("RCLONE_")
                        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                };
                match variables.iter().find(|(name, value)| !good(name) || value.reveal().contains('\0')) {
                    Some((name, _)) => Err(BadCredentials::Variable(name.clone())),
                    None => Ok(()),
                }
            }
            (_, kind) => Err(BadCredentials::Kind(kind)),
        }
    }
}
