//! YAML as a tree that knows where each part stands.
//!
//! The parser is a library's; here its events become nodes, with anchors expanded and merge keys applied.

mod node;
mod parse;

pub(crate) use node::{Entry, Node, Tag, Value};
pub(crate) use parse::parse;
