//! Placement constraints in the words of Compose files: `node.labels.disk == ssd`.

use super::{Host, Role};
use omni_common::ids::HostId;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What a constraint or a spread preference looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// `node.id`.
    Id,
    /// `node.hostname`: the host's name in the mesh.
    Hostname,
    /// `node.role`: `manager` or `worker`.
    Role,
    /// `node.platform.os`.
    Os,
    /// `node.platform.arch`.
    Arch,
    /// `node.labels.<key>`. The keys `region` and `zone` fall back to the host's region and zone.
    Label(String),
    /// `engine.labels.<key>`.
    EngineLabel(String),
}

/// Equal or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
}

/// One condition on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// What is looked at.
    pub attribute: Attribute,
    /// How it is compared.
    pub operator: Operator,
    /// What with. Letter case does not matter, as in Swarm.
    pub value: String,
}

/// A constraint that cannot be read, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConstraint {
    /// There is no `==` or `!=` with a word on both sides.
    #[error("`{0}` is not a constraint: write `<attribute> == <value>` or `<attribute> != <value>`")]
    Shape(String),
    /// The attribute is unknown.
    #[error(
        "`{0}` is not an attribute of a host: use node.id, node.hostname, node.role, node.platform.os, node.platform.arch, node.labels.<key> or engine.labels.<key>"
    )]
    Attribute(String),
}

impl Attribute {
    /// The host's value; empty where it has none, so that `!=` holds for it.
    pub fn value<'h>(&self, host: &'h Host) -> Cow<'h, str> {
        match self {
            Self::Id => Cow::Owned(host.id.to_string()),
            Self::Hostname => Cow::Borrowed(&host.name),
            Self::Role => Cow::Borrowed(role(host)),
            Self::Os => Cow::Borrowed(&host.platform.os),
            Self::Arch => Cow::Borrowed(&host.platform.arch),
            Self::Label(key) => Cow::Borrowed(label(host, key)),
            Self::EngineLabel(key) => Cow::Borrowed(host.engine_labels.get(key).map_or("", String::as_str)),
        }
    }

    /// Whether the host's value is `value`.
    fn is(&self, host: &Host, value: &str) -> bool {
        match self {
            Self::Id => value.parse::<HostId>().is_ok_and(|id| id == host.id),
            Self::Arch => same_arch(&host.platform.arch, value),
            _ => same_text(&self.value(host), value),
        }
    }

    /// Whether every host has a value of its own.
    pub(crate) fn names_one_host(&self) -> bool {
        matches!(self, Self::Id | Self::Hostname)
    }
}

fn role(host: &Host) -> &'static str {
    match host.role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    }
}

fn label<'h>(host: &'h Host, key: &str) -> &'h str {
    let built_in = match key {
        "region" => host.region.as_deref(),
        "zone" => host.zone.as_deref(),
        _ => None,
    };
    host.labels.get(key).map(String::as_str).or(built_in).unwrap_or_default()
}

pub(crate) fn same_text(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Docker and the kernel name one architecture differently.
pub(crate) fn same_arch(one: &str, other: &str) -> bool {
    fn canonical(arch: &str) -> &str {
        const ALIKE: [(&str, &str); 6] = [
            ("x86_64", "amd64"),
            ("x86-64", "amd64"),
            ("aarch64", "arm64"),
            ("armv7l", "arm"),
            ("i386", "386"),
            ("i686", "386"),
        ];
        ALIKE.iter().find(|(kernel, _)| same_text(kernel, arch)).map_or(arch, |(_, docker)| docker)
    }
    same_text(canonical(one), canonical(other))
}

impl Constraint {
    /// Whether the host satisfies it.
    pub fn holds(&self, host: &Host) -> bool {
        self.attribute.is(host, &self.value) == (self.operator == Operator::Equal)
    }
}

impl FromStr for Attribute {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let unknown = || InvalidConstraint::Attribute(text.chars().take(64).collect());
        let lower = text.to_ascii_lowercase();
        // The key of a label keeps its case; the words before it do not matter.
        let key_after = |prefix: &str| {
            lower.starts_with(prefix).then(|| text[prefix.len()..].to_owned()).filter(|key| !key.is_empty())
        };
        Ok(match lower.as_str() {
            "node.id" => Self::Id,
            "node.hostname" => Self::Hostname,
            "node.role" => Self::Role,
            "node.platform.os" => Self::Os,
            "node.platform.arch" => Self::Arch,
            _ => key_after("node.labels.")
                .map(Self::Label)
                .or_else(|| key_after("engine.labels.").map(Self::EngineLabel))
                .ok_or_else(unknown)?,
        })
    }
}

impl FromStr for Constraint {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let shape = || InvalidConstraint::Shape(text.chars().take(128).collect());
        let split = |operator| text.split_once(operator).map(|(left, right)| (left.trim(), right.trim()));
        let (operator, (left, right)) = match (split("!="), split("==")) {
            // The operator that comes first splits; a value may hold the other.
            (Some(ne), Some(eq)) if ne.0.len() > eq.0.len() => (Operator::Equal, eq),
            (Some(ne), _) => (Operator::NotEqual, ne),
            (None, Some(eq)) => (Operator::Equal, eq),
            (None, None) => return Err(shape()),
        };
        if left.is_empty() || right.is_empty() {
            return Err(shape());
        }
        Ok(Self { attribute: left.parse()?, operator, value: right.to_owned() })
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("node.id"),
            Self::Hostname => f.write_str("node.hostname"),
            Self::Role => f.write_str("node.role"),
            Self::Os => f.write_str("node.platform.os"),
            Self::Arch => f.write_str("node.platform.arch"),
            Self::Label(key) => write!(f, "node.labels.{key}"),
            Self::EngineLabel(key) => write!(f, "engine.labels.{key}"),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.operator == Operator::Equal { "==" } else { "!=" };
        write!(f, "{} {operator} {}", self.attribute, self.value)
    }
}
