//! The session's cookie, and whose page a browser speaks for.
//!
//! A cookie is sent along with whatever any page makes a browser send, so it opens one thing only: `POST /session/pass`
//! (see `app/passes.rs`), and that only for a page of the controller's own. Ports do not part cookies: another server on
//! the same name gets them too, and one cluster's controllers on one machine share theirs.

use crate::app::Denied;
use crate::state::State;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use std::time::Duration;

/// Longest cookie header looked at, bytes.
const MAX_HEADER: usize = 16 << 10;

/// Name of the cookie that holds a session's secret. The prefix makes browsers insist on `Secure`, on the whole site and
/// on no other host; the cluster's id keeps two clusters on one machine apart.
pub(crate) fn session_name(state: &State) -> Option<String> {
    state.cluster.as_ref().map(|cluster| format!("__Host-omni-{}", cluster.id.short()))
}

/// The value of a cookie. Of several of one name none is believed.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.filter(|line| line.len() <= MAX_HEADER).flat_map(|line| line.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(one, _)| *one == name);
    let first = found.next().map(|(_, value)| value);
    first.filter(|_| found.next().is_none())
}

/// Sets a cookie that script cannot read and other sites cannot make a browser send, but for links when `lax`.
pub(crate) fn set(name: &str, value: &str, age: Duration, lax: bool) -> HeaderValue {
    let site = if lax { "Lax" } else { "Strict" };
    let text =
        format!("{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite={site}", age.as_secs());
    HeaderValue::from_str(&text).expect("names and values of ours are visible ASCII")
}

/// Takes a cookie away.
pub(crate) fn forget(name: &str) -> HeaderValue {
    set(name, "", Duration::ZERO, false)
}

/// Whether a page of this very controller sent this.
///
/// `Sec-Fetch-Site` is set by the browser and by nobody else, so it decides where there is one; older browsers name the
/// page's origin, which has to be the address that was called. Without either it is no browser that omni knows.
pub(crate) fn check_own_page(parts: &Parts) -> Result<(), Denied> {
    check_page(&parts.headers, called(parts))
}

/// The address that was called: in HTTP/2 it is part of the request's own address, before that a header.
pub(crate) fn called(parts: &Parts) -> Option<&str> {
    let header = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(Authority::as_str).or_else(header).map(plain)
}

fn check_page(headers: &HeaderMap, called: Option<&str>) -> Result<(), Denied> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return if site == "same-origin" { Ok(()) } else { Err(Denied::Foreign) };
    }
    let origin = text(header::ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    match (origin, called) {
        (Some(origin), Some(called)) if plain(origin).eq_ignore_ascii_case(called) => Ok(()),
        _ => Err(Denied::Foreign),
    }
}

/// Browsers leave the usual port out of an origin.
fn plain(authority: &str) -> &str {
    authority.strip_suffix(":443").unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_controllers_own_page_speaks_for_a_cookie() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let mut parts = axum::http::Request::new(()).into_parts().0;
            parts.headers = headers(pairs);
            check_own_page(&parts).is_ok()
        };
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "https://c1:7601"), ("host", "c1:7601")]));
        assert!(own(&[("origin", "https://omni.example"), ("host", "omni.example:443")]));
        assert!(!own(&[]), "nothing says whose page it is");
        assert!(!own(&[("sec-fetch-site", "same-site"), ("origin", "https://c1:7601"), ("host", "c1:7601")]));
        assert!(!own(&[("sec-fetch-site", "cross-site")]));
        assert!(!own(&[("sec-fetch-site", "none")]), "an address typed into a browser");
        assert!(
            !own(&[("origin", "https://c1:9000"), ("host", "c1:7601")]),
            "another server on that machine"
        );
        assert!(!own(&[("origin", "http://c1:7601"), ("host", "c1:7601")]));
        assert!(!own(&[("origin", "null"), ("host", "c1:7601")]));
    }

    #[test]
    fn http2_names_what_was_called_in_the_address() {
        let own = |uri: &'static str| {
            let request =
                axum::http::Request::builder().uri(uri).header("origin", "https://c1:7601").body(());
            check_own_page(&request.expect("a request").into_parts().0).is_ok()
        };
        assert!(own("https://c1:7601/api/v1/session"));
        assert!(!own("https://c2:7601/api/v1/session") && !own("/api/v1/session"));
    }

    #[test]
    fn a_cookie_is_read_when_there_is_one_of_its_name() {
        let of = |line| headers(&[("cookie", line)]);
        assert_eq!(read(&of("a=1; __Host-omni-x=s=ecret; b=2"), "__Host-omni-x"), Some("s=ecret"));
        assert_eq!(read(&of("a=1"), "__Host-omni-x"), None);
        assert_eq!(read(&of("__Host-omni-x=1; __Host-omni-x=2"), "__Host-omni-x"), None);
    }

    #[test]
    fn a_cookie_is_out_of_reach() {
        let value = set("__Host-omni-x", "s", Duration::from_secs(60), false);
        assert_eq!(value, "__Host-omni-x=s; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict");
    }
}
