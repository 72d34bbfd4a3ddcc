//! The tree.

use crate::report::At;

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
    pub(crate) tag: Tag,
}

/// What a part is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    /// Text, and whether it was written without quotes, so that `true` or `8080` is more than text.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) node: Node,
}

/// Compose's own tags, which rule how an override merges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    #[default]
    None,
    /// `!reset`: what was there is taken away.
    Reset,
    /// `!override`: what was there is replaced instead of merged with.
    Override,
}

impl Node {
    pub(crate) fn new(at: At, value: Value) -> Self {
        Self { at, value, tag: Tag::None }
    }

    /// Text as if it had been written there, in quotes.
    pub(crate) fn text_at(at: At, text: impl Into<String>) -> Self {
        Self::new(at, Value::Scalar { text: text.into(), plain: false })
    }

    /// The value of a key, when this is a mapping that has it and it is not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
            .filter(|node| !node.is_null())
    }

    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What it is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// How many nodes it has and how deep they go.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let below: Vec<(usize, usize)> = match &self.value {
            Value::Null | Value::Scalar { .. } => return (1, 1),
            Value::Sequence(items) => items.iter().map(Node::extent).collect(),
            Value::Mapping(entries) => entries.iter().map(|entry| entry.node.extent()).collect(),
        };
        let size: usize = below.iter().map(|(size, _)| size).sum();
        let depth = below.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        (size + 1, depth + 1)
    }
}
