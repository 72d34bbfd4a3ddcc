"""deploy/setup.sh where a mesh answers: over small stacks with strict stand-ins for omni and Docker, and the ties of the real stacks.

The stand-in for omni takes the flags that the command's sources define; that the real one reads every stack with its tie
is tested where the programs are built.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from clap_source import source, verb
from setup_place import DEADLINE, INIT, OMNI_VERBS, REPO, SIMPLE, Place

DEPLOY = "omni deploy --yes --wait=60s -f docker-compose.yml -f .mesh.json --name {0} @{0}"
# Of a store that its init script opens.
DETACHED = DEPLOY.replace("--wait=60s", "--detach")
SEALED = SIMPLE.replace("    restart", '    labels:\n      omni.quantum.setup.gate: "after-init"\n    restart')
ROWS = ("alpha", "beta", "gamma")


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.mesh()
    return place


def rows(done):
    return {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith(ROWS)}


def alone(place):
    """No stack needs another."""
    place.stacks([f"{name}\t{number}\tcompose/{name}\t-\tx" for number, name in enumerate(ROWS, 1)])


def omni_calls(place):
    return [" ".join(call["argv"]) for call in place.calls() if call["program"] == "omni"]


def test_the_sources_are_understood():
    """What the stand-in accepts is what the command defines: a few flags of each verb, and none that nobody has."""
    text = source(REPO / "cli/src/args.rs", REPO / "cli/src/args/apps.rs")
    flags = {words: verb(text, *words.split()) for words in OMNI_VERBS}
    assert flags["deploy"]["--wait"] == {"long": "--wait", "value": True, "optional": True}
    assert flags["deploy"]["-f"]["long"] == "--file" and flags["deploy"]["--detach"]["value"] is False
    assert flags["rollout watch"]["--limit"] == {"long": "--limit", "value": True}
    assert flags["stop"]["--env"]["long"] == "--env" and "--yes" not in flags["stop"]
    assert "--image" not in flags["deploy"] and flags["hosts"]["-o"]["long"] == "--output"


# --- a whole run ---------------------------------------------------------------------------------------------------


def test_omni_deploys_where_a_mesh_answers(place):
    done = place.run()
    assert "how: omni deploy, because a mesh answers; the stack omni itself with docker compose" in place.said
    assert place.changing_calls()[1:] == [DEPLOY.format(name) for name in ROWS]
    assert place.init_log() == ["alpha init", "beta init"]
    assert all("deploy health" in row and " done " in row for row in rows(done).values())
    before = place.tree()
    place.forget_calls()
    assert place.run().stdout.count("unchanged") == 3
    assert place.tree() == before and place.changing_calls() == []


@pytest.mark.parametrize("folder", ["target/release", "target/debug"])
def test_an_omni_that_was_built_here_will_do(place, folder):
    (place.root / folder).mkdir(parents=True)
    (place.bin / "omni").rename(place.root / folder / "omni")
    place.run("--only", "alpha")
    assert DEPLOY.format("alpha") in place.changing_calls()


@pytest.mark.parametrize(("mesh", "reason"), [("no-verb", "has no such verb"), ("no-answer", "no mesh answers 'omni status'")])
def test_plain_compose_where_none_does(place, mesh, reason):
    place.wish(mesh=mesh)
    place.run()
    assert reason in place.said
    assert "docker compose up -d --remove-orphans @alpha" in place.changing_calls()


def test_compose_can_be_asked_for(place):
    place.run(OMNI_SETUP_PLAIN="1")
    assert "OMNI_SETUP_PLAIN is set" in place.said
    assert "docker compose up -d --remove-orphans @alpha" in place.changing_calls()


def test_omni_itself_is_never_deployed_by_omni_and_left_alone_beside_another_mesh(place):
    place.stacks(["omni\t37\tcompose/omni\t-\tx", "gamma\t3\tcompose/gamma\tomni\tx"])
    place.write("compose/omni/docker-compose.yml", SIMPLE.format(name="omni"))
    done = place.run()
    assert "left to the mesh that answers" in done.stdout
    assert not any(call.endswith("@omni") for call in place.changing_calls())
    place.run("--only", "omni")
    assert "docker compose up -d --remove-orphans @omni" in place.changing_calls()


# --- the tie to this machine --------------------------------------------------------------------------------------


def test_a_stack_is_tied_to_this_machine_and_its_files(place):
    place.run("--only", "alpha")
    tie = json.loads((place.root / "compose/alpha/.mesh.json").read_text())["services"]
    folder = str(place.root / "compose/alpha")
    assert tie["alpha"]["deploy"]["placement"] == {"constraints": ["node.hostname == h1"]}
    assert [(mount["source"], mount["target"], mount["read_only"]) for mount in tie["alpha"]["volumes"]] == [
        (f"{folder}/data/alpha", "/var/lib/alpha", False), (f"{folder}/config/alpha.conf", "/etc/alpha.conf", True),
    ]
    # A one-shot job runs again when the stack's files change, as under compose; the others do not have to.
    assert "labels" in tie["migrate"] and "labels" not in tie["alpha"] and "volumes" not in tie["migrate"]
    before = tie["migrate"]["labels"]
    place.write("compose/alpha/config/alpha.conf", "two\n")
    place.run("--only", "alpha")
    assert json.loads((place.root / "compose/alpha/.mesh.json").read_text())["services"]["migrate"]["labels"] != before


def test_a_folder_with_a_dollar_sign_is_that_folder(tmp_path):
    place = Place(tmp_path / "a $HOME")
    place.mesh()
    place.run("--only", "alpha")
    tie = json.loads((place.root / "compose/alpha/.mesh.json").read_text())["services"]
    assert tie["alpha"]["volumes"][0]["source"] == str(place.root / "compose/alpha/data/alpha").replace("$", "$$")


def test_a_folder_that_is_mounted_and_not_there_is_made(place):
    text = SIMPLE.format(name="gamma").replace("    restart", "    volumes:\n      - ./secrets/server:/tls:ro\n    restart")
    place.write("compose/gamma/docker-compose.yml", text)
    place.run()
    folder = place.root / "compose/gamma/secrets/server"
    assert folder.stat().st_mode & 0o777 == 0o755 and folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_mounted_and_not_there_is_named(place):
    (place.root / "compose/alpha/config/alpha.conf").unlink()
    place.run("--only", "alpha", rc=1)
    assert "compose/alpha/config/alpha.conf is mounted by alpha and does not exist" in place.said


def test_a_changed_secret_travels(place):
    place.run("--only", "alpha")
    place.forget_calls()
    secret = place.root / "compose/alpha/secrets/alpha_password"
    secret.chmod(0o644)
    secret.write_text("another")
    place.run("--only", "alpha")
    assert place.changing_calls() == [DEPLOY.format("alpha")]


def test_images_are_here_before_omni_is_asked(place):
    place.write("compose/gamma/docker-compose.yml", SIMPLE.format(name="gamma").replace("    restart", "    build: .\n    restart"))
    place.run()
    calls = [f"{call['program']} {' '.join(call['argv'])}" for call in place.calls()]
    pulls = [call for call in calls if call.startswith("docker pull")]
    assert pulls == ["docker pull example/alpha:1.0", "docker pull example/beta:1.0"]
    build, deploy = calls.index("docker compose build"), calls.index(DEPLOY.format("gamma").split(" @")[0])
    assert calls.index(pulls[1]) < build < deploy


def test_an_image_that_cannot_be_had_holds_back_only_what_needs_it(place):
    alone(place)
    place.wish(mesh="ok", pull_fails={"example/beta:1.0": "dial tcp: lookup registry.test: no such host"})
    done = place.run(rc=1)
    assert "is the registry reachable from here?" in place.said
    assert [" done " in rows(done)[name] for name in ROWS] == [True, False, True]
    assert DEPLOY.format("beta") not in place.changing_calls()


# --- which host this machine is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({}, "the mesh has no host that is this machine"),
        ({"h1": {"hostname": "elsewhere"}}, "the mesh has no host that is this machine"),
        ({"h1": {"booted": 3600}}, "the mesh has no host that is this machine"),
        ({"h1": {}, "h2": {}}, "several hosts of the mesh are this machine (h1 h2): name one with OMNI_SETUP_HOST"),
    ],
)
def test_a_mesh_without_this_machine(place, hosts, expected):
    place.wish(mesh="ok", hosts=hosts)
    done = place.run(rc=1)
    assert expected in place.said
    assert "no host" in rows(done)["alpha"] and place.changing_calls()[1:] == []


def test_the_host_can_be_named(place):
    place.wish(mesh="ok", hosts={"h1": {"hostname": "elsewhere"}, "h2": {}})
    place.run("--only", "alpha", OMNI_SETUP_HOST="h1")
    assert DEPLOY.format("alpha") in place.changing_calls()
    place.run("--only", "alpha", rc=1, OMNI_SETUP_HOST="h3")
    assert "the mesh has no host h3, which OMNI_SETUP_HOST names" in place.said


# --- what was there before -----------------------------------------------------------------------------------------


def test_what_runs_under_compose_stays_there_until_it_is_moved(place):
    (place.bin / "omni").rename(place.bin / "omni.away")
    place.run()
    (place.bin / "omni.away").rename(place.bin / "omni")
    place.forget_calls()
    assert place.run().stdout.count("unchanged") == 3
    assert "there is no omni adopt yet" in place.said and "deploy/setup.sh --only alpha --down" in place.said
    place.write("compose/gamma/docker-compose.yml", SIMPLE.format(name="gamma") + "# changed\n")
    place.run()
    assert place.changing_calls() == ["docker compose up -d --remove-orphans @gamma"]
    place.run("--check")
    place.run("--down")
    place.forget_calls()
    place.run()
    assert place.changing_calls() == [DEPLOY.format(name) for name in ROWS]


@pytest.mark.parametrize(
    ("wish", "env", "reason"),
    [({"mesh": "no-answer"}, {}, "no mesh answers"), ({"mesh": "ok"}, {"OMNI_SETUP_PLAIN": "1"}, "OMNI_SETUP_PLAIN is set")],
)
def test_what_omni_deployed_is_never_touched_by_compose(place, wish, env, reason):
    alone(place)
    place.run("--only", "alpha")
    place.forget_calls()
    place.wish(**wish)
    done = place.run(rc=1, **env)
    assert "alpha is deployed by omni, and compose must not touch it" in place.said and reason in place.said
    assert [call[-5:] for call in place.changing_calls()] == ["@beta", "gamma"]
    assert "deployed by omni" in rows(done)["alpha"] and " done " in rows(done)["beta"]
    for mode in ("--check", "--down"):
        place.forget_calls()
        place.run(mode, "--only", "alpha", rc=1, **env)
        assert "alpha is deployed by omni" in place.said and place.changing_calls() == []


def test_an_app_keeps_its_environment(place):
    place.run("--only", "alpha", OMNI_ENV="prod")
    place.write("compose/alpha/config/alpha.conf", "two\n")
    place.forget_calls()
    place.run("--only", "alpha")
    assert place.changing_calls() == [DEPLOY.format("alpha")]
    containers = json.loads((place.fake / "state.json").read_text())["containers"]
    assert {container["labels"]["omni.environment"] for container in containers.values()} == {"prod"}


def test_containers_of_another_app(place):
    place.run("--only", "alpha")
    state = json.loads((place.fake / "state.json").read_text())
    for container in state["containers"].values():
        container["labels"]["omni.app"] = "mine"
    (place.fake / "state.json").write_text(json.dumps(state))
    place.run("--only", "alpha", rc=1)
    assert "the containers of alpha belong to default/mine, another app of omni" in place.said


def test_an_app_of_another_host_is_not_taken_away(place):
    alone(place)
    other = {"status": "healthy", "release": 1, "allocations": [{"run": True, "host_name": "h2", "release": 1, "state": "healthy"}], "volumes": []}
    place.wish(mesh="ok", knows={"beta": other})
    done = place.run(rc=1)
    assert "omni runs beta on h2 already, and would take it away from there" in place.said
    assert [" done " in rows(done)[name] for name in ROWS] == [True, False, True]
    place.run("--down", rc=1)
    assert "omni runs beta on h2: omni stop beta stops it there" in place.said


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_viewer_cannot_deploy(place):
    place.wish(mesh="ok", role="viewer")
    place.run(rc=1)
    assert "this needs the role operator, the token has viewer (ask an admin for a token with that role)" in place.said
    assert "omni refuses, see above. Deploying takes a token of the role operator" in place.said
    assert "beta is not begun, because it needs alpha" in place.said
    assert not any("pull" in call["argv"] for call in place.calls())


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (1, "the deployment of default/beta failed: no such flag", "beta did not start, see above; omni apps show beta"),
        (1, "the image example/beta:1.0 cannot be pulled: manifest unknown", "does not exist under the pinned name"),
        (1, "the name omni-beta is taken by a container that this agent did not make", "belongs to another project"),
        (2, "docker-compose.yml:3:1: services.beta.models: refused", "omni does not accept the stack beta as it is"),
        (4, "default/beta has changed meanwhile", "if somebody else was changing beta, run this again"),
        (5, "no controller is reachable", "no controller answers any more"),
        (6, "gave up after 60s: the deployment of default/beta goes on", "omni goes on with it: omni rollout watch beta"),
    ],
)
def test_a_deploy_that_fails_is_explained(place, code, text, expected):
    alone(place)
    place.wish(mesh="ok", deploy={"beta": [code, text]})
    place.run("--only", "beta", rc=1)
    assert text in place.said and expected in place.said


def test_a_deploy_that_fails_holds_back_only_what_needs_it_and_goes_on_there(place):
    alone(place)
    place.wish(mesh="ok", deploy={"beta": [6, "gave up after 60s"]})
    done = place.run(rc=1)
    assert [" done " in rows(done)[name] for name in ROWS] == [True, False, True]
    place.wish(mesh="ok")
    place.forget_calls()
    place.run()
    assert place.changing_calls() == [DEPLOY.format("beta")]


def test_what_would_wait_is_not_begun(place):
    alone(place)
    place.wish(mesh="ok", waits={"beta": ["wait beta#0: needs 100.0 GiB of memory, 23.5 GiB is free; nearest is h1"]})
    done = place.run(rc=1)
    assert "beta: omni would wait beta#0: needs 100.0 GiB of memory" in place.said
    assert DEPLOY.format("beta") not in place.changing_calls() and " done " in rows(done)["gamma"]


def test_an_engine_that_is_not_the_hosts(place):
    """omni says that it runs, and the engine that was asked has nothing of it."""
    place.wish(mesh="ok", hosts={"h9": {}})
    place.run("--only", "alpha", rc=1)
    assert "omni runs alpha on h9, and the Docker engine here has none of its containers" in place.said


# --- stores that the init script opens ------------------------------------------------------------------------------


def sealed(place, **wishes):
    place.stacks(["gamma\t3\tcompose/gamma\t-\tx"])
    place.write("compose/gamma/docker-compose.yml", SEALED.format(name="gamma"))
    place.write("compose/gamma/scripts/init.sh", INIT.format(name="gamma"))
    place.wish(mesh="ok", containers={"omni-gamma": {"health": "sealed"}}, **wishes)


def test_what_waits_for_its_init_script_is_not_waited_for_before_it(place):
    sealed(place)
    place.run()
    assert place.init_log() == ["gamma init"]
    assert place.changing_calls()[1:] == [DETACHED.format("gamma")]
    assert omni_calls(place)[-1] == "rollout watch gamma --limit 60s"


def test_its_init_script_meets_the_new_containers_and_not_the_old(place):
    """An update is waited for as far as that: until nothing of the release before is left."""
    sealed(place, replaces_after=2)
    place.run()
    shown = [call for call in omni_calls(place) if call.startswith("-o json apps show")]
    assert len(shown) == 4  # before the deploy, twice still the old one, then the new one
    assert place.init_log() == ["gamma init"]


def test_a_deployment_that_was_given_up_meanwhile(place):
    sealed(place, watch={"gamma": [1, "the deployment failed: it did not become healthy in time"]})
    place.run(rc=1)
    assert "omni gave up the deployment of gamma, see above" in place.said
    place.forget_calls()
    sealed(place)
    place.run()
    assert place.changing_calls() == [DETACHED.format("gamma")]
    sealed(place, watch={"gamma": [6, "gave up after 60s"]})
    place.write("compose/gamma/scripts/init.sh", INIT.format(name="gamma") + "# changed\n")
    place.run(rc=1)
    assert "omni rollout watch gamma" in place.said


# --- any host ---------------------------------------------------------------------------------------------------------


def test_a_stack_may_be_left_to_omni_to_place(place):
    alone(place)
    place.wish(mesh="ok", place={"beta": "h2"})
    done = place.run(OMNI_SETUP_SPREAD="beta")
    assert f"omni deploy --yes --wait=60s -f docker-compose.yml --root {place.root} --name beta @beta" in place.changing_calls()
    assert place.init_log() == ["alpha init"] and " done " in rows(done)["beta"]
    assert "omni put it on h2; compose/beta/scripts/init.sh was not run" in place.said
    assert not (place.root / "compose/beta/.mesh.json").exists()
    place.forget_calls()
    assert place.run(OMNI_SETUP_SPREAD="beta").stdout.count("unchanged") == 3
    assert "as it should be" in rows(place.run("--check", OMNI_SETUP_SPREAD="beta"))["beta"]
    # Without the variable it would be taken from there.
    place.run(rc=1)
    assert "omni runs beta on h2 already" in place.said


def test_data_does_not_change_places_unnoticed(place):
    place.run("--only", "alpha")
    place.write("compose/alpha/config/alpha.conf", "two\n")
    place.run("--only", "alpha", rc=1, OMNI_SETUP_SPREAD="alpha")
    assert "alpha was deployed before without OMNI_SETUP_SPREAD=alpha and has its data from then" in place.said


@pytest.mark.parametrize(
    ("text", "reason"),
    [(SEALED, "its containers wait for its init script"), (SIMPLE.replace("    restart", "    build: .\n    restart"), "its image is built on this machine")],
)
def test_what_cannot_be_spread(place, text, reason):
    place.stacks(["gamma\t3\tcompose/gamma\t-\tx"])
    place.write("compose/gamma/docker-compose.yml", text.format(name="gamma"))
    place.run(rc=1, OMNI_SETUP_SPREAD="gamma")
    assert "gamma cannot be spread" in place.said and reason in place.said


def test_a_slip_in_what_is_spread(place):
    place.run(rc=2, OMNI_SETUP_SPREAD="alhpa")
    assert "OMNI_SETUP_SPREAD: there is no stack 'alhpa'; did you mean alpha?" in place.said


# --- dry run, check, down -----------------------------------------------------------------------------------------------


def test_a_dry_run_says_who_would_start_it_and_where(place):
    before = place.tree()
    done = place.run("--dry-run")
    assert place.tree() == before and place.changing_calls() == []
    assert "how: omni deploy, because a mesh answers" in done.stdout
    assert done.stdout.count("deploy on h1: ") == 3
    place.wish(mesh="no-answer")
    assert "deploy on" not in place.run("--dry-run").stdout


def test_check_asks_omni_as_well(place):
    place.run()
    before = place.tree()
    place.forget_calls()
    assert place.run("--check").stdout.count("as it should be") == 3
    assert place.tree() == before and place.changing_calls() == []
    state = json.loads((place.fake / "state.json").read_text())
    state["apps"]["beta"] |= {"status": "degraded", "groups": [{"waiting": ["it failed once"]}]}
    del state["apps"]["gamma"]
    (place.fake / "state.json").write_text(json.dumps(state))
    place.run("--check", rc=1)
    assert "omni says that beta is degraded: it failed once" in place.said and "omni knows no app gamma" in place.said


def test_down_stops_the_apps_in_reverse_and_keeps_data(place):
    place.run()
    kept = place.tree(without=(".omni",))
    place.forget_calls()
    done = place.run("--down")
    here = Path.cwd().name
    assert place.changing_calls() == [f"omni stop {name} --wait=60s @{here}" for name in reversed(ROWS)]
    assert place.tree(without=(".omni",)) == kept and done.stdout.count("stopped") == 3
    place.forget_calls()
    place.run(OMNI_SETUP_PLAIN="1")
    assert "docker compose up -d --remove-orphans @alpha" in place.changing_calls()


def test_no_secret_is_in_a_log(place):
    place.run()
    values = place.env_of("alpha")
    logs = "".join(path.read_text() for path in (place.root / ".omni").rglob("*") if path.is_file())
    tie = (place.root / "compose/alpha/.mesh.json").read_text()
    for name in ("ALPHA_KEY", "ALPHA_SALT", "ALPHA_PASSWORD"):
        assert values[name] not in place.said + logs + tie


# --- the real stacks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", [path.parent.name for path in sorted(REPO.glob("compose/*/docker-compose.yml")) if path.parent.name != "omni"])
def test_the_tie_of_a_real_stack_leaves_nothing_beside_its_compose_file(stack, tmp_path, compose_v5):
    """Compose merges the two files as omni does: every mount is then a path of the host, and every service is tied."""
    copy = tmp_path / "repo"
    ignore = shutil.ignore_patterns("data", ".env", "node_modules", "__pycache__")
    shutil.copytree(REPO / "deploy", copy / "deploy")
    shutil.copytree(REPO / "compose", copy / "compose", ignore=ignore)
    for name in ("alerts", "dashboards"):
        (copy / name).mkdir()
    folder = copy / "compose" / stack
    if (folder / "scripts/prepare.sh").exists():
        # What it makes; it would ask a forge.
        (folder / "secrets").mkdir()
        (folder / "secrets/registry.htpasswd").touch()
    script = """
      . deploy/lib.sh; fault() { echo "$*" >&2; }; DRY=
      for part in stacks env engine mesh steps; do . "deploy/platform/$part.sh"; done
      read_stacks; MESH_HOST=web-1; make_folders "$1"; tie "$1" abc"""
    done = subprocess.run(["bash", "-c", script, "tie", stack], cwd=copy, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    # Values that only a person can give are of no interest to a mount.
    names = [line.split("=")[0] for line in (folder / ".env.example").read_text().splitlines() if "=" in line and not line.startswith("#")]
    (folder / ".env").write_text("".join(f"{name}=x\n" for name in names if name.endswith(("HOST", "_URL", "TOKEN", "KEYHOLDERS"))))
    read = subprocess.run(
        [compose_v5, "-f", "docker-compose.yml", "-f", ".mesh.json", "--profile", "*", "config", "--no-interpolate", "--no-path-resolution"],
        cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )
    assert read.returncode == 0, read.stderr
    for name, service in yaml.safe_load(read.stdout)["services"].items():
        assert service["deploy"]["placement"]["constraints"] == ["node.hostname == web-1"], name
        for volume in service.get("volumes", []):
            mounted = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            assert mounted.startswith("/") or isinstance(volume, dict) and volume["type"] != "bind", f"{name}: {mounted}"
