//! A stream of writes that runs beside a test, and what became of each.

use super::{Api, Mesh, SOON};
use crate::testbed::eventually;
use anyhow::{Result, ensure};
use omni_common::api::v1::{CreateJoinToken, JoinRole, TokensQuery};
use omni_common::ids::TokenId;
use omni_sdk::{Client, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Writers side by side; each has one write under way.
const WRITERS: usize = 4;
/// Between two writes of one writer: enough of them to fall into every gap, few enough to leave the programs
/// under test a processor.
const PAUSE: Duration = Duration::from_millis(15);
/// All tokens that a test can have made.
const ALL: u32 = 10_000;

/// One write that was answered.
#[derive(Clone, Copy, Debug)]
struct Acked {
    began: Instant,
    ended: Instant,
    token: TokenId,
}

/// What became of the writes so far.
#[derive(Debug, Default)]
pub struct Writes {
    acked: Mutex<Vec<Acked>>,
    failed: Mutex<Vec<String>>,
    stop: CancellationToken,
}

impl Writes {
    /// Waits until a write that began after `moment` is acknowledged, and returns how long after `moment` it was.
    ///
    /// # Errors
    /// When none is for long; the error shows the failures so far.
    pub fn next_after(&self, moment: Instant) -> Result<Duration> {
        let found = eventually("a write is acknowledged", SOON, || {
            let acked = self.acked();
            let after = acked.iter().filter(|write| write.began >= moment);
            after.map(|write| write.ended - moment).min()
        });
        found.map_err(|error| error.context(format!("failures so far: {:#?}", lock(&self.failed))))
    }

    /// How many were acknowledged.
    pub fn count(&self) -> usize {
        self.acked().len()
    }

    /// How many failed: refused, or with an outcome that nobody knows.
    pub fn failures(&self) -> usize {
        lock(&self.failed).len()
    }

    fn acked(&self) -> MutexGuard<'_, Vec<Acked>> {
        lock(&self.acked)
    }

    async fn write(&self, client: &Client) {
        let body =
            CreateJoinToken { role: JoinRole::Agent, ttl_secs: None, uses: None, labels: BTreeMap::new() };
        let began = Instant::now();
        match client.create_join_token(&body).await {
            Ok(made) => self.acked().push(Acked { began, ended: Instant::now(), token: made.view.id }),
            Err(error) => lock(&self.failed).push(error.to_string()),
        }
    }

    async fn run(&self, client: Client) -> Result<(), Error> {
        let writer = || async {
            while !self.stop.is_cancelled() {
                self.write(&client).await;
                tokio::time::sleep(PAUSE).await;
            }
        };
        futures_util::future::join_all((0..WRITERS).map(|_| writer())).await;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mesh<'_> {
    /// Runs `body` beside a stream of writes through all controllers, then checks that every acknowledged one is
    /// in every controller's state.
    ///
    /// # Errors
    /// Those of `body`; and when an acknowledged write is lost.
    pub fn while_writing<T>(&self, body: impl FnOnce(&Writes) -> Result<T>) -> Result<T> {
        let writes = Writes::default();
        let api = self.api();
        let result = thread::scope(|scope| {
            let writing = scope.spawn(|| api.ask(async |client| writes.run(client).await));
            // Also when `body` panics, or the scope would wait for ever.
            let _stop = writes.stop.clone().drop_guard();
            let result = writes.next_after(Instant::now()).and_then(|_| body(&writes));
            writes.stop.cancel();
            writing.join().expect("writing does not panic")?;
            result
        })?;
        self.nothing_is_lost(&writes)?;
        Ok(result)
    }

    fn nothing_is_lost(&self, writes: &Writes) -> Result<()> {
        let (acked, failed) = (writes.count(), writes.failures());
        let reasons: BTreeSet<_> = lock(&writes.failed).iter().map(|text| squeezed(text)).collect();
        eprintln!("{acked} writes acknowledged, {failed} not: {reasons:#?}");
        missing(&self.api(), writes, "the cluster")?;
        for controller in self.controllers().iter().filter(|controller| controller.is_running()) {
            // A read by itself is stale only until the log has arrived.
            let seen = eventually(&format!("{} has every write", controller.name()), SOON, || {
                missing(&self.api_of([controller]).stale(), writes, controller.name()).ok()
            });
            seen.or_else(|_| missing(&self.api_of([controller]).stale(), writes, controller.name()))?;
        }
        Ok(())
    }
}

/// Without what differs from one failure to the next of its kind.
fn squeezed(text: &str) -> String {
    text.split_whitespace().filter(|word| word.parse::<TokenId>().is_err()).collect::<Vec<_>>().join(" ")
}

fn missing(api: &Api<'_>, writes: &Writes, at: &str) -> Result<()> {
    let query = TokensQuery { all: true, limit: Some(ALL), cursor: None };
    let there: BTreeSet<TokenId> =
        api.ask(async |client| client.join_tokens(query).await)?.iter().map(|token| token.id).collect();
    let acked = writes.acked();
    let lost: Vec<_> = acked.iter().filter(|write| !there.contains(&write.token)).collect();
    ensure!(
        lost.is_empty(),
        "{at} has lost {} of {} acknowledged writes: {lost:#?}",
        lost.len(),
        acked.len()
    );
    Ok(())
}
