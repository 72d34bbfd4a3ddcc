//! `omni-bench`: see [`omni_tests::bench`].

use anyhow::{Result, bail};
use clap::Parser;
use omni_tests::bench::{self, args::Cli};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Threads that wait for a blocking call are given this long at the end.
const LINGER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("omni-bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(until_stopped(cli));
    runtime.shutdown_timeout(LINGER);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("omni-bench: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Dropping the benchmark ends what it has started.
async fn until_stopped(cli: Cli) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = bench::run(cli) => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}
