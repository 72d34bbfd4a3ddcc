//! Backup and restore of a mixed tree through the whole of omni, beside restic called by hand.
//!
//! ```text
//!  desk ─ omni backup run ─▶ c1, c2, c3 ─▶ h1: agent ─▶ restic ─▶ repository r1 │
//!                                          h1: restic ──────────▶ repository b1 │ a pair for each round, and caches
//! ```
//!
//! Both read the same volume and write to the same disk. What each step left to be written is flushed before the next begins.

use super::peak::{self, meanwhile};
use super::tree::{Tree, digest};
use super::{go_on, up};
use crate::bench::args::Settings;
use crate::bench::machine::Machine;
use crate::bench::report::{Goal, Report, note, number, table};
use crate::bench::stats::{Ratio, median};
use crate::mesh::{Mesh, Place, Project};
use crate::testbed::{Engine, Host, Testbed};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{RunView, RunsQuery};
use omni_common::domain::backup::RunState;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const HOST: &str = "h1";
const APP: &str = "files";
const SEED: u64 = 5;
const PASSWORD: &str = "only for a benchmark";
/// What DESIGN asks of throughput, against bare restic.
const WANTED: f64 = 0.95;

/// What is done in each round, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Step {
    /// A backup into an empty repository, which it makes.
    First,
    /// Another one, of the same files.
    Unchanged,
    /// Another one, of which a twentieth is new.
    Changed,
    /// All of it into an empty folder.
    Restore,
}

impl Step {
    const ALL: [Self; 4] = [Self::First, Self::Unchanged, Self::Changed, Self::Restore];

    fn words(self) -> &'static str {
        match self {
            Self::First => "first backup",
            Self::Unchanged => "backup, nothing changed",
            Self::Changed => "backup, 5 % changed",
            Self::Restore => "restore",
        }
    }
}

/// What a step took, and what programs held at most meanwhile.
#[derive(Clone, Debug, Serialize)]
struct Took {
    step: Step,
    /// `omni … --wait`, from its start to its end, seconds.
    omni: f64,
    /// The run, as the cluster has it: from the agent's word that it began to the recorded end.
    run: f64,
    /// restic by hand; with `init` before the first backup.
    restic: f64,
    /// The agent, MiB.
    agent_mib: f64,
    /// The restic that it started, MiB.
    agents_restic_mib: f64,
    /// restic by hand, MiB.
    restic_mib: f64,
}

pub(super) fn run(settings: &Settings, machine: &Machine, over: &CancellationToken) -> Result<Report> {
    let rounds = settings.rounds.unwrap_or(settings.pick(4, 1));
    note("starting a Docker engine, three controllers and an agent");
    let mut bed = Testbed::empty()?;
    bed.add_hosts(&[HOST], Engine::Docker)?;
    bed.add_hosts(&["c1", "c2", "c3", "desk"], Engine::None)?;
    let bed = &bed;
    let on = |name: &str| Place::On(bed.host(name));
    let mut mesh = Mesh::form(&["c1", "c2", "c3"].map(on), on("desk"))?;
    mesh.add_agent_with_docker(on(HOST), HOST)?;
    let host = bed.host(HOST);
    let sides = Sides { mesh: &mesh, host };
    let root = sides.deploy(bed.host("desk"))?;
    note("making files");
    let mut tree = Tree::make(&root, settings.pick(2 << 30, 256 << 20), SEED)?;
    let mut seen = Vec::new();
    for round in 1..=rounds {
        sides.round(round, &mut tree, &mut seen, over).with_context(|| format!("round {round}"))?;
    }
    report(settings, machine, &sides, &tree, rounds, &seen)
}

/// Both of them, on one host.
struct Sides<'a> {
    mesh: &'a Mesh<'a>,
    host: &'a Host,
}

impl Sides<'_> {
    /// An app with an empty volume, one backup of it taken so that none is due; returns where the volume is.
    fn deploy(&self, desk: &Host) -> Result<PathBuf> {
        self.add_repository("r0")?;
        up(self.mesh, &Project::new(desk.dir().join(APP), COMPOSE)?)?;
        self.backup("r0")?;
        let volume = ["volume", "inspect", "--format", "{{.Mountpoint}}", "files_data"];
        Ok(self.host.docker(volume)?.into())
    }

    /// Every step by both, in turn; who begins changes with each round.
    fn round(
        &self,
        round: u32,
        tree: &mut Tree,
        seen: &mut Vec<Took>,
        over: &CancellationToken,
    ) -> Result<()> {
        let repository = format!("r{round}");
        self.add_repository(&repository)?;
        let bare = Bare::new(self.host, round)?;
        let restored = self.host.dir().join("restored");
        for step in Step::ALL {
            go_on(over)?;
            if step == Step::Changed {
                tree.change()?;
            }
            let (mut ours, mut theirs) = (None, None);
            for side in [round % 2, (round + 1) % 2] {
                rustix::fs::sync();
                if side == 0 {
                    ours = Some(self.omni(step, &repository, &restored)?);
                } else {
                    theirs = Some(bare.does(step, tree.root())?);
                }
            }
            let (ours, (restic, restic_mib)) = (ours.context("both did it")?, theirs.context("both did it")?);
            let took = Took { step, restic, restic_mib, ..ours };
            note(format!(
                "round {round}, {}: omni {:.2} s (of which the run {:.2}), restic {:.2}",
                step.words(),
                took.omni,
                took.run,
                took.restic
            ));
            seen.push(took);
        }
        let wanted = digest(tree.root())?;
        for (who, place) in [("omni", restored.join("volume-data")), ("restic", bare.restored(tree.root()))] {
            ensure!(digest(&place)? == wanted, "what {who} restored is not what was taken");
        }
        for folder in [&restored, &bare.folder, &self.repository(&repository)] {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(())
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.host.dir().join("repositories").join(name)
    }

    fn add_repository(&self, name: &str) -> Result<()> {
        let folder = self.repository(name).display().to_string();
        self.mesh.omni().run(["backup", "repo", "add", name, &folder, "--host", HOST])?.done().map(drop)
    }

    fn backup(&self, to: &str) -> Result<()> {
        self.mesh.omni().run(["backup", "run", APP, "--to", to, "--wait=10m"])?.done().map(drop)
    }

    fn restore(&self, from: &str, folder: &Path) -> Result<()> {
        let folder = format!("{HOST}:{}", folder.display());
        let words = ["restore", APP, "--from", from, "--to-folder", &folder, "--yes", "--wait=10m"];
        self.mesh.omni().run(words)?.done().map(drop)
    }

    /// A step by omni.
    fn omni(&self, step: Step, repository: &str, restored: &Path) -> Result<Took> {
        let agent = self.mesh.agent(HOST).pid()?;
        peak::forget(agent)?;
        let (omni, agents_restic_mib) = meanwhile(agent, "restic", || {
            let begun = Instant::now();
            match step {
                Step::Restore => self.restore(repository, restored)?,
                _ => self.backup(repository)?,
            }
            Ok(begun.elapsed().as_secs_f64())
        })?;
        let agent_mib = peak::most(agent).context("the agent has ended")?;
        let run = self.newest_run(repository)?;
        ensure!(run.state == RunState::Succeeded, "{run:?}");
        let (began, ended) = (run.began.context("it began")?, run.ended.context("it ended")?);
        let run = ended.since(began).as_secs_f64();
        Ok(Took { step, omni, run, restic: 0.0, agent_mib, agents_restic_mib, restic_mib: 0.0 })
    }

    fn newest_run(&self, repository: &str) -> Result<RunView> {
        let query =
            RunsQuery { repository: Some(repository.to_owned()), limit: Some(1), ..RunsQuery::default() };
        let runs = self.mesh.api().ask(async |client| client.runs(query.clone()).await)?;
        runs.into_iter().next().context("there was a run")
    }
}

/// restic as a person calls it, with a repository and a cache of its own.
struct Bare<'a> {
    host: &'a Host,
    folder: PathBuf,
}

impl<'a> Bare<'a> {
    fn new(host: &'a Host, round: u32) -> Result<Self> {
        let folder = host.dir().join(format!("bare-{round}"));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { host, folder })
    }

    /// A step; seconds, and MiB at most.
    fn does(&self, step: Step, root: &Path) -> Result<(f64, f64)> {
        let root = root.display().to_string();
        let target = self.folder.join("restored").display().to_string();
        let begun = Instant::now();
        let mut held = 0.0_f64;
        let calls: &[&[&str]] = match step {
            Step::First => &[&["init"], &["backup", &root]],
            Step::Unchanged | Step::Changed => &[&["backup", &root]],
            Step::Restore => &[&["restore", "latest", "--target", &target]],
        };
        for words in calls {
            held = held.max(self.call(words)?);
        }
        Ok((begun.elapsed().as_secs_f64(), held))
    }

    fn call(&self, words: &[&str]) -> Result<f64> {
        let mut restic = self.host.command("restic")?;
        restic.args(words).env_clear().env("PATH", crate::bench::usage::path());
        restic.env("RESTIC_PASSWORD", PASSWORD).env("RESTIC_REPOSITORY", self.folder.join("repository"));
        restic.env("RESTIC_CACHE_DIR", self.folder.join("cache")).env("HOME", &self.folder);
        restic.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = restic.spawn().context("starting restic")?;
        let pid = child.id();
        let (output, held) =
            meanwhile(pid, "restic", || child.wait_with_output().context("waiting for restic"))?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(held)
    }

    /// Where what lay at `root` is after a restore.
    fn restored(&self, root: &Path) -> PathBuf {
        self.folder.join("restored").join(root.strip_prefix("/").unwrap_or(root))
    }
}

/// Something with a volume that does nothing with it; no schedule falls into a run of this benchmark.
const COMPOSE: &str = "
name: files
services:
  keeper:
    image: omni-test/busybox:1
    volumes: ['data:/data']
    deploy: {update_config: {monitor: 0s}}
volumes: {data: }
x-omni: {backup: {to: r0, schedule: '0 0 1 1 *', max_age: 400d, drill: {skip: true}}}
";

fn report(
    settings: &Settings,
    machine: &Machine,
    sides: &Sides<'_>,
    tree: &Tree,
    rounds: u32,
    seen: &[Took],
) -> Result<Report> {
    let mut report = Report::new("backup", settings.quick, machine);
    let version = sides.host.run("restic", ["version"])?;
    report.setup = vec![
        tree.told(),
        format!(
            "{rounds} rounds, alternating, each with new repositories and caches on one disk; {}",
            version.split(" compiled").next().unwrap_or(&version)
        ),
        "omni: `omni backup run --wait` and `omni restore --to-folder --wait` at a desk, three controllers, one agent; \
         restic: `restic backup` and `restic restore` on the host, `restic init` counted with the first backup"
            .into(),
        "the whole command ends up to half a second after its run, which it asks about that often".into(),
    ];
    let of = |step: Step| seen.iter().filter(move |took| took.step == step);
    let mut speeds = table(&[
        "seconds, median",
        "omni, command",
        "its run",
        "restic",
        "speed of the command",
        "of the run",
    ]);
    let mut memory = table(&["MiB resident at most", "agent", "its restic", "restic by hand"]);
    for step in Step::ALL {
        let middle = |what: fn(&Took) -> f64| number(median(of(step).map(what)));
        let speed = |what: fn(&Took) -> f64| {
            let ratio = Ratio::of(of(step).map(|took| (took.restic, what(took))));
            format!("{} ({} to {})", number(ratio.median), number(ratio.min), number(ratio.max))
        };
        let times = [middle(|took| took.omni), middle(|took| took.run), middle(|took| took.restic)];
        let ratios = [speed(|took| took.omni), speed(|took| took.run)];
        speeds.add_row([vec![step.words().to_owned()], times.to_vec(), ratios.to_vec()].concat());
        memory.add_row([
            step.words().to_owned(),
            middle(|took| took.agent_mib),
            middle(|took| took.agents_restic_mib),
            middle(|took| took.restic_mib),
        ]);
    }
    report.tables =
        vec![("backup and restore, beside restic by hand".into(), speeds), ("memory".into(), memory)];
    for step in [Step::First, Step::Restore] {
        let ratio = Ratio::of(of(step).map(|took| (took.restic, took.omni)));
        report.goals.push(Goal::at_least(
            format!("{}, speed", step.words()),
            WANTED,
            ratio.median,
            "times restic",
        ));
    }
    report.results = serde_json::to_value(seen).context("encoding the results")?;
    Ok(report)
}
