//! Temperatures, from `/sys/class/hwmon`; from `/sys/class/thermal` on boards that have only that.
//!
//! Some sensors take a bus transfer or wake a core to be read, so while somebody watches each second they
//! are still read only every [`PACE`], and the list of sensors is looked for anew every [`REDISCOVER`].
//! A sensor that reports a fault, fails to be read or shows an impossible value is left out, and so is that
//! of a graphics card that sleeps, which the question would wake.

use super::Roots;
use super::read::{Reader, SourceError, names};
use omni_common::domain::TemperatureSample;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sensors are read at most this often.
const PACE: Duration = Duration::from_secs(5);
/// Drivers come and go: this often the sensors are listed again.
const REDISCOVER: Duration = Duration::from_secs(300);
/// At most this many sensors are reported.
const MAX_SENSORS: usize = 128;
/// Drivers of graphics cards, which power down when unused.
const GRAPHICS: [&str; 5] = ["amdgpu", "radeon", "nouveau", "i915", "xe"];
/// Degrees Celsius outside which a reading is a broken sensor's.
const PLAUSIBLE: std::ops::RangeInclusive<f32> = -60.0..=200.0;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sensor {
    name: String,
    input: PathBuf,
    fault: Option<PathBuf>,
    /// Where the kernel says whether the device sleeps.
    power: Option<PathBuf>,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Temperatures {
    roots: Roots,
    sensors: Vec<Sensor>,
    listed: Option<Instant>,
    read: Option<Instant>,
    last: Vec<TemperatureSample>,
}

impl Temperatures {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), sensors: Vec::new(), listed: None, read: None, last: Vec::new() }
    }

    /// Why there are no temperatures, when there are none.
    pub(super) fn check(&self, reader: &mut Reader) -> Result<(), SourceError> {
        if discover(&self.roots.sys, reader).is_empty() {
            return Err(SourceError::Absent("no temperature sensor is exposed by the kernel".to_owned()));
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<TemperatureSample> {
        let due =
            |last: Option<Instant>, pace| last.is_none_or(|last| at.saturating_duration_since(last) >= pace);
        if due(self.listed, REDISCOVER) {
            self.sensors = discover(&self.roots.sys, reader);
            self.listed = Some(at);
        }
        if due(self.read, PACE) {
            self.last = self.sensors.iter().filter_map(|sensor| read(sensor, reader)).collect();
            self.read = Some(at);
        }
        self.last.clone()
    }
}

fn read(sensor: &Sensor, reader: &mut Reader) -> Option<TemperatureSample> {
    if sensor.fault.as_ref().is_some_and(|fault| reader.number(fault) == Some(1)) {
        return None;
    }
    if sensor.power.as_ref().is_some_and(|power| sleeps(power, reader)) {
        return None;
    }
    let celsius = reader.signed(&sensor.input)? as f32 / 1000.0;
    PLAUSIBLE.contains(&celsius).then(|| TemperatureSample { sensor: sensor.name.clone(), celsius })
}

/// Whether a `power/runtime_status` file says that its device is powered down.
pub(super) fn sleeps(status: &Path, reader: &mut Reader) -> bool {
    reader.text(status).is_ok_and(|status| status.trim() == "suspended")
}

fn discover(sys: &Path, reader: &mut Reader) -> Vec<Sensor> {
    let mut sensors = monitors(sys, reader);
    if sensors.is_empty() {
        sensors = zones(sys, reader);
    }
    sensors.truncate(MAX_SENSORS);
    sensors
}

/// Sensors of all hardware monitors. Two chips of one kind, say two drives, are told apart by their device.
fn monitors(sys: &Path, reader: &mut Reader) -> Vec<Sensor> {
    let class = sys.join("class/hwmon");
    let chips: Vec<(PathBuf, String)> = names(&class)
        .into_iter()
        .map(|name| class.join(name))
        .filter_map(|folder| reader.line(&folder.join("name")).map(|chip| (folder, chip)))
        .collect();
    let mut count = BTreeMap::<String, usize>::new();
    for (_, chip) in &chips {
        *count.entry(chip.clone()).or_default() += 1;
    }
    chips
        .iter()
        .flat_map(|(folder, chip)| {
            let prefix = match device(folder) {
                Some(device) if count[chip] > 1 => format!("{chip} {device}"),
                _ => chip.clone(),
            };
            let power = GRAPHICS.contains(&chip.as_str()).then(|| folder.join("device/power/runtime_status"));
            chip_sensors(folder, &prefix, power.as_deref(), reader)
        })
        .collect()
}

/// Last part of the path of the device behind a monitor, e.g. `nvme1` or `0000:03:00.0`.
fn device(folder: &Path) -> Option<String> {
    let target = std::fs::read_link(folder.join("device")).ok()?;
    target.file_name()?.to_str().map(str::to_owned)
}

fn chip_sensors(folder: &Path, prefix: &str, power: Option<&Path>, reader: &mut Reader) -> Vec<Sensor> {
    names(folder)
        .into_iter()
        .filter_map(|file| {
            let channel = file.strip_suffix("_input").filter(|c| c.starts_with("temp"))?;
            let label = reader.line(&folder.join(format!("{channel}_label")));
            let fault = folder.join(format!("{channel}_fault"));
            Some(Sensor {
                name: format!("{prefix} {}", label.as_deref().unwrap_or(channel)),
                input: folder.join(&file),
                fault: fault.exists().then_some(fault),
                power: power.map(Path::to_owned),
            })
        })
        .collect()
}

fn zones(sys: &Path, reader: &mut Reader) -> Vec<Sensor> {
    let class = sys.join("class/thermal");
    names(&class)
        .into_iter()
        .filter(|name| name.starts_with("thermal_zone"))
        .map(|name| class.join(name))
        .filter_map(|folder| {
            Some(Sensor {
                name: reader.line(&folder.join("type"))?,
                input: folder.join("temp"),
                fault: None,
                power: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn two_drives() -> Tree {
        let tree = Tree::new();
        tree.file("sys/class/hwmon/hwmon0/name", "k10temp\n");
        tree.file("sys/class/hwmon/hwmon0/temp1_input", "45125\n");
        tree.file("sys/class/hwmon/hwmon0/temp1_label", "Tctl\n");
        tree.file("sys/class/hwmon/hwmon0/temp3_input", "-4000\n");
        tree.file("sys/class/hwmon/hwmon0/fan1_input", "900\n");
        for drive in ["1", "2"] {
            let folder = format!("sys/class/hwmon/hwmon{drive}");
            tree.file(&format!("{folder}/name"), "nvme\n");
            tree.file(&format!("{folder}/temp1_input"), &format!("3{drive}850\n"));
            tree.file(&format!("{folder}/temp1_label"), "Composite\n");
            tree.link(&format!("{folder}/device"), &format!("../../nvme{drive}"));
        }
        tree.file("sys/class/hwmon/hwmon2/temp2_input", "65261850\n");
        tree.file("sys/class/hwmon/hwmon2/temp3_input", "20000\n");
        tree.file("sys/class/hwmon/hwmon2/temp3_fault", "1\n");
        tree
    }

    fn shown(samples: &[TemperatureSample]) -> Vec<(&str, f32)> {
        samples.iter().map(|s| (s.sensor.as_str(), s.celsius)).collect()
    }

    #[test]
    fn sensors_have_names_a_person_knows_and_broken_ones_are_left_out() {
        let tree = two_drives();
        let mut source = Temperatures::new(&tree.roots());
        let samples = source.sample(&mut Reader::default(), Instant::now());
        let expected = [
            ("k10temp Tctl", 45.125),
            ("k10temp temp3", -4.0),
            ("nvme nvme1 Composite", 31.85),
            ("nvme nvme2 Composite", 32.85),
        ];
        assert_eq!(shown(&samples), expected);
    }

    #[test]
    fn sensors_are_read_no_faster_than_their_pace() {
        let tree = two_drives();
        let (mut source, mut reader, start) =
            (Temperatures::new(&tree.roots()), Reader::default(), Instant::now());
        source.sample(&mut reader, start);
        tree.file("sys/class/hwmon/hwmon0/temp1_input", "50000\n");
        assert_eq!(source.sample(&mut reader, start + PACE / 2)[0].celsius, 45.125);
        assert_eq!(source.sample(&mut reader, start + PACE)[0].celsius, 50.0);
    }

    #[test]
    fn a_board_with_zones_only_reports_those() {
        let tree = Tree::new();
        tree.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
        tree.file("sys/class/thermal/thermal_zone0/temp", "51000\n");
        tree.file("sys/class/thermal/cooling_device0/type", "fan\n");
        let mut source = Temperatures::new(&tree.roots());
        assert_eq!(shown(&source.sample(&mut Reader::default(), Instant::now())), [("cpu-thermal", 51.0)]);
    }

    #[test]
    fn a_sleeping_card_is_left_asleep() {
        let tree = Tree::new();
        tree.file("sys/class/hwmon/hwmon0/name", "amdgpu\n");
        tree.file("sys/class/hwmon/hwmon0/temp1_input", "40000\n");
        tree.file("sys/class/hwmon/hwmon0/device/power/runtime_status", "suspended\n");
        let (mut source, mut reader, start) =
            (Temperatures::new(&tree.roots()), Reader::default(), Instant::now());
        assert_eq!(source.sample(&mut reader, start), []);
        tree.file("sys/class/hwmon/hwmon0/device/power/runtime_status", "active\n");
        assert_eq!(shown(&source.sample(&mut reader, start + PACE)), [("amdgpu temp1", 40.0)]);
    }

    #[test]
    fn none_is_said_once_with_a_reason() {
        let tree = Tree::new();
        let error = Temperatures::new(&tree.roots()).check(&mut Reader::default()).expect_err("no sensors");
        assert!(error.to_string().contains("no temperature sensor"));
    }
}
