//! What an operator does first, with the programs as they are shipped: three controllers, one host, `omni`.

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{
    ApiTokenView, AuditEntry, ClusterStatus, ContainerView, ControllerRole, ControllerView, Event,
    HostStatus, HostView, JoinTokenCreated, JoinTokenView,
};
use omni_tests::mesh::{self, Agent, Loopback, Mesh, Omni, Place};
use serde::Deserialize;
use serde_json::Value;

#[test]
fn an_operator_finds_his_way() {
    mesh::test(|here| {
        let mut mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
        mesh.add_agent(Place::Here(here), "a1")?;
        the_cluster_is_shown(&mesh)?;
        every_list_is_json_too(mesh.omni())?;
        hosts_are_changed(&mesh)?;
        tokens_come_and_go(&mesh, here)?;
        leadership_is_handed_over(&mesh)?;
        what_was_done_is_told(&mesh)?;
        mistakes_have_their_exit_codes(&mesh, here)?;
        mesh.all_run()
    });
}

fn the_cluster_is_shown(mesh: &Mesh<'_>) -> Result<()> {
    let status: Value = mesh.omni().json(&["status"])?;
    let status: ClusterStatus =
        serde_json::from_value(status["status"].clone()).context("the cluster's part")?;
    assert_eq!(status.ca_fingerprint, mesh.init().ca_fingerprint);
    assert_eq!((status.controllers.voters, status.controllers.reachable), (3, 3));
    assert_eq!((status.hosts.total, status.hosts.up), (1, 1));
    let hosts: Vec<HostView> = mesh.omni().json(&["hosts"])?;
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].name.as_str(), hosts[0].status), ("a1", HostStatus::Up));
    let facts = hosts[0].facts.as_ref().context("the host has told what it is")?;
    ensure!(facts.docker.is_none(), "it has no engine, and says so: {:?}", facts.docker);
    for verb in ["status", "hosts", "controllers"] {
        let text = mesh.omni().run([verb])?.done()?;
        ensure!(text.lines().count() > 1, "`omni {verb}` prints a table: {text}");
    }
    mesh.omni().run(["health", "--wait", "60s"])?.done().map(drop)
}

fn every_list_is_json_too(omni: &Omni<'_>) -> Result<()> {
    let lists: [&[&str]; 6] =
        [&["hosts"], &["ps", "-a"], &["events"], &["controllers"], &["audit"], &["context", "list"]];
    for list in lists {
        let value: Value = omni.json(list)?;
        ensure!(value.is_array(), "`omni {}` is a list: {value}", list.join(" "));
    }
    let documents: [&[&str]; 5] =
        [&["status"], &["health"], &["version"], &["token", "list"], &["hosts", "show", "a1"]];
    for document in documents {
        let value: Value = omni.json(document)?;
        ensure!(value.is_object(), "`omni {}` is one document: {value}", document.join(" "));
    }
    let containers: Vec<ContainerView> = omni.json(&["ps"])?;
    ensure!(containers.is_empty(), "a host without Docker has no containers");
    let frame = omni.run(["top", "--once"])?.done()?;
    ensure!(frame.contains("a1"), "the screen shows the host: {frame}");
    Ok(())
}

fn hosts_are_changed(mesh: &Mesh<'_>) -> Result<()> {
    let omni = mesh.omni();
    omni.run(["hosts", "label", "a1", "rack=r7", "tier=edge"])?.done()?;
    omni.run(["hosts", "cordon", "a1"])?.done()?;
    let found: Vec<HostView> = omni.json(&["hosts", "--label", "rack=r7"])?;
    ensure!(found.len() == 1 && found[0].cordoned, "{found:#?}");
    omni.run(["hosts", "label", "a1", "rack-"])?.done()?;
    omni.run(["hosts", "uncordon", "a1"])?.done()?;
    let host = mesh.host("a1")?;
    assert_eq!(host.labels.keys().collect::<Vec<_>>(), ["tier"]);
    assert!(!host.cordoned);
    Ok(())
}

#[derive(Deserialize)]
struct Tokens {
    join: Vec<JoinTokenView>,
    api: Vec<ApiTokenView>,
}

fn tokens_come_and_go(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let omni = mesh.omni();
    let args = ["token", "create", "--role", "agent", "--ttl", "10m", "--uses", "2", "--label", "from=token"];
    let text = omni.run(args)?.done()?;
    let made: JoinTokenCreated = omni.json(&args)?;
    ensure!(text.trim_end().starts_with("omni-join1."), "the token alone is on standard output: {text}");
    let listed = |all: &Tokens| all.join.iter().find(|token| token.id == made.view.id).cloned();
    let before: Tokens = omni.json(&["token", "list"])?;
    assert_eq!(listed(&before).context("it is listed")?.uses_left, Some(2));
    ensure!(before.api.iter().any(|token| token.name == "first-admin"), "so is the first admin's");

    let joined = Agent::new(Place::Here(here), "from-token");
    joined.join(&mesh.quic(), &made.token)?.done()?;
    assert_eq!(mesh.host("from-token")?.labels.get("from").map(String::as_str), Some("token"));
    assert_eq!(mesh.host("from-token")?.status, HostStatus::Pending, "it has never been started");

    omni.run(["token", "rm", "--yes", &made.view.id.to_string()])?.done()?;
    let after: Tokens = omni.json(&["token", "list", "--all"])?;
    ensure!(listed(&after).is_none(), "it is gone");
    Agent::new(Place::Here(here), "too-late").join(&mesh.quic(), &made.token)?.refused(1, &["token"])?;
    omni.run(["hosts", "rm", "--yes", "from-token"])?.done().map(drop)
}

fn leadership_is_handed_over(mesh: &Mesh<'_>) -> Result<()> {
    let before: Vec<ControllerView> = mesh.omni().json(&["controllers"])?;
    let other = before.iter().find(|one| one.role == ControllerRole::Follower).context("two follow")?;
    mesh.omni().run(["controllers", "transfer-leader", &other.name])?.done()?;
    mesh.await_controllers("the chosen one leads", |now| {
        now.iter().any(|one| one.id == other.id && one.role == ControllerRole::Leader)
    })?;
    mesh.await_voters(3)
}

fn what_was_done_is_told(mesh: &Mesh<'_>) -> Result<()> {
    let audit: Vec<AuditEntry> = mesh.omni().json(&["audit"])?;
    let told = |what: &str| audit.iter().any(|entry| entry.what.starts_with(what));
    for what in ["token.", "host."] {
        ensure!(told(what), "the audit trail has no {what}: {audit:#?}");
    }
    let ours = audit.iter().find(|entry| entry.what.starts_with("token.")).context("just seen")?;
    ensure!(ours.who.contains("first-admin"), "it says who: {ours:#?}");
    let events: Vec<Event> = mesh.omni().json(&["events", "--limit", "200"])?;
    for kind in ["host.up", "host.removed"] {
        ensure!(events.iter().any(|event| event.kind == kind), "no event {kind}: {events:#?}");
    }
    ensure!(!events.iter().any(|event| event.kind == "host.down"), "no host was ever down");
    Ok(())
}

fn mistakes_have_their_exit_codes(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let omni = mesh.omni();
    omni.run(["hosts", "show", "nobody"])?.refused(3, &["nobody"])?;
    omni.run(["token", "create"])?.refused(2, &["--role"])?;
    let viewer = omni.run(["token", "create-api", "--name", "guest", "--role", "viewer"])?.done()?;
    let mut as_viewer = omni.command(["hosts", "cordon", "a1"])?;
    as_viewer.env("OMNI_TOKEN", viewer.trim());
    mesh::run(as_viewer)?.refused(4, &["viewer"])?;
    let audit: Vec<AuditEntry> = omni.json(&["audit", "--who", "guest"])?;
    ensure!(audit.iter().any(|entry| entry.outcome != "done"), "who was refused is told as well: {audit:#?}");
    let nowhere = format!("https://{}:1", here.address());
    omni.run(["status", "--url", &nowhere])?.refused(5, &[&nowhere, "no controller is reachable"])
}
