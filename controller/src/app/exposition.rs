//! Hosts and containers as Prometheus metrics, beside the process's own.
//!
//! A controller shows the hosts whose sessions it holds, so that scraping all controllers gives each host
//! once. What the controllers agree on (`omni_hosts`, `omni_host_up`) every one of them shows: aggregate it
//! with `max by`.

use super::App;
use super::cluster::host_counts;
use super::ports::HostObserved;
use super::protection::protection;
use crate::backup::AppStanding;
use crate::state::{AppKey, Goal, Host, HostStatus, State};
use omni_common::api::v1::Protection;
use omni_common::clock::Time;
use omni_common::domain::{Container, ContainerSample, ContainerState, Health, HostSample};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric this file writes, with its help text. The one list of names: dashboards and alerts are
/// checked against it.
pub const NAMES: &[(&str, &str)] = &[
    ("omni_backup_copies", "Copies of an app's data, the data itself among them."),
    ("omni_backup_last_check_timestamp_seconds", "When a repository last passed a check."),
    (
        "omni_backup_last_success_timestamp_seconds",
        "Moment that the newest whole snapshot in a repository is of.",
    ),
    ("omni_backup_max_age_seconds", "Oldest that the newest proven snapshot may be."),
    ("omni_backup_protected", "1 while the newest proven snapshot is young enough."),
    ("omni_backup_repository_ok", "1 when the last check of a repository passed; absent before the first."),
    ("omni_backup_rpo_seconds", "Age of the newest snapshot that is whole, copied and checked."),
    ("omni_backup_rto_seconds", "How long the last drill that passed took."),
    ("omni_container_cpu_percent", "CPU used, percent of one core."),
    ("omni_container_memory_bytes", "Memory in use without reclaimable page cache."),
    ("omni_container_restarts", "Restarts by Docker's restart policy."),
    ("omni_container_running", "1 while the container runs."),
    ("omni_container_unhealthy", "1 while its health check fails."),
    ("omni_drill_last_success_timestamp_seconds", "When the last drill that passed was over."),
    ("omni_gpu_memory_total_bytes", "GPU memory."),
    ("omni_gpu_memory_used_bytes", "GPU memory in use."),
    ("omni_gpu_power_watts", "Power drawn."),
    ("omni_gpu_temperature_celsius", "GPU temperature."),
    ("omni_gpu_utilisation_percent", "Time the GPU was busy."),
    ("omni_host_cpu_percent", "CPU used, percent of all cores together."),
    ("omni_host_filesystem_available_bytes", "Space left for ordinary users."),
    ("omni_host_filesystem_size_bytes", "Size of a file system."),
    ("omni_host_load1", "Load average over one minute."),
    ("omni_host_memory_available_bytes", "Memory that programs could still get."),
    ("omni_host_memory_total_bytes", "Memory installed."),
    ("omni_host_network_receive_bytes_per_second", "Received on an interface."),
    ("omni_host_network_transmit_bytes_per_second", "Sent on an interface."),
    ("omni_host_sample_age_seconds", "How long ago the newest sample came."),
    ("omni_host_temperature_celsius", "A temperature sensor."),
    ("omni_host_up", "1 while the host's heartbeats arrive."),
    ("omni_hosts", "Hosts by status."),
];

impl App {
    /// All metrics in the Prometheus text format.
    pub fn exposition(&self) -> String {
        let state = self.store.current();
        let mut page = Page::default();
        cluster(&mut page, &state);
        self.backup_lines(&mut page, &state);
        for (id, observed) in self.observed.hosts() {
            if let Some(host) = state.hosts.get(&id).filter(|_| observed.gateway == Some(self.controller)) {
                host_lines(&mut page, host, &observed);
            }
        }
        let mut text = (self.metrics)();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        page.write(&mut text);
        text
    }
}

impl App {
    /// How backups stand, a line for each component with data: those of the platform by their label, others by their
    /// app's name. Apps that need none are left out.
    fn backup_lines(&self, page: &mut Page, state: &State) {
        for (app, own) in self.standings(state).into_iter().filter(|(app, _)| app.goal == Goal::Run) {
            let protection = protection(&own);
            if protection == Protection::NotNeeded {
                continue;
            }
            let unnamed = std::collections::BTreeSet::from([app.key.name.clone()]);
            for component in if own.components.is_empty() { &unnamed } else { &own.components } {
                app_lines(page, &app.key, component, &own, protection);
            }
        }
        for repository in state.repositories.values() {
            let labels = [("repository", repository.name.as_str())];
            page.put(
                "omni_backup_repository_ok",
                &labels,
                repository.checked.and_then(|one| flag(one.passed)),
            );
            let passed = repository.checked.filter(|checked| checked.passed);
            page.put("omni_backup_last_check_timestamp_seconds", &labels, passed.map(|one| seconds(one.at)));
        }
    }
}

fn app_lines(page: &mut Page, app: &AppKey, component: &str, own: &AppStanding, protection: Protection) {
    let labels =
        [("app", app.name.as_str()), ("component", component), ("environment", app.environment.as_str())];
    let young = !matches!(protection, Protection::Unprotected | Protection::Overdue);
    page.put("omni_backup_protected", &labels, flag(young));
    page.put("omni_backup_rpo_seconds", &labels, own.age.map(|age| age.as_secs_f64()));
    page.put("omni_backup_max_age_seconds", &labels, Some(own.policy.max_age.as_secs_f64()));
    page.put("omni_backup_rto_seconds", &labels, own.restore.map(|took| took.as_secs_f64()));
    page.put("omni_backup_copies", &labels, Some(f64::from(own.three_two_one.copies)));
    page.put("omni_drill_last_success_timestamp_seconds", &labels, own.drilled.map(seconds));
    for copy in &own.copies {
        let [app, component, environment] = labels;
        let labels = [app, component, environment, ("repository", copy.repository.as_str())];
        page.put("omni_backup_last_success_timestamp_seconds", &labels, copy.newest.map(seconds));
    }
}

fn seconds(at: Time) -> f64 {
    at.as_millis() as f64 / 1000.0
}

/// Lines under their metric's name: the text format wants all lines of a metric together.
#[derive(Default)]
struct Page(BTreeMap<&'static str, String>);

impl Page {
    fn put(&mut self, name: &'static str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        debug_assert!(NAMES.iter().any(|(known, _)| *known == name), "{name} is not in NAMES");
        let lines = self.0.entry(name).or_default();
        lines.push_str(name);
        for (position, (key, value)) in labels.iter().enumerate() {
            lines.push(if position == 0 { '{' } else { ',' });
            write!(lines, "{key}=\"{}\"", escape(value)).expect("text has room");
        }
        if !labels.is_empty() {
            lines.push('}');
        }
        writeln!(lines, " {value}").expect("text has room");
    }

    fn write(&self, text: &mut String) {
        for (name, help) in NAMES {
            if let Some(lines) = self.0.get(name) {
                write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}").expect("text has room");
            }
        }
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn cluster(page: &mut Page, state: &State) {
    let counts = host_counts(state);
    let by_status =
        [("up", counts.up), ("suspect", counts.suspect), ("down", counts.down), ("pending", counts.pending)];
    for (status, count) in by_status {
        page.put("omni_hosts", &[("status", status)], Some(f64::from(count)));
    }
    for host in state.hosts.values() {
        page.put("omni_host_up", &[("host", &host.name)], flag(host.status == HostStatus::Up));
    }
}

fn host_lines(page: &mut Page, host: &Host, observed: &HostObserved) {
    if let Some((sample, at)) = &observed.sample {
        let labels = [("host", host.name.as_str())];
        page.put("omni_host_sample_age_seconds", &labels, Some(at.elapsed().as_secs_f64()));
        sample_lines(page, &host.name, sample);
        gpu_lines(page, &host.name, sample);
    }
    let empty = BTreeMap::new();
    for container in observed.containers.as_deref().unwrap_or(&empty).values() {
        let used = observed.sample.as_ref().and_then(|(sample, _)| used(sample, &container.id));
        container_lines(page, &host.name, container, used);
    }
}

fn used<'a>(sample: &'a HostSample, container: &str) -> Option<&'a ContainerSample> {
    sample.containers.iter().find(|one| one.id == container)
}

fn sample_lines(page: &mut Page, host: &str, sample: &HostSample) {
    let labels = [("host", host)];
    page.put("omni_host_cpu_percent", &labels, sample.cpu.as_ref().map(|cpu| cpu.total.into()));
    page.put("omni_host_load1", &labels, sample.load.map(|load| load[0].into()));
    let memory = sample.memory.as_ref();
    page.put("omni_host_memory_total_bytes", &labels, memory.map(|memory| memory.total as f64));
    page.put("omni_host_memory_available_bytes", &labels, memory.map(|memory| memory.available as f64));
    for fs in &sample.filesystems {
        let labels = [("host", host), ("mount", &fs.mount), ("device", &fs.device)];
        page.put("omni_host_filesystem_size_bytes", &labels, Some(fs.total as f64));
        page.put("omni_host_filesystem_available_bytes", &labels, Some(fs.available as f64));
    }
    for network in &sample.networks {
        let labels = [("host", host), ("interface", &network.name)];
        page.put("omni_host_network_receive_bytes_per_second", &labels, Some(network.rx_bytes.into()));
        page.put("omni_host_network_transmit_bytes_per_second", &labels, Some(network.tx_bytes.into()));
    }
    for sensor in &sample.temperatures {
        let labels = [("host", host), ("sensor", &sensor.sensor)];
        page.put("omni_host_temperature_celsius", &labels, Some(sensor.celsius.into()));
    }
}

fn gpu_lines(page: &mut Page, host: &str, sample: &HostSample) {
    for gpu in &sample.gpus {
        let index = gpu.index.to_string();
        let labels = [("host", host), ("gpu", &index)];
        page.put("omni_gpu_utilisation_percent", &labels, gpu.utilisation.map(f64::from));
        page.put("omni_gpu_memory_used_bytes", &labels, gpu.memory_used.map(|bytes| bytes as f64));
        page.put("omni_gpu_memory_total_bytes", &labels, gpu.memory_total.map(|bytes| bytes as f64));
        page.put("omni_gpu_temperature_celsius", &labels, gpu.temperature.map(f64::from));
        page.put("omni_gpu_power_watts", &labels, gpu.power.map(f64::from));
    }
}

fn container_lines(page: &mut Page, host: &str, container: &Container, used: Option<&ContainerSample>) {
    let component = container.platform_role().map(|role| role.component).unwrap_or_default();
    let labels = [("host", host), ("container", container.name.as_str()), ("component", component.as_str())];
    let runs = container.state == ContainerState::Running;
    page.put("omni_container_running", &labels, flag(runs));
    page.put("omni_container_unhealthy", &labels, flag(runs && container.health == Health::Unhealthy));
    page.put("omni_container_restarts", &labels, Some(container.restarts.into()));
    page.put("omni_container_cpu_percent", &labels, used.and_then(|used| used.cpu_percent).map(f64::from));
    let memory = used.and_then(|used| used.memory_used);
    page.put("omni_container_memory_bytes", &labels, memory.map(|bytes| bytes as f64));
}

fn flag(set: bool) -> Option<f64> {
    Some(if set { 1.0 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_metric_stand_together_and_labels_are_escaped() {
        let mut page = Page::default();
        page.put("omni_host_up", &[("host", "a\"b\\c\nd")], Some(1.0));
        page.put("omni_hosts", &[("status", "up")], Some(2.0));
        page.put("omni_host_up", &[("host", "e")], Some(0.5));
        page.put("omni_host_load1", &[("host", "e")], None);
        let mut text = String::new();
        page.write(&mut text);
        let expected = "# HELP omni_host_up 1 while the host's heartbeats arrive.\n# TYPE omni_host_up gauge\n\
                        omni_host_up{host=\"a\\\"b\\\\c\\nd\"} 1\nomni_host_up{host=\"e\"} 0.5\n\
                        # HELP omni_hosts Hosts by status.\n# TYPE omni_hosts gauge\nomni_hosts{status=\"up\"} 2\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_are_listed_once_in_order() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
