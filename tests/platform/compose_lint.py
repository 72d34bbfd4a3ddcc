"""The convention of every stack under compose/, as rules.

    python tests/platform/compose_lint.py                  every stack
    python tests/platform/compose_lint.py compose/logs     these

Each finding says where, what is wrong, and what would be right. README.md beside this file tells people the
convention; this file holds the stacks to it. What a component looks like (tier, image, ports, tools) comes from the catalogue.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
SYSTEMS = REPO / "compose" / "catalogue" / "systems"
NETWORK = "omni-quantum-network"
LOGGING = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
TIMES = {"interval": "15s", "timeout": "10s", "retries": 5}
SHORTEST_START = 30
# Labels that mean something to omni, to deploy/setup.sh or to Prometheus. Anything else under these names is a typing error.
LABELS = {
    "omni.quantum.component", "omni.quantum.tier", "omni.quantum.critical", "omni.quantum.network",
    "omni.quantum.setup.gate", "omni.quantum.scrape", "prometheus.scrape", "prometheus.port", "prometheus.path", "prometheus.scheme",
    "prometheus.auth",
}  # fmt: skip
# Labels with a closed set of values.
VALUES = {
    "omni.quantum.network": {"private", "host", "none"},  # on purpose not on the platform's network
    "omni.quantum.scrape": {"static"},  # scraped by a job of its own, so discovery leaves it out
    "prometheus.scrape": {"true", "false"},
    "prometheus.scheme": {"http", "https"},
}
# What a shell brings along itself; a check may use it wherever there is a shell at all.
SHELL_WORDS = {":", "[", "test", "true", "false", "exit", "exec", "echo", "read", "printf", "if", "then", "else", "fi", "!", "set", "cd", "kill"}
DIRECTIVES = (
    r"generate hex \d+", r"generate base64 \d+", r"generate password \d+", r"required", r"default",
    r"from [a-z0-9/-]+ [A-Z][A-Z0-9_]*",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Finding:
    """One thing against the convention."""

    file: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {self.what}"


# The parser in C, where PyYAML was built with it: the catalogue alone is some 6,000 lines.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UniqueKeyLoader(SafeLoader):
    """YAML in which a key that stands twice is an error, not a silent choice of the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key `{name}` stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """A document, with double keys refused."""
    return yaml.load(text, UniqueKeyLoader)  # noqa: S506 - a SafeLoader


def load_catalogue(folder: Path = SYSTEMS) -> dict[str, dict[str, Any]]:
    """Components by name; each knows its system's number."""
    components: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.yaml")):
        system = load_yaml(file.read_text())
        for component in system["components"]:
            components[component["name"]] = {**component, "system": system["system"]}
    return components


@dataclass
class Stack:
    """A folder of compose/ with what the rules ask about it."""

    folder: Path
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def compose(self) -> Path:
        return self.folder / "docker-compose.yml"

    @cached_property
    def lines(self) -> list[str]:
        return self.compose.read_text().splitlines()

    @cached_property
    def data(self) -> dict[str, Any]:
        return load_yaml(self.compose.read_text())

    @cached_property
    def places(self) -> dict[tuple[str, ...], int]:
        """Where each key and list item stands: path to line, from 1."""
        places: dict[tuple[str, ...], int] = {}

        def walk(node: yaml.Node, path: tuple[str, ...]) -> None:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    here = (*path, str(key.value))
                    places[here] = key.start_mark.line + 1
                    walk(value, here)
            elif isinstance(node, yaml.SequenceNode):
                for index, item in enumerate(node.value):
                    here = (*path, str(index))
                    places[here] = item.start_mark.line + 1
                    walk(item, here)

        root = yaml.compose(self.compose.read_text(), SafeLoader)
        if root is not None:
            walk(root, ())
        return places

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return self.data.get("services") or {}

    @cached_property
    def example(self) -> list[tuple[int, str, str, str | None]]:
        """.env.example as (line, name, value, directive)."""
        file = self.folder / ".env.example"
        if not file.is_file():
            return []
        found, directive = [], None
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.startswith("#:"):
                directive = line[2:].strip()
            elif match := re.match(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$", line):
                found.append((number, match[1], match[2], directive))
                directive = None
            else:
                directive = None
        return found

    def place(self, *path: str | int) -> int:
        """The line of a key, or of the nearest parent that is there."""
        keys = tuple(map(str, path))
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, 1)

    def comment_at(self, *path: str | int) -> bool:
        """Whether a comment stands on the line of a key, or directly above it."""
        line = self.place(*path) - 1
        if re.search(r"(^|\s)#\s*\S", _without_strings(self.lines[line])):
            return True
        return line > 0 and self.lines[line - 1].lstrip().startswith("#")

    def comment_within(self, *path: str) -> bool:
        """Whether a comment stands at a key, above it, or in the block below it."""
        if self.comment_at(*path):
            return True
        start = self.place(*path) - 1
        indent = len(self.lines[start]) - len(self.lines[start].lstrip())
        for line in self.lines[start + 1 :]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                return False
            if line.lstrip().startswith("#"):
                return True
        return False

    def wrong(self, rule: str, what: str, *path: str | int) -> None:
        self.wrong_in(self.compose, self.place(*path), rule, what)

    def wrong_in(self, file: Path, line: int, rule: str, what: str) -> None:
        name = str(file.relative_to(REPO)) if file.is_relative_to(REPO) else str(file.relative_to(self.folder.parent))
        self.findings.append(Finding(name, line, rule, what))


def _without_strings(line: str) -> str:
    return re.sub(r"\"[^\"]*\"|'[^']*'", '""', line)


Rule = Callable[[Stack, dict[str, dict[str, Any]]], None]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    """Adds a rule about a whole stack."""
    RULES.append(check)
    return check


def each_service(check: Callable[[Stack, str, dict[str, Any], dict[str, Any] | None], None]) -> Rule:
    """Adds a rule about one service; the last argument is its component, where the label names a known one."""

    def over_all(stack: Stack, catalogue: dict[str, dict[str, Any]]) -> None:
        for name, service in stack.services.items():
            check(stack, name, service, catalogue.get(labels_of(service).get("omni.quantum.component", "")))

    RULES.append(over_all)
    return over_all


def labels_of(service: dict[str, Any]) -> dict[str, Any]:
    labels = service.get("labels")
    return labels if isinstance(labels, dict) else {}


def one_shot(service: dict[str, Any]) -> bool:
    """A job that runs and ends."""
    return service.get("restart") in ("no", False)


# --- the file as a whole -------------------------------------------------------------------------------------------


@rule
def head(stack: Stack, _: dict[str, dict[str, Any]]) -> None:
    keys = list(stack.data)
    if "version" in keys:
        stack.wrong("head", "`version:` is obsolete; leave it out", "version")
    first = next((key for key in keys if key != "name"), None)
    if first != "x-logging":
        stack.wrong("head", f"the first key is `{first}`; it is `x-logging: &default-logging` in every stack", first or "")
    elif stack.data["x-logging"] != LOGGING:
        stack.wrong("head", 'x-logging is json-file with max-size "10m" and max-file "5"', "x-logging")
    network = (stack.data.get("networks") or {}).get(NETWORK)
    if not isinstance(network, dict) or network.get("external") is not True:
        stack.wrong("head", f"declare networks.{NETWORK} with `external: true`", "networks", NETWORK)
    if not stack.services:
        stack.wrong("head", "no services", "services")


@each_service
def frame_of_service(stack: Stack, name: str, service: dict[str, Any], _: Any) -> None:
    here = ("services", name)
    if service.get("container_name") != f"omni-{name}":
        stack.wrong("container-name", f"`{name}` needs `container_name: omni-{name}`", *here, "container_name")
    if service.get("logging") != LOGGING or "*default-logging" not in _block(stack, name, "logging"):
        stack.wrong("logging", f"`{name}` needs `logging: *default-logging`", *here, "logging")
    restart = service.get("restart")
    if restart is False:
        stack.wrong("restart", f'`{name}`: write "no" in quotes; a bare no is the value false', *here, "restart")
    elif restart not in ("unless-stopped", "no"):
        stack.wrong("restart", f'`{name}` needs `restart: unless-stopped`, or "no" if it is a job', *here, "restart")
    networks = service.get("networks") or []
    if NETWORK not in networks and not _explained_network(stack, name, service):
        stack.wrong("network", f"`{name}` is not on {NETWORK}: put it there, or say in a comment above `networks` or `network_mode` why not", *here, "networks")
    for part in ("limits", "reservations"):
        resources = ((service.get("deploy") or {}).get("resources") or {}).get(part) or {}
        lacking = [key for key in ("cpus", "memory") if not resources.get(key)]
        if lacking:
            stack.wrong("limits", f"`{name}` needs deploy.resources.{part}: {' and '.join(lacking)}", *here, "deploy")
        if not isinstance(resources.get("cpus", ""), str):
            stack.wrong("limits", f"`{name}`: deploy.resources.{part}.cpus is a string; put it in quotes", *here, "deploy")


def _block(stack: Stack, service: str, key: str) -> str:
    line = stack.place("services", service, key)
    return stack.lines[line - 1]


def _explained_network(stack: Stack, name: str, service: dict[str, Any]) -> bool:
    key = "network_mode" if "network_mode" in service else "networks"
    if key not in service:
        return False
    return stack.comment_at("services", name, key) or "omni.quantum.network" in labels_of(service)


# --- labels and image ----------------------------------------------------------------------------------------------


@rule
def labels(stack: Stack, catalogue: dict[str, dict[str, Any]]) -> None:
    for name, service in stack.services.items():
        here = ("services", name, "labels")
        given = service.get("labels")
        if not isinstance(given, dict):
            stack.wrong("labels", f"`{name}` needs labels as a map: `omni.quantum.component: \"{name}\"`", *here)
            continue
        for key, value in given.items():
            if not isinstance(value, str):
                stack.wrong("labels", f"`{name}`: the value of {key} is a string; put it in quotes", *here, key)
            if key.startswith(("omni.quantum.", "prometheus.")) and key not in LABELS:
                stack.wrong("labels", f"`{name}`: {key} is no label that anything reads", *here, key)
            if key in VALUES and "${" not in str(value) and str(value) not in VALUES[key]:
                stack.wrong("labels", f"`{name}`: {key} is one of {', '.join(sorted(VALUES[key]))}, not `{value}`", *here, key)
        component = catalogue.get(str(given.get("omni.quantum.component")))
        if component is None:
            stack.wrong("labels", f"`{name}`: omni.quantum.component `{given.get('omni.quantum.component')}` is not in the catalogue", *here, "omni.quantum.component")
            continue
        wanted = {"omni.quantum.tier": component["tier"], "omni.quantum.critical": str(component["critical"]).lower()}
        for key, value in wanted.items():
            if given.get(key) != value:
                stack.wrong("labels", f"`{name}`: {key} is `{given.get(key)}`, the catalogue says \"{value}\"", *here, key)


@each_service
def scrape_labels(stack: Stack, name: str, service: dict[str, Any], component: dict[str, Any] | None) -> None:
    given, here = labels_of(service), ("services", name, "labels")
    scraped = given.get("prometheus.scrape") == "true"
    if component is None:
        return
    metrics = component["metrics"]
    native = metrics["kind"] == "native"
    if one_shot(service) or not _is_the_component(service, component):
        if scraped and not native:
            stack.wrong("scrape", f"`{name}`: the catalogue knows no metrics of `{component['name']}`", *here, "prometheus.scrape")
        return
    if native and not scraped:
        stack.wrong("scrape", f"`{name}` has metrics: add `prometheus.scrape: \"true\"` and `prometheus.port: \"{metrics['port']}\"`", *here)
        return
    if not native:
        if any(key.startswith("prometheus.") for key in given):
            stack.wrong("scrape", f"`{name}`: the catalogue knows no metrics of `{component['name']}`; take the prometheus labels out", *here, "prometheus.scrape")
        return
    # A listener of its own for metrics is a choice of the stack, and has a reason.
    if given.get("prometheus.port") != str(metrics["port"]) and not stack.comment_at(*here, "prometheus.port"):
        stack.wrong("scrape", f"`{name}`: prometheus.port is `{given.get('prometheus.port')}`, the catalogue says \"{metrics['port']}\"; take that, or say in a comment why another", *here, "prometheus.port")
    paths = {metrics["path"], metrics["path"].split("?")[0]}
    path = given.get("prometheus.path", "/metrics")
    if path not in paths:
        stack.wrong("scrape", f"`{name}`: metrics are at {metrics['path']}: set prometheus.path", *here, "prometheus.path")
    if metrics["access"] == "required" and not given.get("prometheus.auth"):
        stack.wrong("scrape", f"`{name}`: its metrics need a credential ({metrics.get('access_note', 'see the catalogue')}): name one in prometheus.auth", *here)
    if metrics["access"] == "open" and "prometheus.auth" in given:
        stack.wrong("scrape", f"`{name}`: its metrics need no credential; take prometheus.auth out", *here, "prometheus.auth")


def _is_the_component(service: dict[str, Any], component: dict[str, Any]) -> bool:
    """Whether it runs the component itself, not a helper that only belongs to it."""
    pin = (component.get("image") or {}).get("ref")
    return "build" in service or service.get("image") == pin


@rule
def image(stack: Stack, catalogue: dict[str, dict[str, Any]]) -> None:
    pins: dict[str, set[str]] = {}
    for component in catalogue.values():
        if component.get("image"):
            pins.setdefault(component["image"]["ref"], set()).add(component["name"])
    for name, service in stack.services.items():
        here = ("services", name, "image")
        reference = service.get("image")
        component = catalogue.get(labels_of(service).get("omni.quantum.component", ""))
        if not reference:
            stack.wrong("image", f"`{name}` has no image; one that is built here is called omni/<name>:<version>", "services", name)
            continue
        tag = reference.split("@")[0].rsplit("/", 1)[-1].partition(":")[2]
        if "$" in reference:
            stack.wrong("image", f"`{name}`: an image from a variable is not pinned; write the reference", *here)
        elif not tag or tag == "latest":
            stack.wrong("image", f"`{name}`: {reference} is not pinned; give it the version from the catalogue", *here)
        elif "build" in service or reference.startswith("omni/"):
            if not re.fullmatch(r"omni/[a-z0-9-]+:\d+(\.\d+)*([.-][a-z0-9.]+)*", reference):
                stack.wrong("image", f"`{name}` is built here: call it omni/<name>:<version>", *here)
        elif component and component.get("image") and reference != component["image"]["ref"] and not (one_shot(service) and reference in pins):
            # A job may borrow the image of another component for the tools in it; a service runs its own.
            stack.wrong("image", f"`{name}`: {reference} is not the pin of `{component['name']}`, {component['image']['ref']}", *here)
        elif reference not in pins:
            stack.wrong("image", f"`{name}`: {reference} is the pin of no component in the catalogue", *here)
        seen = [c for c in catalogue.values() if (c.get("image") or {}).get("ref") == reference and not c["image"]["tag_seen"]]
        if seen and not _mentions(stack.folder / "README.md", r"tag derived"):
            stack.wrong("image", f"`{name}`: the tag of {reference} was derived; README.md has to say \"tag derived; resolve once before use\"", *here)


def _mentions(file: Path, pattern: str) -> bool:
    return file.is_file() and re.search(pattern, file.read_text(), re.IGNORECASE) is not None


@each_service
def build(stack: Stack, name: str, service: dict[str, Any], _: Any) -> None:
    if "build" not in service:
        return
    given = service["build"]
    context = given if isinstance(given, str) else given.get("context", ".")
    dockerfile = "Dockerfile" if isinstance(given, str) else given.get("dockerfile", "Dockerfile")
    if "$" not in context + dockerfile and not (stack.folder / context / dockerfile).is_file():
        stack.wrong("build", f"`{name}`: there is no {context}/{dockerfile}", "services", name, "build")


# --- health --------------------------------------------------------------------------------------------------------


def seconds(text: str) -> float | None:
    """A duration of compose in seconds: 1m30s."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", str(text))
    if not parts or not any(parts.groups()):
        return None
    hours, minutes, rest = (int(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + rest


def programs_of(test: Any) -> list[str]:
    """The programs that a check runs."""
    if isinstance(test, str):
        test = ["CMD-SHELL", test]
    if not test or len(test) < 2:
        return []
    if test[0] == "CMD":
        words = list(map(str, test[1:]))
        if Path(words[0]).name in ("sh", "bash", "ash", "dash") and "-c" in words:
            return [words[0], *_shell_programs(words[words.index("-c") + 1])]
        return [words[0]]
    return _shell_programs(str(test[1]))


def _shell_programs(line: str) -> list[str]:
    """First words of the commands of a shell line, with those handed to another shell by -c."""
    lexer = shlex.shlex(line.replace("$$", "$"), posix=True, punctuation_chars=";|&()<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    programs: list[str] = []
    expect, shell, redirect = True, False, False
    for word in lexer:
        if word and all(c in ";|&()" for c in word):
            expect, shell = True, False
        elif word and all(c in "<>&" for c in word):
            redirect = True
        elif redirect:
            redirect = False
        elif expect and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", word):
            continue
        elif expect:
            programs.append(word)
            expect = word in ("!", "if", "then", "else", "exec")
            shell = Path(word).name in ("sh", "bash", "ash", "dash")
        elif shell and not word.startswith("-"):
            programs += _shell_programs(word)
            shell = False
    return [word for word in programs if word not in SHELL_WORDS]


@each_service
def health(stack: Stack, name: str, service: dict[str, Any], component: dict[str, Any] | None) -> None:
    here = ("services", name, "healthcheck")
    check = service.get("healthcheck")
    if not check:
        stack.wrong("health", f"`{name}` has no healthcheck; where the image has no tool: `{{disable: true}}` and a comment who probes it", *here)
        return
    if check.get("disable"):
        # A job that ends has an exit status, which says more than a check could.
        if not one_shot(service) and not stack.comment_within(*here):
            stack.wrong("health", f"`{name}`: healthcheck is disabled; say in a comment why, and who looks at it from outside", *here)
        return
    if check.get("test") in (None, [], ["NONE"], "NONE"):
        stack.wrong("health", f"`{name}`: healthcheck has no test", *here)
        return
    for key, value in TIMES.items():
        if check.get(key) != value:
            stack.wrong("health", f"`{name}`: healthcheck.{key} is {check.get(key)}, {value} everywhere", *here, key)
    start = seconds(check.get("start_period", ""))
    shortest = max(SHORTEST_START, int(seconds((component or {}).get("health", {}).get("start_period", "")) or 0))
    if start is None or start < shortest:
        stack.wrong("health", f"`{name}`: healthcheck.start_period is {check.get('start_period')}; it needs {shortest}s or more", *here, "start_period")
    if component is None:
        return
    if component["health"].get("command") == check["test"] and _is_the_component(service, component):
        return
    tools = {Path(tool).name for tool in component["health"].get("tools", [])}
    if "build" in service:
        # An own image may bring more: then its Dockerfile names the program.
        tools |= set(re.findall(r"[A-Za-z0-9_.-]+", _dockerfile(stack, service)))
    for program in programs_of(check["test"]):
        if Path(program).name in ("sh",) and tools:
            continue
        if Path(program).name not in tools:
            stack.wrong("health", f"`{name}`: the check calls `{program}`, which the catalogue does not find in the image ({', '.join(sorted(component['health'].get('tools', []))) or 'no tools'})", *here, "test")


def _dockerfile(stack: Stack, service: dict[str, Any]) -> str:
    given = service["build"]
    context = given if isinstance(given, str) else given.get("context", ".")
    file = stack.folder / context / ("Dockerfile" if isinstance(given, str) else given.get("dockerfile", "Dockerfile"))
    return file.read_text() if file.is_file() else ""


# --- ports, volumes ------------------------------------------------------------------------------------------------


@each_service
def ports(stack: Stack, name: str, service: dict[str, Any], _: Any) -> None:
    for index, port in enumerate(service.get("ports") or []):
        here = ("services", name, "ports", index)
        if not _explained(stack, here, ("services", name, "ports")):
            stack.wrong("ports", f"`{name}` publishes {port}: say in a comment why the outside needs it", *here)
        address = str(port.get("host_ip", "")) if isinstance(port, dict) else str(port)
        if not re.match(r"\$\{[A-Z][A-Z0-9_]*BIND[A-Z0-9_]*:-[0-9.]+\}", address):
            stack.wrong("ports", f"`{name}`: bind {port} to an address that can be chosen: ${{OMNI_BIND:-127.0.0.1}}", *here)


def _explained(stack: Stack, item: tuple[str | int, ...], block: tuple[str, ...]) -> bool:
    """A reason at the item, at the block, or at an earlier item of the same block."""
    if stack.comment_at(*item) or stack.comment_at(*block):
        return True
    start, end = stack.place(*block), stack.place(*item)
    return any(line.lstrip().startswith("#") for line in stack.lines[start:end])


@each_service
def volumes(stack: Stack, name: str, service: dict[str, Any], component: dict[str, Any] | None) -> None:
    known = {str(mount.get("path")).rstrip("/") for mount in ((component or {}).get("data") or {}).get("host", [])}
    named = set(stack.data.get("volumes") or {})
    for index, volume in enumerate(service.get("volumes") or []):
        here = ("services", name, "volumes", index)
        if isinstance(volume, dict):
            source, read_only = str(volume.get("source", "")), bool(volume.get("read_only"))
        else:
            parts = re.sub(r"\$\{[^}]*\}", lambda m: m[0].replace(":", "\0"), volume).split(":")
            source = parts[0].replace("\0", ":")
            read_only = "ro" in ",".join(parts[2:]).split(",")
        if source in named:
            stack.wrong("volumes", f"`{name}`: named volume {source}; data lies in ./data/ where it can be seen and backed up", *here)
        elif re.match(r"\.{1,2}/", source):
            _own_folder(stack, name, source, read_only, here)
        elif source.startswith("/") and source.rstrip("/") not in known and not _explained(stack, here, ("services", name, "volumes")):
            stack.wrong("volumes", f"`{name}` mounts {source} of the host: the catalogue does not know that; say in a comment why", *here)


def _own_folder(stack: Stack, name: str, source: str, read_only: bool, here: tuple[str | int, ...]) -> None:
    top = source.split("/")[1] if source.startswith("./") else ""
    if top not in ("data", "secrets") and not read_only:
        stack.wrong("volumes", f"`{name}`: {source} is configuration; mount it :ro", *here)
    made_later = top in ("data", "secrets")
    if not made_later and "$" not in source and not (stack.folder / source).exists():
        stack.wrong("volumes", f"`{name}` mounts {source}, which is not there", *here)


# --- variables and secrets -----------------------------------------------------------------------------------------


def variables_of(text: str) -> set[str]:
    """Names that compose replaces in a text; $$ is a dollar sign."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", code.replace("$$", "")))


@rule
def env_example(stack: Stack, _: dict[str, dict[str, Any]]) -> None:
    file = stack.folder / ".env.example"
    used = variables_of(stack.compose.read_text())
    if not file.is_file():
        stack.wrong("env", ".env.example is missing: name each variable there, with a `#:` line above it", "services")
        return
    given: set[str] = set()
    for line, name, value, directive in stack.example:
        if name in given:
            stack.wrong_in(file, line, "env", f"{name} stands twice")
        given.add(name)
        _directive(stack, file, line, name, value, directive)
    for name in sorted(used - given):
        line = next((n for n, text in enumerate(stack.lines, 1) if re.search(rf"\$\{{?{name}\b", text)), 1)
        stack.wrong_in(stack.compose, line, "env", f"${{{name}}} is not in .env.example")
    elsewhere = {name for name in given - used if not _used_elsewhere(stack.folder, name)}
    for line, name, _value, _directive_text in stack.example:
        if name in elsewhere:
            stack.wrong_in(file, line, "env", f"nothing uses {name}; take it out")


def _directive(stack: Stack, file: Path, line: int, name: str, value: str, directive: str | None) -> None:
    if directive is None:
        stack.wrong_in(file, line, "env", f"{name} needs a line `#: …` directly above: generate, required, from or default")
        return
    if not any(re.fullmatch(form, directive) for form in DIRECTIVES):
        stack.wrong_in(file, line, "env", f"{name}: `#: {directive}` is none of: generate hex|base64|password N, required, from <stack> <NAME>, default")
        return
    if directive != "default" and value:
        stack.wrong_in(file, line, "env", f"{name}: its value comes from `{directive}`; leave it empty here")
    if directive.startswith("from "):
        _, folder, source = directive.split()
        other = stack.folder.parent / folder.removeprefix("compose/")
        if other.is_dir() and source not in {entry[1] for entry in Stack(other).example}:
            stack.wrong_in(file, line, "env", f"{name}: {folder}/.env.example has no {source}")
        if not other.is_dir() and (REPO / "compose") == stack.folder.parent:
            stack.wrong_in(file, line, "env", f"{name}: there is no stack {folder}")


def _used_elsewhere(folder: Path, name: str) -> bool:
    """Whether a script or a configuration file of the stack reads a variable."""
    pattern = re.compile(rf"\b{re.escape(name)}\b")
    return any(pattern.search(text) for file, text in files_of(folder) if file.name != ".env.example" and file.suffix != ".md")


def ours(path: Path) -> bool:
    """Whether a file under the repository belongs to it: not what runs leave behind."""
    parts = path.relative_to(REPO).parts
    if {"node_modules", "__pycache__", ".git", "target"} & set(parts):
        return False
    # compose/<stack>/data and compose/<stack>/secrets are a host's; the stack compose/secrets is ours.
    return not (parts[0] == "compose" and len(parts) > 3 and parts[2] in ("data", "secrets")) and parts[-1] != ".env"


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """Text files of a stack that belong to the repository."""
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and not {"data", "secrets", "node_modules", "__pycache__"} & set(parts[:-1]) and file.name != ".env":
            try:
                yield file, file.read_text()
            except UnicodeDecodeError:
                continue


# Files that show secrets on purpose. All of these are invented.
INVENTED = {
    "compose/logs/samples.yaml": "log lines with secrets in them, to see that Alloy takes them out",
}
SECRET_NAME = re.compile(r"(PASS(WORD|WD)?|SECRET|TOKEN|API_?KEY|PRIVATE_KEY|ENCRYPTION_KEY|ACCESS_KEY|SALT)(_|$)", re.IGNORECASE)
# A name with such an end says where a secret is, or how long it lives, not what it is.
NOT_SECRET = ("_FILE", "_PATH", "_URL", "_URI", "_TTL", "_PERIOD", "_NAME")
SECRET_TEXT = [
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"), "an age identity"),
    (re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), "an access key"),
    (re.compile(r"\b(hvs|hvb|ghp|gho|glsa|glpat|xox[abp])[._-][A-Za-z0-9_-]{20,}"), "a token"),
    (re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"), "a password hash"),
]


def harmless(value: Any) -> bool:
    """Whether a value that stands under a secret's name is none: a variable, a path, a switch, nothing."""
    text = str(value).strip().strip("\"'")
    return (
        text in ("", "null", "None", "true", "false", "~", "changeme-never")
        or "${" in text
        or text.startswith(("$", "/", "./", "%", "@", "<", "{", "file:"))
        or re.fullmatch(r"\d{1,6}[smhd]?", text) is not None
    )


@rule
def secrets(stack: Stack, _: dict[str, dict[str, Any]]) -> None:
    for name, service in stack.services.items():
        environment = service.get("environment") or {}
        pairs = environment.items() if isinstance(environment, dict) else (entry.partition("=")[::2] for entry in environment)
        for key, value in pairs:
            if not SECRET_NAME.search(key) or key.endswith(NOT_SECRET):
                continue
            if not harmless(value):
                stack.wrong("secret", f"`{name}`: {key} stands in the file; move it to .env", "services", name, "environment", key)
            default = re.search(r"\$\{[A-Z0-9_]+:?-([^}]+)\}", str(value))
            if default and not harmless(default[1]):
                stack.wrong("secret", f"`{name}`: {key} has a default that everybody knows; use ${{NAME:?}}", "services", name, "environment", key)
    for file, text in files_of(stack.folder):
        if file.is_relative_to(REPO) and str(file.relative_to(REPO)) in INVENTED:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, kind in SECRET_TEXT:
                if pattern.search(line):
                    stack.wrong_in(file, number, "secret", f"this looks like {kind}; secrets are not in the repository")


# --- what lies beside the file -------------------------------------------------------------------------------------


@rule
def folder(stack: Stack, _: dict[str, dict[str, Any]]) -> None:
    script = stack.folder / "scripts" / "init.sh"
    if not script.is_file():
        stack.wrong_in(script, 1, "folder", "scripts/init.sh is missing: it brings the stack into its wanted state, and checks it with --check")
    else:
        text = script.read_text()
        if not script.stat().st_mode & 0o111:
            stack.wrong_in(script, 1, "folder", "scripts/init.sh is not executable: chmod 755")
        if not text.startswith("#!/usr/bin/env bash\n"):
            stack.wrong_in(script, 1, "folder", "scripts/init.sh starts with #!/usr/bin/env bash")
        # A library beside it may say it for all scripts of the stack.
        sourced = [script.parent / name for name in re.findall(r"^\. .*/([a-z-]+\.sh)\"?$", text, re.MULTILINE)]
        if not any("set -euo pipefail" in file.read_text() for file in [script, *sourced] if file.is_file()):
            stack.wrong_in(script, 1, "folder", "scripts/init.sh needs set -euo pipefail")
        if "--check" not in text:
            stack.wrong_in(script, 1, "folder", "scripts/init.sh has no --check")
    readme = stack.folder / "README.md"
    if not readme.is_file():
        stack.wrong_in(readme, 1, "folder", "README.md is missing")
    elif "```" not in readme.read_text():
        stack.wrong_in(readme, 1, "folder", "README.md has no drawing")


def lint(folder: Path, catalogue: dict[str, dict[str, Any]]) -> list[Finding]:
    """Everything against the convention in one stack, in order."""
    stack = Stack(folder)
    try:
        if not isinstance(stack.data, dict):
            return [Finding(str(stack.compose), 1, "yaml", "not a mapping")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        stack.wrong_in(stack.compose, mark.line + 1 if mark else 1, "yaml", str(getattr(error, "problem", error)))
        return stack.findings
    for check in RULES:
        check(stack, catalogue)
    return sorted(set(stack.findings))


def stacks(folder: Path = REPO / "compose") -> list[Path]:
    """Folders of compose/ that hold a stack."""
    return sorted(file.parent for file in folder.glob("*/docker-compose.yml"))


def main(arguments: list[str]) -> int:
    folders = [Path(argument).resolve() for argument in arguments] or stacks()
    catalogue = load_catalogue()
    findings = [finding for folder_ in folders for finding in lint(folder_, catalogue)]
    for finding in findings:
        print(finding)
    print(json.dumps({"stacks": len(folders), "findings": len(findings)}), file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
