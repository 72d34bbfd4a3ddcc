"""What every test of the platform may use: paths, programs, free ports, and processes that always end.

Nothing here skips. A program that is missing is a failure which names the package that brings it, because a
check that silently did not run looks exactly like one that passed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
VENV_BIN = Path(sys.executable).parent

# Who brings a program: a Debian package, or requirements.txt.
PACKAGES = {
    "age": "age",
    "age-keygen": "age",
    "amtool": "prometheus-alertmanager",
    "bash": "bash",
    "caddy": "caddy",
    "curl": "curl",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "htpasswd": "apache2-utils",
    "initdb": "postgresql",
    "jq": "jq",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "pg_ctl": "postgresql",
    "pg_dump": "postgresql-client",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "psql": "postgresql-client",
    "rclone": "rclone",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "restic": "restic",
    "shellcheck": "shellcheck",
    "ssss-combine": "ssss",
    "ssss-split": "ssss",
}
FROM_PYPI = {"hadolint"}
# Debian puts the server programs of PostgreSQL beside PATH.
EXTRA_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)

# Files that take minutes, the longest first: one of them that begins last keeps one processor busy and leaves the others idle.
LONG = [
    "test_ci.py",
    "test_backup.py",
    "test_uptime.py",
    "test_secrets.py",
    "test_setup.py",
    "test_alerts.py",
    "test_setup_mesh.py",
    "test_proxy.py",
    "test_monitoring.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONG)))



def find_binary(name: str) -> Path:
    """The path of a program; fails the test with the package to install when there is none."""
    if name in FROM_PYPI:
        found = VENV_BIN / name
        if found.is_file():
            return found
        pytest.fail(f"{name} is not in {VENV_BIN}: pip install -r tests/platform/requirements.txt", pytrace=False)
    # The virtual environment is left out: it carries another docker-compose under the same name.
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if Path(p).resolve() != VENV_BIN.resolve())
    found_on_path = shutil.which(name, path=path)
    if found_on_path:
        return Path(found_on_path)
    for folder in EXTRA_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    package = PACKAGES.get(name)
    how = f"apt-get install --no-install-recommends {package}" if package else "it belongs to no package that this frame knows"
    pytest.fail(f"{name} is not installed: {how} (deploy/packages.sh test installs everything)", pytrace=False)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def binary() -> Callable[[str], Path]:
    """binary("promtool") is its path; a missing program fails the test and names the package."""
    return find_binary


@pytest.fixture(scope="session")
def compose_v5() -> Path:
    """Docker Compose of today, from requirements.txt."""
    found = VENV_BIN / "docker-compose"
    if not found.is_file():
        pytest.fail(f"docker-compose is not in {VENV_BIN}: pip install -r tests/platform/requirements.txt", pytrace=False)
    return found


@pytest.fixture(scope="session")
def compose_v1() -> Path:
    """Debian's docker-compose 1.29, which some hosts still run."""
    found = find_binary("docker-compose")
    said = subprocess.run([found, "version", "--short"], capture_output=True, text=True, timeout=60).stdout.strip()
    if not said.startswith("1.29."):
        pytest.fail(f"{found} is version {said}, not Debian's 1.29: the table of keys it lacks was made for that", pytrace=False)
    return found


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of 127.0.0.1 that nothing listens on. Each call gives another one."""
    given: set[int] = set()

    def pick() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return pick


def wait_until(what: str, condition: Callable[[], object], deadline: float = 60.0) -> object:
    """The first true value of condition(). Gives up after a generous deadline, saying what never happened."""
    end = time.monotonic() + deadline
    last: BaseException | None = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (OSError, AssertionError, ValueError, LookupError) as error:
            last = error
        time.sleep(0.05)
    pytest.fail(f"not within {deadline:.0f} s: {what}" + (f" (last: {last})" if last else ""), pytrace=False)


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., object]:
    """wait_until("what", condition, deadline): polls a value; tests do not sleep."""
    return wait_until


@dataclass
class Running:
    """A process of a test with its log."""

    process: subprocess.Popen[bytes]
    log: Path
    name: str

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        """Fails with the last lines of its log when it has ended."""
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.output().splitlines()[-20:])
            pytest.fail(f"{self.name} ended with {code}:\n{tail}", pytrace=False)
        return True

    def listening(self, port: int, deadline: float = 60.0) -> None:
        """Waits until it accepts connections on a port of 127.0.0.1."""

        def answers() -> bool:
            self.alive()
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True

        wait_until(f"{self.name} listens on {port}", answers, deadline)

    def stop(self) -> int:
        """Asks it to end, insists after ten seconds, and waits until it is gone."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        return self.process.wait(10)

    def _signal(self, number: int) -> None:
        # The process leads a group of its own, so its children go with it and nobody else does.
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


@dataclass
class Spawner:
    """Starts processes in a folder of the test and ends all of them."""

    folder: Path
    started: list[Running] = field(default_factory=list)

    def __call__(self, *command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Running:
        name = Path(command[0]).name
        log = self.folder / f"{len(self.started)}-{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd or self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        running = Running(process, log, name)
        self.started.append(running)
        return running

    def stop_all(self) -> None:
        for running in reversed(self.started):
            running.stop()


def _end_with_parent() -> None:
    # PR_SET_PDEATHSIG: also when pytest itself is killed, nothing of it stays behind.
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawner]:
    """spawn("prometheus", "--flag") starts a program with its log in tmp_path and ends it after the test."""
    spawner = Spawner(tmp_path)
    try:
        yield spawner
    finally:
        spawner.stop_all()


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """run([...], code=0): a command that has to end with that code within `timeout`; its output is the message if not."""

    def call(
        command: list[str | Path], *, code: int | None = 0, timeout: float = 120, env: dict[str, str] | None = None,
        cwd: Path | None = None, stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=timeout, cwd=cwd or REPO,
            env={**os.environ, **(env or {})}, input=stdin if stdin is not None else "",
        )
        if code is not None and done.returncode != code:
            pytest.fail(
                f"`{' '.join(map(str, command))}` ended with {done.returncode}, not {code}\n{done.stdout}{done.stderr}",
                pytrace=False,
            )
        return done

    return call
