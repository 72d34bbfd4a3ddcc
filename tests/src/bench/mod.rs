//! `make bench`: omni beside its peers, on one machine and in one run.
//!
//! ```text
//!  omni-bench ── writes ───▶ three controllers  |  three etcd members      alternating rounds
//!             ── failover ─▶ the same, leaders killed and handed over
//!             ── agent ────▶ omni-agent, node_exporter, dockerd with 30 containers
//!             ── scale ────▶ three controllers ◀── QUIC ── thousands of simulated agents (a process of its own)
//!             ── deploy ───▶ `omni deploy` and docker-compose, one engine           alternating rounds
//!             ── app-failover ─▶ three hosts, one of which loses power
//!             ── data-failover ▶ the same, and the app has data
//!             ── backup ───▶ `omni backup run` and restic, one volume                alternating rounds
//! ```
//!
//! What is compared are ratios: absolute numbers belong to the machine, its disk and whatever else it did, and a
//! ratio of two things measured seconds apart survives that better. Peers run with their own defaults. Every part
//! is bounded in time, and whatever it started is gone when it ends, by an error or Ctrl-C too.

pub mod args;

mod apps;
mod enroll;
mod etcd;
mod failover;
mod fleet;
mod footprint;
mod load;
mod machine;
mod omni;
mod outage;
mod process;
mod report;
mod scale;
mod sides;
mod stats;
mod usage;
mod writes;

use anyhow::{Context, Result, bail};
use args::{Cli, Settings, What};
use machine::Machine;
use report::note;
use std::path::{Path, PathBuf};

/// Measures what was asked for.
///
/// # Errors
/// When a part cannot be finished; parts before it have been reported.
pub async fn run(cli: Cli) -> Result<()> {
    if let Some(What::Fleet { chief }) = cli.what {
        return fleet::live(chief).await;
    }
    let settings = cli.settings;
    let own = std::env::current_exe().context("finding this program")?;
    let beside = own.parent().context("a program lies in a folder")?;
    let programs = settings.programs.clone().unwrap_or_else(|| beside.to_owned());
    let data = settings.data.clone().unwrap_or_else(|| beside.join("omni-bench-data"));
    for part in parts(cli.what.unwrap_or(What::All)) {
        Box::pin(measure(part, &settings, &programs, &data)).await?;
    }
    Ok(())
}

fn parts(what: What) -> Vec<What> {
    match what {
        What::All => {
            use What::{Agent, AppFailover, Backup, DataFailover, Deploy, Failover, Scale, Writes};
            vec![Writes, Failover, Agent, Deploy, AppFailover, DataFailover, Backup, Scale]
        }
        one => vec![one],
    }
}

/// Runs one part in a folder of its own, which goes with it.
async fn measure(part: What, settings: &Settings, programs: &Path, data: &Path) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    let folder = tempfile::tempdir_in(data).context("making a folder for the data")?;
    let machine = Machine::look(folder.path())?;
    if machine.is_busy() {
        note(format!("this machine is busy (load {:.1}): read ratios, not numbers", machine.load_before[0]));
    }
    let folder: PathBuf = folder.path().to_owned();
    let report = match part {
        What::Writes => writes::run(settings, programs, &folder, &machine).await?,
        What::Failover => Box::pin(failover::run(settings, programs, &folder, &machine)).await?,
        What::Deploy => return on_hosts(apps::Part::Deploy, settings, &machine).await,
        What::AppFailover => return on_hosts(apps::Part::Failover, settings, &machine).await,
        What::DataFailover => return on_hosts(apps::Part::DataFailover, settings, &machine).await,
        What::Backup => return on_hosts(apps::Part::Backup, settings, &machine).await,
        What::Scale => Box::pin(scale::run(settings, programs, &folder, &machine)).await?,
        What::Agent => match footprint::refusal() {
            Some(reason) => {
                note(format!("SKIPPED agent: {reason}"));
                return Ok(());
            }
            None => Box::pin(footprint::run(settings, programs, &folder, &machine)).await?,
        },
        What::All | What::Fleet { .. } => bail!("not a part"),
    };
    report.publish(settings.json.as_deref())
}

/// A part that needs hosts of the testbed; only a loud word where there can be none.
async fn on_hosts(part: apps::Part, settings: &Settings, machine: &Machine) -> Result<()> {
    match apps::refusal() {
        Some(reason) => note(format!("SKIPPED {part:?}: {reason}")),
        None => {
            Box::pin(apps::run(part, settings, machine)).await?.publish(settings.json.as_deref())?;
        }
    }
    Ok(())
}
