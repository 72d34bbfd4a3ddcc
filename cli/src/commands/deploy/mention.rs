//! Which variables compose and environment files mention. Only these are taken from the caller's shell: everything
//! else in it is nobody's business.
//!
//! The files are read for good by the controller. This looks for words, and it may find one too many; it never
//! misses one that Compose would look up.

use std::collections::BTreeSet;

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A compose file.
    Compose,
    /// A file of variables.
    Variables,
}

/// Variables that Compose looks up though no file mentions them.
const ALWAYS: [&str; 2] = ["COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"];

/// Names of the variables that `texts` mention.
pub(crate) fn mentioned<'a>(texts: impl Iterator<Item = (Kind, &'a str)>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    for (kind, text) in texts {
        references(text, &mut names);
        text.lines().for_each(|line| passed_through(kind, line, &mut names));
    }
    names
}

/// `$NAME` and `${NAME…}`, also inside of another one's default. `$$` is a dollar sign.
fn references(text: &str, names: &mut BTreeSet<String>) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let word = rest.strip_prefix('{').unwrap_or(rest);
        let name = &word[..name_length(word)];
        if !name.is_empty() {
            names.insert(name.to_owned());
        }
    }
}

/// Names without a value, which take that of the shell: `- NAME` and `NAME:` under `environment` or `args`,
/// `environment: NAME` of a secret or config, `NAME` in an environment file.
fn passed_through(kind: Kind, line: &str, names: &mut BTreeSet<String>) {
    let mut keep = |word: &str| {
        let word = word.trim().trim_matches(['"', '\'']);
        if !word.is_empty() && name_length(word) == word.len() {
            names.insert(word.to_owned());
        }
    };
    let line = line.split(" #").next().unwrap_or_default();
    match kind {
        Kind::Variables => keep(line.trim().strip_prefix("export ").unwrap_or(line)),
        Kind::Compose => {
            for part in line.split(['[', ']', '{', '}', ',']) {
                let part = part.trim().trim_start_matches("- ").trim();
                match part.split_once(':') {
                    None => keep(part),
                    Some((name, "")) => keep(name),
                    Some((name, value)) if matches!(value.trim(), "" | "null" | "~") => keep(name),
                    Some(("environment", name)) => keep(name),
                    Some(_) => {}
                }
            }
        }
    }
}

/// Length in bytes of the variable's name that `text` begins with.
fn name_length(text: &str) -> usize {
    let digit_first = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if digit_first { 0 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(kind: Kind, text: &str) -> Vec<String> {
        let all = mentioned([(kind, text)].into_iter());
        all.into_iter().filter(|name| !ALWAYS.contains(&name.as_str())).collect()
    }

    #[test]
    fn every_form_of_a_reference_is_found() {
        let text = "image: \"web:${TAG:-$FALLBACK}\"\nx: ${A?${B}} $C$D $$E ${-F} $1 a$\n";
        assert_eq!(found(Kind::Compose, text), ["A", "B", "C", "D", "FALLBACK", "TAG"]);
    }

    #[test]
    fn names_without_a_value_are_found() {
        let text = "
services:
  web:
    environment:
      - TOKEN
      - \"QUOTED\"
      - SET=1
      PASSED:   # from the shell
      GIVEN: 1
      NOTHING: null
    command: [serve, \"FLOW\"]
    build: {args: {REV: , MODE: fast}}
secrets:
  key:
    environment: API_KEY
";
        let names = found(Kind::Compose, text);
        for name in ["TOKEN", "QUOTED", "PASSED", "NOTHING", "FLOW", "REV", "API_KEY"] {
            assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
        }
        for name in ["SET", "GIVEN", "MODE", "fast"] {
            assert!(!names.contains(&name.to_owned()), "{name} in {names:?}");
        }
    }

    #[test]
    fn environment_files_pass_names_through_too() {
        let text = "A=1\nexport B\nC\n# D\nE=${F}\n";
        assert_eq!(found(Kind::Variables, text), ["B", "C", "F"]);
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_through(text in "\\PC{0,80}|[$ {}A-Z:\\-\\[\\],\n]{0,40}") {
            for kind in [Kind::Compose, Kind::Variables] {
                for name in mentioned([(kind, text.as_str())].into_iter()) {
                    prop_assert_eq!(name_length(&name), name.len());
                }
            }
        }
    }
}
