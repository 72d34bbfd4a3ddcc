//! Who somebody is: the SPIFFE URI in a certificate.

use omni_common::ids::{ClusterId, ControllerId, HostId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a member of the mesh is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// A machine with an agent.
    Host(HostId),
    /// A member of the Raft group.
    Controller(ControllerId),
}

/// A member of one cluster; as text `spiffe://<cluster>/host/<id>` or `spiffe://<cluster>/controller/<id>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The trust domain.
    pub cluster: ClusterId,
    /// Who within it.
    pub role: Role,
}

impl Identity {
    /// A host.
    pub const fn host(cluster: ClusterId, id: HostId) -> Self {
        Self { cluster, role: Role::Host(id) }
    }

    /// A controller.
    pub const fn controller(cluster: ClusterId, id: ControllerId) -> Self {
        Self { cluster, role: Role::Controller(id) }
    }
}

/// A text that is no identity of a mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not spiffe://<cluster>/host/<id> or spiffe://<cluster>/controller/<id>")]
pub struct InvalidIdentity(pub String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Host(id) => write!(f, "spiffe://{}/host/{id}", self.cluster),
            Role::Controller(id) => write!(f, "spiffe://{}/controller/{id}", self.cluster),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    /// Accepts exactly what [`fmt::Display`] writes, so that one identity has one spelling: upper-case ids,
    /// leading zeros and trailing slashes are refused.
    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        read(text)
            .filter(|identity| identity.to_string() == text)
            .ok_or_else(|| InvalidIdentity(text.chars().take(160).collect()))
    }
}

fn read(text: &str) -> Option<Identity> {
    let (cluster, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
    let cluster = cluster.parse().ok()?;
    let role = match path.split_once('/')? {
        ("host", id) => Role::Host(id.parse().ok()?),
        ("controller", id) => Role::Controller(id.parse().ok()?),
        _ => return None,
    };
    Some(Identity { cluster, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId::from_u128(0xc1);

    #[test]
    fn text_goes_both_ways() {
        let members =
            [Identity::host(CLUSTER, HostId::from_u128(7)), Identity::controller(CLUSTER, ControllerId(3))];
        for member in members {
            assert_eq!(member.to_string().parse(), Ok(member));
        }
    }

    #[test]
    fn one_identity_has_one_spelling() {
        let good = Identity::controller(CLUSTER, ControllerId(3)).to_string();
        let bad = [
            good.to_uppercase(),
            good.replace("/controller/3", "/controller/03"),
            good.replace("/controller/3", "/controller/+3"),
            good.replace("/controller/3", "/controller/3/"),
            good.replace("/controller/3", "/admin/3"),
            good.replace("spiffe:", "https:"),
            good.replace('-', ""),
            format!("{good}?x"),
            String::new(),
        ];
        for text in bad {
            assert_eq!(text.parse::<Identity>(), Err(InvalidIdentity(text.clone())), "{text}");
        }
    }
}
