//! The depot: what is desired and the contents it needs, as far as they are held, kept over restarts.

use super::contents_of;
use crate::ledger::{AdoptedLabels, Ledger, LedgerError};
use bytes::Bytes;
use omni_common::domain::AllocationState;
use omni_common::domain::app::{AppSpec, ContentDigest};
use omni_common::wire::{Desired, DesiredAllocation, MAX_ALLOCATIONS_PER_HOST};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A desired state that could not be written is written again after this time.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

/// An allocation that the host is to have, with what it is made from as far as that is known.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The allocation.
    pub allocation: DesiredAllocation,
    /// Its specification, or why it is not there, as a sentence.
    pub spec: Result<Arc<AppSpec>, Missing>,
    /// A sentence about contents that are not there; absent when all are.
    pub lacks: Option<String>,
}

/// Why there is no specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It has not arrived yet.
    Awaited(String),
    /// It has, and is of no use.
    Useless(String),
}

/// What is desired, and its contents.
pub struct Depot {
    ledger: Option<Arc<Ledger>>,
    inner: Mutex<Inner>,
    told: watch::Sender<Option<Desired>>,
    wanted: watch::Sender<BTreeSet<ContentDigest>>,
    changes: watch::Sender<u64>,
    /// Held while what was taken over is being written.
    adopting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inner {
    desired: Desired,
    held: BTreeSet<ContentDigest>,
    /// The bytes themselves, where there is no ledger to keep them.
    bytes: BTreeMap<ContentDigest, Bytes>,
    /// The specifications of what is desired, read.
    specs: BTreeMap<ContentDigest, Result<Arc<AppSpec>, String>>,
    /// Why contents could not be had when last tried.
    troubles: BTreeMap<ContentDigest, String>,
    /// Labels of containers that were taken over, by container id.
    adopted: AdoptedLabels,
}

impl Wish {
    /// Why nothing can be begun with it, as a state and a sentence; absent when all that it needs is here.
    pub fn reason(&self) -> Option<(AllocationState, Option<String>)> {
        match (&self.spec, &self.lacks) {
            (Err(Missing::Useless(reason)), _) => Some((AllocationState::Failed, Some(reason.clone()))),
            (Err(Missing::Awaited(reason)), _) => Some((AllocationState::Preparing, Some(reason.clone()))),
            (Ok(_), Some(lacks)) => Some((AllocationState::Preparing, Some(lacks.clone()))),
            (Ok(_), None) => None,
        }
    }
}

impl Depot {
    /// Nothing is desired, and nothing will be kept.
    pub fn in_memory() -> Self {
        Self::with(None, Inner::default())
    }

    /// What was desired when the agent ran last.
    ///
    /// # Errors
    /// When the ledger cannot be read or is torn. Content that is torn is no error here: it shows when it is needed.
    pub fn open(ledger: Arc<Ledger>) -> Result<Self, LedgerError> {
        let desired = ledger.desired()?.unwrap_or_default();
        let held = ledger.contents()?;
        let adopted = ledger.adopted()?.unwrap_or_default();
        let depot = Self::with(Some(ledger), Inner { desired, held, adopted, ..Inner::default() });
        for digest in depot.missing_specs() {
            match depot.read(&digest) {
                Ok(Some(bytes)) => depot.learn(&digest, &bytes),
                Ok(None) => {}
                Err(reason) => depot.failed(&digest, reason),
            }
        }
        Ok(depot)
    }

    fn with(ledger: Option<Arc<Ledger>>, inner: Inner) -> Self {
        let depot = Self {
            ledger,
            inner: Mutex::new(inner),
            told: watch::Sender::new(None),
            wanted: watch::Sender::default(),
            changes: watch::Sender::default(),
            adopting: tokio::sync::Mutex::default(),
        };
        depot.refresh();
        depot
    }

    /// Labels of containers that were taken over, by container id.
    pub fn adopted(&self) -> AdoptedLabels {
        self.lock().adopted.clone()
    }

    /// A container is taken over; on disk before this returns. Those that are not `present` any more are forgotten.
    ///
    /// # Errors
    /// A sentence when it could not be written; then it is not taken over.
    pub async fn adopt(
        &self,
        id: String,
        labels: BTreeMap<String, String>,
        present: &BTreeSet<String>,
    ) -> Result<(), String> {
        let _one_at_a_time = self.adopting.lock().await;
        let mut adopted = self.adopted();
        adopted.retain(|known, _| present.contains(known));
        adopted.insert(id, labels);
        if let Some(ledger) = self.ledger.clone() {
            let copy = adopted.clone();
            let saved = tokio::task::spawn_blocking(move || ledger.save_adopted(&copy)).await;
            saved.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
        self.lock().adopted = adopted;
        Ok(())
    }

    /// Newest generation held.
    pub fn generation(&self) -> u64 {
        self.lock().desired.generation
    }

    /// Whether nothing newer was told than what is held. A lease is granted for what was told.
    pub fn is_current(&self) -> bool {
        let told = self.told.borrow().as_ref().map_or(0, |told| told.generation);
        told <= self.generation()
    }

    /// Counts up with each change of what [`Depot::wishes`] says.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The contents that are needed and not held.
    pub fn wanted(&self) -> watch::Receiver<BTreeSet<ContentDigest>> {
        self.wanted.subscribe()
    }

    /// A gateway said what to run. Returns at once; what is not newer than what was said before is ignored.
    pub fn desire(&self, desired: Desired) {
        if desired.allocations.len() > MAX_ALLOCATIONS_PER_HOST {
            tracing::error!(
                allocations = desired.allocations.len(),
                "desired state is over the limit, ignored"
            );
            return;
        }
        let held = self.generation();
        self.told.send_if_modified(|told| {
            let newest = told.as_ref().map_or(held, |told| told.generation.max(held));
            let newer = desired.generation > newest;
            if newer {
                *told = Some(desired);
            }
            newer
        });
    }

    /// Takes up what is told, after it was written. Runs until dropped.
    pub async fn keep(&self) {
        let mut told = self.told.subscribe();
        // What was told before this began counts as well.
        told.mark_changed();
        let mut unsaved = false;
        loop {
            match unsaved {
                true => drop(tokio::time::timeout(SAVE_AGAIN, told.changed()).await),
                false => drop(told.changed().await),
            }
            let Some(desired) = told.borrow_and_update().clone() else { continue };
            unsaved = !self.save(&desired).await;
            if desired.generation > self.generation() {
                self.take_up(desired).await;
            }
        }
    }

    async fn save(&self, desired: &Desired) -> bool {
        let Some(ledger) = self.ledger.clone() else { return true };
        let desired = desired.clone();
        let saved = tokio::task::spawn_blocking(move || ledger.save_desired(&desired)).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "desired state not saved");
                false
            }
            Err(_) => false,
        }
    }

    async fn take_up(&self, desired: Desired) {
        tracing::info!(
            generation = desired.generation,
            allocations = desired.allocations.len(),
            "desired state"
        );
        self.lock().desired = desired;
        for digest in self.missing_specs() {
            match self.content(&digest).await {
                Ok(Some(bytes)) => self.learn(&digest, &bytes),
                Ok(None) => {}
                Err(reason) => self.failed(&digest, reason),
            }
        }
        self.collect().await;
        self.refresh();
    }

    /// Content arrived; its digest was checked.
    pub async fn provide(&self, digest: &ContentDigest, bytes: Bytes) {
        if let Some(ledger) = self.ledger.clone() {
            let (named, kept) = (digest.clone(), bytes.clone());
            let saved = tokio::task::spawn_blocking(move || ledger.save_content(&named, &kept)).await;
            if let Ok(Err(error)) = saved {
                return self.failed(digest, chain(&error));
            }
        } else {
            self.lock().bytes.insert(digest.clone(), bytes.clone());
        }
        self.learn(digest, &bytes);
        // What a state needs that has not been taken up yet is not idle.
        if self.is_current() {
            self.collect().await;
        }
        self.refresh();
    }

    /// Content could not be had; the sentence is shown while it is waited for.
    pub fn failed(&self, digest: &ContentDigest, reason: String) {
        self.lock().troubles.insert(digest.clone(), reason);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Content that is held, or why it cannot be read.
    pub async fn content(&self, digest: &ContentDigest) -> Result<Option<Bytes>, String> {
        let Some(ledger) = self.ledger.clone() else {
            return Ok(self.lock().bytes.get(digest).cloned());
        };
        let digest = digest.clone();
        let read = tokio::task::spawn_blocking(move || ledger.content(&digest)).await;
        read.map_err(|error| error.to_string())?
            .map(|bytes| bytes.map(Bytes::from))
            .map_err(|error| chain(&error))
    }

    /// What the host is to have, in id order.
    pub fn wishes(&self) -> Vec<Wish> {
        let inner = self.lock();
        inner.desired.allocations.iter().map(|allocation| inner.wish(allocation)).collect()
    }

    fn missing_specs(&self) -> BTreeSet<ContentDigest> {
        let inner = self.lock();
        let named = inner.desired.allocations.iter().map(|allocation| &allocation.spec);
        named.filter(|spec| !inner.specs.contains_key(*spec)).cloned().collect()
    }

    fn read(&self, digest: &ContentDigest) -> Result<Option<Bytes>, String> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        ledger.content(digest).map(|bytes| bytes.map(Bytes::from)).map_err(|error| chain(&error))
    }

    /// Content is held; when it is a specification of something desired, it is read.
    fn learn(&self, digest: &ContentDigest, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.held.insert(digest.clone());
        inner.troubles.remove(digest);
        if inner.desired.allocations.iter().any(|allocation| allocation.spec == *digest) {
            let spec = AppSpec::from_json(bytes).map(Arc::new).map_err(|error| chain(&error));
            inner.specs.insert(digest.clone(), spec);
        }
    }

    /// Works out anew what is wanted, and tells everybody that something changed.
    fn refresh(&self) {
        let wanted: BTreeSet<ContentDigest> = {
            let mut inner = self.lock();
            let needed = inner.needed();
            inner.specs.retain(|digest, _| needed.contains(digest));
            inner.troubles.retain(|digest, _| needed.contains(digest));
            needed.difference(&inner.held).cloned().collect()
        };
        self.wanted.send_if_modified(|known| {
            let changed = *known != wanted;
            *known = wanted;
            changed
        });
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets contents that nothing desired needs.
    async fn collect(&self) {
        let idle: Vec<ContentDigest> = {
            let mut inner = self.lock();
            // While a specification is missing it is unknown what it needs, and what is here may be just that.
            if inner.desired.allocations.iter().any(|allocation| !inner.specs.contains_key(&allocation.spec))
            {
                return;
            }
            let needed = inner.needed();
            let idle = inner.held.difference(&needed).cloned().collect();
            inner.held.retain(|digest| needed.contains(digest));
            inner.bytes.retain(|digest, _| needed.contains(digest));
            idle
        };
        let Some(ledger) = self.ledger.clone().filter(|_| !idle.is_empty()) else { return };
        let removed = tokio::task::spawn_blocking(move || {
            for digest in idle {
                if let Err(error) = ledger.remove_content(&digest) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "content not removed");
                }
            }
        });
        removed.await.ok();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn needed(&self) -> BTreeSet<ContentDigest> {
        let mut needed = BTreeSet::new();
        for allocation in &self.desired.allocations {
            needed.insert(allocation.spec.clone());
            needed.extend(self.files(allocation));
        }
        needed
    }

    fn files(&self, allocation: &DesiredAllocation) -> BTreeSet<ContentDigest> {
        let Some(Ok(spec)) = self.specs.get(&allocation.spec) else { return BTreeSet::new() };
        let group = spec.groups.iter().find(|(name, _)| name.as_str() == allocation.group);
        group.map(|(_, group)| contents_of(spec, group)).unwrap_or_default()
    }

    fn wish(&self, allocation: &DesiredAllocation) -> Wish {
        let spec = match self.specs.get(&allocation.spec) {
            Some(Ok(spec)) => Ok(spec.clone()),
            Some(Err(reason)) => Err(Missing::Useless(reason.clone())),
            None => Err(Missing::Awaited(self.awaited(&allocation.spec, "its specification"))),
        };
        let lacking = self.files(allocation).into_iter().find(|digest| !self.held.contains(digest));
        let lacks = lacking.map(|digest| self.awaited(&digest, "a file of its release"));
        Wish { allocation: allocation.clone(), spec, lacks }
    }

    fn awaited(&self, digest: &ContentDigest, what: &str) -> String {
        match self.troubles.get(digest) {
            Some(reason) => format!("{what} ({}) is not here: {reason}", &digest.as_str()[..12]),
            None => format!("{what} ({}) has not arrived yet", &digest.as_str()[..12]),
        }
    }
}

/// An error and what caused it, as one sentence.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
