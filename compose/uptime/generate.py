#!/usr/bin/env python3
"""Writes what is to be watched, from the catalogue and config/uptime.yaml.

    generate.py            writes desired.json (for Uptime Kuma) and blackbox-targets.yml (for Prometheus)
    generate.py --check    writes nothing; exit 1 when either file is not what it would write
    generate.py --list     shows each component and where it is asked, or why it is not watched
    --catalogue DIR        further folders with system files, after the built-in one (may be given several times)

Python 3.9 and PyYAML (Debian: python3-yaml). Exit: 0 done, 1 wrong input or not current, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
CATALOGUE = HERE.parent / "catalogue" / "systems"
TIERS = ("critical", "high", "medium", "standard")
OVERRIDES = {"type", "scheme", "host", "port", "path", "accept", "keyword", "ignore_tls", "blackbox"}
# Uptime Kuma refuses less than 20 seconds and more than a day or so; Prometheus has its own interval.
MIN_INTERVAL = 20


class Wrong(Exception):
    """An input that cannot be used: what, where, what to do."""


def load(path: Path) -> dict:
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Wrong(f"{path}: no YAML: {error}") from error
    if not isinstance(data, dict):
        raise Wrong(f"{path}: expected a mapping")
    return data


def components(folders: list[Path]) -> list[tuple[dict, dict]]:
    """(system, component) in the order of the systems."""
    systems, names = {}, {}
    for folder in folders:
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise Wrong(f"{folder}: no system files (*.yaml)")
        for file in files:
            data = load(file)
            for component in data.get("components", []):
                name = component["name"]
                if name in names:
                    raise Wrong(f"{file}: component {name} is already in {names[name]}; rename one of them")
                names[name] = file
            system = systems.setdefault(data["system"], {"number": data["system"], "name": data.get("name", f"System {data['system']}"), "components": []})
            system["components"] += data.get("components", [])
    return [(s, c) for _, s in sorted(systems.items()) for c in s["components"]]


def check_settings(settings: dict, known: set[str]):
    where = "config/uptime.yaml"
    for section in ("tiers", "leave", "overrides", "routes", "notifications", "pages"):
        if section not in settings:
            raise Wrong(f"{where}: {section} is missing")
    if set(settings["tiers"]) != set(TIERS):
        raise Wrong(f"{where}: tiers must be {', '.join(TIERS)}")
    for tier, t in settings["tiers"].items():
        if set(t) != {"interval", "retries", "retry_interval", "timeout", "remind_after"}:
            raise Wrong(f"{where}: tiers.{tier} needs interval, retries, retry_interval, timeout, remind_after")
        if min(t["interval"], t["retry_interval"]) < MIN_INTERVAL:
            raise Wrong(f"{where}: tiers.{tier}: Uptime Kuma refuses intervals under {MIN_INTERVAL} s")
        if t["timeout"] >= t["interval"]:
            raise Wrong(f"{where}: tiers.{tier}: timeout {t['timeout']} s is not below the interval {t['interval']} s; checks would overlap")
    for section in ("leave", "overrides"):
        for name in set(settings[section]) - known:
            raise Wrong(f"{where}: {section}.{name} is no component of the catalogue")
    for name, override in settings["overrides"].items():
        for key in set(override) - OVERRIDES:
            raise Wrong(f"{where}: overrides.{name}.{key} is unknown; fields are {', '.join(sorted(OVERRIDES))}")
    for route in settings["routes"]:
        if route["component"] not in known:
            raise Wrong(f"{where}: route {route['name']}: {route['component']} is no component of the catalogue")
        if route["tier"] not in TIERS:
            raise Wrong(f"{where}: route {route['name']}: {route['tier']} is no tier")
    slugs = [p["slug"] for p in settings["pages"]]
    for slug in slugs:
        if not re.fullmatch(r"omni-[a-z0-9-]+", slug) or slugs.count(slug) > 1:
            raise Wrong(f"{where}: page {slug}: a slug is omni- and lower-case words, and there only once")
    names = [r["name"] for r in settings["routes"]]
    for page in settings["pages"]:
        for name in set(page.get("routes", [])) - set(names):
            raise Wrong(f"{where}: page {page['slug']}: no route is called {name}")


def why_not(component: dict, settings: dict) -> str | None:
    """Why a component is not watched, or None."""
    name, health = component["name"], component["health"]
    placement = component.get("placement", {})
    override = settings["overrides"].get(name, {})
    if name in settings["leave"]:
        return settings["leave"][name]
    if component.get("superseded_by"):
        return f"superseded by {', '.join(component['superseded_by'])}"
    if placement.get("instances") == "per-host":
        return "one on each host: Prometheus asks each of them"
    if placement.get("instances") == "job":
        return "runs and ends"
    if "port" not in health and "port" not in override:
        return "listens nowhere: its container's health is all there is"
    if placement.get("network") in ("own", "host") and "host" not in override:
        return f"network {placement['network']}: its address is not known here"
    return None


def address(component: dict, override: dict) -> dict:
    """Where it is asked: http with a URL, or tcp with host and port."""
    health = component["health"]
    port, path = override.get("port", health.get("port")), override.get("path", health.get("path"))
    kind = override.get("type") or ("http" if path else "tcp")
    host = override.get("host", f"omni-{component['name']}")
    if kind == "tcp":
        return {"type": "tcp", "host": host, "port": port}
    if kind != "http":
        raise Wrong(f"config/uptime.yaml: overrides.{component['name']}.type is {kind!r}; http or tcp")
    scheme = override.get("scheme") or health.get("scheme", "http")
    accept = override.get("accept", ["200-299"])
    for code in accept:
        if not re.fullmatch(r"[1-5]\d\d(-[1-5]\d\d)?", code):
            raise Wrong(f"config/uptime.yaml: overrides.{component['name']}.accept: {code!r} is no status or range such as '200-299'")
    out = {"type": "http", "url": f"{scheme}://{host}:{port}{path or '/'}", "accept": accept}
    if override.get("ignore_tls"):
        out["ignore_tls"] = True
    if override.get("keyword"):
        out["keyword"] = override["keyword"]
    return out


def build(folders: list[Path], settings: dict) -> tuple[dict, list, list]:
    everything = components(folders)
    check_settings(settings, {c["name"] for _, c in everything})
    groups, monitors, skipped = {}, [], []
    for system, component in everything:
        name = component["name"]
        reason = why_not(component, settings)
        if reason:
            skipped.append((name, reason))
            continue
        group = f"system:{system['number']}"
        groups.setdefault(group, {"key": group, "name": f"{system['number']:02d} {system['name']}", "system": system["number"]})
        monitors.append({
            "key": f"component:{name}", "name": name, "group": group, "component": name, "system": system["number"], "tier": component["tier"],
            "critical": component["critical"], **address(component, settings["overrides"].get(name, {})), **timing(settings, component["tier"]),
        })
    if settings["routes"]:
        groups["routes"] = {"key": "routes", "name": "Routes through the proxy", "system": 34, "when": "routes"}
    by_name = {c["name"]: (s, c) for s, c in everything}
    for route in settings["routes"]:
        system, component = by_name[route["component"]]
        monitors.append({
            "key": f"route:{route['name'].lower().replace(' ', '-')}", "name": route["name"], "group": "routes", "component": route["component"], "system": system["number"],
            "tier": route["tier"], "critical": component["critical"], "type": "http", "url": route["url"], "accept": route.get("accept", ["200-299"]),
            "certificate": True, "when": "routes", **timing(settings, route["tier"]),
        })
    pages = []
    for page in settings["pages"]:
        sections = []
        wanted = page.get("systems", [])
        for group in groups.values():
            if group["key"] != "routes" and (wanted == "all" or group["system"] in wanted):
                sections.append({"name": group["name"], "monitors": [m["key"] for m in monitors if m["group"] == group["key"]]})
        routes = [m["key"] for m in monitors if m["name"] in page.get("routes", []) and m["group"] == "routes"]
        if routes:
            sections.append({"name": page["title"], "monitors": routes})
        pages.append({"slug": page["slug"], "title": page["title"], "description": page["description"], "certificates": page.get("certificates", False), "sections": sections})
    desired = {"format": 1, "groups": list(groups.values()), "monitors": monitors, "notifications": settings["notifications"], "pages": pages}
    return desired, targets(everything, monitors, settings), skipped


def timing(settings: dict, tier: str) -> dict:
    return dict(settings["tiers"][tier])


def targets(everything: list, monitors: list, settings: dict) -> list:
    """The second opinion, as file_sd for the blackbox exporter: the same addresses, asked by another program."""
    out = []

    def add(target, module, system, component):
        out.append({
            "targets": [target],
            "labels": {
                "module": module, "component": component["name"], "tier": component["tier"], "critical": "true" if component["critical"] else "false", "system": str(system["number"]),
            },
        })

    by_name = {c["name"]: (s, c) for s, c in everything}
    for monitor in monitors:
        if monitor["group"] == "routes" or settings["overrides"].get(monitor["component"], {}).get("blackbox") is False:
            continue
        system, component = by_name[monitor["component"]]
        if monitor["type"] == "tcp":
            add(f"{monitor['host']}:{monitor['port']}", "tcp_connect", system, component)
        else:
            strict = monitor["accept"] == ["200-299"] and not monitor.get("ignore_tls")
            add(monitor["url"], "http_2xx" if strict else "http_reachable", system, component)
    # The watchman himself.
    if "uptime-kuma" in by_name:
        system, component = by_name["uptime-kuma"]
        health = component["health"]
        add(f"http://omni-uptime-kuma:{health['port']}/api/entry-page", "http_2xx", system, component)
    return out


def render(desired: dict, blackbox: list) -> dict[str, str]:
    head = (
        "# Made by compose/uptime/generate.py from the catalogue and config/uptime.yaml: change those, then run it again.\n"
        "# file_sd targets for the blackbox exporter; compose/monitoring turns `module` into the probe's parameter.\n"
    )
    body = "".join(
        f"- targets: ['{t['targets'][0]}']\n  labels: {{{', '.join(f'{k}: {json.dumps(v)}' for k, v in t['labels'].items())}}}\n" for t in blackbox
    )
    return {"desired.json": json.dumps(desired, indent=1, ensure_ascii=False) + "\n", "blackbox-targets.yml": head + body}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Writes what is to be watched, from the catalogue and config/uptime.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    parser.add_argument("--list", action="store_true", help="show each component, and why one is not watched")
    parser.add_argument("--catalogue", action="append", default=[], type=Path, metavar="DIR", help="a further folder with system files")
    parser.add_argument("--config", type=Path, default=HERE / "config/uptime.yaml")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args(argv)
    try:
        desired, blackbox, skipped = build([CATALOGUE, *args.catalogue], load(args.config))
    except Wrong as wrong:
        print(f"generate.py: {wrong}", file=sys.stderr)
        return 1
    except KeyError as missing:
        print(f"generate.py: an entry lacks {missing}; see compose/catalogue/schema.json", file=sys.stderr)
        return 1
    if args.list:
        for m in desired["monitors"]:
            print(f"{m['name']:24} {m['tier']:9} every {m['interval']:>3} s  {m.get('url') or m['host'] + ':' + str(m['port'])}")
        for name, reason in skipped:
            print(f"{name:24} not watched: {reason}")
        return 0
    stale = []
    for name, text in render(desired, blackbox).items():
        path = args.out / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not args.check:
                path.write_text(text)
    if args.check and stale:
        print(f"generate.py: {', '.join(stale)} not current: run compose/uptime/generate.py and commit", file=sys.stderr)
        return 1
    print(f"{len(desired['monitors'])} monitors, {len(blackbox)} blackbox targets" + (f"; written: {', '.join(stale)}" if stale else "; nothing to do"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
