//! One frame as text, for `--once`: drawn like the screen, on a screen that is as high as it needs to be.

use super::draw::{Room, full_height, screen};
use super::model::Model;
use crate::printer::Look;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use tokio::time::Instant;

/// Width of a frame that goes into a pipe.
const PIPE_WIDTH: usize = 120;
/// No frame is higher: what is cut off is the idle end of the list.
const HIGHEST: u16 = 2000;

/// The frame, without its last line, which names keys.
pub(super) fn text(model: &Model, look: Look, now: Instant) -> String {
    let width = u16::try_from(look.width.unwrap_or(PIPE_WIDTH)).unwrap_or(u16::MAX);
    let height = full_height(model).min(HIGHEST);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| screen(frame, model, Room::Enough, now));
    let mut lines = lines(terminal.backend().buffer(), look.colour);
    lines.pop();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn lines(buffer: &Buffer, colour: bool) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    buffer.content.chunks(width).map(|cells| line(cells, colour)).collect()
}

fn line(cells: &[Cell], colour: bool) -> String {
    let end = cells.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
    let mut text = String::new();
    let mut before = String::new();
    for cell in &cells[..end] {
        let style = if colour { sequence(cell) } else { String::new() };
        if style != before {
            text.push_str("\u{1b}[0m");
            text.push_str(&style);
            before = style;
        }
        text.push_str(cell.symbol());
    }
    if !before.is_empty() {
        text.push_str("\u{1b}[0m");
    }
    text
}

/// The escape sequence for the few styles that the screen uses.
fn sequence(cell: &Cell) -> String {
    let mut codes: Vec<&str> = Vec::new();
    match cell.fg {
        Color::Green => codes.push("32"),
        Color::Yellow => codes.push("33"),
        Color::Red => codes.push("31"),
        _ => {}
    }
    if cell.modifier.contains(Modifier::BOLD) {
        codes.push("1");
    }
    if cell.modifier.contains(Modifier::DIM) {
        codes.push("2");
    }
    if codes.is_empty() { String::new() } else { format!("\u{1b}[{}m", codes.join(";")) }
}
