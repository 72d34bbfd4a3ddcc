//! How a later file overrides an earlier one, and a service the one it extends.
//!
//! Mappings merge key by key, lists are appended, single values are replaced; the exceptions are the
//! specification's. What may be written as a list or as a mapping is a mapping before it is merged.

use crate::fault::FaultKind;
use crate::read::{mount_key, port_key};
use crate::report::{At, Report};
use crate::yaml::{Entry, Node, Tag, Value};

/// What is special about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Mappings merge, lists append, the rest is replaced.
    Plain,
    /// Replaced, whatever it is.
    Replace,
    /// `NAME=value` lists are mappings.
    Pairs,
    /// Lists of names are mappings without values.
    Names,
    /// Lists of services are mappings to what a short `depends_on` stands for.
    Depends,
    /// A single text is a build context.
    Build,
    /// Merged only when both name the same driver, or one of them none.
    Logging,
    /// A single text is a list of one; nothing is in it twice.
    Texts,
    /// A list in which a published port is once.
    Ports,
    /// A list in which a target is once; the prefix is where a bare name is mounted.
    Targets(&'static str),
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, rest @ ..] => service_rule(rest),
        ["networks" | "volumes" | "secrets" | "configs", _, "labels"] => Rule::Pairs,
        ["networks" | "volumes" | "secrets" | "configs", _, "external"] => Rule::Replace,
        [key, ..] if key.starts_with("x-") && *key != "x-omni" => Rule::Replace,
        _ => Rule::Plain,
    }
}

fn service_rule(path: &[&str]) -> Rule {
    match path {
        ["command" | "entrypoint" | "gpus" | "extends"] | ["healthcheck", "test"] | ["ulimits", _] => {
            Rule::Replace
        }
        ["environment" | "labels" | "annotations" | "sysctls" | "storage_opt"] => Rule::Pairs,
        ["build", "args" | "labels" | "additional_contexts"] | ["deploy", "labels"] => Rule::Pairs,
        ["networks" | "models"] => Rule::Names,
        ["depends_on"] => Rule::Depends,
        ["build"] => Rule::Build,
        ["logging"] => Rule::Logging,
        [
            "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "tmpfs" | "extra_hosts" | "expose",
        ]
        | ["cap_add" | "cap_drop" | "profiles" | "links" | "external_links" | "security_opt" | "group_add"]
        | ["device_cgroup_rules" | "volumes_from"]
        | ["networks", _, "aliases" | "link_local_ips"]
        | ["build", "extra_hosts"] => Rule::Texts,
        ["ports"] => Rule::Ports,
        ["volumes" | "devices"] => Rule::Targets(""),
        ["configs"] => Rule::Targets("/"),
        ["secrets"] | ["build", "secrets"] => Rule::Targets("/run/secrets/"),
        [.., key] if key.starts_with("x-") && *key != "x-omni" => Rule::Replace,
        _ => Rule::Plain,
    }
}

/// Takes away what `!reset` marks in a part that overrides nothing, and forgets `!override`.
pub(crate) fn settle(mut node: Node) -> Node {
    node.tag = Tag::None;
    node.value = match node.value {
        Value::Mapping(entries) => Value::Mapping(
            entries
                .into_iter()
                .filter(|entry| entry.node.tag != Tag::Reset)
                .map(|entry| Entry { node: settle(entry.node), ..entry })
                .collect(),
        ),
        Value::Sequence(items) => {
            Value::Sequence(items.into_iter().filter(|item| item.tag != Tag::Reset).map(settle).collect())
        }
        other => other,
    };
    node
}

/// Merges `over` onto `base`, both at `path`.
pub(crate) fn merge(base: Node, over: Node, path: &mut Vec<String>, report: &mut Report) -> Node {
    match over.tag {
        Tag::Override => return settle(over),
        Tag::Reset => return Node::new(over.at, Value::Null),
        Tag::None => {}
    }
    let rule = rule(path);
    if rule == Rule::Replace || base.is_null() {
        return settle(over);
    }
    let (base, over) = (shaped(base, rule), shaped(over, rule));
    if rule == Rule::Logging && drivers_differ(&base, &over) {
        return settle(over);
    }
    let over_at = over.at;
    let (over_what, base_what) = (over.what(), base.what());
    match (base.value, over.value) {
        (Value::Mapping(entries), Value::Mapping(more)) => {
            Node::new(base.at, Value::Mapping(merge_entries(entries, more, path, report)))
        }
        (Value::Sequence(items), Value::Sequence(more)) => {
            Node::new(base.at, Value::Sequence(append(items, more, rule)))
        }
        (kept @ (Value::Mapping(_) | Value::Sequence(_)), Value::Null) => Node::new(base.at, kept),
        (kept @ (Value::Mapping(_) | Value::Sequence(_)), _) => {
            let message = format!("{over_what} cannot override {base_what}");
            let hint = "write it as the file before does, or replace it with `!override`";
            report.fault(over_at, &path.join("."), FaultKind::Conflict, message, hint);
            Node::new(base.at, kept)
        }
        (_, value) => settle(Node::new(over_at, value)),
    }
}

fn merge_entries(
    base: Vec<Entry>,
    over: Vec<Entry>,
    path: &mut Vec<String>,
    report: &mut Report,
) -> Vec<Entry> {
    let mut merged = base;
    for entry in over {
        let known = merged.iter().position(|known| known.key == entry.key);
        match known {
            Some(index) if entry.node.tag == Tag::Reset => {
                merged.remove(index);
            }
            Some(index) => {
                let Entry { key, at, node } = merged.remove(index);
                path.push(key);
                let node = merge(node, entry.node, path, report);
                let key = path.pop().unwrap_or_default();
                merged.insert(index, Entry { key, at, node });
            }
            None if entry.node.tag == Tag::Reset => {}
            None => merged.push(Entry { node: settle(entry.node), ..entry }),
        }
    }
    merged
}

fn append(base: Vec<Node>, over: Vec<Node>, rule: Rule) -> Vec<Node> {
    let mut items = base;
    let mut keys: Vec<Option<String>> = items.iter().map(|item| unique_key(item, rule)).collect();
    for item in over.into_iter().filter(|item| item.tag != Tag::Reset).map(settle) {
        let key = unique_key(&item, rule);
        match key.as_ref().and_then(|key| keys.iter().position(|known| known.as_ref() == Some(key))) {
            Some(index) => items[index] = item,
            None => {
                items.push(item);
                keys.push(key);
            }
        }
    }
    items
}

fn unique_key(item: &Node, rule: Rule) -> Option<String> {
    match rule {
        Rule::Texts => item.text().or_else(|| item.get("path").and_then(Node::text)).map(str::to_owned),
        Rule::Ports => port_key(item),
        Rule::Targets(prefix) => mount_key(item, prefix),
        _ => None,
    }
}

fn drivers_differ(base: &Node, over: &Node) -> bool {
    let driver = |node: &Node| node.get("driver").and_then(Node::text).map(str::to_owned);
    matches!((driver(base), driver(over)), (Some(a), Some(b)) if a != b)
}

/// The form in which both sides can be merged.
fn shaped(node: Node, rule: Rule) -> Node {
    let Node { at, value, tag } = node;
    let value = match (rule, value) {
        (Rule::Pairs, Value::Sequence(items)) => mapping_of(items, pair),
        (Rule::Names, Value::Sequence(items)) => {
            mapping_of(items, |text, at| (text, Node::new(at, Value::Null)))
        }
        (Rule::Depends, Value::Sequence(items)) => mapping_of(items, started),
        (Rule::Build, text @ Value::Scalar { .. }) => {
            let node = Node::new(at, text);
            Value::Mapping(vec![Entry { key: "context".to_owned(), at, node }])
        }
        (Rule::Texts, text @ Value::Scalar { .. }) => Value::Sequence(vec![Node::new(at, text)]),
        (_, value) => value,
    };
    Node { at, value, tag }
}

/// A list of texts as a mapping; a list with anything else in it stays what it is, for the reader to refuse.
fn mapping_of(items: Vec<Node>, entry: fn(String, At) -> (String, Node)) -> Value {
    if items.iter().any(|item| item.text().is_none()) {
        return Value::Sequence(items);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let (key, node) = entry(item.text().unwrap_or_default().to_owned(), item.at);
        match entries.iter_mut().find(|known| known.key == key) {
            Some(known) => known.node = node,
            None => entries.push(Entry { key, at: item.at, node }),
        }
    }
    Value::Mapping(entries)
}

fn pair(text: String, at: At) -> (String, Node) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Node::text_at(at, value)),
        None => (text, Node::new(at, Value::Null)),
    }
}

fn started(service: String, at: At) -> (String, Node) {
    let condition = Entry { key: "condition".to_owned(), at, node: Node::text_at(at, "service_started") };
    (service, Node::new(at, Value::Mapping(vec![condition])))
}
