"""The catalogue against its schema and against itself. The Rust crate checks the same again when omni is built."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from compose_lint import REPO, SYSTEMS, load_yaml

FOLDER = REPO / "compose" / "catalogue"
FILES = sorted(SYSTEMS.glob("*.yaml"))
DATA = {file.name: load_yaml(file.read_text()) for file in FILES}
COMPONENTS = {component["name"]: component for system in DATA.values() for component in system["components"]}
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(data: Any) -> list[str]:
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that the schema declares; conditions only narrow these."""
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            if isinstance(value, dict):
                yield f"{path}.{name}", value
        for key, value in schema.items():
            if key not in ("if", "then", "else", "allOf"):
                yield from properties(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for item in schema:
            yield from properties(item, path)


def test_every_property_is_described_and_nothing_else_is_allowed() -> None:
    found = list(properties(SCHEMA))
    assert len(found) > 80
    assert [path for path, value in found if not value.get("description")] == []

    def open_objects(schema: Any, path: str = "") -> Iterator[str]:
        if isinstance(schema, dict):
            if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
                yield path
            for key, value in schema.items():
                yield from open_objects(value, f"{path}.{key}")

    assert list(open_objects(SCHEMA)) == []


@pytest.mark.parametrize("name", DATA)
def test_a_file_keeps_the_schema(name: str) -> None:
    assert errors(DATA[name]) == []


def test_all_37_systems_are_there_under_their_number() -> None:
    assert [system["system"] for system in DATA.values()] == list(range(1, 38))
    for name, system in DATA.items():
        assert re.fullmatch(rf"{system['system']:02d}-[a-z0-9-]+\.yaml", name), name
        assert system["components"], name


def test_names_are_unique_and_whole() -> None:
    twice = [name for name, count in Counter(c["name"] for s in DATA.values() for c in s["components"]).items() if count > 1]
    assert twice == []
    assert len(COMPONENTS) >= 107


def mentioned(component: dict[str, Any]) -> Iterator[tuple[str, str]]:
    backup, placement, depends = component["backup"], component["placement"], component.get("depends", {})
    for key, value in [
        ("depends.hard", depends.get("hard")), ("depends.uses", depends.get("uses")), ("instead_of", component.get("instead_of")),
        ("superseded_by", component.get("superseded_by")), ("metrics.exporter", component["metrics"].get("exporter")),
        ("backup.server", backup.get("server")), ("backup.shared_with", backup.get("shared_with")),
        ("backup.same_moment", backup.get("same_moment")), ("placement.same_host", placement.get("same_host")),
        ("placement.not_with", placement.get("not_with")),
    ]:  # fmt: skip
        for name in [value] if isinstance(value, str) else value or []:
            yield key, name


def test_every_name_that_is_mentioned_exists() -> None:
    lost = [f"{name}: {key}: {other}" for name, component in COMPONENTS.items() for key, other in mentioned(component) if other not in COMPONENTS]
    lost += [f"{file}: reuses: {other}" for file, system in DATA.items() for other in system.get("reuses", []) if other not in COMPONENTS]
    assert lost == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_is_consistent(name: str) -> None:
    component = COMPONENTS[name]
    assert component["critical"] == (component["tier"] == "critical")
    kept = {secret["name"] for secret in component.get("secrets", []) if secret.get("keep")}
    assert set(component["backup"].get("keys", [])) <= kept, "backup.keys are secrets with keep: true"
    ports = [(port["port"], port["protocol"]) for port in component.get("ports", [])]
    assert len(ports) == len(set(ports))
    state = [entry["path"] for entry in component.get("data", {}).get("paths", []) if entry["keep"] == "state"]
    assert not (state and component["backup"]["method"] == "none" and component["origin"] not in ("support",)), f"{state} is state, and nothing backs it up"
    if not component["licence"]["open_source"]:
        assert component["licence"].get("flags"), "not open source, and no finding says so"
    if component.get("superseded_by"):
        assert any(flag.get("original") for flag in component["licence"]["flags"]), "superseded, and nothing says how to keep it"


def test_pins_agree_about_whether_they_were_seen() -> None:
    seen: dict[str, set[bool]] = {}
    for component in COMPONENTS.values():
        if image := component.get("image"):
            seen.setdefault(image["ref"], set()).add(image["tag_seen"])
    assert {ref for ref, values in seen.items() if len(values) > 1} == set()


def circle() -> list[str]:
    """Components that wait for each other, or nothing."""
    waiting = {name: set(component.get("depends", {}).get("hard", [])) for name, component in COMPONENTS.items()}
    while ready := [name for name, needs in waiting.items() if not needs & set(waiting)]:
        for name in ready:
            del waiting[name]
    return sorted(waiting)


def test_nothing_waits_for_itself() -> None:
    assert circle() == []


BROKEN = [
    # what is done to the entry of gitea, and what the schema says
    (lambda c: c.update(colour="red"), "colour"),
    (lambda c: c.pop("summary"), "'summary' is a required property"),
    (lambda c: c.update(name="Gitea"), "does not match"),
    (lambda c: c.update(tier="huge"), "is not one of"),
    (lambda c: c.update(critical="false"), "is not of type 'boolean'"),
    (lambda c: c["image"].update(ref="gitea/gitea:latest"), "does not match"),
    (lambda c: c["image"].update(ref="gitea/gitea"), "does not match"),
    (lambda c: c["ports"][0].update(port=70000), "greater than the maximum"),
    (lambda c: c["ports"][0].update(port=0), "less than the minimum"),
    (lambda c: c["health"].pop("port"), "'port' is a required property"),
    (lambda c: c["health"].update(command=["curl", "x"]), "is not one of ['CMD', 'CMD-SHELL']"),
    (lambda c: c["health"].update(start_period="2m"), "does not match"),
    (lambda c: c.update(health={"kind": "none", "port": 1}), "False schema does not allow 1"),
    (lambda c: c["metrics"].pop("access"), "'access' is a required property"),
    (lambda c: c.update(metrics={"kind": "none", "port": 1}), "False schema does not allow 1"),
    (lambda c: c["backup"].update(method="magic"), "is not one of"),
    (lambda c: c["backup"].pop("databases"), "'databases' is a required property"),
    (lambda c: c.update(backup={"method": "volume", "what": "x", "restore": "x"}), "'paths' is a required property"),
    (lambda c: c["backup"].update(paths=["data"]), "does not match '^/'"),
    (lambda c: c["secrets"].append({"name": "X", "kind": "env", "value": "hunter2"}), "'value' was unexpected"),
    (lambda c: c["unverified"].append("mood"), "does not match"),
    (lambda c: c["licence"].update(flags=[{"flag": "odd", "fact": "x", "handling": "x"}]), "is not one of"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), BROKEN)
def test_the_schema_refuses(change: Any, expected: str) -> None:
    data = copy.deepcopy(DATA["13-git-hosting.yaml"])
    assert errors(data) == []
    change(data["components"][0])
    assert any(expected in error for error in errors(data)), errors(data)


def test_a_new_system_needs_a_head_and_an_old_one_does_not() -> None:
    data = copy.deepcopy(DATA["13-git-hosting.yaml"])
    for key in ("name", "codename", "tier", "summary"):
        del data[key]
    assert errors(data) == []
    data["system"] = 100
    assert len(errors(data)) == 3


def test_the_readme_names_every_finding() -> None:
    text = (FOLDER / "README.md").read_text()
    for name, component in COMPONENTS.items():
        for flag in component["licence"].get("flags", []):
            assert re.search(rf"^\|.*`{re.escape(name)}`.*\| {re.escape(flag['flag'])} \|", text, re.MULTILINE), f"{name}: {flag['flag']}"


def test_the_example_in_the_readme_is_sound() -> None:
    """An operator starts from it, so it has to pass."""
    text = (FOLDER / "README.md").read_text()
    example = re.search(r"```yaml\n(system: 100\n.*?)```", text, re.DOTALL)
    assert example, "README.md has lost its example"
    assert errors(load_yaml(example[1])) == []


def test_the_crate_embeds_every_file() -> None:
    listed = re.findall(r'^    "(.+\.yaml)",$', (FOLDER / "src" / "builtin.rs").read_text(), re.MULTILINE)
    assert listed == [file.name for file in FILES]


def test_schema_and_crate_know_the_same_words() -> None:
    """The enumerations are written twice, for two languages: hold them against each other."""
    rust = "".join(file.read_text() for file in sorted((FOLDER / "src").glob("*.rs")))

    def variants(enum: str) -> set[str]:
        body = re.search(rf"pub enum {enum} \{{(.*?)\n\}}", rust, re.DOTALL)
        assert body, enum
        names = re.findall(r"^    ([A-Z][A-Za-z0-9]*),$", body[1], re.MULTILINE)
        return {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower() for name in names}

    defs = SCHEMA["$defs"]
    for enum, words in {
        "Tier": defs["tier"]["enum"], "HealthKind": defs["health"]["properties"]["kind"]["enum"],
        "MetricsKind": defs["metrics"]["properties"]["kind"]["enum"], "MetricsAccess": defs["metrics"]["properties"]["access"]["enum"],
        "Method": defs["backup"]["properties"]["method"]["enum"], "Quiesce": defs["backup"]["properties"]["quiesce"]["enum"],
        "Instances": defs["placement"]["properties"]["instances"]["enum"], "Network": defs["placement"]["properties"]["network"]["enum"],
        "Flag": defs["licence"]["properties"]["flags"]["items"]["properties"]["flag"]["enum"],
        "Origin": defs["component"]["properties"]["origin"]["enum"], "LogFormat": defs["logs"]["properties"]["format"]["enum"],
        "Keep": defs["data"]["properties"]["paths"]["items"]["properties"]["keep"]["enum"],
    }.items():  # fmt: skip
        assert variants(enum) == set(words), enum


def test_no_stray_file_lies_among_the_systems() -> None:
    assert sorted(path.name for path in Path(SYSTEMS).iterdir()) == [file.name for file in FILES]
