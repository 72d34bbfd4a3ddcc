//! Changes of hosts' status, from the cluster's own events.

use anyhow::{Result, ensure};
use omni_common::api::v1::{Event, EventsQuery};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use omni_sdk::Client;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often to look while time passes; the state remembers some thousands of events.
const LOOK: Duration = Duration::from_secs(2);

/// Hosts thought unwell that are kept with their time; all are counted.
const MAX_UNWELL: usize = 100;

/// Events by kind, counted without a hole: the state remembers a limited number, so look often enough.
#[derive(Debug, Default)]
pub(super) struct Changes {
    counted: u64,
    kinds: BTreeMap<String, u64>,
    unwell: Vec<Unwell>,
}

/// A host that was thought unwell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unwell {
    /// When.
    pub(super) at: Time,
    /// `host.suspect` or `host.down`.
    pub(super) kind: String,
    /// Which.
    pub(super) host: Option<HostId>,
}

impl Changes {
    /// Counts what is new.
    ///
    /// # Errors
    /// When nobody answers, or events are gone before they were counted.
    pub(super) async fn look(&mut self, client: &Client) -> Result<()> {
        let query = EventsQuery { since: Some(self.counted), ..EventsQuery::default() };
        self.count(client.events(query).await?)
    }

    /// Counts until something fails.
    ///
    /// # Errors
    /// As [`Changes::look`].
    pub(super) async fn count_on(&mut self, client: &Client) -> Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look(client).await?;
        }
    }

    /// Lets `time` pass and counts meanwhile.
    ///
    /// # Errors
    /// As [`Changes::look`].
    pub(super) async fn watch(&mut self, client: &Client, time: Duration) -> Result<()> {
        match tokio::time::timeout(time, self.count_on(client)).await {
            Ok(failed) => failed,
            Err(_) => self.look(client).await,
        }
    }

    fn count(&mut self, events: Vec<Event>) -> Result<()> {
        for event in events {
            ensure!(
                event.seq == self.counted + 1,
                "events {} to {} are gone uncounted; so far: {:?}",
                self.counted + 1,
                event.seq - 1,
                self.kinds
            );
            self.counted = event.seq;
            if matches!(event.kind.as_str(), "host.suspect" | "host.down") && self.unwell.len() < MAX_UNWELL {
                self.unwell.push(Unwell { at: event.at, kind: event.kind.clone(), host: event.host });
            }
            *self.kinds.entry(event.kind).or_default() += 1;
        }
        Ok(())
    }

    /// The first hosts that were thought unwell.
    pub(super) fn unwell(&self) -> &[Unwell] {
        &self.unwell
    }

    /// All events so far.
    pub(super) fn kinds(&self) -> &BTreeMap<String, u64> {
        &self.kinds
    }

    /// Events of a kind so far.
    pub(super) fn of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, kind: &str) -> Event {
        Event {
            seq,
            index: seq,
            at: Time::from_secs(0),
            topic: "host".to_owned(),
            kind: kind.to_owned(),
            message: String::new(),
            host: None,
            controller: None,
            data: BTreeMap::new(),
        }
    }

    #[test]
    fn events_are_counted_by_kind() {
        let mut changes = Changes::default();
        changes.count(vec![event(1, "host.up"), event(2, "host.down")]).expect("no hole");
        changes.count(vec![event(3, "host.down")]).expect("no hole");
        assert_eq!((changes.of("host.up"), changes.of("host.down"), changes.of("host.suspect")), (1, 2, 0));
        assert_eq!(changes.unwell().len(), 2);
    }

    #[test]
    fn a_hole_is_no_zero() {
        let mut changes = Changes::default();
        assert!(changes.count(vec![event(5, "host.up")]).is_err());
    }
}
