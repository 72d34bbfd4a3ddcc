//! A small OpenID provider over TLS. It rejects what the specifications forbid, and can be told to lie in its ID tokens.

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use omni_common::clock::{Clock, SystemClock};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

pub(super) const CLIENT: &str = "omni";
pub(super) const SECRET: &str = "s3cret/+ of omni";
/// For programs; it has no secret.
pub(super) const DEVICE_CLIENT: &str = "omni-cli";
pub(super) const REDIRECT: &str = "https://10.0.0.1:7601/api/v1/session/oidc/callback";

/// What is wrong with the next ID token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    Nothing,
    Nonce,
    NoNonce,
    Audience,
    Issuer,
    Expired,
    /// Signed with the client's secret.
    Hmac,
    /// Not signed at all.
    Unsigned,
    /// Signed by a key that is not published.
    OtherKey,
    /// The access token is not the one it came with.
    AccessToken,
    NoToken,
}

/// How a device's sign-in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Hurry,
    Yes,
    No,
}

struct Code {
    redirect: String,
    challenge: String,
    nonce: String,
}

struct Inner {
    base: String,
    key: EcdsaKeyPair,
    kid: String,
    lie: Lie,
    said: Said,
    codes: BTreeMap<String, Code>,
    issued: u64,
    claims: Map<String, Value>,
    /// Told only when the person is asked for.
    only_at_userinfo: Map<String, Value>,
    access_tokens: Vec<String>,
}

type Shared = Arc<Mutex<Inner>>;

/// The provider, as a test holds it.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) roots_pem: String,
    inner: Shared,
}

fn key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("randomness");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).expect("just made")
}

impl Provider {
    /// Starts one that vouches for Ann, who is in `groups`.
    pub(super) fn start(groups: &[&str]) -> Self {
        let cluster = omni_certs::testing::cluster();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let base = format!("https://{}/idp", listener.local_addr().expect("bound"));
        let claims =
            json!({"sub": "5f", "preferred_username": "ann", "name": "Ann Example", "groups": groups});
        let inner = Arc::new(Mutex::new(Inner {
            base: base.clone(),
            key: key(),
            kid: "one".to_owned(),
            lie: Lie::Nothing,
            said: Said::Nothing,
            codes: BTreeMap::new(),
            issued: 0,
            claims: claims.as_object().cloned().expect("an object"),
            only_at_userinfo: Map::new(),
            access_tokens: Vec::new(),
        }));
        let router = Router::new()
            .route("/idp/.well-known/openid-configuration", get(discovery))
            .route("/idp/jwks", get(jwks))
            .route("/idp/token", post(token))
            .route("/idp/device", post(device))
            .route("/idp/userinfo", get(userinfo))
            .with_state(Arc::clone(&inner));
        let tls = RustlsConfig::from_config(Arc::new(cluster.controller.api_server_config()));
        let server = from_tcp_rustls(listener, tls).expect("a listener");
        tokio::spawn(server.serve(router.into_make_service()));
        let der = STANDARD.encode(cluster.authority.cert_der());
        let roots_pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
        Self { issuer: format!("{base}/"), roots_pem, inner }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock().expect("no panic while locked"));
    }

    pub(super) fn lie(&self, lie: Lie) {
        self.change(|inner| inner.lie = lie);
    }

    pub(super) fn say(&self, said: Said) {
        self.change(|inner| inner.said = said);
    }

    pub(super) fn claim(&self, name: &str, value: Value) {
        self.change(|inner| drop(inner.claims.insert(name.to_owned(), value)));
    }

    /// Tells a claim only to those who ask for the person.
    pub(super) fn hide(&self, name: &str) {
        self.change(|inner| {
            let value = inner.claims.remove(name).expect("there is such a claim");
            inner.only_at_userinfo.insert(name.to_owned(), value);
        });
    }

    /// New keys; the old ones are gone.
    pub(super) fn rotate(&self) {
        self.change(|inner| {
            inner.key = key();
            inner.kid = "two".to_owned();
        });
    }

    /// The person says yes at the provider's page; gives the path that their browser is sent back to.
    pub(super) fn authorize(&self, url: &str) -> String {
        let url = url::Url::parse(url).expect("an address");
        let mut inner = self.inner.lock().expect("no panic while locked");
        assert_eq!(url.as_str().split('?').next(), Some(format!("{}/authorize", inner.base).as_str()));
        let all: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(url.query_pairs().count(), all.len(), "a parameter comes twice");
        let value = |name: &str| all.get(name).map(String::as_str).unwrap_or_default().to_owned();
        assert_eq!((value("response_type").as_str(), value("client_id").as_str()), ("code", CLIENT));
        assert_eq!(value("redirect_uri"), REDIRECT, "only what is registered");
        assert!(value("scope").split(' ').any(|scope| scope == "openid"));
        assert_eq!((value("code_challenge_method").as_str(), value("code_challenge").len()), ("S256", 43));
        assert!(value("state").len() >= 22 && value("nonce").len() >= 22, "both have at least 128 bits");
        inner.issued += 1;
        let code = format!("code-{}", inner.issued);
        let kept = Code {
            redirect: value("redirect_uri"),
            challenge: value("code_challenge"),
            nonce: value("nonce"),
        };
        inner.codes.insert(code.clone(), kept);
        let issuer: String = url::form_urlencoded::byte_serialize(self.issuer.as_bytes()).collect();
        format!(
            "/api/v1/session/oidc/callback?code={code}&state={}&iss={issuer}&session_state=x",
            value("state")
        )
    }
}

async fn discovery(State(shared): State<Shared>) -> Json<Value> {
    let base = shared.lock().expect("no panic while locked").base.clone();
    Json(json!({
        "issuer": format!("{base}/"),
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "device_authorization_endpoint": format!("{base}/device"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256"],
    }))
}

async fn jwks(State(shared): State<Shared>) -> Json<Value> {
    let inner = shared.lock().expect("no panic while locked");
    let point = inner.key.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
    let one =
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": inner.kid, "use": "sig", "alg": "ES256"});
    Json(json!({"keys": [one]}))
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

/// Whether the confidential client shows its secret as RFC 6749 says, and only there.
fn is_client(headers: &HeaderMap, form: &BTreeMap<String, String>) -> bool {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET))));
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown == Some(wanted.as_str()) && !form.contains_key("client_secret")
}

async fn token(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut inner = shared.lock().expect("no panic while locked");
    let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match value("grant_type") {
        "authorization_code" => {
            if !is_client(&headers, &form) {
                return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
            }
            // Once: a code that is shown again is no code.
            let Some(code) = inner.codes.remove(value("code")) else { return refuse("invalid_grant") };
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier")));
            if challenge != code.challenge || value("redirect_uri") != code.redirect {
                return refuse("invalid_grant");
            }
            inner.answer(CLIENT, Some(&code.nonce))
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if value("client_id") != DEVICE_CLIENT || headers.contains_key(header::AUTHORIZATION) {
                return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
            }
            match (value("device_code"), inner.said) {
                ("device-1", Said::Nothing) => refuse("authorization_pending"),
                ("device-1", Said::Hurry) => refuse("slow_down"),
                ("device-1", Said::No) => refuse("access_denied"),
                ("device-1", Said::Yes) => inner.answer(DEVICE_CLIENT, None),
                _ => refuse("expired_token"),
            }
        }
        _ => refuse("unsupported_grant_type"),
    }
}

async fn device(headers: HeaderMap, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let known = form.get("client_id").is_some_and(|client| client == DEVICE_CLIENT);
    if !known || headers.contains_key(header::AUTHORIZATION) {
        return refuse("invalid_client");
    }
    if !form.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
        return refuse("invalid_scope");
    }
    Json(json!({
        "device_code": "device-1",
        "user_code": "123456789",
        "verification_uri": "https://auth.example/device",
        "expires_in": 60,
    }))
    .into_response()
}

async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock().expect("no panic while locked");
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !inner.access_tokens.iter().any(|token| bearer == format!("Bearer {token}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut told = inner.only_at_userinfo.clone();
    told.insert("sub".to_owned(), inner.claims["sub"].clone());
    Json(Value::Object(told)).into_response()
}

impl Inner {
    fn answer(&mut self, client: &str, nonce: Option<&str>) -> Response {
        self.issued += 1;
        let access_token = format!("access-{}", self.issued);
        self.access_tokens.push(access_token.clone());
        let mut body = json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 300});
        if self.lie != Lie::NoToken {
            body["id_token"] = self.id_token(client, nonce, &access_token).into();
        }
        Json(body).into_response()
    }

    fn id_token(&self, client: &str, nonce: Option<&str>, access_token: &str) -> String {
        let now = SystemClock.now().as_secs();
        let lies = |lie| self.lie == lie;
        let hashed = if lies(Lie::AccessToken) { "another" } else { access_token };
        let mut claims = self.claims.clone();
        let mut set = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        set("iss", if lies(Lie::Issuer) { self.base.clone() } else { format!("{}/", self.base) }.into());
        set("aud", if lies(Lie::Audience) { "another" } else { client }.into());
        set("iat", now.into());
        set("exp", if lies(Lie::Expired) { now - 10 } else { now + 300 }.into());
        set("at_hash", URL_SAFE_NO_PAD.encode(&Sha256::digest(hashed)[..16]).into());
        if let Some(nonce) = nonce.filter(|_| !lies(Lie::NoNonce)) {
            set("nonce", if lies(Lie::Nonce) { "another" } else { nonce }.into());
        }
        let algorithm = match self.lie {
            Lie::Hmac => "HS256",
            Lie::Unsigned => "none",
            _ => "ES256",
        };
        let head = json!({"alg": algorithm, "kid": self.kid, "typ": "JWT"});
        let part = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
        let text = format!(
            "{}.{}",
            part(head.to_string().as_bytes()),
            part(Value::Object(claims).to_string().as_bytes())
        );
        let signature = match self.lie {
            Lie::Hmac => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
                ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            Lie::Unsigned => Vec::new(),
            Lie::OtherKey => sign(&key(), &text),
            _ => sign(&self.key, &text),
        };
        format!("{text}.{}", part(&signature))
    }
}

fn sign(key: &EcdsaKeyPair, text: &str) -> Vec<u8> {
    key.sign(&SystemRandom::new(), text.as_bytes()).expect("randomness").as_ref().to_vec()
}
