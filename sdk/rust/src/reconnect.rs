//! Pauses between attempts, and how long a broken stream is mended before it is given up.

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::socket::Socket;
use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First pause: an election takes a few hundred milliseconds.
const FIRST: Duration = Duration::from_millis(50);
/// Longest pause, so that a cluster that comes back is noticed at once.
const LONGEST: Duration = Duration::from_secs(1);
/// A stream that could not be taken up again for this long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Growing, jittered pauses without end; the deadline is the caller's.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send + Sync + 'static {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Opens a stream's socket again and again, until [`PATIENCE`] has passed without a message.
pub(crate) struct Reopener {
    client: Client,
    broken: Option<Broken>,
    opened_before: bool,
}

struct Broken {
    since: Instant,
    pauses: Box<dyn Iterator<Item = Duration> + Send + Sync>,
    why: String,
}

impl Reopener {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, broken: None, opened_before: false }
    }

    /// A message arrived: whatever was broken is mended.
    pub(crate) fn mended(&mut self) {
        self.broken = None;
    }

    /// The socket broke.
    pub(crate) fn broke(&mut self, why: String) {
        match &mut self.broken {
            Some(broken) => broken.why = why,
            None => {
                self.broken = Some(Broken { since: Instant::now(), pauses: Box::new(pauses()), why });
            }
        }
    }

    /// Opens the socket. The first time an unreachable cluster is an error at once; later it is waited for.
    pub(crate) async fn open(&mut self, call: &Call) -> Result<Socket> {
        loop {
            if let Some(broken) = &mut self.broken {
                if broken.since.elapsed() > PATIENCE {
                    return Err(given_up(&broken.why));
                }
                sleep(broken.pauses.next().unwrap_or(LONGEST)).await;
            }
            match self.client.open_socket(call).await {
                Err(error @ Error::NoControllerReachable { .. }) if self.opened_before => {
                    self.broke(error.to_string());
                }
                Ok(socket) => {
                    self.opened_before = true;
                    return Ok(socket);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn given_up(why: &str) -> Error {
    Error::Interrupted { after: PATIENCE, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_but_stay_short() {
        let taken: Vec<Duration> = pauses().take(20).collect();
        assert_eq!(taken.len(), 20);
        assert!(taken[0] <= FIRST * 2, "{:?}", taken[0]);
        assert!(taken[19] >= LONGEST && taken[19] <= LONGEST * 2, "{:?}", taken[19]);
    }
}
