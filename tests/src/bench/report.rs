//! Results: a table for people, a JSON file for programs.

use super::machine::{Machine, load};
use anyhow::{Context, Result, ensure};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use omni_common::clock::{Clock, SystemClock, Time};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One finished measurement.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What was measured, as it is asked for: `writes`, say.
    pub(super) name: &'static str,
    /// Version of omni.
    pub(super) version: &'static str,
    /// Whether it was a quick run.
    pub(super) quick: bool,
    /// When it ended.
    pub(super) at: Time,
    /// What it was made on.
    pub(super) machine: Machine,
    /// Load averages at its end, its own work included.
    pub(super) load_after: [f64; 3],
    /// What was run, and how.
    pub(super) setup: Vec<String>,
    /// What DESIGN asks for and what was measured.
    pub(super) goals: Vec<Goal>,
    /// What could not be measured, and why.
    pub(super) failures: Vec<String>,
    /// Everything that was measured.
    pub(super) results: serde_json::Value,
    /// For people.
    #[serde(skip)]
    pub(super) tables: Vec<(String, Table)>,
}

/// A target, and whether it is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Goal {
    /// What is measured.
    pub(super) what: String,
    /// The limit.
    pub(super) limit: f64,
    /// Whether the limit is a ceiling (otherwise a floor).
    pub(super) at_most: bool,
    /// Unit of both numbers.
    pub(super) unit: &'static str,
    /// What was measured.
    pub(super) measured: f64,
    /// Whether it is met.
    pub(super) met: bool,
}

impl Goal {
    /// `measured` should be `limit` or more.
    pub(super) fn at_least(what: impl Into<String>, limit: f64, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), limit, at_most: false, unit, measured, met: measured >= limit }
    }

    /// `measured` should be `limit` or less.
    pub(super) fn at_most(what: impl Into<String>, limit: f64, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), limit, at_most: true, unit, measured, met: measured <= limit }
    }
}

impl Report {
    /// An empty report on a machine.
    pub(super) fn new(name: &'static str, quick: bool, machine: &Machine) -> Self {
        Self {
            name,
            version: env!("CARGO_PKG_VERSION"),
            quick,
            at: SystemClock.now(),
            machine: machine.clone(),
            load_after: [0.0; 3],
            setup: Vec::new(),
            goals: Vec::new(),
            failures: Vec::new(),
            results: serde_json::Value::Null,
            tables: Vec::new(),
        }
    }

    /// Prints it, and writes it into `folder` when there is one.
    ///
    /// # Errors
    /// When the file cannot be written, or something could not be measured.
    pub(super) fn publish(mut self, folder: Option<&Path>) -> Result<()> {
        self.at = SystemClock.now();
        self.load_after = load();
        print(&self.text());
        if let Some(folder) = folder {
            self.write(folder)?;
        }
        ensure!(self.failures.is_empty(), "{} is not complete: {}", self.name, self.failures.join("; "));
        Ok(())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.name));
        let json = serde_json::to_vec_pretty(self).context("encoding the report")?;
        fs::write(&path, json).with_context(|| format!("writing {}", path.display()))
    }

    fn text(&self) -> String {
        let mut text = format!("\n== {} ==\n{}\n", self.name, self.machine.line());
        for line in &self.setup {
            text += &format!("{line}\n");
        }
        for (title, table) in &self.tables {
            text += &format!("\n{title}\n{table}\n");
        }
        text + &self.goal_table()
    }

    fn goal_table(&self) -> String {
        if self.goals.is_empty() {
            return String::new();
        }
        let mut table = table(&["target", "wanted", "measured", ""]);
        for goal in &self.goals {
            let bound = if goal.at_most { "at most" } else { "at least" };
            table.add_row([
                goal.what.clone(),
                format!("{bound} {} {}", number(goal.limit), goal.unit),
                format!("{} {}", number(goal.measured), goal.unit),
                if goal.met { "met" } else { "MISSED" }.to_owned(),
            ]);
        }
        format!("\ntargets\n{table}\n")
    }
}

/// A table whose first column is text and whose others are numbers.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number with as many digits as it deserves.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Results go to standard output …
#[allow(clippy::print_stdout, reason = "the one place that prints results")]
fn print(text: &str) {
    println!("{text}");
}

/// … and what happens meanwhile to standard error.
pub(super) fn note(text: impl AsRef<str>) {
    eprintln!("    {}", text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_know_their_direction() {
        assert!(Goal::at_least("writes", 4.0, 4.2, "x").met);
        assert!(!Goal::at_most("p99", 0.4, 0.5, "x").met);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([1234.5, 12.345, 0.123].map(number), ["1234", "12.3", "0.12"]);
    }
}
