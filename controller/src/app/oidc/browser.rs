//! The browser's way: authorization code with PKCE.

use super::claims::admit;
use super::provider::{Grant, ProviderError, Vouched};
use super::{CALLBACK, redirects};
use crate::app::{App, AppError, Began, Denied, View, Visitor};
use crate::state::{Actor, Command, OidcSettings, RefusalCode, SignIn};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_certs::{Secret, SecretHash};
use omni_common::clock::Time;
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the sealing of a sign-in under way is for.
const PURPOSE: &[u8] = b"omni oidc sign-in";
/// A sign-in at the provider may take this long.
pub(crate) const UNDER_WAY: Duration = Duration::from_secs(600);

/// A browser that leaves for the provider.
pub(crate) struct Left {
    /// Where to.
    pub(crate) url: String,
    /// What it has to bring back, sealed; for a cookie.
    pub(crate) sealed: String,
}

/// What of a sign-in under way has to be known when the browser comes back.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    state: String,
    nonce: String,
    verifier: String,
    redirect: String,
    ends: Time,
}

impl App {
    /// Sends a browser to the provider. `host` is the address that it called.
    pub(crate) async fn leave_for_provider(&self, host: &str) -> Result<Left, AppError> {
        let settings = self.oidc_settings()?;
        let redirect = format!("https://{host}{CALLBACK}");
        if !redirects(&self.store.current(), &settings).iter().any(|one| one.eq_ignore_ascii_case(&redirect))
        {
            let message = format!(
                "the provider would not find back to `https://{host}`; an admin adds it with `omni auth oidc set --origin`"
            );
            return Err(AppError::NotHere(message));
        }
        let provider = self.people.providers.get(&settings).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let under_way = UnderWay {
            state: random()?,
            nonce: random()?,
            verifier: verifier.into_secret(),
            redirect,
            ends: self.clock.now().plus(UNDER_WAY),
        };
        let mut url = provider.authorization_url();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client)
            .append_pair("redirect_uri", &under_way.redirect)
            .append_pair("scope", &scope(&settings))
            .append_pair("state", &under_way.state)
            .append_pair("nonce", &under_way.nonce)
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", "S256");
        let plain = serde_json::to_vec(&under_way).expect("plain values");
        let sealed = self.cluster_key.seal(PURPOSE, &plain).map_err(AppError::Secret)?;
        Ok(Left { url: url.into(), sealed: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// A browser is back from the provider with a code.
    pub(crate) async fn back_from_provider(
        &self,
        visitor: &Visitor,
        sealed: &str,
        state: &str,
        issuer: Option<&str>,
        code: &str,
    ) -> Result<View<Began>, AppError> {
        let settings = self.oidc_settings()?;
        let under_way = self.under_way(sealed).ok_or(Denied::SignedOut)?;
        // Hashes are compared, so that the time taken says nothing.
        let same_state = SecretHash::of(under_way.state.as_bytes()).matches(state.as_bytes());
        // RFC 9207: a provider that names itself is the one that was asked.
        if !same_state || issuer.is_some_and(|issuer| issuer != settings.issuer) {
            return Err(Denied::Foreign.into());
        }
        let secret = self.oidc_secret(&settings)?;
        let verifier = PkceCodeVerifier::new(under_way.verifier);
        let grant = Grant {
            client: &settings.client,
            secret: secret.as_deref(),
            form: vec![
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", &under_way.redirect),
                ("code_verifier", verifier.secret()),
            ],
            nonce: Some(&under_way.nonce),
        };
        let vouched = self.people.providers.redeem(&settings, &grant).await?;
        self.enter_vouched(visitor, &settings, &vouched).await
    }

    fn under_way(&self, sealed: &str) -> Option<UnderWay> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = self.cluster_key.open(PURPOSE, &sealed).ok()?;
        let under_way: UnderWay = serde_json::from_slice(&plain).ok()?;
        (under_way.ends > self.clock.now()).then_some(under_way)
    }

    /// Lets somebody in whom the provider vouches for, with what it says they may do.
    pub(super) async fn enter_vouched(
        &self,
        visitor: &Visitor,
        settings: &OidcSettings,
        vouched: &Vouched,
    ) -> Result<View<Began>, AppError> {
        let user = admit(settings, &vouched.subject, &vouched.claims, self.clock.now())
            .map_err(|error| AppError::NotAdmitted(error.to_string()))?;
        let opening = self.opening(&user.name, SignIn::Oidc, visitor)?;
        let actor = Actor::user(&user.name, Some(user.role), visitor.from.clone());
        let name = user.name.clone();
        let command = Command::EnterOidc { user: Box::new(user), session: Box::new(opening.session.clone()) };
        self.begin(actor, command, opening).await.map_err(|error| match error {
            AppError::Refused(refusal) if refusal.code == RefusalCode::NameTaken => AppError::NotAdmitted(format!(
                "there is another `{name}` here, whom the provider does not know; an admin has to remove one of the two"
            )),
            AppError::Refused(refusal) if refusal.code == RefusalCode::NotFound => {
                AppError::NotAdmitted(format!("{name} may not come in; ask an admin"))
            }
            other => other,
        })
    }
}

/// What is asked for.
pub(super) fn scope(settings: &OidcSettings) -> String {
    let mut scope = "openid".to_owned();
    for one in settings.scopes.iter().filter(|one| *one != "openid") {
        scope = format!("{scope} {one}");
    }
    scope
}

fn random() -> Result<String, AppError> {
    Ok(URL_SAFE_NO_PAD.encode(Secret::generate().map_err(AppError::Secret)?.as_bytes()))
}

/// Whether the provider only wants to be asked again.
pub(super) fn waits(error: &ProviderError) -> Option<bool> {
    match error {
        ProviderError::Refused { code, .. } if code == "authorization_pending" => Some(false),
        ProviderError::Refused { code, .. } if code == "slow_down" => Some(true),
        _ => None,
    }
}
