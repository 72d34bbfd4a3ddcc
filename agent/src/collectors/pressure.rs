//! Pressure stall information, from `/proc/pressure`.
//!
//! Kernels before 4.20 do not have it, and a kernel started with `psi=0` has the files but refuses to read
//! them. Kernels before 5.13 write no `full` line for the CPU, so that line is not asked for.

use super::Roots;
use super::read::{Reader, SourceError};
use omni_common::domain::PressureSample;
use std::path::{Path, PathBuf};

/// The collector.
#[derive(Debug)]
pub(super) struct Pressure {
    cpu: PathBuf,
    memory: PathBuf,
    io: PathBuf,
}

impl Pressure {
    pub(super) fn new(roots: &Roots) -> Self {
        let file = |name| roots.proc.join("pressure").join(name);
        Self { cpu: file("cpu"), memory: file("memory"), io: file("io") }
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<PressureSample, SourceError> {
        Ok(PressureSample {
            cpu_some: stalled(reader, &self.cpu, "some")?,
            memory_some: stalled(reader, &self.memory, "some")?,
            memory_full: stalled(reader, &self.memory, "full")?,
            io_some: stalled(reader, &self.io, "some")?,
            io_full: stalled(reader, &self.io, "full")?,
        })
    }
}

fn stalled(reader: &mut Reader, path: &Path, kind: &str) -> Result<f32, SourceError> {
    parse(&reader.text(path)?, kind)
        .ok_or_else(|| SourceError::form(path, format!("no ten-second average of `{kind}`")))
}

/// The ten-second average of the line that begins with `kind`.
fn parse(text: &str, kind: &str) -> Option<f32> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
    let average: f32 =
        line.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()?;
    average.is_finite().then(|| average.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: &str = "some avg10=2.50 avg60=0.80 avg300=1.77 total=46085528\n\
        full avg10=0.25 avg60=0.00 avg300=0.00 total=0\n";

    #[test]
    fn both_lines_are_found() {
        assert_eq!(parse(MODERN, "some"), Some(2.5));
        assert_eq!(parse(MODERN, "full"), Some(0.25));
    }

    #[test]
    fn an_old_kernel_has_one_line_for_the_cpu() {
        let old = "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n";
        assert_eq!(parse(old, "some"), Some(1.0));
        assert_eq!(parse(old, "full"), None);
    }

    #[test]
    fn nonsense_is_absent() {
        for text in ["", "some", "some avg10=", "some avg10=NaN", "some avg10=inf"] {
            assert_eq!(parse(text, "some"), None, "{text}");
        }
    }
}
