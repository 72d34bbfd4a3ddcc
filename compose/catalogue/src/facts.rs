//! The smaller facts about a component: image, logs, data, secrets, placement, licence.

use crate::ComponentName;
use serde::{Deserialize, Serialize};

/// A pinned image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The reference with its tag, and its digest once somebody resolved it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether this tag was seen in a source; if not, resolve it once before use.
    pub tag_seen: bool,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// Lines for people.
    Text,
}

/// What the log lines on the console look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// As delivered.
    pub format: LogFormat,
    /// What switches to JSON.
    #[serde(default)]
    pub json: Option<String>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// What losing a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Data is lost.
    State,
    /// Nothing: it is given, or made again.
    Config,
    /// Nothing: it fills again by itself.
    Cache,
    /// Nothing: it is in use only for a moment.
    Scratch,
    /// Old log lines.
    Logs,
}

/// A path inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPath {
    /// The path.
    pub path: String,
    /// What losing it means.
    pub keep: Keep,
    /// What is in it.
    pub holds: String,
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It may not.
    Read,
    /// It may.
    Write,
}

/// A mount of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostMount {
    /// What it is.
    pub what: String,
    /// Where it is on the host, when that is fixed.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether it is written.
    pub access: Access,
}

/// What a component writes, and what it needs of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Paths to mount.
    #[serde(default)]
    pub paths: Vec<DataPath>,
    /// Mounts of the host.
    #[serde(default)]
    pub host: Vec<HostMount>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// How a secret reaches the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretKind {
    /// An environment variable.
    Env,
    /// A file, or its own database.
    Other,
}

/// A secret by name; values never stand in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The variable, or a name of our own.
    pub name: String,
    /// How it reaches the component.
    pub kind: SecretKind,
    /// Losing it loses data: it goes out of band into the escrow.
    #[serde(default)]
    pub keep: bool,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// Whether a GPU is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuNeed {
    /// It does not start without.
    Required,
    /// It gains from one.
    Optional,
}

/// A wish for a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// How much it is needed.
    pub need: GpuNeed,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// How many instances make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// A second one is not prepared for.
    One,
    /// A second one does harm.
    ExactlyOne,
    /// As many as wanted.
    Many,
    /// One on each host.
    PerHost,
    /// It runs and ends.
    Job,
}

/// Which network it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The platform's.
    #[default]
    Platform,
    /// The host's.
    Host,
    /// One of its own.
    Own,
}

/// Where a component may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// How many make sense.
    pub instances: Instances,
    /// Which network it is on.
    #[serde(default)]
    pub network: Network,
    /// It wants a host apart from the rest.
    #[serde(default)]
    pub own_host: bool,
    /// It must share a host with these.
    #[serde(default)]
    pub same_host: Vec<ComponentName>,
    /// It must not share a host with these.
    #[serde(default)]
    pub not_with: Vec<ComponentName>,
    /// It runs privileged.
    #[serde(default)]
    pub privileged: bool,
    /// Linux capabilities it needs.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// A planning estimate, not a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// CPUs in normal use.
    pub cpus: f64,
    /// CPUs under load.
    #[serde(default)]
    pub cpus_peak: Option<f64>,
    /// Memory in MiB in normal use.
    pub memory_mib: u64,
    /// Memory in MiB under load.
    #[serde(default)]
    pub memory_peak_mib: Option<u64>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// What there is to watch about a licence or a project's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// The sources can be read, the licence is not open.
    SourceAvailable,
    /// Other releases are under other terms.
    LicenceChange,
    /// Network use of a changed copy obliges to give its sources.
    Agpl,
    /// Parts of it are commercial.
    OpenCore,
    /// Newer releases are closed.
    ClosedSource,
    /// Its makers ended this series.
    EndOfLife,
    /// Nobody mends it.
    Unmaintained,
    /// Its makers recommend something else.
    Superseded,
    /// It cannot be had without a plan.
    NotAvailable,
    /// The free edition lacks much.
    LimitedEdition,
    /// It was sold.
    OwnerChange,
    /// Malicious releases have happened.
    SupplyChain,
    /// The image contains proprietary parts.
    ProprietaryParts,
    /// It talks to its vendor unless told not to.
    VendorService,
    /// Its makers advise against this use.
    Caution,
}

/// One finding about a licence or a project's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceFlag {
    /// The kind of finding.
    pub flag: Flag,
    /// What is so.
    pub fact: String,
    /// What the platform does about it.
    pub handling: String,
    /// How to keep the original all the same.
    #[serde(default)]
    pub original: Option<String>,
}

/// The terms a component is used under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// An SPDX identifier where there is one.
    pub name: String,
    /// The part that is used is under a licence approved by the OSI.
    pub open_source: bool,
    /// Findings.
    #[serde(default)]
    pub flags: Vec<LicenceFlag>,
}
