"""compose/workspaces: init.sh and idle.sh over strict stand-ins for Docker and code-server, dev containers by their own program.

Real: the dev containers' program (npm, installed once into .omni-test/), bash, curl, jq. Stand-ins: docker
(fakes/workspaces_docker.py) and code-server's /healthz, sign-in and limit, as its source and version 4.100.3 have them.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_lint import REPO, load_catalogue, load_yaml
from test_scripts import instructions

STACK = REPO / "compose" / "workspaces"
FAKE = Path(__file__).parent / "fakes" / "workspaces_docker.py"
FLAVOURS = ["python", "node", "rust", "go", "gpu-ml"]
CLI_VERSION = "0.89.0"
PASSWORD = "a long enough one, %41 & $HOME"
UID = str(os.getuid())


# --- everything agrees -----------------------------------------------------------------------------------------------------


def without_comments(text: str) -> str:
    """JSON with // comments, as these files have it: on lines of their own."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))


def stages(dockerfile: str) -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage, those of the stages below it first."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, arguments in instructions(dockerfile):
        if word == "FROM":
            below, _, name = arguments.partition(" AS ")
            found[name] = list(found.get(below, []))
        elif name:
            found[name].append((word, arguments))
    return found


def disagreements(folder: Path) -> list[str]:
    """What one file says and another does not."""
    wrong: list[str] = []

    def same(what: str, is_: Any, wanted: Any) -> None:
        if is_ != wanted:
            wrong.append(f"{what}: {is_!r}, not {wanted!r}")

    pin = load_catalogue()["code-server"]
    tag = pin["image"]["ref"].partition(":")[2]
    compose = load_yaml((folder / "docker-compose.yml").read_text())
    dockerfile = (folder / "images" / "Dockerfile").read_text()
    config = load_yaml((folder / "config" / "code-server.yaml").read_text())
    lib = (folder / "scripts" / "lib.sh").read_text()
    template = (folder / "coder" / "main.tf").read_text()
    entry = (folder / "images" / "base" / "omni-workspace").read_text()
    built = stages(dockerfile)
    port = pin["ports"][0]["port"]

    same("Dockerfile's code-server", re.search(r"^ARG CODE_SERVER_VERSION=(\S+)$", dockerfile, re.M)[1], tag)  # type: ignore[index]
    same("lib.sh's version", re.search(r"^VERSION=(\S+)$", lib, re.M)[1], tag)  # type: ignore[index]
    same("lib.sh's flavours", re.search(r'^FLAVOURS="(.*)"$', lib, re.M)[1].split(), FLAVOURS)  # type: ignore[index]
    same("template's image", re.findall(r'image\s+= "(.*)"', template), ["omni/workspace-${data.coder_parameter.flavour.value}:" + tag])
    same("template's flavours", re.findall(r'value = "(.*)"', template), FLAVOURS)
    same("template's port", set(re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", template)), {str(port)})
    same("bind-addr", config["bind-addr"], f"0.0.0.0:{port}")
    same("auth", config["auth"], "password")
    same("services", set(compose["services"]), {f"workspace-{flavour}" for flavour in FLAVOURS} | {"coder"})
    same("dev containers", sorted(path.name for path in (folder / "devcontainers").iterdir()), sorted(FLAVOURS))
    config_at = re.search(r"CONFIG=\$\{OMNI_WORKSPACE_CONFIG:-(.*)\}", entry)[1]  # type: ignore[index]
    hash_at = re.search(r"HASH_FILE=\$\{OMNI_WORKSPACE_HASH_FILE:-(.*)\}", entry)[1]  # type: ignore[index]
    ports = dict(re.findall(r"^    (\S+)\) echo (\d+) ;;$", lib, re.M))
    home = pin["data"]["paths"][0]["path"]
    for flag in ("user-data-dir", "extensions-dir"):
        same(f"{flag} in the home", config[flag].startswith(home + "/"), True)

    for flavour in FLAVOURS:
        service = compose["services"].get(f"workspace-{flavour}", {})
        image = f"omni/workspace-{flavour}:{tag}"
        same(f"{flavour}: image", service.get("image"), image)
        same(f"{flavour}: profile", service.get("profiles"), [flavour])
        same(f"{flavour}: stage", service.get("build"), {"context": "./images", "target": flavour})
        same(f"{flavour}: port", service.get("ports"), [f"${{OMNI_BIND:-127.0.0.1}}:{ports.get(flavour)}:{port}"])
        mounts = {v.split(":")[1]: v for v in service.get("volumes", [])}
        same(f"{flavour}: mounts", set(mounts), {home, config_at, str(Path(hash_at).parent)})
        same(f"{flavour}: home", mounts.get(home), f"./data/workspace-{flavour}:{home}")
        same(f"{flavour}: check", service.get("healthcheck", {}).get("test"), pin["health"]["command"])
        same(f"{flavour}: capabilities", (service.get("cap_drop"), service.get("security_opt")), (["ALL"], ["no-new-privileges:true"]))
        stage = built.get(flavour, [])
        same(f"{flavour}: user", [a for word, a in stage if word == "USER"][-1:], ["coder"])
        same(f"{flavour}: port of the image", [a for word, a in stage if word == "EXPOSE"], [str(port)])
        same(f"{flavour}: start", [a for word, a in stage if word == "ENTRYPOINT"], ['["/usr/bin/dumb-init", "--", "/usr/local/bin/omni-workspace"]'])
        same(f"{flavour}: check of the image", any(word == "HEALTHCHECK" and f"127.0.0.1:{port}/healthz" in a for word, a in stage), True)
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
        same(f"{flavour}: cards", devices, [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}] if flavour == "gpu-ml" else None)
        definition = json.loads(without_comments((folder / "devcontainers" / flavour / "devcontainer.json").read_text()))
        same(f"{flavour}: dev container's image", definition.get("image"), image)
        same(f"{flavour}: dev container's user", definition.get("remoteUser"), "coder")
        same(f"{flavour}: dev container's cards", definition.get("hostRequirements", {}).get("gpu"), True if flavour == "gpu-ml" else None)
        # What would let a repository own the host.
        same(f"{flavour}: dev container asks for", {"initializeCommand", "privileged", "runArgs", "capAdd"} & set(definition), set())
        for mount in definition.get("mounts", []):
            target = re.search(r"target=([^,]+)", mount)[1]  # type: ignore[index]
            made = any("install -d -o coder" in a and Path(target).name in re.split(r"[{},\s]", a) for word, a in built["base"] if word == "RUN")
            same(f"{flavour}: {target} belongs to coder in the image", made and Path(target).parent == Path(home), True)
    coder = load_catalogue()["coder"]
    same("coder: image", compose["services"]["coder"]["image"], coder["image"]["ref"])
    same("coder: address", compose["services"]["coder"]["environment"]["CODER_HTTP_ADDRESS"], f"0.0.0.0:{coder['ports'][0]['port']}")
    same("coder: metrics", compose["services"]["coder"]["environment"]["CODER_PROMETHEUS_ADDRESS"], f"0.0.0.0:{coder['metrics']['port']}")
    same("coder: depends", coder["depends"]["hard"], ["postgresql"])
    return wrong


def test_everything_agrees() -> None:
    assert disagreements(STACK) == []


BREAKS = {
    "tag": ("docker-compose.yml", "omni/workspace-rust:4.133.0", "omni/workspace-rust:4.132.0", "rust: image"),
    "base": ("images/Dockerfile", "ARG CODE_SERVER_VERSION=4.133.0", "ARG CODE_SERVER_VERSION=4.132.0", "Dockerfile's code-server"),
    "lib": ("scripts/lib.sh", "VERSION=4.133.0", "VERSION=4.132.0", "lib.sh's version"),
    "template": ("coder/main.tf", ":4.133.0", ":4.132.0", "template's image"),
    "template port": ("coder/main.tf", "localhost:8080/healthz", "localhost:8081/healthz", "template's port"),
    "listener": ("config/code-server.yaml", "0.0.0.0:8080", "0.0.0.0:8081", "bind-addr"),
    "no password": ("config/code-server.yaml", "auth: password", "auth: none", "auth"),
    "settings outside the home": ("config/code-server.yaml", "user-data-dir: /home/coder", "user-data-dir: /srv", "user-data-dir"),
    "port": ("docker-compose.yml", ":8453:8080", ":8463:8080", "rust: port"),
    "home": ("docker-compose.yml", "./data/workspace-go:/home/coder", "./data/workspace-go:/home/dev", "go: home"),
    "hash": ("images/base/omni-workspace", "/run/omni/password.hash", "/run/secrets/password.hash", "go: mounts"),
    "config": ("images/base/omni-workspace", "/etc/omni/code-server.yaml", "/etc/code-server.yaml", "node: mounts"),
    "stage": ("docker-compose.yml", "target: node", "target: rust", "node: stage"),
    "cards": ("docker-compose.yml", "driver: nvidia", "driver: amd", "gpu-ml: cards"),
    "capabilities": ("docker-compose.yml", "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "python: capabilities"),
    "dev image": ("devcontainers/go/devcontainer.json", "workspace-go:4.133.0", "workspace-go:4", "go: dev container's image"),
    "dev user": ("devcontainers/go/devcontainer.json", '"coder"', '"root"', "go: dev container's user"),
    "dev host": ("devcontainers/node/devcontainer.json", '"init": true', '"initializeCommand": "id"', "node: dev container asks for"),
    "dev mount": ("devcontainers/node/devcontainer.json", "/home/coder/.npm", "/home/coder/.elsewhere", "node: /home/coder/.elsewhere"),
    "metrics": ("docker-compose.yml", "0.0.0.0:2112", "0.0.0.0:2113", "coder: metrics"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_disagreement_is_heard(kind: str, tmp_path: Path) -> None:
    name, old, new, said = BREAKS[kind]
    copy = shutil.copytree(STACK, tmp_path / "workspaces", ignore=shutil.ignore_patterns("data", "secrets", ".env"))
    text = (copy / name).read_text()
    assert old in text, f"nothing to break: {old}"
    (copy / name).write_text(text.replace(old, new, 1))
    assert any(line.startswith(said) for line in disagreements(copy)), disagreements(copy)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stage_that_stays_root_is_heard(flavour: str, tmp_path: Path) -> None:
    copy = shutil.copytree(STACK, tmp_path / "workspaces", ignore=shutil.ignore_patterns("data", "secrets", ".env"))
    file = copy / "images" / "Dockerfile"
    head, mark, tail = file.read_text().partition(f" AS {flavour}\n")
    file.write_text(head + mark + tail.replace("\nUSER coder\n", "\n", 1))
    assert any(line.startswith(f"{flavour}: user") for line in disagreements(copy))


def loose(folder: Path) -> list[str]:
    """What is downloaded without being held by a hash."""
    found = []
    for file in sorted(folder.glob("*/package-lock.json")):
        lock = json.loads(file.read_text())
        wanted = json.loads((file.parent / "package.json").read_text())
        for kind in ("dependencies", "optionalDependencies"):
            if lock["packages"][""].get(kind) != wanted.get(kind):
                found.append(f"{file.parent.name}: {kind} of package.json and of its lock file differ")
        found += [f"{file.parent.name}: {name} without a hash" for name, one in lock["packages"].items() if name and not one.get("inBundle") and "integrity" not in one]
        found += [f"{file.parent.name}: {name} is not an exact version" for name, version in {**wanted["dependencies"], **wanted.get("optionalDependencies", {})}.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)]
    for file in sorted(folder.glob("*/requirements.txt")):
        entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", file.read_text(), flags=re.M).strip())
        found += [f"{file.parent.name}: {entry.split()[0]} without a hash" for entry in entries if "--hash=sha256:" not in entry]
        locked = {entry.split()[0] for entry in entries}
        wanted_lines = [line for line in (file.parent / "requirements.in").read_text().splitlines() if line and not line.startswith("#")]
        found += [f"{file.parent.name}: {line} is not in its lock file" for line in wanted_lines if line not in locked]
    return found


def test_every_download_is_held() -> None:
    assert loose(STACK / "images") == []
    assert len(list((STACK / "images").glob("*/package-lock.json"))) == 2 and len(list((STACK / "images").glob("*/requirements.txt"))) == 2
    text = (STACK / "images" / "Dockerfile").read_text()
    assert text.count("--require-hashes") == 2 and text.count("npm ci --ignore-scripts") == 2 and len(re.findall(r"sha256sum -c -", text)) == 2
    assert len(re.findall(r"^ARG \w+_SHA256_(AMD|ARM)64=[0-9a-f]{64}$", text, re.M)) == 4


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("node/package.json", '"eslint": "10.15.0"', '"eslint": "10.14.0"', "node: dependencies"),
        ("node/package-lock.json", '"integrity": "sha512', '"x": "sha512', "without a hash"),
        ("python/requirements.txt", "ruff==0.17.6", "ruff==0.17.5", "ruff==0.17.6 is not in its lock file"),
        ("gpu-ml/requirements.in", "torch==2.15.0", "torch==2.14.0", "torch==2.14.0 is not in its lock file"),
    ],
)  # fmt: skip
def test_a_loose_download_is_heard(name: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    copy = shutil.copytree(STACK / "images", tmp_path / "images")
    text = (copy / name).read_text()
    assert old in text
    (copy / name).write_text(text.replace(old, new, 1))
    assert any(said in line for line in loose(copy)), loose(copy)


# --- dev containers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def devcontainer(binary: Callable[[str], Path]) -> Path:
    """The dev containers' own program. Installed once; several test runs at a time wait for one another."""
    target = REPO / ".omni-test" / f"devcontainers-cli-{CLI_VERSION}"
    program = target / "node_modules" / "@devcontainers" / "cli" / "devcontainer.js"
    target.parent.mkdir(exist_ok=True)
    with open(target.parent / "devcontainers-cli.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            target.mkdir(exist_ok=True)
            command = [binary("npm"), "install", "--prefix", target, "--ignore-scripts", "--no-audit", "--no-fund", f"@devcontainers/cli@{CLI_VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
    return program


@pytest.fixture
def read_configuration(devcontainer: Path, binary: Callable[[str], Path], tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """What the program makes of a definition; it asks docker for a running container, and there is none."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\n[ "$1 $2 $3" = "ps -q -a" ]\n')
    docker.chmod(0o755)

    def read(text: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "repository" / ".devcontainer" / "devcontainer.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        command = [binary("node"), devcontainer, "read-configuration", "--workspace-folder", tmp_path / "repository", "--docker-path", docker]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})

    return read


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_devcontainers_are_read_by_the_real_program(flavour: str, read_configuration: Callable[[str], Any]) -> None:
    text = (STACK / "devcontainers" / flavour / "devcontainer.json").read_text()
    done = read_configuration(text)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)["configuration"]
    written = json.loads(without_comments(text))
    for key in ("image", "remoteUser", "overrideCommand", "securityOpt", "hostRequirements", "forwardPorts", "postCreateCommand"):
        assert read[key] == written[key], key
    assert read["mounts"] == written["mounts"]


def test_a_broken_devcontainer_is_heard(read_configuration: Callable[[str], Any]) -> None:
    text = (STACK / "devcontainers" / "go" / "devcontainer.json").read_text()
    assert read_configuration(text).returncode == 0
    assert read_configuration(text.replace("{", "[", 1)).returncode != 0


# --- stand-ins -------------------------------------------------------------------------------------------------------------


class CodeServer:
    """What init.sh and idle.sh see of code-server: /healthz, the way to the sign-in, the sign-in and its limit."""

    def __init__(self, hash_file: Path) -> None:
        self.hash_file = hash_file
        self.status: Any = "expired"
        self.beat = 0
        self.open = False
        self.tries = 0
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, code: int, body: str = "", **headers: str) -> None:
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_GET(self) -> None:
                outer.asked.append(f"GET {self.path}")
                if self.path == "/healthz":
                    self.answer(200, json.dumps({"status": outer.status, "lastHeartbeat": outer.beat}))
                elif self.path == "/":
                    self.answer(200, "<html>") if outer.open else self.answer(302, Location="./login")
                else:
                    self.answer(404)

            def do_POST(self) -> None:
                outer.asked.append(f"POST {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                fields = urllib.parse.parse_qs(body, keep_blank_values=True, strict_parsing=True)
                outer.tries += 1
                if self.path != "/login" or set(fields) != {"password"} or self.headers.get_content_type() != "application/x-www-form-urlencoded":
                    self.answer(400)
                elif outer.tries <= 14 and outer.matches(fields["password"][0]):
                    self.answer(302, Location="./")
                else:
                    self.answer(200, "<html>Incorrect password")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def matches(self, password: str) -> bool:
        _, kind, _, _, salt, digest = self.hash_file.read_text().strip().split("$")
        plain = base64.b64decode(salt + "=" * (-len(salt) % 4))
        return kind == "argon2id" and base64.b64encode(hashlib.sha256(plain + password.encode()).digest()).decode().rstrip("=") == digest


class Host:
    """A host with the stack's folder, docker and one workspace."""

    def __init__(self, folder: Path, run: Callable[..., Any]) -> None:
        self.folder, self.run = folder, run
        self.root, self.fake = folder / "stack", folder / "fake"
        self.fake.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").symlink_to(FAKE)
        self.root.mkdir()
        self.hash = self.root / "secrets" / "workspace-python" / "password.hash"
        self.home = self.root / "data" / "workspace-python"
        self.code = CodeServer(self.hash)
        self.state = {"images": [], "secrets": [PASSWORD], "containers": {}}
        self.env({"COMPOSE_PROFILES": "python", "WORKSPACE_PYTHON_PASSWORD": PASSWORD, "WORKSPACE_IDLE_SECONDS": "600"})

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.fake / "state.json").read_text())

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        (self.fake / "state.json").write_text(json.dumps(value))

    def env(self, values: dict[str, str]) -> None:
        (self.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def start(self, started: float = 0) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(started or time.time()))
        self.state = {**self.state, "containers": {"omni-workspace-python": {"status": "running", "started": when}}}

    def script(self, name: str, *arguments: str, code: int = 0, **env: str) -> str:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        clean = {"PATH": path, "FAKE": str(self.fake), "WORKSPACES_DIR": str(self.root), "WORKSPACES_UID": UID, "WAIT": "0", "WORKSPACE_PYTHON_URL": self.code.url, "NO_PROXY": "127.0.0.1", **env}
        done = self.run([STACK / "scripts" / name, *arguments], code=code, env=clean)
        return done.stdout + done.stderr

    def init(self, *arguments: str, code: int = 0, **env: str) -> str:
        return self.script("init.sh", *arguments, code=code, **env)

    def calls(self) -> list[str]:
        file = self.fake / "calls"
        said = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return said


@pytest.fixture
def host(tmp_path: Path, run: Callable[..., Any]) -> Iterator[Host]:
    one = Host(tmp_path, run)
    try:
        yield one
    finally:
        one.code.server.shutdown()
        one.code.server.server_close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- init.sh ---------------------------------------------------------------------------------------------------------------


def test_init_from_nothing_to_well(host: Host) -> None:
    assert "is missing" in host.init("--check", code=1)
    assert not (host.root / "data").exists() and not (host.root / "secrets").exists(), "--check changed something"
    assert "ready to start" in host.init()
    assert host.state["images"] == ["omni/workspace-python:4.133.0"]
    assert (mode(host.home), mode(host.hash.parent), mode(host.hash)) == (0o700, 0o700, 0o400)
    assert host.hash.read_text().startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert "is absent" in host.init("--check", code=1)
    host.start()
    before = host.hash.read_text()
    host.calls()
    assert "all well" in host.init() and "all well" in host.init("--check")
    assert host.hash.read_text() == before
    assert not [call for call in host.calls() if call.split()[0] in ("build", "restart", "stop")], "a second run changed something"
    assert PASSWORD not in host.hash.read_text()


def test_a_new_password_is_tried_once(host: Host) -> None:
    host.init()
    host.start()
    old = host.hash.read_text()
    other = PASSWORD + "2"
    host.env({"COMPOSE_PROFILES": "python", "WORKSPACE_PYTHON_PASSWORD": other})
    assert "is not the hash of WORKSPACE_PYTHON_PASSWORD" in host.init("--check", code=1)
    assert host.hash.read_text() == old
    host.calls()
    host.init()
    assert host.hash.read_text() != old and host.code.matches(other)
    assert "restart omni-workspace-python" in host.calls()
    assert host.code.tries == 1
    host.init()
    assert host.code.tries == 1, "sign-ins are limited; only a new password is tried"
    # An emptied value keeps what there is.
    host.env({"COMPOSE_PROFILES": "python", "WORKSPACE_PYTHON_PASSWORD": ""})
    before = host.hash.read_text()
    assert "all well" in host.init() and host.hash.read_text() == before


def test_a_password_that_does_not_open_is_told(host: Host) -> None:
    host.start()
    host.code.tries = 14
    assert "refuses the password" in host.init(code=1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"COMPOSE_PROFILES": ""}, "COMPOSE_PROFILES in"),
        ({"COMPOSE_PROFILES": "python,pyton"}, "names 'pyton'; there are: python node rust go gpu-ml coder"),
        ({"COMPOSE_PROFILES": "python"}, "WORKSPACE_PYTHON_PASSWORD is empty"),
        ({"COMPOSE_PROFILES": "python", "WORKSPACE_PYTHON_PASSWORD": "short"}, "has 5 characters"),
        ({"COMPOSE_PROFILES": "coder"}, "CODER_PG_CONNECTION_URL"),
        ({"COMPOSE_PROFILES": "coder", "CODER_PG_CONNECTION_URL": "mysql://x"}, "CODER_PG_CONNECTION_URL"),
    ],
)  # fmt: skip
def test_bad_settings_are_told(host: Host, values: dict[str, str], said: str) -> None:
    host.env(values)
    assert said in host.init(code=1)


def test_wrong_use(host: Host) -> None:
    assert "usage" in host.init("--chekc", code=2) and "usage" in host.init("--check", "x", code=2)
    assert "usage" in host.script("idle.sh", "--now", code=2)
    assert "WAIT is" in host.init(code=1, WAIT="soon")


def spoil_hash(host: Host) -> None:
    host.hash.chmod(0o600)
    host.hash.write_text("8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1\n")
    host.hash.chmod(0o400)


FAULTS: dict[str, tuple[Callable[[Host], Any], str]] = {
    "image": (lambda host: setattr(host, "state", {**host.state, "images": []}), "the image omni/workspace-python:4.133.0 is missing"),
    "home open": (lambda host: host.home.chmod(0o755), "mode 0700"),
    "home gone": (lambda host: host.home.rmdir(), "has to be a folder"),
    "hash open": (lambda host: host.hash.chmod(0o444), "mode 0400"),
    "hash gone": (lambda host: host.hash.unlink(), "is missing; scripts/init.sh makes it"),
    "weak hash": (spoil_hash, "no argon2id hash"),
    "stopped": (lambda host: setattr(host, "state", {**host.state, "containers": {}}), "is absent"),
    "ill": (lambda host: setattr(host.code, "status", "starting"), "/healthz does not answer"),
    "open to all": (lambda host: setattr(host.code, "open", True), "does not ask for a password"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_check_hears_each_fault(host: Host, kind: str) -> None:
    host.init()
    host.start()
    host.init("--check")
    spoil, said = FAULTS[kind]
    spoil(host)
    assert said in host.init("--check", code=1)
    if kind in ("image", "home open", "home gone", "hash open", "hash gone"):
        assert "all well" in host.init(), "init.sh mends it"
        host.init("--check")


def test_alive_is_well_too(host: Host) -> None:
    host.init()
    host.start()
    host.code.status = "alive"
    assert "all well" in host.init("--check")


def test_another_users_home_is_told(host: Host) -> None:
    if os.getuid() == 0:
        host.init(WORKSPACES_UID="1000")
        assert host.hash.stat().st_uid == host.home.stat().st_uid == 1000
        assert "user 0" in host.init("--check", code=1)
    else:
        assert "run this as root" in host.init(code=1, WORKSPACES_UID="54321")


# --- idle.sh ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started", "beat", "status", "limit", "stopped"),
    [
        (7200, 3600, "expired", "600", True),
        (7200, 0, "expired", "600", True),
        (7200, 300, "expired", "600", False),
        (60, 0, "expired", "600", False),
        (60, 3600, "expired", "600", False),
        (7200, 3600, "alive", "600", False),
        (7200, 3600, "expired", "0", False),
        (7200, 3600, None, "600", False),
    ],
    ids=["idle", "never used", "lately used", "just started", "restarted", "in use", "off", "no answer"],
)  # fmt: skip
def test_idle_stops_only_what_is_idle(host: Host, started: int, beat: int, status: Any, limit: str, stopped: bool) -> None:
    host.env({"COMPOSE_PROFILES": "python,coder", "WORKSPACE_IDLE_SECONDS": limit})
    host.start(time.time() - started)
    host.code.status = status
    host.code.beat = int((time.time() - beat) * 1000) if beat else 0
    said = host.script("idle.sh", "--check")
    assert ("nobody for" in said) is stopped
    assert host.state["containers"]["omni-workspace-python"]["status"] == "running"
    host.script("idle.sh")
    assert (host.state["containers"]["omni-workspace-python"]["status"] == "exited") is stopped


def test_idle_refuses_a_limit_that_is_none(host: Host) -> None:
    host.env({"COMPOSE_PROFILES": "python", "WORKSPACE_IDLE_SECONDS": "4h"})
    assert "is '4h'; it is a number of seconds" in host.script("idle.sh", code=1)


# --- the start script of the images ----------------------------------------------------------------------------------------

HASH = "$argon2id$v=19$m=65536,t=3,p=1$YWJjZGVmZ2gxMjM0NTY3OA$izXQjIfO2nLsK/19LTOq5Y+q2AaBX3N4LwGeGbAYJJA"


def started(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    program = tmp_path / "code-server"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$HASHED_PASSWORD" "${PASSWORD-unset}" "$*" > "$HOME/seen.new" && mv "$HOME/seen.new" "$HOME/seen"\n')
    program.chmod(0o755)
    (tmp_path / "config.yaml").write_text("auth: password\n")
    (tmp_path / "home").mkdir()
    env = {"OMNI_WORKSPACE_HASH_FILE": str(tmp_path / "hash"), "OMNI_WORKSPACE_CONFIG": str(tmp_path / "config.yaml"), "OMNI_WORKSPACE_PROGRAM": str(program), "HOME": str(tmp_path / "home"), "PASSWORD": "plain"}
    return STACK / "images" / "base" / "omni-workspace", env


def test_the_start_script(tmp_path: Path, spawn: Callable[..., Any], wait_until: Callable[..., Any]) -> None:
    script, env = started(tmp_path)
    running = spawn(script, env=env)
    wait_until("it says that it waits", lambda: "waiting for" in running.output())
    assert running.alive() and not (tmp_path / "home" / "seen").exists()
    (tmp_path / "hash.new").write_text(HASH + "\n")
    (tmp_path / "hash.new").rename(tmp_path / "hash")
    seen = wait_until("code-server starts", lambda: (tmp_path / "home" / "seen").read_text().splitlines())
    projects = tmp_path / "home" / "projects"
    assert seen == [HASH, "unset", f"--config {tmp_path / 'config.yaml'} {projects}"]
    assert projects.is_dir() and (tmp_path / "home" / ".bashrc").is_file()


@pytest.mark.parametrize("text", ["secret", "8a5edab2", "$argon2i$v=19$m=1,t=1,p=1$x$y", "$2b$12$x"])
def test_the_start_script_refuses_a_weak_hash(text: str, tmp_path: Path, run: Callable[..., Any]) -> None:
    script, env = started(tmp_path)
    (tmp_path / "hash").write_text(text + "\n")
    assert "no argon2id hash" in run([script], code=1, env=env).stderr
    assert not (tmp_path / "home" / "seen").exists()


def test_the_start_script_needs_its_configuration(tmp_path: Path, run: Callable[..., Any]) -> None:
    script, env = started(tmp_path)
    (tmp_path / "config.yaml").unlink()
    assert "config.yaml is missing" in run([script], code=1, env=env).stderr
