//! Lists in pages. A cursor names the last key shown and the filters it was shown under.

use super::AppError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_common::api::v1::{DEFAULT_PAGE, MAX_PAGE, Page};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Bytes of the filter digest in a cursor: enough to notice a mistake, which is all it is for.
const DIGEST_LEN: usize = 6;
/// No key of any list is longer.
const MAX_CURSOR: usize = 1024;

/// One page's place in a list.
pub(crate) struct Paging<K> {
    /// The last key of the page before.
    pub(crate) after: Option<K>,
    limit: usize,
    digest: [u8; DIGEST_LEN],
}

impl<K: Serialize + DeserializeOwned> Paging<K> {
    /// From what the caller sent. `filters` is whatever else decides what the list `list` holds.
    pub(crate) fn new(
        list: &str,
        filters: &impl Serialize,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, AppError> {
        let limit = limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(AppError::invalid("limit", format!("use a number from 1 to {MAX_PAGE}")));
        }
        let digest = digest(list, filters);
        let after = cursor.map(|text| decode(text, digest)).transpose()?;
        Ok(Self { after, limit: limit as usize, digest })
    }

    /// Takes a page off `items`, which begin behind [`Self::after`].
    pub(crate) fn take<T>(&self, items: impl Iterator<Item = (K, T)>) -> Page<T> {
        let mut page = Vec::new();
        let mut last = None;
        for (key, item) in items {
            if page.len() == self.limit {
                let next_cursor = last.map(|key| encode(&key, self.digest));
                return Page { items: page, next_cursor };
            }
            page.push(item);
            last = Some(key);
        }
        Page::whole(page)
    }
}

fn digest(list: &str, filters: &impl Serialize) -> [u8; DIGEST_LEN] {
    let filters = serde_json::to_vec(filters).expect("filters are plain values");
    let digest = Sha256::new().chain_update(list).chain_update([0]).chain_update(filters).finalize();
    *digest.first_chunk().expect("a digest is longer")
}

fn encode(key: &impl Serialize, digest: [u8; DIGEST_LEN]) -> String {
    let mut bytes = digest.to_vec();
    serde_json::to_writer(&mut bytes, key).expect("keys are plain values");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<K: DeserializeOwned>(text: &str, digest: [u8; DIGEST_LEN]) -> Result<K, AppError> {
    let bytes = Some(text)
        .filter(|text| text.len() <= MAX_CURSOR)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or(AppError::BadCursor)?;
    let key = bytes.strip_prefix(&digest).ok_or(AppError::BadCursor)?;
    serde_json::from_slice(key).map_err(|_| AppError::BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    fn page(list: &BTreeMap<u32, String>, limit: u32, cursor: Option<&str>) -> Page<String> {
        let paging = Paging::<u32>::new("things", &"filter", Some(limit), cursor).expect("ours");
        let from = paging.after.map_or(Bound::Unbounded, Bound::Excluded);
        paging.take(list.range((from, Bound::Unbounded)).map(|(k, v)| (*k, v.clone())))
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(
            list in proptest::collection::btree_map(any::<u32>(), ".{0,4}", 0..40),
            limit in 1u32..10,
        ) {
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let page = page(&list, limit, cursor.as_deref());
                prop_assert!(page.items.len() <= limit as usize);
                prop_assert!(page.next_cursor.is_none() || page.items.len() == limit as usize);
                seen.extend(page.items);
                match page.next_cursor {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(seen, list.into_values().collect::<Vec<_>>());
        }

        #[test]
        fn no_text_is_a_cursor_by_chance(text in ".{0,40}") {
            let paging = Paging::<u32>::new("things", &"filter", None, Some(&text));
            prop_assert!(matches!(paging, Err(AppError::BadCursor)));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_list_and_filters() {
        let list: BTreeMap<u32, String> = (0..3).map(|n| (n, n.to_string())).collect();
        let cursor = page(&list, 1, None).next_cursor.expect("more follows");
        let again = |list: &str, filter: &str| Paging::<u32>::new(list, &filter, None, Some(&cursor));
        assert_eq!(again("things", "filter").expect("same").after, Some(0));
        assert!(again("things", "other").is_err());
        assert!(again("others", "filter").is_err());
    }

    #[test]
    fn a_page_has_a_sensible_size() {
        for limit in [0, MAX_PAGE + 1] {
            assert!(Paging::<u32>::new("things", &"", Some(limit), None).is_err());
        }
    }
}
