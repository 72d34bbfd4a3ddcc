//! Secrets.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{Page, PutSecret, RemoveSecretQuery, RevealSecret, SecretValue, SecretView};
use reqwest::Method;

const SECRETS: [&str; 3] = ["api", "v1", "secrets"];

fn of(name: &str) -> [&str; 4] {
    [SECRETS[0], SECRETS[1], SECRETS[2], name]
}

impl Client {
    /// All secrets, without their values.
    pub async fn secrets(&self) -> Result<Vec<SecretView>> {
        let page: Page<SecretView> = self.read(Call::get(&SECRETS)).await?;
        Ok(page.items)
    }

    /// One secret, without its value.
    pub async fn secret(&self, name: &str) -> Result<SecretView> {
        self.read(Call::get(&of(name))).await
    }

    /// Puts a new version of a secret, if it is still at `revision` when one is given; zero for a new one.
    pub async fn put_secret(
        &self,
        name: &str,
        body: &PutSecret,
        revision: Option<u64>,
    ) -> Result<SecretView> {
        self.write(Call::change(Method::PUT, &of(name)).body(body).if_revision(revision)).await
    }

    /// The value of a secret. The cluster writes down that it was asked for.
    pub async fn reveal_secret(&self, name: &str, version: Option<u64>) -> Result<SecretValue> {
        let path = [&of(name)[..], &["reveal"]].concat();
        self.write(Call::change(Method::POST, &path).body(&RevealSecret { version })).await
    }

    /// Removes a secret, or one version of it.
    pub async fn remove_secret(&self, name: &str, version: Option<u64>) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &of(name)).with(&RemoveSecretQuery { version })).await
    }
}
