//! Variables in values: `$A`, `${A}`, `${A:-b}`, `${A-b}`, `${A:?m}`, `${A?m}`, `${A:+b}`, `${A+b}`, nested, `$$`.

use crate::fault::{FaultKind, quoted};
use crate::report::Report;
use crate::yaml::{Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting of `${A:-${B:-…}}`.
const MAX_NESTING: usize = 20;
/// Longest value after variables are put in, bytes.
const MAX_VALUE_BYTES: usize = 256 * 1024;
/// Most bytes that variables may add to one file.
const MAX_ADDED_BYTES: usize = 4 * 1024 * 1024;

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Why a value cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

impl Problem {
    fn new(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint }
    }
}

/// Puts variables into one value. Names of those that are not set and have no default are added to
/// `undefined`; they count as empty.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    undefined: &mut BTreeSet<String>,
) -> Result<String, Problem> {
    let mut expansion = Expansion { lookup, undefined };
    let mut out = String::new();
    expansion.text(text, 0, &mut out)?;
    Ok(out)
}

struct Expansion<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    undefined: &'a mut BTreeSet<String>,
}

impl Expansion<'_> {
    fn text(&mut self, text: &str, nesting: usize, out: &mut String) -> Result<(), Problem> {
        if nesting > MAX_NESTING {
            return Err(Problem::new(
                format!("variables are nested more than {MAX_NESTING} deep"),
                "give the inner default a variable of its own in .env",
            ));
        }
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            push(out, &rest[..dollar])?;
            let after = &rest[dollar + 1..];
            rest = match after.chars().next() {
                Some('$') => {
                    push(out, "$")?;
                    &after[1..]
                }
                Some('{') => {
                    let end = closing_brace(after).ok_or_else(|| {
                        Problem::new(
                            format!("`${}` has no closing brace", quoted(after)),
                            "write `$$` for a dollar sign that begins no variable",
                        )
                    })?;
                    self.braced(&after[1..end], nesting, out)?;
                    &after[end + 1..]
                }
                _ => {
                    let length = name_length(after);
                    if length == 0 {
                        return Err(Problem::new(
                            format!("`${}` begins no variable", quoted(after.get(..1).unwrap_or(""))),
                            "write `$$` for a dollar sign",
                        ));
                    }
                    let value = self.value(&after[..length]).unwrap_or_default();
                    push(out, &value)?;
                    &after[length..]
                }
            };
        }
        push(out, rest)
    }

    /// What stands between `${` and `}`.
    fn braced(&mut self, inner: &str, nesting: usize, out: &mut String) -> Result<(), Problem> {
        let (name, rest) = inner.split_at(name_length(inner));
        if name.is_empty() {
            return Err(Problem::new(
                format!("`${{{}}}` names no variable", quoted(inner)),
                "a name has letters, digits and `_`, and does not begin with a digit",
            ));
        }
        let (empty_counts, operator) = match rest.strip_prefix(':') {
            Some(rest) => (false, rest),
            None => (true, rest),
        };
        let set = (self.lookup)(name).filter(|value| empty_counts || !value.is_empty());
        let argument = operator.get(1..).unwrap_or("");
        match operator.chars().next() {
            None if rest.is_empty() => push(out, &self.value(name).unwrap_or_default()),
            Some('-') => match set {
                Some(value) => push(out, &value),
                None => self.text(argument, nesting + 1, out),
            },
            Some('+') => match set {
                Some(_) => self.text(argument, nesting + 1, out),
                None => Ok(()),
            },
            Some('?') => match set {
                Some(value) => push(out, &value),
                None => Err(self.required(name, argument, nesting)),
            },
            _ => Err(Problem::new(
                format!("`${{{}}}` cannot be read after `{name}`", quoted(inner)),
                "after the name comes `:-default`, `-default`, `:?message`, `?message`, `:+value` or `+value`",
            )),
        }
    }

    fn required(&mut self, name: &str, argument: &str, nesting: usize) -> Problem {
        let mut message = String::new();
        if let Err(problem) = self.text(argument, nesting + 1, &mut message) {
            return problem;
        }
        let why = if message.is_empty() { "the file requires it" } else { message.as_str() };
        Problem::new(
            format!("the variable `{name}` has to be set: {}", quoted(why)),
            "set it in .env, in the environment, or with --set NAME=value",
        )
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        if value.is_none() {
            self.undefined.insert(name.to_owned());
        }
        value
    }
}

fn push(out: &mut String, text: &str) -> Result<(), Problem> {
    if out.len() + text.len() > MAX_VALUE_BYTES {
        return Err(Problem::new(
            format!("with its variables the value has more than {MAX_VALUE_BYTES} bytes"),
            "put long content into a file",
        ));
    }
    out.push_str(text);
    Ok(())
}

fn name_length(text: &str) -> usize {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let part = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    if begins { text.bytes().take_while(part).count() } else { 0 }
}

/// Where the brace that `text` begins with is closed.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (index, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Puts variables into every value of a document. Keys stay as they are, as in Compose.
pub(crate) fn interpolate(document: &mut Node, variables: &Variables, report: &mut Report) {
    let mut walk = Walk { variables, report, added: 0 };
    walk.node(document, &mut String::new());
}

struct Walk<'a> {
    variables: &'a Variables,
    report: &'a mut Report,
    added: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, path: &mut String) {
        let at = node.at;
        let length = path.len();
        match &mut node.value {
            Value::Null => {}
            Value::Scalar { text, .. } if !text.contains('$') => {}
            Value::Scalar { text, .. } => {
                let mut undefined = BTreeSet::new();
                let lookup = |name: &str| self.variables.get(name).cloned();
                match expand(text, &lookup, &mut undefined) {
                    Ok(value) => {
                        self.added += value.len();
                        *text = if self.added <= MAX_ADDED_BYTES { value } else { self.too_much(at, path) };
                    }
                    Err(problem) => {
                        self.report.fault(at, path, FaultKind::Variable, problem.message, problem.hint);
                    }
                }
                for name in undefined {
                    let message = format!("the variable `{name}` is not set; it counts as empty");
                    self.report.note(at, path, message);
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    self.node(item, path);
                    path.truncate(length);
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&entry.key);
                    self.node(&mut entry.node, path);
                    path.truncate(length);
                }
            }
        }
    }

    fn too_much(&mut self, at: crate::report::At, path: &str) -> String {
        let message = format!("variables add more than {MAX_ADDED_BYTES} bytes to the file");
        self.report.fault(at, path, FaultKind::TooLarge, message, "put long content into files");
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let map: Variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut undefined = BTreeSet::new();
        expand(text, &|name| map.get(name).cloned(), &mut undefined).map_err(|problem| problem.message)
    }

    #[test]
    fn every_form_of_the_specification() {
        let set = [("A", "x"), ("E", ""), ("B", "y")];
        for (text, expected) in [
            ("$A", "x"),
            ("${A}", "x"),
            ("a$A.b", "ax.b"),
            ("$A$B", "xy"),
            ("$Ab", ""),
            ("${A:-d}", "x"),
            ("${E:-d}", "d"),
            ("${E-d}", ""),
            ("${U-d}", "d"),
            ("${U:-}", ""),
            ("${A:?m}", "x"),
            ("${E?m}", ""),
            ("${A:+r}", "r"),
            ("${E:+r}", ""),
            ("${E+r}", "r"),
            ("${U+r}", ""),
            ("${U:-${V:-$B}}", "y"),
            ("${U:-a-${B}-c}", "a-y-c"),
            ("${A:+${B}}", "y"),
            ("${U:-{\"k\": 1}}", "{\"k\": 1}"),
            ("$$A", "$A"),
            ("$$$A", "$x"),
            ("100$$", "100$"),
            ("${U:-http://h:80/?q=1}", "http://h:80/?q=1"),
            ("ünï $A", "ünï x"),
        ] {
            assert_eq!(with(text, &set).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_required_and_what_is_broken() {
        for (text, expected) in [
            ("${U:?set it}", "the variable `U` has to be set: set it"),
            ("${E:?}", "the variable `E` has to be set: the file requires it"),
            ("${U?need $A}", "the variable `U` has to be set: need x"),
            ("${A", "`${A` has no closing brace"),
            ("$", "`$` begins no variable"),
            ("$1", "`$1` begins no variable"),
            ("a $ b", "`$ ` begins no variable"),
            ("${}", "`${}` names no variable"),
            ("${A!x}", "`${A!x}` cannot be read after `A`"),
            ("${A:x}", "`${A:x}` cannot be read after `A`"),
        ] {
            assert_eq!(with(text, &[("A", "x"), ("E", "")]).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn growth_and_nesting_are_bounded() {
        let long = "x".repeat(MAX_VALUE_BYTES);
        assert!(with("$A$A", &[("A", &long)]).is_err());
        let deep = format!("{}z{}", "${U:-".repeat(MAX_NESTING + 1), "}".repeat(MAX_NESTING + 1));
        assert!(with(&deep, &[]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_exceeds_its_bound(text in "[$\\{\\}A-C:?+\\-ü x]{0,60}", value in ".{0,20}") {
            if let Ok(out) = with(&text, &[("A", &value), ("B", "")]) {
                prop_assert!(out.len() <= MAX_VALUE_BYTES);
            }
        }

        #[test]
        fn text_with_its_dollars_doubled_comes_back(text in ".{0,80}") {
            prop_assert_eq!(with(&text.replace('$', "$$"), &[]), Ok(text));
        }
    }
}
