//! Fetches the orders of runs, one after the other, each on a stream of its own. They hold secrets: nothing of them is
//! logged or written.

use super::contents::{Tried, ask};
use super::control::until;
use crate::runs::Runs;
use omni_common::domain::backup::RunOrder;
use omni_common::ids::RunId;
use omni_common::wire::{HostRequest, MAX_RUN_ORDER};
use omni_transport::Connection;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;

/// That a run was asked for is forgotten so long after it may be asked for again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Fetches whatever is wanted until the session is over.
pub(super) async fn run(runs: &Runs, connection: &Connection) -> Infallible {
    let mut changes = runs.changes();
    let mut tried: BTreeMap<RunId, Tried> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let now = Instant::now();
        let not_yet = |run| tried.get(&run).is_some_and(|tried| tried.again > now);
        let Some(run) = runs.wanted(not_yet) else {
            let again = tried.values().map(|tried| tried.again).filter(|again| *again > now).min();
            tokio::select! {
                _ = changes.changed() => {}
                () = until(again) => {}
            }
            continue;
        };
        match ask(connection, &HostRequest::Run(run), MAX_RUN_ORDER).await {
            Ok(bytes) => runs.provide(run, read(run, &bytes)),
            Err(error) => tracing::warn!(%run, %error, "order of a run not fetched"),
        }
        // Also after a success: a run that was given up and named again is asked for anew, not at once.
        tried.entry(run).or_default().note(Instant::now());
        tried.retain(|_, tried| tried.again + FORGOTTEN > now);
    }
}

/// The order of a run, or a sentence about what is wrong with it, which must not quote it.
fn read(run: RunId, bytes: &[u8]) -> Result<RunOrder, String> {
    let order: RunOrder = serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "this agent does not understand the order (at line {}, column {}): it may be older than the controllers",
            error.line(),
            error.column()
        )
    })?;
    match order.id == run {
        true => Ok(order),
        false => Err("the gateway sent the order of another run".to_owned()),
    }
}
