"""compose/omni: init.sh over a strict stand-in for Docker, flags against the sources that define them, TLS by a real server.

omni's own programs are built after these tests run, so what they accept is read from their sources.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import shutil
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clap_source import arguments, kebab, source
from compose_lint import REPO

STACK = REPO / "compose" / "omni"
COMPOSE = yaml.safe_load((STACK / "docker-compose.yml").read_text())
FAKE = Path(__file__).parent / "fakes" / "omni_docker.py"
SOURCES = {
    "omni-controller": REPO / "controller/src/config.rs",
    "omni-agent": REPO / "agent/src/args.rs",
    "omni": REPO / "cli/src/args.rs",
}
DEADLINE = 120


def command_line(path: Path) -> dict[str, Any]:
    """Verbs, flags and variables that a program's definitions name."""
    text = source(path)
    verbs = {kebab(v) for body in re.findall(r"Subcommand\)\]\s*(?:pub(?:\(crate\))? )?enum \w+ \{(.*?)\n\}", text, re.S) for v in re.findall(r"^    ([A-Z]\w*)", body, re.M)}
    return {"verbs": sorted(verbs), "flags": arguments(text), "variables": re.findall(r"env = \"(OMNI_[A-Z_]+)\"", text)}


@pytest.fixture(scope="session")
def flags() -> dict[str, Any]:
    return {program: command_line(path) for program, path in SOURCES.items()}


def test_the_sources_are_understood(flags: dict[str, Any]) -> None:
    """What is read from the sources is what is there: a few of each, and a flag nobody has."""
    assert {"init", "join", "restore", "run"} == set(flags["omni-controller"]["verbs"])
    assert {"join", "run", "version"} == set(flags["omni-agent"]["verbs"])
    assert {"version", "controllers", "hosts", "token", "create-api", "transfer-leader"} <= set(flags["omni"]["verbs"])
    assert flags["omni-controller"]["flags"]["--data-dir"] == {"long": "--data-dir", "value": True}
    assert flags["omni-controller"]["flags"]["-o"]["long"] == "--output"
    assert flags["omni-controller"]["flags"]["--show-config"]["value"] is False
    assert flags["omni-agent"]["flags"]["--controller"]["value"] and "--nonsense" not in flags["omni"]["flags"]
    assert {"OMNI_ADVERTISE", "OMNI_QUIC_ADDR"} <= set(flags["omni-controller"]["variables"])


def test_commands_checks_and_variables_exist(flags: dict[str, Any]) -> None:
    """Every flag, verb and variable in the compose file is one of the program that gets it."""
    for name, service in COMPOSE["services"].items():
        program = "omni-agent" if name == "agent" else "omni-controller"
        for variable in service["environment"]:
            assert variable in flags[program]["variables"], f"{name}: {program} reads no {variable}"
        called = re.search(rf"exec ({program}) (\w+) (.*)$", service["command"][2])
        assert called and called[2] in flags[program]["verbs"]
        for flag in re.findall(r"(?<!\S)--?[a-z-]+", called[3]):
            assert flag in flags[program]["flags"], f"{name}: {program} has no {flag}"
        if name == "agent":
            continue
        check = re.search(r" omni (.*)$", service["healthcheck"]["test"][3])
        assert check and check[1].split()[-1] in flags["omni"]["verbs"]
        for flag in re.findall(r"(?<!\S)--?[a-z-]+", check[1]):
            assert flag in flags["omni"]["flags"], f"{name}: omni has no {flag}"


def test_the_image_holds_what_the_stack_relies_on() -> None:
    dockerfile = (REPO / "deploy/container/Dockerfile").read_text()
    version = re.search(r'^version = "([^"]+)"', (REPO / "Cargo.toml").read_text(), re.M)
    assert version and "--uid 7600" in dockerfile and "EXPOSE 7600/udp 7601/tcp" in dockerfile
    for name, service in COMPOSE["services"].items():
        assert service["image"] == f"omni/omni:{version[1]}", name
        assert service["user"] == ("0:0" if name == "agent" else "7600:7600")
        assert service["profiles"] and service["init"] is True
    # Names of the files that the commands wait for, and of the lock that they wait to be let go.
    assert 'const MEMBER: &str = "member.json";' in (REPO / "controller/src/data_dir.rs").read_text()
    assert 'const LOCK: &str = "lock";' in (REPO / "controller/src/data_dir.rs").read_text()
    assert 'const IDENTITY: &str = "identity";' in (REPO / "agent/src/ledger/mod.rs").read_text()
    assert 'const LOCK: &str = "lock";' in (REPO / "agent/src/ledger/folder.rs").read_text()


def test_ports_inside_are_those_outside() -> None:
    """A member advertises the port it listens on, so a published port must not differ; and the lab's are what it listens on."""
    for name, service in COMPOSE["services"].items():
        inside = {port.split(":")[-1] for port in service.get("ports", [])}
        for port in service.get("ports", []):
            host, container = port.split(":")[-2:]
            assert host == container.split("/")[0], f"{name}: {port}"
        for variable, protocol in (("OMNI_QUIC_ADDR", "/udp"), ("OMNI_API_ADDR", "")):
            listening = service["environment"].get(variable)
            assert listening is None or listening.split(":")[1] + protocol in inside, f"{name}: {variable}"
        for extra in COMPOSE["services"]["agent"]["extra_hosts"]:
            assert extra.split(":")[0] in {s["container_name"] for s in COMPOSE["services"].values()}


def test_what_the_agent_lays_out_for_apps_has_the_same_path_on_the_host() -> None:
    """The engine mounts files and secrets of apps by the path that the agent names, and knows the host's paths alone."""
    agent = COMPOSE["services"]["agent"]
    data_dir = re.search(r"--data-dir (\S+)$", agent["command"][2])
    secrets = re.search(r'const SECRETS: &str = "([^"]+)"', (REPO / "agent/src/daemon.rs").read_text())
    assert data_dir and secrets
    shared = [source for source, target in (volume.split(":")[:2] for volume in agent["volumes"]) if source == target]
    for path in (data_dir[1], secrets[1]):
        assert any(Path(path).is_relative_to(folder) for folder in shared), path


# --- init.sh ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, binary: Callable[[str], Path], run: Callable[..., Any]) -> Path:
    """A root and a certificate for localhost, as a controller shows them: leaf first, then the root."""
    folder = tmp_path_factory.mktemp("chain")
    openssl = binary("openssl")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run([openssl, "req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=root", "-days", "2"])
    run([openssl, "req", *curve, "-keyout", folder / "key.pem", "-out", folder / "csr.pem", "-subj", "/CN=c1"])
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:omni-omni\n")
    run([openssl, "x509", "-req", "-in", folder / "csr.pem", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial",
         "-out", folder / "leaf.pem", "-days", "2", "-extfile", folder / "names"])  # fmt: skip
    (folder / "chain.pem").write_text((folder / "leaf.pem").read_text() + (folder / "ca.pem").read_text())
    return folder


class Host:
    """A copy of the stack, a folder of the monitoring stack, an engine that is a file, and an API that speaks real TLS."""

    def __init__(self, root: Path, flags: dict[str, Any], chain: Path, api: str) -> None:
        self.stack, self.fake, self.monitoring, self.bin = root / "compose/omni", root / "fake", root / "compose/monitoring", root / "bin"
        shutil.copytree(STACK, self.stack, ignore=shutil.ignore_patterns("data", "secrets", ".env"))
        for folder in (self.fake, self.monitoring, self.bin):
            folder.mkdir()
        docker = self.bin / "docker"
        docker.write_text(f"#!{sys.executable}\n" + FAKE.read_text().split("\n", 1)[1])
        docker.chmod(0o755)
        (self.fake / "flags.json").write_text(json.dumps(flags))
        der = ssl.PEM_cert_to_DER_cert((chain / "ca.pem").read_text())
        self.env = {
            "PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(root), "LC_ALL": "C.UTF-8", "FAKE": str(self.fake), "WAIT": "1",
            "FINGERPRINT": hashlib.sha256(der).hexdigest(), "OMNI_API_URL": api,
        }  # fmt: skip
        self.settings(COMPOSE_PROFILES="controller,agent", OMNI_HOST_NAME="h1")

    def settings(self, **values: str) -> None:
        (self.stack / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def wish(self, **wishes: Any) -> None:
        (self.fake / "wishes.json").write_text(json.dumps(wishes))

    def state(self) -> dict[str, Any]:
        return json.loads((self.fake / "state.json").read_text())

    def calls(self) -> list[list[str]]:
        path = self.fake / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def files(self) -> dict[str, tuple[bytes, int]]:
        both = sorted([*self.stack.rglob("*"), *self.monitoring.rglob("*")])
        return {str(path): (path.read_bytes(), path.stat().st_mode) for path in both if path.is_file()}

    def script(self, name: str, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", str(self.stack / "scripts" / name), *arguments], env={**self.env, **env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=DEADLINE, check=False,
        )
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def init(self, *arguments: str, code: int = 0, **env: str) -> str:
        done = self.script("init.sh", *arguments, code=code, **env)
        said = done.stdout + done.stderr
        for token in self.state()["tokens"] if (self.fake / "state.json").exists() else []:
            assert token not in said, "a token was printed"
        return said


@pytest.fixture
def host(tmp_path: Path, flags: dict[str, Any], chain: Path) -> Iterator[Host]:
    """The host, and its controller's API on a port of its own: /healthz for all, /metrics for a viewer."""
    place: list[Host] = []

    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            state = place[0].state() if (place[0].fake / "state.json").exists() else {"tokens": {}}
            known = state["tokens"].get(token, {}).get("kind") == "api"
            status = {"/healthz": 200, "/metrics": 200 if known else 401}.get(self.path, 404)
            body = b"# TYPE omni_hosts gauge\nomni_hosts 1\n" if self.path == "/metrics" else b'{"ok":true}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain / "chain.pem", chain / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place.append(Host(tmp_path, flags, chain, f"https://127.0.0.1:{server.server_port}"))
    yield place[0]
    server.shutdown()
    server.server_close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_host_makes_a_cluster_and_repeats_without_change(host: Host) -> None:
    host.init("--check", code=1)
    assert not (host.fake / "state.json").exists()
    said = host.init()
    assert "made a cluster" in said and "this host joined as h1" in said and "all well" in said
    secrets = host.stack / "secrets"
    assert mode(secrets) == 0o700 and mode(secrets / "viewer") == 0o755 and mode(secrets / "viewer/token") == 0o444
    assert mode(secrets / "init.json") == mode(secrets / "admin.token") == 0o600
    # `read` in the health check takes a line without an end for none.
    assert (secrets / "viewer/token").read_text().endswith("\n")
    assert sorted(path.name for path in secrets.iterdir()) == ["admin.token", "init.json", "viewer"]
    before, state = host.files(), host.state()
    assert "made a cluster" not in host.init()
    host.init("--check")
    assert host.files() == before and host.state() == state
    assert state["members"]["omni-agent"]["to"] == ["omni-omni:7600"]


def test_an_agent_from_before_is_moved_and_not_joined_again(host: Host) -> None:
    (host.stack / "data/agent").mkdir(parents=True)
    (host.stack / "data/agent/identity").write_text("x")
    assert "cp -a data/agent/. /var/lib/omni-agent/" in host.init(code=1)
    assert "omni-agent" not in host.state()["members"]


def test_the_lab_has_three(host: Host) -> None:
    host.settings(COMPOSE_PROFILES="controller,lab,agent", OMNI_HOST_NAME="h1", OMNI_HOST_LABELS="gpu=yes,omni.address=10.0.0.1")
    host.init()
    members = host.state()["members"]
    assert [members[f"omni-omni{end}"]["name"] for end in ("", "-2", "-3")] == ["c1", "c2", "c3"]
    assert members["omni-agent"]["labels"] == ["gpu=yes", "omni.address=10.0.0.1"]
    assert not (host.stack / "secrets/controller.token").exists()
    host.init("--check")


def test_prometheus_gets_a_token_and_the_right_root(host: Host, chain: Path) -> None:
    host.init()
    scrape = host.monitoring / "secrets/scrape"
    assert (scrape / "omni.ca").read_text() == (chain / "ca.pem").read_text()
    assert mode(scrape) == 0o755 and mode(scrape.parent) == 0o700
    assert {mode(path) for path in scrape.iterdir()} == {0o444}
    assert sorted(path.name for path in scrape.iterdir()) == ["omni.ca", "omni.controllers", "omni.token"]
    assert (scrape / "omni.controllers").read_text() == "omni-omni:7601\n"
    (scrape / "omni.token").unlink()
    assert "Prometheus cannot read" in host.init("--check", code=1)
    host.init()
    host.init("--check")
    # A controller joined elsewhere: its address is told at the next run.
    state = host.state()
    state["members"]["the other machine's"] = {"name": "c2", "role": "controller", "api": "c2.example:7601"}
    (host.fake / "state.json").write_text(json.dumps(state))
    assert "does not name all controllers" in host.init("--check", code=1)
    host.init()
    assert (scrape / "omni.controllers").read_text() == "c2.example:7601\nomni-omni:7601\n"
    host.init("--check")


def test_another_root_is_refused(host: Host) -> None:
    host.env["FINGERPRINT"] = "0" * 64
    assert "another root certificate" in host.init(code=1)
    assert not list((host.monitoring / "secrets/scrape").iterdir())


def test_another_host_joins_by_invitation(host: Host, tmp_path: Path, flags: dict[str, Any], chain: Path) -> None:
    host.init()
    host.init("--invite")
    invite = host.stack / "secrets/invite"
    assert mode(invite) == 0o700 and {mode(path) for path in invite.iterdir()} == {0o600}
    # The second host: its own containers, the same cluster.
    other = Host(tmp_path / "2", flags, chain, host.env["OMNI_API_URL"]) if (tmp_path / "2").mkdir() is None else None
    assert other
    shutil.rmtree(other.monitoring)
    other.settings(COMPOSE_PROFILES="controller,agent", OMNI_JOIN="c1.example:7600", OMNI_ADVERTISE="c2.example", OMNI_CONTROLLER_NAME="c2", OMNI_HOST_NAME="h2", OMNI_REGION="eu")
    state = host.state()
    leader = state["members"]["omni-omni"]
    state["members"] = {"the other machine's": leader}
    (other.fake / "state.json").write_text(json.dumps(state))
    assert "to join, this host needs" in other.init(code=1)
    for path in invite.iterdir():
        shutil.copy(path, other.stack / "secrets" / path.name)
    other.init()
    members = other.state()["members"]
    assert members["omni-omni"]["to"] == ["c1.example:7600"]
    assert members["omni-agent"]["to"] == ["c2.example:7600", "c1.example:7600"]
    assert [str(path.relative_to(other.stack / "secrets")) for path in sorted((other.stack / "secrets").rglob("*"))] == ["viewer", "viewer/token"]
    other.init("--check")
    assert "invitations are made where the cluster was made" in other.init("--invite", code=1)


def test_a_host_with_an_agent_alone(host: Host) -> None:
    host.settings(COMPOSE_PROFILES="agent", OMNI_HOST_NAME="h3")
    assert "OMNI_JOIN in .env has to name controllers" in host.init(code=1)
    host.settings(COMPOSE_PROFILES="agent", OMNI_HOST_NAME="h3", OMNI_JOIN="c1.example:7600,c2.example:7600")
    tokens = {"omni-join1.a": {"kind": "join", "role": "agent", "uses": 0, "used": 0}, "omni-api1.v": {"kind": "api", "role": "viewer"}}
    (host.fake / "state.json").write_text(json.dumps({"members": {"far": {"name": "c1", "role": "controller"}}, "tokens": tokens, "hosts": {}, "made": 0}))
    (host.stack / "secrets").mkdir()
    (host.stack / "secrets/agent.token").write_text("omni-join1.a\n")
    (host.stack / "secrets/viewer.token").write_text("omni-api1.v")
    host.init()
    assert host.state()["members"]["omni-agent"]["to"] == ["c1.example:7600", "c2.example:7600"]
    asked = host.script("omni", "status").stdout
    assert "viewer of https://c1.example:7601,https://c2.example:7601" in asked
    host.wish(host_status="down")
    assert "host h3 is down" in host.init("--check", code=1)


def test_a_run_that_was_cut_off_goes_on(host: Host) -> None:
    host.wish(fails={"omni-agent join": "error: no answer from omni-omni:7600 within 3s"})
    said = host.init(code=1)
    assert "no answer from omni-omni:7600" in said and "the agent could not join as h1" in said
    host.wish()
    # Cut off between making the cluster and keeping its tokens under their name.
    secrets = host.stack / "secrets"
    (secrets / "init.json").rename(secrets / "init.json.made")
    (secrets / "admin.token").unlink()
    host.init()
    host.init("--check")
    (secrets / "init.json").unlink()
    assert "whose tokens are not in" in host.init(code=1)


def test_faults_are_told(host: Host) -> None:
    assert "usage:" in host.init("--chekc", code=2)
    assert "usage:" in host.init("--check", "x", code=2)
    assert "there is no token" in host.script("omni", "status", code=1).stderr
    host.wish(absent=["omni-agent"])
    assert "the container omni-agent is absent: docker compose up -d" in host.init(code=1)
    host.wish()
    for profiles, said in (("", "neither controller nor agent"), ("lab,agent", "write controller,lab")):
        host.settings(COMPOSE_PROFILES=profiles)
        assert said in host.init(code=1)
    host.settings(COMPOSE_PROFILES="controller,lab", OMNI_ADVERTISE="c1.example")
    assert "the profile lab is for one host" in host.init(code=1)
    host.settings(COMPOSE_PROFILES="controller,agent", OMNI_HOST_NAME="h1")
    host.init()
    host.wish(leaderless=True)
    assert "no leader" in host.init("--check", code=1)
    host.wish()
    (host.stack / "secrets/admin.token").chmod(0o644)
    assert "admin.token can be read by others: chmod 600" in host.init("--check", code=1)


def test_no_token_stands_in_a_process_list(host: Host) -> None:
    """The fake refuses one among arguments; that it does is shown here, or the other tests would mean nothing."""
    host.init()
    done = subprocess.run([host.bin / "docker", "exec", "omni-omni", "omni", "omni-api1.x"], env=host.env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1 and "among arguments" in done.stderr
    assert not [call for call in host.calls()[:-1] if any("omni-api1" in w or "omni-join1" in w for w in call)]
