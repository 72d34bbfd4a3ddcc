//! An app of a web server, a real Redis and a real PostgreSQL from one plain compose file: everything that is done to it in
//! its life.

use super::{HOSTS, containers, happened, page, project, says, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{ContainerView, Event};
use omni_tests::mesh::{Mesh, Project, SOON, hosts_of, told};
use omni_tests::testbed::{Host, IMAGE, Package, Testbed, eventually};
use std::collections::BTreeMap;
use std::time::Instant;

const COMPOSE: &str = r#"
name: shop
services:
  web:
    image: omni-test/busybox:1
    command: ${COMMAND:-http 80}
    environment: {WORD: "${WORD:-one}"}
    ports: ["8080:80"]
    volumes: ["./cgi-bin:/srv/cgi-bin:ro"]
    depends_on:
      redis: {condition: service_healthy}
      schema: {condition: service_completed_successfully}
    healthcheck:
      test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"]
      interval: 500ms
    deploy:
      update_config: {monitor: 500ms}
      rollback_config: {monitor: 500ms}
  redis:
    image: omni-test/redis:1
    command: redis-server --dir /data --appendonly yes --protected-mode no
    volumes: [cache:/data]
    healthcheck: {test: [CMD, redis-cli, ping], interval: 500ms}
  db:
    image: omni-test/postgres:1
    command: serve
    stop_signal: SIGINT
    volumes: [tables:/data]
    healthcheck: {test: "psql -U postgres -h 127.0.0.1 -c 'select 1'", interval: 1s, retries: 20}
  schema:
    image: omni-test/postgres:1
    command: psql -h db -U postgres -c "create table if not exists sales (what text)"
    depends_on:
      db: {condition: service_healthy}
volumes:
  cache:
  tables:
"#;

/// What the web server runs for each visit.
const VISITS: &str = r#"#!/bin/sh
printf 'content-type: text/plain\r\n\r\n'
echo "word $WORD, visit $(printf 'INCR visits\r\nQUIT\r\n' | nc redis 6379 | head -n 1 | tr -dc 0-9)"
"#;

/// Somebody else's things on each host, as they must be at the end.
type Others = BTreeMap<String, String>;

#[test]
fn a_shop_lives_its_life() {
    super::test(|bed, mesh| {
        bed.install(Package::Redis)?;
        bed.install(Package::Postgres)?;
        let others = others(bed)?;
        let shop = project(bed, "shop", COMPOSE)?;
        let script = shop.write("cgi-bin/visits", VISITS)?;
        std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        it_is_planned_and_then_deployed(mesh, &shop)?;
        let home = home(mesh)?;
        it_serves_and_is_shown(bed, mesh, &home)?;
        a_second_release_keeps_the_data(bed, mesh, &shop, &home)?;
        a_bad_release_rolls_itself_back(bed, mesh, &shop, &home)?;
        it_goes_back_to_a_named_release(bed, mesh, &home)?;
        it_is_stopped_and_started(bed, mesh, &home)?;
        it_goes_and_leaves_its_data(bed, mesh, &home)?;
        all_of_it_was_told(mesh)?;
        it_goes_with_its_data(bed, mesh, &shop)?;
        ensure!(others == others_now(bed)?, "somebody else's things were touched");
        Ok(())
    });
}

fn others(bed: &Testbed) -> Result<Others> {
    for host in HOSTS.map(|name| bed.host(name)) {
        host.docker(["volume", "create", "theirs"])?;
        host.docker(["network", "create", "theirs"])?;
        let run = ["run", "-d", "--name", "bystander", "--network", "theirs", "-v", "theirs:/data"];
        host.docker(run.iter().chain(&["--label", "com.docker.compose.project=shop", IMAGE, "idle"]))?;
    }
    others_now(bed)
}

fn others_now(bed: &Testbed) -> Result<Others> {
    let seen = |name: &str| {
        let host = bed.host(name);
        let format = "{{.Id}} {{.State.StartedAt}} {{.State.Running}}";
        let container = host.docker(["inspect", "--format", format, "bystander"])?;
        let kept = host.docker(["volume", "inspect", "--format", "{{.CreatedAt}}", "theirs"])?;
        let network = host.docker(["network", "inspect", "--format", "{{.Id}}", "theirs"])?;
        Ok((name.to_owned(), format!("{container} {kept} {network}")))
    };
    HOSTS.into_iter().map(seen).collect()
}

fn home(mesh: &Mesh<'_>) -> Result<String> {
    let app = mesh.app("shop")?;
    let hosts = hosts_of(&app);
    ensure!(hosts.len() == 1, "one instance: {}", told(&app));
    Ok(hosts.into_iter().next().context("just counted")?.to_owned())
}

fn visit(bed: &Testbed, home: &str) -> Result<String> {
    page(bed, home, "8080/cgi-bin/visits")
}

/// Asks the database; `-tA` leaves the value alone.
fn sql(bed: &Testbed, home: &str, text: &str) -> Result<String> {
    bed.host(home).docker(["exec", "shop-db-1", "psql", "-U", "postgres", "-h", "127.0.0.1", "-tAc", text])
}

fn it_is_planned_and_then_deployed(mesh: &Mesh<'_>, shop: &Project) -> Result<()> {
    let plan = mesh.omni().run(shop.deploy(&["--plan"]))?;
    ensure!(plan.code == Some(10), "something would change: {plan:#?}");
    says(&plan.stdout, &["default/shop: a new app", "place shop#0"])?;
    ensure!(mesh.app("shop").is_err(), "a plan does nothing");
    let begun = Instant::now();
    let answer = mesh.deploy(shop, &[])?;
    took("the shop is up, data made and all healthy", begun.elapsed());
    says(&answer.stderr, &["Release 1 of default/shop", "1 of 1 healthy"])?;
    answer.done()?;
    let again = mesh.omni().run(shop.deploy(&["--plan"]))?;
    ensure!(again.code == Some(0), "nothing would change: {again:#?}");
    let again = mesh.deploy(shop, &[])?;
    says(&again.stderr, &["Nothing would change"])?;
    again.done().map(drop)
}

fn it_serves_and_is_shown(bed: &Testbed, mesh: &Mesh<'_>, home: &str) -> Result<()> {
    ensure!(visit(bed, home)? == "word one, visit 1" && visit(bed, home)? == "word one, visit 2");
    sql(bed, home, "insert into sales values ('a hat')")?;
    let omni = mesh.omni();
    let apps = omni.run(["apps"])?.done()?;
    let row = apps.lines().find(|line| line.starts_with("shop")).context("it is listed")?;
    let cells: Vec<&str> = row.split_whitespace().collect();
    ensure!(cells[..6] == ["shop", "default", "healthy", "1/1", "1", home], "{apps}");
    let wanted = ["shop-db-1", "shop-redis-1", "shop-web-1"];
    let shown = || -> Result<String> { omni.run(["ps", "--host", home])?.done() };
    let text = eventually("its containers are listed", SOON, || {
        shown().ok().filter(|text| wanted.iter().all(|name| text.contains(name)))
    });
    text.with_context(|| format!("last: {:?}", shown()))?;
    let all: Vec<ContainerView> = omni.json(&["ps", "--all", "--host", home])?;
    ensure!(
        all.iter().any(|one| one.container.name == "shop-schema-1"),
        "also the one that has ended: {all:#?}"
    );
    let explained = omni.run(["explain", "shop"])?.done()?;
    says(&explained, &["Group main", "runs there", "its data (volume"])?;
    for name in HOSTS {
        let line = explained.lines().find(|line| line.starts_with(name)).context("each host has a line")?;
        ensure!(line.contains("yes") == (name == home), "{explained}");
    }
    let shown = omni.run(["apps", "show", "shop"])?.done()?;
    says(&shown, &["healthy, 1 of 1 healthy", "never two at once", &format!("tables of main.0 on {home}")])
}

fn a_second_release_keeps_the_data(bed: &Testbed, mesh: &Mesh<'_>, shop: &Project, home: &str) -> Result<()> {
    let plan = mesh.omni().run(shop.deploy(&["--plan", "--set", "WORD=two"]))?;
    ensure!(plan.code == Some(10), "{plan:#?}");
    says(
        &plan.stdout,
        &["a new release after release 1", "services.web.environment.WORD", "what differs is replaced"],
    )?;
    let stores = ["shop-db-1", "shop-redis-1"];
    let ids = || {
        bed.host(home).docker(["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", stores[0], stores[1]])
    };
    let before = ids()?;
    let begun = Instant::now();
    mesh.deploy(shop, &["--set", "WORD=two", "--note", "the second"])?.done()?;
    took("a second release", begun.elapsed());
    ensure!(
        visit(bed, home)? == "word two, visit 3",
        "it goes on counting where it was: {}",
        visit(bed, home)?
    );
    ensure!(sql(bed, home, "select what from sales")? == "a hat");
    ensure!(ids()? == before, "what did not change was not stopped");
    let app = mesh.await_settled("shop", 2)?;
    ensure!(hosts_of(&app).contains(home), "its data keeps it where it is: {}", told(&app));
    let diff = mesh.omni().run(["diff", "shop", "1", "2"])?.done()?;
    says(&diff, &["services.web.environment.WORD"])
}

fn a_bad_release_rolls_itself_back(bed: &Testbed, mesh: &Mesh<'_>, shop: &Project, home: &str) -> Result<()> {
    let command = "COMMAND=sh -c 'echo no key for the door >&2; exit 3'";
    let begun = Instant::now();
    let answer = mesh.deploy(shop, &["--set", command])?;
    took("a release that dies is given up", begun.elapsed());
    let words = ["release 2 -> 3", "failed", "exit code 3", "back to release 2", "no key for the door"];
    answer.refused(1, &words)?;
    mesh.await_settled("shop", 2)?;
    took("and the one before is back", begun.elapsed());
    ensure!(visit(bed, home)?.starts_with("word two"), "{}", visit(bed, home)?);
    let shown = mesh.omni().run(["rollout", "show", "shop"])?.done()?;
    says(&shown, &["back to release 2", "failed, rolled back", "no key for the door"])
}

fn it_goes_back_to_a_named_release(bed: &Testbed, mesh: &Mesh<'_>, home: &str) -> Result<()> {
    mesh.omni().run(["rollback", "shop", "--to", "9"])?.refused(3, &["has no release 9", "1, 2, 3"])?;
    mesh.omni().run(["rollback", "shop", "--to", "1", "--wait=2m"])?.done()?;
    ensure!(visit(bed, home)?.starts_with("word one"), "{}", visit(bed, home)?);
    ensure!(sql(bed, home, "select count(*) from sales")? == "1");
    let releases = mesh.omni().run(["releases", "shop"])?.done()?;
    says(&releases, &["the second"])
}

fn it_is_stopped_and_started(bed: &Testbed, mesh: &Mesh<'_>, home: &str) -> Result<()> {
    mesh.omni().run(["stop", "shop", "--wait=2m"])?.done()?;
    let running = bed.host(home).docker(["ps", "--filter", "label=omni.app", "--quiet"])?;
    ensure!(running.is_empty(), "something of it runs: {running}");
    mesh.omni().run(["start", "shop", "--wait=2m"])?.done()?;
    ensure!(visit(bed, home)?.starts_with("word one"), "{}", visit(bed, home)?);
    ensure!(sql(bed, home, "select count(*) from sales")? == "1");
    Ok(())
}

fn it_goes_and_leaves_its_data(bed: &Testbed, mesh: &Mesh<'_>, home: &str) -> Result<()> {
    let answer = mesh.omni().run(["rm", "shop", "--yes", "--wait=2m"])?;
    says(&answer.stderr, &["stays on its hosts", &format!("tables of main.0 on {home}"), "is gone"])?;
    answer.done()?;
    mesh.omni().run(["apps", "show", "shop"])?.refused(3, &["shop"])?;
    for host in HOSTS.map(|name| bed.host(name)) {
        eventually(&format!("nothing is left on {}", host.name()), SOON, || {
            left(host).ok().filter(Vec::is_empty)
        })
        .with_context(|| format!("{:?}", left(host)))?;
    }
    let volumes = bed.host(home).docker(["volume", "ls", "--quiet", "--filter", "label=omni.app"])?;
    ensure!(volumes == "shop_cache\nshop_tables", "its data stays: {volumes}");
    Ok(())
}

/// Only when that is said, and only what is its own.
fn it_goes_with_its_data(bed: &Testbed, mesh: &Mesh<'_>, shop: &Project) -> Result<()> {
    mesh.deploy(shop, &[])?.done()?;
    let home = home(mesh)?;
    let answer = mesh.omni().run(["rm", "shop", "--volumes", "--yes", "--wait=2m"])?;
    says(&answer.stderr, &["is lost with it", &format!("tables of main.0 on {home}"), "is gone"])?;
    answer.done()?;
    let volumes = bed.host(&home).docker(["volume", "ls", "--quiet"])?;
    ensure!(volumes == "theirs", "{volumes}");
    Ok(())
}

/// Containers, networks and files of apps on a host.
fn left(host: &Host) -> Result<Vec<String>> {
    let mut left = containers(host, "omni.app")?;
    let networks = host.docker(["network", "ls", "--filter", "label=omni.app", "--format", "{{.Name}}"])?;
    left.extend(networks.lines().map(str::to_owned));
    let apps = host.dir().join(host.name()).join("apps");
    let files = host.run("find", [&*apps.to_string_lossy(), "-type", "f"]).unwrap_or_default();
    left.extend(files.lines().map(str::to_owned));
    Ok(left)
}

fn all_of_it_was_told(mesh: &Mesh<'_>) -> Result<()> {
    let all: Vec<Event> = mesh.omni().json(&["events", "--since", "0", "--limit", "500"])?;
    let events: Vec<Event> =
        all.into_iter().filter(|event| event.data.get("app").is_some_and(|app| app == "shop")).collect();
    let first = ["release.created", "deployment.started", "allocation.placed", "allocation.healthy"];
    let second = ["deployment.done", "release.created", "deployment.started", "allocation.renewed"];
    let renewed = ["allocation.healthy", "deployment.done"];
    let bad = ["release.created", "deployment.started", "allocation.failed", "deployment.failed"];
    let back = ["deployment.started", "allocation.healthy", "deployment.done"];
    let life =
        ["deployment.started", "deployment.done", "app.stopped", "app.started", "app.removed", "app.gone"];
    happened(&events, &[&first[..], &second, &renewed, &bad, &back, &life].concat())?;
    ensure!(events.iter().all(|event| !event.message.is_empty()), "each in a sentence: {events:#?}");
    let audit = mesh.omni().run(["audit"])?.done()?;
    says(&audit, &["app."])
}
