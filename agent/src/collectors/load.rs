//! Load averages, from `/proc/loadavg`.

use super::Roots;
use super::read::{Reader, SourceError};
use procfs::{FromRead, LoadAverage};
use std::path::PathBuf;

/// The collector.
#[derive(Debug)]
pub(super) struct Load {
    path: PathBuf,
}

impl Load {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc.join("loadavg") }
    }

    /// Over 1, 5 and 15 minutes.
    pub(super) fn read(&self, reader: &mut Reader) -> Result<[f32; 3], SourceError> {
        let text = reader.text(&self.path)?;
        let load =
            LoadAverage::from_read(text.as_bytes()).map_err(|what| SourceError::form(&self.path, what))?;
        Ok([load.one, load.five, load.fifteen])
    }
}
