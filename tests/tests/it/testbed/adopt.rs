//! A project that Debian's docker-compose runs becomes an app while it runs, and goes on as one.

use super::deploy::{HOSTS, happened, project, says, test};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppStatus, HostProject};
use omni_tests::mesh::{Mesh, SOON, hosts_of};
use omni_tests::testbed::{Host, Package, Testbed, eventually};
use std::fs;
use std::path::{Path, PathBuf};

/// Where it runs: not on the host that the scheduler would take first.
const HOST: &str = HOSTS[1];

/// In the manner of the seed platform: names, labels and a network that exists on its own.
const SHOP: &str = "\
version: '2.4'
services:
  web:
    image: omni-test/busybox:1
    container_name: omni-shop-web
    command: http 80
    env_file: web.env
    environment: {WORD: \"${WORD}\"}
    ports: ['8080:80']
    restart: unless-stopped
    depends_on: [store]
    labels: {omni.quantum.component: shop, omni.quantum.tier: standard}
    volumes: ['./notes:/notes']
    networks: [default, omni-quantum-network]
  store:
    image: omni-test/redis:1
    command: redis-server --dir /data --appendonly yes
    restart: unless-stopped
    volumes: ['data:/data']
volumes:
  data:
networks:
  omni-quantum-network: {external: true}
";

/// What tells whether a container is the same and has not been started again.
const SAME: &str = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}";

#[test]
fn a_project_that_runs_becomes_an_app_and_nothing_is_started_again() {
    test(|bed, mesh| {
        bed.install(Package::Redis)?;
        let host = bed.host(HOST);
        let folder = start(host)?;
        let before = inspected(host, &["omni-shop-web", "shop_store_1"])?;
        mesh.await_image("omni-test/redis:1", &HOSTS)?;
        what_can_be_adopted_is_listed(mesh)?;
        refusals(mesh, host)?;
        mesh.omni().run(["adopt", "--host", HOST, "shop", "--plan"])?.refused(10, &[])?;
        let answer = mesh.omni().run(["adopt", "--host", HOST, "shop", "--yes", "--wait=2m"])?;
        says(&answer.stderr, &["omni-shop-web: is taken over as it runs"])?;
        answer.done()?;
        let app = mesh.await_settled("shop", 1)?;
        ensure!(hosts_of(&app) == [HOST].into(), "{app:?}");
        ensure!(inspected(host, &["omni-shop-web", "shop_store_1"])? == before, "nothing was started again");
        happened(
            &mesh.events_of_app("shop")?,
            &["release.created", "allocation.healthy", "deployment.done"],
        )?;
        it_is_an_app_like_any_other(mesh, host, &before)?;
        the_agent_may_be_killed(mesh, host, &before)?;
        a_release_goes_on_with_its_data(bed, mesh, &folder)?;
        it_goes_and_leaves_its_data(mesh, host)
    });
}

/// Starts the project as somebody has done long ago.
fn start(host: &Host) -> Result<PathBuf> {
    let folder = host.dir().join("srv").join("shop");
    fs::create_dir_all(folder.join("notes"))?;
    fs::write(folder.join("docker-compose.yml"), SHOP)?;
    fs::write(folder.join("web.env"), "KEY=from-a-file\n")?;
    fs::write(folder.join(".env"), "WORD=one\n")?;
    fs::write(folder.join("notes/first"), "kept\n")?;
    host.docker(["network", "create", "omni-quantum-network"])?;
    compose(host, &folder, &["up", "-d"])?;
    host.docker(["exec", "shop_store_1", "redis-cli", "set", "k", "kept"])?;
    Ok(folder)
}

fn compose(host: &Host, folder: &Path, words: &[&str]) -> Result<()> {
    let mut command = host.command("docker-compose")?;
    // Entering a host leaves the folder that one is in.
    command.arg("--file").arg(folder.join("docker-compose.yml"));
    command.env("DOCKER_HOST", format!("unix://{}", host.docker_socket().display()));
    let output = command.args(words).output().context("docker-compose (Debian's package)")?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn inspected(host: &Host, names: &[&str]) -> Result<String> {
    host.docker(["inspect", "--format", SAME].iter().chain(names))
}

fn what_can_be_adopted_is_listed(mesh: &Mesh<'_>) -> Result<()> {
    let found = eventually("the project is seen", SOON, || {
        let all: Vec<HostProject> = mesh.omni().json(&["adopt", "--host", HOST]).ok()?;
        all.into_iter().find(|project| project.name == "shop" && project.containers == 2)
    })?;
    ensure!(found.adoptable && found.running == 2 && found.services == ["store", "web"], "{found:?}");
    let written = tempfile::tempdir()?;
    let at = written.path().join("shop").display().to_string();
    mesh.omni().run(["adopt", "--host", HOST, "shop", "--from", "containers", "--write", &at])?.done()?;
    let text = fs::read_to_string(written.path().join("shop/compose.yaml"))?;
    says(&text, &["omni-shop-web", "shop_data", "WORD: one", "KEY: from-a-file", "omni-quantum-network"])
}

fn refusals(mesh: &Mesh<'_>, host: &Host) -> Result<()> {
    mesh.omni().run(["adopt", "--host", HOST, "other", "--yes"])?.refused(3, &["no container", "other"])?;
    mesh.omni().run(["adopt", "--host", "nowhere", "--yes", "shop"])?.refused(3, &["nowhere"])?;
    // A file that was changed since is told key by key.
    let file = host.dir().join("srv/shop/docker-compose.yml");
    fs::write(&file, SHOP.replace("http 80", "http 81"))?;
    let answer = mesh.omni().run(["adopt", "--host", HOST, "shop", "--yes"])?;
    says(&answer.stderr, &["services.web.command", "http"])?;
    fs::write(&file, SHOP)?;
    Ok(())
}

fn it_is_an_app_like_any_other(mesh: &Mesh<'_>, host: &Host, before: &str) -> Result<()> {
    mesh.omni().run(["exec", "omni-shop-web", "--", "true"])?.done()?;
    let again = mesh.omni().run(["adopt", "--host", HOST, "shop", "--as", "twice", "--yes"])?;
    says(&again.stderr, &["belongs to the app default/shop"])?;
    let policy =
        host.docker(["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", "shop_store_1"])?;
    ensure!(
        policy == "no",
        "what must not run twice is started by the agent alone, not by the engine: {policy}"
    );
    ensure!(inspected(host, &["omni-shop-web", "shop_store_1"])? == before, "nothing was started again");
    Ok(())
}

fn the_agent_may_be_killed(mesh: &Mesh<'_>, host: &Host, before: &str) -> Result<()> {
    let agent = mesh.agent(HOST);
    agent.kill()?;
    agent.start()?;
    mesh.await_host(HOST, omni_common::api::v1::HostStatus::Up, SOON)?;
    mesh.await_settled("shop", 1)?;
    ensure!(inspected(host, &["omni-shop-web", "shop_store_1"])? == before, "nothing was started again");
    Ok(())
}

/// From the desk, where somebody keeps the files. Its instance is replaced as any other's: what must not run twice stops first.
fn a_release_goes_on_with_its_data(bed: &Testbed, mesh: &Mesh<'_>, folder: &Path) -> Result<()> {
    let host = bed.host(HOST);
    let desk = project(bed, "shop", &SHOP.replace("http 80", "http 80 --"))?;
    for name in ["web.env", ".env"] {
        desk.write(name, &fs::read_to_string(folder.join(name))?)?;
    }
    let same = project(bed, "same/shop", SHOP)?;
    for name in ["web.env", ".env"] {
        same.write(name, &fs::read_to_string(folder.join(name))?)?;
    }
    let answer = mesh.deploy(&same, &["--name", "shop"])?;
    says(&answer.stderr, &["Nothing would change"])?;
    mesh.deploy(&desk, &[])?.done()?;
    let app = mesh.await_settled("shop", 2)?;
    ensure!(hosts_of(&app) == [HOST].into(), "{app:?}");
    let notes = host.docker(["exec", "omni-shop-web", "cat", "/notes/first"])?;
    ensure!(notes == "kept", "its folder is the same: {notes}");
    let names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let networks = host.docker(["inspect", "--format", names, "omni-shop-web"])?;
    ensure!(networks.trim() == "omni-quantum-network shop_default", "{networks}");
    let kept = host.docker(["exec", "shop_store_1", "redis-cli", "get", "k"])?;
    ensure!(kept == "kept", "its data is there: {kept}");
    let volumes = host.docker(["volume", "ls", "--quiet"])?;
    ensure!(volumes == "shop_data", "and nowhere else: {volumes}");
    Ok(())
}

fn it_goes_and_leaves_its_data(mesh: &Mesh<'_>, host: &Host) -> Result<()> {
    mesh.omni().run(["rm", "shop", "--yes", "--wait=2m"])?.done()?;
    let left = host.docker(["ps", "--all", "--quiet"])?;
    ensure!(left.is_empty(), "{left}");
    let volumes = host.docker(["volume", "ls", "--quiet"])?;
    ensure!(volumes.lines().any(|name| name == "shop_data"), "{volumes}");
    ensure!(mesh.app("shop").is_err_and(|_| true) || mesh.app("shop")?.status == AppStatus::Removing);
    Ok(())
}
