//! AMD cards, from the files of the `amdgpu` driver below `/sys/class/drm`.
//!
//! Which files a card has depends on its generation; each missing one makes that reading absent. A card that
//! is powered down is not read at all, because the question would wake it.

use super::kfd::{self, Kfd};
use crate::collectors::read::{Reader, names};
use crate::collectors::temperatures::sleeps;
use crate::collectors::{Roots, cgroup};
use omni_common::domain::{GpuFacts, GpuProcess, GpuSample, GpuVendor};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Cards are listed anew this often.
const REDISCOVER: Duration = Duration::from_secs(300);
/// More cards than any machine has.
const MAX_CARDS: usize = 64;
/// Full speed in a fan's control file.
const FULL_FAN: f32 = 255.0;

#[derive(Clone, Debug)]
struct Card {
    device: PathBuf,
    monitor: Option<PathBuf>,
    pci: Option<String>,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Amd {
    roots: Roots,
    cards: Vec<Card>,
    kfd: Kfd,
    listed: Option<Instant>,
}

impl Amd {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), cards: Vec::new(), kfd: Kfd::new(&roots.sys), listed: None }
    }

    /// The cards, numbered from `first`.
    pub(super) fn facts(&mut self, reader: &mut Reader, first: u32) -> Vec<GpuFacts> {
        self.cards = discover(&self.roots.sys, reader);
        let driver = reader.line(&self.roots.sys.join("module/amdgpu/version"));
        (first..).zip(&self.cards).map(|(index, card)| facts(index, card, driver.clone(), reader)).collect()
    }

    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant, first: u32) -> Vec<GpuSample> {
        if self.listed.is_none_or(|listed| at.saturating_duration_since(listed) >= REDISCOVER) {
            self.cards = discover(&self.roots.sys, reader);
            self.kfd.refresh(reader);
            self.listed = Some(at);
        }
        if self.cards.is_empty() {
            return Vec::new();
        }
        let users = self.kfd.users();
        (first..)
            .zip(&self.cards)
            .map(|(index, card)| GpuSample {
                processes: processes(card, &self.kfd, &users, &self.roots.proc, reader),
                ..sample(index, card, reader)
            })
            .collect()
    }
}

fn discover(sys: &Path, reader: &mut Reader) -> Vec<Card> {
    let class = sys.join("class/drm");
    let mut cards: Vec<(u32, Card)> = names(&class)
        .into_iter()
        // `card0` is a card, `card0-DP-1` a plug on it.
        .filter_map(|name| name.strip_prefix("card")?.parse().ok())
        .filter_map(|number: u32| {
            let device = class.join(format!("card{number}/device"));
            Some((number, card(device, reader)?))
        })
        .collect();
    cards.sort_by_key(|(number, _)| *number);
    cards.truncate(MAX_CARDS);
    cards.into_iter().map(|(_, card)| card).collect()
}

fn card(device: PathBuf, reader: &mut Reader) -> Option<Card> {
    let event = reader.text(&device.join("uevent")).ok()?;
    let value = |key: &str| {
        event.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    };
    if value("DRIVER").as_deref() != Some("amdgpu") {
        return None;
    }
    let pci = value("PCI_SLOT_NAME");
    let monitors = device.join("hwmon");
    let monitor = names(&monitors).into_iter().next().map(|name| monitors.join(name));
    Some(Card { device, monitor, pci })
}

fn facts(index: u32, card: &Card, driver: Option<String>, reader: &mut Reader) -> GpuFacts {
    let device = |name: &str| card.device.join(name);
    let uuid = reader.line(&device("unique_id")).or_else(|| card.pci.clone());
    GpuFacts {
        index,
        vendor: GpuVendor::Amd,
        uuid: uuid.unwrap_or_else(|| format!("amdgpu-{index}")),
        model: model(card, reader),
        pci: card.pci.clone(),
        memory_total: reader.number(&device("mem_info_vram_total")),
        driver,
        mig: None,
        instances: Vec::new(),
    }
}

/// Only server cards carry their name; others are known by their PCI ids, which a person can look up.
fn model(card: &Card, reader: &mut Reader) -> String {
    if let Some(name) = reader.line(&card.device.join("product_name")) {
        return name;
    }
    let mut id = |name: &str| {
        let text = reader.line(&card.device.join(name)).unwrap_or_default();
        text.trim_start_matches("0x").to_owned()
    };
    format!("AMD GPU {}:{}", id("vendor"), id("device"))
}

fn sample(index: u32, card: &Card, reader: &mut Reader) -> GpuSample {
    let mut sample = absent(index);
    if sleeps(&card.device.join("power/runtime_status"), reader) {
        return sample;
    }
    let device = |name: &str| card.device.join(name);
    let percent = |value: u64| value.min(100) as f32;
    sample.utilisation = reader.number(&device("gpu_busy_percent")).map(percent);
    sample.memory_utilisation = reader.number(&device("mem_busy_percent")).map(percent);
    sample.memory_used = reader.number(&device("mem_info_vram_used"));
    sample.memory_total = reader.number(&device("mem_info_vram_total"));
    if let Some(monitor) = &card.monitor {
        read_monitor(&mut sample, monitor, reader);
    }
    sample
}

/// Millidegrees, microwatts and fan steps.
fn read_monitor(sample: &mut GpuSample, monitor: &Path, reader: &mut Reader) {
    let file = |name: &str| monitor.join(name);
    let watts = |microwatts: u64| microwatts as f32 / 1e6;
    sample.temperature = reader.signed(&file("temp1_input")).map(|milli| milli as f32 / 1000.0);
    // Newer cards offer a momentary value in place of the average.
    let power = reader.number(&file("power1_average")).or_else(|| reader.number(&file("power1_input")));
    sample.power = power.map(watts);
    sample.power_limit = reader.number(&file("power1_cap")).map(watts);
    sample.fan = reader.number(&file("pwm1")).map(|steps| (steps as f32 / FULL_FAN * 100.0).min(100.0));
}

fn absent(index: u32) -> GpuSample {
    GpuSample {
        index,
        utilisation: None,
        memory_utilisation: None,
        memory_used: None,
        memory_total: None,
        temperature: None,
        power: None,
        power_limit: None,
        fan: None,
        processes: Vec::new(),
    }
}

fn processes(card: &Card, kfd: &Kfd, users: &[u32], proc: &Path, reader: &mut Reader) -> Vec<GpuProcess> {
    let Some(gpu) = card.pci.as_deref().and_then(kfd::PciAddress::parse).and_then(|pci| kfd.gpu(pci)) else {
        return Vec::new();
    };
    users
        .iter()
        .filter_map(|&pid| {
            let memory = kfd.memory(pid, gpu, reader)?;
            let (name, container) = cgroup::describe(proc, pid, reader);
            Some(GpuProcess { pid, name, container, memory: Some(memory) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::tests::Tree;

    fn server_card(tree: &Tree) {
        let files = [
            ("uevent", "DRIVER=amdgpu\nPCI_CLASS=38000\nPCI_SLOT_NAME=0000:c1:00.0\n"),
            ("product_name", "AMD Instinct MI210\n"),
            ("unique_id", "c2aa0d1b3a4f5e66\n"),
            ("mem_info_vram_total", "68702699520\n"),
            ("mem_info_vram_used", "1048576\n"),
            ("gpu_busy_percent", "37\n"),
            ("mem_busy_percent", "4\n"),
            ("hwmon/hwmon3/temp1_input", "51000\n"),
            ("hwmon/hwmon3/power1_average", "87000000\n"),
            ("hwmon/hwmon3/power1_cap", "300000000\n"),
        ];
        for (name, text) in files {
            tree.file(&format!("sys/class/drm/card1/device/{name}"), text);
        }
        tree.file("sys/class/drm/card1-DP-1/status", "disconnected\n");
        tree.file("sys/class/drm/card0/device/uevent", "DRIVER=ast\nPCI_SLOT_NAME=0000:02:00.0\n");
        tree.file("sys/module/amdgpu/version", "6.7.0\n");
    }

    #[test]
    fn a_server_card_tells_all_it_has() {
        let tree = Tree::new();
        server_card(&tree);
        let (mut amd, mut reader) = (Amd::new(&tree.roots()), Reader::default());
        let facts = amd.facts(&mut reader, 2);
        assert_eq!(facts.len(), 1);
        assert_eq!((facts[0].index, facts[0].vendor), (2, GpuVendor::Amd));
        assert_eq!(
            (facts[0].model.as_str(), facts[0].uuid.as_str()),
            ("AMD Instinct MI210", "c2aa0d1b3a4f5e66")
        );
        assert_eq!(
            (facts[0].memory_total, facts[0].driver.as_deref()),
            (Some(68_702_699_520), Some("6.7.0"))
        );

        let samples = amd.sample(&mut reader, Instant::now(), 2);
        let card = &samples[0];
        assert_eq!((card.utilisation, card.memory_utilisation), (Some(37.0), Some(4.0)));
        assert_eq!((card.temperature, card.power, card.power_limit), (Some(51.0), Some(87.0), Some(300.0)));
        assert_eq!((card.memory_used, card.fan), (Some(1 << 20), None));
    }

    #[test]
    fn a_desktop_card_is_known_by_its_numbers() {
        let tree = Tree::new();
        let folder = "sys/class/drm/card0/device";
        tree.file(&format!("{folder}/uevent"), "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n");
        tree.file(&format!("{folder}/vendor"), "0x1002\n");
        tree.file(&format!("{folder}/device"), "0x73bf\n");
        tree.file(&format!("{folder}/hwmon/hwmon0/power1_input"), "9500000\n");
        tree.file(&format!("{folder}/hwmon/hwmon0/pwm1"), "51\n");
        let (mut amd, mut reader) = (Amd::new(&tree.roots()), Reader::default());
        let facts = amd.facts(&mut reader, 0);
        assert_eq!((facts[0].model.as_str(), facts[0].uuid.as_str()), ("AMD GPU 1002:73bf", "0000:03:00.0"));
        let samples = amd.sample(&mut reader, Instant::now(), 0);
        assert_eq!((samples[0].power, samples[0].fan, samples[0].utilisation), (Some(9.5), Some(20.0), None));
    }

    #[test]
    fn a_sleeping_card_is_left_asleep() {
        let tree = Tree::new();
        server_card(&tree);
        tree.file("sys/class/drm/card1/device/power/runtime_status", "suspended\n");
        let samples = Amd::new(&tree.roots()).sample(&mut Reader::default(), Instant::now(), 0);
        assert_eq!(samples, [absent(0)]);
    }

    #[test]
    fn compute_processes_are_found_on_their_card() {
        let tree = Tree::new();
        server_card(&tree);
        let nodes = "sys/class/kfd/kfd/topology/nodes";
        tree.file(&format!("{nodes}/0/gpu_id"), "0\n");
        tree.file(&format!("{nodes}/0/properties"), "cpu_cores_count 8\nlocation_id 0\ndomain 0\n");
        tree.file(&format!("{nodes}/1/gpu_id"), "51545\n");
        tree.file(&format!("{nodes}/1/properties"), "simd_count 416\nlocation_id 49408\ndomain 0\n");
        tree.file("sys/class/kfd/kfd/proc/100/vram_51545", "4096\n");
        tree.file("sys/class/kfd/kfd/proc/200/vram_51545", "0\n");
        tree.file("proc/100/comm", "vllm\n");
        let samples = Amd::new(&tree.roots()).sample(&mut Reader::default(), Instant::now(), 0);
        let shown: Vec<_> =
            samples[0].processes.iter().map(|p| (p.pid, p.name.as_deref(), p.memory)).collect();
        assert_eq!(shown, [(100, Some("vllm"), Some(4096))]);
    }

    #[test]
    fn no_card_is_no_sample() {
        let tree = Tree::new();
        let mut amd = Amd::new(&tree.roots());
        assert_eq!(amd.facts(&mut Reader::default(), 0), []);
        assert_eq!(amd.sample(&mut Reader::default(), Instant::now(), 0), []);
    }
}
