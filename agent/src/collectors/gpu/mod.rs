//! GPUs: NVIDIA's first, by the library's index, then AMD's.
//!
//! ```text
//! nvml.rs      what to ask an NVIDIA card and what a refusal means
//! library.rs   the trait it asks through, and the real library behind it
//! amd.rs       amdgpu's files        kfd.rs   its compute processes
//! ```

mod amd;
mod kfd;
mod library;
mod nvml;
#[cfg(test)]
mod scripted;

pub use library::{GpuLibrary, GpuLibraryLoader, GpuMemoryReading, GpuProcessReading, GpuTarget, SystemNvml};

use super::Roots;
use super::read::Reader;
use amd::Amd;
use nvml::Nvidia;
use omni_common::domain::{Absence, GpuFacts, GpuSample};
use std::time::Instant;

/// The collector.
pub(super) struct Gpus {
    nvidia: Nvidia,
    amd: Amd,
    /// Most NVIDIA cards seen: where AMD's numbers begin. It never shrinks, so that a driver update does not
    /// renumber the others.
    first_amd: u32,
}

impl Gpus {
    pub(super) fn new(roots: &Roots, load: GpuLibraryLoader) -> Self {
        Self { nvidia: Nvidia::new(&roots.proc, load), amd: Amd::new(roots), first_amd: 0 }
    }

    /// The cards, and what is missing.
    pub(super) fn facts(&mut self, reader: &mut Reader) -> (Vec<GpuFacts>, Vec<Absence>) {
        let (mut cards, faults) = self.nvidia.facts();
        self.number(cards.iter().map(|card| card.index));
        let mut absent: Vec<Absence> = faults.into_iter().map(|reason| absence("nvml", reason)).collect();
        let amd = self.amd.facts(reader, self.first_amd);
        if amd.is_empty() {
            absent.push(absence("amdgpu", "no card uses the amdgpu driver".to_owned()));
        }
        cards.extend(amd);
        (cards, absent)
    }

    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<GpuSample> {
        let mut samples = self.nvidia.sample(reader, at);
        self.number(samples.iter().map(|sample| sample.index));
        samples.extend(self.amd.sample(reader, at, self.first_amd));
        samples
    }

    fn number(&mut self, indexes: impl Iterator<Item = u32>) {
        self.first_amd = indexes.map(|index| index + 1).fold(self.first_amd, u32::max);
    }
}

fn absence(source: &str, reason: String) -> Absence {
    Absence { source: source.to_owned(), reason }
}
