//! Signing in through an OpenID provider.
//!
//! ```text
//! browser ─GET /session/oidc─▶ browser.rs: state, nonce, PKCE in a sealed cookie ─▶ the provider's page
//!    ◀── /session/oidc/callback?code ─ browser.rs ─▶ provider.rs: code for an ID token, which is checked
//! omni login --oidc ─▶ device.rs: a code to type at the provider's page ─▶ provider.rs: the same check
//! claims.rs (pure): what the provider says of a person ─▶ name, role and places
//! ```
//!
//! Nothing of a sign-in under way is kept here: it travels sealed with the browser or program, so any controller goes on
//! with what another began.

mod browser;
mod claims;
mod device;
mod provider;

pub(crate) use browser::UNDER_WAY;
pub(crate) use device::DeviceStep;
pub(crate) use provider::Providers;

use super::access::{places_of, scope_of};
use super::{App, AppError, Call, View};
use crate::state::{Command, GroupRole, OidcSettings, State};
use omni_common::api::v1::{OidcGroup, OidcView, SetOidc};
use url::Url;

/// What the sealing of the client's secret is for.
const SECRET: &[u8] = b"omni oidc client secret";
/// Path of the route that the provider sends browsers back to.
pub(crate) const CALLBACK: &str = "/api/v1/session/oidc/callback";
/// Most groups that are told apart.
const MAX_GROUPS: usize = 256;
/// Most scopes and addresses.
const MAX_LIST: usize = 16;
/// Longest of the shorter texts, bytes.
const MAX_TEXT: usize = 256;
/// Longest roots, bytes: a handful of certificates.
const MAX_ROOTS: usize = 64 << 10;

impl App {
    /// The provider, without its secret.
    pub fn get_oidc(&self, state: &State) -> Result<OidcView, AppError> {
        let settings = state.oidc.as_ref();
        settings
            .map(|settings| view(state, settings))
            .ok_or_else(|| AppError::not_found("OpenID provider", "oidc"))
    }

    /// Sets the provider. It is asked at once, so that a mistake shows now and not when people stand before the door;
    /// but it is kept even if it does not answer, for it may be down itself.
    pub async fn set_oidc(&self, call: &Call, body: SetOidc) -> Result<View<OidcView>, AppError> {
        // A secret is kept for the provider it was given for, and told to no other.
        let same = |kept: &OidcSettings| kept.issuer == body.issuer && kept.client == body.client;
        let kept = self.store.current().oidc.clone().filter(same);
        let body = SetOidc {
            roots_pem: body
                .roots_pem
                .clone()
                .or_else(|| kept.as_ref().and_then(|kept| kept.roots_pem.clone())),
            ..body
        };
        let secret_sealed = match body.secret.as_deref() {
            None => kept.and_then(|kept| kept.secret_sealed),
            Some("") => None,
            Some(secret) => Some(self.cluster_key.seal(SECRET, secret.as_bytes()).map_err(AppError::Secret)?),
        };
        let settings = checked(body, secret_sealed)?;
        let problem = self.people.providers.ask(&settings).await.err().map(|error| error.to_string());
        let build = |_: &State| Ok(Command::SetOidc(Some(Box::new(settings.clone()))));
        let written = self.write(call, build).await?;
        let body = OidcView { problem, ..self.get_oidc(&written.state)? };
        Ok(View { index: written.state.index, body })
    }

    /// Takes the provider away. Sessions that began through it end.
    pub async fn delete_oidc(&self, call: &Call) -> Result<View<()>, AppError> {
        let build = |state: &State| match state.oidc {
            Some(_) => Ok(Command::SetOidc(None)),
            None => Err(AppError::not_found("OpenID provider", "oidc")),
        };
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    fn oidc_settings(&self) -> Result<OidcSettings, AppError> {
        let settings = self.store.current().oidc.clone();
        settings.ok_or_else(|| AppError::not_found("OpenID provider", "oidc"))
    }

    /// The client's secret.
    fn oidc_secret(&self, settings: &OidcSettings) -> Result<Option<String>, AppError> {
        let Some(sealed) = &settings.secret_sealed else { return Ok(None) };
        let secret = self.cluster_key.open(SECRET, sealed).map_err(AppError::Secret)?;
        Ok(Some(String::from_utf8_lossy(&secret).into_owned()))
    }
}

fn checked(body: SetOidc, secret_sealed: Option<Vec<u8>>) -> Result<OidcSettings, AppError> {
    let text = |pointer: &str, text: String| match (1..=MAX_TEXT).contains(&text.len()) {
        true => Ok(text),
        false => Err(AppError::invalid(pointer, format!("use 1 to {MAX_TEXT} bytes"))),
    };
    let https = Url::parse(&body.issuer).is_ok_and(|url| url.scheme() == "https" && url.host().is_some());
    if !https || body.issuer.contains(['?', '#']) {
        return Err(AppError::invalid(
            "/issuer",
            "use the provider's issuer as it names itself, `https://…`",
        ));
    }
    let scopes = body.scopes.unwrap_or_else(|| vec!["profile".to_owned(), "email".to_owned()]);
    let plain = |scope: &String| {
        !scope.is_empty() && scope.len() <= 64 && scope.chars().all(|c| c.is_ascii_graphic())
    };
    if scopes.len() > MAX_LIST || !scopes.iter().all(plain) {
        return Err(AppError::invalid(
            "/scopes",
            format!("use at most {MAX_LIST} words of at most 64 characters"),
        ));
    }
    if body.origins.len() > MAX_LIST || !body.origins.iter().all(|origin| is_origin(origin)) {
        return Err(AppError::invalid(
            "/origins",
            format!("use at most {MAX_LIST}, each `https://HOST[:PORT]`"),
        ));
    }
    if body.groups.len() > MAX_GROUPS {
        return Err(AppError::invalid("/groups", format!("use at most {MAX_GROUPS}")));
    }
    let roots_pem = body.roots_pem.filter(|roots| !roots.trim().is_empty());
    if roots_pem.as_ref().is_some_and(|roots| roots.len() > MAX_ROOTS || !provider::are_roots(roots)) {
        return Err(AppError::invalid(
            "/roots_pem",
            format!("use certificates in PEM, at most {MAX_ROOTS} bytes"),
        ));
    }
    Ok(OidcSettings {
        label: text("/label", body.label.unwrap_or_else(|| "single sign-on".to_owned()))?,
        issuer: text("/issuer", body.issuer)?,
        client: text("/client", body.client)?,
        secret_sealed,
        device_client: body.device_client.map(|client| text("/device_client", client)).transpose()?,
        scopes,
        groups_claim: text("/groups_claim", body.groups_claim.unwrap_or_else(|| "groups".to_owned()))?,
        name_claim: text("/name_claim", body.name_claim.unwrap_or_else(|| "preferred_username".to_owned()))?,
        groups: body.groups.into_iter().map(group_of).collect::<Result<_, _>>()?,
        others: body.others.map(Into::into),
        origins: body.origins,
        roots_pem,
        revision: 0,
    })
}

fn group_of(group: OidcGroup) -> Result<GroupRole, AppError> {
    if !(1..=MAX_TEXT).contains(&group.group.len()) {
        return Err(AppError::invalid("/groups", format!("a group's name has 1 to {MAX_TEXT} bytes")));
    }
    Ok(GroupRole { group: group.group, role: group.role.into(), places: places_of("/groups", group.scope)? })
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.origin().ascii_serialization() == text)
}

/// Where browsers may come back to: the controllers' own addresses, and those that an admin named.
fn redirects(state: &State, settings: &OidcSettings) -> Vec<String> {
    let known = state.origins().into_iter().chain(settings.origins.iter().cloned());
    known.map(|origin| format!("{origin}{CALLBACK}")).collect()
}

fn view(state: &State, settings: &OidcSettings) -> OidcView {
    let group = |one: &GroupRole| OidcGroup {
        group: one.group.clone(),
        role: one.role.into(),
        scope: scope_of(&one.places),
    };
    OidcView {
        label: settings.label.clone(),
        issuer: settings.issuer.clone(),
        client: settings.client.clone(),
        secret: settings.secret_sealed.is_some(),
        device_client: settings.device_client.clone(),
        scopes: settings.scopes.clone(),
        groups_claim: settings.groups_claim.clone(),
        name_claim: settings.name_claim.clone(),
        groups: settings.groups.iter().map(group).collect(),
        others: settings.others.map(Into::into),
        origins: settings.origins.clone(),
        roots: settings.roots_pem.is_some(),
        redirects: redirects(state, settings),
        problem: None,
        revision: settings.revision,
    }
}
