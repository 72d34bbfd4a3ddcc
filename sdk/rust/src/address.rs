//! A controller's API address.

use std::fmt;
use std::str::FromStr;

/// Port of the API when an address names none.
pub const DEFAULT_PORT: u16 = 7601;

/// A text that is no address, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Nothing is left without the scheme.
    #[error("it names no host")]
    NoHost,
    /// Another scheme than https.
    #[error("only https is spoken, not `{0}`")]
    Scheme(String),
    /// The port is no port.
    #[error("`{0}` is not a port")]
    Port(String),
    /// There is more than host and port.
    #[error("it has more than a host and a port; write `https://HOST:{DEFAULT_PORT}`")]
    Extra,
}

/// Host and port of one controller. Reads `https://host:7601`, `host:7601`, `host`, `[::1]:7601`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Name or IP address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as a URL and a `Host` header write it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let rest = match text.trim().split_once("://") {
            Some(("https", rest)) => rest,
            Some((scheme, _)) => return Err(InvalidAddress::Scheme(scheme.chars().take(16).collect())),
            None => text.trim(),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest)?;
        if host.is_empty() {
            return Err(InvalidAddress::NoHost);
        }
        let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'));
        if host.contains(strange) {
            return Err(InvalidAddress::Extra);
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(InvalidAddress::Port(port.chars().take(16).collect())),
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Parts host from port; an IPv6 address needs brackets once a port follows.
fn split_port(text: &str) -> Result<(&str, Option<&str>), InvalidAddress> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(InvalidAddress::Extra)?;
        return match after {
            "" => Ok((host, None)),
            _ => after.strip_prefix(':').map(|port| (host, Some(port))).ok_or(InvalidAddress::Extra),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_type_them() {
        let cases = [
            ("https://omni.lan:7601", "https://omni.lan:7601"),
            ("https://omni.lan", "https://omni.lan:7601"),
            ("https://omni.lan:443/", "https://omni.lan:443"),
            ("10.0.0.1", "https://10.0.0.1:7601"),
            ("10.0.0.1:99", "https://10.0.0.1:99"),
            ("https://[fd00::1]:99", "https://[fd00::1]:99"),
            ("fd00::1", "https://[fd00::1]:7601"),
            ("[::1]", "https://[::1]:7601"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_explained() {
        let cases = [
            ("", InvalidAddress::NoHost),
            ("https://:7601", InvalidAddress::NoHost),
            ("http://omni.lan", InvalidAddress::Scheme("http".to_owned())),
            ("omni.lan:web", InvalidAddress::Port("web".to_owned())),
            ("omni.lan:0", InvalidAddress::Port("0".to_owned())),
            ("omni.lan/api", InvalidAddress::Extra),
            ("ann@omni.lan", InvalidAddress::Extra),
            ("[::1", InvalidAddress::Extra),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>(), Err(expected), "{text}");
        }
    }
}
