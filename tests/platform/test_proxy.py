"""compose/proxy: the edge, in a real Caddy with programs and a sign-on behind it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPO, Running, Spawner, find_binary, wait_until

PROXY = REPO / "compose" / "proxy"
CONFIG = PROXY / "config"
FAKE = Path(__file__).parent / "fakes" / "edge.py"
ROUTES = yaml.safe_load((PROXY / "routes.yaml").read_text())
PLUGINS = {"http.handlers.rate_limit", "http.matchers.maxmind_geolocation", "http.handlers.crowdsec", "http.handlers.waf", "dns.providers.rfc2136"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def seen(self) -> dict[str, str]:
        """Headers as the program got them, in small letters."""
        return {name.lower(): value for name, value in self.json()["headers"]}


def pick() -> int:
    """A free port, for TCP and for UDP: HTTP/3 listens on both."""
    while True:
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as twin:
            probe.bind(("127.0.0.1", 0))
            try:
                twin.bind(probe.getsockname())
            except OSError:
                continue
            return int(probe.getsockname()[1])


@dataclass
class Edge:
    """A running Caddy with the repository's configuration."""

    folder: Path
    spawn: Spawner
    env: dict[str, str] = field(default_factory=dict)
    https: int = field(default_factory=pick)
    http: int = field(default_factory=pick)
    metrics: int = field(default_factory=pick)
    program: int = field(default_factory=pick)
    authentik: int = field(default_factory=pick)
    config: Path = CONFIG
    caddy: Running | None = None
    ready: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # A path of a socket has at most 107 characters.
        self.socket = Path(f"/tmp/omni-test-{os.getpid()}-{self.https}.sock")
        self.environment = {
            "OMNI_DOMAIN": "omni.test", "PROXY_EDITION": "stock", "PROXY_ADMIN": f"unix/{self.socket}",
            "PROXY_HTTP_PORT": str(self.http), "PROXY_HTTPS_PORT": str(self.https), "PROXY_METRICS_PORT": str(self.metrics),
            "PROXY_ERRORS_DIR": str(self.config / "errors"), "PROXY_INTERNAL_RANGES": "127.0.0.0/8", "PROXY_ADMIN_RANGES": "192.0.2.0/24",
            "AUTHENTIK_SERVER_UPSTREAM": f"127.0.0.1:{self.authentik}",
            "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder / "data"), "XDG_CONFIG_HOME": str(self.folder / "config"),
            **{name: f"127.0.0.1:{self.program}" for name in upstream_variables() if name != "AUTHENTIK_SERVER_UPSTREAM"},
            **self.env,
        }  # fmt: skip

    @property
    def caddyfile(self) -> Path:
        return self.config / "Caddyfile"

    @property
    def root(self) -> Path:
        return self.folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def start_fakes(self) -> None:
        for kind, port in (("program", self.program), ("authentik", self.authentik)):
            self.spawn(sys.executable, FAKE, kind, str(port)).listening(port)

    def start(self) -> Edge:
        self.caddy = self.spawn(find_binary("caddy"), "run", "--config", self.caddyfile, "--adapter", "caddyfile", env=self.environment)
        self.caddy.listening(self.https)

        return self

    def has_certificate(self, host: str) -> None:
        """Caddy makes certificates after it began to listen, one after the other."""
        if host not in self.ready:
            wait_until(f"a certificate for {host}", lambda: self.root.is_file() and self.connect(host).close() is None)
            self.ready.add(host)

    def tls(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.root))
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def connect(self, host: str, certificate: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
        name = f"{host}.omni.test"
        return self.tls(certificate).wrap_socket(socket.create_connection(("127.0.0.1", self.https), 30), server_hostname=name)

    def ask(self, host: str, path: str, method: str = "GET", headers: list[tuple[str, str]] | None = None, body: bytes | None = None,
            certificate: tuple[Path, Path] | None = None) -> Answer:
        self.has_certificate(host)
        connection = http.client.HTTPConnection(f"{host}.omni.test", timeout=30)
        connection.sock = self.connect(host, certificate)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers or []:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def plain(self, host: str, path: str, port: int) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def access_log(self) -> list[dict[str, Any]]:
        assert self.caddy
        lines = [json.loads(line) for line in self.caddy.output().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("logger", "").startswith("http.log.access")]

    def init(self, *arguments: str, expect: int = 0, **env: str) -> str:
        done = subprocess.run(
            [PROXY / "scripts" / "init.sh", *arguments], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environment, "PROXY_EXEC": "env", "PROXY_CADDYFILE": str(self.caddyfile), "PROXY_ADMIN_SOCKET": str(self.socket),
                 "PROXY_CA": str(self.root), "SITES_DIR": str(self.config), **env},
        )  # fmt: skip
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr


def upstream_variables() -> set[str]:
    return {name for file in CONFIG.glob("sites*/*.caddy") for name in re.findall(r"\{\$([A-Z0-9_]+_UPSTREAM):", file.read_text())}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An authority, a client's certificate of it, and one of a stranger."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run([find_binary("openssl"), *arguments], check=True, capture_output=True, cwd=folder)

    for name in ("ca", "stranger-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-days", "2",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    for name, ca in (("host-a", "ca"), ("stranger", "stranger-ca")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "ext").write_text("extendedKeyUsage=clientAuth\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "1", "-extfile", "ext", "-out", f"{name}.pem")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, certificates: dict[str, Path]) -> Iterator[Edge]:
    """The whole edge: sites, mutual TLS; both fakes behind it."""
    folder = tmp_path_factory.mktemp("edge")
    spawner = Spawner(folder)
    running = Edge(folder, spawner, {"PROXY_MTLS": "on", "PROXY_CLIENT_CA": str(certificates["ca.pem"])})
    try:
        running.start_fakes()
        yield running.start()
    finally:
        spawner.stop_all()
        running.socket.unlink(missing_ok=True)


# --- Files ----------------------------------------------------------------------------------------------------------


def caddy(*arguments: str | Path, expect: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([find_binary("caddy"), *map(str, arguments)], capture_output=True, text=True, timeout=60, env={**os.environ, **env})
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("tls", ["internal", "acme", "acme-private"])
def test_stock_caddy_takes_the_configuration(tls: str, certificates: dict[str, Path], tmp_path: Path) -> None:
    ca = str(certificates["ca.pem"])
    done = caddy(
        "validate", "--config", CONFIG / "Caddyfile", "--adapter", "caddyfile", PROXY_EDITION="stock", PROXY_TLS=tls, PROXY_MTLS="on", PROXY_TLS_UPSTREAMS="on",
        PROXY_CLIENT_CA=ca, PROXY_UPSTREAM_CA=ca, ACME_EMAIL="ops@omni.test", ACME_CA_ROOT=ca, ACME_CA="https://ca.omni.test/directory",
        OMNI_DOMAIN="omni.test", XDG_DATA_HOME=str(tmp_path), PROXY_ADMIN=f"unix/{tmp_path}/a",
    )  # fmt: skip
    assert "Valid configuration" in done.stderr + done.stdout


def test_files_are_formatted() -> None:
    for file in [CONFIG / "Caddyfile", *CONFIG.rglob("*.caddy")]:
        assert caddy("fmt", file).stdout == file.read_text(), f"{file.relative_to(REPO)}: run caddy fmt --overwrite"


def test_every_import_is_there() -> None:
    """Also those that only one setting of a switch takes."""
    defined = {name for file in CONFIG.rglob("*.caddy") for name in re.findall(r"^\(([a-z_]+)\)", file.read_text(), re.MULTILINE)}
    switches = {"PROXY_GEO": ["off", "allow", "deny"], "PROXY_CROWDSEC": ["off", "on"], "PROXY_WAF": ["off", "detect", "block"], "PROXY_MTLS": ["off", "on"],
                "PROXY_TLS_UPSTREAMS": ["off", "on"], "PROXY_TLS": ["internal", "acme", "acme-private", "acme-dns"], "PROXY_EDITION": ["full", "stock"]}  # fmt: skip
    for file in [CONFIG / "Caddyfile", *CONFIG.rglob("*.caddy")]:
        for what in re.findall(r"^\s*import (\S+)$", file.read_text(), re.MULTILINE):
            switch = re.search(r"\{\$([A-Z_]+):[a-z-]+\}", what)
            for value in switches[switch[1]] if switch else [""]:
                name = what[: switch.start()] + value + what[switch.end() :] if switch else what
                if "/" in name:
                    # sites.d is for the operator and empty here.
                    assert "sites.d" in name or list(file.parent.glob(name)) or (file.parent / name).resolve().is_file() or list((file.parent / ".." ).resolve().glob(name.removeprefix("../"))), f"{file.name}: {name}"
                else:
                    assert name in defined, f"{file.name} imports the snippet {name}, which is nowhere"


# --- The full edition: what can be known without its plugins ------------------------------------------------------------

# Sub-directives as the plugins' own parsers know them, read in their sources.
SYNTAX = {
    "rate_limit": {"zone", "key", "window", "events", "match", "method", "jitter"},
    "maxmind_geolocation": {"db_path", "allow_countries", "deny_countries"},
    "coraza_waf": {"load_owasp_crs", "directives"},
    "crowdsec": {"api_url", "api_key", "ticker_interval"},
    "acme_dns": {"server", "key_name", "key_alg", "key"},
    "trust_pool": {"pem_file"},
    "tls_trust_pool": {"pem_file"},
}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(directive, body) of every block whose directive is in SYNTAX."""
    for match in re.finditer(r"^[ \t]*(" + "|".join(SYNTAX) + r")\b([^\n{]*)\{\n", text, re.MULTILINE):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield match[1], text[match.end() : end - 1]


def test_both_editions_have_the_same_snippets() -> None:
    def names(edition: str) -> set[str]:
        return set(re.findall(r"^\(([a-z_]+)\)", (CONFIG / "edition" / edition / "snippets.caddy").read_text(), re.MULTILINE))

    assert {name for name in names("full") if not re.search(r"_(off|on|allow|deny|detect|block)$", name)} == names("stock")


def test_plugins_are_spoken_to_as_they_understand() -> None:
    found = set()
    for file in [*CONFIG.glob("edition/full/*.caddy"), *CONFIG.glob("optional/*.caddy"), CONFIG / "tls" / "acme-dns.caddy"]:
        for directive, body in blocks(re.sub(r"\{\$[^}]*\}|\{http[^}]*\}", "value", file.read_text())):
            found.add(directive)
            outside_quotes = re.sub(r"`[^`]*`", "", body)
            words = set(re.findall(r"^\s*([a-z_]+)", re.sub(r"#.*", "", outside_quotes), re.MULTILINE))
            assert words <= SYNTAX[directive], f"{file.name}: {directive} knows no {words - SYNTAX[directive]}"
    assert found == set(SYNTAX)


def test_the_full_edition_runs_its_guards_before_anyone_is_asked_who_they_are(tmp_path: Path) -> None:
    """With something a stock Caddy knows in place of each plugin, it adapts; and the order is the one meant."""
    copy = tmp_path / "config"
    shutil.copytree(CONFIG, copy)
    snippets = copy / "edition" / "full" / "snippets.caddy"
    text = snippets.read_text()
    for directive, body in blocks(text):
        if directive in ("rate_limit", "coraza_waf"):
            text = re.sub(rf"{directive}[^\n{{]*\{{\n{re.escape(body)}\}}", f"vars plugin {directive}", text)
        if directive == "maxmind_geolocation":
            text = re.sub(rf"{directive} \{{\n{re.escape(body)}\}}", "path /geo", text)
    text = re.sub(r"^\tcrowdsec$", "\tvars plugin crowdsec", text, flags=re.MULTILINE).replace("private_ranges", "10.0.0.0/8")
    text = text.replace("stream_close_delay 5m", "")
    snippets.write_text(text)
    (copy / "edition" / "full" / "global.caddy").write_text((CONFIG / "edition" / "stock" / "global.caddy").read_text())
    done = caddy("adapt", "--config", copy / "Caddyfile", "--adapter", "caddyfile", PROXY_EDITION="full", PROXY_GEO="deny", PROXY_GEO_COUNTRIES="AA BB", PROXY_CROWDSEC="on",
                 PROXY_WAF="block", OMNI_DOMAIN="omni.test")  # fmt: skip
    whole = json.loads(done.stdout)
    servers = whole["apps"]["http"]["servers"].values()
    site = next(json.dumps(r) for s in servers for r in s["routes"] if r.get("match", [{}])[0].get("host") == ["lists.omni.test"])
    order = ["X-Authentik-*", '"/geo"', '"crowdsec"', '"rate_limit"', '"coraza_waf"', "/outpost.goauthentik.io/auth/caddy", '"request_body"', '"encode"', "omni-listmonk:9000"]
    places = [site.find(one) for one in order]
    assert -1 not in places and places == sorted(places), list(zip(order, places, strict=True))


def test_the_image_is_built_from_pinned_sources() -> None:
    text = (PROXY / "Dockerfile").read_text()
    versions = dict(re.findall(r"^ARG ([A-Z0-9_]+)=(\S+)$", text, re.MULTILINE))
    plugins = re.findall(r'--with "?([^@"\s]+)@\$\{([A-Z0-9_]+)\}', text)
    assert len(plugins) == len(PLUGINS) == text.count("--with ")
    for path, version in plugins:
        assert re.fullmatch(r"v\d+\.\d+\.\d+|[0-9a-f]{40}", versions[version]), f"{path} is pinned to {versions[version]}"
    for module in PLUGINS:
        assert module in text and module in (PROXY / "scripts" / "init.sh").read_text()
    catalogue = yaml.safe_load((REPO / "compose/catalogue/systems/09-reverse-proxy.yaml").read_text())
    pin = next(c["image"]["ref"] for c in catalogue["components"] if c["name"] == "caddy")
    assert pin == f"caddy:{versions['CADDY_VERSION']}-alpine"
    compose = yaml.safe_load((PROXY / "docker-compose.yml").read_text())
    assert compose["services"]["caddy"]["image"] == f"omni/caddy:{versions['CADDY_VERSION']}"


# --- Routes -----------------------------------------------------------------------------------------------------------


def routes_py(*arguments: str, expect: int = 0, **env: str) -> str:
    done = subprocess.run([sys.executable, PROXY / "scripts" / "routes.py", *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **env})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_sites_are_what_routes_say() -> None:
    routes_py("--check")


NAMED = re.compile(r"\b([a-z][a-z0-9-]*)\.(?:omni\.localhost|\$\{OMNI_DOMAIN[^}]*\}|<domain>)")


def unknown_hosts(folder: Path) -> list[str]:
    """Names below the platform's domain, in what people copy and read, that no route answers to."""
    hosts = {route["host"] for route in ROUTES["routes"]}
    files = [*folder.glob("*/.env.example"), *folder.glob("*/docker-compose.yml"), *folder.glob("*/README.md")]
    return [f"{file.parent.name}/{file.name}: {name}" for file in sorted(files) for name in NAMED.findall(file.read_text()) if name not in hosts]


def test_names_below_the_domain_are_routes(tmp_path: Path) -> None:
    assert unknown_hosts(REPO / "compose") == []
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "README.md").write_text("`https://grafana.<domain>`, `https://langfuse.<domain>`\n")
    assert unknown_hosts(tmp_path) == ["x/README.md: langfuse"]


def test_the_name_in_a_controllers_certificate_can_be_told(tmp_path: Path) -> None:
    def names(**env: str) -> set[str]:
        done = caddy("adapt", "--config", CONFIG / "Caddyfile", "--adapter", "caddyfile", PROXY_EDITION="stock", PROXY_TLS_UPSTREAMS="on",
                     PROXY_UPSTREAM_CA=str(tmp_path / "ca.pem"), **env)  # fmt: skip
        return set(re.findall(r'"server_name": ?"([^"]+)"', done.stdout))

    (tmp_path / "ca.pem").write_text("")
    assert names() == {"omni-omni", "omni-openbao"}
    assert names(OMNI_TLS_NAME="c1.example") == {"c1.example", "omni-openbao"}


def test_a_site_changed_by_hand_is_noticed_and_mended(tmp_path: Path) -> None:
    target = tmp_path / "proxy"
    shutil.copytree(PROXY, target, ignore=shutil.ignore_patterns("data"))
    site = target / "config" / "sites" / "flows.caddy"
    site.write_text(site.read_text().replace("import sso", "import nothing"))
    (target / "config" / "sites" / "old.caddy").write_text("old.omni.test {\n}\n")
    said = routes_py("--check", expect=1, TARGET=str(target))
    assert "sites/flows.caddy is not what routes.yaml says" in said and "sites/old.caddy" in said
    assert "1 written, 1 removed" in routes_py(TARGET=str(target))
    routes_py("--check", TARGET=str(target))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["routes"][0].update(policy="open"), "policy is one of admin, internal, mtls, public, sso"),
        (lambda r: r["routes"][0].update(component="grafanna"), "the catalogue has no component grafanna"),
        (lambda r: r["routes"][0].update(port="web"), "authentik-server has no port called web; it has http, https, metrics"),
        (lambda r: r["routes"][0].update(host="Auth"), "one label below the domain"),
        (lambda r: r["routes"].append(dict(r["routes"][0])), "the host stands twice"),
        (lambda r: r["routes"][0].update(bodi="1MB"), "no key bodi"),
        (lambda r: r["routes"][0].pop("rate"), "needs `rate`"),
        (lambda r: r["routes"][0].update(body="10"), "body is a size such as 10MB"),
        (lambda r: r["routes"][0].update(open=["/x"]), "`open` means nothing under policy public"),
        (lambda r: next(x for x in r["routes"] if x["host"] == "flows").update(open=["/*"]), "then the policy is public"),
        (lambda r: next(x for x in r["routes"] if x["host"] == "flows").update(open=["webhook"]), "does not start with a slash"),
        (lambda r: r["unrouted"].pop("ollama"), "ollama listens (http) and is neither routed nor listed"),
        (lambda r: r["unrouted"].update(ghost="x"), "the catalogue has no component ghost"),
    ],
)
def test_a_fault_in_routes_is_named(change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path) -> None:
    routes = yaml.safe_load((PROXY / "routes.yaml").read_text())
    change(routes)
    file = tmp_path / "routes.yaml"
    file.write_text(yaml.safe_dump(routes))
    assert said in routes_py(expect=1, ROUTES=str(file), TARGET=str(tmp_path))
    assert not (tmp_path / "config").exists()


# --- The running edge -----------------------------------------------------------------------------------------------------


def test_security_headers(edge: Edge) -> None:
    answer = edge.ask("crm", "/text")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    for gone in ("server", "x-powered-by", "via", "x-authentik-username"):
        assert gone not in answer.headers, gone


def test_a_programs_own_policy_stands(edge: Edge) -> None:
    answer = edge.ask("crm", "/own-policy")
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "content-security-policy" not in edge.ask("git", "/text").headers, "csp: none"


@pytest.mark.parametrize(("asked", "got"), [("gzip", "gzip"), ("zstd, gzip", "zstd"), ("", None)])
def test_compression(edge: Edge, asked: str, got: str | None) -> None:
    answer = edge.ask("crm", "/text", headers=[("Accept-Encoding", asked)] if asked else [])
    assert answer.headers.get("content-encoding") == got
    if got == "gzip":
        assert gzip.decompress(answer.body).startswith(b"the same words")
    if got:
        assert len(answer.body) < 500


def test_http3_is_offered(edge: Edge) -> None:
    assert f'h3=":{edge.https}"' in edge.ask("crm", "/").headers["alt-svc"]


def test_without_sign_on_one_is_sent_to_it(edge: Edge) -> None:
    answer = edge.ask("flows", "/home?x=1")
    assert answer.status == 302
    assert answer.headers["location"] == "/outpost.goauthentik.io/start?rd=https://flows.omni.test/home?x=1"
    # The outpost's own pages come through.
    assert edge.ask("flows", "/outpost.goauthentik.io/start").headers["location"].startswith("https://auth.omni.test/")


FORGED = [
    ("X-Authentik-Username", "root"), ("X-Authentik-Groups", "omni-admins"), ("X_Authentik_Username", "root"), ("X-authentik_Email", "root@x"),
    ("Remote-User", "root"), ("X-Remote-User", "root"), ("X-Forwarded-User", "root"), ("X-Auth-Request-User", "root"), ("X-Webauth-User", "root"),
    ("X-Forwarded-Host", "evil.test"), ("X-Forwarded-For", "192.0.2.7"),
]  # fmt: skip


def assert_nothing_forged(seen: dict[str, str]) -> None:
    for name, value in seen.items():
        assert value not in ("root", "root@x", "omni-admins", "evil.test") and "192.0.2.7" not in value, f"{name}: {value}"


def test_identity_comes_from_the_sign_on_alone(edge: Edge) -> None:
    answer = edge.ask("flows", "/home", headers=[("Cookie", "session=good"), *FORGED])
    assert answer.status == 200, answer.body
    seen = answer.seen()
    assert seen["x-authentik-username"] == "ann" and seen["x-authentik-groups"] == "devs|omni-admins"
    assert seen["x-real-ip"] == "127.0.0.1" and seen["x-forwarded-host"] == "flows.omni.test"
    assert_nothing_forged(seen)


@pytest.mark.parametrize(("host", "path"), [("flows", "/webhook/abc"), ("crm", "/"), ("git", "/x"), ("ai", "/v1/models")])
def test_where_no_sign_on_is_asked_nobody_can_claim_one(edge: Edge, host: str, path: str) -> None:
    answer = edge.ask(host, path, headers=FORGED)
    assert answer.status == 200
    assert_nothing_forged(answer.seen())


@pytest.mark.parametrize("path", ["/webhook/../home", "/webhookx", "/WEBHOOK", "//home", "/form", "/webhook/%2e%2e/home"])
def test_what_is_open_is_no_way_in(edge: Edge, path: str) -> None:
    assert edge.ask("flows", path).status in (302, 308, 400, 404), path


def test_the_sign_on_away_lets_nobody_in(tmp_path: Path) -> None:
    spawner = Spawner(tmp_path)
    alone = Edge(tmp_path, spawner)
    try:
        spawner(sys.executable, FAKE, "program", str(alone.program)).listening(alone.program)
        alone.caddy = spawner(find_binary("caddy"), "run", "--config", alone.caddyfile, "--adapter", "caddyfile", env=alone.environment)
        alone.caddy.listening(alone.https)
        assert alone.ask("flows", "/home", headers=[("Cookie", "session=good")]).status in (502, 503)
        assert alone.ask("crm", "/").status == 200
    finally:
        spawner.stop_all()
        alone.socket.unlink(missing_ok=True)


@pytest.mark.parametrize(("host", "path"), [("prometheus", "/graph"), ("code", "/"), ("console", "/"), ("plan", "/god-mode/x")])
def test_an_address_that_is_not_on_the_list(edge: Edge, host: str, path: str) -> None:
    answer = edge.ask(host, path, headers=[("Cookie", "session=good"), ("X-Forwarded-For", "192.0.2.1"), ("Accept", "text/html")])
    assert answer.status == 403
    assert b"not on the list" in answer.body
    assert edge.ask("plan", "/issues").status == 200


def test_an_address_that_is_on_the_list(edge: Edge) -> None:
    assert edge.ask("ai", "/v1/models").status == 200


@pytest.mark.parametrize(("host", "path"), [("flows", "/metrics"), ("ai", "/health"), ("ai", "/metrics"), ("git", "/metrics"), ("grafana", "/metrics"), ("auth", "/nothing")])
def test_what_stays_inside(edge: Edge, host: str, path: str) -> None:
    assert edge.ask(host, path).status == 404


def test_a_body_that_is_too_large(edge: Edge) -> None:
    small = edge.ask("connect", "/up", "POST", body=b"x" * 900_000)
    assert small.status == 200 and small.json()["bytes"] == 900_000
    answer = edge.ask("connect", "/up", "POST", headers=[("Accept", "application/json")], body=b"x" * 1_200_000)
    assert answer.status == 413
    assert answer.json()["status"] == 413
    assert edge.ask("git", "/big", "POST", body=b"x" * 12_000_000).json()["bytes"] == 12_000_000, "body: none"


def test_a_websocket(edge: Edge) -> None:
    edge.has_certificate("chat")
    wire = edge.connect("chat")
    key = base64.b64encode(b"0123456789abcdef").decode()
    wire.sendall(f"GET /ws HTTP/1.1\r\nHost: chat.omni.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    stream = wire.makefile("rb")
    assert b" 101 " in stream.readline()
    while stream.readline().strip():
        pass
    wire.sendall(bytes([0x81, 0x85]) + b"\1\2\3\4" + bytes(b ^ (1, 2, 3, 4)[i % 4] for i, b in enumerate(b"hello")))
    assert stream.read(7) == b"\x81\x05hello"


def read_until(wire: ssl.SSLSocket, what: bytes, got: bytes = b"") -> bytes:
    while what not in got:
        piece = wire.recv(4096)
        assert piece, got
        got += piece
    return got


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize("reload", [False, True])
def test_a_stream_arrives_piece_by_piece_and_a_reload_cuts_none(own: Edge, kind: str, reload: bool) -> None:
    own.has_certificate("ai")
    wire = own.connect("ai")
    wire.sendall(f"GET /stream?{kind} HTTP/1.1\r\nHost: ai.omni.test\r\nAccept-Encoding: identity\r\n\r\n".encode())
    got = read_until(wire, b"data: one")
    assert b"data: two" not in got
    if reload:
        caddy("reload", "--force", "--config", own.caddyfile, "--adapter", "caddyfile", "--address", f"unix/{own.socket}", **own.environment)
    own.ask("ai", "/seen")
    read_until(wire, b"data: two", got)


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Edge]:
    """An edge whose programs are not there."""
    spawner = Spawner(tmp_path)
    running = Edge(tmp_path, spawner, {"PROXY_TRY_DURATION": "3s", "PROXY_HEALTH_INTERVAL": "2s"})
    try:
        spawner(sys.executable, FAKE, "authentik", str(running.authentik)).listening(running.authentik)
        yield running.start()
    finally:
        spawner.stop_all()
        running.socket.unlink(missing_ok=True)


def test_a_program_that_is_away_and_comes_back(away: Edge) -> None:
    page = away.ask("crm", "/", headers=[("Accept", "text/html")])
    assert page.status in (502, 503)
    assert page.headers["retry-after"] == "5" and page.headers["cache-control"] == "no-store"
    assert b"not answering" in page.body and b"crm.omni.test" in page.body
    problem = away.ask("crm", "/", headers=[("Accept", "application/json")])
    assert problem.headers["content-type"] == "application/problem+json" and problem.json()["status"] == problem.status
    # A request that comes while the program starts is kept and answered.
    got: list[Answer] = []

    def until_it_answers() -> None:
        while not got or got[-1].status != 200:
            got.append(away.ask("crm", "/held"))

    asking = threading.Thread(target=until_it_answers, daemon=True)
    asking.start()
    away.spawn(sys.executable, FAKE, "program", str(away.program)).listening(away.program)
    asking.join(60)
    assert got[-1].status == 200 and got[-1].json()["path"] == "/held"


def test_mutual_tls(edge: Edge, certificates: dict[str, Path]) -> None:
    ours = (certificates["host-a.pem"], certificates["host-a.key"])
    answer = edge.ask("logs", "/loki/api/v1/push", "POST", body=b"{}", certificate=ours)
    assert answer.status == 200
    assert edge.ask("logs", "/config", certificate=ours).status == 404, "only what `only` names"
    for certificate in (None, (certificates["stranger.pem"], certificates["stranger.key"])):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            edge.ask("logs", "/loki/api/v1/push", "POST", body=b"{}", certificate=certificate)


def test_mutual_tls_cannot_be_walked_around(edge: Edge) -> None:
    """TLS for one site, a request for another."""
    edge.has_certificate("crm")
    wire = edge.connect("crm")
    wire.sendall(b"POST /loki/api/v1/push HTTP/1.1\r\nHost: logs.omni.test\r\nContent-Length: 2\r\n\r\n{}")
    assert b" 421 " in wire.makefile("rb").readline()


def test_plain_http(edge: Edge) -> None:
    answer = edge.plain("crm.omni.test", "/a?b=c", edge.http)
    assert answer.status == 308 and answer.headers["location"].removesuffix("/a?b=c").startswith("https://crm.omni.test")
    assert edge.plain("other.test", "/", edge.http).status == 404
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.connect("nobody")


def test_metrics_are_inside_and_the_admin_api_nowhere(edge: Edge) -> None:
    edge.ask("crm", "/")
    metrics = edge.plain("x", "/metrics", edge.metrics)
    assert metrics.status == 200 and b"caddy_http_requests_total" in metrics.body
    assert edge.plain("x", "/healthz", edge.metrics).body == b"ok"
    for path in ("/config/", "/load", "/stop", "/"):
        assert edge.plain("x", path, edge.metrics).status == 404, path
    assert edge.socket.is_socket()
    # Nothing of it listens on the usual port of the admin API.
    ports = {edge.http, edge.https, edge.metrics}
    assert edge.caddy
    inodes = set()
    for fd in Path(f"/proc/{edge.caddy.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(fd))
    listening = {
        int(fields[1].split(":")[1], 16) for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    }  # fmt: skip
    assert listening == ports


def test_credentials_do_not_reach_the_log(edge: Edge) -> None:
    secret = "s3cr3t-7f2a"
    edge.ask(
        "crm", f"/marked?token={secret}&page=2&X-Amz-Signature={secret}",
        headers=[("Authorization", f"Bearer {secret}"), ("Cookie", f"session={secret}"), ("X-Api-Key", secret), ("X-Vault-Token", secret), ("Private-Token", secret),
                 ("X-Authentik-Jwt", secret), ("Referer", f"https://crm.omni.test/x?code={secret}"), ("Sec-WebSocket-Protocol", secret)],
    )  # fmt: skip
    entry = wait_until("the log entry", lambda: next((e for e in edge.access_log() if "/marked" in e["request"]["uri"]), None))
    assert isinstance(entry, dict)
    assert entry["request"]["host"] == "crm.omni.test" and entry["status"] == 200 and "page=2" in entry["request"]["uri"]
    assert edge.caddy and secret not in edge.caddy.output()


# --- scripts/init.sh ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Edge]:
    """An edge with its own copy of the configuration, to break."""
    shutil.copytree(CONFIG, tmp_path / "conf")
    spawner = Spawner(tmp_path)
    running = Edge(tmp_path, spawner, config=tmp_path / "conf")
    try:
        running.start_fakes()
        yield running.start()
    finally:
        spawner.stop_all()
        running.socket.unlink(missing_ok=True)


def test_init(own: Edge) -> None:
    assert "already loaded" in own.init()
    assert f"{len(list(CONFIG.glob('sites/*.caddy')))} routes answer, 0 of them for a program that is not there" in own.init("--check")

    site = own.config / "sites" / "crm.caddy"
    good = site.read_text()
    site.write_text(good.replace("max_size 20MB", "max_size 21MB"))
    assert "the running configuration is not that of the files" in own.init("--check", expect=1)
    assert "configuration: loaded" in own.init()
    assert "what runs is what the files say" in own.init("--check")

    site.write_text(good.replace("max_size 20MB", "max_sice 20MB"))
    said = own.init(expect=1)
    assert "not valid, the running one stays" in said and "max_sice" in said
    assert own.ask("crm", "/").status == 200

    site.write_text(good.replace("import security_headers", ""))
    assert "crm.omni.test: answers without Strict-Transport-Security" in own.init(expect=1)
    site.write_text(good)
    open_door = own.config / "sites" / "evals.caddy"
    open_door.write_text(open_door.read_text().replace("import sso", "# import sso"))
    assert "evals.omni.test: let us in without sign-on (status 200)" in own.init(expect=1)


def test_init_tells_programs_that_are_away_from_routes_that_are_broken(away: Edge) -> None:
    said = away.init()
    assert "crm.omni.test: its program is not answering" in said and "all well" in said


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PROXY_TLS": "letsencrypt"}, 'PROXY_TLS is "letsencrypt"; it is one of: internal acme acme-private acme-dns'),
        ({"PROXY_TLS": "acme", "ACME_EMAIL": ""}, "PROXY_TLS=acme needs ACME_EMAIL"),
        ({"PROXY_TLS": "acme-private", "ACME_EMAIL": "a@b"}, "PROXY_TLS=acme-private needs ACME_CA"),
        ({"PROXY_TLS": "acme-dns", "ACME_EMAIL": "a@b"}, "PROXY_TLS=acme-dns needs PROXY_EDITION=full"),
        ({"PROXY_GEO": "allow"}, "PROXY_GEO=allow needs PROXY_GEO_COUNTRIES"),
        ({"PROXY_GEO": "allow", "PROXY_GEO_COUNTRIES": "AA"}, "PROXY_GEO=allow needs PROXY_EDITION=full"),
        ({"PROXY_CROWDSEC": "on"}, "PROXY_CROWDSEC=on needs CROWDSEC_API_KEY"),
        ({"PROXY_WAF": "block"}, "PROXY_WAF=block needs PROXY_EDITION=full"),
        ({"PROXY_EDITION": "full"}, "has no module http.handlers.rate_limit. Build the image"),
        ({"PROXY_EXEC": "false"}, "Caddy cannot be called"),
    ],
)
def test_init_names_settings_that_do_not_fit(env: dict[str, str], said: str, tmp_path: Path) -> None:
    nowhere = Edge(tmp_path, Spawner(tmp_path))
    assert said in nowhere.init(expect=1, **env)


def test_init_usage(tmp_path: Path) -> None:
    assert "usage:" in Edge(tmp_path, Spawner(tmp_path)).init("--chekc", expect=2)


def test_init_does_not_believe_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    nowhere = Edge(tmp_path, Spawner(tmp_path))
    assert "Caddy refused the configuration" in nowhere.init(expect=1)
