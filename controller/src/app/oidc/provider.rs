//! The provider, over HTTPS: what it says of itself, codes for tokens, and whether a token is what it claims to be.

use super::super::AppError;
use crate::state::OidcSettings;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGenderClaim, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AdditionalProviderMetadata, ClaimsVerificationError,
    ClientId, DiscoveryError, HttpRequest, HttpResponse, IdToken, IdTokenVerifier, IssuerUrl, Nonce,
    ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// The provider is given this long for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer of a provider, bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Longest text of a provider's that is passed on, characters.
const MAX_WORDS: usize = 200;
/// What a provider says of itself is asked for again after this long.
const FRESH: Duration = Duration::from_secs(600);
/// A key that is not known is looked for at most this often: anybody can send one.
const KEYS_AGAIN: Duration = Duration::from_secs(30);
/// Signatures taken. With the others, whoever has the client's secret could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// What the discovery document says beyond the core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Beyond {
    #[serde(default)]
    device_authorization_endpoint: Option<String>,
}
impl AdditionalProviderMetadata for Beyond {}

type Metadata = ProviderMetadata<
    Beyond,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// All claims but the standard ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Others {
    #[serde(flatten)]
    all: Map<String, Value>,
}
impl AdditionalClaims for Others {}

type Token = IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// The provider did not do its part.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    /// It could not be asked.
    #[error("the OpenID provider cannot be asked: {0}")]
    Reach(String),
    /// What it says of itself is not usable.
    #[error("what the OpenID provider says of itself cannot be used: {0}")]
    Discovery(String),
    /// It turned the request down.
    #[error("the OpenID provider says `{code}`{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its word.
        code: String,
        /// Its sentence.
        text: Option<String>,
    },
    /// Its ID token is not good.
    #[error("the OpenID provider's ID token is not good: {0}")]
    Token(String),
}

impl From<ProviderError> for AppError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error.to_string())
    }
}

/// A provider as it was last asked.
pub(super) struct Provider {
    http: reqwest::Client,
    metadata: Metadata,
    revision: u64,
    asked: Instant,
}

/// The provider that was last asked. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Providers {
    last: Arc<Mutex<Option<Arc<Provider>>>>,
}

/// Somebody that the provider vouches for.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
}

/// For what a token is given.
pub(super) struct Grant<'a> {
    pub(super) client: &'a str,
    pub(super) secret: Option<&'a str>,
    pub(super) form: Vec<(&'a str, &'a str)>,
    /// What the ID token has to repeat; a device's sign-in has none.
    pub(super) nonce: Option<&'a str>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    id_token: Option<String>,
}

/// What a provider answers to a device that begins.
#[derive(Deserialize)]
pub(super) struct DeviceCodes {
    pub(super) device_code: String,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_in: u64,
    pub(super) interval: Option<u64>,
}

#[derive(Deserialize)]
struct Complaint {
    error: String,
    error_description: Option<String>,
}

impl Providers {
    /// The provider of these settings, asked not long ago.
    pub(super) async fn get(&self, settings: &OidcSettings) -> Result<Arc<Provider>, ProviderError> {
        let known = self.last.lock().expect("no panic while locked").clone();
        match known.filter(|known| known.revision == settings.revision && known.asked.elapsed() < FRESH) {
            Some(known) => Ok(known),
            None => self.renew(settings).await,
        }
    }

    async fn renew(&self, settings: &OidcSettings) -> Result<Arc<Provider>, ProviderError> {
        let provider = Arc::new(self.ask(settings).await?);
        *self.last.lock().expect("no panic while locked") = Some(Arc::clone(&provider));
        Ok(provider)
    }

    /// Asks the provider for what it says of itself, and for its keys.
    pub(super) async fn ask(&self, settings: &OidcSettings) -> Result<Provider, ProviderError> {
        let http = client(settings.roots_pem.as_deref())?;
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|error| ProviderError::Discovery(error.to_string()))?;
        let send = |request| fetch(http.clone(), request);
        let metadata = Metadata::discover_async(issuer, &send).await;
        let metadata = metadata.map_err(|error| match error {
            DiscoveryError::Request(reached) => reached,
            other => ProviderError::Discovery(chain(&other)),
        })?;
        Ok(Provider { http, metadata, revision: settings.revision, asked: Instant::now() })
    }

    /// Redeems a grant for somebody whom the provider vouches for.
    pub(super) async fn redeem(
        &self,
        settings: &OidcSettings,
        grant: &Grant<'_>,
    ) -> Result<Vouched, ProviderError> {
        let provider = self.get(settings).await?;
        let tokens = provider.tokens(grant).await?;
        let text = tokens.id_token.as_deref();
        let text = text.ok_or_else(|| {
            ProviderError::Token("there is none; is the scope `openid` allowed?".to_owned())
        })?;
        let token: Token = text.parse().map_err(|_| ProviderError::Token("it does not decode".to_owned()))?;
        let checked = provider.check(&token, grant, &tokens.access_token);
        let checked = match checked {
            Err(ClaimsVerificationError::SignatureVerification(_))
                if provider.asked.elapsed() > KEYS_AGAIN =>
            {
                // It may have new keys.
                self.renew(settings).await?.check(&token, grant, &tokens.access_token)
            }
            checked => checked,
        };
        let mut vouched = checked.map_err(|error| ProviderError::Token(chain(&error)))?;
        let wanted = [&settings.groups_claim, &settings.name_claim];
        if wanted.iter().any(|claim| !vouched.claims.contains_key(*claim)) {
            provider.add_user_info(&mut vouched, &tokens.access_token).await?;
        }
        Ok(vouched)
    }
}

impl Provider {
    /// Where a person goes to be vouched for.
    pub(super) fn authorization_url(&self) -> Url {
        self.metadata.authorization_endpoint().url().clone()
    }

    /// Begins a device's sign-in.
    pub(super) async fn device_codes(
        &self,
        client: &str,
        secret: Option<&str>,
        scope: &str,
    ) -> Result<DeviceCodes, ProviderError> {
        let endpoint = self.metadata.additional_metadata().device_authorization_endpoint.as_deref();
        let missing = || ProviderError::Discovery("it names no endpoint for devices".to_owned());
        let endpoint = endpoint.and_then(|url| Url::parse(url).ok()).ok_or_else(missing)?;
        let grant = Grant { client, secret, form: vec![("scope", scope)], nonce: None };
        self.post(endpoint, &grant).await
    }

    async fn tokens(&self, grant: &Grant<'_>) -> Result<Tokens, ProviderError> {
        let endpoint = self.metadata.token_endpoint();
        let endpoint =
            endpoint.ok_or_else(|| ProviderError::Discovery("it names no token endpoint".to_owned()))?;
        self.post(endpoint.url().clone(), grant).await
    }

    /// Posts a form as the client.
    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        endpoint: Url,
        grant: &Grant<'_>,
    ) -> Result<T, ProviderError> {
        let mut form = grant.form.clone();
        form.push(("client_id", grant.client));
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let takes = |method: CoreClientAuthMethod| methods.is_some_and(|methods| methods.contains(&method));
        // Basic is what a provider takes that says nothing.
        let in_body =
            takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
        let mut request = self.http.post(endpoint).header("accept", "application/json");
        match grant.secret {
            Some(secret) if in_body => form.push(("client_secret", secret)),
            // RFC 6749, 2.3.1: both are encoded as in a form first.
            Some(secret) => request = request.basic_auth(encoded(grant.client), Some(encoded(secret))),
            None => {}
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .build()
            .map_err(reach)?;
        let answer = send(&self.http, request).await?;
        if answer.status().is_success() {
            return serde_json::from_slice(answer.body())
                .map_err(|error| ProviderError::Discovery(format!("an answer does not read: {error}")));
        }
        match serde_json::from_slice::<Complaint>(answer.body()) {
            Ok(told) => Err(ProviderError::Refused {
                code: cut(&told.error),
                text: told.error_description.as_deref().map(cut),
            }),
            Err(_) => Err(not_well(&answer)),
        }
    }

    /// Signature, issuer, audience, times, nonce, and that the access token belongs to it.
    fn check(
        &self,
        token: &Token,
        grant: &Grant<'_>,
        access_token: &str,
    ) -> Result<Vouched, ClaimsVerificationError> {
        let keys: CoreJsonWebKeySet = self.metadata.jwks().clone();
        let client = ClientId::new(grant.client.to_owned());
        let verifier = IdTokenVerifier::new_public_client(client, self.metadata.issuer().clone(), keys)
            .set_allowed_algs(ALGORITHMS);
        let claims = token.claims(&verifier, |told: Option<&Nonce>| match (grant.nonce, told) {
            (None, _) => Ok(()),
            (Some(wanted), Some(told)) if told.secret() == wanted => Ok(()),
            _ => Err("it is not that of this sign-in".to_owned()),
        })?;
        if let Some(wanted) = claims.access_token_hash() {
            let other = |error: &dyn std::error::Error| ClaimsVerificationError::Other(error.to_string());
            let algorithm = token.signing_alg().map_err(|error| other(&error))?;
            let key = token.signing_key(&verifier).map_err(|error| other(&error))?;
            let access_token = AccessToken::new(access_token.to_owned());
            let actual =
                AccessTokenHash::from_token(&access_token, algorithm, key).map_err(|error| other(&error))?;
            if actual != *wanted {
                return Err(ClaimsVerificationError::Other("the access token is another one's".to_owned()));
            }
        }
        let all = serde_json::to_value(claims).ok();
        let Some(Value::Object(all)) = all else {
            return Err(ClaimsVerificationError::Other("its claims are no object".to_owned()));
        };
        Ok(Vouched { subject: claims.subject().to_string(), claims: all })
    }

    /// Adds what the provider tells only when it is asked for the person.
    async fn add_user_info(&self, vouched: &mut Vouched, access_token: &str) -> Result<(), ProviderError> {
        let Some(endpoint) = self.metadata.userinfo_endpoint() else { return Ok(()) };
        let request = self.http.get(endpoint.url().clone()).header("accept", "application/json");
        let request = request.bearer_auth(access_token).build().map_err(reach)?;
        let answer = send(&self.http, request).await?;
        if !answer.status().is_success() {
            return Err(not_well(&answer));
        }
        let told: Map<String, Value> = serde_json::from_slice(answer.body()).map_err(|error| {
            ProviderError::Discovery(format!("what it tells of a person does not read: {error}"))
        })?;
        if told.get("sub").and_then(Value::as_str) != Some(vouched.subject.as_str()) {
            return Err(ProviderError::Token("it tells of another person".to_owned()));
        }
        for (claim, value) in told {
            vouched.claims.entry(claim).or_insert(value);
        }
        Ok(())
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Whether these are certificates.
pub(super) fn are_roots(pem: &str) -> bool {
    reqwest::Certificate::from_pem_bundle(pem.as_bytes()).is_ok_and(|roots| !roots.is_empty())
}

/// Goes nowhere but where it was sent, over TLS.
fn client(roots_pem: Option<&str>) -> Result<reqwest::Client, ProviderError> {
    // Done already, but for tests.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = reqwest::Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("omni/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = roots_pem {
        let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(reach)?;
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(reach)
}

/// What a provider says is shown and logged, so it is kept short.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

fn not_well(answer: &HttpResponse) -> ProviderError {
    ProviderError::Refused { code: format!("HTTP {}", answer.status().as_u16()), text: None }
}

fn reach(error: reqwest::Error) -> ProviderError {
    ProviderError::Reach(chain(&error))
}

/// Sends a request and reads the answer, as long as it is not too large.
async fn send(http: &reqwest::Client, request: reqwest::Request) -> Result<HttpResponse, ProviderError> {
    let mut response = http.execute(request).await.map_err(reach)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reach)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ProviderError::Reach(format!("an answer is larger than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

/// The same for the library.
async fn fetch(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
    send(&http, reqwest::Request::try_from(request).map_err(reach)?).await
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
