//! The controllers' addresses, and which of them to try first.
//!
//! The order is the user's; whoever answered last comes first from then on. Before the first call all
//! addresses race for a TCP connection, each with a head start over the next, so that a dead first
//! controller costs a moment and not a connect timeout.

use crate::address::Address;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryFutureExt};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// How long one address may take to accept a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an address is waited for before the next one joins the race: a slow link's round trip.
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses in the user's order, with a memory of who answered last.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Address>,
    preferred: AtomicUsize,
    raced: OnceCell<()>,
}

impl Endpoints {
    pub(crate) fn new(list: Vec<Address>) -> Self {
        Self { list, preferred: AtomicUsize::new(0), raced: OnceCell::new() }
    }

    pub(crate) fn list(&self) -> &[Address] {
        &self.list
    }

    /// Positions in the order to try them now.
    pub(crate) async fn order(&self) -> Vec<usize> {
        if self.list.len() > 1 {
            self.raced.get_or_init(|| self.race()).await;
        }
        order(self.list.len(), self.preferred.load(Ordering::Relaxed))
    }

    /// Remembers that `position` answered.
    pub(crate) fn answered(&self, position: usize) {
        self.preferred.store(position, Ordering::Relaxed);
    }

    async fn race(&self) {
        let competitors = self.list.iter().map(connect).collect();
        if let Some(winner) = race(competitors, HEAD_START).await {
            self.answered(winner);
        }
    }
}

/// A TCP connection within [`CONNECT_TIMEOUT`].
pub(crate) async fn connect(address: &Address) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect((address.host(), address.port()));
    let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(result) => result?,
        Err(_) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to the connection attempt"));
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// `preferred` first, then the rest in the user's order.
fn order(count: usize, preferred: usize) -> Vec<usize> {
    let rest = (0..count).filter(|&position| position != preferred);
    std::iter::once(preferred).filter(|&first| first < count).chain(rest).collect()
}

/// Position of the first competitor to succeed. A failure lets the next one start at once.
async fn race<T>(
    competitors: Vec<impl Future<Output = io::Result<T>>>,
    head_start: Duration,
) -> Option<usize> {
    let mut waiting = competitors.into_iter().enumerate();
    let mut running = FuturesUnordered::new();
    loop {
        let started = waiting.next();
        let all_started = started.is_none();
        running.extend(started.map(|(position, run)| run.map_ok(move |_| position)));
        let patience = if waiting.len() == 0 { Duration::MAX } else { head_start };
        match timeout(patience, running.next()).await {
            Ok(Some(Ok(winner))) => return Some(winner),
            Ok(None) if all_started => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::{Ready, pending, ready};
    use tokio::time::sleep;

    const HEAD: Duration = Duration::from_millis(250);

    fn refused() -> io::Result<()> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    #[test]
    fn whoever_answered_last_comes_first() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 2), [2, 0, 1]);
        assert_eq!(order(0, 0), [0usize; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_first_address_costs_one_head_start() {
        let began = tokio::time::Instant::now();
        let competitors = vec![pending().boxed(), ready(Ok(())).boxed(), ready(Ok(())).boxed()];
        assert_eq!(race(competitors, HEAD).await, Some(1));
        assert_eq!(began.elapsed(), HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing_and_the_first_in_order_wins_when_it_is_fast() {
        let began = tokio::time::Instant::now();
        assert_eq!(race(vec![ready(refused()), ready(Ok(()))], HEAD).await, Some(1));
        assert_eq!(began.elapsed(), Duration::ZERO);
        let slow = || sleep(Duration::from_millis(20)).map(Ok);
        assert_eq!(race(vec![slow(), slow()], HEAD).await, Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_wins_when_all_fail() {
        assert_eq!(race(vec![ready(refused()), ready(refused())], HEAD).await, None);
        assert_eq!(race(Vec::<Ready<io::Result<()>>>::new(), HEAD).await, None);
    }
}
