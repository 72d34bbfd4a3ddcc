//! NVIDIA cards that say what a test tells them to.

use super::library::{GpuLibrary, GpuLibraryLoader, GpuMemoryReading, GpuProcessReading, GpuTarget};
use nvml_wrapper::error::NvmlError;
use std::sync::{Arc, Mutex};

/// What one card or slice answers; what is not scripted is refused as unsupported.
#[derive(Clone, Default)]
struct Answers {
    lost: bool,
    name: Option<&'static str>,
    uuid: Option<&'static str>,
    memory: Option<(u64, u64)>,
    utilisation: Option<(u32, u32)>,
    power: Option<(u32, u32)>,
    mig: Option<bool>,
    compute: Option<Vec<(u32, u64)>>,
    graphics: Option<Vec<(u32, u64)>>,
    slices: Vec<Option<Answers>>,
}

#[derive(Clone)]
enum State {
    Missing,
    Unloaded,
    Cards(Vec<Answers>),
}

/// A machine's library; clones share what it says.
#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<State>>);

/// A loader that finds whatever the script holds at that moment.
pub(super) fn loader(script: &Script) -> GpuLibraryLoader {
    let script = script.clone();
    Box::new(move || match script.state() {
        State::Missing => Err(NvmlError::LibraryNotFound),
        State::Unloaded => Err(NvmlError::DriverNotLoaded),
        State::Cards(_) => Ok(Box::new(script.clone())),
    })
}

impl Script {
    fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn missing() -> Self {
        Self::new(State::Missing)
    }

    pub(super) fn unloaded() -> Self {
        Self::new(State::Unloaded)
    }

    /// One card without a fan and without MIG, two processes, one of them with both kinds of context.
    pub(super) fn plain_card() -> Self {
        Self::new(State::Cards(vec![plain("GPU-0")]))
    }

    /// One card with MIG on, slices 0 and 2 of three, which lists processes by slice only.
    pub(super) fn split_card() -> Self {
        let slice = |uuid, pid, memory| Answers {
            uuid: Some(uuid),
            name: Some("NVIDIA A100 MIG 1g.5gb"),
            memory: Some((memory, 5000)),
            compute: Some(vec![(pid, memory)]),
            ..Answers::default()
        };
        Self::new(State::Cards(vec![Answers {
            uuid: Some("GPU-0"),
            name: Some("NVIDIA A100"),
            memory: Some((600, 40_000)),
            mig: Some(true),
            slices: vec![Some(slice("MIG-0", 90, 200)), None, Some(slice("MIG-2", 91, 400))],
            ..Answers::default()
        }]))
    }

    /// Two cards, the first of which has fallen off the bus.
    pub(super) fn lost_card() -> Self {
        let lost = Answers { lost: true, ..Answers::default() };
        Self::new(State::Cards(vec![lost, plain("GPU-1")]))
    }

    /// From now on this library answers as the other.
    pub(super) fn becomes(&self, other: Self) {
        *self.0.lock().expect("one test") = other.state();
    }

    fn state(&self) -> State {
        self.0.lock().expect("one test").clone()
    }

    fn answers(&self, target: GpuTarget) -> Result<Answers, NvmlError> {
        let State::Cards(cards) = self.state() else {
            return Err(NvmlError::Uninitialized);
        };
        let (GpuTarget::Whole(index) | GpuTarget::Slice(index, _)) = target;
        let card = cards.get(index as usize).ok_or(NvmlError::InvalidArg)?;
        if card.lost {
            return Err(NvmlError::GpuLost);
        }
        match target {
            GpuTarget::Whole(_) => Ok(card.clone()),
            GpuTarget::Slice(_, slice) => {
                card.slices.get(slice as usize).cloned().flatten().ok_or(NvmlError::NotFound)
            }
        }
    }

    fn answer<T>(&self, target: GpuTarget, pick: impl FnOnce(Answers) -> Option<T>) -> Result<T, NvmlError> {
        pick(self.answers(target)?).ok_or(NvmlError::NotSupported)
    }

    fn card<T>(&self, index: u32, pick: impl FnOnce(Answers) -> Option<T>) -> Result<T, NvmlError> {
        self.answer(GpuTarget::Whole(index), pick)
    }
}

fn plain(uuid: &'static str) -> Answers {
    Answers {
        uuid: Some(uuid),
        name: Some("NVIDIA T4"),
        memory: Some((1000, 16_000)),
        utilisation: Some((40, 20)),
        power: Some((33_500, 70_000)),
        compute: Some(vec![(78, 100), (77, 900)]),
        graphics: Some(vec![(77, 900)]),
        ..Answers::default()
    }
}

fn readings(processes: Vec<(u32, u64)>) -> Vec<GpuProcessReading> {
    let reading = |(pid, memory)| GpuProcessReading { pid, memory: Some(memory) };
    processes.into_iter().map(reading).collect()
}

impl GpuLibrary for Script {
    fn driver(&self) -> Result<String, NvmlError> {
        Ok("550.54".to_owned())
    }

    fn count(&self) -> Result<u32, NvmlError> {
        match self.state() {
            State::Missing => Err(NvmlError::Uninitialized),
            State::Unloaded => Err(NvmlError::DriverNotLoaded),
            State::Cards(cards) => Ok(cards.len() as u32),
        }
    }

    fn name(&self, target: GpuTarget) -> Result<String, NvmlError> {
        self.answer(target, |a| a.name.map(str::to_owned))
    }

    fn uuid(&self, target: GpuTarget) -> Result<String, NvmlError> {
        self.answer(target, |a| a.uuid.map(str::to_owned))
    }

    fn pci(&self, index: u32) -> Result<String, NvmlError> {
        self.card(index, |_| Some(format!("00000000:{index:02X}:00.0")))
    }

    fn memory(&self, target: GpuTarget) -> Result<GpuMemoryReading, NvmlError> {
        self.answer(target, |a| a.memory.map(|(used, total)| GpuMemoryReading { used, total }))
    }

    fn utilisation(&self, index: u32) -> Result<(u32, u32), NvmlError> {
        self.card(index, |a| a.utilisation)
    }

    fn temperature(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index, |_| Some(55))
    }

    fn power(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index, |a| Some(a.power?.0))
    }

    fn power_limit(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index, |a| Some(a.power?.1))
    }

    fn fan(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index, |_| None)
    }

    fn compute_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError> {
        self.answer(target, |a| a.compute.map(readings))
    }

    fn graphics_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError> {
        self.answer(target, |a| a.graphics.map(readings))
    }

    fn mig(&self, index: u32) -> Result<bool, NvmlError> {
        self.card(index, |a| a.mig)
    }

    fn slices(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index, |a| Some(a.slices.len() as u32))
    }
}
