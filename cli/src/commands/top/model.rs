//! What the screen shows. Values in, values out: no I/O and no clock.

use crate::args::TopSort;
use crate::commands::ps::state;
use crate::fresh::Age;
use crate::tone::Tone;
use omni_common::api::v1::{ContainerView, HostView, LiveSample, SampleSummary};
use omni_common::domain::{ContainerSample, GpuFacts, GpuSample};
use omni_common::ids::HostId;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// News for the screen.
#[derive(Debug)]
pub(super) enum Update {
    /// What there is now.
    Listing {
        /// All hosts shown.
        hosts: Vec<HostView>,
        /// Their running containers.
        containers: Vec<ContainerView>,
    },
    /// What some hosts do now.
    Samples(Vec<LiveSample>),
    /// The cluster cannot be asked; what is shown grows old.
    Trouble(String),
}

/// A part of the screen that can be scrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    /// Hosts.
    Hosts,
    /// Containers.
    #[default]
    Containers,
    /// GPUs.
    Gpus,
}

/// A host and the newest that is known of it.
#[derive(Clone, Debug)]
pub(super) struct HostRow {
    /// What there is.
    pub view: HostView,
    /// What it does.
    pub summary: Option<SampleSummary>,
    /// Its GPUs' readings.
    pub gpus: Vec<GpuSample>,
    /// When `summary` came to us.
    received: Instant,
}

impl HostRow {
    /// How old `summary` is.
    pub(super) fn age(&self, now: Instant) -> Age {
        let on_arrival = self.summary.as_ref().map_or(0, |summary| summary.age_ms);
        Age(Age::from_millis(on_arrival).0 + now.saturating_duration_since(self.received))
    }
}

/// A running container.
#[derive(Clone, Debug)]
pub(super) struct ContainerRow {
    /// Its host.
    pub host: HostId,
    /// Its host's name.
    pub host_name: String,
    /// Its name.
    pub name: String,
    /// Its state in a word or two.
    pub state: String,
    /// How that should strike the eye.
    pub tone: Tone,
    /// What it uses.
    pub sample: Option<ContainerSample>,
}

/// A GPU.
#[derive(Clone, Debug)]
pub(super) struct GpuRow<'a> {
    /// Its host.
    pub host: &'a HostRow,
    /// What it is.
    pub facts: &'a GpuFacts,
    /// What it does.
    pub sample: Option<&'a GpuSample>,
}

/// One printed frame for programs.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    hosts: Vec<&'a HostView>,
    containers: Vec<ContainerUse<'a>>,
}

#[derive(Serialize)]
struct ContainerUse<'a> {
    host: &'a str,
    name: &'a str,
    state: &'a str,
    sample: Option<&'a ContainerSample>,
}

/// Everything on the screen.
#[derive(Debug)]
pub(super) struct Model {
    /// Name of the cluster, as this user calls it.
    pub title: String,
    /// Order of the containers.
    pub sort: TopSort,
    /// Part that the arrow keys move.
    pub pane: Pane,
    /// Why the cluster cannot be asked.
    pub trouble: Option<String>,
    hosts: BTreeMap<HostId, HostRow>,
    containers: BTreeMap<(HostId, String), ContainerRow>,
    offsets: [usize; 3],
}

impl Model {
    pub(super) fn new(title: String, sort: TopSort) -> Self {
        Self {
            title,
            sort,
            pane: Pane::default(),
            trouble: None,
            hosts: BTreeMap::new(),
            containers: BTreeMap::new(),
            offsets: [0; 3],
        }
    }

    /// Takes in news that arrived at `now`.
    pub(super) fn apply(&mut self, update: Update, now: Instant) {
        match update {
            Update::Listing { hosts, containers } => self.list(hosts, containers, now),
            Update::Samples(samples) => samples.into_iter().for_each(|sample| self.sample(sample, now)),
            Update::Trouble(why) => {
                self.trouble = Some(why);
                return;
            }
        }
        self.trouble = None;
    }

    fn list(&mut self, hosts: Vec<HostView>, containers: Vec<ContainerView>, now: Instant) {
        let mut before = std::mem::take(&mut self.hosts);
        for view in hosts {
            let row = match before.remove(&view.id) {
                Some(old) if !is_newer(view.sample.as_ref(), old.summary.as_ref()) => HostRow { view, ..old },
                old => HostRow {
                    summary: view.sample.clone(),
                    gpus: old.map(|old| old.gpus).unwrap_or_default(),
                    received: now,
                    view,
                },
            };
            self.hosts.insert(row.view.id, row);
        }
        let mut before = std::mem::take(&mut self.containers);
        for view in containers {
            let key = (view.host, view.container.id.clone());
            // A sample that came live is newer than the one in the listing.
            let sample = before.remove(&key).and_then(|old| old.sample).or_else(|| view.sample.clone());
            self.containers.insert(key, container_row(&view, sample));
        }
    }

    fn sample(&mut self, live: LiveSample, now: Instant) {
        let Some(host) = self.hosts.get_mut(&live.host) else {
            return;
        };
        host.summary = Some(SampleSummary::of(&live.sample, live.age_ms));
        host.gpus = live.sample.gpus;
        host.received = now;
        for sample in live.sample.containers {
            if let Some(row) = self.containers.get_mut(&(live.host, sample.id.clone())) {
                row.sample = Some(sample);
            }
        }
    }

    /// Sets the readings of a host's GPUs.
    pub(super) fn set_gpus(&mut self, host: HostId, gpus: Vec<GpuSample>) {
        if let Some(row) = self.hosts.get_mut(&host) {
            row.gpus = gpus;
        }
    }

    /// Hosts by name.
    pub(super) fn hosts(&self) -> Vec<&HostRow> {
        let mut rows: Vec<&HostRow> = self.hosts.values().collect();
        rows.sort_by(|a, b| a.view.name.cmp(&b.view.name));
        rows
    }

    /// Running containers in the chosen order.
    pub(super) fn containers(&self) -> Vec<&ContainerRow> {
        let mut rows: Vec<&ContainerRow> = self.containers.values().collect();
        rows.sort_by(|a, b| (&a.name, &a.host_name).cmp(&(&b.name, &b.host_name)));
        let sample = |row: &&ContainerRow| row.sample.clone();
        // The sorts are stable: equals stay in the order of their names, and rows do not jump about.
        match self.sort {
            TopSort::Name => {}
            TopSort::Cpu => rows.sort_by_key(|row| Reverse(tenths(sample(row).and_then(|s| s.cpu_percent)))),
            TopSort::Mem => rows.sort_by_key(|row| Reverse(sample(row).and_then(|s| s.memory_used))),
            TopSort::Net => rows.sort_by_key(|row| Reverse(tenths(sample(row).and_then(|s| traffic(&s))))),
        }
        rows
    }

    /// The host of a container.
    pub(super) fn host(&self, id: HostId) -> Option<&HostRow> {
        self.hosts.get(&id)
    }

    /// GPUs by host and index.
    pub(super) fn gpus(&self) -> Vec<GpuRow<'_>> {
        self.hosts().into_iter().flat_map(gpus_of).collect()
    }

    /// Rows of a pane that are scrolled out above.
    pub(super) fn offset(&self, pane: Pane) -> usize {
        self.offsets[pane as usize].min(self.rows(pane).saturating_sub(1))
    }

    /// Scrolls the chosen pane.
    pub(super) fn scroll(&mut self, by: isize) {
        let last = self.rows(self.pane).saturating_sub(1);
        let moved = self.offset(self.pane).saturating_add_signed(by).min(last);
        self.offsets[self.pane as usize] = moved;
    }

    /// Chooses the next pane that has rows.
    pub(super) fn next_pane(&mut self) {
        self.pane = match self.pane {
            Pane::Containers => Pane::Hosts,
            Pane::Hosts if self.rows(Pane::Gpus) > 0 => Pane::Gpus,
            Pane::Hosts | Pane::Gpus => Pane::Containers,
        };
    }

    fn rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Hosts => self.hosts.len(),
            Pane::Containers => self.containers.len(),
            Pane::Gpus => self.gpus().len(),
        }
    }

    /// The same for programs.
    pub(super) fn document(&self) -> Document<'_> {
        let containers = self.containers().into_iter().map(|row| ContainerUse {
            host: &row.host_name,
            name: &row.name,
            state: &row.state,
            sample: row.sample.as_ref(),
        });
        Document {
            hosts: self.hosts().into_iter().map(|row| &row.view).collect(),
            containers: containers.collect(),
        }
    }
}

fn gpus_of(host: &HostRow) -> impl Iterator<Item = GpuRow<'_>> {
    let facts = host.view.facts.iter().flat_map(|facts| &facts.gpus);
    facts.map(move |facts| GpuRow {
        host,
        facts,
        sample: host.gpus.iter().find(|sample| sample.index == facts.index),
    })
}

fn is_newer(new: Option<&SampleSummary>, old: Option<&SampleSummary>) -> bool {
    new.map(|summary| summary.at) > old.map(|summary| summary.at)
}

fn container_row(view: &ContainerView, sample: Option<ContainerSample>) -> ContainerRow {
    let (state, tone) = state(&view.container);
    ContainerRow {
        host: view.host,
        host_name: view.host_name.clone(),
        name: view.container.name.clone(),
        state,
        tone,
        sample,
    }
}

/// Bytes in and out per second.
pub(super) fn traffic(sample: &ContainerSample) -> Option<f32> {
    match (sample.rx_bytes, sample.tx_bytes) {
        (None, None) => None,
        (rx, tx) => Some(rx.unwrap_or(0.0) + tx.unwrap_or(0.0)),
    }
}

/// A reading as something that can be ordered; absent ones come last.
fn tenths(value: Option<f32>) -> Option<u64> {
    value.map(|value| (value.max(0.0) * 10.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{container, host, live, usage};
    use std::time::Duration;

    fn model(now: Instant) -> Model {
        let mut model = Model::new("home".to_owned(), TopSort::Cpu);
        let containers = vec![
            usage(container("web-1", "idle", "aaaa"), 0.1, 900 << 20),
            usage(container("web-1", "busy", "bbbb"), 80.0, 10 << 20),
            container("web-2", "silent", "cccc"),
        ];
        let listing = Update::Listing { hosts: vec![host("web-2"), host("web-1")], containers };
        model.apply(listing, now);
        model
    }

    fn names(model: &Model) -> Vec<&str> {
        model.containers().iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn containers_are_ordered_as_chosen_and_the_silent_come_last() {
        let mut model = model(Instant::now());
        assert_eq!(names(&model), ["busy", "idle", "silent"]);
        model.sort = TopSort::Mem;
        assert_eq!(names(&model), ["idle", "busy", "silent"]);
        model.sort = TopSort::Name;
        assert_eq!(names(&model), ["busy", "idle", "silent"]);
    }

    #[test]
    fn live_samples_replace_what_was_listed_and_outlive_an_older_listing() {
        let now = Instant::now();
        let mut model = model(now);
        model.apply(Update::Samples(vec![live("web-1", "aaaa", 99.0)]), now);
        assert_eq!(names(&model)[0], "idle");
        let listing = Update::Listing {
            hosts: vec![host("web-1")],
            containers: vec![usage(container("web-1", "idle", "aaaa"), 0.1, 1)],
        };
        model.apply(listing, now);
        let cpu = model.containers()[0].sample.as_ref().and_then(|sample| sample.cpu_percent);
        assert_eq!(cpu, Some(99.0), "the listing's sample is older");
        assert_eq!(model.hosts().len(), 1, "what is no longer listed is gone");
    }

    #[test]
    fn readings_grow_old_when_nothing_comes() {
        let now = Instant::now();
        let model = model(now);
        let row = model.hosts()[0];
        assert!(!row.age(now).is_stale());
        assert!(row.age(now + Duration::from_secs(60)).is_stale());
    }

    #[test]
    fn trouble_is_shown_until_something_arrives() {
        let mut model = model(Instant::now());
        model.apply(Update::Trouble("no controller".to_owned()), Instant::now());
        assert!(model.trouble.is_some());
        model.apply(Update::Samples(vec![]), Instant::now());
        assert!(model.trouble.is_none());
    }

    #[test]
    fn scrolling_stops_at_both_ends() {
        let mut model = model(Instant::now());
        model.scroll(-5);
        assert_eq!(model.offset(Pane::Containers), 0);
        model.scroll(50);
        assert_eq!(model.offset(Pane::Containers), 2);
        model.next_pane();
        assert_eq!(model.pane, Pane::Hosts);
        model.next_pane();
        assert_eq!(model.pane, Pane::Containers, "there is no GPU");
    }
}
