//! From events to nodes.

use super::node::{Entry, Node, Tag, Value};
use crate::fault::{FaultKind, quoted};
use crate::input::MAX_FILE_BYTES;
use crate::report::{At, Report};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting, aliases expanded; compose files reach about 12.
const MAX_DEPTH: usize = 64;
/// Most nodes of one file, aliases expanded: a file of full size without aliases has about half of it. An
/// alias bomb ends here.
const MAX_NODES: usize = 200_000;
/// Most entries of one mapping or list, which keeps looking them up one by one cheap.
const MAX_ENTRIES: usize = 4096;
/// Longest key, bytes: keys are repeated in the paths that faults name.
const MAX_KEY: usize = 512;
/// Most documents in one file.
const MAX_DOCUMENTS: usize = 16;

/// Reads one file. Several documents in it override each other in order, as several files would.
/// Nothing comes back from a file that is no YAML; the report says why.
pub(crate) fn parse(bytes: &[u8], file: At, report: &mut Report) -> Option<Vec<Node>> {
    match build(bytes, file) {
        Ok(documents) => Some(documents),
        Err(Stop { at, kind, message, hint }) => {
            report.fault(at, "", kind, message, hint);
            None
        }
    }
}

/// Why reading stopped: what comes after it in the file cannot be trusted.
struct Stop {
    at: At,
    kind: FaultKind,
    message: String,
    hint: &'static str,
}

impl Stop {
    fn new(at: At, kind: FaultKind, message: impl Into<String>, hint: &'static str) -> Self {
        Self { at, kind, message: message.into(), hint }
    }
}

fn build(bytes: &[u8], file: At) -> Result<Vec<Node>, Stop> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; {MAX_FILE_BYTES} are read", bytes.len());
        return Err(Stop::new(file, FaultKind::TooLarge, message, "split it with `include`"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the file is not UTF-8 text: byte {} cannot be read", error.valid_up_to());
        Stop::new(file, FaultKind::Yaml, message, "save it as UTF-8")
    })?;
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(file);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| not_yaml(&error, file))?;
        builder.event(event, &span)?;
    }
    Ok(builder.documents)
}

fn not_yaml(error: &ScanError, file: At) -> Stop {
    let at = place(file, error.marker().line(), error.marker().col());
    let message = format!("this is no YAML: {}", quoted(&error.info()));
    Stop::new(
        at,
        FaultKind::Yaml,
        message,
        "check the indentation and the quotes of this line and the one above",
    )
}

fn place(file: At, line: usize, column: usize) -> At {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At { file: file.file, line: number(line), column: number(column + 1) }
}

/// A collection that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, At)>,
    /// Keys so far, to find one twice.
    seen: BTreeSet<String>,
    /// Values of merge keys, in order.
    merges: Vec<Node>,
}

struct Builder {
    file: At,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn new(file: At) -> Self {
        Self { file, documents: Vec::new(), open: Vec::new(), anchors: BTreeMap::new(), nodes: 0 }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let at = place(self.file, span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let (tag, text_only) = self.tag(tag.as_deref(), at)?;
                let plain = style == ScalarStyle::Plain && !text_only;
                let null = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar { text: text.into_owned(), plain } };
                self.count(1, at)?;
                self.complete(Node { at, value, tag }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                let (tag, _) = self.tag(tag.as_deref(), at)?;
                self.begin(Node { at, value: Value::Sequence(Vec::new()), tag }, anchor)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                let (tag, _) = self.tag(tag.as_deref(), at)?;
                self.begin(Node { at, value: Value::Mapping(Vec::new()), tag }, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => self.alias(anchor, at)?,
            _ => {}
        }
        Ok(())
    }

    /// Compose's own tag, and whether a core tag says that the scalar is text.
    fn tag(&self, tag: Option<&granit_parser::Tag>, at: At) -> Result<(Tag, bool), Stop> {
        let Some(tag) = tag else { return Ok((Tag::None, false)) };
        match (tag.core_suffix(), tag.original().as_str()) {
            (Some(core), _) => Ok((Tag::None, core == "str")),
            (None, "!reset") => Ok((Tag::Reset, false)),
            (None, "!override") => Ok((Tag::Override, false)),
            (None, "!") => Ok((Tag::None, true)),
            (None, other) => {
                let message = format!("the tag `{}` means nothing in a compose file", quoted(other));
                Err(Stop::new(at, FaultKind::Yaml, message, "Compose knows `!reset` and `!override`"))
            }
        }
    }

    fn count(&mut self, nodes: usize, at: At) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("with its aliases expanded the file has more than {MAX_NODES} values");
        Err(Stop::new(at, FaultKind::TooLarge, message, "use fewer aliases of large anchors"))
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.count(1, node.at)?;
        self.check_depth(1, node.at)?;
        self.open.push(Open { node, anchor, key: None, seen: BTreeSet::new(), merges: Vec::new() });
        Ok(())
    }

    fn check_depth(&self, more: usize, at: At) -> Result<(), Stop> {
        if self.open.len() + more <= MAX_DEPTH {
            return Ok(());
        }
        let message = format!("values are nested more than {MAX_DEPTH} deep");
        Err(Stop::new(at, FaultKind::TooLarge, message, "a compose file needs about 12 levels"))
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(mut done) = self.open.pop() else { return Ok(()) };
        for merge in std::mem::take(&mut done.merges) {
            apply_merge(&mut done, merge)?;
        }
        self.complete(done.node, done.anchor)
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "this alias is inside the anchor it refers to";
            return Err(Stop::new(
                at,
                FaultKind::Cycle,
                message,
                "move the anchor to an `x-` key of its own",
            ));
        };
        let (size, depth) = node.extent();
        self.count(size, at)?;
        self.check_depth(depth, at)?;
        self.complete(node, 0)
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if self.documents.len() >= MAX_DOCUMENTS {
                let message = format!("the file has more than {MAX_DOCUMENTS} documents");
                return Err(Stop::new(
                    node.at,
                    FaultKind::TooLarge,
                    message,
                    "one `---` begins each of them",
                ));
            }
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::Sequence(items), _) => {
                let at = node.at;
                items.push(node);
                check_entries(items.len(), at)?;
            }
            (Value::Mapping(_), None) => open.key = Some(open_key(&node)?),
            (Value::Mapping(entries), Some((key, at))) => {
                if key == "<<" {
                    open.merges.push(node);
                } else {
                    if !open.seen.insert(key.clone()) {
                        let message = format!("the key `{}` is here a second time", quoted(&key));
                        return Err(Stop::new(at, FaultKind::Yaml, message, "keep one of them"));
                    }
                    entries.push(Entry { key, at, node });
                    check_entries(entries.len(), at)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn open_key(node: &Node) -> Result<(String, At), Stop> {
    match &node.value {
        Value::Scalar { text, .. } if text.len() <= MAX_KEY => Ok((text.clone(), node.at)),
        Value::Scalar { text, .. } => {
            let message = format!("a key has {} bytes; {MAX_KEY} are read", text.len());
            Err(Stop::new(
                node.at,
                FaultKind::TooLarge,
                message,
                "a `: ` in a long text makes a key of it: quote the text",
            ))
        }
        Value::Null => Ok((String::new(), node.at)),
        _ => {
            let message = format!("a key has to be text, this is {}", node.what());
            Err(Stop::new(node.at, FaultKind::Yaml, message, "put text with `{{` or `[` in quotes"))
        }
    }
}

fn check_entries(count: usize, at: At) -> Result<(), Stop> {
    if count <= MAX_ENTRIES {
        return Ok(());
    }
    let message = format!("a mapping or list has more than {MAX_ENTRIES} entries");
    Err(Stop::new(at, FaultKind::TooLarge, message, "split the file with `include`"))
}

/// Adds what a merge key brings: keys that are there already stay as they are.
fn apply_merge(open: &mut Open, merge: Node) -> Result<(), Stop> {
    let at = merge.at;
    let wrong = |node: &Node| {
        let message = format!("`<<` merges a mapping or a list of them, this is {}", node.what());
        Stop::new(node.at, FaultKind::Yaml, message, "refer to an anchor of a mapping: `<<: *name`")
    };
    let parts = match merge.value {
        Value::Sequence(items) => items,
        Value::Mapping(_) => vec![merge],
        _ => return Err(wrong(&merge)),
    };
    let Value::Mapping(entries) = &mut open.node.value else { return Ok(()) };
    for part in parts {
        let Value::Mapping(more) = part.value else { return Err(wrong(&part)) };
        for entry in more {
            if open.seen.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
        check_entries(entries.len(), at)?;
    }
    Ok(())
}
