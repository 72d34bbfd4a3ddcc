//! The benchmark's end of the fleet.

use super::{Crowd, News, Order};
use crate::bench::process::{Program, log_file};
use crate::bench::usage::Usage;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// The process calls back within this.
const CALLS_WITHIN: Duration = Duration::from_secs(20);

/// Each agent's QUIC endpoint has a receive buffer of three megabytes, of which it touches a tenth. glibc leaves the
/// rest to the kernel as long as it takes such pieces from the kernel one by one, which a fixed threshold keeps it at.
const MALLOC: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// A running fleet. Dropping it ends the process.
pub(in crate::bench) struct Fleet {
    program: Program,
    orders: OwnedWriteHalf,
    news: watch::Receiver<News>,
    _listening: AbortOnDropHandle<()>,
}

impl Fleet {
    /// Starts the process; it does nothing yet.
    ///
    /// # Errors
    /// When it does not come up.
    pub(in crate::bench) async fn start(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .context("listening for the fleet")?;
        let address = listener.local_addr().context("asking for a port")?.to_string();
        let own = std::env::current_exe().context("finding this program")?;
        let log = log_file(folder, "fleet")?;
        let mut command = Program::command(&own, ["fleet", "--chief", &address]);
        command.env(MALLOC.0, MALLOC.1);
        let program = Program::spawn("the fleet", command, &log)?;
        let (stream, _) = timeout(CALLS_WITHIN, listener.accept())
            .await
            .with_context(|| format!("the fleet does not call:\n{}", program.log_tail()))?
            .context("taking the fleet's call")?;
        stream.set_nodelay(true).context("setting up the connection")?;
        let (read, orders) = stream.into_split();
        let (told, news) = watch::channel(News::default());
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(read, told)));
        Ok(Self { program, orders, news, _listening: listening })
    }

    /// Makes hosts of all of `crowd`; returns how long that took.
    ///
    /// # Errors
    /// When one of them is not taken in.
    pub(in crate::bench) async fn enroll(&mut self, crowd: &Crowd, within: Duration) -> Result<Duration> {
        let since = Instant::now();
        self.order(&Order::Enroll(crowd.clone())).await?;
        self.until("every host is enrolled", within, |news| news.enrolled == crowd.hosts).await?;
        Ok(since.elapsed())
    }

    /// Starts all agents; returns when the order has been sent.
    ///
    /// # Errors
    /// When the fleet is gone.
    pub(in crate::bench) async fn go(&mut self) -> Result<()> {
        self.order(&Order::Start).await
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        let line = serde_json::to_string(order).context("orders are plain values")? + "\n";
        self.orders.write_all(line.as_bytes()).await.context("ordering the fleet")
    }

    /// Waits until the news are as `wanted`.
    ///
    /// # Errors
    /// When they are not within that time, or the fleet ends.
    pub(in crate::bench) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl FnMut(&News) -> bool,
    ) -> Result<()> {
        let came = timeout(within, self.news.wait_for(wanted)).await.map(|news| news.is_ok());
        match came {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the fleet ended:\n{}", self.program.log_tail()),
            Err(_) => {
                bail!("not within {within:?}: {what}; {:?}\n{}", self.news(), self.program.log_tail())
            }
        }
    }

    /// The newest news.
    pub(in crate::bench) fn news(&self) -> News {
        self.news.borrow().clone()
    }

    /// What the process costs.
    ///
    /// # Errors
    /// When it has ended.
    pub(in crate::bench) fn usage(&self) -> Result<Usage> {
        self.program.usage()
    }
}

/// Hands the news on until the fleet is gone.
async fn listen(read: OwnedReadHalf, told: watch::Sender<News>) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(news) => drop(told.send_replace(news)),
            Err(_) => return,
        }
    }
}
