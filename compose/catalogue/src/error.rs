//! What can be wrong with a catalogue.

use std::fmt;
use std::path::PathBuf;

/// The result of loading or asking a catalogue.
pub type Result<T> = std::result::Result<T, Error>;

/// A catalogue could not be loaded, or a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be listed.
    #[error("cannot list the catalogue folder {}", path.display())]
    ReadFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than a catalogue ever needs.
    #[error("{} is too large: {what}", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// Which bound it broke.
        what: String,
    },
    /// The files say something that cannot be.
    #[error("the catalogue is wrong:\n{0}")]
    Invalid(Problems),
    /// The backup policies say something that cannot be.
    #[error("the backup policies are wrong:\n{0}")]
    Policies(Problems),
    /// A name that is not in the catalogue.
    #[error("the catalogue has no component `{name}`{}", hint(near))]
    UnknownComponent {
        /// The name.
        name: String,
        /// The nearest that exists.
        near: Option<String>,
    },
}

/// Everything found wrong in one go.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file: a path, or `built-in 13-git-hosting.yaml`.
    pub file: String,
    /// The line, counted from 1. Of a component it is the first one.
    pub line: u64,
    /// The component, if it is about one.
    pub component: Option<String>,
    /// The key, with dots: `health.port`.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(component) = &self.component {
            write!(f, "component `{component}`: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.what)
    }
}

pub(crate) fn hint(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
