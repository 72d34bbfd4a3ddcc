//! A PostgreSQL with a writer: its host is killed, and it moves from host to host. What was acknowledged is counted against
//! what is there afterwards.

use super::deploy::{happened, project, says, test, took};
use super::protection::only_host;
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppView, HostStatus, MovePlan, MoveStage};
use omni_common::clock::Time;
use omni_tests::mesh::{Mesh, SOON};
use omni_tests::testbed::{Host, Package, Testbed, eventually};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// What the platform promises for a database whose host dies.
const BACK_WITHIN: Duration = Duration::from_secs(60);

const LEDGER: &str = "
name: ledger
services:
  db:
    image: omni-test/postgres:1
    command: serve
    environment: {PGHOST: /tmp}
    healthcheck: {test: [CMD, pg_isready, -q, -U, postgres], interval: 500ms, retries: 20}
    volumes: ['data:/data']
    deploy: {update_config: {monitor: 1s}}
volumes: {data: }
x-omni: {failover: {mode: restore, max_data_age: 1h}, backup: {to: near, copy_to: [far], max_age: 3h}}
";

/// A row that the database has acknowledged, and when.
type Row = (u64, Time);

/// Two repositories in two regions, which every host reaches, and the app with an empty table.
fn set_up(bed: &Testbed, mesh: &Mesh<'_>) -> Result<(tempfile::TempDir, String)> {
    bed.install(Package::Postgres)?;
    // In memory, which every mount space of this machine shares.
    let shared = tempfile::tempdir_in("/dev/shm").context("a folder that all hosts see")?;
    for (name, region) in [("near", "here"), ("far", "elsewhere")] {
        let folder = shared.path().join(name).display().to_string();
        let words = ["backup", "repo", "add", name, &folder, "--host", "*", "--region", region];
        mesh.omni().run(words)?.done()?;
    }
    mesh.deploy(&project(bed, "ledger", LEDGER)?, &[])?.done()?;
    let home = only_host(&mesh.await_settled("ledger", 1)?)?;
    let table = "CREATE TABLE rows (n bigserial PRIMARY KEY, body text NOT NULL DEFAULT md5(random()::text))";
    sql(bed.host(&home), table)?;
    Ok((shared, home))
}

fn sql(host: &Host, query: &str) -> Result<String> {
    let names = super::deploy::containers(host, "omni.app=ledger")?;
    let name = names.into_iter().next().context("the app has a container")?;
    let answer = host.docker(["exec", &name, "psql", "-h", "/tmp", "-U", "postgres", "-qAtc", query])?;
    Ok(answer.trim().to_owned())
}

/// Checksum of the table up to a row.
fn checksum(host: &Host, up_to: u64) -> Result<String> {
    sql(host, &format!("SELECT md5(string_agg(n || body, ',' ORDER BY n)) FROM rows WHERE n <= {up_to}"))
}

fn newest(host: &Host) -> Result<u64> {
    Ok(sql(host, "SELECT coalesce(max(n), 0) FROM rows")?.parse()?)
}

/// Checks that each of these rows is there.
fn has_all(host: &Host, rows: &[&Row]) -> Result<()> {
    let numbers: Vec<String> = rows.iter().map(|(number, _)| number.to_string()).collect();
    let query = format!("SELECT count(*) FROM rows WHERE n = ANY('{{{}}}')", numbers.join(","));
    let found: usize = sql(host, &query)?.parse()?;
    ensure!(!rows.is_empty() && found == rows.len(), "{found} of {} rows are there", rows.len());
    Ok(())
}

/// Writes row after row until its database is away, and says which were acknowledged.
struct Writer<'s> {
    written: ScopedJoinHandle<'s, Vec<Row>>,
}

impl<'s> Writer<'s> {
    fn begin<'e>(scope: &'s thread::Scope<'s, 'e>, host: &'s Host, stop: &'s AtomicBool) -> Self {
        let work = move || {
            let mut rows = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let Ok(row) = sql(host, "INSERT INTO rows DEFAULT VALUES RETURNING n") else { break };
                let Ok(number) = row.parse() else { break };
                rows.push((number, now()));
            }
            rows
        };
        Self { written: scope.spawn(work) }
    }

    fn end(self) -> Vec<Row> {
        self.written.join().expect("writing does not panic")
    }
}

fn now() -> Time {
    use omni_common::clock::Clock;
    omni_common::clock::SystemClock.now()
}

#[test]
fn a_database_whose_host_is_killed_comes_back_and_says_what_is_lost() {
    test(|bed, mesh| {
        let (_shared, home) = set_up(bed, mesh)?;
        let old = bed.host(&home);
        let stop = AtomicBool::new(false);
        let (rows, sum, sure, killed) = thread::scope(|scope| -> Result<_> {
            let writer = Writer::begin(scope, old, &stop);
            let story = || -> Result<_> {
                eventually("rows are written", SOON, || newest(old).ok().filter(|newest| *newest >= 20))?;
                let sure = newest(old)?;
                let sum = checksum(old, sure)?;
                mesh.omni().run(["backup", "run", "ledger", "--wait=5m"])?.done().context("the backup")?;
                let at = newest(old)?;
                eventually("more is written after it", SOON, || {
                    newest(old).ok().filter(|newest| *newest > at + 20)
                })?;
                let killed = Instant::now();
                old.power_off()?;
                Ok((sum, sure, killed))
            };
            let told = story();
            stop.store(true, Ordering::Relaxed);
            let rows = writer.end();
            let (sum, sure, killed) = told?;
            Ok((rows, sum, sure, killed))
        })?;
        let elsewhere = |app: &AppView| only_host(app).is_ok_and(|host| host != home) && app.healthy == 1;
        let app = mesh.await_app("ledger", "healthy elsewhere", SOON * 3, elsewhere)?;
        let away = killed.elapsed();
        took("a PostgreSQL with a writer, its host killed: healthy elsewhere", away);
        ensure!(away < BACK_WITHIN, "{away:?}");

        let here = bed.host(&only_host(&app)?);
        let restored = app.volumes[0].restored.as_ref().context("it is said that the data is a copy")?;
        ensure!(restored.from_host == home && restored.lost_ms > 0, "{restored:?}");
        let there = newest(here)?;
        let older: Vec<&Row> = rows.iter().filter(|(_, at)| *at < restored.taken).collect();
        has_all(here, &older).context("rows that are older than the data is said to be")?;
        ensure!(checksum(here, sure)? == sum, "the rows are those that were written");
        let last = rows.last().map_or(0, |(number, _)| *number);
        ensure!(there < last, "what came after the backup is lost, and not made up: {there} of {last}");
        says(
            &mesh.omni().run(["apps", "show", "ledger"])?.done()?,
            &[&format!("before {home} was lost are gone")],
        )?;
        says(
            &mesh.omni().run(["status"])?.done()?,
            &["without its last", &format!("before {home} was lost")],
        )?;
        let events = mesh.events_of_app("ledger")?;
        let rescued = events.iter().find(|event| event.kind == "app.rescued").context("it is an event")?;
        says(&rescued.message, &[&format!("before {home} was lost is gone")])?;
        happened(&events, &["allocation.lost", "app.rescued", "allocation.healthy"])?;

        // What the old host still has when it returns is listed, and goes when that is said.
        old.power_on()?;
        mesh.controller(&home.replace('h', "c")).start()?;
        mesh.agent(&home).start()?;
        mesh.await_host(&home, HostStatus::Up, SOON)?;
        let app = mesh.app("ledger")?;
        ensure!(app.old_data.len() == 1 && app.old_data[0].host_name == home, "{:?}", app.old_data);
        ensure!(volumes(old)?.len() == 1, "{:?}", volumes(old)?);
        mesh.omni().run(["move", "ledger", "--confirm", "--yes", "--wait=1m"])?.done()?;
        ensure!(volumes(old)?.is_empty(), "{:?}", volumes(old)?);
        Ok(())
    });
}

#[test]
fn a_database_moves_with_every_row_and_can_go_back() {
    test(|bed, mesh| {
        let (_shared, home) = set_up(bed, mesh)?;
        let others: Vec<&str> = super::deploy::HOSTS.into_iter().filter(|host| *host != home).collect();
        let (to, third) = (others[0], others[1]);
        what_cannot_be_is_refused(mesh, &home, third)?;
        let rows = moves(bed, mesh, &home, to)?;

        // It goes back to what it had before, and what was written since stays on the new host.
        sql(bed.host(to), "INSERT INTO rows DEFAULT VALUES")?;
        mesh.omni()
            .run(["move", "ledger", "--back", "--yes", "--wait=2m"])?
            .done()
            .context("the way back")?;
        let app = mesh.await_app("ledger", "healthy where it was", SOON, |app| app.healthy == 1)?;
        ensure!(only_host(&app)? == home, "{app:?}");
        ensure!(newest(bed.host(&home))? == rows, "as it was when it stopped");
        ensure!(app.old_data.len() == 1 && app.old_data[0].host_name == to, "{:?}", app.old_data);

        // And once more: what lies there is replaced, and what is left behind goes when that is said.
        moves(bed, mesh, &home, to)?;
        ensure!(volumes(bed.host(&home))?.len() == 1, "the old copy is kept");
        mesh.omni().run(["move", "ledger", "--confirm", "--yes", "--wait=1m"])?.done()?;
        ensure!(volumes(bed.host(&home))?.is_empty(), "{:?}", volumes(bed.host(&home))?);
        let app = mesh.app("ledger")?;
        ensure!(app.old_data.is_empty() && only_host(&app)? == to && app.healthy == 1, "{app:?}");
        let events = mesh.events_of_app("ledger")?;
        happened(
            &events,
            &[
                "app.move_started",
                "app.move_stopping",
                "app.moved",
                "app.move_returned",
                "app.old_data_removed",
            ],
        )
    });
}

fn what_cannot_be_is_refused(mesh: &Mesh<'_>, home: &str, third: &str) -> Result<()> {
    let omni = mesh.omni();
    omni.run(["move", "ledger", "--to", "nowhere", "--yes"])?.refused(3, &["nowhere"])?;
    omni.run(["move", "ledger", "--to", home, "--yes"])?.refused(4, &["already"])?;
    omni.run(["cordon", third])?.done()?;
    omni.run(["move", "ledger", "--to", third, "--yes"])?.refused(4, &["cannot take", "cordoned"])?;
    omni.run(["uncordon", third])?.done()?;
    omni.run(["move", "ledger", "--back", "--yes"])?.refused(4, &["has not been moved"])
}

/// Moves it while somebody writes; every row that was acknowledged is there afterwards. Returns the last one.
fn moves(bed: &Testbed, mesh: &Mesh<'_>, from: &str, to: &str) -> Result<u64> {
    let old = bed.host(from);
    let before = newest(old)?;
    let plan: MovePlan = mesh.omni().json(&["move", "ledger", "--to", to, "--plan"])?;
    ensure!(plan.repository.as_deref() == Some("near") && plan.legs.len() == 1, "{plan:?}");
    let stop = AtomicBool::new(false);
    let (rows, moved) = thread::scope(|scope| -> Result<_> {
        let writer = Writer::begin(scope, old, &stop);
        let write = || newest(old).ok().filter(|newest| *newest >= before + 10);
        let moved = eventually("rows are written", SOON, write)
            .and_then(|_| mesh.omni().run(["move", "ledger", "--to", to, "--yes", "--wait=3m"])?.done());
        stop.store(true, Ordering::Relaxed);
        Ok((writer.end(), moved?))
    })?;
    says(&moved, &[to, "was away for"])?;
    let app = mesh.await_app("ledger", "healthy", SOON, |app| app.healthy == 1)?;
    ensure!(only_host(&app)? == to, "{app:?}");
    let moving = app.moving.as_ref().context("the move is shown")?;
    ensure!(moving.stage == MoveStage::Settled, "{moving:?}");
    if let (Some(stopped), Some(healthy)) = (moving.stopped, moving.healthy) {
        took("a PostgreSQL moves: it was away for", healthy.since(stopped));
    }
    has_all(bed.host(to), &rows.iter().collect::<Vec<_>>()).context("every row that was acknowledged")?;
    newest(bed.host(to))
}

fn volumes(host: &Host) -> Result<Vec<String>> {
    let names = host.docker(["volume", "ls", "--quiet", "--filter", "label=omni.app=ledger"])?;
    Ok(names.lines().map(str::to_owned).collect())
}
