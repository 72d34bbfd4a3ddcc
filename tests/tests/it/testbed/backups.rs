//! Backups on a real engine: a PostgreSQL that is written to, a Redis with an append-only file, and files; taken, drilled,
//! lost and brought back, without controllers. And what becomes of a service that rests when its agent is killed.

mod shop;

use super::testbed;
use anyhow::{Context, Result, bail, ensure};
use omni_agent::backup::{Backups, Debts, RealDocker, Shared};
use omni_agent::docker::Watcher;
use omni_agent::executors::converge::{Converger, Dirs, Holds};
use omni_agent::images::Images;
use omni_agent::ledger::{Ledger, LedgerError};
use omni_agent::runs::{Doer, Done, Errand, Reporter};
use omni_agent::session::{LeaseState, Monotonic};
use omni_agent::workloads::{Depot, Workloads};
use omni_common::clock::SystemClock;
use omni_common::domain::AllocationState::{self, Healthy, Unhealthy};
use omni_common::domain::backup::{
    BackupTask, Credentials, Destination, Hidden, Instance, Item, ItemOutcome, Probe, Quiesce, Repository,
    RestoreItem, RestoreTask, RunOrder, RunState, Take, Task,
};
use omni_common::ids::{AllocationId, HostId, RunId};
use omni_common::wire::{Desired, DesiredAllocation};
use omni_restic::{Restic, Settings};
use omni_tests::testbed::{Host, Package, eventually};
use shop::{command, item, named, service_name, shop};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const HOST: HostId = HostId::from_u128(78);
const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "correct horse";

#[test]
fn databases_and_files_are_taken_drilled_lost_and_brought_back() {
    testbed::test(1, |bed| {
        bed.install(Package::Redis)?;
        bed.install(Package::Postgres)?;
        bed.install(Package::Git)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut story = Story::new(bed.host("h1"))?;
        runtime.block_on(async {
            let agent = story.agent().await?;
            story.comes_up(&agent).await?;
            let taken = story.takes_all_while_it_is_written_to(&agent).await?;
            story.drills_them(&agent, &taken).await?;
            story.a_cut_dump_turns_a_drill_red(&agent, &taken).await?;
            story.a_broken_repository_turns_a_drill_red(&agent, &taken).await?;
            story.brings_them_back(&agent, &taken).await?;
            story.rests_and_goes_on(&agent).await?;
            drop(agent);
            story.goes_on_when_the_agent_was_killed().await
        })
    });
}

/// A running agent, as far as it runs allocations and does runs.
struct Agent {
    converger: Arc<Converger>,
    backups: Arc<Backups>,
    _lease: watch::Sender<LeaseState>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// Items and what became of them.
type Taken = BTreeMap<&'static str, (Item, ItemOutcome)>;

struct Story<'a> {
    host: &'a Host,
    data: PathBuf,
    generation: u64,
    runs: u128,
}

impl<'a> Story<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let data = host.dir().join("agent");
        for name in ["cache", "work", "home"] {
            std::fs::create_dir_all(host.dir().join("restic").join(name))?;
        }
        Ok(Self { host, data, generation: 0, runs: 0 })
    }

    /// Starts an agent. The one before was killed: its tasks are gone only when the runtime has come round to them.
    async fn agent(&self) -> Result<Agent> {
        let begun = Instant::now();
        let ledger = loop {
            match Ledger::create(&self.data) {
                Err(LedgerError::InUse { .. }) if begun.elapsed() < PATIENCE => {
                    tokio::task::yield_now().await;
                }
                opened => break Arc::new(opened?),
            }
        };
        let clock = Arc::new(SystemClock);
        let socket = self.host.docker_socket().to_string_lossy().parse()?;
        let (docker, mut watcher) = Watcher::new(socket, clock.clone());
        let dirs = Dirs { files: self.data.join("apps"), secrets: self.data.join("secrets") };
        let images = Arc::new(Images::new(docker.clone(), self.data.join("images")));
        let holds = Arc::new(Holds::open(ledger.clone())?);
        let converger = Arc::new(Converger::new(
            HOST,
            Depot::open(ledger.clone())?,
            docker.clone(),
            images.clone(),
            dirs.clone(),
            holds.clone(),
            clock.clone(),
        ));
        let mut status = docker.status();
        let watching = tokio::spawn(async move { watcher.run(CancellationToken::new()).await });
        status.wait_for(|status| matches!(status, omni_agent::docker::DockerStatus::Up(_))).await?;
        let shared = Shared::new(
            Arc::new(RealDocker::new(docker, images, holds, clock.clone())),
            Some(Restic::find(self.settings()).await?),
            Debts::open(ledger)?,
            clock,
            HOST.to_string(),
            self.host.dir().join("restic/work"),
            dirs,
        );
        let lease = watch::Sender::new(LeaseState::Valid { until_ms: u64::MAX });
        let running = tokio::spawn({
            let (converger, lease) = (converger.clone(), lease.subscribe());
            async move { converger.run(lease, Monotonic::machine()).await }
        });
        let tasks = [watching, running].map(AbortOnDropHandle::new);
        Ok(Agent { converger, backups: Arc::new(Backups::new(shared)), _lease: lease, _tasks: tasks })
    }

    fn settings(&self) -> Settings {
        let folder = self.host.dir().join("restic");
        let path = "/usr/local/bin:/usr/bin:/bin";
        Settings::new(path, folder.join("home"), folder.join("cache"), folder.join("work"))
    }

    fn repository(&self) -> Repository {
        Repository {
            name: "near".to_owned(),
            location: self.host.dir().join("repository").display().to_string(),
            password: Hidden::new(PASSWORD),
            credentials: Credentials::None,
            ca: None,
            create: true,
            upload_kib: None,
            download_kib: None,
        }
    }

    /// restic as a person calls it.
    fn bare(&self, args: &[&str]) -> Command {
        let mut restic = Command::new("restic");
        restic
            .args(args)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_REPOSITORY", self.repository().location);
        restic.env("RESTIC_CACHE_DIR", self.host.dir().join("restic/cache"));
        restic
    }

    async fn desire(&mut self, agent: &Agent, run: bool) -> Result<()> {
        self.generation = self.generation.max(agent.converger.depot().generation()) + 1;
        let spec = shop();
        let allocation = DesiredAllocation {
            id: AllocationId::from_u128(1),
            epoch: 1,
            environment: "default".to_owned(),
            app: "shop".to_owned(),
            group: "main".to_owned(),
            slot: 0,
            release: 1,
            spec: spec.digest(),
            exclusive: false,
            run,
            purge: false,
            gpus: Vec::new(),
        };
        let depot = agent.converger.depot();
        depot.desire(Desired { generation: self.generation, allocations: vec![allocation] });
        depot.provide(&spec.digest(), spec.to_canonical_json().into()).await;
        Ok(())
    }

    /// Waits until the app is in this state, with this in the reason.
    async fn sees(&self, agent: &Agent, state: AllocationState, part: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let report = agent.converger.reports().known().remove(&AllocationId::from_u128(1));
            if let Some(report) = &report
                && report.state == state
                && report.reason.as_deref().unwrap_or_default().contains(part)
            {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "it is not {state} ({part}): {report:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn order(&mut self, task: Task) -> RunOrder {
        self.runs += 1;
        RunOrder { id: RunId::from_u128(self.runs), max_duration_ms: 600_000, task }
    }

    async fn does(&mut self, agent: &Agent, task: Task) -> Result<Done> {
        let order = self.order(task);
        let errand = Errand { cancel: CancellationToken::new(), reporter: Reporter::new(order.id) };
        let done = agent.backups.perform(&order, &errand).await;
        agent.backups.tidy(Some(order.id)).await.map_err(anyhow::Error::msg)?;
        Ok(done)
    }

    fn backup(&self, items: Vec<Item>) -> Task {
        Task::Backup(Box::new(BackupTask {
            instance: instance(),
            items,
            to: self.repository(),
            moves: None,
            same_moment: Default::default(),
        }))
    }

    fn restore(&self, taken: &[&(Item, ItemOutcome)], into: Destination) -> Task {
        let item = |(item, outcome): &&(Item, ItemOutcome)| RestoreItem {
            item: item.clone(),
            snapshot: outcome.snapshot.clone().unwrap_or_default(),
            path: None,
            facts: outcome.facts.clone(),
        };
        let items = taken.iter().map(item).collect();
        Task::Restore(Box::new(RestoreTask {
            instance: instance(),
            items,
            from: self.repository(),
            into,
            compare: false,
        }))
    }

    fn sql(&self, database: &str, query: &str) -> Result<String> {
        self.host.docker(["exec", "shop-db-1", "psql", "-U", "postgres", "-At", "-d", database, "-c", query])
    }

    fn redis(&self, words: &[&str]) -> Result<String> {
        self.host.docker(
            ["exec", "-e", "REDISCLI_AUTH=opensesame", "shop-cache-1", "redis-cli"].iter().chain(words),
        )
    }

    async fn comes_up(&mut self, agent: &Agent) -> Result<()> {
        self.desire(agent, true).await?;
        self.sees(agent, Healthy, "").await?;
        self.sql("postgres", "CREATE DATABASE shop")?;
        self.sql("postgres", "CREATE ROLE clerk LOGIN PASSWORD 'secret of the clerk'")?;
        self.sql(
            "shop",
            "CREATE TABLE orders (id serial PRIMARY KEY, what text); GRANT ALL ON orders TO clerk",
        )?;
        self.sql("shop", "CREATE TABLE \"Odd Name\" (a text); INSERT INTO \"Odd Name\" VALUES ('-- PostgreSQL database dump complete'), (E'two\\nlines')")?;
        self.sql("shop", "INSERT INTO orders (what) SELECT 'thing ' || n FROM generate_series(1, 5000) n")?;
        for number in 0..50 {
            self.redis(&["set", &format!("kept-{number}"), "yes"])?;
        }
        self.redis(&["set", "fleeting", "yes", "ex", "100000"])?;
        self.in_files("mkdir /srv/deep && echo one >/srv/deep/file")?;
        self.in_files("git init -q --bare /srv/shop.git")?;
        self.in_files(
            "cd /srv/shop.git && blob=$(echo one | git hash-object -w --stdin) \
             && tree=$(printf '100644 blob %s\\tfile\\n' $blob | git mktree) \
             && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a \
             && git update-ref HEAD $(git commit-tree -m first $tree)",
        )
        .map(drop)
    }

    fn in_files(&self, script: &str) -> Result<String> {
        self.host.docker(["exec", "shop-files-1", "sh", "-c", script])
    }

    async fn takes_all_while_it_is_written_to(&mut self, agent: &Agent) -> Result<Taken> {
        let writes = "while psql -q -U postgres -d shop -c \"INSERT INTO orders (what) VALUES ('while a dump is taken')\"; do :; done";
        self.host.docker(["exec", "-d", "shop-db-1", "sh", "-c", writes])?;
        let rows = || -> Result<u64> { Ok(self.sql("shop", "SELECT count(*) FROM orders")?.parse()?) };
        let before = rows()?;
        eventually("a writer", PATIENCE, || (rows().unwrap_or(0) > before + 5).then_some(()))?;
        let before = rows()?;
        let items = [
            (
                "all",
                item(
                    "postgres-all",
                    Take::Postgres {
                        service: service_name("db"),
                        databases: Vec::new(),
                        data: Some("data".to_owned()),
                    },
                ),
            ),
            (
                "one",
                item(
                    "postgres-one",
                    Take::Postgres {
                        service: service_name("db"),
                        databases: vec!["shop".to_owned()],
                        data: Some("data".to_owned()),
                    },
                ),
            ),
            (
                "cache",
                item(
                    "redis-cache",
                    Take::Redis { service: service_name("cache"), data: Some("cache".to_owned()) },
                ),
            ),
            (
                "files",
                item(
                    "volume-files",
                    Take::Volume { volume: "files".to_owned(), include: Vec::new(), exclude: Vec::new() },
                ),
            ),
        ];
        let done =
            self.does(agent, self.backup(items.iter().map(|(_, item)| item.clone()).collect())).await?;
        ensure!(done.state == RunState::Succeeded, "{done:?}");
        let after: u64 = self.sql("shop", "SELECT count(*) FROM orders")?.parse()?;
        self.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'",
        )?;
        let taken: Taken =
            items.into_iter().zip(done.items).map(|((key, item), outcome)| (key, (item, outcome))).collect();
        for key in ["all", "one"] {
            let facts = &taken[key].1.facts;
            let rows: u64 = facts.get("rows:shop.public.orders").context("rows were counted")?.parse()?;
            ensure!(before <= rows && rows <= after, "{before} <= {rows} <= {after}");
            ensure!(facts.get("rows:shop.public.\"Odd Name\"").is_some_and(|rows| rows == "2"), "{facts:?}");
        }
        ensure!(
            taken["cache"].1.facts.get("keys:0").is_some_and(|keys| keys == "50"),
            "{:?}",
            taken["cache"].1
        );
        let plain =
            self.bare(&["dump", "latest", "/postgres-all.sql", "--path", "/postgres-all.sql"]).output()?;
        let text = String::from_utf8(plain.stdout)?;
        ensure!(text.contains("CREATE ROLE clerk") && text.contains("thing 5000"), "people can read it");
        Ok(taken)
    }

    async fn drills_them(&mut self, agent: &Agent, taken: &Taken) -> Result<()> {
        let names = self.host.docker(["ps", "-a", "--format", "{{.Names}}"])?;
        for key in ["all", "one"] {
            let expected = taken[key].1.facts["rows:shop.public.orders"].clone();
            let sql = |query: &str, equals: Option<String>| Probe::Sql {
                item: named(&format!("postgres-{key}")),
                database: Some("shop".to_owned()),
                query: query.to_owned(),
                equals,
            };
            let mut probes = vec![
                Probe::Facts { item: None },
                sql("SELECT count(*) FROM orders", Some(expected)),
                sql("SELECT has_table_privilege('clerk', 'orders', 'INSERT')", Some("t".to_owned())),
                Probe::Command {
                    service: service_name("files"),
                    command: command(&["grep", "-q", "one", "/srv/deep/file"]),
                },
            ];
            if key == "all" {
                probes.push(Probe::Git { item: Some(named("volume-files")) });
            }
            let begun = Instant::now();
            let into = Destination::Scratch { probes: probes.clone() };
            let items = [&taken[key], &taken["cache"], &taken["files"]];
            let done = self.does(agent, self.restore(&items, into)).await?;
            ensure!(done.state == RunState::Succeeded, "{done:?}");
            eprintln!("a drill of a database, a cache and files took {:.2?}", begun.elapsed());
            let mut wrong = probes;
            wrong.push(sql("SELECT 1", Some("2".to_owned())));
            let done = self.does(agent, self.restore(&items, Destination::Scratch { probes: wrong })).await?;
            ensure!(done.code.as_deref() == Some("probe_failed"), "{done:?}");
        }
        // Another snapshot's rows under these facts.
        let mut mixed_up = taken["all"].clone();
        mixed_up.1.facts.insert("rows:shop.public.orders".to_owned(), "1".to_owned());
        let probes = vec![Probe::Facts { item: None }];
        let done = self.does(agent, self.restore(&[&mixed_up], Destination::Scratch { probes })).await?;
        ensure!(
            done.message.as_deref().is_some_and(|text| text.contains("rows:shop.public.orders was 1")),
            "{done:?}"
        );
        ensure!(
            self.host.docker(["ps", "-a", "--format", "{{.Names}}"])? == names,
            "nothing is left, and nothing was touched"
        );
        let volumes = self.host.docker(["volume", "ls", "--quiet", "--filter", "label=omni.run"])?;
        ensure!(volumes.is_empty(), "{volumes}");
        Ok(())
    }

    async fn a_cut_dump_turns_a_drill_red(&mut self, agent: &Agent, taken: &Taken) -> Result<()> {
        let whole = self
            .bare(&["dump", "latest", "/postgres-all.sql", "--path", "/postgres-all.sql"])
            .output()?
            .stdout;
        let cut = &whole[..whole.len() / 2];
        let mut child = self
            .bare(&["backup", "--stdin", "--stdin-filename", "cut.sql"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().context("piped")?, cut)?;
        ensure!(child.wait()?.success());
        let listed = self.bare(&["snapshots", "--json", "--path", "/cut.sql"]).output()?.stdout;
        let listed: serde_json::Value = serde_json::from_slice(&listed)?;
        let id = listed[0]["id"].as_str().context("it was taken")?.to_owned();
        let (item, outcome) = taken["all"].clone();
        let cut = (item, ItemOutcome { snapshot: Some(id), facts: BTreeMap::new(), ..outcome });
        let done =
            self.does(agent, self.restore(&[&cut], Destination::Scratch { probes: Vec::new() })).await?;
        ensure!(matches!(done.code.as_deref(), Some("dump_incomplete" | "load_failed")), "{done:?}");
        ensure!(done.state == RunState::Failed);
        Ok(())
    }

    async fn a_broken_repository_turns_a_drill_red(&mut self, agent: &Agent, taken: &Taken) -> Result<()> {
        // The content of the only file of the only commit. The volume is brought back from before this later on.
        self.in_files("cd /srv/shop.git && rm $(git rev-parse HEAD:file | sed 's|^..|objects/&/|')")?;
        let item = taken["files"].0.clone();
        let done = self.does(agent, self.backup(vec![item.clone()])).await?;
        ensure!(done.state == RunState::Succeeded, "{done:?}");
        let broken = (item, done.items.into_iter().next().context("it was taken")?);
        let probes = vec![Probe::Facts { item: None }, Probe::Git { item: None }];
        let done = self.does(agent, self.restore(&[&broken], Destination::Scratch { probes })).await?;
        let said = done.message.unwrap_or_default();
        ensure!(done.code.as_deref() == Some("probe_failed"), "{said}");
        ensure!(
            said.contains("shop.git in volume-files is not whole") && said.contains("missing blob"),
            "{said}"
        );
        Ok(())
    }

    async fn brings_them_back(&mut self, agent: &Agent, taken: &Taken) -> Result<()> {
        let items = [&taken["all"], &taken["cache"], &taken["files"]];
        let in_place = || Destination::InPlace { replace: true };
        let done = self.does(agent, self.restore(&items, in_place())).await?;
        ensure!(done.code.as_deref() == Some("running"), "{done:?}");
        self.desire(agent, false).await?;
        self.has_stopped().await?;
        // Half of it is lost, as on another host; the database stays, to be replaced.
        self.host.docker(["rm", "shop-cache-1", "shop-files-1"])?;
        for volume in ["shop_cache", "shop_files"] {
            self.host.docker(["volume", "rm", volume])?;
        }
        let begun = Instant::now();
        let done = self.does(agent, self.restore(&items, in_place())).await?;
        ensure!(done.state == RunState::Succeeded, "{done:?}");
        eprintln!("they were brought back in {:.2?}", begun.elapsed());
        let labels = r#"{{index .Labels "omni.app"}} {{index .Labels "omni.volume"}}"#;
        let labels = self.host.docker(["volume", "inspect", "-f", labels, "shop_files"])?;
        ensure!(labels == "shop files", "{labels}");
        self.desire(agent, true).await?;
        self.sees(agent, Healthy, "").await?;
        let rows = self.sql("shop", "SELECT count(*) FROM orders")?;
        ensure!(rows == taken["all"].1.facts["rows:shop.public.orders"], "{rows}");
        ensure!(
            self.sql("postgres", "SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'clerk'")?
                == "t"
        );
        ensure!(self.redis(&["dbsize"])? == "51", "{}", self.redis(&["dbsize"])?);
        ensure!(self.redis(&["config", "get", "appendonly"])?.ends_with("yes"));
        let file = self.host.docker(["exec", "shop-files-1", "cat", "/srv/deep/file"])?;
        ensure!(file == "one", "{file}");
        self.in_files("git --git-dir /srv/shop.git fsck --full")?;
        Ok(())
    }

    async fn has_stopped(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.host.docker(["ps", "-q", "--filter", "label=omni.app"])?.is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "it does not stop");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// A service that is stopped for a backup is not started by the converger before the backup is done.
    async fn rests_and_goes_on(&mut self, agent: &Agent) -> Result<()> {
        let volume = Take::Volume { volume: "files".to_owned(), include: Vec::new(), exclude: Vec::new() };
        for quiesce in [Quiesce::Stop { services: Vec::new() }, Quiesce::Pause { services: Vec::new() }] {
            let resting = Item { quiesce, ..item("volume-files", volume.clone()) };
            let done = self.does(agent, self.backup(vec![resting])).await?;
            ensure!(done.state == RunState::Succeeded, "{done:?}");
            self.sees(agent, Healthy, "").await?;
        }
        Ok(())
    }

    /// Whatever rests when the agent is killed goes on when the next one starts.
    async fn goes_on_when_the_agent_was_killed(&mut self) -> Result<()> {
        let endless = Take::Command {
            service: service_name("files"),
            save: command(&["sh", "-c", "while :; do echo more; sleep 0.1; done"]),
            load: Vec::new(),
        };
        let resting = [
            (
                Quiesce::Stop { services: vec![service_name("cache")] },
                "exited",
                "is stopped while a backup is taken",
            ),
            (Quiesce::Pause { services: vec![service_name("cache")] }, "paused", "is paused"),
        ];
        for (quiesce, state, reason) in resting {
            let agent = self.agent().await?;
            self.sees(&agent, Healthy, "").await?;
            let order = self.order(self.backup(vec![Item { quiesce, ..item("endless", endless.clone()) }]));
            let errand = Errand { cancel: CancellationToken::new(), reporter: Reporter::new(order.id) };
            tokio::select! {
                done = agent.backups.perform(&order, &errand) => bail!("it ended: {done:?}"),
                seen = self.sees(&agent, Unhealthy, reason) => seen?,
            }
            let status = self.host.docker(["inspect", "-f", "{{.State.Status}}", "shop-cache-1"])?;
            ensure!(status == state, "{status}");
            drop(agent);
            let next = self.agent().await?;
            next.backups.tidy(None).await.map_err(anyhow::Error::msg)?;
            self.sees(&next, Healthy, "").await?;
            let status = self.host.docker(["inspect", "-f", "{{.State.Status}}", "shop-cache-1"])?;
            ensure!(status == "running", "{status}");
        }
        Ok(())
    }
}

fn instance() -> Instance {
    Instance {
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        spec: shop(),
    }
}
