//! The HTTP API through the SDK, from wherever the operator sits.

use super::Place;
use omni_certs::TokenText;
use omni_common::api::v1::Consistency;
use omni_sdk::{Address, Client, Error, Options};
use std::time::Duration;

/// Whom to ask and as whom.
#[derive(Clone, Debug)]
pub struct Api<'a> {
    desk: Place<'a>,
    addresses: Vec<String>,
    token: TokenText,
    options: Options,
}

impl<'a> Api<'a> {
    pub(super) fn new(desk: Place<'a>, addresses: Vec<String>, token: TokenText) -> Self {
        Self { desk, addresses, token, options: Options::default() }
    }

    /// Reads show what the answering controller has.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.options.consistency = Consistency::Stale;
        self
    }

    /// Calls may take this long.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Calls are made with another token.
    #[must_use]
    pub fn as_whom(mut self, token: TokenText) -> Self {
        self.token = token;
        self
    }

    /// Runs `work` with a client, in a runtime of its own: connections are not kept from one call to the next.
    ///
    /// # Errors
    /// Those of the client.
    pub fn ask<T: Send>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let asked = self.desk.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Error::Setup(error.to_string()))?;
            runtime.block_on(work(self.client()?))
        });
        asked.unwrap_or_else(|error| Err(Error::Setup(error.to_string())))
    }

    fn client(&self) -> Result<Client, Error> {
        let read = |text: &String| text.parse::<Address>().map_err(|error| Error::Setup(error.to_string()));
        let addresses = self.addresses.iter().map(read).collect::<Result<_, _>>()?;
        Client::new(addresses, &self.token, self.options)
    }
}
