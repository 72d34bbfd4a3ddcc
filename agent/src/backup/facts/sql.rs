//! Facts of a dump in SQL: its tables and rows, and whether its end is there.
//!
//! PostgreSQL's dumps hold the rows of a table between `COPY … FROM stdin;` and `\.`, one a line, so counting lines counts
//! what the dump itself holds, whatever else writes to the server meanwhile.

use super::Facts;
use std::collections::BTreeMap;

/// Longest beginning of a line that is looked at; rows are longer and are only counted.
const MAX_LINE: usize = 1024;
/// Most tables that are told of one by one; all are in the sums.
const MAX_TABLES: usize = 100;
/// The line that omni has the end of a dump marked with.
pub(in crate::backup) const END_MARK: &str = "-- omni: the dump is complete";
/// Beginnings of the lines with which programs mark the end themselves.
const END_MARKS: [&str; 4] = [
    END_MARK,
    "-- PostgreSQL database cluster dump complete",
    "-- PostgreSQL database dump complete",
    "-- Dump completed",
];

/// Looks at a dump line by line.
#[derive(Debug)]
pub(super) struct SqlWatch {
    copies: bool,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// Whether the line has more bytes than are kept.
    long: bool,
    database: String,
    /// The table whose rows are passing, and how many did.
    copying: Option<(String, u64)>,
    tables: u64,
    rows: u64,
    by_table: BTreeMap<String, u64>,
    ended: bool,
}

impl SqlWatch {
    pub(super) fn postgres() -> Self {
        Self {
            copies: true,
            line: Vec::new(),
            long: false,
            database: String::new(),
            copying: None,
            tables: 0,
            rows: 0,
            by_table: BTreeMap::new(),
            ended: false,
        }
    }

    pub(super) fn mariadb() -> Self {
        Self { copies: false, ..Self::postgres() }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.end_of_line();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.long |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let long = std::mem::take(&mut self.long);
        if let Some((table, rows)) = &mut self.copying {
            if line == b"\\." && !long {
                let (table, rows) = (std::mem::take(table), *rows);
                self.copying = None;
                self.table(table, rows);
            } else {
                *rows += 1;
            }
        } else if !long && let Ok(text) = std::str::from_utf8(&line) {
            self.statement(text);
        }
        // The buffer is used again.
        self.line = line;
        self.line.clear();
    }

    fn statement(&mut self, text: &str) {
        if text.starts_with("--") && text.len() > 3 {
            self.ended = END_MARKS.iter().any(|mark| text.starts_with(mark));
        }
        if !self.copies {
            if text.starts_with("CREATE TABLE ") {
                self.tables += 1;
            }
        } else if let Some(database) = text.strip_prefix("\\connect ") {
            self.database = database_of(database);
        } else if let Some(table) = copied(text) {
            self.copying = Some((table.to_owned(), 0));
        }
    }

    fn table(&mut self, table: String, rows: u64) {
        self.tables += 1;
        self.rows += rows;
        if self.by_table.len() < MAX_TABLES && !self.database.contains(['.', '"', '\'']) {
            self.by_table.insert(format!("{}.{table}", self.database), rows);
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::from([("tables".to_owned(), self.tables.to_string())]);
        if self.copies {
            facts.insert("rows".to_owned(), self.rows.to_string());
            let by_table = self.by_table.iter();
            facts.extend(by_table.map(|(table, rows)| (format!("rows:{table}"), rows.to_string())));
        }
        facts
    }

    pub(super) fn complete(&self) -> Result<(), String> {
        match self.ended && self.copying.is_none() {
            true => Ok(()),
            false => Err("the dump has no end: it was cut off where it was made or kept".to_owned()),
        }
    }
}

/// The table and its columns' list in `COPY schema.table (a, b) FROM stdin;`, without the list.
fn copied(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;")?;
    let (table, columns) = rest.split_once(" (")?;
    columns.ends_with(')').then_some(table)
}

/// The name in `\connect shop` and in `\connect -reuse-previous=on "dbname='my shop'"`.
fn database_of(text: &str) -> String {
    let quoted = text.split_once("\"dbname='").and_then(|(_, rest)| rest.strip_suffix("'\""));
    quoted.unwrap_or(text.trim_matches('"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\connect shop\n\nCREATE TABLE public.orders (id integer);\n\nCOPY public.orders (id, what) FROM stdin;\n1\tbread\n2\t-- PostgreSQL database dump complete\n\\.\n\nCOPY public.\"Old One\" (a) FROM stdin;\n\\.\n\n\\connect -reuse-previous=on \"dbname='second'\"\nCOPY a.t (x) FROM stdin;\n7\n\\.\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n";

    fn watched(text: &str, cut: usize) -> SqlWatch {
        let mut watch = SqlWatch::postgres();
        text.as_bytes().chunks(cut).for_each(|piece| watch.feed(piece));
        watch
    }

    #[test]
    fn rows_are_counted_by_table() {
        let watch = watched(DUMP, 7);
        let expected = [
            ("rows", "3"),
            ("rows:second.a.t", "1"),
            ("rows:shop.public.\"Old One\"", "0"),
            ("rows:shop.public.orders", "2"),
            ("tables", "3"),
        ];
        let expected: Facts =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(watch.facts(), expected);
        assert_eq!(watch.complete(), Ok(()));
    }

    #[test]
    fn a_dump_without_its_end_is_not_complete() {
        let end = DUMP.find("-- PostgreSQL database cluster").expect("it has one");
        for cut in [0, 40, DUMP.find("bread").expect("a row"), end, end + 20] {
            assert!(watched(&DUMP[..cut], 1000).complete().is_err(), "{cut}");
        }
    }

    #[test]
    fn the_end_of_one_database_is_not_that_of_all() {
        let text = "-- PostgreSQL database dump complete\n--\n-- PostgreSQL database dump\n";
        assert!(watched(text, 1000).complete().is_err());
        let mut watch = SqlWatch::mariadb();
        watch.feed(b"CREATE TABLE `a` (\n`id` int\n);\n-- Dump completed on 2026-11-27 20:00:00\n");
        assert_eq!((watch.complete(), watch.facts()["tables"].as_str()), (Ok(()), "1"));
    }

    #[test]
    fn long_rows_are_one_row_each() {
        let text = format!("COPY a.t (x) FROM stdin;\n{}\n{}\n\\.\n", "x".repeat(5000), "y".repeat(MAX_LINE));
        let watch = watched(&text, 4096);
        assert_eq!(watch.facts()["rows"], "2");
        assert!(watch.line.capacity() < 4 * MAX_LINE);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cut in 1_usize..80) {
            prop_assert_eq!(watched(DUMP, cut).facts(), watched(DUMP, DUMP.len()).facts());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            SqlWatch::postgres().feed(&bytes);
        }
    }
}
