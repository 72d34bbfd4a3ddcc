//! Files as people publish them: a few dozen, modelled on the most-used ones. `corpus/README.md` says where from.

use crate::cases::check_round_trip;
use crate::pack::read_from_disk;
use omni_compose::{Input, Reading};
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

pub(crate) fn names() -> Vec<String> {
    let mut all: Vec<String> = std::fs::read_dir(root())
        .expect("the corpus")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// Reads one of them, with whatever lies beside it.
pub(crate) fn reading(name: &str) -> (Input, Reading) {
    let input = Input { profiles: ["*".to_owned()].into(), ..Input::default() };
    let (input, reading) = read_from_disk(&root(), &format!("{name}/docker-compose.yml"), input);
    (input, reading.unwrap_or_else(|faults| panic!("{name}:\n{faults}")))
}

#[test]
fn every_file_reads_and_reads_back() {
    let names = names();
    assert!(names.len() >= 24, "only {} files", names.len());
    for name in names {
        let (input, reading) = reading(&name);
        assert_eq!(reading.spec.name, name);
        check_round_trip(&input, &reading);
    }
}
