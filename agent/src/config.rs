//! The settings of an agent: flags over environment over file over defaults, merged once and checked.
//!
//! Flags and environment arrive together from `args.rs`; the file is `agent.toml` in the data folder.

use crate::args::CommonArgs;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Name of the settings file in the data folder.
pub const SETTINGS_FILE: &str = "agent.toml";
const DEFAULT_DATA_DIR: &str = "/var/lib/omni-agent";
const DEFAULT_DOCKER: &str = "/var/run/docker.sock";
const DEFAULT_LOG: &str = "info";
/// Longer than controllers take to start again or to be replaced, shorter than anybody wants a backup to be late.
const DEFAULT_ALONE_AFTER: u64 = 900;
/// A service manager may start the agent without these.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_HOME: &str = "/root";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The settings file says something that is not understood.
    #[error("{} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// The Docker address cannot be used.
    #[error(
        "`{0}` cannot be used as Docker host: give the engine's socket on this machine, as unix:///var/run/docker.sock"
    )]
    DockerHost(String),
    /// The address of a controller cannot be used.
    #[error(
        "`{0}` is no address of a controller: give its QUIC address as HOST:PORT, such as omni-1.lan:7600"
    )]
    Controller(String),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The socket of the Docker engine. Only local sockets: the agent reads the engine's cgroups and processes, so
/// it has to be on the same machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSocket(PathBuf);

impl DockerSocket {
    /// The socket file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for DockerSocket {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            Ok(Self(path.into()))
        } else {
            Err(ConfigError::DockerHost(text.to_owned()))
        }
    }
}

impl fmt::Display for DockerSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

/// What `agent.toml` may say.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Socket of the Docker engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_host: Option<String>,
    /// Region of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Local address to speak QUIC from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    /// What to log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The restic program; the first one on the search path when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restic: Option<PathBuf>,
    /// Seconds without any controller after which due backups are taken by this host itself; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone_after: Option<u64>,
    /// How to log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Where controllers may be found beside those that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
}

impl FileSettings {
    /// Reads `agent.toml`; a missing file says nothing.
    pub fn read(data_dir: &Path) -> Result<Self, ConfigError> {
        let path = data_dir.join(SETTINGS_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|source| ConfigError::Parse { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }
}

/// The effective settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Folder that holds identity, settings and history.
    pub data_dir: PathBuf,
    /// Socket of the Docker engine.
    pub docker: DockerSocket,
    /// Region of this host.
    pub region: Option<String>,
    /// Local address to speak QUIC from.
    pub bind: SocketAddr,
    /// What to log.
    pub log: String,
    /// How to log.
    pub log_format: LogFormat,
    /// The restic program; the first one on the search path when absent.
    pub restic: Option<PathBuf>,
    /// Seconds without any controller after which due backups are taken by this host itself; 0 for never.
    pub alone_after: u64,
    /// Where controllers may be found beside those that are known: `HOST:PORT` each.
    pub controllers: Vec<String>,
    /// Where programs are looked for, as `PATH` has it.
    pub search_path: OsString,
    /// The home folder, where `ssh` and `rclone` have their files.
    pub home: PathBuf,
}

impl Config {
    /// Merges the command line and environment with the data folder's settings file.
    pub fn load(args: &CommonArgs) -> Result<Self, ConfigError> {
        let data_dir = args.data_dir.clone().unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        let file = FileSettings::read(&data_dir)?;
        Self::merge(data_dir, args, file)
    }

    fn merge(data_dir: PathBuf, args: &CommonArgs, file: FileSettings) -> Result<Self, ConfigError> {
        let pick =
            |arg: &Option<String>, file: Option<String>| arg.clone().or(file).filter(|text| !text.is_empty());
        Ok(Self {
            data_dir,
            docker: pick(&args.docker_host, file.docker_host).as_deref().unwrap_or(DEFAULT_DOCKER).parse()?,
            region: pick(&args.region, file.region),
            bind: args.bind.or(file.bind).unwrap_or(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
            log: pick(&args.log, file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            restic: args.restic.clone().or(file.restic),
            alone_after: args.alone_after.or(file.alone_after).unwrap_or(DEFAULT_ALONE_AFTER),
            controllers: checked(file.controllers)?,
            search_path: environment("PATH", DEFAULT_PATH),
            home: environment("HOME", DEFAULT_HOME).into(),
        })
    }

    /// The same with controllers named on the command line, in place of those in the file.
    ///
    /// # Errors
    /// When one is no address.
    pub fn with_controllers(self, named: &[String]) -> Result<Self, ConfigError> {
        match named.is_empty() {
            true => Ok(self),
            false => Ok(Self { controllers: checked(named.to_vec())?, ..self }),
        }
    }

    /// The effective settings as text, in the form of the settings file. They hold no secrets: those are in
    /// files of their own.
    pub fn show(&self) -> String {
        let file = FileSettings {
            docker_host: Some(self.docker.to_string()),
            region: self.region.clone(),
            bind: Some(self.bind),
            log: Some(self.log.clone()),
            log_format: Some(self.log_format),
            restic: self.restic.clone(),
            alone_after: Some(self.alone_after),
            controllers: self.controllers.clone(),
        };
        let settings = toml::to_string(&file).expect("flat table of strings");
        format!("# data folder: {}\n{settings}", self.data_dir.display())
    }
}

/// Addresses of controllers that can be dialled.
fn checked(addresses: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let fine = |address: &String| {
        let parts = address.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match addresses.iter().find(|address| !fine(address)) {
        Some(bad) => Err(ConfigError::Controller(bad.clone())),
        None => Ok(addresses),
    }
}

#[allow(clippy::disallowed_methods, reason = "this file is where the environment is read")]
fn environment(name: &str, default: &str) -> OsString {
    std::env::var_os(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(args: CommonArgs, file: &str) -> Config {
        let file = toml::from_str(file).expect("valid settings");
        Config::merge("/d".into(), &args, file).expect("valid settings")
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = "docker_host = \"unix:///run/other.sock\"\nregion = \"eu\"\n";
        let config = merged(CommonArgs::default(), file);
        assert_eq!(config.docker.path(), Path::new("/run/other.sock"));
        assert_eq!(config.log, "info");
        let args = CommonArgs { region: Some("us".into()), ..Default::default() };
        assert_eq!(merged(args, file).region.as_deref(), Some("us"));
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let error = toml::from_str::<FileSettings>("docker_hots = \"x\"").expect_err("unknown");
        assert!(error.to_string().contains("docker_hots"), "{error}");
    }

    #[test]
    fn controllers_are_named_in_the_file_or_on_the_command_line() {
        let config = merged(CommonArgs::default(), "controllers = [\"omni-1.lan:7600\"]");
        assert_eq!(config.controllers, ["omni-1.lan:7600"]);
        let named = ["[fd00::1]:7600".to_owned()];
        assert_eq!(config.clone().with_controllers(&named).expect("an address").controllers, named);
        for bad in ["omni-1.lan", ":7600", "omni-1.lan:0", "omni-1.lan:http"] {
            assert!(config.clone().with_controllers(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn remote_engines_are_refused() {
        for bad in ["tcp://10.0.0.1:2375", "docker", ""] {
            assert!(bad.parse::<DockerSocket>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_used_as_the_file() {
        let config = merged(CommonArgs::default(), "region = \"eu\"");
        let again = merged(CommonArgs::default(), &config.show());
        assert_eq!(config, again);
    }
}
