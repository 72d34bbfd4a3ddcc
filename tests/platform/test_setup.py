"""deploy/setup.sh over small stacks with a strict stand-in for Docker, and dry over the real ones."""

import base64
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from setup_place import ALPHA, DEADLINE, INIT, REPO, SIMPLE, Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# --- a whole run ---------------------------------------------------------------------------------------------------


def test_everything_is_made_started_and_initialised_in_order(place):
    done = place.run()
    assert place.changing_calls() == [
        "docker network create --label omni.quantum.network=platform omni-quantum-network @" + Path.cwd().name,
        "docker compose up -d --remove-orphans @alpha",
        "docker compose up -d --remove-orphans @beta",
        "docker compose up -d --remove-orphans @gamma",
    ]
    assert place.init_log() == ["alpha init", "beta init"]
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("alpha", "beta", "gamma"))]
    assert [row[0] for row in rows] == ["alpha", "beta", "gamma"]
    assert all("done" in row for row in rows)
    assert f"127.0.0.1:{place.port}" in done.stdout
    assert "docker compose, on engine 26.1.5" in done.stderr and "no omni command" in done.stderr


def test_secrets_are_as_long_as_asked_all_different_and_never_printed(place):
    place.run()
    values = place.env_of("alpha")
    assert re.fullmatch("[0-9a-f]{32}", values["ALPHA_KEY"])
    assert len(base64.b64decode(values["ALPHA_SALT"], validate=True)) == 32
    assert re.fullmatch("[A-Za-z0-9]{24}", values["ALPHA_PASSWORD"])
    assert values["PLAIN"] == "as it is"
    assert place.env_of("beta")["BETA_ALPHA_KEY"] == values["ALPHA_KEY"]
    secrets = [values[name] for name in ("ALPHA_KEY", "ALPHA_SALT", "ALPHA_PASSWORD")]
    logs = "".join(path.read_text() for path in (place.root / ".omni").rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in place.said and secret not in logs
        assert not any(secret in word for call in place.calls() for word in call["argv"])
    assert (place.root / "compose/alpha/secrets/alpha_password").read_text() == values["ALPHA_PASSWORD"]


def test_two_set_ups_share_no_secret(tmp_path):
    first, second = Place(tmp_path / "1"), Place(tmp_path / "2")
    first.run()
    second.run()
    for name in ("ALPHA_KEY", "ALPHA_SALT", "ALPHA_PASSWORD"):
        assert first.env_of("alpha")[name] != second.env_of("alpha")[name]


def test_random_values_use_their_whole_alphabet(place):
    place.write("compose/alpha/.env.example", "#: generate password 4000\nLONG=\n#: generate hex 4000\nHEX=\nALPHA_PASSWORD=x\n")
    place.run("--only", "alpha")
    values = place.env_of("alpha")
    assert len(set(values["LONG"])) == 62 and len(set(values["HEX"])) == 16
    assert max(values["LONG"].count(letter) for letter in set(values["LONG"])) < 130  # 65 expected


def test_modes_are_safe(place):
    os.umask(0o022)
    place.run()

    def mode(path):
        return stat.S_IMODE((place.root / path).stat().st_mode)

    assert mode("compose/alpha/.env") == 0o600
    assert mode("compose/alpha/secrets") == 0o700
    assert mode("compose/alpha/secrets/alpha_password") == 0o444
    assert mode("compose/alpha/data/alpha") == 0o750
    assert mode(".omni") == 0o700
    assert not (place.root / "compose/alpha/data/extra").exists(), "its profile is not active"


def test_a_profile_of_the_env_file_is_active(place):
    place.write("compose/alpha/.env", "COMPOSE_PROFILES=extra\n")
    place.run("--only", "alpha")
    assert (place.root / "compose/alpha/data/extra").is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_belongs_to_the_user_of_its_container(place):
    path = place.root / "compose/alpha/docker-compose.yml"
    path.write_text(path.read_text().replace(f'user: "{os.getuid()}:{os.getgid()}"', 'user: "65534"'))
    place.run("--only", "alpha")
    status = (place.root / "compose/alpha/data/alpha").stat()
    assert (status.st_uid, status.st_gid) == (65534, 65534)


def test_a_second_run_changes_nothing(place):
    place.run()
    before = place.tree()
    place.forget_calls()
    log = place.init_log()
    done = place.run()
    assert place.tree() == before
    assert place.changing_calls() == []
    assert place.init_log() == log
    assert done.stdout.count("unchanged") == 3


def test_a_changed_stack_alone_is_done_anew(place):
    place.run()
    place.write("compose/alpha/config/alpha.conf", "two\n")
    place.forget_calls()
    done = place.run()
    assert place.changing_calls() == ["docker compose up -d --remove-orphans @alpha"]
    assert place.init_log() == ["alpha init", "beta init", "alpha init"]
    assert done.stdout.count("unchanged") == 2


def test_a_container_that_is_gone_is_brought_back(place):
    place.run()
    state = json.loads((place.fake / "state.json").read_text())
    del state["containers"]["omni-beta"]
    (place.fake / "state.json").write_text(json.dumps(state))
    place.forget_calls()
    place.run()
    assert place.changing_calls() == ["docker compose up -d --remove-orphans @beta"]


def test_files_that_an_init_script_writes_are_no_change(place):
    place.write("compose/alpha/scripts/init.sh", INIT.format(name="alpha") + "date +%s%N >config/made\n")
    place.run()
    assert place.run().stdout.count("unchanged") == 3


def test_a_stack_with_images_of_its_own_is_built(place):
    place.write("compose/gamma/docker-compose.yml", SIMPLE.format(name="gamma").replace("    restart", "    build: .\n    restart"))
    place.run()
    assert "docker compose up -d --build --remove-orphans @gamma" in place.changing_calls()


# --- choosing -----------------------------------------------------------------------------------------------------


def test_only_brings_what_is_needed(place):
    done = place.run("--only", "beta")
    assert [call[-6:] for call in place.changing_calls()[1:]] == ["@alpha", " @beta"]
    assert "gamma" not in done.stdout


def test_skip_leaves_out_and_says_who_wanted_it(place):
    place.run("--skip=alpha,gamma")
    assert [call[-5:] for call in place.changing_calls()[1:]] == ["@beta"]
    assert "beta needs alpha, which is left out by --skip" in place.said
    # Its value is the same as over there all the same.
    assert place.env_of("beta")["BETA_ALPHA_KEY"] == place.env_of("alpha")["ALPHA_KEY"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--only", "alhpa"], "there is no stack 'alhpa'; did you mean alpha?"),
        (["--skip", "gam"], "did you mean gamma?"),
        (["--only", "zzzzzzzz"], "there is no stack 'zzzzzzzz' (stacks: alpha beta gamma)"),
        (["--only"], "--only wants names"),
        (["--only", "a b"], "--only wants names"),
        (["--frobnicate"], "'--frobnicate' is not understood"),
        (["--check", "--down"], "cannot be had together"),
        (["--only", "alpha", "--skip", "alpha"], "nothing is left"),
    ],
)
def test_a_command_line_that_makes_no_sense(place, arguments, expected):
    place.run(*arguments, rc=2)
    assert expected in place.said
    assert place.calls() == []


def test_help_tells_every_flag(place):
    said = place.run("--help").stdout
    for flag in ("--only", "--skip", "--dry-run", "--check", "--down"):
        assert flag in said


def test_a_cycle_is_shown(place):
    place.stacks(["alpha\t1\tcompose/alpha\tgamma\tx", "beta\t2\tcompose/beta\talpha\tx", "gamma\t3\tcompose/gamma\tbeta\tx"])
    place.run(rc=1)
    assert "alpha -> gamma -> beta -> alpha" in place.said


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("delta\t4\tcompose/delta\talfa\tx", "delta needs 'alfa', which is no stack; did you mean alpha?"),
        ("delta\t4\tcompose/delta", "line 5 has fewer than five columns"),
        ("Delta!\t4\tcompose/delta\t-\tx", "line 5: 'Delta!' is no stack name"),
        ("alpha\t4\tcompose/alpha\t-\tx", "line 5: the stack alpha is listed twice"),
        ("delta\t4\tcompose/delta\t-\tx", "the stack delta has no compose/delta/docker-compose.yml"),
    ],
)
def test_a_bad_list_of_stacks(place, line, expected):
    path = place.root / "compose/stacks.tsv"
    path.write_text(path.read_text() + line + "\n")
    place.run("--dry-run", rc=1)
    assert expected in place.said


# --- .env files ---------------------------------------------------------------------------------------------------


def test_a_value_that_is_there_is_never_changed(place):
    place.write("compose/alpha/.env", "# mine\nALPHA_KEY='my own $ecret'\nMINE=1\nALPHA_PASSWORD=\n").chmod(0o644)
    place.run()
    text = (place.root / "compose/alpha/.env").read_text()
    assert text.startswith("# mine\nALPHA_KEY='my own $ecret'\nMINE=1\nALPHA_PASSWORD=")
    values = place.env_of("alpha")
    assert len(values["ALPHA_PASSWORD"]) == 24 and len(values["ALPHA_SALT"]) == 44
    assert stat.S_IMODE((place.root / "compose/alpha/.env").stat().st_mode) == 0o600
    assert place.env_of("beta")["BETA_ALPHA_KEY"] == "'my own $ecret'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PLAIN=x\nALPHA_SA", "compose/alpha/.env, line 2, is not NAME=value"),
        ("PLAIN=x\nhunter2secret\n", "compose/alpha/.env, line 2, is not NAME=value"),
        ("ALPHA_KEY=a\nPLAIN=x\nALPHA_KEY=b\n", "sets ALPHA_KEY twice, in lines 1 and 3"),
        ("PLAIN=x\nALPHA_KEY=0123", "ends in the middle of ALPHA_KEY"),
    ],
)
def test_a_half_written_env_file_is_left_alone(place, text, expected):
    path = place.write("compose/alpha/.env", text)
    place.run(rc=1)
    assert expected in place.said and "half-written; nothing was changed" in place.said
    assert "hunter2secret" not in place.said and "0123" not in place.said
    assert path.read_text() == text
    assert place.changing_calls() == []


def test_a_last_line_without_newline_is_no_fault_when_it_is_whole(place):
    place.write("compose/alpha/.env", "ALPHA_KEY=" + "a" * 32)
    place.run()
    assert place.env_of("alpha")["ALPHA_KEY"] == "a" * 32


def test_what_a_person_has_to_give_is_named_all_at_once_and_nothing_starts(place):
    place.write("compose/alpha/.env.example", "#: required\nMAIL_PASSWORD=\nALPHA_PASSWORD=x\n")
    place.write("compose/beta/.env.example", "#: required\nDOMAIN=example.org\n#: from alpha MAIL_PASSWORD\nMAIL=\n")
    place.run(rc=1)
    assert "MAIL_PASSWORD of the stack alpha. Give it: add the line  MAIL_PASSWORD=…  to compose/alpha/.env" in place.said
    assert "DOMAIN of the stack beta" in place.said
    assert place.changing_calls() == []
    place.write("compose/alpha/.env", "MAIL_PASSWORD=given\n")
    place.write("compose/beta/.env", "DOMAIN=omni.test\n")
    place.run()
    assert place.env_of("beta") == {"DOMAIN": "omni.test", "MAIL": "given"}


def test_on_a_terminal_it_asks_and_does_not_show(place):
    place.write("compose/alpha/.env.example", "#: required\nMAIL_PASSWORD=\nALPHA_PASSWORD=x\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", str(place.root / "deploy/setup.sh"), "--only", "alpha"],
        env=place.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )
    os.close(theirs)
    shown, answered, deadline = b"", False, time.monotonic() + DEADLINE
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    chunk = os.read(ours, 4096)
                except OSError:  # how a terminal says that the other side is gone
                    break
                if not chunk:
                    break
                shown += chunk
            if b"alpha needs MAIL_PASSWORD" in shown and b"): " in shown and not answered:
                os.write(ours, b"top secret\n")
                answered = True
        assert process.wait(timeout=DEADLINE) == 0, shown.decode()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
    assert answered and b"top secret" not in shown
    assert place.env_of("alpha")["MAIL_PASSWORD"] == "'top secret'"


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("#: generate rot13 4\nA=\n", "line 1: '#: generate rot13 4' is not understood"),
        ("#: generate hex\nA=\n", "is not understood"),
        ("#: generate hex 4\n\nA=\n", "has to stand directly above its variable"),
        ("#: default\n#: required\nA=\n", "two '#:' lines in a row"),
        ("A=1\n#: required\n", "at the end belongs to no variable"),
        ("A B\n", "line 1, is not NAME=value"),
        ("#: from alpah ALPHA_KEY\nA=\n", "which is no stack; did you mean alpha?"),
        ("#: from alpha NOPE\nA=\n", "compose/alpha/.env.example has no NOPE"),
    ],
)
def test_a_bad_example_is_named(place, example, expected):
    place.write("compose/beta/.env.example", example)
    place.run(rc=1)
    assert expected in place.said
    assert place.changing_calls() == []


def test_values_that_come_from_each_other(place):
    place.write("compose/alpha/.env.example", "#: from beta B\nA=\n")
    place.write("compose/beta/.env.example", "#: from alpha A\nB=\n")
    place.run(rc=1)
    assert "lead back to itself" in place.said


def test_a_secret_file_that_nothing_makes(place):
    place.write("compose/alpha/.env.example", "OTHER=1\n")
    place.run("--only", "alpha", rc=1)
    assert "its .env has no ALPHA_PASSWORD to make it from" in place.said


def test_a_secret_that_may_be_empty_becomes_an_empty_file(place):
    """Monitoring has such: what it signs on with elsewhere is not there until somebody sets it up."""
    place.write("compose/alpha/.env.example", "#: default\nALPHA_PASSWORD=\n")
    place.run("--only", "alpha")
    assert (place.root / "compose/alpha/secrets/alpha_password").read_text() == ""


# --- the engine ---------------------------------------------------------------------------------------------------


def test_without_docker_it_says_how_to_get_it(place):
    (place.bin / "docker").unlink()
    place.run(rc=1)
    assert "docker is not installed" in place.said and "deploy/packages.sh up" in place.said


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("denied", "refuses"), ("gone", "deploy/docker-engine.sh start")],
)
def test_an_engine_that_does_not_answer(place, engine, expected):
    place.wish(engine=engine)
    place.run(rc=1)
    assert expected in place.said
    assert not (place.root / "compose/alpha/.env").exists()


def test_compose_of_the_first_version_will_do(place):
    place.wish(compose="v1")
    place.run()
    assert "docker-compose up -d --remove-orphans @alpha" in place.changing_calls()
    assert "docker-compose, on engine 26.1.5" in place.said


def test_without_any_compose(place):
    place.wish(compose="v1")
    (place.bin / "docker-compose").unlink()
    place.run(rc=1)
    assert "neither 'docker compose' nor 'docker-compose' works here" in place.said


def test_a_port_that_is_taken_is_named_with_its_owner(place):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        place.run(rc=1)
    assert f"tcp port {place.port}, which alpha of alpha publishes, is taken by" in place.said
    assert str(os.getpid()) in place.said
    assert "beta is not begun, because it needs alpha" in place.said
    assert not any(" up " in call for call in place.changing_calls())


def test_a_disk_that_is_nearly_full(place):
    place.run(rc=1, OMNI_SETUP_MIN_FREE_MB="999999999")
    assert "MiB are free where" in place.said and "docker system df" in place.said
    assert place.changing_calls() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error: Bind for 127.0.0.1:80 failed: port is already allocated", "a port of beta is taken"),
        ("write /var/lib/docker/x: no space left on device", "the disk is full"),
        ("manifest for example/beta:1.0 not found: manifest unknown", "does not exist under the pinned name"),
        ("dial tcp: lookup registry.test: no such host", "is the registry reachable"),
        ("something else", "beta did not start"),
    ],
)
def test_a_start_that_fails_is_explained_and_only_what_needs_it_is_held_back(place, text, expected):
    place.stacks(["alpha\t1\tcompose/alpha\t-\tx", "beta\t2\tcompose/beta\t-\tx", "gamma\t3\tcompose/gamma\t-\tx"])
    place.wish(up_fails={"beta": text})
    done = place.run(rc=1)
    assert text in place.said and expected in place.said
    results = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith(("alpha", "beta", "gamma"))}
    assert "done" in results["alpha"] and "failed: start" in results["beta"] and "done" in results["gamma"]


def test_a_container_of_another_project(place):
    (place.fake / "state.json").write_text(json.dumps({
        "networks": [], "containers": {"omni-beta": {"project": "other", "status": "exited", "health": "none", "code": 0, "restarts": 0, "ready_after": 0, "logs": ""}},
    }))
    place.run(rc=1)
    assert "a container of that name exists and belongs to another project" in place.said


# --- files that have to be there before the start -----------------------------------------------------------------

PREPARE = """\
#!/usr/bin/env bash
set -euo pipefail
echo "alpha prepare" >>"$FAKE/init.log"
test ! -e "$FAKE/forge-away" || { echo "the forge does not answer" >&2; exit 1; }
mkdir -p secrets
[ -s secrets/alpha_token ] || printf 'fetched %s' "$(wc -l <"$FAKE/init.log")" >secrets/alpha_token
"""


def prepared(place):
    """alpha mounts a token that only its prepare.sh can fetch; its .env has no value for it."""
    text = ALPHA.format(uid=os.getuid(), gid=os.getgid()).replace("alpha_password", "alpha_token")
    place.write("compose/alpha/docker-compose.yml", text)
    place.write("compose/alpha/scripts/prepare.sh", PREPARE)


def test_what_a_stack_prepares_is_there_before_its_containers_start(place):
    prepared(place)
    assert "run compose/alpha/scripts/prepare.sh" in place.run("--dry-run").stdout
    assert place.init_log() == []
    place.run()
    assert place.init_log() == ["alpha prepare", "alpha init", "beta init"]
    token = place.root / "compose/alpha/secrets/alpha_token"
    assert token.read_text() == "fetched 1"
    # A second run asks again and finds it there.
    assert place.run().stdout.count("unchanged") == 3
    assert token.read_text() == "fetched 1"


def test_without_what_it_prepares_nothing_starts_and_it_goes_on_there(place):
    prepared(place)
    (place.fake / "forge-away").touch()
    done = place.run(rc=1)
    assert "the forge does not answer" in place.said and "compose/alpha/scripts/prepare.sh failed" in place.said
    assert "failed: prepare" in done.stdout
    assert not any(" up " in call for call in place.changing_calls())
    (place.fake / "forge-away").unlink()
    assert place.run().stdout.count(" done ") == 3


@pytest.mark.parametrize("stack", [path.parent.name for path in sorted(REPO.glob("compose/*/docker-compose.yml"))])
def test_every_file_that_a_stack_mounts_is_there_before_it_starts(stack):
    """A file that does not exist becomes an empty folder in Docker's hands, and the container never starts."""
    import yaml

    folder = REPO / "compose" / stack
    example = (folder / ".env.example").read_text()
    prepare = (folder / "scripts" / "prepare.sh").exists()
    document = yaml.safe_load((folder / "docker-compose.yml").read_text())
    mounts = [volume for service in document["services"].values() for volume in service.get("volumes", []) if isinstance(volume, str)]
    for mount in mounts:
        source = mount.split(":")[0]
        # Folders below data/ and secrets/ are made; a name with an ending is a file.
        if source.startswith(("./data/", "./secrets/")) and Path(source).suffix:
            assert prepare, f"{source} is a file that no prepare.sh makes"
    for secret in (document.get("secrets") or {}).values():
        name = re.sub(r"[.-]", "_", Path(secret["file"]).name).upper()
        assert prepare or re.search(rf"^{name}=", example, re.M), f"nothing makes {secret['file']}"


# --- credentials for Prometheus -----------------------------------------------------------------------------------


def test_prometheus_can_read_what_it_asks_others_with(place):
    """A folder 0755 and files 0444 below a secrets/ of 0700, whatever made them; --check says so when they are not."""
    text = SIMPLE.format(name="gamma").replace("    restart", "    volumes:\n      - ./secrets/scrape:/etc/prometheus/scrape:ro\n    restart")
    place.write("compose/gamma/docker-compose.yml", text)
    assert "folder compose/gamma/secrets/scrape, mode 0755" in place.run("--dry-run").stdout
    assert not (place.root / "compose/gamma/secrets").exists()
    place.run()
    folder = place.root / "compose/gamma/secrets/scrape"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755 and stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    (folder / "omni.token").write_text("x")
    (folder / "omni.token").chmod(0o600)
    folder.chmod(0o700)
    place.run("--check", rc=1)
    assert "compose/gamma/secrets/scrape cannot be read by Prometheus" in place.said
    assert "compose/gamma/secrets/scrape/omni.token cannot be read by Prometheus" in place.said
    place.run()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755 and stat.S_IMODE((folder / "omni.token").stat().st_mode) == 0o444
    place.run("--check")


def test_credentials_that_come_later_are_taken_in_by_the_same_run(place):
    """alpha has the folder; gamma, which needs it, leaves a key there when it is initialised."""
    path = place.root / "compose/alpha/docker-compose.yml"
    path.write_text(path.read_text().replace("    volumes:\n", "    volumes:\n      - ./secrets/scrape:/etc/prometheus/scrape:ro\n", 1))
    place.write("compose/gamma/scripts/init.sh", INIT.format(name="gamma") + "echo key >../alpha/secrets/scrape/gamma.token\n")
    place.run()
    assert place.init_log() == ["alpha init", "beta init", "gamma init", "alpha init"]
    assert [call[-6:] for call in place.changing_calls() if " up " in call] == ["@alpha", " @beta", "@gamma", "@alpha"]
    assert "alpha: once more, with the credentials" in place.said
    place.forget_calls()
    assert place.run().stdout.count("unchanged") == 3
    assert place.changing_calls() == []


# --- health gates -------------------------------------------------------------------------------------------------


def test_it_waits_and_says_for_what(place):
    place.wish(containers={"omni-alpha": {"ready_after": 2}})
    place.run()
    assert "waiting for omni-alpha (starting)" in place.said


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"health": "unhealthy", "logs": "cannot reach the database"}, "omni-beta: unhealthy"),
        ({"status": "exited", "code": 3, "logs": "bad flag"}, "omni-beta: exited with code 3"),
        ({"restarts": 3, "logs": "panic"}, "omni-beta: restarted 3 times"),
        ({"status": "dead", "logs": "gone"}, "omni-beta: dead"),
    ],
)
def test_a_failing_container_is_shown_with_its_last_lines(place, wish, expected):
    place.wish(containers={"omni-beta": wish})
    done = place.run(rc=1)
    assert expected in place.said and wish["logs"] in place.said
    assert "gamma is not begun, because it needs beta" in place.said
    assert "failed: health" in done.stdout
    assert place.init_log() == ["alpha init"]
    # Mended, it goes on there and not from the beginning.
    place.wish()
    place.forget_calls()
    place.run()
    assert [call[-6:] for call in place.changing_calls()] == [" @beta", "@gamma"]


def test_a_container_that_never_gets_ready_meets_the_deadline(place):
    place.wish(containers={"omni-beta": {"ready_after": 10_000}})
    place.run(rc=1, OMNI_SETUP_HEALTH_SECONDS="1")
    assert "not ready after 1 s: omni-beta (starting)" in place.said


def test_a_one_shot_job_that_fails(place):
    place.wish(containers={"omni-alpha-migrate": {"code": 2, "logs": "no table"}})
    place.run(rc=1)
    assert "omni-alpha-migrate: ended with code 2" in place.said


def test_a_store_that_its_init_script_opens_may_be_unhealthy_before(place):
    place.wish(containers={"omni-gamma": {"health": "sealed"}})
    text = SIMPLE.format(name="gamma").replace("    restart", '    labels:\n      omni.quantum.setup.gate: "after-init"\n    restart')
    place.write("compose/gamma/docker-compose.yml", text)
    place.write("compose/gamma/scripts/init.sh", INIT.format(name="gamma"))
    for name in ("alpha", "beta"):
        (place.root / f"compose/{name}/scripts/init.sh").unlink()
    place.run()
    assert place.init_log() == ["gamma init"]
    # Sealed afterwards it is a fault like any other.
    (place.fake / "unsealed").unlink()
    place.run("--check", rc=1)
    assert "omni-gamma: unhealthy" in place.said


def test_an_init_script_that_fails_is_repeated_without_a_new_start(place):
    place.write("compose/beta/scripts/init.sh", 'echo "beta cannot" >&2\ntest -e "$FAKE/mended"\n')
    done = place.run(rc=1)
    assert "beta cannot" in place.said and "failed: init" in done.stdout
    (place.fake / "mended").touch()
    place.forget_calls()
    place.run()
    assert [call[-6:] for call in place.changing_calls()] == ["@gamma"]


# --- killed in the middle -----------------------------------------------------------------------------------------


def test_killed_in_the_middle_it_goes_on(place):
    place.wish(up_hangs="beta")
    process = subprocess.Popen(
        ["bash", str(place.root / "deploy/setup.sh")],
        env=place.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )
    try:
        deadline = time.monotonic() + DEADLINE
        while not (place.fake / "hanging").exists():
            assert time.monotonic() < deadline and process.poll() is None
            select.select([], [], [], 0.05)
        # A second one at the same time is refused.
        place.run(rc=1)
        assert "another deploy/setup.sh is at work here" in place.said
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = place.env_of("alpha")
    place.wish()
    place.forget_calls()
    done = place.run()
    assert place.env_of("alpha") == before
    assert [call[-6:] for call in place.changing_calls()] == [" @beta", "@gamma"]
    assert place.init_log() == ["alpha init", "beta init"]
    assert "unchanged" in next(line for line in done.stdout.splitlines() if line.startswith("alpha"))


# --- dry run, check, down -----------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_and_needs_no_docker(place):
    for program in ("docker", "docker-compose"):
        (place.bin / program).unlink()
    before = place.tree()
    done = place.run("--dry-run")
    assert place.tree() == before
    for expected in (
        "network omni-quantum-network", "ALPHA_KEY: generated, hex 16", "BETA_ALPHA_KEY: the same as ALPHA_KEY of alpha",
        "folder compose/alpha/data/alpha, mode 0750", "secret file compose/alpha/secrets/alpha_password",
        f"port 127.0.0.1:{place.port}/tcp for alpha", "start: alpha migrate", "wait until healthy: omni-alpha omni-alpha-migrate",
        "run compose/beta/scripts/init.sh", "gamma (system 3, chosen), after: beta", "nothing was changed",
    ):
        assert expected in done.stdout, expected
    assert "extra" not in done.stdout


def test_check_is_content_after_a_run_and_changes_nothing(place):
    place.run()
    before = place.tree()
    place.forget_calls()
    done = place.run("--check")
    assert done.stdout.count("as it should be") == 3
    assert place.tree() == before and place.changing_calls() == []
    assert place.init_log()[-2:] == ["alpha check", "beta check"]


def test_check_finds_each_fault(place):
    place.run(rc=1, *["--check"])
    assert "the network omni-quantum-network does not exist" in place.said
    assert "compose/alpha/.env does not exist" in place.said
    assert "omni-alpha: absent" in place.said
    place.run()

    def faults(change, expected):
        files = {path: (path.read_bytes(), path.stat().st_mode) for path in place.root.rglob(".env")}
        change()
        place.run("--check", rc=1)
        assert expected in place.said
        for path, (text, mode) in files.items():
            path.write_bytes(text)
            path.chmod(stat.S_IMODE(mode))

    env = place.root / "compose/alpha/.env"
    faults(lambda: env.chmod(0o640), "compose/alpha/.env has mode 640, not 600")
    faults(lambda: env.write_text(re.sub("ALPHA_SALT=.*\n", "", env.read_text())), "lacks ALPHA_SALT")
    faults(lambda: env.write_text(re.sub("ALPHA_SALT=.*\n", "ALPHA_SALT=\n", env.read_text())), "ALPHA_SALT is empty")
    faults(lambda: env.write_text(env.read_text() + "half"), "half-written")
    faults(lambda: env.write_text(re.sub("ALPHA_KEY=.*\n", "ALPHA_KEY=other\n", env.read_text())), "BETA_ALPHA_KEY is not the same as ALPHA_KEY")
    (place.root / "compose/alpha/data/alpha").rmdir()
    place.run("--check", rc=1)
    assert "compose/alpha/data/alpha does not exist" in place.said
    (place.root / "compose/alpha/data/alpha").mkdir()
    (place.fake / "beta.ready").unlink()
    place.run("--check", rc=1)
    assert "compose/beta/scripts/init.sh --check found something" in place.said


def test_down_stops_in_reverse_and_keeps_data(place):
    place.run()
    kept = place.tree(without=(".omni",))
    place.forget_calls()
    done = place.run("--down")
    assert place.changing_calls() == [f"docker compose down --remove-orphans @{name}" for name in ("gamma", "beta", "alpha")]
    assert place.tree(without=(".omni",)) == kept
    assert done.stdout.count("stopped") == 3
    place.run()
    assert place.env_of("alpha") and place.init_log().count("alpha init") == 2


# --- the real stacks ----------------------------------------------------------------------------------------------


def stacks():
    lines = (REPO / "compose/stacks.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["stack", "system", "folder", "needs", "description"]
    return [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]


def test_the_list_names_the_systems_that_bring_containers():
    assert sorted(int(stack["system"]) for stack in stacks()) == list(range(29, 38))
    for stack in stacks():
        assert (REPO / stack["folder"] / "docker-compose.yml").is_file(), stack["stack"]


def test_what_takes_a_value_from_a_stack_needs_it():
    needs = {stack["stack"]: set(stack["needs"].split(",")) - {"-"} for stack in stacks()}

    def all_needs(name):
        return needs[name] | {deep for need in needs[name] for deep in all_needs(need)}

    for stack in stacks():
        example = REPO / stack["folder"] / ".env.example"
        sources = set(re.findall(r"^#: from (\S+) ", example.read_text(), re.M)) if example.exists() else set()
        assert sources <= all_needs(stack["stack"]), f"{stack['stack']}: stacks.tsv lacks {sources - all_needs(stack['stack'])} in needs"


def test_dry_run_over_the_real_stacks(tmp_path):
    """Every compose file and .env.example is understood, without Docker, and nothing is written."""
    copy = tmp_path / "repo"
    ignore = shutil.ignore_patterns("data", "secrets", ".env", "node_modules", "__pycache__")
    for folder in ("deploy", "compose"):
        shutil.copytree(REPO / folder, copy / folder, ignore=ignore, symlinks=True)
    # The ignored names are what a stack writes while it runs, and also the name of a stack.
    if not (copy / "compose/secrets").exists():
        shutil.copytree(REPO / "compose/secrets", copy / "compose/secrets", ignore=ignore)
    place = Place(tmp_path / "tools")
    (place.bin / "docker").unlink()
    before = sorted(str(path) for path in copy.rglob("*"))
    done = subprocess.run(
        ["bash", str(copy / "deploy/setup.sh"), "--dry-run"], env=place.env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(str(path) for path in copy.rglob("*")) == before
    for stack in stacks():
        assert re.search(rf"^{stack['stack']} \(system {stack['system']}, ", done.stdout, re.M), stack["stack"]
    # The facts that setup.sh reads by itself are those that a YAML reader finds.
    import yaml

    for stack in stacks():
        document = yaml.safe_load((REPO / stack["folder"] / "docker-compose.yml").read_text())
        facts = subprocess.run(
            ["awk", "-f", str(REPO / "deploy/platform/facts.awk"), str(REPO / stack["folder"] / "docker-compose.yml")],
            capture_output=True, text=True, timeout=DEADLINE, check=True,
        ).stdout.splitlines()
        found = {tuple(line.split("\t")) for line in facts}
        for name, service in document["services"].items():
            assert (name, "service", name) in found
            assert (name, "name", service["container_name"]) in found, f"{stack['stack']}: {name}"
            if "user" in service:
                assert (name, "user", str(service["user"])) in found, f"{stack['stack']}: {name}: user"
            for port in service.get("ports", []):
                if isinstance(port, str):
                    assert (name, "port", port) in found, f"{stack['stack']}: {name}: port {port}"
            for volume in service.get("volumes", []):
                if isinstance(volume, str) and volume.startswith("./data/"):
                    assert (name, "folder", volume.split(":")[0]) in found, f"{stack['stack']}: {name}: {volume}"
            for profile in service.get("profiles", []):
                assert (name, "profile", profile) in found
        for secret in (document.get("secrets") or {}).values():
            if "file" in secret:
                assert ("-", "secret-file", secret["file"]) in found


def test_the_scripts_are_clean():
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "deploy/packages.sh test installs shellcheck"
    files = [REPO / "deploy/setup.sh", *sorted((REPO / "deploy/platform").glob("*.sh"))]
    done = subprocess.run([shellcheck, "-x", *map(str, files)], cwd=REPO, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout
