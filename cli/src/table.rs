//! Tables without borders.
//!
//! Into a pipe every column comes whole, so that scripts see stable columns. On a terminal a table never
//! wraps: elastic columns are cut first, then the least important columns are left out.

use crate::tone::Tone;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell as TableCell, CellAlignment};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between columns.
const GAP: usize = 2;

/// How a column behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
    shrinks_to: Option<usize>,
    rank: u8,
    wide: bool,
}

impl Column {
    /// A left-aligned column that is always shown whole.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, right: false, shrinks_to: None, rank: 0, wide: false }
    }

    /// Aligned to the right: numbers.
    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// May be cut to `least` characters on a narrow terminal.
    pub(crate) const fn shrinks_to(mut self, least: usize) -> Self {
        self.shrinks_to = Some(least);
        self
    }

    /// Left out on a narrow terminal; the highest rank goes first.
    pub(crate) const fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// Only shown with `-o wide`.
    pub(crate) const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }
}

/// A cell: text and how it should strike the eye.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A toned cell. Control characters cannot reach the terminal from here.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: harmless(&text.into()), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Where a table is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fit {
    /// Columns of the terminal; absent in a pipe.
    pub width: Option<usize>,
    /// Use colours.
    pub colour: bool,
    /// Show the wide columns, and leave nothing out.
    pub wide: bool,
}

/// Rows under titles.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with one cell for each column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The table as lines, each ended.
    pub(crate) fn render(&self, fit: Fit) -> String {
        let mut shown: Vec<usize> =
            (0..self.columns.len()).filter(|&at| fit.wide || !self.columns[at].wide).collect();
        let widths = self.widths(&mut shown, fit);
        let mut text = self.draw(&shown, &widths, fit.colour);
        text.push('\n');
        text
    }

    /// The same without the titles.
    pub(crate) fn render_rows(&self, fit: Fit) -> String {
        let text = self.render(fit);
        text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
    }

    /// Chooses the columns to show and how wide each is.
    fn widths(&self, shown: &mut Vec<usize>, fit: Fit) -> Vec<usize> {
        let natural: Vec<usize> = (0..self.columns.len()).map(|at| self.natural_width(at)).collect();
        let Some(room) = fit.width.filter(|_| !fit.wide) else {
            return natural;
        };
        loop {
            let widths = self.shrink(&natural, shown, room);
            let total = total_width(shown, &widths);
            let least_needed = shown.iter().copied().max_by_key(|&at| self.columns[at].rank);
            match least_needed {
                Some(at) if total > room && self.columns[at].rank > 0 => shown.retain(|&kept| kept != at),
                _ => return widths,
            }
        }
    }

    fn natural_width(&self, column: usize) -> usize {
        let title = self.columns[column].title.width();
        let cells = self.rows.iter().map(|row| row[column].text.width());
        cells.max().unwrap_or(0).max(title)
    }

    /// Takes from the widest elastic column, one character at a time, until all fit or none gives more.
    fn shrink(&self, natural: &[usize], shown: &[usize], room: usize) -> Vec<usize> {
        let mut widths = natural.to_vec();
        while total_width(shown, &widths) > room {
            let gives = |&&at: &&usize| {
                let least =
                    self.columns[at].shrinks_to.map(|least| least.max(self.columns[at].title.width()));
                least.is_some_and(|least| widths[at] > least)
            };
            let Some(&widest) = shown.iter().filter(gives).max_by_key(|&&at| widths[at]) else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }

    fn draw(&self, shown: &[usize], widths: &[usize], colour: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let titles = shown.iter().map(|&at| self.cell(at, self.columns[at].title, Tone::Strong, colour));
        table.set_header(titles.collect::<Vec<_>>());
        for row in &self.rows {
            let cells = shown.iter().map(|&at| {
                let text = cut(&row[at].text, widths[at]);
                self.cell(at, &text, row[at].tone, colour)
            });
            table.add_row(cells.collect::<Vec<_>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP as u16));
        }
        table.trim_fmt()
    }

    fn cell(&self, column: usize, text: &str, tone: Tone, colour: bool) -> TableCell {
        let aligned = TableCell::new(text).set_alignment(if self.columns[column].right {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        });
        if colour { tone.on_cell(aligned) } else { aligned }
    }
}

fn total_width(shown: &[usize], widths: &[usize]) -> usize {
    let cells: usize = shown.iter().map(|&at| widths[at]).sum();
    cells + GAP * shown.len().saturating_sub(1)
}

/// Cuts `text` to `width` terminal columns, with an ellipsis in the last when something is lost.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let next = used + letter.width().unwrap_or(0);
        if next + 1 > width {
            break;
        }
        kept.push(letter);
        used = next;
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks `text` between words into lines of at most `width` columns. A longer word stands alone, and what is
/// quoted in backticks stays whole, so that it can be copied.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(begun) if quoted => {
                begun.push(' ');
                begun.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        quoted ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// Replaces control characters: names and messages come from elsewhere and must not steer the terminal, nor turn what
/// follows them round.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character changes the direction of those around it.
fn turns(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([
            Column::new("NAME"),
            Column::new("IMAGE").shrinks_to(8),
            Column::new("CPU").right(),
            Column::new("PORTS").rank(1),
            Column::new("ID").wide(),
        ]);
        table.row([
            "web".into(),
            "registry.lan/web:1.2.3".into(),
            Cell::toned("7%", Tone::Bad),
            "80->8080".into(),
            "abc".into(),
        ]);
        table.row(["database".into(), "postgres:17".into(), "112%".into(), "-".into(), "def".into()]);
        table
    }

    fn longest_line(text: &str) -> usize {
        text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    #[test]
    fn a_pipe_gets_every_column_whole_and_no_colour() {
        insta::assert_snapshot!(sample().render(Fit::default()), @r"
        NAME      IMAGE                    CPU  PORTS
        web       registry.lan/web:1.2.3    7%  80->8080
        database  postgres:17             112%  -
        ");
    }

    #[test]
    fn a_narrow_terminal_cuts_before_it_leaves_out() {
        let fit = |width| sample().render(Fit { width: Some(width), ..Fit::default() });
        insta::assert_snapshot!(fit(40), @r"
        NAME      IMAGE            CPU  PORTS
        web       registry.lan/…    7%  80->8080
        database  postgres:17     112%  -
        ");
        insta::assert_snapshot!(fit(30), @r"
        NAME      IMAGE            CPU
        web       registry.lan/…    7%
        database  postgres:17     112%
        ");
        for width in 24..60 {
            assert!(longest_line(&fit(width)) <= width, "{width}");
        }
    }

    #[test]
    fn wide_leaves_nothing_out() {
        let text = sample().render(Fit { width: Some(20), wide: true, colour: false });
        assert!(text.contains("PORTS") && text.contains("ID") && text.contains("web:1.2.3"));
    }

    #[test]
    fn colour_does_not_move_columns() {
        let coloured = sample().render(Fit { colour: true, ..Fit::default() });
        assert!(coloured.contains("\u{1b}["));
        assert!(coloured.contains("7%"));
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let mut table = Table::new([Column::new("NAME")]);
        table.row([Cell::from("evil\u{1b}[2J\nname")]);
        let text = table.render(Fit::default());
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn wrapping_keeps_words_whole() {
        assert_eq!(wrap("start it again, or remove it", 12), ["start it", "again, or", "remove it"]);
        assert_eq!(wrap("unbreakable word", 4), ["unbreakable", "word"]);
        assert_eq!(wrap("as is", usize::MAX), ["as is"]);
        assert_eq!(wrap("see `omni hosts show` first", 10), ["see", "`omni hosts show`", "first"]);
        assert!(wrap(" ", 9).is_empty());
    }

    #[test]
    fn cutting_counts_columns_not_letters() {
        assert_eq!(cut("日本語テキスト", 7), "日本語…");
        assert_eq!(cut("日本語テキスト", 6), "日本…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }
}
