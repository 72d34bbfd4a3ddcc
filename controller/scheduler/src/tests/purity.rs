//! The planner stays pure: nothing in it names a clock, a source of randomness, a runtime or the outside.

use std::path::Path;

/// What no file outside the tests may name, and why.
const BANNED: [(&str, &str); 9] = [
    ("SystemTime", "a plan does not know what time it is"),
    ("Instant::", "a plan does not know what time it is"),
    ("rand::", "equal problems make equal plans"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("std::fs", "nothing is read or written"),
    ("tokio", "nothing waits"),
    ("tracing::", "reasons are values"),
    ("f64", "floating point rounds differently from machine to machine"),
];

fn scan(folder: &Path, seen: &mut usize) {
    for entry in std::fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                scan(&path, seen);
            }
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        *seen += 1;
        for (word, why) in BANNED {
            assert!(!text.contains(word), "{} names `{word}`: {why}", path.display());
        }
    }
}

#[test]
fn no_clock_no_chance_no_outside() {
    let mut seen = 0;
    scan(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut seen);
    assert!(seen > 40, "{seen} files were looked at");
}
