//! Compute processes on AMD cards, from the kernel's fusion driver below `/sys/class/kfd/kfd`.
//!
//! `proc/<pid>/vram_<gpu>` holds the memory of a process on a card, bytes; `topology/nodes` tells which card
//! that number means. Graphics programs do not appear there.

use crate::collectors::read::{Reader, names};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// At most this many processes are looked at.
const MAX_USERS: usize = 256;

/// A PCI address without its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PciAddress {
    domain: u32,
    /// Bus in the high byte, then five bits of device and three of function.
    location: u32,
}

impl PciAddress {
    /// Reads `0000:c1:00.0`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
        let (slot, function) = text.split_once('.')?;
        let mut parts = slot.split(':').map(hex);
        let (domain, bus, device) = (parts.next()??, parts.next()??, parts.next()??);
        Some(Self { domain, location: (bus & 0xff) << 8 | (device & 0x1f) << 3 | (hex(function)? & 0x7) })
    }
}

/// The driver's files.
#[derive(Debug)]
pub(super) struct Kfd {
    root: PathBuf,
    gpus: BTreeMap<PciAddress, u32>,
}

impl Kfd {
    pub(super) fn new(sys: &Path) -> Self {
        Self { root: sys.join("class/kfd/kfd"), gpus: BTreeMap::new() }
    }

    /// Reads which card has which number.
    pub(super) fn refresh(&mut self, reader: &mut Reader) {
        let nodes = self.root.join("topology/nodes");
        self.gpus = names(&nodes).iter().filter_map(|node| gpu(&nodes.join(node), reader)).collect();
    }

    /// The driver's number of a card.
    pub(super) fn gpu(&self, pci: PciAddress) -> Option<u32> {
        self.gpus.get(&pci).copied()
    }

    /// Processes that have opened the driver.
    pub(super) fn users(&self) -> Vec<u32> {
        names(&self.root.join("proc")).iter().filter_map(|name| name.parse().ok()).take(MAX_USERS).collect()
    }

    /// A process's memory on a card; `None` when it uses none.
    pub(super) fn memory(&self, pid: u32, gpu: u32, reader: &mut Reader) -> Option<u64> {
        let file = self.root.join(format!("proc/{pid}/vram_{gpu}"));
        reader.number(&file).filter(|bytes| *bytes > 0)
    }
}

/// A node's address and number. Nodes of CPUs carry the number zero.
fn gpu(node: &Path, reader: &mut Reader) -> Option<(PciAddress, u32)> {
    let number = reader.number(&node.join("gpu_id")).filter(|id| *id != 0)?;
    let properties = reader.text(&node.join("properties")).ok()?;
    let property = |key: &str| -> Option<u32> {
        properties.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.trim().parse().ok()
    };
    let address = PciAddress { domain: property("domain").unwrap_or(0), location: property("location_id")? };
    Some((address, u32::try_from(number).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_driver_packs_them() {
        let address = PciAddress::parse("0001:c1:02.3");
        assert_eq!(address, Some(PciAddress { domain: 1, location: 0xc113 }));
        for nonsense in ["", "c1:00.0", "0000:zz:00.0", "0000:c1:00"] {
            assert_eq!(PciAddress::parse(nonsense), None, "{nonsense}");
        }
    }
}
