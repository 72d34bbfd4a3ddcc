//! `omni logs`: lines of one or several containers, merged by time.

use crate::args::LogsArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::moment;
use crate::names::{Wanted, candidates};
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::tame::tame;
use crate::tone::Tone;
use anyhow::Result;
use jiff::Zoned;
use omni_common::api::v1::{CommaList, LogEntry, LogSource, LogsMessage, LogsQuery, MAX_LOG_SOURCES};
use omni_common::clock::Time;
use omni_common::wire::OutputStream;
use std::collections::{BTreeMap, BTreeSet};
use unicode_width::UnicodeWidthStr;

/// Longest container name that all prefixes are padded to, columns.
const WIDEST_PREFIX: usize = 32;
/// Colours that tell containers apart: not red and yellow, which mean something.
const COLOURS: [&str; 6] =
    ["\u{1b}[36m", "\u{1b}[35m", "\u{1b}[32m", "\u{1b}[34m", "\u{1b}[96m", "\u{1b}[95m"];

/// Prints log lines until all containers have ended, or without end with `-f`.
pub(crate) async fn run(args: &LogsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let query = query(args, session).await?;
    let mut stream = session.client.logs(query);
    let mut prefixes = Prefixes::default();
    let mut status = ExitStatus::Done;
    while let Some(message) = stream.next().await? {
        match message {
            LogsMessage::Sources { sources } => prefixes = Prefixes::of(&sources, args),
            LogsMessage::Lines { lines } => print(&lines, &prefixes, args, out)?,
            LogsMessage::SourceEnded { source, problem: Some(problem) } => {
                let why = problem.detail.unwrap_or(problem.title);
                out.warn(&format!("{}: {why}", prefixes.name(source)));
                status = ExitStatus::Failed;
            }
            LogsMessage::SourceEnded { .. } | LogsMessage::End | LogsMessage::Error { .. } => {}
        }
    }
    Ok(status)
}

async fn query(args: &LogsArgs, session: &Session) -> Result<LogsQuery> {
    let now = Zoned::new(session.now.timestamp(), jiff::tz::TimeZone::system());
    let list = |values: &[String]| (!values.is_empty()).then(|| values.iter().collect::<CommaList>());
    let containers = resolve(args, session).await?;
    // Names were resolved on the given hosts; selectors still have to be held to them.
    let by_selector = args.names.is_empty();
    Ok(LogsQuery {
        container: list(&containers),
        host: if by_selector { list(&args.host) } else { None },
        label: if by_selector { list(&args.label) } else { None },
        component: if by_selector { list(&args.component) } else { None },
        follow: args.follow,
        since: moment(args.since.as_deref(), &now)?,
        until: moment(args.until.as_deref(), &now)?,
        tail: args.tail.0,
        grep: args.grep.clone(),
    })
}

fn moment(text: Option<&str>, now: &Zoned) -> Result<Option<Time>, Failure> {
    text.map(|text| moment::parse(text, now)).transpose().map_err(|error| Failure::Usage(error.to_string()))
}

/// The containers meant, each as `HOST/ID`, in the order given.
async fn resolve(args: &LogsArgs, session: &Session) -> Result<Vec<String>> {
    let by_selector = !args.label.is_empty() || !args.component.is_empty();
    if !args.names.is_empty() && by_selector {
        return Err(Failure::Usage(
            "name containers, or select them by --component and --label, but not both".to_owned(),
        )
        .into());
    }
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    for typed in &args.names {
        let Ok(wanted) = typed.parse::<Wanted>();
        let all = candidates(&session.client, typed, &args.host).await?;
        let found = match wanted.find(&all) {
            several if args.all_hosts && !several.is_empty() => several,
            _ => vec![wanted.find_one(&all)?],
        };
        for view in found {
            let reference = format!("{}/{}", view.host, view.container.id);
            if seen.insert(reference.clone()) {
                chosen.push(reference);
            }
        }
    }
    if chosen.len() > MAX_LOG_SOURCES {
        return Err(Failure::Usage(format!(
            "{} containers are more than the {MAX_LOG_SOURCES} that can be read at once",
            chosen.len()
        ))
        .into());
    }
    Ok(chosen)
}

/// What stands before each line, by position of its container.
#[derive(Default)]
struct Prefixes {
    names: Vec<String>,
    width: usize,
    shown: bool,
}

impl Prefixes {
    fn of(sources: &[LogSource], args: &LogsArgs) -> Self {
        let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
        for source in sources {
            *bearers.entry(&source.container_name).or_default() += 1;
        }
        let name = |source: &LogSource| match bearers[source.container_name.as_str()] {
            1 => source.container_name.clone(),
            _ => format!("{}/{}", source.host_name, source.container_name),
        };
        let names: Vec<String> = sources.iter().map(name).collect();
        Self {
            width: names.iter().map(|name| name.width()).max().unwrap_or(0).min(WIDEST_PREFIX),
            shown: names.len() > 1 && !args.no_prefix,
            names,
        }
    }

    fn name(&self, source: u32) -> &str {
        self.names.get(source as usize).map_or("?", String::as_str)
    }

    fn text(&self, source: u32, colour: bool) -> String {
        if !self.shown {
            return String::new();
        }
        let name = self.name(source);
        let padding = " ".repeat(self.width.saturating_sub(name.width()));
        if colour {
            format!("{}{name}{padding} |\u{1b}[0m ", COLOURS[source as usize % COLOURS.len()])
        } else {
            format!("{name}{padding} | ")
        }
    }
}

fn print(lines: &[LogEntry], prefixes: &Prefixes, args: &LogsArgs, out: &mut Printer) -> Result<()> {
    if out.for_people() {
        let look = out.look();
        let text: String = lines.iter().map(|entry| line(entry, prefixes, args, look)).collect();
        return out.bytes(text.as_bytes());
    }
    lines.iter().try_for_each(|entry| out.record(entry, |_| String::new()))
}

fn line(entry: &LogEntry, prefixes: &Prefixes, args: &LogsArgs, look: Look) -> String {
    let time = match entry.at.filter(|_| args.timestamps) {
        Some(at) => format!("{} ", Tone::Dim.paint(&format!("{at:.3}"), look.colour)),
        None => String::new(),
    };
    let text = match look.width {
        // A terminal must not be steered by what a container logs; a pipe gets the line as it is.
        Some(_) => tame(&entry.line, look.colour),
        None => entry.line.clone(),
    };
    let text = match entry.stream {
        OutputStream::Stderr if prefixes.shown => Tone::Warn.paint(&text, look.colour),
        _ => text,
    };
    format!("{}{time}{text}\n", prefixes.text(entry.source, look.colour))
}
