//! Settings: flags over environment (`OMNI_*`) over `controller.toml` over defaults, merged once.

use crate::data_dir::{Addresses, SETTINGS};
use crate::raft::Pace;
use clap::{Args, Parser, Subcommand, ValueEnum};
use omni_catalogue::Catalogue;
use omni_catalogue::policies::Policies;
use omni_certs::lifetimes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_DATA_DIR: &str = "/var/lib/omni-controller";
/// A few seconds are for trying out what happens at the end; more than a month makes removal the only limit.
const HOST_CERTIFICATE_SECONDS: RangeInclusive<u32> = 5..=30 * 86_400;

/// One controller of an omni cluster.
#[derive(Debug, Parser)]
#[command(name = "omni-controller", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a new cluster whose first controller lives in this data folder.
    Init(InitArgs),
    /// Make this data folder a further controller of a cluster.
    Join(JoinArgs),
    /// Run the controller of this data folder.
    Run(RunArgs),
    /// Go on with a cluster whose controllers are lost, from a copy of their state.
    ///
    /// Makes its first controller; others join it afterwards. Hosts of before belong to it and come back by themselves.
    Restore(RestoreArgs),
}

/// Settings that every verb takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Folder for everything this controller keeps.
    #[arg(long, env = "OMNI_DATA_DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// Print the effective settings, secrets masked, and stop.
    #[arg(long)]
    pub show_config: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// Settings that may also stand in `controller.toml`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// QUIC for agents and controllers listens here [default: 0.0.0.0:7600].
    #[arg(long, env = "OMNI_QUIC_ADDR")]
    pub quic_addr: Option<SocketAddr>,
    /// The HTTPS API listens here [default: 0.0.0.0:7601].
    #[arg(long, env = "OMNI_API_ADDR")]
    pub api_addr: Option<SocketAddr>,
    /// Name or address, and optionally QUIC port, at which others reach this controller.
    #[arg(long, env = "OMNI_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// Region of this controller.
    #[arg(long, env = "OMNI_REGION")]
    pub region: Option<String>,
    /// Zone of this controller.
    #[arg(long, env = "OMNI_ZONE")]
    pub zone: Option<String>,
    /// What to log, as `info` or `omni_controller=debug,info`.
    #[arg(long, env = "OMNI_LOG")]
    pub log: Option<String>,
    /// How log lines look.
    #[arg(long, env = "OMNI_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Serve `/metrics` without a token.
    #[arg(long, env = "OMNI_METRICS_PUBLIC", num_args = 0..=1, default_missing_value = "true")]
    pub metrics_public: Option<bool>,
    /// Folder of catalogue files that add to what omni knows of the platform; give all controllers the same.
    #[arg(long, env = "OMNI_CATALOGUE", value_name = "FOLDER")]
    pub catalogue: Option<PathBuf>,
    /// File of backup policies in place of those that come with omni, as `policy.py generate` writes it; give all
    /// controllers the same.
    #[arg(long, env = "OMNI_BACKUP_POLICIES", value_name = "FILE")]
    pub backup_policies: Option<PathBuf>,
    /// Raft's timing; only in the file.
    #[arg(skip)]
    pub raft: Option<Pace>,
    /// How long a host's certificate holds, seconds [default: a day]; only in the file. Shorter limits what a stolen
    /// key is worth; all controllers should agree.
    #[arg(skip)]
    pub host_certificate_seconds: Option<u32>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How a verb prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Sentences.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Name of this controller.
    #[arg(long)]
    pub name: String,
    /// How the tokens are printed.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    #[command(flatten)]
    pub common: Common,
    /// Name of this controller.
    #[arg(long)]
    pub name: String,
    /// Join token for controllers (`omni token create --role controller`).
    #[arg(long, env = "OMNI_TOKEN", hide_env_values = true)]
    pub token: String,
    /// QUIC address of a controller of the cluster; may be repeated.
    #[arg(long, required = true, value_name = "HOST:PORT")]
    pub controller: Vec<String>,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub common: Common,
    /// Name of this controller.
    #[arg(long)]
    pub name: String,
    /// The copy: the file `omni-controllers.state` out of a repository, or the data folder of a controller that is left.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub from: PathBuf,
    /// File with the cluster's key out of escrow, or a controller's `member.json`; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub common: Common,
}

impl Settings {
    /// These over what `controller.toml` says.
    pub fn with_file(self, data_dir: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let path = data_dir.join(SETTINGS);
        let file: Self = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self {
            quic_addr: self.quic_addr.or(file.quic_addr),
            api_addr: self.api_addr.or(file.api_addr),
            advertise: self.advertise.or(file.advertise),
            region: self.region.or(file.region),
            zone: self.zone.or(file.zone),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            metrics_public: self.metrics_public.or(file.metrics_public),
            catalogue: self.catalogue.or(file.catalogue),
            backup_policies: self.backup_policies.or(file.backup_policies),
            raft: self.raft.or(file.raft),
            host_certificate_seconds: self.host_certificate_seconds.or(file.host_certificate_seconds),
        })
    }

    /// How long a host's certificate holds.
    pub fn host_certificate(&self) -> anyhow::Result<Duration> {
        let Some(seconds) = self.host_certificate_seconds else { return Ok(lifetimes::HOST) };
        anyhow::ensure!(
            HOST_CERTIFICATE_SECONDS.contains(&seconds),
            "host_certificate_seconds = {seconds}: give {} to {}",
            HOST_CERTIFICATE_SECONDS.start(),
            HOST_CERTIFICATE_SECONDS.end(),
        );
        Ok(Duration::from_secs(seconds.into()))
    }

    /// What the platform consists of: what comes with omni, and the operator's own files.
    pub fn catalogue(&self) -> anyhow::Result<Catalogue> {
        use anyhow::Context;
        let Some(folder) = &self.catalogue else { return Ok(Catalogue::builtin()) };
        Catalogue::with_folder(folder)
            .with_context(|| format!("the catalogue in {} cannot be used", folder.display()))
    }

    /// What holds for backups where nobody says anything: the operator's own file, or what comes with omni.
    pub fn backup_policies(&self) -> anyhow::Result<Arc<Policies>> {
        use anyhow::Context;
        let Some(file) = &self.backup_policies else { return Ok(Policies::builtin()) };
        let read = Policies::from_file(file);
        read.map(Arc::new)
            .with_context(|| format!("the backup policies in {} cannot be used", file.display()))
    }

    /// Where the operator's own policies do not fit the catalogue. Those that come with omni are not held against an
    /// operator's catalogue: what they do not know follows its tier.
    pub fn stale_policies(&self, policies: &Policies, catalogue: &Catalogue) -> Vec<String> {
        if self.backup_policies.is_some() { policies.stale(catalogue) } else { Vec::new() }
    }

    /// Where to listen and where to be reached: these settings over those of an earlier start over defaults.
    pub fn addresses(&self, earlier: Option<&Addresses>) -> anyhow::Result<Addresses> {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let quic = self.quic_addr.or(earlier.map(|a| a.quic)).unwrap_or_else(|| any(7600));
        let api = self.api_addr.or(earlier.map(|a| a.api)).unwrap_or_else(|| any(7601));
        let unchanged = earlier.filter(|a| self.advertise.is_none() && a.quic == quic && a.api == api);
        if let Some(earlier) = unchanged {
            return Ok(earlier.clone());
        }
        let (host, port) = match &self.advertise {
            Some(text) => split_host(text)?,
            None if quic.ip().is_unspecified() => (hostname(), None),
            None => (quic.ip().to_string(), None),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Addresses {
            quic,
            api,
            advertise_quic: format!("{host}:{}", port.unwrap_or_else(|| quic.port())),
            advertise_api: format!("{host}:{}", api.port()),
        })
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_host(text: &str) -> anyhow::Result<(String, Option<u16>)> {
    let bad = || {
        anyhow::anyhow!(
            "`{text}` cannot be used as --advertise: give HOST or HOST:PORT, such as omni-1.lan:7600"
        )
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), Some(address.port())));
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        return Ok((ip.to_string(), None));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
        None => (text, None),
    };
    let fine =
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if fine { Ok((host.to_owned(), port)) } else { Err(bad()) }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_dial_follows_from_what_is_given() {
        let check = |quic: &str, advertise: Option<&str>| {
            let settings = Settings {
                quic_addr: Some(quic.parse().expect("an address")),
                advertise: advertise.map(str::to_owned),
                ..Settings::default()
            };
            settings.addresses(None).map(|a| format!("{} {}", a.advertise_quic, a.advertise_api))
        };
        assert_eq!(check("10.0.0.5:7600", None).expect("fine"), "10.0.0.5:7600 10.0.0.5:7601");
        assert_eq!(
            check("0.0.0.0:7600", Some("omni.lan:17600")).expect("fine"),
            "omni.lan:17600 omni.lan:7601"
        );
        assert_eq!(check("[::]:7600", Some("[fd00::1]:9")).expect("fine"), "[fd00::1]:9 [fd00::1]:7601");
        assert!(check("0.0.0.0:1", Some("a b")).is_err());
    }

    #[test]
    fn a_certificate_lives_within_reason() {
        let lifetime = |seconds| {
            Settings { host_certificate_seconds: seconds, ..Settings::default() }.host_certificate()
        };
        assert_eq!(lifetime(None).expect("the default"), lifetimes::HOST);
        assert_eq!(lifetime(Some(3_600)).expect("an hour"), Duration::from_secs(3_600));
        for unreasonable in [0, 4, u32::MAX] {
            let error = lifetime(Some(unreasonable)).expect_err("no reason");
            assert!(error.to_string().contains("give 5 to"), "{error}");
        }
    }

    #[test]
    fn backup_policies_of_ones_own_are_looked_at_before_anything_starts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("mine.yaml");
        let settings = Settings { backup_policies: Some(path.clone()), ..Settings::default() };
        std::fs::write(&path, "version: 1\nlimit: {}\n").expect("writes");
        let error = format!("{:#}", settings.backup_policies().expect_err("a typing mistake"));
        assert!(error.contains("mine.yaml:2") && error.contains("limit"), "{error}");
        let shipped = include_str!("../../compose/backup/policies/effective.yaml");
        std::fs::write(&path, shipped.replace("method: qdrant", "method: s3")).expect("writes");
        let policies = settings.backup_policies().expect("it holds together");
        let stale = settings.stale_policies(&policies, &Catalogue::builtin());
        assert_eq!(stale, ["qdrant has another take in the catalogue"]);
        assert!(Settings::default().stale_policies(&policies, &Catalogue::builtin()).is_empty());
    }

    #[test]
    fn a_catalogue_with_a_mistake_keeps_the_controller_from_starting() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings { catalogue: Some(dir.path().to_owned()), ..Settings::default() };
        assert!(settings.catalogue().is_ok_and(|catalogue| catalogue.get("gitea").is_some()));
        std::fs::write(dir.path().join("own.yaml"), "system: 100\nnaem: Own\n").expect("writes");
        let error = format!("{:#}", settings.catalogue().expect_err("a typing mistake"));
        assert!(error.contains("own.yaml") && error.contains("naem"), "{error}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(SETTINGS), "quik_addr = \"1.2.3.4:5\"\n").expect("writes");
        let error = Settings::default().with_file(dir.path()).expect_err("a typing mistake");
        assert!(format!("{error:#}").contains("quik_addr"), "{error:#}");
    }
}
