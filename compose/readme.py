#!/usr/bin/env python3
"""Writes compose/README.md and the table of findings in compose/catalogue/README.md from what is in the tree.

    readme.py            writes both
    readme.py --check    writes nothing; exit 1 when either is not what it would write

Read: the catalogue, the stacks with their verified.yaml, alert rules, dashboards, checks, routes. What is not there
is left out, so a tree without alerts gives a table without numbers in that column, not an error.

Python 3.9 and PyYAML (Debian: python3-yaml). Exit: 0 done, 1 not current or wrong input, 2 usage.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
BEGIN, END = "<!-- findings: written by compose/readme.py -->", "<!-- end of findings -->"


# The parser in C reads the same ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Wrong(Exception):
    """An input that cannot be used: which, and what is wrong with it."""


def load(path: Path) -> Any:
    try:
        text = path.read_text()
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, LOADER)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise Wrong(f"{path.relative_to(REPO)}: cannot be read: {error}") from error


def systems() -> list[dict[str, Any]]:
    return sorted((load(file) for file in sorted((HERE / "catalogue" / "systems").glob("*.yaml"))), key=lambda s: s["system"])


# --- what omni adds -------------------------------------------------------------------------------------------------


def alert_rules() -> list[dict[str, Any]]:
    """Alerting rules of Prometheus and Loki, each with the place it is written."""
    found = []
    for file in sorted((REPO / "alerts").glob("*/**/*.y*ml")):
        if file.name.endswith((".test.yml", ".test.yaml")) or "tests" in file.parts:
            continue
        document = load(file)
        for group in (document or {}).get("groups") or [] if isinstance(document, dict) else []:
            found += [{**rule, "file": file} for rule in group.get("rules", []) if "alert" in rule]
    return found


def alerts_of(system: dict[str, Any], rules: list[dict[str, Any]]) -> int:
    """Rules that name the system, or one of its components; those for every component count nowhere here."""
    names = {component["name"] for component in system["components"]}
    jobs = re.compile(r"\b(?:job|component)=~?\"(" + "|".join(map(re.escape, sorted(names))) + r")\"")

    def about(rule: dict[str, Any]) -> bool:
        labels = rule.get("labels") or {}
        if str(labels.get("component", "")) in names:
            return True
        if "component" in labels and "{{" not in str(labels["component"]):
            return False
        given = str(labels.get("system", ""))
        if given in (str(system["system"]), system["name"]):
            return True
        return not given and jobs.search(str(rule.get("expr", ""))) is not None

    return sum(map(about, rules))


def dashboards() -> dict[str, Path]:
    """Dashboards of Grafana by uid."""
    found = {}
    for file in sorted((REPO / "dashboards" / "grafana").rglob("*.json")):
        document = load(file)
        if isinstance(document, dict) and "panels" in document and document.get("uid"):
            found[document["uid"]] = file
    return found


def checks_by_component() -> dict[str, int]:
    file = HERE / "uptime" / "desired.json"
    counts: dict[str, int] = {}
    for monitor in load(file).get("monitors", []) if file.is_file() else []:
        name = monitor.get("component") or str(monitor.get("key", "")).partition(":")[2]
        counts[name] = counts.get(name, 0) + 1
    return counts


def routed() -> str:
    """Everything the proxy is configured with, as one text to look for names in."""
    folder = HERE / "proxy" / "config"
    return "\n".join(file.read_text(errors="replace") for file in sorted(folder.rglob("*")) if file.is_file())


def stacks() -> dict[int, list[Path]]:
    """Folders with containers, by the number of their system in stacks.tsv."""
    found: dict[int, list[Path]] = {}
    table = HERE / "stacks.tsv"
    for line in table.read_text().splitlines()[1:] if table.is_file() else []:
        if not line.strip() or line.startswith("#"):
            continue
        _, number, folder, *_ = line.split("\t")
        if (REPO / folder / "docker-compose.yml").is_file():
            found.setdefault(int(number), []).append(REPO / folder)
    return found


def runs(folder: Path) -> set[str]:
    """Components that a stack runs, by the label of its services; jobs that end are its own affair."""
    services = (load(folder / "docker-compose.yml") or {}).get("services") or {}
    labels = [service.get("labels") for service in services.values() if service.get("restart") != "no"]
    return {str(given.get("omni.quantum.component")) for given in labels if isinstance(given, dict)}


def verified(folder: Path) -> list[dict[str, Any]]:
    file = folder / "verified.yaml"
    entries = load(file) if file.is_file() else []
    if not isinstance(entries, list) or any(not isinstance(e, dict) or "what" not in e or e.get("how") not in ("real", "documentation") for e in entries):
        raise Wrong(f"{file.relative_to(REPO)}: a list of {{what, how: real|documentation, test}} is wanted")
    return entries


# --- the overview ---------------------------------------------------------------------------------------------------


def metrics_cell(system: dict[str, Any]) -> str:
    kinds = [component["metrics"]["kind"] for component in system["components"] if not component.get("superseded_by")]
    own, exported = kinds.count("native"), kinds.count("exporter")
    parts = [f"{own} own"] * bool(own) + [f"{exported} by exporter"] * bool(exported)
    return ", ".join(parts) or "probed"


def backup_cell(system: dict[str, Any]) -> str:
    methods = [component["backup"]["method"] for component in system["components"] if not component.get("superseded_by")]
    kept = [method for method in dict.fromkeys(methods) if method not in ("none", "shared")]
    return ", ".join(kept) or "nothing to keep"


def component_cell(component: dict[str, Any]) -> str:
    name = component["name"]
    if component.get("superseded_by"):
        return f"~~{name}~~ → {' or '.join(component['superseded_by'])}"
    return name


def overview_row(system: dict[str, Any], world: dict[str, Any]) -> str:
    names = [component["name"] for component in system["components"]]
    boards = [f"[{name}](../{world['dashboards'][f'omni-{name}'].relative_to(REPO)})" for name in names if f"omni-{name}" in world["dashboards"]]
    routes = [name for name in names if re.search(rf"\bomni-{re.escape(name)}:\d", world["routes"])]
    checks = sum(world["checks"].get(name, 0) for name in names)
    own = world["stacks"].get(system["system"], [])
    folders = [folder for group in world["stacks"].values() for folder in group if folder in own or world["runs"][folder] & set(names)]
    title = system["name"] + (f" *({system['codename']})*" if system.get("codename") and system["codename"] != system["name"] else "")
    cells = [
        str(system["system"]), title, system["tier"], ", ".join(map(component_cell, system["components"])), metrics_cell(system),
        str(alerts_of(system, world["alerts"]) or "general"), ", ".join(boards) or "overview", backup_cell(system),
        ", ".join(routes) or "–", str(checks or "–"), ", ".join(f"[{folder.name}]({folder.name}/)" for folder in folders) or "–",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def verified_section(folder: Path) -> list[str]:
    entries = verified(folder)
    lines = [f"### {folder.name}", ""]
    for how, title in (("real", "Against the real program"), ("documentation", "Against its documentation only")):
        chosen = [entry for entry in entries if entry["how"] == how]
        if chosen:
            lines += [f"{title}:", "", *[f"- {_sentence(entry)}" for entry in chosen], ""]
    if not entries:
        lines += ["Nothing is written down yet.", ""]
    return lines


def _sentence(entry: dict[str, Any]) -> str:
    tests = entry.get("test") or []
    tests = [tests] if isinstance(tests, str) else tests
    short = ", ".join(f"`{test.rsplit('/', 1)[-1]}`" for test in tests)
    what = " ".join(entry["what"].split())
    return what + (f" ({short})" if short else "")


def overview() -> str:
    world = {
        "alerts": alert_rules(), "dashboards": dashboards(), "checks": checks_by_component(), "routes": routed(), "stacks": stacks(),
    }  # fmt: skip
    world["runs"] = {folder: runs(folder) for group in world["stacks"].values() for folder in group}
    known = systems()
    components = sum(len(system["components"]) for system in known)
    folders = [folder for number in sorted(world["stacks"]) for folder in world["stacks"][number]]
    own = {f"omni-{component['name']}" for system in known for component in system["components"]}
    general = [f"[{uid.removeprefix('omni-')}](../{file.relative_to(REPO)})" for uid, file in world["dashboards"].items() if uid not in own]
    lines = [
        "<!-- Written by compose/readme.py from the tree. Change what it reads, then run it again. -->",
        "",
        "# The platform as data",
        "",
        f"{len(known)} systems, {components} components. [`catalogue/`](catalogue/) describes all of them. Systems 1 to 28 run",
        "where and how you run them today: omni describes, watches, backs up and routes them. Systems 29 to 37 bring the containers",
        "below.",
        "",
        "```",
        " catalogue/ ──▶ labels, pins, health      ──▶ the linter of every docker-compose.yml",
        "     │      ──▶ metrics                   ──▶ Prometheus, ../alerts/, ../dashboards/",
        "     │      ──▶ backup methods            ──▶ backup/   repositories, retention, drills",
        "     │      ──▶ health seen from outside  ──▶ uptime/   checks, status page",
        "     └─────────▶ omni                         placement, start order, licences, what to keep",
        "",
        " browser ──▶ proxy/ ──▶ services          logs/ ◀── every container        secrets/ ──▶ every stack",
        "```",
        "",
        "Start: `deploy/setup.sh` starts the stacks in order with a health gate after each; `deploy/setup.sh --dry-run` shows what it",
        "would do. Where a mesh answers, omni deploys them ([how](../deploy/README.md#the-platform-with-a-mesh)). One stack by hand:",
        "copy `.env.example` to `.env`, fill it, `docker compose up -d`, `scripts/init.sh`.",
        "",
        "## What omni adds to each system",
        "",
        "Metrics: components with numbers of their own, or through an exporter; the rest is probed from outside. Alerts: rules about",
        "this system; *general* rules (down, unhealthy, restarting, disk, certificates, backups) cover every component. Backup: the",
        "methods of the [catalogue](catalogue/README.md#backup-methods). Struck out: superseded, see",
        "[why](catalogue/README.md#what-was-replaced-or-needs-a-decision).",
        "",
        "| # | System | Tier | Components | Metrics | Alerts | Dashboard | Backup | Routes | Checks | Stack |",
        "| --: | --- | --- | --- | --- | --: | --- | --- | --- | --: | --- |",
        *[overview_row(system, world) for system in known],
        "",
    ]
    if general:
        lines += [f"Dashboards across systems: {', '.join(general)}.", ""]
    if world["alerts"]:
        placed = sum(alerts_of(system, world["alerts"]) for system in known)
        lines += [f"{len(world['alerts'])} alert rules, {placed} of them about one system.", ""]
    lines += [
        "## What was verified, and against what",
        "",
        "*Real* means that a test runs the program itself. *Documentation* means that the file agrees with what its makers",
        "write, checked by a strict fake, a schema, or by reading; run it once in your own place before you rely on it.",
        "Every stack is read by Docker Compose v5 and by Debian's 1.29, and held to the compose specification and to",
        "[the convention](../tests/platform/README.md#the-convention-of-a-stack).",
        "",
    ]
    for folder in folders:
        lines += verified_section(folder)
    return "\n".join(lines).rstrip() + "\n"


# --- the findings in the catalogue's README -------------------------------------------------------------------------


def findings() -> str:
    """One row for each finding; what says `As x.` joins the row of x."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    components = [component for system in systems() for component in system["components"]]
    owners = {(c["name"], flag["flag"]): flag for c in components for flag in c["licence"].get("flags", [])}
    for component in components:
        for flag in component["licence"].get("flags", []):
            other = re.fullmatch(r"As ([a-z0-9-]+)\.", flag["fact"])
            original = owners.get((other[1], flag["flag"])) if other else None
            entry = original or flag
            row = rows.setdefault((entry["flag"], entry["fact"], entry["handling"]), {"names": [], "flag": entry})
            row["names"].append(component["name"])
    lines = [
        "| Component | Finding | What is so | What the platform does | How to keep the original |",
        "| --- | --- | --- | --- | --- |",
    ]
    order = {"agpl": 1}
    for row in sorted(rows.values(), key=lambda row: order.get(row["flag"]["flag"], 0)):
        flag = row["flag"]
        names = ", ".join(f"`{name}`" for name in row["names"])
        lines.append(f"| {names} | {flag['flag']} | {flag['fact']} | {flag['handling']} | {flag.get('original', 'It is kept.')} |")
    return "\n".join(lines)


def with_findings(text: str) -> str:
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise Wrong("compose/catalogue/README.md: the marks around the table of findings are gone")
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n\n" + findings() + "\n\n" + END + rest.split(END)[1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes compose/README.md and the findings in compose/catalogue/README.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not current")
    arguments = parser.parse_args()
    stale = False
    try:
        catalogue = HERE / "catalogue" / "README.md"
        wanted = {HERE / "README.md": overview(), catalogue: with_findings(catalogue.read_text())}
    except (Wrong, OSError) as error:
        print(f"readme.py: {error}", file=sys.stderr)
        return 1
    for path, text in wanted.items():
        current = path.read_text() if path.is_file() else ""
        if current == text:
            continue
        stale = True
        if arguments.check:
            name = str(path.relative_to(REPO))
            difference = list(difflib.unified_diff(current.splitlines(), text.splitlines(), name, "what the tree says", lineterm="", n=0))
            print("\n".join(difference[:40]))
            print(f"readme.py: {name} is not current: run compose/readme.py", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {path.relative_to(REPO)}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
