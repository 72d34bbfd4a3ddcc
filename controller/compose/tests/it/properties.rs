//! What holds for any input: no panic, the same twice, bounded.

use omni_compose::{Input, MAX_FAULTS, MAX_NOTES, needs, normalised, read};
use proptest::prelude::*;

/// A file with most of the syntaxes in it, to be broken.
const SEED: &str = include_str!("../cases/everything.txt");

fn check(input: &Input) {
    let first = read(input);
    assert_eq!(first, read(input));
    assert!(first.is_err() || needs(input).is_ok());
    match first {
        Ok(reading) => {
            assert!(reading.notes.len() <= MAX_NOTES);
            let _ = normalised(&reading);
        }
        Err(faults) => {
            assert!(!faults.faults.is_empty() && faults.faults.len() <= MAX_FAULTS);
            let _ = faults.to_string();
        }
    }
}

fn named(text: &[u8]) -> Input {
    Input {
        files: vec![("docker-compose.yml".to_owned(), text.to_vec())],
        project_name: Some("app".to_owned()),
        ..Input::default()
    }
}

/// Cuts, doubles or swaps lines, and puts characters that mean something anywhere.
fn mutate(text: &str, edits: &[(usize, usize, char)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (kind, place, character) in edits {
        if lines.is_empty() {
            break;
        }
        let at = place % lines.len();
        match kind % 5 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = (place / 7) % lines.len();
                lines.swap(at, other);
            }
            3 => {
                let line = &mut lines[at];
                let mut place = place / 3 % (line.len() + 1);
                while !line.is_char_boundary(place) {
                    place -= 1;
                }
                line.insert(place, *character);
            }
            _ => lines[at] = format!("  {}", lines[at]),
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&named(&bytes));
    }

    #[test]
    fn any_yaml_is_answered(text in "[a-z:&*<\\-{}\\[\\],'\"!|> \\n$0-9]{0,200}") {
        check(&named(text.as_bytes()));
    }

    #[test]
    fn a_broken_file_is_answered(
        edits in proptest::collection::vec(
            (0_usize..5, 0_usize..10_000, proptest::sample::select(vec![':', '-', '$', '{', '}', '&', '*', '"', '\'', '[', '!', '#', ' ', 'x', '0', '/', '\u{e9}'])),
            1..8,
        )
    ) {
        let body = SEED.split_once('\n').map_or("", |(_, body)| body);
        let body = body.split("=== ").next().unwrap_or(body);
        check(&named(mutate(body, &edits).as_bytes()));
    }

    #[test]
    fn what_one_service_says_comes_back(
        command in proptest::collection::vec("[ -~\u{e9}]{1,12}", 0..4),
        variables in proptest::collection::btree_map("[A-Z_]{1,8}", "[ -~\u{e9}\n]{0,16}", 0..5),
        label in "[ -~]{0,20}",
    ) {
        let document = serde_json::json!({
            "services": { "web": {
                "image": "web:1",
                "command": command.iter().map(|word| word.replace('$', "$$")).collect::<Vec<_>>(),
                "environment": variables.iter().map(|(name, value)| (name.clone(), value.replace('$', "$$"))).collect::<std::collections::BTreeMap<_, _>>(),
                "labels": { "note": label.replace('$', "$$") },
            } }
        });
        // JSON is YAML.
        let input = named(document.to_string().as_bytes());
        let reading = read(&input).unwrap();
        let web = &reading.spec.services["web"];
        prop_assert_eq!(web.command.as_ref(), Some(&command));
        let read: std::collections::BTreeMap<_, _> =
            web.environment.iter().map(|(name, value)| (name.clone(), value.clone().unwrap())).collect();
        prop_assert_eq!(read, variables);
        prop_assert_eq!(&web.labels["note"], &label);
        let again = read_again(&reading);
        prop_assert_eq!(&again.spec, &reading.spec);
    }
}

fn read_again(reading: &omni_compose::Reading) -> omni_compose::Reading {
    read(&named(normalised(reading).as_bytes())).unwrap()
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "x-a: &a [z,z,z,z,z,z,z,z,z]\n".to_owned();
    for (from, to) in
        ["a", "b", "c", "d", "e", "f", "g", "h"].iter().zip(["b", "c", "d", "e", "f", "g", "h", "i"])
    {
        bomb.push_str(&format!("x-{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(",")));
    }
    let faults = read(&named(bomb.as_bytes())).unwrap_err();
    assert!(faults.to_string().contains("more than 200000 values"), "{faults}");
    let deep = format!("services: {}{}", "{a: ".repeat(200), "}".repeat(200));
    assert!(read(&named(deep.as_bytes())).unwrap_err().to_string().contains("nest"), "depth");
    let large = vec![b'#'; 1024 * 1024 + 1];
    assert!(read(&named(&large)).unwrap_err().to_string().contains("1048577 bytes"));
    let many: String = (0..201).map(|n| format!("  s{n}: {{image: a}}\n")).collect();
    let faults = read(&named(format!("services:\n{many}").as_bytes())).unwrap_err();
    assert!(faults.to_string().contains("the app has 201 services; 200 are read"), "{faults}");
}

#[test]
fn content_above_the_bound_is_a_fault_that_says_what_to_do() {
    let mut input =
        named(b"services: {web: {image: a, volumes: ['./big.bin:/big:ro', './small:/small:ro']}}\n");
    input.project_files.insert("big.bin".to_owned(), omni_compose::ProjectFile::new(vec![7_u8; 1024 * 1024]));
    input.project_files.insert("small".to_owned(), omni_compose::ProjectFile::new("x"));
    let faults = read(&input).unwrap_err().to_string();
    assert!(faults.contains("1048577 bytes; it may have 1024 KiB"), "{faults}");
    assert!(
        faults.contains("big.bin (1048576 bytes)") && faults.contains("an image or a volume"),
        "{faults}"
    );
    input.project_files.insert("small".to_owned(), omni_compose::ProjectFile::new(""));
    assert!(read(&input).is_ok());
}

#[test]
fn a_client_learns_step_by_step_what_to_pack() {
    let mut input = named(b"include: [more/other.yml]\nservices: {web: {image: a, env_file: web.env}}\n");
    let paths = |input: &Input| -> Vec<String> {
        needs(input)
            .unwrap()
            .into_iter()
            .filter(|reference| !reference.given)
            .map(|reference| reference.path)
            .collect()
    };
    assert_eq!(paths(&input), [".env", "more/.env", "more/other.yml"]);
    assert_eq!(read(&input).unwrap_err().only_needed(), Some(vec!["more/other.yml"]));
    input = input.with_file("more/other.yml", "services: {db: {image: b, volumes: ['./data:/data']}}\n");
    assert_eq!(paths(&input), [".env", "more/.env", "more/data", "web.env"]);
    assert_eq!(read(&input).unwrap_err().only_needed(), Some(vec!["more/data", "web.env"]));
    input = input.with_file("web.env", "A=1\n");
    input.left_out.insert("more/data".to_owned());
    let reading = read(&input).unwrap();
    assert_eq!(reading.spec.services["web"].environment["A"].as_deref(), Some("1"));
    assert!(reading.spec.groups["main"].exclusive);
}
