//! From the model to the screen.

use super::model::{ContainerRow, GpuRow, HostRow, Model, Pane, traffic};
use crate::args::TopSort;
use crate::commands::hosts::{status_tone, status_word};
use crate::fresh::Age;
use crate::table::{cut, harmless};
use crate::tone::Tone;
use crate::units::{ABSENT, bytes, count, percent, rate, share};
use omni_common::api::v1::HostStatus;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use tokio::time::Instant;
use unicode_width::UnicodeWidthStr;

/// Shortest and longest bar, columns.
const BAR: (usize, usize) = (5, 16);
/// Longest name that gets a column of its width.
const NAME: (usize, usize) = (9, 28);
/// Title and key lines.
const FRAME_LINES: u16 = 2;
/// Column titles and the empty line above them.
const HEAD_LINES: u16 = 2;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A screen, which the panes share.
    Screen,
    /// As much as is needed: see [`full_height`].
    Enough,
}

/// Draws everything.
pub(super) fn screen(frame: &mut Frame<'_>, model: &Model, room: Room, now: Instant) {
    let area = frame.area();
    let most = |part: u16| {
        if room == Room::Screen { area.height / part } else { u16::MAX }
    };
    let [title, host_area, gpu_area, container_area, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height(model.hosts().len(), most(3))),
        Constraint::Length(height(model.gpus().len(), most(4))),
        Constraint::Min(HEAD_LINES),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(headline(model), title);
    hosts_pane(frame, host_area, model, now);
    gpus_pane(frame, gpu_area, model, now);
    containers_pane(frame, container_area, model, now);
    frame.render_widget(key_line(model), keys);
}

/// Lines of a pane: none without rows, otherwise at least one row, however little there is to give.
fn height(rows: usize, most: u16) -> u16 {
    match u16::try_from(rows).unwrap_or(u16::MAX) {
        0 => 0,
        rows => rows.saturating_add(HEAD_LINES).min(most.max(HEAD_LINES + 1)),
    }
}

/// Lines that show everything.
pub(super) fn full_height(model: &Model) -> u16 {
    let panes = [model.hosts().len(), model.gpus().len(), model.containers().len()];
    panes.into_iter().map(|rows| height(rows, u16::MAX)).fold(FRAME_LINES + HEAD_LINES, u16::saturating_add)
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Dim => Style::new().add_modifier(Modifier::DIM),
        Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
    }
}

fn headline(model: &Model) -> Paragraph<'_> {
    let hosts = model.hosts();
    let down = hosts.iter().filter(|row| row.view.status != HostStatus::Up).count();
    let mut spans = vec![
        Span::styled(format!("omni top  {}", harmless(&model.title)), style(Tone::Strong)),
        Span::raw(format!("  {}", count(hosts.len(), "host"))),
    ];
    if down > 0 {
        spans.push(Span::styled(format!(" ({down} not up)"), style(Tone::Bad)));
    }
    spans.push(Span::raw(format!(", {} running", count(model.containers().len(), "container"))));
    if let Some(trouble) = &model.trouble {
        spans.push(Span::styled(format!("  {}", harmless(trouble)), style(Tone::Bad)));
    }
    Paragraph::new(Line::from(spans))
}

fn key_line(model: &Model) -> Paragraph<'static> {
    let sort = |key: &'static str, name: &'static str, by| {
        let tone = if model.sort == by { Tone::Strong } else { Tone::Dim };
        Span::styled(format!("{key} {name}  "), style(tone))
    };
    Paragraph::new(Line::from(vec![
        Span::styled("q quit  tab pane  ↑↓ scroll   sort: ", style(Tone::Dim)),
        sort("c", "cpu", TopSort::Cpu),
        sort("m", "mem", TopSort::Mem),
        sort("n", "net", TopSort::Net),
        sort("a", "name", TopSort::Name),
    ]))
}

/// A column: its title, whether it holds numbers, and its width.
struct Column(&'static str, bool, Constraint);

fn text_column(title: &'static str, width: usize) -> Column {
    Column(title, false, Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)))
}

fn number_column(title: &'static str, width: u16) -> Column {
    Column(title, true, Constraint::Length(width))
}

/// Titles over rows; the chosen pane's titles stand out.
fn pane<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    which: Pane,
    columns: &[Column],
    rows: impl Iterator<Item = Row<'a>>,
) {
    let chosen = if model.pane == which { Modifier::UNDERLINED } else { Modifier::empty() };
    let title = |Column(title, number, _): &Column| {
        let text = Text::styled(*title, style(Tone::Strong).add_modifier(chosen));
        Cell::from(if *number { text.right_aligned() } else { text })
    };
    let head = Row::new(columns.iter().map(title)).top_margin(1);
    let widths = columns.iter().map(|Column(_, _, width)| *width);
    let table = Table::new(rows.skip(model.offset(which)), widths).header(head).column_spacing(2);
    frame.render_widget(table, area);
}

/// Columns for names: as wide as the longest, within reason.
fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(UnicodeWidthStr::width).max().unwrap_or(0).clamp(NAME.0, NAME.1)
}

fn name_cell(name: &str) -> Cell<'static> {
    Cell::from(cut(&harmless(name), NAME.1))
}

/// Columns for each of three bars, when everything else takes `taken`.
fn bar_width(area: Rect, taken: usize) -> usize {
    (usize::from(area.width).saturating_sub(taken) / 3).clamp(BAR.0, BAR.1)
}

/// A bar and its number. An old reading has no bar: it would look like the present.
fn gauge(value: Option<f32>, label: String, width: usize, age: Age) -> Cell<'static> {
    let Some(value) = value else {
        return Cell::from(ABSENT);
    };
    if age.is_stale() {
        let before = width.saturating_sub(2);
        return Cell::from(Span::styled(format!("{:before$} ({label})", ""), style(Tone::Dim)));
    }
    let filled = ((value / 100.0).clamp(0.0, 1.0) * width as f32).round() as usize;
    let tone = match Tone::of_load(value) {
        Tone::Plain => Tone::Good,
        tone => tone,
    };
    Cell::from(Line::from(vec![
        Span::styled("█".repeat(filled), style(tone)),
        Span::styled("░".repeat(width - filled), style(Tone::Dim)),
        Span::raw(format!(" {label}")),
    ]))
}

/// A reading as a number; old ones in parentheses.
fn reading(value: Option<String>, age: Age) -> Cell<'static> {
    let text = match value {
        None => Text::raw(ABSENT),
        Some(text) if age.is_stale() => Text::styled(format!("({text})"), style(Tone::Dim)),
        Some(text) => Text::raw(text),
    };
    Cell::from(text.right_aligned())
}

fn hosts_pane(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Instant) {
    let hosts = model.hosts();
    let name = name_width(hosts.iter().map(|row| row.view.name.as_str()));
    // Name, status, two shares, a pair of sizes, net, and the gaps between all of them.
    let bar = bar_width(area, name + 9 + 5 + 5 + 10 + 11 + 10);
    let columns = [
        text_column("HOST", name),
        text_column("STATUS", 9),
        text_column("CPU", bar + 5),
        text_column("MEM", bar + 10),
        text_column("DISK", bar + 5),
        number_column("NET I/O", 11),
    ];
    pane(frame, area, model, Pane::Hosts, &columns, hosts.into_iter().map(|row| host_row(row, bar, now)));
}

fn host_row(row: &HostRow, bar: usize, now: Instant) -> Row<'static> {
    let summary = row.summary.clone().unwrap_or_default();
    let age = row.age(now);
    let memory = summary.memory_used.zip(summary.memory_total);
    let text = |value: Option<f32>| value.map(percent).unwrap_or_default();
    let net = summary.rx_bytes.zip(summary.tx_bytes);
    Row::new(vec![
        name_cell(&row.view.name),
        host_status(row, age),
        gauge(summary.cpu_percent, text(summary.cpu_percent), bar, age),
        gauge(memory.and_then(|(used, total)| share(used, total)), pair(memory), bar, age),
        gauge(summary.disk_percent, text(summary.disk_percent), bar, age),
        reading(net.map(|(rx, tx)| format!("{}/{}", rate_short(rx), rate_short(tx))), age),
    ])
}

/// `3.0G/16G`
fn pair(sizes: Option<(u64, u64)>) -> String {
    sizes.map_or_else(String::new, |(used, total)| format!("{}/{}", bytes(used), bytes(total)))
}

/// Per second, without saying so: the column is narrow.
fn rate_short(value: f32) -> String {
    rate(value).trim_end_matches("/s").to_owned()
}

fn host_status(row: &HostRow, age: Age) -> Cell<'static> {
    let word = status_word(row.view.status);
    match row.view.status {
        // It answers, but its readings do not come.
        HostStatus::Up if row.summary.is_some() && age.is_stale() => {
            Cell::from(Span::styled(format!("{} old", crate::units::span(age.0)), style(Tone::Warn)))
        }
        HostStatus::Up if row.view.cordoned => Cell::from(Span::styled("cordoned", style(Tone::Warn))),
        status => Cell::from(Span::styled(word, style(status_tone(status)))),
    }
}

fn gpus_pane(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Instant) {
    let gpus = model.gpus();
    if gpus.is_empty() {
        return;
    }
    let name = name_width(gpus.iter().map(|gpu| gpu.host.view.name.as_str())) + 2;
    // Two bars, a share, a pair of sizes, temperature, power, and the gaps.
    let rest = 5 + 10 + 5 + 9 + 10;
    let room = usize::from(area.width).saturating_sub(name + 2 * BAR.0 + rest);
    let model_width = name_width(gpus.iter().map(|gpu| gpu.facts.model.as_str())).min(room);
    let bar = bar_width(area, name + model_width + rest);
    let columns = [
        text_column("GPU", name),
        text_column("MODEL", model_width),
        text_column("BUSY", bar + 5),
        text_column("MEM", bar + 10),
        number_column("TEMP", 5),
        number_column("POWER", 9),
    ];
    pane(
        frame,
        area,
        model,
        Pane::Gpus,
        &columns,
        gpus.iter().map(|gpu| gpu_row(gpu, model_width, bar, now)),
    );
}

fn gpu_row(gpu: &GpuRow<'_>, model_width: usize, bar: usize, now: Instant) -> Row<'static> {
    let age = gpu.host.age(now);
    let sample = gpu.sample;
    let busy = sample.and_then(|sample| sample.utilisation);
    let memory = sample.and_then(|sample| sample.memory_used.zip(sample.memory_total));
    let limit = sample.and_then(|sample| sample.power_limit);
    let power = sample.and_then(|sample| sample.power).map(|watts| match limit {
        Some(limit) => format!("{watts:.0}/{limit:.0}W"),
        None => format!("{watts:.0}W"),
    });
    Row::new(vec![
        Cell::from(format!("{}/{}", harmless(&gpu.host.view.name), gpu.facts.index)),
        Cell::from(cut(&harmless(&gpu.facts.model), model_width)),
        gauge(busy, busy.map(percent).unwrap_or_default(), bar, age),
        gauge(memory.and_then(|(used, total)| share(used, total)), pair(memory), bar, age),
        reading(sample.and_then(|sample| sample.temperature).map(|value| format!("{value:.0}°C")), age),
        reading(power, age),
    ])
}

fn containers_pane(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Instant) {
    let containers = model.containers();
    let columns = [
        text_column("CONTAINER", name_width(containers.iter().map(|row| row.name.as_str()))),
        text_column("HOST", name_width(containers.iter().map(|row| row.host_name.as_str()))),
        text_column("STATE", 11),
        number_column("CPU", 6),
        number_column("MEM", 11),
        number_column("NET", 6),
        number_column("PIDS", 5),
    ];
    let rows = containers.into_iter().map(|row| container_row(row, model, now));
    pane(frame, area, model, Pane::Containers, &columns, rows);
}

fn container_row(row: &ContainerRow, model: &Model, now: Instant) -> Row<'static> {
    let age = model.host(row.host).map_or(Age::from_millis(0), |host| host.age(now));
    let sample = row.sample.as_ref();
    let memory = sample.and_then(|sample| {
        let used = bytes(sample.memory_used?);
        Some(sample.memory_limit.map_or(used.clone(), |limit| format!("{used}/{}", bytes(limit))))
    });
    let state = match age.is_stale() {
        true => Span::styled(format!("({})", row.state), style(Tone::Dim)),
        false => Span::styled(row.state.clone(), style(row.tone)),
    };
    Row::new(vec![
        name_cell(&row.name),
        name_cell(&row.host_name),
        Cell::from(state),
        reading(sample.and_then(|sample| sample.cpu_percent).map(percent), age),
        reading(memory, age),
        reading(sample.and_then(traffic).map(rate_short), age),
        reading(sample.and_then(|sample| sample.pids).map(|pids| pids.to_string()), age),
    ])
}
