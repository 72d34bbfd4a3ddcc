//! Query strings from the flat structures of `api::v1`.

use serde::Serialize;
use serde_json::Value;

/// The fields of `query` as pairs; absent ones are left out.
pub(crate) fn pairs(query: &impl Serialize) -> Vec<(String, String)> {
    match serde_json::to_value(query) {
        Ok(Value::Object(fields)) => {
            fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
        }
        // `()` and unit structures: no parameters.
        _ => Vec::new(),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::api::v1::{Consistency, ContainersQuery, LogsQuery, ReadQuery};

    #[test]
    fn fields_become_parameters_and_absent_ones_vanish() {
        let query = ContainersQuery {
            host: Some(["web-1", "web-2"].into_iter().collect()),
            limit: Some(500),
            ..ContainersQuery::default()
        };
        let expected = [("host", "web-1,web-2"), ("limit", "500")];
        assert_eq!(pairs(&query), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(pairs(&ReadQuery::default()).is_empty());
        let stale = ReadQuery { consistency: Consistency::Stale, min_index: None };
        assert_eq!(pairs(&stale), [("consistency".to_owned(), "stale".to_owned())]);
        assert!(pairs(&LogsQuery::default()).contains(&("follow".to_owned(), "false".to_owned())));
    }
}
