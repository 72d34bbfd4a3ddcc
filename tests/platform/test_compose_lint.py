"""The linter itself: a stack that keeps the convention is silent, and each rule broken once is heard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from compose_lint import LABELS, REPO, UniqueKeyLoader, lint, load_catalogue, ours, programs_of, seconds, variables_of

COMPOSE = """\
x-logging: &default-logging
  driver: json-file
  options:
    max-size: "10m"
    max-file: "5"

services:
  gitea:
    image: gitea/gitea:1.27.2
    container_name: omni-gitea
    restart: unless-stopped
    logging: *default-logging
    environment:
      GITEA__database__PASSWD: ${GITEA_DB_PASSWORD:?}
      TOKEN_FILE: /run/secrets/token
    networks: [omni-quantum-network]
    ports:
      # SSH for git does not go through the proxy.
      - "${OMNI_BIND:-127.0.0.1}:2222:22"
    volumes:
      - ./data/gitea:/data
      - ./config/app.ini:/etc/app.ini:ro
    labels:
      omni.quantum.component: "gitea"
      omni.quantum.tier: "high"
      omni.quantum.critical: "false"
      prometheus.scrape: "true"
      prometheus.port: "3000"
    healthcheck:
      test: [CMD-SHELL, "curl -fsS -o /dev/null http://127.0.0.1:3000/api/healthz"]
      interval: 15s
      timeout: 10s
      retries: 5
      start_period: 30s
    deploy:
      resources:
        limits: {cpus: "1", memory: 1G}
        reservations: {cpus: "0.5", memory: 512M}

networks:
  omni-quantum-network:
    external: true
"""

ENV = """\
# What people may set.
#: default
OMNI_BIND=127.0.0.1
# Of the database role.
#: generate password 24
GITEA_DB_PASSWORD=
"""

INIT = "#!/usr/bin/env bash\nset -euo pipefail\n[ \"${1:-}\" = --check ] && exit 0\n"

CATALOGUE = load_catalogue()


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    folder = tmp_path / "compose" / "forge"
    for name, text in {
        "docker-compose.yml": COMPOSE, ".env.example": ENV, "config/app.ini": "[server]\n",
        "scripts/init.sh": INIT, "README.md": "# Forge\n```\ndrawing\n```\n",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "scripts/init.sh").chmod(0o755)
    return folder


def said(folder: Path) -> list[str]:
    return [str(finding) for finding in lint(folder, CATALOGUE)]


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text, f"{old!r} is not in {name}"
    (folder / name).write_text(text.replace(old, new, 1))


def test_a_stack_that_keeps_the_convention_is_silent(stack: Path) -> None:
    assert said(stack) == []


COMPOSE_CASES = [
    # what is written instead, and what is said
    ("x-logging: &default", "version: '3'\nx-logging: &default", "1: [head] the first key is `version`"),
    ("x-logging: &default", "version: '3'\nx-logging: &default", "1: [head] `version:` is obsolete"),
    ("x-logging: &default-logging\n", "volumes: {}\nx-logging: &default-logging\n", "1: [head] the first key is `volumes`"),
    ('max-size: "10m"', 'max-size: "10g"', "1: [head] x-logging is json-file"),
    ("    external: true", "    external: false", "[head] declare networks.omni-quantum-network with `external: true`"),
    ("    container_name: omni-gitea\n", "", "8: [container-name] `gitea` needs `container_name: omni-gitea`"),
    ("container_name: omni-gitea", "container_name: gitea", "10: [container-name]"),
    ("    logging: *default-logging\n", "", "[logging] `gitea` needs `logging: *default-logging`"),
    ("logging: *default-logging", "logging: {driver: json-file}", "12: [logging]"),
    ("restart: unless-stopped", "restart: always", "11: [restart] `gitea` needs `restart: unless-stopped`"),
    ("restart: unless-stopped", "restart: no", '11: [restart] `gitea`: write "no" in quotes'),
    ("    networks: [omni-quantum-network]\n", "", "[network] `gitea` is not on omni-quantum-network"),
    ("networks: [omni-quantum-network]", "network_mode: host", "[network] `gitea` is not on omni-quantum-network"),
    ("        limits: {cpus: \"1\", memory: 1G}\n", "", "[limits] `gitea` needs deploy.resources.limits: cpus and memory"),
    ("{cpus: \"0.5\", memory: 512M}", "{cpus: \"0.5\"}", "[limits] `gitea` needs deploy.resources.reservations: memory"),
    ("cpus: \"0.5\"", "cpus: 0.5", "[limits] `gitea`: deploy.resources.reservations.cpus is a string"),
    ("gitea/gitea:1.27.2", "gitea/gitea:1.27.1", "9: [image] `gitea`: gitea/gitea:1.27.1 is not the pin of `gitea`, gitea/gitea:1.27.2"),
    ("gitea/gitea:1.27.2", "gitea/gitea:latest", "9: [image] `gitea`: gitea/gitea:latest is not pinned"),
    ("gitea/gitea:1.27.2", "gitea/gitea", "9: [image] `gitea`: gitea/gitea is not pinned"),
    ("gitea/gitea:1.27.2", "gitea/gitea:${TAG:-1.27.2}", "9: [image] `gitea`: an image from a variable is not pinned"),
    ("    image: gitea/gitea:1.27.2\n", "", "8: [image] `gitea` has no image"),
    ("image: gitea/gitea:1.27.2", "image: omni/gitea", "9: [image] `gitea`: omni/gitea is not pinned"),
    ("image: gitea/gitea:1.27.2", "build: .\n    image: mine/gitea:1", "[image] `gitea` is built here: call it omni/<name>:<version>"),
    ("image: gitea/gitea:1.27.2", "build: ./build\n    image: omni/gitea:1.0", "9: [build] `gitea`: there is no ./build/Dockerfile"),
    ("    labels:\n      omni.quantum.component: \"gitea\"\n", "    labels:\n", "[labels] `gitea`: omni.quantum.component `None` is not in the catalogue"),
    ("component: \"gitea\"", "component: \"gitae\"", "24: [labels] `gitea`: omni.quantum.component `gitae` is not in the catalogue"),
    ("tier: \"high\"", "tier: \"medium\"", "25: [labels] `gitea`: omni.quantum.tier is `medium`, the catalogue says \"high\""),
    ("critical: \"false\"", "critical: \"true\"", "26: [labels] `gitea`: omni.quantum.critical is `true`"),
    ("critical: \"false\"", "critical: false", "26: [labels] `gitea`: the value of omni.quantum.critical is a string"),
    ("critical: \"false\"", "critical: \"false\"\n      omni.quantum.teir: \"high\"", "[labels] `gitea`: omni.quantum.teir is no label"),
    ("      prometheus.scrape: \"true\"\n      prometheus.port: \"3000\"\n", "", "[scrape] `gitea` has metrics: add `prometheus.scrape"),
    ("prometheus.port: \"3000\"", "prometheus.port: \"3001\"", "28: [scrape] `gitea`: prometheus.port is `3001`, the catalogue says \"3000\""),
    ("prometheus.port: \"3000\"", "prometheus.port: \"3000\"\n      prometheus.path: \"/m\"", "[scrape] `gitea`: metrics are at /metrics"),
    ("api/healthz\"]", "api/healthz\"]\n      test2: x\n      disable: true", "[health] `gitea`: healthcheck is disabled; say in a comment why"),
    ("curl -fsS", "nc -z", "[health] `gitea`: the check calls `nc`, which the catalogue does not find in the image"),
    ("curl -fsS", "true && nc -z", "[health] `gitea`: the check calls `nc`"),
    ("test: [CMD-SHELL, \"curl -fsS -o", "test: [CMD, python3, \"-o", "[health] `gitea`: the check calls `python3`"),
    ("      interval: 15s\n", "", "[health] `gitea`: healthcheck.interval is None, 15s everywhere"),
    ("timeout: 10s", "timeout: 1s", "32: [health] `gitea`: healthcheck.timeout is 1s, 10s everywhere"),
    ("retries: 5", "retries: 1", "[health] `gitea`: healthcheck.retries is 1"),
    ("start_period: 30s", "start_period: 5s", "[health] `gitea`: healthcheck.start_period is 5s; it needs 30s or more"),
    ("      # SSH for git does not go through the proxy.\n", "", "[ports] `gitea` publishes ${OMNI_BIND:-127.0.0.1}:2222:22: say in a comment why"),
    ("${OMNI_BIND:-127.0.0.1}:2222:22", "2222:22", "19: [ports] `gitea`: bind 2222:22 to an address that can be chosen"),
    ("${OMNI_BIND:-127.0.0.1}:2222:22", "127.0.0.1:2222:22", "19: [ports] `gitea`: bind"),
    ("./config/app.ini:/etc/app.ini:ro", "./config/app.ini:/etc/app.ini", "22: [volumes] `gitea`: ./config/app.ini is configuration; mount it :ro"),
    ("./config/app.ini:/etc/app.ini:ro", "./config/other.ini:/etc/app.ini:ro", "22: [volumes] `gitea` mounts ./config/other.ini, which is not there"),
    ("./config/app.ini:/etc/app.ini:ro", "/var/run/docker.sock:/var/run/docker.sock", "[volumes] `gitea` mounts /var/run/docker.sock of the host"),
    ("${GITEA_DB_PASSWORD:?}", "hunter2hunter2", "14: [secret] `gitea`: GITEA__database__PASSWD stands in the file"),
    ("${GITEA_DB_PASSWORD:?}", "${GITEA_DB_PASSWORD:-hunter2}", "14: [secret] `gitea`: GITEA__database__PASSWD has a default that everybody knows"),
    ("GITEA__database__PASSWD: ${GITEA_DB_PASSWORD:?}", "NAME: ${OTHER:-x}\n      P: ${GITEA_DB_PASSWORD}", "14: [env] ${OTHER} is not in .env.example"),
    ("restart: unless-stopped", "restart: unless-stopped\n    restart: always", "[yaml] the key `restart` stands twice"),
    ("services:", "services: [", "[yaml]"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), COMPOSE_CASES)
def test_each_rule_about_the_file(stack: Path, old: str, new: str, expected: str) -> None:
    change(stack, "docker-compose.yml", old, new)
    findings = said(stack)
    assert any(expected in finding for finding in findings), findings


def test_a_job_may_borrow_an_image_and_needs_no_reason_for_its_health(stack: Path) -> None:
    change(stack, "docker-compose.yml", "gitea/gitea:1.27.2", CATALOGUE["caddy"]["image"]["ref"])
    start, end = COMPOSE.index("    healthcheck:"), COMPOSE.index("    deploy:")
    change(stack, "docker-compose.yml", COMPOSE[start:end], "    healthcheck: {disable: true}\n")
    assert len(said(stack)) == 2, said(stack)
    change(stack, "docker-compose.yml", "restart: unless-stopped", 'restart: "no"')
    assert said(stack) == []
    change(stack, "docker-compose.yml", CATALOGUE["caddy"]["image"]["ref"], "busybox:1.37")
    assert any("[image] `gitea`: busybox:1.37 is not the pin of `gitea`" in finding for finding in said(stack))


def test_labels_have_their_values(stack: Path) -> None:
    change(stack, "docker-compose.yml", "      prometheus.port", "      prometheus.scheme: \"tls\"\n      prometheus.port")
    assert any("[labels] `gitea`: prometheus.scheme is one of http, https, not `tls`" in finding for finding in said(stack))


def test_a_missing_healthcheck_is_heard(stack: Path) -> None:
    text = COMPOSE[: COMPOSE.index("    healthcheck:")] + COMPOSE[COMPOSE.index("    deploy:") :]
    (stack / "docker-compose.yml").write_text(text)
    assert any("[health] `gitea` has no healthcheck" in finding for finding in said(stack))


def test_a_named_volume_is_heard(stack: Path) -> None:
    change(stack, "docker-compose.yml", "./data/gitea:/data", "gitea-data:/data")
    change(stack, "docker-compose.yml", "networks:\n  omni", "volumes:\n  gitea-data: {}\nnetworks:\n  omni")
    assert any("[volumes] `gitea`: named volume gitea-data" in finding for finding in said(stack))


def test_labels_as_a_list_are_heard(stack: Path) -> None:
    start, end = COMPOSE.index("    labels:"), COMPOSE.index("    healthcheck:")
    (stack / "docker-compose.yml").write_text(COMPOSE[:start] + "    labels: [omni.quantum.component=gitea]\n" + COMPOSE[end:])
    assert any("[labels] `gitea` needs labels as a map" in finding for finding in said(stack))


def test_reasons_in_comments_are_accepted(stack: Path) -> None:
    change(stack, "docker-compose.yml", "    networks: [omni-quantum-network]", "    # It watches the host's own addresses.\n    network_mode: host")
    change(stack, "docker-compose.yml", '      prometheus.port: "3000"', '      # A listener for metrics alone.\n      prometheus.port: "3001"')
    change(stack, "docker-compose.yml", "      - ./config/app.ini:/etc/app.ini:ro", "      # Actions start containers.\n      - /var/run/docker.sock:/var/run/docker.sock")
    start, end = COMPOSE.index("    healthcheck:"), COMPOSE.index("    deploy:")
    change(stack, "docker-compose.yml", COMPOSE[start:end], "    # Probed by blackbox.\n    healthcheck: {disable: true}\n")
    assert said(stack) == []


ENV_CASES = [
    ("#: default\nOMNI_BIND", "OMNI_BIND", ".env.example:2: [env] OMNI_BIND needs a line `#: …` directly above"),
    ("#: default\n", "#: default\n# between\n", "[env] OMNI_BIND needs a line"),
    ("generate password 24", "generate words 3", "6: [env] GITEA_DB_PASSWORD: `#: generate words 3` is none of"),
    ("GITEA_DB_PASSWORD=", "GITEA_DB_PASSWORD=hunter2", "6: [env] GITEA_DB_PASSWORD: its value comes from `generate password 24`; leave it empty"),
    ("GITEA_DB_PASSWORD=", "#: required\nGITEA_DB_PASSWORD=\n#: default\nUNUSED=1", "[env] nothing uses UNUSED"),
    ("GITEA_DB_PASSWORD=", "GITEA_DB_PASSWORD=\n#: default\nOMNI_BIND=1", "[env] OMNI_BIND stands twice"),
    ("#: generate password 24\nGITEA_DB_PASSWORD=", "", "[env] ${GITEA_DB_PASSWORD} is not in .env.example"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), ENV_CASES)
def test_each_rule_about_variables(stack: Path, old: str, new: str, expected: str) -> None:
    change(stack, ".env.example", old, new)
    findings = said(stack)
    assert any(expected in finding for finding in findings), findings


def test_a_value_taken_from_another_stack_must_be_there(stack: Path) -> None:
    other = stack.parent / "database"
    other.mkdir()
    (other / ".env.example").write_text("#: generate hex 32\nGITEA_PASSWORD=\n")
    change(stack, ".env.example", "generate password 24", "from database GITEA_PASSWORD")
    assert said(stack) == []
    change(stack, ".env.example", "GITEA_PASSWORD", "GITEA_PASS")
    assert any("[env] GITEA_DB_PASSWORD: database/.env.example has no GITEA_PASS" in finding for finding in said(stack))


def test_a_variable_that_only_a_script_reads_is_used(stack: Path) -> None:
    change(stack, ".env.example", "GITEA_DB_PASSWORD=", "GITEA_DB_PASSWORD=\n#: default\nGITEA_URL=http://omni-gitea:3000")
    assert any("nothing uses GITEA_URL" in finding for finding in said(stack))
    change(stack, "scripts/init.sh", "set -euo pipefail", "set -euo pipefail\n: \"${GITEA_URL:?}\"")
    assert said(stack) == []


FOLDER_CASES = [
    ("scripts/init.sh", None, "scripts/init.sh is missing"),
    ("scripts/init.sh", INIT.replace("set -euo pipefail", "set -e"), "needs set -euo pipefail"),
    ("scripts/init.sh", INIT.replace("/usr/bin/env bash", "/bin/sh"), "starts with #!/usr/bin/env bash"),
    ("scripts/init.sh", INIT.replace("--check", "--verify"), "has no --check"),
    ("README.md", None, "README.md is missing"),
    ("README.md", "# Forge\n", "README.md has no drawing"),
    (".env.example", None, ".env.example is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), FOLDER_CASES)
def test_each_rule_about_the_folder(stack: Path, name: str, text: str | None, expected: str) -> None:
    (stack / name).unlink()
    if text is not None:
        (stack / name).write_text(text)
        (stack / name).chmod(0o755)
    findings = said(stack)
    assert any(expected in finding for finding in findings), findings


def test_a_script_that_cannot_be_run_is_heard(stack: Path) -> None:
    (stack / "scripts/init.sh").chmod(0o644)
    assert any("scripts/init.sh is not executable" in finding for finding in said(stack))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN EC " + "PRIVATE KEY-----", "a private key"),
        ("AGE-SECRET-" + "KEY-1" + "Q" * 58, "an age identity"),
        ("AK" + "IA" + "A1B2C3D4E5F6G7H8", "an access key"),
        ("hv" + "s." + "a" * 24, "a token"),
        ("$2" + "a$14$" + "a" * 53, "a password hash"),
    ],
)
def test_secrets_are_heard_in_any_file(stack: Path, text: str, kind: str) -> None:
    change(stack, "config/app.ini", "[server]", f"[server]\nkey = {text}")
    assert f"forge/config/app.ini:2: [secret] this looks like {kind}; secrets are not in the repository" in said(stack)


def test_a_derived_tag_has_to_be_admitted(stack: Path) -> None:
    pin = CATALOGUE["prometheus"]["image"]
    assert pin["tag_seen"] is False, "choose another component with a derived tag"
    for old, new in [("gitea/gitea:1.27.2", pin["ref"]), ("component: \"gitea\"", "component: \"prometheus\""), ("\"3000\"", "\"9090\""), ("curl -fsS -o", "wget -q -O")]:
        change(stack, "docker-compose.yml", old, new)
    assert any("[image] `gitea`: the tag of prom/prometheus" in finding for finding in said(stack))
    change(stack, "README.md", "# Forge", "# Forge\nTag derived; resolve once before use.")
    assert said(stack) == []


def test_a_scrape_that_needs_a_credential_names_one(stack: Path) -> None:
    for old, new in [("gitea/gitea:1.27.2", CATALOGUE["litellm"]["image"]["ref"]), ("component: \"gitea\"", "component: \"litellm\""), ("\"3000\"", "\"4000\""), ("curl -fsS", "python3")]:
        change(stack, "docker-compose.yml", old, new)
    findings = said(stack)
    assert len(findings) == 1 and "[scrape] `gitea`: its metrics need a credential" in findings[0], findings
    change(stack, "docker-compose.yml", "      prometheus.port", "      prometheus.auth: \"litellm\"\n      prometheus.port")
    assert said(stack) == []


def test_what_has_no_metrics_is_not_scraped(stack: Path) -> None:
    for old, new in [("gitea/gitea:1.27.2", CATALOGUE["wikijs"]["image"]["ref"]), ("component: \"gitea\"", "component: \"wikijs\""), ("\"high\"", "\"medium\"")]:
        change(stack, "docker-compose.yml", old, new)
    findings = said(stack)
    assert len(findings) == 1 and "[scrape] `gitea`: the catalogue knows no metrics of `wikijs`" in findings[0], findings


@pytest.mark.parametrize(
    ("test", "programs"),
    [
        (["CMD", "ollama", "list"], ["ollama"]),
        (["CMD-SHELL", "wget -q http://x && cscli lapi status || exit 1"], ["wget", "cscli"]),
        (["CMD-SHELL", "bash -c ': > /dev/tcp/127.0.0.1/6333'"], ["bash"]),
        (["CMD-SHELL", "wget --spider -q http://x; [ $$? -le 8 ]"], ["wget"]),
        (["CMD-SHELL", "redis-cli -a \"$$P\" ping | grep -q PONG"], ["redis-cli", "grep"]),
        (["CMD-SHELL", "A=1 curl -f 'http://x/?a=1&b=2' > /dev/null 2>&1"], ["curl"]),
        (["CMD", "sh", "-c", "nc -z 127.0.0.1 80"], ["sh", "nc"]),
        ("pg_isready -U x", ["pg_isready"]),
        (["CMD-SHELL", "if curl -f x; then exit 0; else exit 1; fi"], ["curl"]),
    ],
)  # fmt: skip
def test_the_programs_of_a_check(test: object, programs: list[str]) -> None:
    assert programs_of(test) == programs


def test_what_a_host_keeps_is_not_ours() -> None:
    names = {"compose/secrets/README.md": True, "compose/secrets/scripts/init.sh": True, "compose/secrets/secrets/key": False,
             "compose/backup/data/x/y": False, "compose/backup/.env": False, "compose/ci/config/data/x": True, "tests/platform/__pycache__/x": False}  # fmt: skip
    assert {name: ours(REPO / name) for name in names} == names


def test_durations_and_variables() -> None:
    assert [seconds(text) for text in ("30s", "1m30s", "2m", "1h", "x", "")] == [30, 90, 120, 3600, None, None]
    assert variables_of("a: ${ONE} $TWO ${THREE:-x} $$FOUR $${FIVE}\n# ${SIX}") == {"ONE", "TWO", "THREE"}


def test_the_checks_of_the_catalogue_use_tools_it_lists() -> None:
    unlisted = {
        name: program
        for name, component in CATALOGUE.items()
        for program in programs_of(component["health"].get("command"))
        if Path(program).name not in {Path(tool).name for tool in component["health"].get("tools", [])}
    }
    assert unlisted == {}


def test_double_keys_are_refused_also_in_the_catalogue() -> None:
    with pytest.raises(Exception, match="`a` stands twice"):
        UniqueKeyLoader("a: 1\na: 2\n").get_single_data()


def test_as_a_command_it_prints_findings_and_fails(stack: Path) -> None:
    def call() -> subprocess.CompletedProcess[str]:
        script = REPO / "tests/platform/compose_lint.py"
        return subprocess.run([sys.executable, script, str(stack)], capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    assert (call().returncode, call().stdout) == (0, "")
    change(stack, "docker-compose.yml", "tier: \"high\"", "tier: \"low\"")
    assert call().returncode == 1
    assert "forge/docker-compose.yml:25: [labels]" in call().stdout


def test_the_labels_are_those_that_the_crate_writes() -> None:
    written = set()
    for line in (REPO / "compose/catalogue/src/component.rs").read_text().splitlines():
        written |= {word for word in line.split('"') if word.startswith(("omni.quantum.", "prometheus."))}
    assert written and written <= LABELS
