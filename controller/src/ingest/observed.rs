//! What hosts report: the newest of everything, of all hosts, on every controller. Memory only; a restarted
//! controller learns it anew from its peers and agents.

use super::rollup::Rollup;
use crate::app::ports::{HostObserved, Observe};
use omni_common::clock::Time;
use omni_common::domain::{Container, HostImage, HostSample, MAX_IMAGE_NAME};
use omni_common::ids::{ControllerId, HostId, SessionId};
use omni_common::wire::{
    MAX_IMAGES_PER_FRAME, MAX_IMAGES_PER_HOST, MAX_RUNS_PER_HOST, MAX_TAGS_PER_IMAGE, TelemetryFrame,
};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// Containers kept of one host; beyond that new ones are left out.
const MAX_CONTAINERS: usize = 10_000;

#[derive(Default)]
struct Entry {
    session: Option<SessionId>,
    view: Arc<HostObserved>,
    rollup: Rollup,
    /// A full listing on its way in; shown once it is complete.
    listing: Option<BTreeMap<String, Container>>,
    /// The same for images.
    images: Option<Vec<HostImage>>,
}

/// How a container changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ContainerChange {
    /// It is there, as it was before (when it was known) and as it is now.
    Changed(Option<Box<Container>>, Box<Container>),
    /// It is gone.
    Removed(Box<Container>),
}

/// What all hosts report.
pub(crate) struct ObservedHosts {
    hosts: RwLock<BTreeMap<HostId, Entry>>,
    samples: watch::Sender<u64>,
}

impl Default for ObservedHosts {
    fn default() -> Self {
        Self { hosts: RwLock::default(), samples: watch::channel(0).0 }
    }
}

impl ObservedHosts {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<HostId, Entry>> {
        self.hosts.read().expect("no holder of this lock panics")
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<HostId, Entry>> {
        self.hosts.write().expect("no holder of this lock panics")
    }

    /// A session of `host` lives at `gateway`.
    pub(crate) fn session_opened(&self, host: HostId, gateway: ControllerId, session: SessionId, now: Time) {
        let mut hosts = self.write();
        let entry = hosts.entry(host).or_default();
        entry.session = Some(session);
        let view = Arc::make_mut(&mut entry.view);
        view.gateway = Some(gateway);
        view.last_seen = Some(now);
    }

    /// That session ended. A newer one, here or elsewhere, is not touched.
    pub(crate) fn session_closed(&self, host: HostId, session: SessionId) {
        let mut hosts = self.write();
        let Some(entry) = hosts.get_mut(&host) else { return };
        if entry.session == Some(session) {
            entry.session = None;
            Arc::make_mut(&mut entry.view).gateway = None;
        }
    }

    /// Nothing comes from `gateway` any more: where its hosts are is not known.
    pub(crate) fn gateway_lost(&self, gateway: ControllerId) {
        for entry in self.write().values_mut().filter(|entry| entry.view.gateway == Some(gateway)) {
            entry.session = None;
            Arc::make_mut(&mut entry.view).gateway = None;
        }
    }

    /// A heartbeat of `host` came.
    pub(crate) fn heard(&self, host: HostId, now: Time) {
        if let Some(entry) = self.write().get_mut(&host) {
            Arc::make_mut(&mut entry.view).last_seen = Some(now);
        }
    }

    /// Forgets hosts that are no more.
    pub(crate) fn retain(&self, keep: impl Fn(HostId) -> bool) {
        self.write().retain(|host, _| keep(*host));
    }

    /// The session that is known of a host.
    pub(crate) fn session(&self, host: HostId) -> Option<(ControllerId, SessionId)> {
        let hosts = self.read();
        let entry = hosts.get(&host)?;
        Some((entry.view.gateway?, entry.session?))
    }

    /// Takes a frame in and tells what changed about containers.
    pub(crate) fn take(&self, host: HostId, frame: &TelemetryFrame, now: Time) -> Vec<ContainerChange> {
        let mut hosts = self.write();
        let entry = hosts.entry(host).or_default();
        Arc::make_mut(&mut entry.view).last_seen = Some(now);
        match frame {
            TelemetryFrame::Facts(_) => Vec::new(),
            TelemetryFrame::Sample(sample) => {
                entry.rollup.add(sample);
                let view = Arc::make_mut(&mut entry.view);
                view.sample = Some((Arc::new(sample.clone()), Instant::now()));
                // Containers are reported when they change; with each sample the agent says that they have not.
                view.containers_at = view.containers_at.map(|_| Instant::now());
                drop(hosts);
                self.samples.send_modify(|count| *count = count.wrapping_add(1));
                Vec::new()
            }
            TelemetryFrame::Containers { reset, upsert, removed, more } => {
                take_containers(entry, *reset, upsert, removed, *more)
            }
            TelemetryFrame::Images { reset, images, more } => {
                take_images(entry, *reset, images, *more);
                Vec::new()
            }
            TelemetryFrame::Runs(runs) => {
                let runs = runs.iter().take(MAX_RUNS_PER_HOST).cloned().collect();
                Arc::make_mut(&mut entry.view).runs = Some((Arc::new(runs), Instant::now()));
                Vec::new()
            }
        }
    }

    /// The frames from which another controller learns what is known of `host`.
    pub(crate) fn frames(&self, host: HostId) -> Vec<TelemetryFrame> {
        let Some(view) = self.read().get(&host).map(|entry| Arc::clone(&entry.view)) else {
            return Vec::new();
        };
        let mut frames = Vec::new();
        if let Some(containers) = &view.containers {
            let all: Vec<_> = containers.values().cloned().collect();
            let mut chunks = all.chunks(omni_common::wire::MAX_CONTAINERS_PER_FRAME).peekable();
            let mut reset = true;
            loop {
                let upsert = chunks.next().map(<[Container]>::to_vec).unwrap_or_default();
                let more = chunks.peek().is_some();
                frames.push(TelemetryFrame::Containers { reset, upsert, removed: Vec::new(), more });
                reset = false;
                if !more {
                    break;
                }
            }
        }
        if let Some(images) = &view.images {
            frames.extend(images_frames(images));
        }
        if let Some((sample, _)) = &view.sample {
            frames.push(TelemetryFrame::Sample((**sample).clone()));
        }
        frames
    }
}

/// Images that came with no beginning are left out: their beginning was lost, and the agent sends all of them again
/// when they change.
fn take_images(entry: &mut Entry, reset: bool, images: &[HostImage], more: bool) {
    if reset {
        entry.images = Some(Vec::new());
    }
    let Some(listing) = &mut entry.images else { return };
    let room = MAX_IMAGES_PER_HOST.saturating_sub(listing.len());
    listing.extend(images.iter().filter(|image| is_sane(image)).take(room).cloned());
    if !more {
        Arc::make_mut(&mut entry.view).images = entry.images.take().map(Arc::new);
    }
}

/// Whether an image keeps to what agents report of one; what does not is left out.
fn is_sane(image: &HostImage) -> bool {
    image.tags.len() <= MAX_TAGS_PER_IMAGE && image.tags.iter().all(|tag| tag.len() <= MAX_IMAGE_NAME)
}

fn images_frames(images: &[HostImage]) -> Vec<TelemetryFrame> {
    let frames = images.len().div_ceil(MAX_IMAGES_PER_FRAME).max(1);
    let frame = |number: usize| TelemetryFrame::Images {
        reset: number == 0,
        images: images
            .iter()
            .skip(number * MAX_IMAGES_PER_FRAME)
            .take(MAX_IMAGES_PER_FRAME)
            .cloned()
            .collect(),
        more: number + 1 < frames,
    };
    (0..frames).map(frame).collect()
}

fn take_containers(
    entry: &mut Entry,
    reset: bool,
    upsert: &[Container],
    removed: &[String],
    more: bool,
) -> Vec<ContainerChange> {
    if reset {
        entry.listing = Some(BTreeMap::new());
    }
    if let Some(listing) = &mut entry.listing {
        listing.extend(upsert.iter().take(MAX_CONTAINERS).map(|c| (c.id.clone(), c.clone())));
        if more {
            return Vec::new();
        }
        let listing = entry.listing.take().expect("just matched");
        return replace(entry, listing);
    }
    let view = Arc::make_mut(&mut entry.view);
    view.containers_at = Some(Instant::now());
    let known = Arc::make_mut(view.containers.get_or_insert_default());
    let mut changes = Vec::new();
    for container in upsert {
        if known.len() >= MAX_CONTAINERS && !known.contains_key(&container.id) {
            continue;
        }
        let before = known.insert(container.id.clone(), container.clone());
        changes.push(ContainerChange::Changed(before.map(Box::new), Box::new(container.clone())));
    }
    for id in removed {
        changes.extend(known.remove(id).map(|gone| ContainerChange::Removed(Box::new(gone))));
    }
    changes
}

/// A full listing takes the place of what was known. What was never known before is not news.
fn replace(entry: &mut Entry, listing: BTreeMap<String, Container>) -> Vec<ContainerChange> {
    let view = Arc::make_mut(&mut entry.view);
    view.containers_at = Some(Instant::now());
    let mut changes = Vec::new();
    if let Some(known) = &view.containers {
        for (id, container) in &listing {
            if known.get(id) != Some(container) {
                let before = known.get(id).cloned().map(Box::new);
                changes.push(ContainerChange::Changed(before, Box::new(container.clone())));
            }
        }
        let gone = known.iter().filter(|(id, _)| !listing.contains_key(*id));
        changes.extend(gone.map(|(_, container)| ContainerChange::Removed(Box::new(container.clone()))));
    }
    view.containers = Some(Arc::new(listing));
    changes
}

impl ObservedHosts {
    /// What is known of all hosts.
    pub(crate) fn all(&self) -> Vec<(HostId, Arc<HostObserved>)> {
        self.read().iter().map(|(host, entry)| (*host, Arc::clone(&entry.view))).collect()
    }
}

impl Observe for ObservedHosts {
    fn host(&self, host: HostId) -> Option<Arc<HostObserved>> {
        self.read().get(&host).map(|entry| Arc::clone(&entry.view))
    }

    fn hosts(&self) -> Vec<(HostId, Arc<HostObserved>)> {
        self.all()
    }

    fn rollups(&self, host: HostId, from: Time, to: Time) -> Vec<HostSample> {
        self.read().get(&host).map(|entry| entry.rollup.between(from, to)).unwrap_or_default()
    }

    fn samples(&self) -> watch::Receiver<u64> {
        self.samples.subscribe()
    }
}
