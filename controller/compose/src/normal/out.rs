//! A mapping that is written, without what says nothing.

use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// The mapping.
#[derive(Default)]
pub(super) struct Out(Map<String, Json>);

impl Out {
    pub(super) fn put(&mut self, key: &str, value: impl serde::Serialize) {
        self.0.insert(key.to_owned(), serde_json::to_value(value).unwrap_or(Json::Null));
    }

    pub(super) fn maybe(&mut self, key: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, true);
        }
    }

    pub(super) fn map<V: serde::Serialize>(&mut self, key: &str, value: &BTreeMap<String, V>) {
        if !value.is_empty() {
            self.put(key, value);
        }
    }

    pub(super) fn texts(&mut self, key: &str, value: &[String]) {
        self.list(key, value.iter().map(|text| Json::from(text.as_str())));
    }

    pub(super) fn set(&mut self, key: &str, value: &BTreeSet<String>) {
        self.list(key, value.iter().map(|text| Json::from(text.as_str())));
    }

    pub(super) fn list(&mut self, key: &str, items: impl Iterator<Item = Json>) {
        let items: Vec<Json> = items.collect();
        if !items.is_empty() {
            self.0.insert(key.to_owned(), Json::Array(items));
        }
    }

    pub(super) fn section(&mut self, key: &str, entries: impl Iterator<Item = (String, Json)>) {
        let entries: Map<String, Json> = entries.collect();
        if !entries.is_empty() {
            self.0.insert(key.to_owned(), Json::Object(entries));
        }
    }

    pub(super) fn object(&mut self, key: &str, value: Out) {
        if !value.0.is_empty() {
            self.0.insert(key.to_owned(), Json::Object(value.0));
        }
    }

    /// The mapping below a key, which is made when it is not there.
    pub(super) fn below(&mut self, key: &str, fill: impl FnOnce(&mut Out)) {
        let known = match self.0.remove(key) {
            Some(Json::Object(entries)) => entries,
            _ => Map::new(),
        };
        let mut out = Out(known);
        fill(&mut out);
        self.object(key, out);
    }

    pub(super) fn into_json(self) -> Json {
        Json::Object(self.0)
    }
}
