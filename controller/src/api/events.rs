//! `/events`: past ones as a list, new ones over a socket.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Params};
use super::guard::Caller;
use super::socket::{End, Incoming, Socket, Upgrade};
use super::{Api, Shared};
use crate::app::{App, AppError, EventStep, EventTail};
use crate::state::Reach;
use axum::Extension;
use axum::response::Response;
use omni_common::api::v1::{
    Event, EventFilter, EventsMessage, EventsQuery, EventsRequest, Page, Problem, ReadQuery,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Subscriptions on one socket.
const MAX_SUBSCRIPTIONS: usize = 16;
/// Longest name of a subscription.
const MAX_ID: usize = 64;
/// The one topic there is so far; others will share the socket.
const TOPIC: &str = "events";

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(live))
}

/// List past events
///
/// Newest first; oldest first when `since` is given. About the last 20,000 are kept.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listEvents", tag = "events", params(EventsQuery, ReadQuery),
    responses((status = 200, body = Page<Event>), (status = 400, body = Problem),
        (status = 404, description = "The host in the filter does not exist.", body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<EventsQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<Event>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_events(&state, &query, caller.principal.reach())?))
}

/// Follow events
///
/// A WebSocket. The client sends `EventsRequest`s, the server `EventsMessage`s. A subscription may begin after a
/// known `seq`, also one that another controller sent. When events since then are no longer known, the server
/// says `reset`. Without an `authorization` header the client's first message is `{"op":"auth","token":…}`.
#[utoipa::path(get, path = "/api/v1/events/live", operation_id = "followEvents", tag = "events",
    responses((status = 101, description = "A WebSocket."),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn live(upgrade: Upgrade) -> Response {
    upgrade.serve(async move |mut socket| {
        let end = serve(&mut socket).await;
        (socket, end)
    })
}

async fn serve(socket: &mut Socket) -> End {
    let app = socket.tx.app();
    let mut applied = app.store.watch();
    let mut tails = BTreeMap::new();
    loop {
        let incoming = tokio::select! {
            incoming = socket.rx.next() => Some(incoming),
            changed = applied.changed() => match changed {
                Ok(()) => None,
                Err(_) => return End::Stopping,
            },
            end = socket.tx.beat() => return end,
        };
        let done = match incoming {
            Some(Ok(incoming)) => answer(socket, &app, &mut tails, &incoming).await,
            Some(Err(end)) => return end,
            None => Ok(()),
        };
        let done = match done {
            Ok(()) => push(socket, &app, &mut tails).await,
            Err(end) => Err(end),
        };
        if let Err(end) = done {
            return end;
        }
    }
}

type Tails = BTreeMap<String, EventTail>;

async fn answer(socket: &mut Socket, app: &App, tails: &mut Tails, incoming: &Incoming) -> Result<(), End> {
    let message = match incoming.json::<EventsRequest>() {
        Ok(EventsRequest::Unsubscribe { id }) => {
            tails.remove(&id);
            EventsMessage::Unsubscribed { id }
        }
        Ok(EventsRequest::Subscribe { id, topic, filter, since }) => {
            match subscribe(app, tails, &id, &topic, &filter, since, socket.tx.reach()) {
                Ok(seq) => EventsMessage::Subscribed { id, seq },
                Err(error) => EventsMessage::Error { id: Some(id), problem: socket.tx.problem(&error) },
            }
        }
        Err(error) => EventsMessage::Error { id: None, problem: socket.tx.problem(&error) },
    };
    socket.tx.json(&message).await
}

fn subscribe(
    app: &App,
    tails: &mut Tails,
    id: &str,
    topic: &str,
    filter: &EventFilter,
    since: Option<u64>,
    within: Reach<'_>,
) -> Result<u64, ApiError> {
    if topic != TOPIC {
        return Err(AppError::not_found("topic", topic).into());
    }
    if id.is_empty() || id.len() > MAX_ID {
        return Err(ApiError::Message(format!("`id` has 1 to {MAX_ID} bytes")));
    }
    if tails.len() >= MAX_SUBSCRIPTIONS && !tails.contains_key(id) {
        return Err(ApiError::Message(format!("a socket has at most {MAX_SUBSCRIPTIONS} subscriptions")));
    }
    let state = app.store.current();
    tails.insert(id.to_owned(), app.follow_events(&state, filter, since, within)?);
    Ok(EventTail::newest(&state))
}

/// Sends what is new to all subscriptions.
async fn push(socket: &mut Socket, app: &App, tails: &mut Tails) -> Result<(), End> {
    for (id, tail) in tails {
        loop {
            let step = tail.step(&app.store.current());
            match step {
                EventStep::Wait => break,
                EventStep::Reset(seq) => {
                    socket.tx.json(&EventsMessage::Reset { id: id.clone(), seq }).await?
                }
                EventStep::Events(events) => {
                    for data in events {
                        let (seq, kind) = (data.seq, data.kind.clone());
                        socket.tx.json(&EventsMessage::Event { id: id.clone(), seq, kind, data }).await?;
                    }
                }
            }
        }
    }
    Ok(())
}
