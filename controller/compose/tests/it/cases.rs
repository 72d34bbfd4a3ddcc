//! The table: each `cases/NAME.txt` holds files and what was asked, `cases/NAME.out` what comes out.
//!
//! A line `=== PATH` begins a file; those ending in `.yml` before the line `=== (packed)` are the compose files, all
//! after it are packed. `=== (environment)`, `=== (profiles)`, `=== (left out)` and `=== (name)` hold lines of what
//! they say.

use omni_compose::{Input, ProjectFile, Reading, normalised, read};
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn parse(text: &str) -> Input {
    let mut input = Input { project_name: Some("app".to_owned()), ..Input::default() };
    let mut packed = false;
    for part in text.split("=== ").skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let lines = || body.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        match head.trim() {
            "(packed)" => packed = true,
            "(environment)" => {
                let pair = |line: String| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
                input.environment.extend(lines().filter_map(pair));
            }
            "(profiles)" => input.profiles.extend(lines()),
            "(left out)" => input.left_out.extend(lines()),
            "(name)" => input.project_name = lines().next(),
            path if path.ends_with(".yml") && !packed => {
                input.files.push((path.to_owned(), body.as_bytes().to_vec()));
            }
            path => {
                input.project_files.insert(path.to_owned(), ProjectFile::new(body));
            }
        }
    }
    input
}

fn show(input: &Input) -> String {
    match read(input) {
        Ok(reading) => {
            check_round_trip(input, &reading);
            let mut out = normalised(&reading);
            write!(out, "{}", groups(&reading)).expect("a string takes it");
            for note in &reading.notes {
                writeln!(out, "# note: {note}").expect("a string takes it");
            }
            out
        }
        Err(faults) => format!("{faults}\n"),
    }
}

/// The parts of the groups that the normalised form does not show.
fn groups(reading: &Reading) -> String {
    let mut out = String::new();
    for (name, group) in &reading.spec.groups {
        let services: Vec<&str> = group.services.iter().map(|name| name.as_str()).collect();
        let exclusive = if group.exclusive { ", exclusive" } else { "" };
        writeln!(out, "# group {name}: {} ({:?}{exclusive})", services.join(", "), group.mode)
            .expect("a string takes it");
        if !group.data.is_empty() {
            writeln!(out, "#   data {:?}", group.data).expect("a string takes it");
        }
        if group.resources != Default::default() {
            writeln!(out, "#   reserves {:?}", group.resources).expect("a string takes it");
        }
    }
    out
}

/// What is printed reads back to the same app, and prints the same.
pub(crate) fn check_round_trip(input: &Input, reading: &Reading) {
    let text = normalised(reading);
    let path = match input.files.first() {
        Some((path, _)) => path.clone(),
        None => return,
    };
    let again = Input {
        files: vec![(path, text.clone().into_bytes())],
        profiles: ["*".to_owned()].into(),
        ..input.clone()
    };
    let again = read(&again).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    assert_eq!(normalised(&again), text);
    assert_eq!(again.spec, reading.spec);
    assert_eq!(again.files, reading.files);
    assert_eq!(again.spec.digest(), reading.spec.digest());
    let json = reading.spec.to_canonical_json();
    assert_eq!(omni_common::domain::app::AppSpec::from_json(&json).expect("it does"), reading.spec);
}

#[test]
fn every_case_comes_out_as_written() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("it does") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            count += 1;
            let input = parse(&std::fs::read_to_string(&path).expect("it does"));
            wrong.extend(crate::golden(&path.with_extension("out"), &show(&input)).err());
        }
    }
    assert!(count > 20, "only {count} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reading_twice_gives_the_same() {
    for entry in std::fs::read_dir(folder()).expect("it does") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let input = parse(&std::fs::read_to_string(&path).expect("it does"));
            assert_eq!(read(&input), read(&input));
        }
    }
}
