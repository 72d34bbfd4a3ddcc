//! One-minute means of every host, kept in memory on every controller: the last hours of a host that died.

use omni_common::clock::Time;
use omni_common::domain::{CpuSample, DiskSample, HostSample, MemorySample, NetworkSample};
use std::collections::VecDeque;

/// Minutes kept. At 64 bytes each a thousand hosts take twelve megabytes.
const KEPT: usize = 180;
const MINUTE_MS: i64 = 60_000;

/// Sums of one minute.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u32,
    cpu: [f64; 5],
    cpu_count: u32,
    load: f64,
    memory_total: u64,
    memory_available: f64,
    swap_used: f64,
    rx: f64,
    tx: f64,
    read: f64,
    written: f64,
}

/// The means of one minute.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Minute {
    at: Time,
    cpu: Option<[f32; 5]>,
    load: f32,
    memory_total: u64,
    memory_available: u64,
    swap_used: u64,
    rx: f32,
    tx: f32,
    read: f32,
    written: f32,
}

/// The minutes of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rollup {
    minute: i64,
    sums: Sums,
    minutes: VecDeque<Minute>,
}

impl Rollup {
    /// Takes one sample in. Samples of an earlier minute than the current one come too late and are left out.
    pub(crate) fn add(&mut self, sample: &HostSample) {
        let minute = sample.at.as_millis().div_euclid(MINUTE_MS);
        if minute > self.minute {
            self.seal();
            self.minute = minute;
        } else if minute < self.minute {
            return;
        }
        self.sums.add(sample);
    }

    fn seal(&mut self) {
        let sums = std::mem::take(&mut self.sums);
        if sums.count == 0 {
            return;
        }
        if self.minutes.len() == KEPT {
            self.minutes.pop_front();
        }
        self.minutes.push_back(sums.mean(Time::from_millis(self.minute * MINUTE_MS)));
    }

    /// Means between two moments, oldest first. Devices are summed under the name `all`; containers, file
    /// systems and GPUs are not kept.
    pub(crate) fn between(&self, from: Time, to: Time) -> Vec<HostSample> {
        let unsealed =
            (self.sums.count > 0).then(|| self.sums.mean(Time::from_millis(self.minute * MINUTE_MS)));
        let wanted = |minute: &&Minute| minute.at >= from && minute.at <= to;
        self.minutes.iter().chain(&unsealed).filter(wanted).map(Minute::sample).collect()
    }
}

impl Sums {
    fn add(&mut self, sample: &HostSample) {
        self.count += 1;
        if let Some(cpu) = &sample.cpu {
            self.cpu_count += 1;
            for (sum, value) in
                self.cpu.iter_mut().zip([cpu.total, cpu.user, cpu.system, cpu.iowait, cpu.steal])
            {
                *sum += f64::from(value);
            }
        }
        self.load += sample.load.map_or(0.0, |load| f64::from(load[0]));
        if let Some(memory) = &sample.memory {
            self.memory_total = memory.total;
            self.memory_available += memory.available as f64;
            self.swap_used += memory.swap_used as f64;
        }
        self.rx += sample.networks.iter().map(|n| f64::from(n.rx_bytes)).sum::<f64>();
        self.tx += sample.networks.iter().map(|n| f64::from(n.tx_bytes)).sum::<f64>();
        self.read += sample.disks.iter().map(|d| f64::from(d.read_bytes)).sum::<f64>();
        self.written += sample.disks.iter().map(|d| f64::from(d.write_bytes)).sum::<f64>();
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "means of values that fitted")]
    fn mean(&self, at: Time) -> Minute {
        let n = f64::from(self.count);
        let cpu_n = f64::from(self.cpu_count);
        Minute {
            at,
            cpu: (self.cpu_count > 0).then(|| self.cpu.map(|sum| (sum / cpu_n) as f32)),
            load: (self.load / n) as f32,
            memory_total: self.memory_total,
            memory_available: (self.memory_available / n) as u64,
            swap_used: (self.swap_used / n) as u64,
            rx: (self.rx / n) as f32,
            tx: (self.tx / n) as f32,
            read: (self.read / n) as f32,
            written: (self.written / n) as f32,
        }
    }
}

impl Minute {
    fn sample(&self) -> HostSample {
        HostSample {
            at: self.at,
            interval_ms: 60_000,
            cpu: self.cpu.map(|[total, user, system, iowait, steal]| CpuSample {
                total,
                user,
                system,
                iowait,
                steal,
                cores: Vec::new(),
            }),
            load: Some([self.load; 3]),
            memory: (self.memory_total > 0).then_some(MemorySample {
                total: self.memory_total,
                available: self.memory_available,
                cached: 0,
                swap_total: 0,
                swap_used: self.swap_used,
            }),
            networks: vec![NetworkSample {
                name: "all".to_owned(),
                rx_bytes: self.rx,
                tx_bytes: self.tx,
                errors: 0.0,
                drops: 0.0,
            }],
            disks: vec![DiskSample {
                device: "all".to_owned(),
                read_bytes: self.read,
                write_bytes: self.written,
                reads: 0.0,
                writes: 0.0,
                busy: 0.0,
            }],
            ..HostSample::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(secs: i64, cpu: f32) -> HostSample {
        let cpu = CpuSample { total: cpu, user: cpu, system: 0.0, iowait: 0.0, steal: 0.0, cores: vec![] };
        HostSample { at: Time::from_secs(secs), cpu: Some(cpu), ..HostSample::default() }
    }

    #[test]
    fn a_minute_is_the_mean_of_its_samples_and_the_oldest_go() {
        let mut rollup = Rollup::default();
        for secs in (0..60 * 200).step_by(30) {
            rollup.add(&sample(secs, if secs % 60 == 0 { 10.0 } else { 30.0 }));
        }
        rollup.add(&sample(5, 99.0));
        let all = rollup.between(Time::EPOCH, Time::from_secs(60 * 300));
        assert_eq!(all.len(), KEPT + 1);
        assert!(all.iter().all(|minute| minute.cpu.as_ref().is_some_and(|cpu| cpu.total == 20.0)));
        assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
