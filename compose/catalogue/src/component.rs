//! One container of the platform, or one command-line job.

use crate::{
    Backup, ComponentName, Data, Gpu, Health, Image, Licence, Logs, Metrics, MetricsAccess, MetricsKind,
    Placement, PortEntry, Resources, Secret,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much depends on it. Sets the severity of its alerts and the order in which it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing works without it.
    Critical,
    /// Daily work stops without it.
    High,
    /// Some work stops without it.
    Medium,
    /// It can wait.
    Standard,
}

impl Tier {
    /// The word in labels and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Standard => "standard",
        }
    }
}

/// Why it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Named by the platform.
    Core,
    /// Needed by one of these.
    Dependency,
    /// Takes the place of another.
    Replacement,
    /// Useful beside them, by choice.
    Optional,
    /// Useful beside them.
    Support,
    /// Built by this project.
    Own,
}

/// What the facts rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Read in its sources or documentation.
    Source,
    /// General knowledge only.
    Memory,
}

/// What a component needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depends {
    /// It does not work without; sets the start order. A stand-in of the named one does as well.
    #[serde(default)]
    pub hard: Vec<ComponentName>,
    /// Optional integrations; they set no order.
    #[serde(default)]
    pub uses: Vec<ComponentName>,
}

/// One container of the platform, or one command-line job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Unique in the catalogue; the value of the label `omni.quantum.component`.
    pub name: ComponentName,
    /// What it is, in one sentence.
    pub summary: String,
    /// Why it is here.
    pub origin: Origin,
    /// Whether the platform gives it a system number; if not, it is only shown under this system.
    #[serde(default = "yes")]
    pub numbered: bool,
    /// What it can stand in for.
    #[serde(default)]
    pub instead_of: Option<ComponentName>,
    /// What takes its place.
    #[serde(default)]
    pub superseded_by: Vec<ComponentName>,
    /// How much depends on it.
    pub tier: Tier,
    /// True exactly when the tier is critical; written out because it is a label.
    pub critical: bool,
    /// The pinned image. None: there is no usable one, or it is built here.
    #[serde(default)]
    pub image: Option<Image>,
    /// The command, where the image's own is not the right one.
    #[serde(default)]
    pub command: Option<String>,
    /// Ports inside the container.
    #[serde(default)]
    pub ports: Vec<PortEntry>,
    /// How to tell that it works.
    pub health: Health,
    /// Where its numbers are.
    pub metrics: Metrics,
    /// What its log lines look like.
    pub logs: Logs,
    /// What it writes.
    #[serde(default)]
    pub data: Data,
    /// How that is kept.
    pub backup: Backup,
    /// Its secrets, by name.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// What it needs.
    #[serde(default)]
    pub depends: Depends,
    /// Whether it wants a GPU.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// Where it may run.
    pub placement: Placement,
    /// How much it takes.
    #[serde(default)]
    pub resources: Option<Resources>,
    /// Its terms.
    pub licence: Licence,
    /// How a program signs in to its API.
    #[serde(default)]
    pub api: Option<String>,
    /// What an operator should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Where the facts were read.
    pub sources: Vec<String>,
    /// What they rest on.
    pub confidence: Confidence,
    /// Fields that no source confirmed.
    #[serde(default)]
    pub unverified: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Component {
    /// The labels its container carries. Prometheus's `prometheus.auth` is missing: it names a credential,
    /// which only the stack knows. [`Component::scrape_needs_credential`] says whether one is due.
    pub fn labels(&self) -> BTreeMap<&'static str, String> {
        let mut labels = BTreeMap::from([
            ("omni.quantum.component", self.name.to_string()),
            ("omni.quantum.tier", self.tier.as_str().to_owned()),
            ("omni.quantum.critical", self.critical.to_string()),
        ]);
        if let (MetricsKind::Native, Some(port)) = (self.metrics.kind, self.metrics.port) {
            labels.insert("prometheus.scrape", "true".to_owned());
            labels.insert("prometheus.port", port.number().to_string());
            if let Some(path) = self.metrics.path.as_deref().filter(|path| *path != "/metrics") {
                labels.insert("prometheus.path", path.to_owned());
            }
        }
        labels
    }

    /// Whether Prometheus has to bring a credential whatever the configuration.
    pub fn scrape_needs_credential(&self) -> bool {
        self.metrics.access == Some(MetricsAccess::Required)
    }

    /// Whether something else is recommended in its place.
    pub fn is_superseded(&self) -> bool {
        !self.superseded_by.is_empty()
    }
}
