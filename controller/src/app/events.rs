//! What happened: past events, and following along.

use super::cursor::Paging;
use super::hosts::find_host;
use super::selectors::{allows, texts};
use super::{App, AppError};
use crate::state::{Event, Reach, State};
use omni_common::api::v1::{self as api, EventFilter, EventsQuery, Page};
use omni_common::ids::HostId;
use std::ops::Bound;

/// Events handed over at once to someone who follows; more come right after.
const BATCH: usize = 100;

/// Which events someone wants.
#[derive(Clone, Debug, Default)]
struct Wanted {
    topics: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
    host: Option<HostId>,
    /// Where the reader's role holds.
    places: Vec<String>,
}

impl Wanted {
    fn allows(&self, event: &Event) -> bool {
        self.may_see(event) && self.asked_for(event)
    }

    /// Somebody who is confined sees what happens to hosts and controllers, and to the apps within.
    fn may_see(&self, event: &Event) -> bool {
        let reach = Reach(&self.places);
        if reach.is_whole() || matches!(event.topic.as_str(), "host" | "controller") {
            return true;
        }
        match (event.data.get("environment"), event.data.get("app")) {
            (Some(environment), Some(app)) => reach.has_app(environment, app),
            _ => false,
        }
    }

    fn asked_for(&self, event: &Event) -> bool {
        allows(self.topics.as_deref(), &event.topic)
            && allows(self.kinds.as_deref(), &event.kind)
            && self.host.is_none_or(|host| event.host == Some(host))
    }
}

/// Follows the events from a position. Holds no queue: the replicated state is the buffer, so a slow reader
/// costs nothing, and one that is slower than the state's memory is told so.
#[derive(Clone, Debug)]
pub struct EventTail {
    wanted: Wanted,
    after: u64,
}

/// What someone who follows gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventStep {
    /// Nothing new.
    Wait,
    /// Events, oldest first. There may be more.
    Events(Vec<api::Event>),
    /// Events are missing: they are no longer known. It goes on after this number.
    Reset(u64),
}

impl App {
    /// A page of past events: newest first, or oldest first after `since`.
    pub fn list_events(
        &self,
        state: &State,
        query: &EventsQuery,
        within: Reach<'_>,
    ) -> Result<Page<api::Event>, AppError> {
        let wanted = Wanted {
            topics: texts(query.topic.as_ref()).map(owned),
            kinds: texts(query.kind.as_ref()).map(owned),
            host: query.host.as_deref().map(|host| find_host(state, host)).transpose()?.map(|host| host.id),
            places: within.0.to_vec(),
        };
        let filters = EventsQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<u64> = Paging::new("events", &filters, query.limit, query.cursor.as_deref())?;
        let show = |event: &&Event| wanted.allows(event);
        let item = |event: &Event| (event.seq, view(event));
        let Some(since) = query.since else {
            let to = paging.after.map_or(Bound::Unbounded, Bound::Excluded);
            let events = state.events.range((Bound::Unbounded, to)).rev().map(|(_, event)| &**event);
            return Ok(paging.take(events.filter(show).map(item)));
        };
        let from = Bound::Excluded(paging.after.unwrap_or(since));
        let events = state.events.range((from, Bound::Unbounded)).map(|(_, event)| &**event);
        Ok(paging.take(events.filter(show).map(item)))
    }

    /// Begins to follow events: after `since`, or with the next one.
    pub fn follow_events(
        &self,
        state: &State,
        filter: &EventFilter,
        since: Option<u64>,
        within: Reach<'_>,
    ) -> Result<EventTail, AppError> {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let host = filter.host.as_deref().map(|host| find_host(state, host)).transpose()?;
        let wanted = Wanted {
            topics: some(&filter.topics),
            kinds: some(&filter.kinds),
            host: host.map(|host| host.id),
            places: within.0.to_vec(),
        };
        Ok(EventTail { wanted, after: since.unwrap_or_else(|| EventTail::newest(state)) })
    }
}

impl EventTail {
    /// Number of the newest event; zero before the first.
    pub fn newest(state: &State) -> u64 {
        state.next_event.saturating_sub(1)
    }

    /// What is new in `state`.
    pub fn step(&mut self, state: &State) -> EventStep {
        let newest = Self::newest(state);
        let oldest = state.events.get_min().map_or(newest + 1, |(seq, _)| *seq);
        // A number from the future belongs to another cluster, or to one that was restored from a backup.
        if self.after > newest || self.after + 1 < oldest {
            self.after = newest;
            return EventStep::Reset(newest);
        }
        let mut found = Vec::new();
        let new = state.events.range((Bound::Excluded(self.after), Bound::Unbounded));
        for (seq, event) in new {
            if found.len() == BATCH {
                break;
            }
            self.after = *seq;
            if self.wanted.allows(event) {
                found.push(view(event));
            }
        }
        match found.is_empty() {
            true => EventStep::Wait,
            false => EventStep::Events(found),
        }
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn view(event: &Event) -> api::Event {
    api::Event {
        seq: event.seq,
        index: event.index,
        at: event.at,
        topic: event.topic.clone(),
        kind: event.kind.clone(),
        message: event.message.clone(),
        host: event.host,
        controller: event.controller,
        data: event.data.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::clock::Time;

    /// A state that remembers events `kept`, of which every third is about a container.
    fn state(kept: std::ops::Range<u64>) -> State {
        let event = |seq: u64| Event {
            seq,
            index: seq,
            at: Time::EPOCH,
            topic: if seq.is_multiple_of(3) { "container" } else { "host" }.to_owned(),
            kind: "x".to_owned(),
            message: String::new(),
            host: None,
            controller: None,
            data: Default::default(),
        };
        State {
            next_event: kept.end,
            events: kept.map(|seq| (seq, event(seq))).collect(),
            ..State::default()
        }
    }

    fn tail(after: u64) -> EventTail {
        EventTail { wanted: Wanted::default(), after }
    }

    fn numbers(step: EventStep) -> Vec<u64> {
        match step {
            EventStep::Events(events) => events.iter().map(|event| event.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_event_comes_once_in_batches() {
        let state = state(0..250);
        let mut tail = tail(9);
        let mut seen = Vec::new();
        while let EventStep::Events(events) = tail.step(&state) {
            assert!(events.len() <= BATCH);
            seen.extend(events.iter().map(|event| event.seq));
        }
        assert_eq!(seen, (10..250).collect::<Vec<_>>());
        assert_eq!(tail.step(&state), EventStep::Wait);
    }

    #[test]
    fn unwanted_events_move_the_position_too() {
        let mut tail = tail(0);
        tail.wanted.topics = Some(vec!["container".to_owned()]);
        assert_eq!(numbers(tail.step(&state(0..8))), [3, 6]);
        assert_eq!(tail.after, 7);
    }

    #[test]
    fn a_gap_is_told() {
        assert_eq!(tail(3).step(&state(10..20)), EventStep::Reset(19));
        assert_eq!(numbers(tail(9).step(&state(10..12))), [10, 11], "nothing is missing");
        assert_eq!(tail(99).step(&state(10..20)), EventStep::Reset(19), "a number of another cluster");
    }

    #[test]
    fn an_empty_history_is_no_gap() {
        assert_eq!(tail(0).step(&State::default()), EventStep::Wait);
    }
}
