//! Joining with everything that can be wrong: the machine stays outside, and is told why.

use anyhow::{Context, Result, ensure};
use omni_certs::TokenText;
use omni_common::api::v1::JoinTokenCreated;
use omni_tests::mesh::{self, Agent, Answer, Controller, Loopback, Mesh, Place, SOON};
use omni_tests::testbed::{self, eventually};
use std::fs;
use std::net::{TcpListener, UdpSocket};

fn mesh_of_one(here: &Loopback) -> Result<Mesh<'_>> {
    Mesh::form(&[Place::Here(here)], Place::Here(here))
}

/// Another cluster on the same machine, running.
fn another_cluster(here: &Loopback) -> Result<(Controller<'_>, mesh::Init)> {
    let other = Controller::new(Place::Here(here), "other");
    let init = other.init()?;
    other.start()?;
    Ok((other, init))
}

#[test]
fn a_bad_token_is_refused_with_its_reason() {
    mesh::test(|here| {
        let mesh = mesh_of_one(here)?;
        let good = mesh.init().agent_join_token.clone();
        texts_that_are_no_join_token(&mesh, here, &good)?;
        tokens_that_are_over(&mesh, here)?;
        tokens_of_another_role(&mesh, here)?;
        a_token_of_another_cluster(&mesh, here)?;
        let hosts = mesh.api().ask(async |client| client.hosts(Default::default()).await)?;
        let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
        ensure!(names == ["in-time"], "only the one with a good token is a host: {names:?}");
        mesh.all_run()
    });
}

fn join(mesh: &Mesh<'_>, here: &Loopback, name: &str, token: &str) -> Result<Answer> {
    Agent::new(Place::Here(here), name).join(&mesh.quic(), token)
}

fn texts_that_are_no_join_token(mesh: &Mesh<'_>, here: &Loopback, good: &str) -> Result<()> {
    join(mesh, here, "garbage", "let-me-in")?.refused(1, &["not an omni token"])?;
    join(mesh, here, "torn", &good[..good.len() - 3])?.refused(1, &["damaged"])?;
    join(mesh, here, "api", &mesh.init().admin_token)?.refused(1, &["API token", "join token"])?;
    let mut forged: TokenText = good.parse()?;
    forged.secret[0] ^= 1;
    join(mesh, here, "forged", &forged.to_string())?.refused(1, &["no such join token", "token_unknown"])
}

fn tokens_that_are_over(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let brief: JoinTokenCreated =
        mesh.omni().json(&["token", "create", "--role", "agent", "--ttl", "1s", "--uses", "0"])?;
    let last = eventually("the token is over", SOON, || {
        // It may still be good at first; the folder is another one each time, so that nothing is remembered.
        let answer = join(mesh, here, &format!("late-{}", here.port()), &brief.token).ok()?;
        (answer.code == Some(1)).then_some(answer)
    })?;
    last.refused(1, &["this join token ended at", "token_expired", "omni token create"])?;
    for late in mesh.api().ask(async |client| client.hosts(Default::default()).await)? {
        mesh.omni().run(["hosts", "rm", "--yes", &late.name])?.done()?;
    }
    let once: JoinTokenCreated = mesh.omni().json(&["token", "create", "--role", "agent"])?;
    join(mesh, here, "in-time", &once.token)?.done()?;
    join(mesh, here, "second", &once.token)?.refused(1, &["has been used up", "token_used"])?;
    let again = join(mesh, here, "in-time", &once.token)?.done()?;
    ensure!(again.contains("already"), "joining twice from one folder is harmless: {again}");
    Ok(())
}

fn tokens_of_another_role(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let token = &mesh.init().controller_join_token;
    join(mesh, here, "for-controllers", token)?.refused(1, &["for controllers", "--role agent"])?;
    let controller = Controller::new(Place::Here(here), "for-hosts");
    let answer = controller.join(mesh.controller("c1").quic(), &mesh.init().agent_join_token)?;
    answer.refused(1, &["for hosts", "--role controller"])?;
    controller.join(mesh.controller("c1").quic(), &mesh.init().admin_token)?.refused(1, &["API token"])
}

fn a_token_of_another_cluster(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let (other, init) = another_cluster(here)?;
    let answer = join(mesh, here, "stranger", &init.agent_join_token)?;
    answer.refused(1, &[mesh.controller("c1").quic(), "another cluster"])?;
    let controller = Controller::new(Place::Here(here), "strange-controller");
    let answer = controller.join(mesh.controller("c1").quic(), &init.controller_join_token)?;
    answer.refused(1, &["another cluster"])?;
    let nobody = format!("{}:{}", here.address(), here.port());
    let answer =
        Agent::new(Place::Here(here), "lost").join(std::slice::from_ref(&nobody), &init.agent_join_token)?;
    answer.refused(1, &["no controller could be asked", &nobody])?;
    ensure!(other.is_running(), "the other cluster took no harm");
    Ok(())
}

#[test]
fn folders_that_are_not_ours_to_use_are_left_alone() {
    mesh::test(|here| {
        let mut mesh = mesh_of_one(here)?;
        mesh.add_agent(Place::Here(here), "a1")?;
        let (_other, init) = another_cluster(here)?;
        a_folder_of_another_cluster(&mesh, &init)?;
        a_folder_with_other_files(&mesh, here)?;
        a_folder_in_use(&mesh)?;
        a_folder_of_a_newer_version(&mesh, here)?;
        a_taken_name_that_becomes_free(&mesh, here)?;
        mesh.all_run()
    });
}

fn a_folder_of_another_cluster(mesh: &Mesh<'_>, other: &mesh::Init) -> Result<()> {
    let (agent, controller) = (mesh.agent("a1"), mesh.controller("c1"));
    agent.stop()?;
    let answer = agent.join(&mesh.quic(), &other.agent_join_token)?;
    answer.refused(1, &["already belongs to cluster", &mesh.init().cluster_id])?;
    agent.start()?;
    controller.stop()?;
    let answer = controller.call("init", ["--name", "usurper"])?;
    answer.refused(1, &["already holds controller c1", &mesh.init().cluster_id, "nothing was changed"])?;
    let answer = controller.join("127.0.0.1:1", &other.controller_join_token)?;
    answer.refused(1, &["already holds controller c1"])?;
    controller.start()?;
    mesh.await_voters(1)
}

fn a_folder_with_other_files(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let place = Place::Here(here);
    let photos = place.make_dir("photos")?.join("holiday.jpg");
    fs::write(&photos, "mine").context("a file of somebody's")?;
    let answer = Agent::new(place, "photos").join(&mesh.quic(), &mesh.init().agent_join_token)?;
    answer.refused(1, &["holiday.jpg", "empty folder"])?;
    let answer = Controller::new(place, "photos").call("init", ["--name", "photos"])?;
    answer.refused(1, &["holiday.jpg", "empty folder"])?;
    assert_eq!(fs::read_dir(place.dir("photos"))?.count(), 1, "nothing was added");
    for binary in [
        Agent::new(place, "none").call("run", [""; 0])?,
        Controller::new(place, "none").call("run", [""; 0])?,
    ] {
        binary.refused(1, &["join"])?;
    }
    Ok(())
}

fn a_folder_in_use(mesh: &Mesh<'_>) -> Result<()> {
    mesh.agent("a1").call("run", [""; 0])?.refused(1, &["in use", "stop"])?;
    mesh.controller("c1").call("run", [""; 0])?.refused(1, &["in use", "stop"])
}

fn a_folder_of_a_newer_version(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let controller = Controller::new(Place::Here(here), "newer");
    controller.init()?;
    fs::write(controller.dir().join("VERSION"), "omni-controller 999\n")?;
    controller.call("run", [""; 0])?.refused(1, &["newer", "999"])?;
    let agent = Agent::new(Place::Here(here), "newer-agent");
    agent.join(&mesh.quic(), &mesh.init().agent_join_token)?.done()?;
    let mark = agent.dir().join("VERSION");
    let text = fs::read_to_string(&mark).context("an agent's folder says its layout")?;
    fs::write(&mark, text.replace('1', "999"))?;
    agent.call("run", [""; 0])?.refused(1, &["newer", "999"])
}

fn a_taken_name_that_becomes_free(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let second = Agent::new(Place::Here(here), "double");
    let named = |name: &str| {
        let mut args = second.join_args(&mesh.quic(), &mesh.init().agent_join_token);
        args[1] = name.to_owned();
        second.call("join", args)
    };
    named("newer-agent")?.refused(1, &["newer-agent", "name_taken"])?;
    mesh.omni().run(["hosts", "rm", "--yes", "newer-agent"])?.done()?;
    named("newer-agent")?.done().map(drop)
}

#[test]
fn a_taken_port_is_named() {
    mesh::test(|here| {
        let controller = Controller::new(Place::Here(here), "c1");
        controller.init()?;
        let taken = TcpListener::bind(controller.api())?;
        controller.call("run", [""; 0])?.refused(1, &[controller.api(), "--api-addr"])?;
        drop(taken);
        let taken = UdpSocket::bind(controller.quic())?;
        controller.call("run", [""; 0])?.refused(1, &[controller.quic(), "QUIC"])?;
        drop(taken);
        controller.start()?;
        controller.await_log("controller runs", SOON)?;
        ensure!(controller.is_running(), "with its ports free it runs");
        Ok(())
    });
}

#[test]
fn a_wrong_clock_is_named() {
    mesh::test(|here| {
        let mesh = mesh_of_one(here)?;
        for (number, shift) in ["-10m", "+10m"].into_iter().enumerate() {
            let agent = Agent::new(Place::Here(here), &format!("skewed-{number}"));
            let args = agent.join_args(&mesh.quic(), &mesh.init().agent_join_token);
            let mut command = skewed(here, shift, "omni-agent")?;
            command.args(["join", "--data-dir"]).arg(agent.dir()).args(args);
            let answer = mesh::run(command)?;
            eprintln!("{shift}: {}", answer.stderr.trim());
            answer.refused(1, &["clock"])?;

            let controller = Controller::new(Place::Here(here), &format!("skewed-controller-{number}"));
            let mut command = skewed(here, shift, "omni-controller")?;
            command.args(["join", "--data-dir"]).arg(controller.dir()).args(["--name", controller.name()]);
            command.args(["--quic-addr", controller.quic(), "--api-addr", controller.api()]);
            command.args(["--controller", mesh.controller("c1").quic()]);
            command.args(["--token", &mesh.init().controller_join_token]);
            mesh::run(command)?.refused(1, &["clock"])?;

            agent.join(&mesh.quic(), &mesh.init().agent_join_token)?.done()?;
        }
        Ok(())
    });
}

/// A program whose wall clock is wrong; its timers run as they should.
fn skewed(here: &Loopback, shift: &str, program: &str) -> Result<std::process::Command> {
    let mut command = Place::Here(here).command("faketime")?;
    command.args(["--exclude-monotonic", "-f", shift]).arg(testbed::program(program)?);
    Ok(command)
}
