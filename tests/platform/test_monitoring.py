"""compose/monitoring: what render.sh writes is valid for the real Prometheus, the real Prometheus and Alertmanager run
with it, targets get the labels that rules and dashboards count on, and init.sh notices what is broken.

Real: prometheus, promtool, prometheus-alertmanager, prometheus-blackbox-exporter (Debian 12), caddy (hash-password).
Fakes: Grafana, an omni controller, the exporters.
"""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import REPO, Spawner, find_binary, wait_until
from fakes import grafana as fake_grafana
from fakes import omni_scrape

STACK = REPO / "compose" / "monitoring"
ALERTS = REPO / "alerts"
DASHBOARDS = REPO / "dashboards" / "grafana" / "json"
PASSWORD = "invented-password-of-the-test"
TOKEN = "invented-viewer-token"

COMPOSE = yaml.safe_load((STACK / "docker-compose.yml").read_text())


# --- rendering -------------------------------------------------------------------------------------------------------


@dataclass
class Rendered:
    """A run of render.sh in a folder of its own."""

    folder: Path
    code: int
    said: str

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.out / "prometheus.yml").read_text())

    def jobs(self) -> dict[str, dict[str, Any]]:
        return {job["job_name"]: job for job in self.config()["scrape_configs"]}

    def local(self, replace: dict[str, str] | None = None) -> Path:
        """The same configuration with the paths of this machine, and with other addresses if asked."""
        text = (self.out / "prometheus.yml").read_text()
        paths = {
            "/etc/prometheus/rendered": str(self.out),
            "/etc/prometheus/scrape": str(self.folder / "scrape"),
            "/etc/prometheus/rules": str(self.folder / "rules"),
            "/etc/prometheus/uptime": str(REPO / "compose" / "uptime"),
        }
        for old, new in paths.items():
            text = text.replace(old, new)
        # Addresses move where they are targets; in a rule of relabelling they are what is to be tested.
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "targets:" in line or "__address__, replacement" in line:
                for old, new in (replace or {}).items():
                    line = line.replace(old, new)
                lines[number] = line
        text = "\n".join(lines) + "\n"
        file = self.folder / "prometheus.yml"
        file.write_text(text)
        return file


def alpine_tools(folder: Path) -> Path:
    """A folder with what busybox brings, and no other program."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        busybox = find_binary("busybox")
        names = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True, timeout=30).stdout.split()
        for name in names:
            (tools / name).symlink_to(busybox)
    return tools


def render(folder: Path, *, scrape: dict[str, str] | None = None, password: str = PASSWORD, **env: str) -> Rendered:
    (folder / "scrape").mkdir(parents=True, exist_ok=True)
    for name, text in (scrape or {}).items():
        (folder / "scrape" / name).write_text(text)
    (folder / "password").write_text(password + "\n" if password else "")
    if not (folder / "rules").exists():
        shutil.copytree(ALERTS / "prometheus", folder / "rules", ignore=shutil.ignore_patterns("tests"))
    done = subprocess.run(
        [str(find_binary("busybox")), "sh", str(STACK / "scripts" / "render.sh")],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            # The shell and the tools of Alpine, where the container runs it; nothing else can be found.
            "PATH": str(alpine_tools(folder)),
            "HOME": str(folder),
            "RENDER_IN": str(STACK / "config" / "prometheus"),
            "RENDER_OUT": str(folder / "out"),
            "RENDER_SCRAPE": str(folder / "scrape"),
            "RENDER_PASSWORD_FILE": str(folder / "password"),
            "RENDER_CADDY": str(find_binary("caddy")),
            "OMNI_HOST": "web-1",
            **env,
        },
    )
    return Rendered(folder, done.returncode, done.stdout + done.stderr)


OMNI = {"omni.token": TOKEN, "omni.ca": "not read by these tests"}
EVERYTHING = {
    "OMNI_CONTROLLERS": "c1.example:7601,c2.example:7601",
    "COMPOSE_PROFILES": "thanos,gpu,pgbouncer,mysql",
    "PROMETHEUS_MAX_BLOCK": "2h",
    "PROMETHEUS_OUT_OF_ORDER": "10m",
    "REMOTE_WRITE_URL": "https://metrics.example/api/v1/write",
    "STATIC_COMPONENTS": "loki,openbao,litellm",
}


def certificate_authority(folder: Path) -> tuple[Path, Path, Path]:
    """A root, and a certificate for 127.0.0.1 that it signed: root, certificate, key."""
    openssl = find_binary("openssl")
    root, root_key, cert, key, csr = (folder / name for name in ("root.pem", "root.key", "cert.pem", "cert.key", "csr.pem"))
    extension = folder / "extension"
    extension.write_text("subjectAltName=IP:127.0.0.1\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
        ["req", "-x509", *curve, "-keyout", root_key, "-out", root, "-days", "2", "-subj", "/CN=test root"],
        ["req", *curve, "-keyout", key, "-out", csr, "-subj", "/CN=controller"],
        ["x509", "-req", "-in", csr, "-CA", root, "-CAkey", root_key, "-CAcreateserial", "-out", cert, "-days", "2", "-extfile", extension],
    ):
        subprocess.run([str(openssl), *map(str, command)], check=True, capture_output=True, timeout=60)
    return root, cert, key


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(find_binary("promtool")), *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("env", [{}, EVERYTHING, {"STATIC_COMPONENTS": "gitea qdrant,caddy"}], ids=["plain", "everything", "by-name"])
def test_the_rendered_configuration_is_valid(tmp_path: Path, env: dict[str, str]) -> None:
    root, _, _ = certificate_authority(tmp_path)
    scrape = {"omni.token": TOKEN, "omni.ca": root.read_text(), "litellm.token": "t", "gitea.token": "t", "rest.user": "metrics", "rest.password": "p"}
    done = render(tmp_path, scrape=scrape, **env)
    assert done.code == 0, done.said
    # All of it: credentials, certificates, target files and every rule file are looked at.
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", done.local())
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert promtool("check", "web-config", done.out / "web.yml").returncode == 0
    assert "${" not in (done.out / "prometheus.yml").read_text()
    assert (done.out / "password").read_text() == PASSWORD
    assert (done.out / "password").stat().st_mode & 0o777 == 0o400


def test_each_job_says_what_a_target_may_cost(tmp_path: Path) -> None:
    jobs = render(tmp_path, scrape=OMNI | {"litellm.token": "t"}, **EVERYTHING).jobs()
    assert {"omni", "omni-containers", "omni-containers-litellm", "dcgm-exporter", "thanos-sidecar", "loki"} <= set(jobs)
    for name, job in jobs.items():
        assert job.get("sample_limit"), f"job {name} takes any number of samples"


def test_rendering_twice_changes_nothing_but_the_hash(tmp_path: Path) -> None:
    first = render(tmp_path, STATIC_COMPONENTS="loki")
    before = {file.name: file.read_text() for file in first.out.rglob("*.yml") if file.name != "web.yml"}
    (first.out / "targets" / "blackbox-old.yml").write_text("[]")
    again = render(tmp_path, STATIC_COMPONENTS="loki")
    assert again.code == 0, again.said
    assert {file.name: file.read_text() for file in again.out.rglob("*.yml") if file.name != "web.yml"} == before


@pytest.mark.parametrize(
    ("env", "scrape", "message"),
    [
        ({"OMNI_HOST": ""}, {}, "OMNI_HOST is empty"),
        ({"OMNI_HOST": 'x", y: "z'}, {}, "only letters, digits"),
        ({"SCRAPE_INTERVAL": "often"}, {}, "not a duration"),
        ({"OMNI_CONTROLLERS": "c1:7601"}, {}, "secrets/scrape/omni.token is missing"),
        ({"OMNI_CONTROLLERS": "c1"}, OMNI, "'c1' has no port"),
        ({"STATIC_COMPONENTS": "mattermost"}, {}, "'mattermost' is not in config/prometheus/components.tsv"),
        ({"STATIC_COMPONENTS": "litellm"}, {}, "no credential litellm"),
        ({"COMPOSE_PROFILES": "thanos"}, {}, "PROMETHEUS_MAX_BLOCK=2h"),
        ({"REMOTE_WRITE_URL": "https://me:secret@x/write"}, {}, "user and password do not go into the URL"),
        ({"SCRAPE_UNPUBLISHED": "yes"}, {}, "local or all"),
        ({"OMNI_CONTROLLERS": "c1:7601"}, OMNI | {"rest.user": "metrics"}, "no rest.password beside it"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_a_reason(tmp_path: Path, env: dict[str, str], scrape: dict[str, str], message: str) -> None:
    good = render(tmp_path)
    before = (good.out / "prometheus.yml").read_text()
    done = render(tmp_path, scrape=scrape, **env)
    assert done.code == 1, done.said
    assert message in done.said
    # What runs goes on with what it has.
    assert (good.out / "prometheus.yml").read_text() == before


def test_controllers_that_the_omni_stack_told_are_scraped_unless_said_otherwise(tmp_path: Path) -> None:
    told = OMNI | {"omni.controllers": "c1.example:7601\nomni-omni:7601\n"}

    def targets(**env: str) -> list[str] | None:
        job = render(tmp_path, scrape=told, **env).jobs().get("omni")
        return job and job["static_configs"][0]["targets"]

    assert targets() == ["c1.example:7601", "omni-omni:7601"]
    assert targets(OMNI_CONTROLLERS="c3.example:7601") == ["c3.example:7601"]
    assert targets(OMNI_CONTROLLERS="none") is None


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    done = render(tmp_path, password="")
    assert done.code == 1
    assert "PROMETHEUS_PASSWORD" in done.said


def test_components_by_name_agree_with_the_catalogue() -> None:
    catalogue: dict[str, dict[str, Any]] = {}
    for file in sorted((REPO / "compose" / "catalogue" / "systems").glob("*.yaml")):
        for component in yaml.safe_load(file.read_text()).get("components", []):
            catalogue[component["name"]] = component
    rows = [line.split("\t") for line in (STACK / "config/prometheus/components.tsv").read_text().splitlines() if not line.startswith("#")]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    # OpenBao's stack has a listener of its own for metrics.
    ours = yaml.safe_load((REPO / "compose/secrets/docker-compose.yml").read_text()) if (REPO / "compose/secrets/docker-compose.yml").is_file() else None
    if ours:
        labels = ours["services"]["openbao"]["labels"]
        assert labels["prometheus.port"] == "8210" and labels.get("prometheus.path", "").startswith("/v1/sys/metrics")
    for name, tier, port, scheme, path, auth in rows:
        entry = catalogue[name]
        metrics = entry["metrics"]
        assert metrics["kind"] == "native", name
        assert tier == entry["tier"], name
        assert path == metrics["path"], name
        assert port == ("8210" if name == "openbao" else str(metrics["port"])), name
        assert scheme == ("https" if name == "restic-rest-server" else metrics.get("scheme", "http")), name
        if metrics["access"] == "required":
            assert auth != "-", f"{name} needs a credential"
    here = {"prometheus", "alertmanager", "grafana", "omni", "blackbox-exporter", "postgres-exporter", "redis-exporter", "node-exporter", "cadvisor"}
    # Superseded parts have no row: their replacement has.
    listed = {row[0] for row in rows} | here | {"promtail", "watchtower-fork", "minio-fork"}
    native = {name for name, entry in catalogue.items() if entry.get("metrics", {}).get("kind") == "native"}
    assert native - listed == set(), "components with metrics that cannot be scraped by name"


def test_static_jobs_are_the_containers_of_this_stack(tmp_path: Path) -> None:
    """A container that says `static` is dropped by discovery, so a static job must have it, on its port."""
    jobs = render(tmp_path, scrape=OMNI, **(EVERYTHING | {"STATIC_COMPONENTS": ""})).jobs()
    for name, service in COMPOSE["services"].items():
        labels = service["labels"]
        if "omni.quantum.scrape" not in labels:
            continue
        job = jobs[labels["omni.quantum.component"]]
        group = job["static_configs"][0]
        address = "host.docker.internal" if service.get("network_mode") == "host" else service["container_name"]
        assert group["targets"] == [f"{address}:{labels['prometheus.port']}"], name
        assert group["labels"]["tier"] == labels["omni.quantum.tier"], name
        assert group["labels"]["instance"] == f"web-1/{service['container_name']}", name


# --- blackbox ----------------------------------------------------------------------------------------------------------


def test_blackbox_knows_every_module_that_a_target_names(tmp_path: Path) -> None:
    file = STACK / "config/blackbox/blackbox.yml"
    checked = subprocess.run(
        [str(find_binary("prometheus-blackbox-exporter")), "--config.check", f"--config.file={file}"], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    modules = set(yaml.safe_load(file.read_text())["modules"])
    done = render(tmp_path)
    for targets in [*(done.out / "targets").glob("*.yml"), REPO / "compose/uptime/blackbox-targets.yml"]:
        for group in yaml.safe_load(targets.read_text()):
            assert group["labels"]["module"] in modules, f"{targets.name}: {group}"
            assert {"component", "tier", "system"} <= set(group["labels"]), f"{targets.name}: {group}"


def test_blackbox_probes_for_real(spawn: Spawner, free_port: Callable[[], int], tmp_path: Path) -> None:
    """The modules that can be tried on a loopback say yes to what is well and no to what is not."""

    def site(path: str, _query: object, headers: dict[str, str]) -> omni_scrape.Answer:
        if path == "/private":
            ok = headers.get("Authorization") == "Basic " + base64.b64encode(f"omni:{PASSWORD}".encode()).decode()
            return (200 if ok else 401), "text/plain", ""
        return {"/ok": 200, "/sealed": 503, "/login": 403}[path], "text/plain", "hello"

    (tmp_path / "password").write_text(PASSWORD)
    config = (STACK / "config/blackbox/blackbox.yml").read_text().replace("/run/secrets/prometheus_password", str(tmp_path / "password"))
    (tmp_path / "blackbox.yml").write_text(config)
    port = free_port()
    flags = [flag for flag in COMPOSE["services"]["blackbox-exporter"]["command"] if not flag.startswith("--config.file")]
    # 0.23 reads the offset as a number as well; the format of log lines is the same flag.
    exporter = spawn(find_binary("prometheus-blackbox-exporter"), f"--config.file={tmp_path / 'blackbox.yml'}", f"--web.listen-address=127.0.0.1:{port}", *flags)
    exporter.listening(port)

    def probe(module: str, target: str) -> bool:
        query = urllib.parse.urlencode({"module": module, "target": target})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/probe?{query}", timeout=30) as answer:
            return "\nprobe_success 1\n" in answer.read().decode()

    with omni_scrape.serve(site) as web:
        url = f"http://127.0.0.1:{web}"
        assert probe("http_2xx", f"{url}/ok")
        assert not probe("http_2xx", f"{url}/login")
        assert probe("http_reachable", f"{url}/login")
        assert not probe("http_reachable", f"{url}/sealed")
        assert probe("http_basic_auth", f"{url}/private")
        assert not probe("http_2xx", f"{url}/private")
        assert not probe("http_site", f"{url}/ok"), "http_site must insist on TLS"
        assert not probe("http_redirects_to_https", f"{url}/ok")
        assert probe("tcp_connect", f"127.0.0.1:{web}")
        assert not probe("tcp_connect", f"127.0.0.1:{free_port()}")
        assert not probe("tls_internal", f"127.0.0.1:{web}")


# --- the stack, running --------------------------------------------------------------------------------------------------

EXPORTER = "# TYPE exporter_up gauge\nexporter_up 1\n"
CADVISOR = """# TYPE container_last_seen gauge
container_last_seen{container_label_omni_quantum_component="gitea",container_label_omni_quantum_tier="high",id="/docker/0123",image="gitea:1",name="omni-gitea"} 1
container_last_seen{container_label_omni_quantum_component="",container_label_omni_quantum_tier="",id="/system.slice/ssh.service",image="",name=""} 1
container_last_seen{container_label_omni_quantum_component="",container_label_omni_quantum_tier="",id="/",image="",name=""} 1
"""
CONTROLLER = """# TYPE omni_host_up gauge
omni_host_up{host="db-1"} 1
# TYPE omni_container_running gauge
omni_container_running{host="db-1",container="omni-postgresql",component="postgresql"} 1
# TYPE omni_raft_is_leader gauge
omni_raft_is_leader 1
"""


@dataclass
class Stack:
    """Prometheus and Alertmanager as shipped, a fake Grafana, and what init.sh needs to know of them."""

    folder: Path
    prometheus: str
    alertmanager: str
    grafana: fake_grafana.Grafana
    rules: Path
    alertmanager_file: Path
    secrets: Path
    pids: dict[str, int]
    targets: list[dict[str, object]] = field(default_factory=list)

    def ask(self, path: str, **query: str) -> Any:
        login = base64.b64encode(f"omni:{PASSWORD}".encode()).decode()
        text = urllib.parse.urlencode(query)
        request = urllib.request.Request(f"{self.prometheus}{path}?{text}", headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def series(self, expression: str) -> list[dict[str, str]]:
        return [item["metric"] for item in self.ask("/api/v1/query", query=expression)["result"]]

    def init(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        reload = self.folder / "reload.sh"
        reload.write_text("#!/bin/sh\n" + "".join(f'[ "$1" != {name} ] || exec kill -HUP {pid}\n' for name, pid in self.pids.items()) + "exit 1\n")
        reload.chmod(0o755)
        return subprocess.run(
            [str(find_binary("bash")), str(STACK / "scripts/init.sh"), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "PROMETHEUS_API": self.prometheus,
                "ALERTMANAGER_API": self.alertmanager,
                "GRAFANA_API": self.grafana.url,
                "RULES_DIR": str(self.rules),
                "ALERTMANAGER_FILE": str(self.alertmanager_file),
                "SECRETS_DIR": str(self.secrets),
                "ENV_FILE": str(self.folder / "env"),
                "RELOAD": str(reload),
                "WAIT": "60",
                **env,
            },
        )


def receivers_of(file: Path) -> list[str]:
    return [receiver["name"] for receiver in yaml.safe_load(file.read_text())["receivers"]]


def stand_in(shipped: Path, file: Path) -> Path:
    """Alertmanager's shipped receivers without where they lead: 0.25 lacks some kinds, and a test tells nobody anything."""
    names = receivers_of(shipped)
    file.write_text(yaml.safe_dump({"route": {"receiver": names[0]}, "receivers": [{"name": name} for name in names]}))
    return file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("monitoring")
    spawner = Spawner(folder)
    root, cert, key = certificate_authority(folder)
    targets: list[dict[str, object]] = []

    def exporter(path: str, query: dict[str, list[str]], headers: dict[str, str]) -> omni_scrape.Answer:
        text = "text/plain; version=0.0.4"
        if path == "/probe":
            return 200, text, "# TYPE probe_success gauge\nprobe_success 1\n"
        if path == "/v1/sys/metrics":
            return (200, text, "vault_core_unsealed 1\n") if query == {"format": ["prometheus"]} else (400, text, "")
        if path == "/secret":
            return (200, text, EXPORTER) if headers.get("Authorization") == "Bearer invented-key" else (401, text, "")
        return (200, text, EXPORTER) if path in ("/metrics", "/own/path") else (404, text, "")

    def measured(path: str, *_: object) -> omni_scrape.Answer:
        return 200, "text/plain; version=0.0.4", CADVISOR

    with (
        omni_scrape.serve(exporter) as plain,
        omni_scrape.serve(measured) as cadvisor,
        omni_scrape.serve(omni_scrape.controller(TOKEN, lambda: targets, CONTROLLER), (cert, key)) as api,
        fake_grafana.grafana("invented-admin-password", {json.loads(file.read_text())["uid"] for file in DASHBOARDS.rglob("*.json")}) as graf,
    ):
        pick = _ports()
        prometheus_port, alertmanager_port = next(pick), next(pick)
        targets += [
            omni_scrape.target(f"127.0.0.1:{plain}", "db-1", "omni-gitea", {"omni.quantum.component": "gitea", "omni.quantum.tier": "high", "prometheus.scrape": "true", "prometheus.path": "/own/path"}, published=True),
            omni_scrape.target(f"127.0.0.1:{plain}", "web-1", "omni-openbao", {"omni.quantum.component": "openbao", "omni.quantum.tier": "critical", "prometheus.scrape": "true", "prometheus.path": "/v1/sys/metrics?format=prometheus"}, published=False),
            omni_scrape.target(f"127.0.0.1:{plain}", "db-1", "omni-litellm", {"omni.quantum.component": "litellm", "omni.quantum.tier": "high", "prometheus.scrape": "true", "prometheus.path": "/secret", "prometheus.auth": "litellm"}, published=True),
            omni_scrape.target(f"127.0.0.1:{plain}", "db-1", "nameless", {"prometheus.scrape": "true"}, published=True),
            # Left out: published nowhere, and on another host.
            omni_scrape.target("172.18.0.9:9187", "db-1", "omni-hidden", {"omni.quantum.component": "hidden", "prometheus.scrape": "true"}, published=False),
            # Left out: a static job has it.
            omni_scrape.target(f"127.0.0.1:{plain}", "web-1", "omni-grafana", {"omni.quantum.component": "grafana", "prometheus.scrape": "true", "omni.quantum.scrape": "static"}, published=False),
            # cAdvisor of another host.
            omni_scrape.target(f"127.0.0.1:{cadvisor}", "db-1", "omni-cadvisor", {"omni.quantum.component": "cadvisor", "omni.quantum.tier": "standard", "prometheus.scrape": "true"}, published=True),
        ]
        scrape = {"omni.token": TOKEN, "omni.ca": root.read_text(), "litellm.token": "invented-key"}
        done = render(folder, scrape=scrape, OMNI_CONTROLLERS=f"127.0.0.1:{api}")
        assert done.code == 0, done.said
        moved = {
            "omni-prometheus:9090": f"127.0.0.1:{prometheus_port}",
            "omni-alertmanager:9093": f"127.0.0.1:{alertmanager_port}",
            "omni-cadvisor:8080": f"127.0.0.1:{cadvisor}",
        }
        moved |= {one: f"127.0.0.1:{plain}" for one in ("omni-grafana:3000", "omni-blackbox-exporter:9115", "omni-postgres-exporter:9187", "omni-redis-exporter:9121", "host.docker.internal:9100")}
        file = done.local(moved)
        # Faster, or the test would wait for the clock.
        text = re.sub(r"scrape_interval: \S+", "scrape_interval: 1s", file.read_text())
        text = re.sub(r"scrape_timeout: \S+", "scrape_timeout: 1s", text)
        file.write_text(re.sub(r"refresh_interval: \S+", "refresh_interval: 1s", text))

        flags = {
            "--config.file": str(file),
            "--web.config.file": str(done.out / "web.yml"),
            "--storage.tsdb.path": str(folder / "tsdb"),
        }
        command = _command("prometheus", flags)
        prometheus = spawner(find_binary("prometheus"), *command, f"--web.listen-address=127.0.0.1:{prometheus_port}")
        shipped = ALERTS / "alertmanager" / "alertmanager.yml"
        own = stand_in(shipped, folder / "alertmanager.yml")
        alertmanager = spawner(
            find_binary("prometheus-alertmanager"),
            *_command("alertmanager", {"--config.file": str(own), "--storage.path": str(folder / "alertmanager")}),
            f"--web.listen-address=127.0.0.1:{alertmanager_port}",
        )
        prometheus.listening(prometheus_port)
        alertmanager.listening(alertmanager_port)
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "prometheus_password").write_text(PASSWORD)
        (secrets / "grafana_admin_password").write_text("invented-admin-password")
        try:
            yield Stack(
                folder, f"http://127.0.0.1:{prometheus_port}", f"http://127.0.0.1:{alertmanager_port}", graf, folder / "rules", shipped, secrets,
                {"prometheus": prometheus.process.pid, "alertmanager": alertmanager.process.pid}, targets,
            )
        finally:
            spawner.stop_all()


def _ports() -> Iterator[int]:
    """Ports of 127.0.0.1 that nobody has, all different."""
    held = []
    for _ in range(2):
        held.append(socket.socket())
        held[-1].bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    yield from ports


def _command(service: str, moved: dict[str, str]) -> list[str]:
    """The flags of docker-compose.yml with its defaults, and with the paths of the test."""
    flags = []
    for flag in COMPOSE["services"][service]["command"]:
        flag = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", flag)
        name = flag.partition("=")[0]
        flags.append(f"{name}={moved[name]}" if name in moved else flag)
    assert set(moved) <= {flag.partition("=")[0] for flag in flags}
    return flags


def test_prometheus_wants_its_password(stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{stack.prometheus}/api/v1/query?query=up", timeout=30)
    assert refused.value.code == 401


def test_targets_from_discovery_get_the_platforms_labels(stack: Stack) -> None:
    def up() -> dict[str, dict[str, str]]:
        found = {series["instance"]: series for series in stack.series("up == 1")}
        assert {"db-1/omni-gitea", "web-1/omni-openbao", "db-1/omni-litellm", "db-1/nameless", "db-1/omni-cadvisor"} <= set(found)
        return found

    found = wait_until("discovered targets are up", up)
    assert isinstance(found, dict)
    gitea = {key: value for key, value in found["db-1/omni-gitea"].items() if key != "__name__"}
    assert gitea == {"job": "gitea", "component": "gitea", "tier": "high", "host": "db-1", "container": "omni-gitea", "instance": "db-1/omni-gitea"}
    assert found["web-1/omni-openbao"]["tier"] == "critical"
    assert found["db-1/nameless"]["job"] == found["db-1/nameless"]["component"] == "nameless"
    # Asked with its own credential, by the job of that credential, and by no other.
    pools = {target["scrapePool"] for target in stack.ask("/api/v1/targets")["activeTargets"] if target["labels"]["job"] == "litellm"}
    assert pools == {"omni-containers-litellm"}


def test_what_cannot_be_reached_or_is_static_is_left_out(stack: Stack) -> None:
    def active(component: str) -> list[dict[str, Any]]:
        return [target for target in stack.ask("/api/v1/targets")["activeTargets"] if target["labels"]["component"] == component]

    grafana = wait_until("Grafana is a target", lambda: [target["scrapePool"] for target in active("grafana") if target["labels"]["job"] == "grafana"])
    assert grafana == ["grafana"]
    wait_until("discovery was asked", lambda: active("gitea"))
    assert active("hidden") == []


def test_series_of_omni_keep_the_host_they_are_about(stack: Stack) -> None:
    def series() -> list[dict[str, str]]:
        found = stack.series("omni_container_running")
        assert found
        return found

    found = wait_until("omni is scraped", series)
    assert isinstance(found, list)
    assert {key: found[0].get(key) for key in ("host", "container", "component", "tier", "job")} == {
        "host": "db-1", "container": "omni-postgresql", "component": "postgresql", "tier": None, "job": "omni",
    }
    assert stack.series("omni_raft_is_leader")[0]["component"] == "omni"


@pytest.mark.parametrize("host", ["web-1", "db-1"], ids=["static", "discovered"])
def test_cadvisor_series_belong_to_the_container_measured(stack: Stack, host: str) -> None:
    found = wait_until("cAdvisor is scraped", lambda: stack.series(f'container_last_seen{{host="{host}"}}'))
    assert isinstance(found, list)
    by_container = {series.get("container"): series for series in found}
    gitea = by_container["omni-gitea"]
    assert (gitea["component"], gitea["tier"], gitea["job"]) == ("gitea", "high", "cadvisor")
    assert not {key for key in gitea if key in ("id", "name", "image") or key.startswith("container_label_")}
    # The host itself stays, slices of systemd do not.
    assert sorted(series.get("id", "") for series in found) == ["", "/"]


def test_probes_carry_module_and_target(stack: Stack) -> None:
    found = wait_until("probes run", lambda: stack.series('probe_success{component="docker"}'))
    assert isinstance(found, list)
    assert {key: found[0][key] for key in ("job", "instance", "module", "tier", "host", "system")} == {
        "job": "blackbox", "instance": "127.0.0.11", "module": "dns_docker", "tier": "critical", "host": "web-1", "system": "10",
    }
    # Prometheus wants a password from everybody, so its probe brings one, whoever listed it.
    modules = {
        target["labels"]["module"]
        for target in stack.ask("/api/v1/targets")["activeTargets"]
        if target["labels"]["job"] == "blackbox" and target["labels"]["instance"].startswith("http://omni-prometheus:9090/")
    }
    assert modules == {"http_basic_auth"}


def test_discovery_that_fails_keeps_the_last_list(stack: Stack) -> None:
    """What a controller without a leader answers must not empty the list; the URL asks for stale reads as well."""
    urls = [sd["url"] for sd in yaml.safe_load((stack.folder / "out/prometheus.yml").read_text())["scrape_configs"][-1]["http_sd_configs"]]
    assert all(url.endswith("?consistency=stale") for url in urls)


# --- init.sh -------------------------------------------------------------------------------------------------------------


def test_init_passes_and_may_run_again(stack: Stack) -> None:
    for _ in range(2):
        done = stack.init()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all well" in done.stdout
    done = stack.init("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    # Named, because it is silent otherwise: a container that wants to be scraped and cannot be.
    assert "publish no port" in done.stderr
    assert not stack.grafana.accounts


def test_init_makes_one_token(stack: Stack) -> None:
    for _ in range(2):
        done = stack.init("--token")
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(stack.grafana.accounts.values()) == ["omni"]
    assert len(stack.grafana.token_names()) == 1
    file = stack.secrets / "grafana_omni_token"
    assert file.stat().st_mode & 0o777 == 0o600
    # A token that was revoked is replaced, and no second account is made.
    file.write_text("revoked")
    assert stack.init("--token").returncode == 0
    assert list(stack.grafana.accounts.values()) == ["omni"] and len(stack.grafana.token_names()) == 2


@pytest.mark.parametrize("arguments", [["--verify"], ["--check", "--token"]])
def test_init_used_wrongly(stack: Stack, arguments: list[str]) -> None:
    assert stack.init(*arguments).returncode == 2


def test_init_notices_a_broken_rule(stack: Stack) -> None:
    broken = stack.rules / "zz-broken.yml"
    broken.write_text("groups: [{name: x, rules: [{record: 'a', expr: 'sum('}]}]\n")
    try:
        done = stack.init()
        assert done.returncode == 1
        assert "refuses the configuration or a rule file" in done.stderr and "promtool check rules" in done.stderr
    finally:
        broken.unlink()
    assert stack.init().returncode == 0


def test_init_notices_a_rule_file_that_is_not_loaded(stack: Stack) -> None:
    late = stack.rules / "zz-late.yml"
    late.write_text("groups: [{name: late, rules: [{record: 'late:x', expr: 'vector(1)'}]}]\n")
    try:
        done = stack.init("--check")
        assert done.returncode == 1
        assert "has not loaded: zz-late.yml" in done.stderr
        assert stack.init().returncode == 0, "the reload brings it in"
    finally:
        late.unlink()
        assert stack.init().returncode == 0


def test_init_notices_what_is_wrong_with_grafana(stack: Stack) -> None:
    g = stack.grafana

    def refused(message: str) -> None:
        done = stack.init("--check")
        assert done.returncode == 1, done.stdout
        assert message in done.stderr

    g.datasources.discard("loki")
    refused("no datasource with the uid loki")
    g.datasources.add("loki")
    g.sick.add("prometheus")
    refused("Grafana cannot ask Prometheus")
    g.sick.clear()
    g.sick.add("loki")
    done = stack.init("--check")
    assert done.returncode == 0 and "start the stack `logs`" in done.stderr
    g.sick.clear()
    g.dashboards.discard("omni-overview")
    refused("Grafana lacks dashboards: omni-overview")
    g.dashboards.add("omni-overview")
    g.database = "failing"
    refused("Grafana at")
    g.database = "ok"
    (stack.secrets / "grafana_admin_password").write_text("another")
    refused("reset-admin-password")
    (stack.secrets / "grafana_admin_password").write_text("invented-admin-password")
    assert stack.init("--check").returncode == 0


def test_init_notices_what_is_missing(stack: Stack, free_port: Callable[[], int], tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    def refused(message: str, **env: str) -> None:
        done = stack.init("--check", WAIT="1", **env)
        assert done.returncode == 1, done.stdout
        assert message in done.stderr, done.stderr

    refused("Prometheus at", PROMETHEUS_API=nobody)
    refused("Alertmanager at", ALERTMANAGER_API=nobody)
    refused("Grafana at", GRAFANA_API=nobody)
    refused("dcgm-exporter is not scraped", MUST_BE_UP="prometheus dcgm-exporter")
    refused("no receiver", ALERTMANAGER_FILE=str(_file(tmp_path / "empty.yml", "route: {}\n")))
    refused("Alertmanager has not these receivers: pager", ALERTMANAGER_FILE=str(_file(tmp_path / "more.yml", "receivers:\n  - name: pager\n")))
    refused("holds no dashboard", DASHBOARDS_DIR=str(tmp_path))
    (tmp_path / "nothing").mkdir()
    refused("holds no rule file", RULES_DIR=str(tmp_path / "nothing"))
    refused("is missing or empty", SECRETS_DIR=str(tmp_path))
    env = _file(tmp_path / "env", "PROMETHEUS_PASSWORD=changed-afterwards\n")
    refused("PROMETHEUS_PASSWORD in .env is not what lies in secrets", ENV_FILE=str(env))


def test_init_says_that_the_password_is_wrong(stack: Stack) -> None:
    (stack.secrets / "prometheus_password").write_text("another")
    try:
        done = stack.init("--check")
        assert done.returncode == 1 and "turns our password away" in done.stderr
    finally:
        (stack.secrets / "prometheus_password").write_text(PASSWORD)


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_init_reads_every_shipped_receiver(stack: Stack) -> None:
    """init.sh finds the names without a YAML parser; the parser says whether it found all."""
    said = stack.init("--check").stdout
    line = next(line for line in said.splitlines() if line.startswith("alertmanager:"))
    assert line.split("receivers ")[1].split() == sorted(receivers_of(ALERTS / "alertmanager/alertmanager.yml"))


# --- Grafana's files --------------------------------------------------------------------------------------------------------


def test_datasources_have_the_uids_that_dashboards_use() -> None:
    files = [STACK / "config/grafana/provisioning/datasources/metrics.yaml", REPO / "compose/logs/config/grafana/loki-datasource.yaml"]
    sources = {source["uid"]: source for file in files for source in yaml.safe_load(file.read_text())["datasources"]}
    assert set(sources) == {"prometheus", "alertmanager", "loki"}
    assert [uid for uid, source in sources.items() if source.get("isDefault")] == ["prometheus"]
    # What the files take from the environment, the container has.
    environment = set(COMPOSE["services"]["grafana"]["environment"])
    for file in files:
        code = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
        for name in re.findall(r"(?<!\$)\$\{?([A-Z][A-Z_]+)", code):
            assert name in environment, f"{file.name} uses ${name}"
        for path in re.findall(r"\$__file\{/run/secrets/([a-z_]+)\}", code):
            assert path in COMPOSE["services"]["grafana"]["secrets"]
    # A correlation leads to a datasource that is there.
    for source in sources.values():
        for correlation in source.get("correlations", []):
            assert correlation["targetUID"] in sources


def test_the_home_dashboard_exists() -> None:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(STACK / "config/grafana/grafana.ini")
    home = ini["dashboards"]["default_home_dashboard_path"]
    assert (DASHBOARDS / home.removeprefix("/etc/grafana/dashboards/")).is_file()
