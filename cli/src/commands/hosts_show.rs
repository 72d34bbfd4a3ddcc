//! `omni hosts show`: everything about one host.

use super::hosts::{labels, status_tone, status_word};
use crate::exit::ExitStatus;
use crate::fresh::Age;
use crate::names;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::harmless;
use crate::tone::Tone;
use crate::units::{ABSENT, ago, bytes, percent, rate, share, span};
use anyhow::Result;
use omni_common::api::v1::{HostView, MetricsQuery, MetricsSource};
use omni_common::clock::Time;
use omni_common::domain::{FilesystemSample, GpuFacts, GpuSample, HostFacts, HostSample};
use serde::Serialize;

/// Width of the left column.
const KEYS: usize = 13;

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    host: HostView,
    /// The newest sample in full.
    latest: Option<HostSample>,
    /// How old it is, milliseconds.
    latest_age_ms: Option<u64>,
}

/// Shows one host.
pub(crate) async fn run(host: &str, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let host = names::host(&session.client, host).await?;
    let newest = MetricsQuery {
        max: Some(1),
        // What a controller already has: a host that does not answer is not waited for.
        source: Some(MetricsSource::Gateway),
        ..MetricsQuery::default()
    };
    let metrics = match session.client.host_metrics(&host.id.to_string(), &newest).await {
        Ok(metrics) => Some(metrics),
        Err(error) => {
            out.warn(&format!("no measurements: {error}"));
            None
        }
    };
    let (latest, latest_age_ms) =
        metrics.map_or((None, None), |metrics| (metrics.latest, metrics.latest_age_ms));
    let shown = Shown { host, latest, latest_age_ms };
    out.text(&shown, |look| draw(&shown, session.now, look))?;
    Ok(ExitStatus::Done)
}

/// Lines of `key  value`; a repeated key is left out.
#[derive(Default)]
struct Lines {
    text: String,
    last: &'static str,
}

impl Lines {
    fn add(&mut self, key: &'static str, value: impl AsRef<str>) {
        let shown = if key == self.last { "" } else { key };
        self.text += &format!("{shown:<KEYS$}{}\n", value.as_ref());
        self.last = key;
    }

    fn add_some(&mut self, key: &'static str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

fn draw(shown: &Shown, now: Time, look: Look) -> String {
    let mut lines = Lines::default();
    identity(&mut lines, &shown.host, now, look);
    if let Some(facts) = &shown.host.facts {
        machine(&mut lines, facts, now);
    }
    let age = Age::from_millis(shown.latest_age_ms.unwrap_or_default());
    if let Some(sample) = &shown.latest {
        lines.text.push('\n');
        load(&mut lines, sample, age, look);
        sample.filesystems.iter().for_each(|fs| lines.add("disk", filesystem(fs, look)));
    }
    if let Some(facts) = &shown.host.facts {
        let samples = shown.latest.as_ref().map_or(&[][..], |sample| &sample.gpus);
        facts.gpus.iter().for_each(|gpu| lines.add("gpu", gpu_line(gpu, samples)));
        for absence in &facts.absent {
            let text = format!("{}: {}", harmless(&absence.source), harmless(&absence.reason));
            lines.add("absent", Tone::Dim.paint(&text, look.colour));
        }
    }
    lines.text
}

fn identity(lines: &mut Lines, host: &HostView, now: Time, look: Look) {
    let status = status_tone(host.status).paint(status_word(host.status), look.colour);
    let cordoned = if host.cordoned { Tone::Warn.paint(", cordoned", look.colour) } else { String::new() };
    lines.add("host", Tone::Strong.paint(&harmless(&host.name), look.colour));
    lines.add("status", format!("{status} since {}{cordoned}", ago(host.status_since, now)));
    lines.add("seen", host.last_seen.map_or_else(|| "never".to_owned(), |at| ago(at, now)));
    lines.add("id", host.id.to_string());
    lines.add("labels", harmless(&labels(&host.labels)));
    let place: Vec<&str> = [&host.region, &host.zone].into_iter().flatten().map(String::as_str).collect();
    lines.add_some("place", (!place.is_empty()).then(|| harmless(&place.join(" / "))));
    lines.add("joined", ago(host.joined, now));
    lines.add_some("gateway", host.gateway.map(|gateway| format!("controller {gateway}")));
    lines.add_some(
        "containers",
        host.containers.map(|counts| {
            let bad = counts.unhealthy + counts.restarting;
            let trouble = Tone::Bad.paint(&format!(", {bad} unhealthy or restarting"), look.colour);
            format!("{} of {} running{}", counts.running, counts.total, if bad > 0 { &trouble } else { "" })
        }),
    );
}

fn machine(lines: &mut Lines, facts: &HostFacts, now: Time) {
    lines.text.push('\n');
    lines.add("system", harmless(&format!("{}, kernel {}, {}", facts.os, facts.kernel, facts.arch)));
    let cores = facts.physical_cores.map(|cores| format!(" ({cores} cores)")).unwrap_or_default();
    let model = facts.cpu_model.as_deref().unwrap_or("CPU");
    lines.add("cpu", harmless(&format!("{model}, {} threads{cores}", facts.cpus)));
    lines.add("memory", format!("{}, swap {}", bytes(facts.memory_total), bytes(facts.swap_total)));
    lines.add_some("booted", facts.booted.map(|at| ago(at, now)));
    let docker = facts.docker.as_ref().map_or_else(
        || "none answers".to_owned(),
        |docker| {
            format!(
                "{} (API {}, {}, cgroup v{}, {})",
                docker.version,
                docker.api_version,
                docker.storage_driver,
                docker.cgroup_version,
                docker.root_dir
            )
        },
    );
    lines.add("docker", harmless(&docker));
    lines.add("addresses", harmless(&facts.addresses.join(" ")));
    lines.add("agent", harmless(&facts.agent_version));
}

fn load(lines: &mut Lines, sample: &HostSample, age: Age, look: Look) {
    let measured = if age.is_stale() {
        Tone::Warn.paint(&format!("{} ago: what follows may no longer be so", span(age.0)), look.colour)
    } else {
        format!("{} ago", span(age.0))
    };
    lines.add("measured", measured);
    if let Some(cpu) = &sample.cpu {
        let load = sample.load.map(|[one, five, fifteen]| format!(", load {one:.2} {five:.2} {fifteen:.2}"));
        let busy = Tone::of_load(cpu.total).paint(&percent(cpu.total), look.colour);
        lines.add("cpu", format!("{busy} busy{}", load.unwrap_or_default()));
    }
    if let Some(memory) = &sample.memory {
        let used = share(memory.used(), memory.total).unwrap_or_default();
        let text = Tone::of_load(used).paint(&percent(used), look.colour);
        lines.add(
            "memory",
            format!(
                "{text} used: {} of {}, swap {}",
                bytes(memory.used()),
                bytes(memory.total),
                bytes(memory.swap_used)
            ),
        );
    }
    if let Some(pressure) = &sample.pressure {
        let text = format!(
            "cpu {:.1}%, memory {:.1}%, io {:.1}% of the time someone waits",
            pressure.cpu_some, pressure.memory_some, pressure.io_some
        );
        lines.add("pressure", text);
    }
    for network in sample.networks.iter().filter(|network| network.rx_bytes + network.tx_bytes > 0.0) {
        let text = format!("{}: {} in, {} out", network.name, rate(network.rx_bytes), rate(network.tx_bytes));
        lines.add("network", harmless(&text));
    }
}

fn filesystem(fs: &FilesystemSample, look: Look) -> String {
    let used = share(fs.total.saturating_sub(fs.available), fs.total);
    let text = used.map_or_else(|| ABSENT.to_owned(), percent);
    let text = Tone::of_load(used.unwrap_or_default()).paint(&text, look.colour);
    format!("{text} of {} at {} ({})", bytes(fs.total), harmless(&fs.mount), harmless(&fs.kind))
}

fn gpu_line(gpu: &GpuFacts, samples: &[GpuSample]) -> String {
    let mut text = format!("{}: {}", gpu.index, harmless(&gpu.model));
    let Some(sample) = samples.iter().find(|sample| sample.index == gpu.index) else {
        return text;
    };
    let parts = [
        sample.utilisation.map(|value| format!("{} busy", percent(value))),
        sample
            .memory_used
            .zip(sample.memory_total)
            .map(|(used, total)| format!("{}/{}", bytes(used), bytes(total))),
        sample.temperature.map(|value| format!("{value:.0} °C")),
        sample.power.map(|value| format!("{value:.0} W")),
    ];
    for part in parts.into_iter().flatten() {
        text += &format!(", {part}");
    }
    text
}
