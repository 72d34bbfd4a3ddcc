//! One call, before it is sent.

use crate::address::Address;
use crate::query;
use bytes::Bytes;
use omni_common::ids::RequestId;
use reqwest::{Method, Url};
use serde::Serialize;
use std::time::Duration;

/// The API answers whatever it is asked within this time, if only to say that it could not.
const SLOW: Duration = Duration::from_secs(30);

/// A request that can be sent to any controller, more than once if need be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) key: Option<RequestId>,
    pub(crate) revision: Option<u64>,
    /// How long a controller may take over it, where that is more than it usually gets.
    pub(crate) takes: Duration,
}

impl Call {
    /// A read of the resource at these path segments.
    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// A change, under a fresh idempotency key.
    pub(crate) fn change(method: Method, segments: &[&str]) -> Self {
        Self { key: Some(RequestId::mint()), ..Self::new(method, segments) }
    }

    /// Something that is sent once: nobody known asks, so no key could tell a repetition.
    pub(crate) fn once(method: Method, segments: &[&str]) -> Self {
        Self::new(method, segments)
    }

    fn new(method: Method, segments: &[&str]) -> Self {
        Self {
            method,
            segments: segments.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            body: None,
            key: None,
            revision: None,
            takes: Duration::ZERO,
        }
    }

    /// Adds parameters; absent ones are left out.
    pub(crate) fn with(mut self, parameters: &impl Serialize) -> Self {
        self.query.extend(query::pairs(parameters));
        self
    }

    /// Sets the JSON body.
    pub(crate) fn body(mut self, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("bodies are plain structures with string keys");
        self.body = Some(json.into());
        self
    }

    /// Only if the resource is still at this revision.
    pub(crate) fn if_revision(mut self, revision: Option<u64>) -> Self {
        self.revision = revision;
        self
    }

    /// A controller has to ask somebody who may need as long as it has: another one would not be faster.
    pub(crate) fn slow(mut self) -> Self {
        self.takes = SLOW;
        self
    }

    /// Whether sending it twice does no more than sending it once.
    pub(crate) fn repeatable(&self) -> bool {
        self.method.is_safe() || self.key.is_some()
    }

    /// Where it goes at one controller.
    pub(crate) fn url(&self, address: &Address) -> Url {
        let mut url = Url::parse(&address.to_string()).expect("an address is a URL");
        url.path_segments_mut().expect("https URLs have a path").extend(&self.segments);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::api::v1::ContainersQuery;

    #[test]
    fn names_cannot_escape_their_segment() {
        let call = Call::get(&["api", "v1", "hosts", "../tokens?x=1"])
            .with(&ContainersQuery { q: Some("a&b=c".to_owned()), ..ContainersQuery::default() });
        let address = "[::1]:9".parse().expect("an address");
        assert_eq!(call.url(&address).as_str(), "https://[::1]:9/api/v1/hosts/..%2Ftokens%3Fx=1?q=a%26b%3Dc");
    }

    #[test]
    fn only_calls_with_a_key_or_without_effect_are_repeated() {
        assert!(Call::get(&["x"]).repeatable());
        assert!(Call::change(Method::POST, &["x"]).repeatable());
        assert!(!Call::new(Method::POST, &["x"]).repeatable());
    }
}
