//! `omni events`: what happened, oldest first, so that new ones appear at the end.

use crate::args::EventsArgs;
use crate::exit::ExitStatus;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::harmless;
use crate::tone::Tone;
use anyhow::Result;
use jiff::tz::TimeZone;
use omni_common::api::v1::{CommaList, Event, EventFilter, EventsQuery};
use omni_sdk::EventItem;
use serde::Serialize;

/// Lines up messages behind all but the longest kinds.
const KIND_WIDTH: usize = 22;

/// A hole in a followed stream, as programs see it.
#[derive(Serialize)]
struct Gap {
    gap: u64,
}

/// Prints past events, then with `-f` new ones as they come.
pub(crate) async fn run(args: &EventsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let past = past(args, session).await?;
    if !args.follow {
        if past.is_empty() && out.for_people() {
            out.say("Nothing happened that fits.");
        } else {
            out.text(&past, |look| past.iter().map(|event| line(event, look)).collect())?;
        }
        return Ok(ExitStatus::Done);
    }
    for event in &past {
        out.record(event, |look| line(event, look))?;
    }
    let since = past.last().map(|event| event.seq).or(args.since);
    follow(args, since, session, out).await
}

async fn past(args: &EventsArgs, session: &Session) -> Result<Vec<Event>> {
    let list = |values: &[String]| (!values.is_empty()).then(|| values.iter().collect::<CommaList>());
    let query = EventsQuery {
        topic: list(&args.topic),
        kind: list(&args.kind),
        host: args.host.clone(),
        since: args.since,
        limit: Some(args.limit),
        cursor: None,
    };
    let mut events = session.client.events(query).await?;
    if args.since.is_none() {
        events.reverse();
    }
    Ok(events)
}

async fn follow(
    args: &EventsArgs,
    since: Option<u64>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let filter =
        EventFilter { topics: args.topic.clone(), kinds: args.kind.clone(), host: args.host.clone() };
    let mut stream = session.client.follow_events(filter, since);
    loop {
        match stream.next().await? {
            EventItem::Event(event) => out.record(&event, |look| line(&event, look))?,
            EventItem::Gap { seq } if out.for_people() => {
                out.warn(&format!("events up to {seq} are no longer known; some are missing here"));
            }
            EventItem::Gap { seq } => out.record(&Gap { gap: seq }, |_| String::new())?,
        }
    }
}

fn line(event: &Event, look: Look) -> String {
    let at = event.at.timestamp().to_zoned(TimeZone::system());
    let time = Tone::Dim.paint(&at.strftime("%Y-%m-%d %H:%M:%S").to_string(), look.colour);
    let kind = tone(&event.kind).paint(&format!("{:<KIND_WIDTH$}", harmless(&event.kind)), look.colour);
    let seq = Tone::Dim.paint(&format!("{:>6}", event.seq), look.colour);
    format!("{seq}  {time}  {kind}  {}\n", harmless(&event.message))
}

/// Kinds end in what happened; these words are bad news or good news whatever they are about.
fn tone(kind: &str) -> Tone {
    match kind.rsplit('.').next().unwrap_or_default() {
        "down" | "unhealthy" | "oom" | "restarting" => Tone::Bad,
        "suspect" | "removed" | "deleted" | "cordoned" | "exited" | "events_dropped" => Tone::Warn,
        "up" | "enrolled" | "healthy" | "started" => Tone::Good,
        _ => Tone::Plain,
    }
}
