#!/usr/bin/env python3
"""Writes what the alerts take from the catalogue: prometheus/catalogue.yml and the table in README.md.

An alert that holds for every component (a target is down, a container restarts) has to know the system a component
belongs to, its tier, and whether it is a service or a job that ends. Prometheus knows only labels, so the catalogue
becomes one series for each component. Usage: catalogue.py [--check]; needs PyYAML.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
SYSTEMS = HERE.parent / "compose" / "catalogue" / "systems"
TARGETS = HERE.parent / "compose" / "uptime" / "blackbox-targets.yml"
RULES = HERE / "prometheus" / "catalogue.yml"
README = HERE / "README.md"
BEGIN, END = "<!-- begin: made by catalogue.py -->", "<!-- end: made by catalogue.py -->"

RULES_HEAD = """\
# Made by alerts/catalogue.py from compose/catalogue/systems: change those, then run it again.
# One series for each component of the catalogue. Rules join it by `component` to learn tier and system.
#   runs     service: should always run; job: runs and ends
#   metrics  native: Prometheus should see a target of it; exporter: of its exporter; none
#   backup   yes: omni should know a backup of it
groups:
  - name: catalogue
    interval: 1m
    rules:
"""


def components() -> list[dict]:
    """Every component with its system, in catalogue order."""
    found = []
    for path in sorted(SYSTEMS.glob("*.yaml")):
        system = yaml.safe_load(path.read_text())
        for component in system["components"]:
            found.append({**component, "system": system["system"], "system_name": system["name"]})
    return found


def rules() -> str:
    """prometheus/catalogue.yml."""
    lines = [RULES_HEAD]
    for c in components():
        labels = {
            "component": c["name"],
            "tier": c["tier"],
            "system": str(c["system"]),
            "runs": "job" if c["placement"]["instances"] == "job" else "service",
            "metrics": c["metrics"]["kind"],
            # `shared`: its data is in the backup of another component.
            "backup": "no" if c["backup"]["method"] in ("none", "shared") else "yes",
        }
        inner = ", ".join(f'{key}: "{value}"' for key, value in labels.items())
        lines.append(f"      - {{record: 'omni:component:info', expr: vector(1), labels: {{{inner}}}}}\n")
    return "".join(lines)


def table() -> str:
    """How each component is watched, for README.md."""
    targets = yaml.safe_load(TARGETS.read_text()) if TARGETS.is_file() else []
    probed = {entry["labels"]["component"] for entry in targets}
    own: dict[str, list[str]] = {}
    for path in sorted((HERE / "prometheus").glob("*.yml")) + sorted((HERE / "loki").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    own.setdefault(rule["labels"].get("component", ""), []).append(rule["alert"])
    lines = ["| system | component | tier | watched by | alerts of its own |", "| --- | --- | --- | --- | --- |"]
    for c in components():
        ways = []
        if c["metrics"]["kind"] == "native":
            ways.append("own metrics")
        elif c["metrics"]["kind"] == "exporter":
            ways.append(c["metrics"]["exporter"])
        if c["name"] in probed:
            ways.append("probe")
        if c["placement"]["instances"] == "job":
            ways.append("the backups and alerts of what it works for; it runs and ends")
        elif c["name"] == "omni-agent":
            ways.append("heartbeats: HostDown")
        else:
            ways.append("container")
        names = ", ".join(own.get(c["name"], [])) or "-"
        lines.append(f"| {c['system']} | {c['name']} | {c['tier']} | {', '.join(ways)} | {names} |")
    return "\n".join(lines)


def readme() -> str:
    """README.md with the table renewed."""
    text = README.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{README}: the lines '{BEGIN}' and '{END}' are gone; the table belongs between them")
    return re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: f"{BEGIN}\n{table()}\n{END}", text, flags=re.S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is not current")
    check = parser.parse_args().check
    stale = []
    # The table names rules, so the rules come first.
    for path, make in ((RULES, rules), (README, readme)):
        if path == README and not path.is_file():
            continue
        text = make()
        if path.is_file() and path.read_text() == text:
            continue
        if check:
            stale.append(str(path))
        else:
            path.write_text(text)
            print(f"wrote {path}")
    if stale:
        print("not current: " + ", ".join(stale) + "; run alerts/catalogue.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
