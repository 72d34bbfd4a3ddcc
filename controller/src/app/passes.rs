//! What a page of the dashboard sends with its calls.
//!
//! ```text
//! cookie (session's secret, out of script's reach) ─▶ POST /session/pass, from a page of ours only ─▶ pass
//! pass (some minutes, in the page's memory) ─▶ every call and socket, at any controller
//! ```
//!
//! A browser adds a cookie to whatever another site makes it send; it never adds a pass. So a cookie does nothing but
//! fetch a pass. A pass is a session's id and two times, sealed under the cluster key: no controller keeps any.

use super::{App, Denied};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_common::api::v1::PagePass;
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use std::time::Duration;
use uuid::Uuid;

/// Begins every pass.
const PREFIX: &str = "omni-pass1.";
/// What the sealing is for.
const PURPOSE: &[u8] = b"omni page pass";
/// A pass is good for this long.
const TTL: Duration = Duration::from_secs(10 * 60);
/// A page that has lost the controller it came from has no cookie for the others; it renews its pass with the pass
/// itself, for this long after the cookie was last seen.
const WITHOUT_COOKIE: Duration = Duration::from_secs(3600);
const LEN: usize = 16 + 8 + 8;

/// A pass that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// The session it stands for.
    pub(crate) session: TokenId,
    /// When the session's cookie was last seen.
    rooted: Time,
    /// When it ends.
    ends: Time,
}

impl App {
    /// A pass for a session whose cookie was just seen.
    pub(crate) fn new_pass(&self, session: TokenId) -> Result<PagePass, super::AppError> {
        self.seal_pass(session, self.clock.now())
    }

    /// The next pass for the holder of one.
    pub(crate) fn renew_pass(&self, pass: Pass) -> Result<PagePass, super::AppError> {
        if self.clock.now() >= pass.rooted.plus(WITHOUT_COOKIE) {
            return Err(super::AppError::NotHere(
                "reload the page: its session has to be seen again".to_owned(),
            ));
        }
        self.seal_pass(pass.session, pass.rooted)
    }

    fn seal_pass(&self, session: TokenId, rooted: Time) -> Result<PagePass, super::AppError> {
        let ends = self.clock.now().plus(TTL);
        let mut plain = session.0.as_bytes().to_vec();
        plain.extend_from_slice(&rooted.as_millis().to_be_bytes());
        plain.extend_from_slice(&ends.as_millis().to_be_bytes());
        let sealed = self.cluster_key.seal(PURPOSE, &plain).map_err(super::AppError::Secret)?;
        Ok(PagePass { pass: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)), ttl_secs: TTL.as_secs() })
    }

    /// Whose pass this is; absent when it is no pass at all.
    pub(crate) fn open_pass(&self, bearer: &str) -> Option<Result<Pass, Denied>> {
        let text = bearer.strip_prefix(PREFIX)?;
        Some(
            self.read_pass(text)
                .ok_or(Denied::Unknown)
                .and_then(|pass| if pass.ends <= self.clock.now() { Err(Denied::Expired) } else { Ok(pass) }),
        )
    }

    fn read_pass(&self, text: &str) -> Option<Pass> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok().filter(|sealed| sealed.len() < 256)?;
        let plain = self.cluster_key.open(PURPOSE, &sealed).ok()?;
        let plain: &[u8; LEN] = plain.as_slice().try_into().ok()?;
        let (id, times) = plain.split_first_chunk::<16>()?;
        let (rooted, ends) = times.split_first_chunk::<8>()?;
        let ends: [u8; 8] = ends.try_into().ok()?;
        let time = |bytes: [u8; 8]| Time::from_millis(i64::from_be_bytes(bytes));
        Some(Pass { session: TokenId(Uuid::from_bytes(*id)), rooted: time(*rooted), ends: time(ends) })
    }
}
