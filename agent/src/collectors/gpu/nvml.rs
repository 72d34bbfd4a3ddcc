//! NVIDIA cards.
//!
//! A card answers only some questions: a data-centre card has no fan, a laptop's no power limit, one split by
//! MIG no utilisation. Each refusal makes that one reading absent. A card that has fallen off the bus is
//! named in the facts. When the library itself stops answering, as during a driver update, it is let go and
//! tried again every [`RETRY`].

use super::library::{GpuLibrary, GpuLibraryLoader, GpuProcessReading, GpuTarget};
use crate::collectors::cgroup;
use crate::collectors::read::Reader;
use nvml_wrapper::error::NvmlError;
use omni_common::domain::{GpuFacts, GpuProcess, GpuSample, GpuVendor, MigInstance};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A library that was missing or broken is looked for again after this.
const RETRY: Duration = Duration::from_secs(180);
/// More cards than any machine has; a wrong count must not make a sample endless.
const MAX_CARDS: u32 = 64;
/// A card has at most seven slices today.
const MAX_SLICES: u32 = 32;
/// At most this many processes of one card are reported, those with most memory.
const MAX_PROCESSES: usize = 64;

/// The collector.
pub(super) struct Nvidia {
    proc: PathBuf,
    load: GpuLibraryLoader,
    library: Option<Box<dyn GpuLibrary>>,
    /// Why there is no library; empty until it was first looked for.
    reason: String,
    tried: Option<Instant>,
}

impl Nvidia {
    pub(super) fn new(proc: &Path, load: GpuLibraryLoader) -> Self {
        Self { proc: proc.to_owned(), load, library: None, reason: String::new(), tried: None }
    }

    /// The cards, and what is wrong with them or with the library.
    pub(super) fn facts(&mut self) -> (Vec<GpuFacts>, Vec<String>) {
        if self.library.is_none() && self.reason.is_empty() {
            self.attempt();
        }
        let Some((library, count)) = self.ready() else {
            return (Vec::new(), vec![self.reason.clone()]);
        };
        let driver = library.driver().ok();
        let (mut cards, mut faults) = (Vec::new(), Vec::new());
        for index in 0..count {
            match facts(library, index, driver.as_deref()) {
                Ok(card) => cards.push(card),
                Err(error) => faults.push(format!("GPU {index}: {error}")),
            }
        }
        (cards, faults)
    }

    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<GpuSample> {
        let due = self.tried.is_none_or(|tried| at.saturating_duration_since(tried) >= RETRY);
        if self.library.is_none() && due {
            self.tried = Some(at);
            self.attempt();
        }
        let proc = self.proc.clone();
        let Some((library, count)) = self.ready() else {
            return Vec::new();
        };
        (0..count).map(|index| sample(library, index, &proc, reader)).collect()
    }

    fn attempt(&mut self) {
        match (self.load)() {
            Ok(library) => self.library = Some(library),
            Err(error) => self.reason = explain(&error),
        }
    }

    /// The library, if it still answers, and how many cards it sees.
    fn ready(&mut self) -> Option<(&dyn GpuLibrary, u32)> {
        match self.library.as_ref()?.count() {
            Ok(0) => "the NVIDIA driver is loaded but sees no card".clone_into(&mut self.reason),
            Ok(count) => return Some((self.library.as_deref()?, count.min(MAX_CARDS))),
            Err(error) => self.reason = explain(&error),
        }
        self.library = None;
        None
    }
}

/// Why there are no NVIDIA cards, for a person.
fn explain(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "the NVIDIA management library (libnvidia-ml.so.1) is not installed".to_owned()
        }
        NvmlError::DriverNotLoaded => "the NVIDIA driver is not loaded".to_owned(),
        other => format!("the NVIDIA management library failed: {other}"),
    }
}

/// A card without a stable id cannot be told from another one, so that answer is required.
fn facts(library: &dyn GpuLibrary, index: u32, driver: Option<&str>) -> Result<GpuFacts, NvmlError> {
    let whole = GpuTarget::Whole(index);
    let mig = library.mig(index).ok();
    Ok(GpuFacts {
        index,
        vendor: GpuVendor::Nvidia,
        uuid: library.uuid(whole)?,
        model: library.name(whole)?,
        pci: library.pci(index).ok(),
        memory_total: library.memory(whole).ok().map(|memory| memory.total),
        driver: driver.map(str::to_owned),
        mig,
        instances: if mig == Some(true) { instances(library, index) } else { Vec::new() },
    })
}

fn slices(library: &dyn GpuLibrary, index: u32) -> impl Iterator<Item = u32> {
    0..library.slices(index).unwrap_or(0).min(MAX_SLICES)
}

/// The slices that exist: an index without a slice has no id.
fn instances(library: &dyn GpuLibrary, index: u32) -> Vec<MigInstance> {
    slices(library, index)
        .filter_map(|slice| {
            let target = GpuTarget::Slice(index, slice);
            Some(MigInstance {
                index: slice,
                uuid: library.uuid(target).ok()?,
                name: library.name(target).ok(),
                memory_total: library.memory(target).ok().map(|memory| memory.total),
            })
        })
        .collect()
}

fn sample(library: &dyn GpuLibrary, index: u32, proc: &Path, reader: &mut Reader) -> GpuSample {
    let memory = library.memory(GpuTarget::Whole(index)).ok();
    let utilisation = library.utilisation(index).ok();
    GpuSample {
        index,
        utilisation: utilisation.map(|(compute, _)| compute as f32),
        memory_utilisation: utilisation.map(|(_, memory)| memory as f32),
        memory_used: memory.map(|memory| memory.used),
        memory_total: memory.map(|memory| memory.total),
        temperature: library.temperature(index).ok().map(|celsius| celsius as f32),
        power: library.power(index).ok().map(watts),
        power_limit: library.power_limit(index).ok().map(watts),
        fan: library.fan(index).ok().map(|percent| percent as f32),
        processes: processes(library, index)
            .into_iter()
            .map(|process| describe(process, proc, reader))
            .collect(),
    }
}

fn watts(milliwatts: u32) -> f32 {
    milliwatts as f32 / 1000.0
}

/// Processes of a card, those with most memory first. A card split by MIG may refuse to list them as a whole;
/// its slices are asked then.
fn processes(library: &dyn GpuLibrary, index: u32) -> Vec<GpuProcessReading> {
    let whole = list(library, GpuTarget::Whole(index));
    let readings = whole.unwrap_or_else(|| {
        slices(library, index)
            .filter_map(|slice| list(library, GpuTarget::Slice(index, slice)))
            .flatten()
            .collect()
    });
    merge(readings)
}

fn list(library: &dyn GpuLibrary, target: GpuTarget) -> Option<Vec<GpuProcessReading>> {
    let compute = library.compute_processes(target).ok();
    let graphics = library.graphics_processes(target).ok();
    match (compute, graphics) {
        (None, None) => None,
        (compute, graphics) => Some([compute, graphics].into_iter().flatten().flatten().collect()),
    }
}

/// A process with a compute and a graphics context is listed by both calls with the same memory, so the larger
/// figure counts, not the sum.
fn merge(readings: Vec<GpuProcessReading>) -> Vec<GpuProcessReading> {
    let mut by_pid = BTreeMap::<u32, Option<u64>>::new();
    for reading in readings {
        let memory = by_pid.entry(reading.pid).or_default();
        *memory = (*memory).max(reading.memory);
    }
    let mut merged: Vec<_> =
        by_pid.into_iter().map(|(pid, memory)| GpuProcessReading { pid, memory }).collect();
    merged.sort_by_key(|process| std::cmp::Reverse(process.memory));
    merged.truncate(MAX_PROCESSES);
    merged
}

fn describe(process: GpuProcessReading, proc: &Path, reader: &mut Reader) -> GpuProcess {
    let (name, container) = cgroup::describe(proc, process.pid, reader);
    GpuProcess { pid: process.pid, name, container, memory: process.memory }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Script, loader};
    use super::*;
    use crate::collectors::tests::Tree;

    const ID: &str = "4f5c0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

    fn nvidia(tree: &Tree, script: &Script) -> Nvidia {
        Nvidia::new(&tree.roots().proc, loader(script))
    }

    #[test]
    fn a_plain_card_tells_all_it_has() {
        let tree = Tree::new();
        tree.file("proc/77/comm", "python3\n");
        tree.file("proc/77/cgroup", &format!("0::/system.slice/docker-{ID}.scope\n"));
        let mut nvidia = nvidia(&tree, &Script::plain_card());
        let (facts, faults) = nvidia.facts();
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((facts[0].model.as_str(), facts[0].uuid.as_str()), ("NVIDIA T4", "GPU-0"));
        assert_eq!((facts[0].mig, facts[0].driver.as_deref()), (None, Some("550.54")));

        let samples = nvidia.sample(&mut Reader::default(), Instant::now());
        let card = &samples[0];
        assert_eq!((card.utilisation, card.memory_utilisation), (Some(40.0), Some(20.0)));
        assert_eq!((card.power, card.power_limit, card.fan), (Some(33.5), Some(70.0), None));
        let expected = GpuProcess {
            pid: 77,
            name: Some("python3".to_owned()),
            container: Some(ID.to_owned()),
            memory: Some(900),
        };
        assert_eq!(card.processes[0], expected);
        assert_eq!((card.processes[1].pid, card.processes[1].name.as_deref()), (78, None));
    }

    #[test]
    fn a_card_split_by_mig_lists_its_slices_and_their_processes() {
        let tree = Tree::new();
        let mut nvidia = nvidia(&tree, &Script::split_card());
        let (facts, _) = nvidia.facts();
        assert_eq!(facts[0].mig, Some(true));
        let slices: Vec<_> =
            facts[0].instances.iter().map(|i| (i.index, i.uuid.as_str(), i.memory_total)).collect();
        assert_eq!(slices, [(0, "MIG-0", Some(5000)), (2, "MIG-2", Some(5000))]);

        let samples = nvidia.sample(&mut Reader::default(), Instant::now());
        assert_eq!((samples[0].utilisation, samples[0].memory_used), (None, Some(600)));
        let processes: Vec<_> = samples[0].processes.iter().map(|p| (p.pid, p.memory)).collect();
        assert_eq!(processes, [(91, Some(400)), (90, Some(200))]);
    }

    #[test]
    fn a_missing_library_is_said_and_tried_again_later() {
        let tree = Tree::new();
        let script = Script::missing();
        let mut nvidia = nvidia(&tree, &script);
        let (_, faults) = nvidia.facts();
        assert!(faults[0].contains("is not installed"), "{faults:?}");
        let (mut reader, start) = (Reader::default(), Instant::now());
        assert_eq!(nvidia.sample(&mut reader, start), []);
        script.becomes(Script::plain_card());
        assert_eq!(nvidia.sample(&mut reader, start + RETRY / 2), []);
        assert_eq!(nvidia.sample(&mut reader, start + RETRY).len(), 1);
        assert_eq!(nvidia.facts().1, Vec::<String>::new());
    }

    #[test]
    fn a_library_that_stops_answering_is_let_go_and_found_again() {
        let tree = Tree::new();
        let script = Script::plain_card();
        let mut nvidia = nvidia(&tree, &script);
        let (mut reader, start) = (Reader::default(), Instant::now());
        assert_eq!(nvidia.sample(&mut reader, start).len(), 1);
        script.becomes(Script::unloaded());
        assert_eq!(nvidia.sample(&mut reader, start + RETRY / 2), []);
        assert_eq!(nvidia.facts().1, ["the NVIDIA driver is not loaded"]);
        script.becomes(Script::plain_card());
        assert_eq!(nvidia.sample(&mut reader, start + RETRY).len(), 1);
    }

    #[test]
    fn a_card_off_the_bus_is_named_and_its_neighbour_still_reports() {
        let tree = Tree::new();
        let mut nvidia = nvidia(&tree, &Script::lost_card());
        let (facts, faults) = nvidia.facts();
        assert_eq!(facts.iter().map(|card| card.index).collect::<Vec<_>>(), [1]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("GPU 0: "), "{faults:?}");
        let samples = nvidia.sample(&mut Reader::default(), Instant::now());
        assert_eq!((samples[0].utilisation, samples[0].temperature), (None, None));
        assert_eq!((samples[1].index, samples[1].utilisation), (1, Some(40.0)));
    }

    #[test]
    fn the_real_library_is_loaded_or_its_absence_explained() {
        let tree = Tree::new();
        let mut nvidia = Nvidia::new(&tree.roots().proc, Box::new(super::super::SystemNvml::load));
        let (cards, faults) = nvidia.facts();
        assert!(!cards.is_empty() || !faults.is_empty());
    }
}
