//! The NVIDIA management library behind a trait, so that tests can script what a card says.
//!
//! The trait asks one thing a call, in the library's own units and with its own errors: which answers a card
//! may refuse is decided in [`super::nvml`], not here. The real library is loaded at run time; a host without
//! it costs one failed `dlopen` every few minutes.

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

/// A card, or one Multi-Instance slice of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GpuTarget {
    /// The card with this index.
    Whole(u32),
    /// A slice: the card's index, then the slice's.
    Slice(u32, u32),
}

/// A process that a card reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuProcessReading {
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Its GPU memory, bytes; absent when the driver does not say.
    pub memory: Option<u64>,
}

/// Memory of a card or slice, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemoryReading {
    /// In use.
    pub used: u64,
    /// Installed.
    pub total: u64,
}

/// What is asked of the library. Each call may be refused: a card supports only some of them.
pub trait GpuLibrary: Send {
    /// Driver version.
    fn driver(&self) -> Result<String, NvmlError>;
    /// Number of cards.
    fn count(&self) -> Result<u32, NvmlError>;
    /// Model name.
    fn name(&self, target: GpuTarget) -> Result<String, NvmlError>;
    /// Stable id.
    fn uuid(&self, target: GpuTarget) -> Result<String, NvmlError>;
    /// PCI address of a card.
    fn pci(&self, index: u32) -> Result<String, NvmlError>;
    /// Memory.
    fn memory(&self, target: GpuTarget) -> Result<GpuMemoryReading, NvmlError>;
    /// Percent of time that compute and the memory interface were busy.
    fn utilisation(&self, index: u32) -> Result<(u32, u32), NvmlError>;
    /// Degrees Celsius.
    fn temperature(&self, index: u32) -> Result<u32, NvmlError>;
    /// Milliwatts drawn.
    fn power(&self, index: u32) -> Result<u32, NvmlError>;
    /// Milliwatts allowed.
    fn power_limit(&self, index: u32) -> Result<u32, NvmlError>;
    /// Percent of the first fan's full speed.
    fn fan(&self, index: u32) -> Result<u32, NvmlError>;
    /// Processes with a compute context.
    fn compute_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError>;
    /// Processes with a graphics context.
    fn graphics_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError>;
    /// Whether MIG is on now.
    fn mig(&self, index: u32) -> Result<bool, NvmlError>;
    /// Most slices the card can have; not each index below it need exist.
    fn slices(&self, index: u32) -> Result<u32, NvmlError>;
}

/// Loads the library; called again every few minutes until it succeeds.
pub type GpuLibraryLoader = Box<dyn FnMut() -> Result<Box<dyn GpuLibrary>, NvmlError> + Send>;

/// The library of the installed driver.
pub struct SystemNvml(Nvml);

impl SystemNvml {
    /// Loads and initialises it.
    pub fn load() -> Result<Box<dyn GpuLibrary>, NvmlError> {
        Ok(Box::new(Self(Nvml::init()?)))
    }

    fn device(&self, target: GpuTarget) -> Result<Device<'_>, NvmlError> {
        match target {
            GpuTarget::Whole(index) => self.0.device_by_index(index),
            GpuTarget::Slice(index, slice) => self.0.device_by_index(index)?.mig_device_by_index(slice),
        }
    }

    fn card(&self, index: u32) -> Result<Device<'_>, NvmlError> {
        self.device(GpuTarget::Whole(index))
    }
}

impl GpuLibrary for SystemNvml {
    fn driver(&self) -> Result<String, NvmlError> {
        self.0.sys_driver_version()
    }

    fn count(&self) -> Result<u32, NvmlError> {
        self.0.device_count()
    }

    fn name(&self, target: GpuTarget) -> Result<String, NvmlError> {
        self.device(target)?.name()
    }

    fn uuid(&self, target: GpuTarget) -> Result<String, NvmlError> {
        self.device(target)?.uuid()
    }

    fn pci(&self, index: u32) -> Result<String, NvmlError> {
        Ok(self.card(index)?.pci_info()?.bus_id)
    }

    fn memory(&self, target: GpuTarget) -> Result<GpuMemoryReading, NvmlError> {
        let memory = self.device(target)?.memory_info()?;
        Ok(GpuMemoryReading { used: memory.used, total: memory.total })
    }

    fn utilisation(&self, index: u32) -> Result<(u32, u32), NvmlError> {
        let rates = self.card(index)?.utilization_rates()?;
        Ok((rates.gpu, rates.memory))
    }

    fn temperature(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index)?.temperature(TemperatureSensor::Gpu)
    }

    fn power(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index)?.power_usage()
    }

    fn power_limit(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index)?.enforced_power_limit()
    }

    fn fan(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index)?.fan_speed(0)
    }

    fn compute_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError> {
        let device = self.device(target)?;
        newest_supported(device.running_compute_processes(), || device.running_compute_processes_v2())
    }

    fn graphics_processes(&self, target: GpuTarget) -> Result<Vec<GpuProcessReading>, NvmlError> {
        let device = self.device(target)?;
        newest_supported(device.running_graphics_processes(), || device.running_graphics_processes_v2())
    }

    fn mig(&self, index: u32) -> Result<bool, NvmlError> {
        Ok(self.card(index)?.mig_mode()?.current == MIG_ENABLED)
    }

    fn slices(&self, index: u32) -> Result<u32, NvmlError> {
        self.card(index)?.mig_device_count()
    }
}

/// `NVML_DEVICE_MIG_ENABLE`.
const MIG_ENABLED: u32 = 1;

/// Drivers before 510 lack the newest form of the process calls.
fn newest_supported(
    newest: Result<Vec<ProcessInfo>, NvmlError>,
    older: impl FnOnce() -> Result<Vec<ProcessInfo>, NvmlError>,
) -> Result<Vec<GpuProcessReading>, NvmlError> {
    let processes = match newest {
        Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => older()?,
        answer => answer?,
    };
    Ok(processes.into_iter().map(reading).collect())
}

fn reading(process: ProcessInfo) -> GpuProcessReading {
    GpuProcessReading {
        pid: process.pid,
        memory: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    }
}
