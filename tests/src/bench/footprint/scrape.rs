//! Asks node_exporter for its metrics as Prometheus does.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// As often as the agent takes a sample.
const EVERY: Duration = Duration::from_secs(10);
/// One scrape; Prometheus' default.
const WITHIN: Duration = Duration::from_secs(10);
/// The exporter listens within this.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A scraper at work. Dropping it ends it.
pub(super) struct Scraper {
    done: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
}

impl Scraper {
    /// Waits until the exporter answers, then asks it each 10 s.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn start(exporter: SocketAddr) -> Result<Self> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while let Err(error) = scrape(exporter).await {
            ensure!(Instant::now() < deadline, "node_exporter does not answer: {error:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let done = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&done);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                if scrape(exporter).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { done, _task: AbortOnDropHandle::new(task) })
    }

    /// Scrapes that were answered.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

async fn scrape(exporter: SocketAddr) -> Result<usize> {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {exporter}\r\nUser-Agent: Prometheus/2.42.0\r\n\
         Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n\
         Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(exporter).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer =
        timeout(WITHIN, exchange).await.context("it takes too long")?.context("asking for metrics")?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(answer.len()),
        false => bail!("it refuses: {}", String::from_utf8_lossy(&answer[..answer.len().min(80)])),
    }
}
