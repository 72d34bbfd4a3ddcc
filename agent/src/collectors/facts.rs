//! What a host is: names, versions, hardware, addresses.
//!
//! The kernel's part comes from below the roots. The distribution's name and the interfaces' addresses are in
//! no kernel file; those come from `sysinfo`, which asks the C library.

use super::Roots;
use super::cpu::Counters;
use super::network::is_internal;
use super::read::Reader;
use omni_common::clock::Time;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use sysinfo::{Networks, System};

/// At most this many addresses are reported.
const MAX_ADDRESSES: usize = 64;
/// The kernel derives the boot time from the wall clock, which is corrected by a little all the time.
const BOOT_JITTER_SECS: u64 = 5;
/// What different architectures call the model in `/proc/cpuinfo`.
const MODEL_KEYS: [&str; 4] = ["model name", "cpu model", "cpu", "Model"];

/// The processor, read once: it does not change while the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Processor {
    pub(super) model: Option<String>,
    pub(super) physical_cores: Option<u32>,
}

/// The kernel's and the distribution's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) hostname: String,
    pub(super) os: String,
    pub(super) kernel: String,
    pub(super) arch: String,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Facts {
    kernel: PathBuf,
    cpuinfo: PathBuf,
    processor: Option<Processor>,
    booted: Option<u64>,
}

impl Facts {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            kernel: roots.proc.join("sys/kernel"),
            cpuinfo: roots.proc.join("cpuinfo"),
            processor: None,
            booted: None,
        }
    }

    pub(super) fn names(&self, reader: &mut Reader) -> Names {
        let mut kernel = |name: &str| reader.line(&self.kernel.join(name));
        Names {
            hostname: kernel("hostname").unwrap_or_else(|| "unknown".to_owned()),
            kernel: kernel("osrelease").unwrap_or_else(|| "unknown".to_owned()),
            os: System::long_os_version().unwrap_or_else(|_| "Linux".to_owned()),
            arch: System::cpu_arch(),
        }
    }

    pub(super) fn processor(&mut self, reader: &mut Reader) -> Processor {
        if let Some(known) = &self.processor {
            return known.clone();
        }
        let processor = reader.text(&self.cpuinfo).map(|text| parse_processor(&text)).unwrap_or_default();
        self.processor.insert(processor).clone()
    }

    /// When the machine booted: the first value seen, unless the clock was set since.
    pub(super) fn booted(&mut self, counters: Option<&Counters>) -> Option<Time> {
        if let Some(now) = counters.map(|counters| counters.booted) {
            let steady = self.booted.is_some_and(|known| known.abs_diff(now) <= BOOT_JITTER_SECS);
            if !steady {
                self.booted = Some(now);
            }
        }
        self.booted.map(|secs| Time::from_secs(i64::try_from(secs).unwrap_or(i64::MAX)))
    }
}

fn parse_processor(text: &str) -> Processor {
    let lines = || {
        text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
    };
    let model = MODEL_KEYS
        .iter()
        .find_map(|wanted| lines().find(|(key, value)| key == wanted && !value.is_empty()))
        .map(|(_, value)| value.to_owned());
    let mut cores = BTreeSet::new();
    let mut package = "";
    for (key, value) in lines() {
        match key {
            "physical id" => package = value,
            "core id" => {
                cores.insert((package, value));
            }
            _ => {}
        }
    }
    Processor { model, physical_cores: u32::try_from(cores.len()).ok().filter(|count| *count > 0) }
}

/// Addresses by which others may reach this host: no loopback, no link-local ones, and none of Docker's
/// bridges, which are alike on every host.
pub(super) fn addresses() -> Vec<String> {
    let Ok(networks) = Networks::new_with_refreshed_list() else {
        return Vec::new();
    };
    let addresses: BTreeSet<IpAddr> = networks
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(|name| !is_internal(name) && !is_docker_bridge(name)))
        .flat_map(|(_, network)| network.ip_networks())
        .map(|network| network.addr)
        .filter(is_reachable)
        .collect();
    addresses.iter().take(MAX_ADDRESSES).map(IpAddr::to_string).collect()
}

/// `docker0`, `docker_gwbridge` and `br-` with the first twelve digits of a network's id.
fn is_docker_bridge(interface: &str) -> bool {
    let digits = interface.strip_prefix("br-").unwrap_or_default();
    interface.starts_with("docker") || (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_counted_per_package() {
        let cpu = |package, core| {
            format!(
                "processor : 0\nmodel name\t: Fast CPU: 9000\nphysical id\t: {package}\ncore id\t: {core}\n\n"
            )
        };
        let text: String =
            [(0, 0), (0, 1), (0, 0), (1, 0)].map(|(package, core)| cpu(package, core)).concat();
        let expected = Processor { model: Some("Fast CPU: 9000".to_owned()), physical_cores: Some(3) };
        assert_eq!(parse_processor(&text), expected);
    }

    #[test]
    fn a_board_that_says_little_leaves_it_absent() {
        let text = "processor : 0\nBogoMIPS : 108.00\nCPU implementer : 0x41\n\nModel : Raspberry Pi 4\n";
        let processor = parse_processor(text);
        assert_eq!((processor.model.as_deref(), processor.physical_cores), (Some("Raspberry Pi 4"), None));
        assert_eq!(parse_processor(""), Processor::default());
    }

    #[test]
    fn bridges_of_docker_are_told_from_others() {
        for bridge in ["docker0", "docker_gwbridge", "br-0a1b2c3d4e5f"] {
            assert!(is_docker_bridge(bridge), "{bridge}");
        }
        for other in ["br-lan", "br0", "eth0"] {
            assert!(!is_docker_bridge(other), "{other}");
        }
    }

    #[test]
    fn only_reachable_addresses_count() {
        let reachable = |text: &str| is_reachable(&text.parse().expect("an address"));
        assert!(reachable("10.0.0.5") && reachable("2001:db8::1") && reachable("fd00::1"));
        assert!(
            !reachable("127.0.0.1")
                && !reachable("169.254.1.1")
                && !reachable("fe80::1")
                && !reachable("::1")
        );
    }
}
