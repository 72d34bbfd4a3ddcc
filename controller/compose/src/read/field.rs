//! A part of the document with its path, and its value as the kind that belongs there.

use crate::fault::{FaultKind, quoted};
use crate::report::{At, Report};
use crate::units;
use crate::yaml::{Node, Value};

/// Most items of one list.
const MAX_ITEMS: usize = 4096;

/// A part of the document that was found.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

impl<'a> Field<'a> {
    pub(crate) fn new(node: &'a Node, path: impl Into<String>) -> Self {
        Self { node, path: path.into() }
    }

    pub(crate) fn at(&self) -> At {
        self.node.at
    }

    /// The value of a key; nothing when it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<Field<'a>> {
        self.node.get(key).map(|node| Field::new(node, self.key(key)))
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn is_text(&self) -> bool {
        self.node.text().is_some()
    }

    pub(crate) fn is_mapping(&self) -> bool {
        self.node.entries().is_some()
    }

    pub(crate) fn is_list(&self) -> bool {
        self.node.items().is_some()
    }

    /// A fault at this place.
    pub(crate) fn fault(&self, report: &mut Report, kind: FaultKind, message: impl Into<String>, hint: &str) {
        report.fault(self.at(), &self.path, kind, message, hint);
    }

    pub(crate) fn wrong(&self, report: &mut Report, message: impl Into<String>, hint: &str) {
        self.fault(report, FaultKind::Value, message, hint);
    }

    pub(crate) fn note(&self, report: &mut Report, message: impl Into<String>) {
        report.note(self.at(), &self.path, message);
    }

    fn expected(&self, report: &mut Report, what: &str) {
        let message = format!("here belongs {what}, this is {}", self.node.what());
        self.wrong(report, message, "");
    }

    /// Named parts, null ones too.
    pub(crate) fn entries(&self, report: &mut Report) -> Vec<(&'a str, Field<'a>)> {
        match &self.node.value {
            Value::Mapping(entries) => entries
                .iter()
                .filter(|entry| !entry.key.starts_with("x-"))
                .map(|entry| (entry.key.as_str(), Field::new(&entry.node, self.key(&entry.key))))
                .collect(),
            Value::Null => Vec::new(),
            _ => {
                self.expected(report, "a mapping");
                Vec::new()
            }
        }
    }

    pub(crate) fn items(&self, report: &mut Report) -> Vec<Field<'a>> {
        let Some(items) = self.node.items() else {
            if !self.node.is_null() {
                self.expected(report, "a list");
            }
            return Vec::new();
        };
        if items.len() > MAX_ITEMS {
            let message = format!("the list has {} items; {MAX_ITEMS} are read", items.len());
            self.fault(report, FaultKind::TooLarge, message, "");
        }
        let numbered = items.iter().take(MAX_ITEMS).enumerate();
        numbered.map(|(index, node)| Field::new(node, format!("{}[{index}]", self.path))).collect()
    }

    /// Items of a list, or a single text as a list of one.
    pub(crate) fn items_or_one(&self, report: &mut Report) -> Vec<Field<'a>> {
        if self.is_text() { vec![self.clone()] } else { self.items(report) }
    }

    pub(crate) fn text(&self, report: &mut Report) -> Option<String> {
        match self.node.text() {
            Some(text) if text.contains('\0') => {
                self.wrong(report, "a text cannot contain a zero character", "");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.expected(report, "a single value");
                None
            }
        }
    }

    pub(crate) fn texts(&self, report: &mut Report) -> Vec<String> {
        self.items(report).iter().filter_map(|item| item.text(report)).collect()
    }

    pub(crate) fn texts_or_one(&self, report: &mut Report) -> Vec<String> {
        self.items_or_one(report).iter().filter_map(|item| item.text(report)).collect()
    }

    pub(crate) fn boolean(&self, report: &mut Report) -> Option<bool> {
        let text = self.text(report)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some(true),
            "false" | "no" | "off" | "n" | "0" => Some(false),
            _ => {
                self.wrong(
                    report,
                    format!("`{}` is neither true nor false", quoted(&text)),
                    "write `true` or `false`",
                );
                None
            }
        }
    }

    /// A whole number within these bounds.
    pub(crate) fn integer<T: TryFrom<i64>>(&self, report: &mut Report, from: i64, to: i64) -> Option<T> {
        let text = self.text(report)?;
        let number = units::whole(&text).filter(|number| (from..=to).contains(number));
        if number.is_none() {
            let message = format!("`{}` is no whole number from {from} to {to}", quoted(&text));
            self.wrong(report, message, "");
        }
        number.and_then(|number| T::try_from(number).ok())
    }

    /// A size in bytes.
    pub(crate) fn bytes(&self, report: &mut Report) -> Option<u64> {
        let text = self.text(report)?;
        let size = units::bytes(&text);
        if size.is_none() {
            let message = format!("`{}` is no size", quoted(&text));
            self.wrong(report, message, "write a number with b, k, m, g or t, e.g. `512m`");
        }
        size
    }

    /// A duration in milliseconds.
    pub(crate) fn duration_ms(&self, report: &mut Report) -> Option<u64> {
        let text = self.text(report)?;
        let duration = units::duration_ms(&text);
        if duration.is_none() {
            let hint = if units::whole(&text).is_some() {
                "the unit is missing: write e.g. `30s`"
            } else {
                "write e.g. `1m30s`"
            };
            self.wrong(report, format!("`{}` is no duration", quoted(&text)), hint);
        }
        duration
    }

    /// A number of CPUs, in billionths of one.
    pub(crate) fn nano_cpus(&self, report: &mut Report) -> Option<u64> {
        let text = self.text(report)?;
        let cpus = units::billionths(&text);
        if cpus.is_none() {
            self.wrong(
                report,
                format!("`{}` is no number of CPUs", quoted(&text)),
                "write e.g. `0.5` or `2`",
            );
        }
        cpus
    }

    /// Permission bits. A number that begins with 0 is octal, as is one in quotes.
    pub(crate) fn mode(&self, report: &mut Report) -> Option<u32> {
        let text = self.text(report)?;
        let plain = matches!(self.node.value, Value::Scalar { plain: true, .. });
        let octal =
            text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).or((!plain).then_some(text.as_str()));
        let bits = match octal {
            Some("") => Some(0),
            Some(digits) => u32::from_str_radix(digits, 8).ok(),
            None => text.parse().ok(),
        };
        let bits = bits.filter(|bits| *bits <= 0o7777);
        match bits {
            None => {
                self.wrong(report, format!("`{}` are no permission bits", quoted(&text)), "write e.g. `0440`")
            }
            Some(bits) if octal.is_none() => {
                self.note(report, format!("`{text}` is a decimal number, so the permissions are {bits:04o}"));
            }
            Some(_) => {}
        }
        bits
    }

    /// `NAME=value` pairs, from a mapping or from a list. A name without a value comes without one.
    pub(crate) fn pairs(&self, report: &mut Report) -> Vec<(String, Option<String>, At)> {
        if self.is_list() {
            let items = self.items(report);
            let split = |text: String, at| match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned()), at),
                None => (text, None, at),
            };
            return items.iter().filter_map(|item| Some(split(item.text(report)?, item.at()))).collect();
        }
        let mut pairs = Vec::new();
        for (name, field) in self.entries_with_extensions(report) {
            let value = if field.node.is_null() { None } else { field.text(report) };
            if value.is_some() || field.node.is_null() {
                pairs.push((name.to_owned(), value, field.at()));
            }
        }
        pairs
    }

    /// Pairs of which each needs a value; one without has an empty one.
    pub(crate) fn map(&self, report: &mut Report) -> std::collections::BTreeMap<String, String> {
        self.pairs(report).into_iter().map(|(name, value, _)| (name, value.unwrap_or_default())).collect()
    }

    fn entries_with_extensions(&self, report: &mut Report) -> Vec<(&'a str, Field<'a>)> {
        match &self.node.value {
            Value::Mapping(entries) => {
                let field = |entry: &'a crate::yaml::Entry| {
                    (entry.key.as_str(), Field::new(&entry.node, self.key(&entry.key)))
                };
                entries.iter().map(field).collect()
            }
            _ => self.entries(report),
        }
    }

    /// A command: a list as it is, a text split as a shell would.
    pub(crate) fn command(&self, report: &mut Report) -> Option<Vec<String>> {
        if self.is_list() {
            return Some(self.texts(report));
        }
        let text = self.text(report)?;
        let words = shlex::split(&text);
        if words.is_none() {
            let message = format!("a quote is not closed in `{}`", quoted(&text));
            self.wrong(report, message, "close it, or write the command as a list");
        }
        words
    }
}

impl Field<'_> {
    /// How many entries or items there are.
    pub(crate) fn entries_or_items(&self) -> usize {
        self.node.entries().map_or(0, <[_]>::len) + self.node.items().map_or(0, <[_]>::len)
    }
}
