//! Closed-loop load: so many clients, each asking again as soon as it is answered.

use super::stats::{Load, Percentiles};
use anyhow::{Result, ensure};
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A call that has no answer by then has failed.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// A client whose call failed waits this long, so that failures do not become a flood.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// Something that can be asked again and again.
pub(super) trait Target: Clone + Send + Sync + 'static {
    /// One call of one client, the `turn`-th.
    fn call(&self, client: usize, turn: u64) -> impl Future<Output = Result<()>> + Send;
}

/// How long load runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Not measured: connections open, caches fill.
    pub(super) warm_up: Duration,
    /// Measured.
    pub(super) measured: Duration,
}

/// What one client saw in the measured time.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    failed: usize,
    last_error: Option<anyhow::Error>,
}

/// Puts `clients` clients on `target`. A call counts when it ended within the measured time.
///
/// # Errors
/// When more calls fail than are answered: that is no measurement.
pub(super) async fn run(target: &impl Target, clients: usize, span: Span) -> Result<Load> {
    let from = Instant::now() + span.warm_up;
    let until = from + span.measured;
    let mut running = JoinSet::new();
    for client in 0..clients {
        running.spawn(live(target.clone(), client, from, until));
    }
    let mut all = Seen::default();
    for seen in running.join_all().await {
        all.latencies.extend(seen.latencies);
        all.failed += seen.failed;
        all.last_error = seen.last_error.or(all.last_error);
    }
    let failing = all.last_error.as_ref().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(
        all.latencies.len() > all.failed,
        "{} calls failed and {} were answered; the last failure: {failing}",
        all.failed,
        all.latencies.len()
    );
    Ok(Load {
        per_second: all.latencies.len() as f64 / span.measured.as_secs_f64(),
        latency_ms: Percentiles::of_durations(&all.latencies),
        answered: all.latencies.len(),
        failed: all.failed,
    })
}

async fn live(target: impl Target, client: usize, from: Instant, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut turn = 0;
    while Instant::now() < until {
        let began = Instant::now();
        let answer = tokio::time::timeout(CALL_WITHIN, target.call(client, turn)).await;
        let ended = Instant::now();
        let counts = ended >= from && ended < until;
        let failure = match answer {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(anyhow::anyhow!("no answer within {CALL_WITHIN:?}")),
        };
        match failure {
            None if counts => seen.latencies.push(ended - began),
            None => {}
            Some(error) => {
                seen.failed += usize::from(counts);
                seen.last_error = Some(error);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
        turn += 1;
    }
    seen
}
