//! Ports inside a container.

use serde::{Deserialize, Serialize};

/// A port number that can be listened on: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Port {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u16::try_from(number) {
            Ok(0) | Err(_) => Err(format!("a port is 1 to 65535, not {number}")),
            Ok(number) => Ok(Self(number)),
        }
    }
}

impl From<Port> for i64 {
    fn from(port: Port) -> Self {
        port.0.into()
    }
}

/// How a port is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port the program listens on inside its container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// What it serves, in one word.
    pub name: String,
    /// The number.
    pub port: Port,
    /// The transport.
    pub protocol: Protocol,
}
