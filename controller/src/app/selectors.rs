//! Filters that several lists share.

use super::AppError;
use omni_common::api::v1::CommaList;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Labels that must all be there.
#[derive(Debug, Default)]
pub(crate) struct LabelSelector(Vec<(String, Option<String>)>);

impl LabelSelector {
    /// From `key=value` and `key` items.
    pub(crate) fn parse(list: Option<&CommaList>) -> Result<Self, AppError> {
        let mut wanted = Vec::new();
        for item in list.into_iter().flat_map(CommaList::iter) {
            let (key, value) = match item.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (item, None),
            };
            if key.is_empty() {
                let detail = format!("`{item}` names no label: write `key=value` or `key`");
                return Err(AppError::invalid("label", detail));
            }
            wanted.push((key.to_owned(), value));
        }
        Ok(Self(wanted))
    }

    /// Whether `labels` has all that is wanted.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, wanted)| match (labels.get(key), wanted) {
            (Some(value), Some(wanted)) => value == wanted,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        })
    }
}

/// The values of an enum that `list` names by their JSON words; absent when there is no list.
pub(crate) fn words<T: DeserializeOwned>(
    parameter: &str,
    list: Option<&CommaList>,
) -> Result<Option<Vec<T>>, AppError> {
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return Ok(None);
    };
    let parse = |word: &str| {
        serde_json::from_value(serde_json::Value::from(word))
            .map_err(|error| AppError::invalid(parameter, error.to_string()))
    };
    list.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// The texts of a list that says something.
pub(crate) fn texts(list: Option<&CommaList>) -> Option<Vec<&str>> {
    list.filter(|list| !list.is_empty()).map(|list| list.iter().collect())
}

/// Whether `wanted` allows `value`: no list allows everything.
pub(crate) fn allows<T: PartialEq>(wanted: Option<&[T]>, value: &T) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::domain::ContainerState;

    fn list(text: &str) -> CommaList {
        text.parse().expect("every text is a list")
    }

    #[test]
    fn all_labels_must_be_there() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let matches = |text| LabelSelector::parse(Some(&list(text))).expect("valid").matches(&labels);
        assert!(matches("a=1,b"));
        assert!(matches("b="));
        assert!(!matches("a=2"));
        assert!(!matches("c"));
        assert!(LabelSelector::parse(Some(&list("=1"))).is_err());
    }

    #[test]
    fn unknown_words_are_named() {
        let known: Vec<ContainerState> =
            words("state", Some(&list("running,exited"))).expect("known").expect("given");
        assert_eq!(known, [ContainerState::Running, ContainerState::Exited]);
        let error = words::<ContainerState>("state", Some(&list("fine"))).expect_err("unknown");
        let AppError::Invalid(errors) = error else { panic!("not a field error") };
        assert!(errors[0].detail.contains("`fine`"), "{errors:?}");
    }
}
