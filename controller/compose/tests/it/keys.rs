//! The table of keys against the specification's own list, and the page that is written from it.

use omni_compose::{KEYS, Verdict, page};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The specification's keys, one path a line, in the form of the table.
const SPECIFICATION: &str = include_str!("../specification-keys.txt");

#[test]
fn every_key_of_the_specification_has_a_verdict() {
    let verdicts: BTreeMap<&str, Verdict> = KEYS.iter().map(|key| (key.path, key.verdict)).collect();
    // What is refused or different as a whole needs no rows for its parts.
    let decided_above = |path: &str| {
        let ends = path.match_indices(['.', '[']).map(|(end, _)| &path[..end]);
        ends.into_iter().any(|above| verdicts.get(above).is_some_and(|verdict| *verdict != Verdict::Honoured))
    };
    let missing: Vec<&str> = SPECIFICATION
        .lines()
        .filter(|path| !path.starts_with('#') && !verdicts.contains_key(path) && !decided_above(path))
        .collect();
    assert!(SPECIFICATION.lines().count() > 250);
    assert!(missing.is_empty(), "keys without a verdict: {missing:#?}");
}

#[test]
fn every_row_is_a_key_of_the_specification_or_omnis_own() {
    let specification: BTreeSet<&str> = SPECIFICATION.lines().collect();
    let own = |path: &str| path.contains("x-omni");
    let strange: Vec<&str> =
        KEYS.iter().map(|key| key.path).filter(|path| !own(path) && !specification.contains(path)).collect();
    assert!(strange.is_empty(), "rows that are no keys of the specification: {strange:#?}");
}

#[test]
fn no_key_has_two_verdicts_and_every_refusal_says_why() {
    let mut seen = BTreeSet::new();
    for key in KEYS {
        assert!(seen.insert(key.path), "{} is in the table twice", key.path);
        assert!(key.verdict == Verdict::Honoured || !key.remark.is_empty(), "{} says no reason", key.path);
    }
}

#[test]
fn the_page_is_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose-keys.md");
    if let Err(stale) = crate::golden(&path, &page()) {
        panic!("{stale}");
    }
}
