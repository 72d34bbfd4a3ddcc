"""Every stack under compose/: the convention, the specification, Compose of 2021 and Compose of today."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from compose_lint import REPO, Stack, lint, load_catalogue, load_yaml, stacks

CATALOGUE = load_catalogue()
STACKS = stacks()
each_stack = pytest.mark.parametrize("folder", STACKS, ids=[folder.name for folder in STACKS])

# What Debian's docker-compose 1.29.2 (2021) does not know: path of a key (* is any name, # any index) and why a stack may
# use it all the same. Taken out before 1.29 is asked; test_1_29_really_refuses keeps the table honest.
NEWER_KEYS: dict[tuple[str, ...], str] = {
    ("name",): "the project's own name, since the specification of late 2021",
    ("services", "*", "healthcheck", "start_interval"): "quicker checks while starting, needs Engine 25",
    ("services", "*", "depends_on", "*", "required"): "a dependency in a profile that is off, since Compose 2.20",
    ("services", "*", "depends_on", "*", "restart"): "restart together, since Compose 2.17",
    ("services", "*", "develop"): "file watching, since Compose 2.22",
    ("services", "*", "gpus"): "short form of a GPU request, since Compose 2.30",
    ("services", "*", "cgroup"): "the host's cgroup namespace, which an agent needs on cgroup v2; since Compose 2.15",
    ("services", "*", "annotations"): "annotations of the container",
    ("services", "*", "attach"): "whether `up` follows its log, since Compose 2.20",
    ("configs", "*", "content"): "a small file written in the compose file, since Compose 2.23",
}
# An example of each, so that the table can be tried against the real program.
NEWER_EXAMPLES: dict[tuple[str, ...], str] = {
    ("name",): "name: x\nservices: {a: {image: 'a:1'}}",
    ("services", "*", "healthcheck", "start_interval"): "services: {a: {image: 'a:1', healthcheck: {test: [CMD, x], start_interval: 1s}}}",
    ("services", "*", "depends_on", "*", "required"): "services: {a: {image: 'a:1', depends_on: {b: {condition: service_started, required: false}}}, b: {image: 'b:1'}}",
    ("services", "*", "depends_on", "*", "restart"): "services: {a: {image: 'a:1', depends_on: {b: {condition: service_started, restart: true}}}, b: {image: 'b:1'}}",
    ("services", "*", "develop"): "services: {a: {image: 'a:1', develop: {watch: []}}}",
    ("services", "*", "gpus"): "services: {a: {image: 'a:1', gpus: all}}",
    ("services", "*", "cgroup"): "services: {a: {image: 'a:1', cgroup: host}}",
    ("services", "*", "annotations"): "services: {a: {image: 'a:1', annotations: {x: y}}}",
    ("services", "*", "attach"): "services: {a: {image: 'a:1', attach: false}}",
    ("configs", "*", "content"): "services: {a: {image: 'a:1', configs: [c]}}\nconfigs: {c: {content: x}}",
}


def without_newer_keys(data: Any, path: tuple[str, ...] = ()) -> Any:
    """A compose file as 1.29 can read it."""
    if isinstance(data, list):
        return [without_newer_keys(item, (*path, "#")) for item in data]
    if not isinstance(data, dict):
        return data

    def known(key: str) -> bool:
        here = (*path, key)
        return not any(len(newer) == len(here) and all(n in ("*", h) for n, h in zip(newer, here, strict=True)) for newer in NEWER_KEYS)

    return {key: without_newer_keys(value, (*path, key)) for key, value in data.items() if known(key)}


def env_for(folder: Path) -> str:
    """An .env as deploy/setup.sh would fill it: everything that needs a value has one."""
    lines = []
    for _, name, value, directive in Stack(folder).example:
        lines.append(f"{name}={value or ('' if directive == 'default' else 'value-for-a-test')}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a stack with its .env; the repository stays untouched."""

    def make(folder: Path) -> Path:
        target = tmp_path / "compose" / folder.name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("data", "secrets", ".env"))
        (target / ".env").write_text(env_for(folder))
        return target

    return make


@pytest.fixture(scope="module")
def specification() -> jsonschema.Draft7Validator:
    """The compose specification as check-jsonschema ships it."""
    file = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(file.read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_there_are_stacks() -> None:
    assert STACKS, "no compose/*/docker-compose.yml: the tests below would check nothing"


@each_stack
def test_the_convention(folder: Path) -> None:
    findings = lint(folder, CATALOGUE)
    assert not findings, "\n" + "\n".join(map(str, findings))


# One break of each kind, tried on the real files: (pattern, what is written instead, rule that has to speak).
BREAKS = {
    "wrong tier": (r'omni\.quantum\.tier: "\w+"', 'omni.quantum.tier: "odd"', "labels"),
    "unknown component": (r'omni\.quantum\.component: "[\w-]+"', 'omni.quantum.component: "nobody"', "labels"),
    "latest": (r"^(    image: [^:\s]+):\S+$", r"\1:latest", "image"),
    "unknown tool": (r"^( +)test: .*(\n\1  .*)*$", r"\1test: [CMD, no-such-tool]", "health"),
    "no logging": (r"^    logging: \*default-logging\n", "", "logging"),
    "no restart": (r"^    restart: .*\n", "", "restart"),
    "another name": (r"container_name: omni-", "container_name: x-", "container-name"),
    "open port": (r"\$\{\w*BIND\w*:-[0-9.]+\}:", "", "ports"),
    "unknown variable": (r"\$\{[A-Z][A-Z0-9_]*", "${NOBODY_KNOWS_THIS", "env"),
    "no limits": (r"^ +limits: .*(\n {10}.*)*\n", "", "limits"),
}


@pytest.mark.parametrize("kind", BREAKS)
@each_stack
def test_breaking_the_real_file_is_heard(folder: Path, kind: str, tmp_path: Path) -> None:
    pattern, instead, rule = BREAKS[kind]
    target = tmp_path / "compose" / folder.name
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("data", "secrets", ".env", "node_modules"))
    file = target / "docker-compose.yml"
    before = {(finding.rule, finding.what) for finding in lint(target, CATALOGUE)}
    text, count = re.subn(pattern, instead, file.read_text(), count=1, flags=re.MULTILINE)
    if count == 0 and kind == "open port":
        return  # a stack need not publish anything
    assert count == 1, f"nothing to break: {pattern}"
    file.write_text(text)
    after = {(finding.rule, finding.what) for finding in lint(target, CATALOGUE)}
    assert rule in {rule for rule, _ in after - before}


@each_stack
def test_the_specification(folder: Path, specification: jsonschema.Draft7Validator) -> None:
    data = load_yaml((folder / "docker-compose.yml").read_text())
    wrong = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in specification.iter_errors(data)]
    assert not wrong, "\n" + "\n".join(wrong)


@each_stack
def test_compose_of_today(folder: Path, compose_v5: Path, run: Callable[..., Any], copied: Callable[[Path], Path]) -> None:
    target = copied(folder)
    done = run([compose_v5, "--profile", "*", "config", "--no-path-resolution", "--format", "json"], cwd=target)
    assert "variable is not set" not in done.stderr, done.stderr
    model = json.loads(done.stdout)
    assert set(model["services"]) == set(Stack(folder).services)
    for name, service in model["services"].items():
        assert service["container_name"] == f"omni-{name}"


@each_stack
def test_compose_of_2021(folder: Path, compose_v1: Path, run: Callable[..., Any], copied: Callable[[Path], Path]) -> None:
    target = copied(folder)
    data = load_yaml((target / "docker-compose.yml").read_text())
    older = without_newer_keys(copy.deepcopy(data))
    (target / "docker-compose.yml").write_text(yaml.safe_dump(older, sort_keys=False))
    done = run([compose_v1, "config", "--quiet"], cwd=target, timeout=300)
    assert "variable is not set" not in done.stderr, done.stderr
    if older != data:
        assert re.search(r"Compose v?2", (folder / "README.md").read_text()), "it uses keys newer than 1.29: README.md has to say that it needs Compose v2 or newer"


@pytest.mark.parametrize("key", NEWER_KEYS, ids=[".".join(key) for key in NEWER_KEYS])
def test_1_29_really_refuses(key: tuple[str, ...], compose_v1: Path, compose_v5: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(NEWER_EXAMPLES[key])
    refused = run([compose_v1, "-f", file, "config", "--quiet"], code=None, cwd=tmp_path, timeout=300)
    assert refused.returncode != 0, f"1.29 accepts {'.'.join(key)}: take it off the table"
    run([compose_v5, "-p", "x", "-f", file, "config", "--quiet"], cwd=tmp_path)
    file.write_text(yaml.safe_dump(without_newer_keys(yaml.safe_load(NEWER_EXAMPLES[key]))))
    run([compose_v1, "-f", file, "config", "--quiet"], cwd=tmp_path, timeout=300)


@each_stack
def test_what_was_verified(folder: Path) -> None:
    file = folder / "verified.yaml"
    assert file.is_file(), "verified.yaml says what was tried against the real program and what only agrees with its documentation"
    entries = load_yaml(file.read_text())
    assert isinstance(entries, list) and entries, "a list of {what, how, test}"
    for entry in entries:
        assert set(entry) == {"what", "how", "test"}, entry
        assert entry["how"] in ("real", "documentation"), entry
        assert entry["what"] and isinstance(entry["what"], str), entry
        if entry["test"] is None:
            assert entry["how"] == "documentation", f"verified against the real program by no test: {entry['what']}"
            continue
        for name in entry["test"] if isinstance(entry["test"], list) else [entry["test"]]:
            path, _, function = name.partition("::")
            assert (REPO / path).is_file(), f"no file {path} (for: {entry['what']})"
            if function:
                text = (REPO / path).read_text()
                assert re.search(rf"^\s*(async )?def {re.escape(function.split('[')[0])}\b", text, re.MULTILINE), f"no test {name}"


def test_no_two_stacks_share_a_container_or_a_port() -> None:
    names: dict[str, str] = {}
    ports: dict[str, str] = {}
    for folder in STACKS:
        stack = Stack(folder)
        for service, body in stack.services.items():
            name = body.get("container_name", service)
            assert name not in names, f"{name}: in {names.get(name)} and in {folder.name}"
            names[name] = folder.name
            for port in body.get("ports") or []:
                if isinstance(port, dict):
                    continue
                # Host side of address:host:container[/protocol], with variables at their defaults.
                plain = re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", port)
                host, protocol = plain.split(":")[-2], plain.partition("/")[2] or "tcp"
                place = f"{host}/{protocol}"
                # A port of the loopback address and one of all addresses collide as well.
                assert ports.get(place, folder.name) == folder.name or "$" in place, f"port {place}: in {ports[place]} and in {folder.name}"
                ports[place] = folder.name
