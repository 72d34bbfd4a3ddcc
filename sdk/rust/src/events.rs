//! The stream of events, which goes on at another controller when one dies.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::reconnect::Reopener;
use crate::routes;
use crate::socket::{Ended, Socket};
use omni_common::api::v1::{Event, EventFilter, EventsMessage, EventsRequest};

/// The only subscription on our sockets.
const SUBSCRIPTION: &str = "events";

/// What an event stream carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventItem {
    /// Something happened.
    Event(Event),
    /// Events up to this `seq` are no longer known: load what you show anew.
    Gap {
        /// Newest `seq` at that moment; the stream goes on after it.
        seq: u64,
    },
}

/// Events in order, without end.
pub struct EventStream {
    reopener: Reopener,
    filter: EventFilter,
    since: Option<u64>,
    socket: Option<Socket>,
}

impl Client {
    /// Follows events after `since`, or from now on. Nothing is sent before the first [`EventStream::next`].
    pub fn follow_events(&self, filter: EventFilter, since: Option<u64>) -> EventStream {
        EventStream { reopener: Reopener::new(self.clone()), filter, since, socket: None }
    }
}

impl EventStream {
    /// The next event or gap. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<EventItem> {
        loop {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                None => self.subscribe().await?,
            };
            match socket.next_json().await {
                Ok(message) => {
                    self.reopener.mended();
                    if let Some(item) = self.take(message)? {
                        return Ok(item);
                    }
                }
                Err(Ended::Refused(error)) => return Err(error),
                Err(Ended::Done) => self.lost("the server ended the stream".to_owned()),
                Err(Ended::Interrupted(why)) => self.lost(why),
            }
        }
    }

    async fn subscribe(&mut self) -> Result<&mut Socket> {
        let mut socket = self.reopener.open(&Call::get(routes::EVENTS_SOCKET)).await?;
        let request = EventsRequest::Subscribe {
            id: SUBSCRIPTION.to_owned(),
            topic: "events".to_owned(),
            filter: self.filter.clone(),
            since: self.since,
        };
        if let Err(Ended::Refused(error)) = socket.send_json(&request).await {
            return Err(error);
        }
        Ok(self.socket.insert(socket))
    }

    fn take(&mut self, message: EventsMessage) -> Result<Option<EventItem>> {
        match message {
            // From here on a broken stream resumes without a hole, even before the first event.
            EventsMessage::Subscribed { seq, .. } => {
                self.since.get_or_insert(seq);
                Ok(None)
            }
            EventsMessage::Event { seq, data, .. } => {
                self.since = Some(seq);
                Ok(Some(EventItem::Event(data)))
            }
            EventsMessage::Reset { seq, .. } => {
                self.since = Some(seq);
                Ok(Some(EventItem::Gap { seq }))
            }
            EventsMessage::Unsubscribed { .. } => Ok(None),
            EventsMessage::Error { problem, .. } => Err(problem.into()),
        }
    }

    fn lost(&mut self, why: String) {
        self.socket = None;
        self.reopener.broke(why);
    }
}
