#!/usr/bin/env python3
"""Makes the sites of the proxy, and their table, from routes.yaml and the catalogue.

    scripts/routes.py           writes config/sites*/ and ROUTES.md
    scripts/routes.py --check   says what would change; ends with 1 if anything would

Needs PyYAML. Exit: 0 done, 1 not current or a fault in routes.yaml, 2 wrong use.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parents[1]
SYSTEMS = Path(os.environ.get("CATALOGUE", HERE.parent / "catalogue" / "systems"))
ROUTES = Path(os.environ.get("ROUTES", HERE / "routes.yaml"))
TARGET = Path(os.environ.get("TARGET", HERE))
HEAD = "# Made by scripts/routes.py from routes.yaml; change that, not this.\n"
POLICIES = {"public", "sso", "admin", "internal", "mtls"}
RATES = {"web": ["rate_web"], "api": ["rate_api"], "login": ["rate_web", "rate_login"], "none": []}
KEYS = {"component", "port", "host", "policy", "open", "block", "only", "body", "rate", "csp", "stream", "tls", "firewall", "paths", "why"}
PATH_KEYS = {"path", "component", "port", "policy"}
# Ports by these names are for people or programs outside; the rest are metrics, gossip, databases.
WEB = {"http", "https", "api", "console", "s3", "connect-ui", "management", "lapi", "ws", "internal", "http-api"}


class Fault(Exception):
    """Something in routes.yaml that cannot be right; the message says where and what would be."""


def components(folder: Path = SYSTEMS) -> dict[str, dict[str, Any]]:
    """The catalogue's components by name."""
    found = {}
    for file in sorted(folder.glob("*.yaml")):
        system = yaml.safe_load(file.read_text())
        found.update({component["name"]: {**component, "system": system["system"]} for component in system["components"]})
    return found


def check(routes: dict[str, Any], catalogue: dict[str, dict[str, Any]]) -> None:
    """Raises Fault on anything that is not as the head of routes.yaml says."""
    hosts: set[str] = set()
    for number, route in enumerate(routes["routes"], 1):
        where = f"route {number} ({route.get('host', 'no host')})"
        if unknown := set(route) - KEYS:
            raise Fault(f"{where}: no key {', '.join(sorted(unknown))}; there are {', '.join(sorted(KEYS))}")
        for key in ("component", "host", "policy", "body", "rate", "csp"):
            if key not in route:
                raise Fault(f"{where}: needs `{key}`")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", route["host"]):
            raise Fault(f"{where}: `host` is one label below the domain, of letters, digits and hyphens")
        if route["host"] in hosts:
            raise Fault(f"{where}: the host stands twice")
        hosts.add(route["host"])
        if route["rate"] not in RATES:
            raise Fault(f"{where}: rate is one of {', '.join(RATES)}")
        if route["body"] != "none" and not re.fullmatch(r"[1-9][0-9]*(KB|MB|GB)", route["body"]):
            raise Fault(f"{where}: body is a size such as 10MB, or none")
        for below in route.get("paths", []):
            if unknown := set(below) - PATH_KEYS:
                raise Fault(f"{where}: a path has no key {', '.join(sorted(unknown))}")
        for part in [route, *route.get("paths", [])]:
            if part.get("policy", "public") not in POLICIES:
                raise Fault(f"{where}: policy is one of {', '.join(sorted(POLICIES))}")
            if part["component"] not in catalogue:
                raise Fault(f"{where}: the catalogue has no component {part['component']}")
            port_of(part, catalogue)
        for key in ("open", "block", "only"):
            for path in route.get(key, []):
                if not path.startswith("/"):
                    raise Fault(f"{where}: {key}: {path} does not start with a slash")
        if "open" in route and route["policy"] not in ("sso", "admin"):
            raise Fault(f"{where}: `open` means nothing under policy {route['policy']}")
        if any(path in ("/*", "/", "*") for path in route.get("open", [])):
            raise Fault(f"{where}: `open` lets everything through; then the policy is public")
    routed = {part["component"] for route in routes["routes"] for part in [route, *route.get("paths", [])]}
    for name, component in catalogue.items():
        listens = {port["name"] for port in component.get("ports", [])} & WEB
        if listens and name not in routed | set(routes["unrouted"]):
            raise Fault(f"{name} listens ({', '.join(sorted(listens))}) and is neither routed nor listed under `unrouted` with a reason")
    for name in routes["unrouted"]:
        if name not in catalogue:
            raise Fault(f"unrouted: the catalogue has no component {name}")


def port_of(part: dict[str, Any], catalogue: dict[str, dict[str, Any]]) -> int:
    """The port a route leads to."""
    ports = {port["name"]: port["port"] for port in catalogue[part["component"]].get("ports", [])}
    if "port" in part:
        if part["port"] not in ports:
            raise Fault(f"{part['component']} has no port called {part['port']}; it has {', '.join(ports)}")
        return ports[part["port"]]
    named = [ports[name] for name in ("http", "api", "s3") if name in ports]
    if not named:
        raise Fault(f"{part['component']}: say which `port` of {', '.join(ports) or 'none'}")
    return named[0]


def variable(part: dict[str, Any]) -> str:
    """The environment variable that sends a route elsewhere, as to another host."""
    name = part["component"] + ("-" + part["port"] if part.get("port") not in (None, "api") else "")
    return name.upper().replace("-", "_") + "_UPSTREAM"


def tls_name(part: dict[str, Any]) -> str:
    """The environment variable with the name in the certificate of a program that speaks TLS."""
    return part["component"].upper().replace("-", "_") + "_TLS_NAME"


def upstream(part: dict[str, Any], catalogue: dict[str, dict[str, Any]], route: dict[str, Any], indent: str) -> str:
    """A reverse_proxy block."""
    port = port_of(part, catalogue)
    health = catalogue[part["component"]].get("health", {})
    lines = ["import upstream"]
    if health.get("path") and health.get("port") == port:
        lines.append(f"health_uri {health['path']}")
    if route.get("stream"):
        lines.append("import streaming")
    if route.get("tls"):
        # The name that the program's certificate carries; on the platform's network its container's.
        lines += ["transport http {", "\ttls", f"\ttls_server_name {{${tls_name(part)}:omni-{part['component']}}}", "\timport upstream_ca", "}"]
    address = f"{{${variable(part)}:omni-{part['component']}:{port}}}"
    scheme = "https://" if route.get("tls") else ""
    body = "\n".join(f"{indent}\t{line}" for line in lines)
    return f"{indent}reverse_proxy {scheme}{address} {{\n{body}\n{indent}}}\n"


def size_of(text: str) -> int:
    """10MB in bytes, as Caddy counts: by thousands."""
    return int(text[:-2]) * 1000 ** ("KB", "MB", "GB").index(text[-2:]) * 1000


def blocked(route: dict[str, Any], catalogue: dict[str, dict[str, Any]]) -> list[str]:
    """Paths that stay inside: those named, and metrics that share the port."""
    paths = list(route.get("block", []))
    for part in [route, *route.get("paths", [])]:
        metrics = catalogue[part["component"]].get("metrics", {})
        if metrics.get("kind") == "native" and metrics.get("port") == port_of(part, catalogue):
            paths.append(metrics["path"].split("?")[0])
    return sorted(set(paths))


def site(route: dict[str, Any], catalogue: dict[str, dict[str, Any]]) -> str:
    """One site file. The order of `route` is the order of execution."""
    policy = route["policy"]
    out = [HEAD]
    if route.get("why"):
        out.append(f"# {route['why'][0].upper()}{route['why'][1:]}.\n")
    out.append(f"{route['host']}.{{$OMNI_DOMAIN:omni.localhost}} {{\n\timport site_base\n")
    if policy == "mtls":
        out.append("\timport mtls\n")
    out.append("\troute {\n\t\timport strip_identity\n\t\timport security_headers\n")
    if route["csp"] in ("default", "none"):
        out.append(f"\t\timport csp_{route['csp']}\n")
    else:
        out.append(f'\t\theader ?Content-Security-Policy "{route["csp"]}"\n')
    if stay := blocked(route, catalogue):
        out.append(f"\t\t@inside path {' '.join(stay)}\n\t\terror @inside 404\n")
    if route.get("only"):
        out.append(f"\t\t@other not path {' '.join(route['only'])}\n\t\terror @other 404\n")
    lists = {"admin": "allow_admin", "internal": "allow_internal"}
    out.append(f"\t\timport {lists.get(policy, 'allow_all')}\n")
    if policy not in ("mtls", "internal"):
        out.append("\t\timport geo\n")
    out.append("\t\timport crowdsec_check\n")
    out += [f"\t\timport {rate}\n" for rate in RATES[route["rate"]]]
    if route.get("firewall"):
        out.append("\t\timport waf\n")
    if policy in ("sso", "admin"):
        if route.get("open"):
            out.append(f"\t\t@closed not path {' '.join(route['open'])}\n\t\troute @closed {{\n\t\t\timport sso\n\t\t}}\n")
        else:
            out.append("\t\timport sso\n")
    if route["body"] != "none":
        # Said at once where the length is announced; a body of unknown length is cut off, which shows as 502.
        length = "{http.request.header.Content-Length}"
        out.append(f'\t\t@large expression `{length}.matches("^[0-9]{{1,18}}$") && int({length}) > {size_of(route["body"])}`\n\t\terror @large 413\n')
        out.append(f"\t\trequest_body {{\n\t\t\tmax_size {route['body']}\n\t\t}}\n")
    out.append("\t\timport compression\n")
    for below in route.get("paths", []):
        out.append(f"\t\thandle {below['path']} {{\n")
        # Inside `handle` Caddy sorts by its own order; `route` keeps ours: first who, then where to.
        out.append("\t\t\troute {\n")
        if below.get("policy") in lists:
            out.append(f"\t\t\t\timport {lists[below['policy']]}\n")
        if below.get("policy") in ("sso", "admin"):
            out.append("\t\t\t\timport sso\n")
        out.append(upstream(below, catalogue, route, "\t\t\t\t") + "\t\t\t}\n")
        out.append("\t\t}\n")
    if route.get("paths"):
        out.append("\t\thandle {\n" + upstream(route, catalogue, route, "\t\t\t") + "\t\t}\n")
    else:
        out.append(upstream(route, catalogue, route, "\t\t"))
    out.append("\t}\n}\n")
    return "".join(out)


def folder_of(route: dict[str, Any]) -> str:
    if route["policy"] == "mtls":
        return "sites-mtls"
    return "sites-tls" if route.get("tls") else "sites"


def table(routes: dict[str, Any], catalogue: dict[str, dict[str, Any]]) -> str:
    """ROUTES.md."""
    out = [
        "# Routes\n\n<!-- Made by scripts/routes.py from routes.yaml; change that, not this. -->\n\n",
        "Hosts are below `OMNI_DOMAIN`. What the policies mean is at the head of [routes.yaml](routes.yaml). \"Elsewhere\" is the\n",
        "variable of `.env` that sends the route to another address, `host:port`. Where the upstream is https, `NAME_TLS_NAME`\n",
        "(as `OMNI_TLS_NAME`) is the name to expect in its certificate, if that is not the container's.\n\n",
        "| host | component | upstream | policy | open without sign-on | largest body | elsewhere |\n",
        "| --- | --- | --- | --- | --- | --- | --- |\n",
    ]
    for route in sorted(routes["routes"], key=lambda one: one["host"]):
        for part in [route, *route.get("paths", [])]:
            name = route["host"] + part.get("path", "")
            opened = ", ".join(f"`{path}`" for path in part.get("open", [])) or "–"
            scheme = "https" if route.get("tls") else "http"
            out.append(
                f"| `{name}` | {part['component']} | `{scheme}://omni-{part['component']}:{port_of(part, catalogue)}` "
                f"| {part.get('policy', route['policy'])} | {opened} | {route['body']} | `{variable(part)}` |\n"
            )
    out.append("\n## Not routed\n\n| component | why |\n| --- | --- |\n")
    out += [f"| {name} | {why} |\n" for name, why in sorted(routes["unrouted"].items())]
    return "".join(out)


def wanted() -> dict[Path, str]:
    """Every file that this script is the author of."""
    routes, catalogue = yaml.safe_load(ROUTES.read_text()), components()
    check(routes, catalogue)
    files = {TARGET / "config" / folder_of(route) / f"{route['host']}.caddy": site(route, catalogue) for route in routes["routes"]}
    files[TARGET / "ROUTES.md"] = table(routes, catalogue)
    return files


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: scripts/routes.py [--check]", file=sys.stderr)
        return 2
    try:
        files = wanted()
    except Fault as fault:
        print(f"proxy: {ROUTES.name}: {fault}", file=sys.stderr)
        return 1
    present = {path for folder in ("sites", "sites-tls", "sites-mtls") for path in (TARGET / "config" / folder).glob("*.caddy")}
    stale = sorted(path for path, text in files.items() if not path.is_file() or path.read_text() != text)
    left_over = sorted(present - set(files))
    if arguments == ["--check"]:
        for path in stale + left_over:
            print(f"proxy: {path.relative_to(TARGET)} is not what routes.yaml says: run scripts/routes.py", file=sys.stderr)
        return 1 if stale or left_over else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    for path in left_over:
        path.unlink()
    print(f"proxy: {len(files) - 1} sites; {len(stale)} written, {len(left_over)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
