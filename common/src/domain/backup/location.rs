//! Where a repository lies: controllers check what is typed, agents hand it to restic. Holds no secret, and every value is one that restic understands: what is wrong
//! with a location is said when it is made, not when the first backup fails.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// Longest text looked at.
const MAX_TEXT: usize = 4096;

/// Where a repository lies. Written and read as restic does: `/srv/backup`, `rest:https://host:8000/shop/`,
/// `s3:https://host/bucket/prefix`, `sftp://user@host:22//srv/backup`, `rclone:remote:path`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Location(Place);

/// The parts of a location.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// A folder of the host.
    Local(PathBuf),
    /// The address of a REST server; its path ends with a slash.
    Rest(Url),
    /// A bucket.
    S3 {
        /// Scheme, host and port.
        endpoint: Url,
        /// Its name.
        bucket: String,
        /// The part of it that is meant, without slashes around it; empty for all.
        prefix: String,
    },
    /// A folder behind an SSH server.
    Sftp {
        /// As whom.
        user: Option<String>,
        /// Where.
        host: String,
        /// At which port.
        port: Option<u16>,
        /// The folder there.
        path: String,
    },
    /// A path of an rclone remote.
    Rclone {
        /// The remote's name.
        remote: String,
        /// The path there.
        path: String,
    },
}

/// What serves a repository.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LocationKind {
    /// A folder of this host.
    Local,
    /// restic's REST server, or a program that speaks its protocol.
    Rest,
    /// An object store.
    S3,
    /// A folder behind an SSH server.
    Sftp,
    /// One of rclone's remotes.
    Rclone,
}

impl fmt::Display for LocationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local folder",
            Self::Rest => "REST server",
            Self::S3 => "S3 store",
            Self::Sftp => "SFTP server",
            Self::Rclone => "rclone remote",
        })
    }
}

/// Why a text is no location. Never quotes the text where it could hold a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no repository location: {0}")]
pub struct BadLocation(String);

fn bad<T>(why: impl Into<String>) -> Result<T, BadLocation> {
    Err(BadLocation(why.into()))
}

impl Location {
    /// A folder of this host.
    pub fn local(path: impl Into<PathBuf>) -> Result<Self, BadLocation> {
        let path = path.into();
        if !path.is_absolute() {
            return bad(format!("`{}` is not absolute; write the whole path, from /", path.display()));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return bad("the path has a zero byte in it");
        }
        Ok(Self(Place::Local(path)))
    }

    /// A repository of a REST server, by its http or https address.
    pub fn rest(address: &str) -> Result<Self, BadLocation> {
        let mut url = web_address(address)?;
        if url.query().is_some() {
            return bad("the address of a REST server has no `?`");
        }
        // restic adds the slash itself; so do we, that two spellings of one repository are equal.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(Place::Rest(url)))
    }

    /// A bucket, or a part of one, of an object store.
    pub fn s3(endpoint: &str, bucket: &str, prefix: &str) -> Result<Self, BadLocation> {
        let endpoint = web_address(endpoint)?;
        if endpoint.path() != "/" || endpoint.query().is_some() {
            return bad("an S3 endpoint is scheme, host and port; the bucket comes after it");
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(good) {
            return bad(format!("`{bucket}` is no bucket: 3 to 63 of a-z, 0-9, `-` and `.`"));
        }
        let prefix = prefix.trim_matches('/').to_owned();
        if prefix.contains(|c: char| c.is_control() || c == '?' || c == '#') {
            return bad("the prefix in the bucket has a character that no address may hold");
        }
        Ok(Self(Place::S3 { endpoint, bucket: bucket.to_owned(), prefix }))
    }

    /// A folder behind an SSH server.
    pub fn sftp(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> Result<Self, BadLocation> {
        // They become arguments of `ssh`: none may look like an option, or like two.
        let word = |text: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            !text.is_empty() && !text.starts_with('-') && text.chars().all(good)
        };
        if !word(host) && host.parse::<Ipv6Addr>().is_err() {
            return bad(format!("`{host}` is no host name"));
        }
        if let Some(user) = user.filter(|user| !word(user)) {
            return bad(format!("`{user}` is no user name"));
        }
        if path.is_empty() || path == "/" || path.contains(char::is_control) {
            return bad("an SFTP location needs the folder on the server");
        }
        let user = user.map(str::to_owned);
        Ok(Self(Place::Sftp { user, host: host.to_owned(), port, path: path.to_owned() }))
    }

    /// A path of one of rclone's remotes.
    pub fn rclone(remote: &str, path: &str) -> Result<Self, BadLocation> {
        // rclone's own rule. It also keeps out remotes made up on the spot (`:s3,key=…:`), which hold
        // secrets.
        let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@' | ' ');
        if remote.is_empty() || remote.starts_with(['-', ' ']) || !remote.chars().all(good) {
            return bad("the name of an rclone remote has letters, digits and any of `_-.+@`");
        }
        if path.is_empty() || path.contains(char::is_control) {
            return bad("an rclone location needs the path on the remote");
        }
        Ok(Self(Place::Rclone { remote: remote.to_owned(), path: path.to_owned() }))
    }

    /// What serves it.
    pub fn kind(&self) -> LocationKind {
        match self.0 {
            Place::Local(_) => LocationKind::Local,
            Place::Rest(_) => LocationKind::Rest,
            Place::S3 { .. } => LocationKind::S3,
            Place::Sftp { .. } => LocationKind::Sftp,
            Place::Rclone { .. } => LocationKind::Rclone,
        }
    }

    /// The folder, where it is one of this host.
    pub fn local_path(&self) -> Option<&Path> {
        if let Place::Local(path) = &self.0 { Some(path) } else { None }
    }

    /// Its parts.
    pub fn place(&self) -> &Place {
        &self.0
    }
}

fn web_address(text: &str) -> Result<Url, BadLocation> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return bad(format!("the address does not parse: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return bad(format!("an address begins with http:// or https://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad("user and password do not belong in an address, but in the credentials");
    }
    if url.fragment().is_some() {
        return bad("an address has no `#`");
    }
    Ok(url)
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        if text.len() > MAX_TEXT {
            return bad(format!("longer than {MAX_TEXT} bytes"));
        }
        if text.starts_with('/') {
            return Self::local(text);
        }
        if text.starts_with("sftp://") {
            return sftp_address(text);
        }
        match text.split_once(':') {
            Some(("local", path)) => Self::local(path),
            Some(("rest", address)) => Self::rest(address),
            Some(("s3", address)) => s3_address(address),
            Some(("sftp", words)) => sftp_words(words),
            Some(("rclone", words)) => match words.split_once(':') {
                Some((remote, path)) => Self::rclone(remote, path),
                None => bad("an rclone location is rclone:REMOTE:PATH"),
            },
            _ => bad("expected /FOLDER, rest:https://…, s3:https://…, sftp://… or rclone:REMOTE:PATH"),
        }
    }
}

/// `https://host/bucket/prefix`; without a scheme it is https, as restic has it.
fn s3_address(text: &str) -> Result<Location, BadLocation> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let mut parts = rest.splitn(3, '/');
    let host = parts.next().unwrap_or_default();
    let Some(bucket) = parts.next() else {
        return bad("an S3 location is s3:https://HOST/BUCKET/PREFIX");
    };
    Location::s3(&format!("{scheme}://{host}"), bucket, parts.next().unwrap_or_default())
}

/// `sftp://user@host:port//absolute` or `/relative`.
fn sftp_address(text: &str) -> Result<Location, BadLocation> {
    let url = Url::parse(text).or_else(|error| bad(format!("the address does not parse: {error}")))?;
    if url.password().is_some() {
        return bad("SFTP takes a key, not a password");
    }
    let user = Some(url.username()).filter(|user| !user.is_empty());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let path = text.splitn(4, '/').nth(3).unwrap_or_default();
    Location::sftp(user, host, url.port(), path)
}

/// `user@host:path`.
fn sftp_words(text: &str) -> Result<Location, BadLocation> {
    let Some((server, path)) = text.split_once(':') else {
        return bad("an SFTP location is sftp:USER@HOST:PATH or sftp://USER@HOST:PORT//PATH");
    };
    let (user, host) = server.split_once('@').map_or((None, server), |(user, host)| (Some(user), host));
    Location::sftp(user, host, None, path)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::Rest(url) => write!(f, "rest:{url}"),
            Place::S3 { endpoint, bucket, prefix } => {
                write!(f, "s3:{endpoint}{bucket}")?;
                if prefix.is_empty() { Ok(()) } else { write!(f, "/{prefix}") }
            }
            Place::Sftp { user, host, port, path } => {
                f.write_str("sftp://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                write!(f, "/{path}")
            }
            Place::Rclone { remote, path } => write!(f, "rclone:{remote}:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written_as_restic_does() {
        for (text, written, kind) in [
            ("/srv/backup", "/srv/backup", LocationKind::Local),
            ("local:/srv/backup", "/srv/backup", LocationKind::Local),
            ("rest:https://host:8000/shop/", "rest:https://host:8000/shop/", LocationKind::Rest),
            ("rest:http://[::1]:8000", "rest:http://[::1]:8000/", LocationKind::Rest),
            ("rest:https://host/a/b", "rest:https://host/a/b/", LocationKind::Rest),
            (
                "s3:https://s3.example.org/bucket/a/b/",
                "s3:https://s3.example.org/bucket/a/b",
                LocationKind::S3,
            ),
            ("s3:http://127.0.0.1:9000/bucket", "s3:http://127.0.0.1:9000/bucket", LocationKind::S3),
            ("s3:s3.amazonaws.com/bucket", "s3:https://s3.amazonaws.com/bucket", LocationKind::S3),
            ("sftp:u@host:/srv/b", "sftp://u@host//srv/b", LocationKind::Sftp),
            ("sftp:host:b", "sftp://host/b", LocationKind::Sftp),
            ("sftp://u@host:2222//srv/b", "sftp://u@host:2222//srv/b", LocationKind::Sftp),
            ("sftp://[::1]:22//srv/b", "sftp://[::1]:22//srv/b", LocationKind::Sftp),
            ("rclone:b2 prod:bucket/x", "rclone:b2 prod:bucket/x", LocationKind::Rclone),
        ] {
            let location: Location = text.parse().expect(text);
            assert_eq!((location.to_string().as_str(), location.kind()), (written, kind), "{text}");
            assert_eq!(written.parse(), Ok(location), "{text}");
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "expected /FOLDER"),
            ("srv/backup", "expected /FOLDER"),
            ("local:srv", "not absolute"),
            ("/srv/\0", "zero byte"),
            ("rest:host:8000/", "begins with http:// or https://"),
            ("rest:https://", "does not parse"),
            ("rest:https://u:p@host/", "in the credentials"),
            ("rest:https://host/?a=b", "has no `?`"),
            ("s3:https://host", "s3:https://HOST/BUCKET"),
            ("s3:https://host/ab", "no bucket"),
            ("s3:https://host/Bucket", "no bucket"),
            ("s3:https://key:secret@host/bucket", "in the credentials"),
            ("sftp:host", "sftp:USER@HOST:PATH"),
            ("sftp:-oProxyCommand=x:/srv", "no host name"),
            ("sftp:-u@host:/srv", "no user name"),
            ("sftp://u:p@host//srv", "a key, not a password"),
            ("sftp://host", "needs the folder"),
            ("rclone:remote", "rclone:REMOTE:PATH"),
            ("rclone::s3,secret_access_key=x:bucket", "name of an rclone remote"),
            ("rclone:--config:x", "name of an rclone remote"),
            ("b2:bucket", "expected /FOLDER"),
        ] {
            let error = text.parse::<Location>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
