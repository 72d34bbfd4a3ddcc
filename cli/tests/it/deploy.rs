//! `omni deploy`, from a real folder to a fake controller.

use crate::apps::calls;
use crate::fake::{Run, World};
use omni_common::api::v1::{AppView, DeployPlan, ProjectReading};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A folder of that name with a compose file, inside of one that is removed afterwards.
struct Folder {
    _above: TempDir,
    path: PathBuf,
}

impl Folder {
    fn new(name: &str, compose: &str) -> Self {
        let above = tempfile::tempdir().expect("a folder");
        let path = above.path().join(name);
        fs::create_dir(&path).expect("made");
        let folder = Self { _above: above, path };
        folder.write("compose.yaml", compose);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).expect("written");
    }

    fn command(&self, world: &World, line: &str) -> Command {
        let args: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
        let mut command = world.command(&args);
        command.current_dir(&self.path);
        command
    }

    fn omni(&self, world: &World, line: &str) -> Run {
        world.run(&mut self.command(world, line))
    }
}

const COMPOSE: &str =
    "services:\n  web:\n    image: shop:${TAG:-2}\n    volumes: [./app.conf:/etc/app.conf:ro]\n";

fn shop() -> Folder {
    let folder = Folder::new("shop", COMPOSE);
    folder.write("app.conf", "listen 80\n");
    folder
}

/// The body of the last call to this path.
fn body(world: &World, call: &str) -> Value {
    let made = calls(world);
    let (_, body) = made.iter().rev().find(|(made, _)| made == call).expect("it was called");
    serde_json::from_str(body).expect("JSON")
}

fn check(name: &str, world: &World, run: &Run) {
    insta::assert_snapshot!(name.to_owned(), world.stable(&run.transcript()));
}

#[test]
fn files_are_packed_as_a_controller_asks_for_them() {
    let (world, folder) = (World::new(), shop());
    folder.write(".env", "FROM_SHELL=${TAG}\n");
    let mut command =
        folder.command(&world, "deploy --yes --set MODE=fast --profile debug --note why --source here");
    let run = world.run(command.env("TAG", "7").env("NOT_MENTIONED", "secret"));
    assert_eq!(run.code, 0, "{}", run.transcript());
    let paths: Vec<String> = calls(&world).into_iter().map(|(call, _)| call).collect();
    let read = "POST /api/v1/apps/read";
    assert_eq!(paths, [read, read, "POST /api/v1/apps/plan", "POST /api/v1/apps"]);
    let sent = body(&world, "POST /api/v1/apps");
    let project = &sent["project"];
    assert_eq!(project["compose"], serde_json::json!(["shop/compose.yaml"]));
    let files: Vec<&String> = project["files"].as_object().expect("files").keys().collect();
    assert_eq!(files, ["shop/.env", "shop/app.conf", "shop/compose.yaml"]);
    assert_eq!(project["variables"], serde_json::json!({"MODE": "fast", "TAG": "7"}));
    assert_eq!(project["profiles"], serde_json::json!(["debug"]));
    assert_eq!(
        (&sent["environment"], &sent["note"], &sent["source"]),
        (&"default".into(), &"why".into(), &"here".into())
    );
    assert_eq!(body(&world, read), serde_json::json!({"project": project, "environment": "default"}));
}

#[test]
fn a_deployment_is_followed_to_its_end() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy --yes --wait");
    assert_eq!(run.code, 0, "{}", run.transcript());
    check("deploy-followed", &world, &run);
    let app = folder.omni(&world, "deploy --yes --wait -o json").json::<AppView>();
    assert_eq!((app.name.as_str(), app.release), ("shop", 2));
}

#[test]
fn without_a_terminal_it_begins_and_says_how_to_follow() {
    let (world, folder) = (World::new(), Folder::new("fresh", COMPOSE));
    folder.write("app.conf", "");
    check("deploy-detached", &world, &folder.omni(&world, "deploy --yes -e staging"));
    let run = world.omni("rollout watch staging/fresh");
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(run.err.ends_with("staging/fresh is at release 2: 2 of 2 healthy.\n"), "{}", run.err);
}

#[test]
fn a_release_that_does_not_come_up_fails_with_the_containers_last_lines() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy --yes --wait --name bad");
    assert_eq!(run.code, 1, "{}", run.transcript());
    check("deploy-failed", &world, &run);
}

#[test]
fn waiting_has_an_end() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy --yes --wait=0s --name slow");
    assert_eq!(run.code, 6, "{}", run.transcript());
    assert!(run.err.contains("`omni rollout watch default/slow` follows it"), "{}", run.err);
}

#[test]
fn a_plan_changes_nothing_and_its_exit_code_says_whether_something_would() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy --plan");
    assert_eq!(run.code, 10, "{}", run.transcript());
    check("deploy-plan", &world, &run);
    let run = folder.omni(&world, "deploy --plan -o json");
    assert_eq!(run.code, 10);
    let plan: DeployPlan = serde_json::from_str(&run.out).expect("JSON of the expected shape");
    assert_eq!(plan.revision, 17);
    check("deploy-plan-same", &world, &folder.omni(&world, "deploy --plan --name same"));
    check("deploy-same", &world, &folder.omni(&world, "deploy --yes --name same"));
    assert!(calls(&world).iter().all(|(call, _)| call != "POST /api/v1/apps"));
}

#[test]
fn it_asks_first_and_without_a_terminal_it_refuses() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy");
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("place default/shop/main[0]") && run.err.contains("--yes"), "{}", run.err);
    assert!(calls(&world).iter().all(|(call, _)| call != "POST /api/v1/apps"));
}

#[test]
fn a_check_prints_what_the_files_come_to() {
    let (world, folder) = (World::new(), shop());
    let run = folder.omni(&world, "deploy --check");
    assert_eq!(run.code, 0, "{}", run.transcript());
    check("deploy-check", &world, &run);
    let reading = folder.omni(&world, "deploy --check -o json").json::<ProjectReading>();
    assert_eq!(reading.name, "shop");
}

#[test]
fn faults_are_told_where_they_can_be_opened() {
    let world = World::new();
    let folder = Folder::new("shop", "services:\n  web:\n    imagee: shop:2\n");
    let run = folder.omni(&world, "deploy --check");
    assert_eq!(run.code, 2);
    check("deploy-faults", &world, &run);
    let above = folder.path.parent().expect("it is inside");
    let run = world.run(world.command(&["deploy", "--plan", "shop"]).current_dir(above));
    assert!(run.err.contains("\n  shop/compose.yaml:3:5: services.web.imagee"), "{}", run.err);
}

#[test]
fn a_folder_that_cannot_be_deployed_is_bad_usage() {
    let world = World::new();
    let folder = Folder::new("shop", COMPOSE);
    folder.write("other.yaml", "include: [more.yml]\n");
    let empty = tempfile::tempdir().expect("a folder");
    let nowhere = world.run(world.command(&["deploy", "--check", "."]).current_dir(empty.path()));
    assert_eq!(nowhere.code, 2, "{}", nowhere.transcript());
    for (line, told) in [
        ("deploy --check nothing.yaml", "there is no file"),
        ("deploy --check -f other.yaml", "more.yml, which is not there"),
        ("deploy --check --set TAG", "`--set KEY=value`"),
        ("deploy --check --plan", "cannot be used with"),
        ("deploy --wait --detach", "cannot be used with"),
    ] {
        let run = folder.omni(&world, line);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "omni {line}: {}", run.transcript());
        assert!(run.err.contains(told), "omni {line}: {}", run.err);
    }
    folder.write("compose.yaml", "x: ../beside");
    let run = folder.omni(&world, "deploy --check");
    assert!(run.err.contains("is outside of") && run.err.contains("--root"), "{}", run.err);
    assert_eq!(
        folder.omni(&world, "deploy --check --root ..").code,
        0,
        "nothing is there, and a mount may be"
    );
}

#[test]
fn the_commit_of_the_folder_is_its_source() {
    let (world, folder) = (World::new(), shop());
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(args)
            .current_dir(&folder.path);
        command.output().is_ok_and(|output| output.status.success())
    };
    assert!(git(&["init", "-q"]), "Git is there where the tests run");
    let source = || {
        let run = world.run(folder.command(&world, "deploy --yes").env("PATH", PATH));
        assert_eq!(run.code, 0, "{}", run.transcript());
        body(&world, "POST /api/v1/apps")["source"].as_str().map(str::to_owned)
    };
    assert_eq!(source(), None, "no commit yet");
    assert!(git(&["add", "."]) && git(&["commit", "-qm", "first"]));
    let clean = source().expect("a commit");
    assert!(clean.starts_with("git ") && clean.len() == 16, "{clean}");
    folder.write("app.conf", "listen 81\n");
    assert_eq!(source(), Some(format!("{clean}-dirty")));
}

/// Where Git is; the command's own environment is empty.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
