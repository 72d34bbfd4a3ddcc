"""A Grafana for scripts/init.sh of compose/monitoring: the few calls of its HTTP API that the script makes.

Strict: an unknown path is 404, a wrong method 405, no or a wrong login 401, a body that is not JSON or has a field
that Grafana does not know 400 or 415. Switches say what is broken. Shapes: the HTTP API reference of Grafana 13
(health, data sources, search, service accounts).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Grafana:
    """What it holds, and what is wrong with it."""

    password: str
    dashboards: set[str]
    datasources: set[str] = field(default_factory=lambda: {"prometheus", "loki", "alertmanager"})
    sick: set[str] = field(default_factory=set)
    database: str = "ok"
    accounts: dict[int, str] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def token_names(self) -> list[str]:
        return [name for name in self.tokens]


class _Handler(BaseHTTPRequestHandler):
    grafana: Grafana
    keys: dict[str, str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _send(self, status: int, value: object) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _who(self) -> str | None:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
            return "admin" if (user, password) == ("admin", self.grafana.password) else None
        return "account" if kind == "Bearer" and value in self.keys else None

    def _body(self, allowed: set[str], needed: set[str]) -> dict[str, object] | None:
        if self.headers.get("Content-Type") != "application/json":
            self._send(415, {"message": "Content-Type must be application/json"})
            return None
        try:
            value = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        except ValueError:
            self._send(400, {"message": "bad request data"})
            return None
        if not isinstance(value, dict) or not needed <= set(value) <= allowed:
            self._send(400, {"message": "bad request data"})
            return None
        return value

    def _answer(self, method: str) -> None:
        g = self.grafana
        url = urlsplit(self.path)
        path, query = url.path, parse_qs(url.query)
        g.seen.append((method, path))
        if path == "/api/health" and method == "GET":
            return self._send(200 if g.database == "ok" else 503, {"database": g.database, "version": "13.2.2"})
        who = self._who()
        if who is None:
            return self._send(401, {"message": "Invalid username or password"})
        parts = path.strip("/").split("/")
        if path == "/api/org":
            return self._send(200, {"id": 1, "name": "Main Org."}) if method == "GET" else self._send(405, {})
        if who != "admin":
            return self._send(403, {"message": "You'll need additional permissions to perform this action."})
        if parts[:3] == ["api", "datasources", "uid"] and len(parts) in (4, 5):
            if method != "GET":
                return self._send(405, {})
            uid = parts[3]
            if uid not in g.datasources:
                return self._send(404, {"message": "Data source not found"})
            if len(parts) == 4:
                return self._send(200, {"uid": uid, "type": uid})
            if parts[4] != "health" or uid == "alertmanager":
                # Its plugin has no backend that could be asked.
                return self._send(404, {"message": "Plugin not found"})
            if uid in g.sick:
                return self._send(400, {"status": "ERROR", "message": f"{uid}: connection refused"})
            return self._send(200, {"status": "OK", "message": "Data source is working"})
        if path == "/api/search":
            if method != "GET" or query.get("type") != ["dash-db"]:
                return self._send(400, {"message": "type"})
            limit = int(query.get("limit", ["1000"])[0])
            if limit > 5000:
                return self._send(422, {"message": "limit is above maximum allowed (5000), use page parameter"})
            return self._send(200, [{"uid": uid, "type": "dash-db"} for uid in sorted(g.dashboards)[:limit]])
        if path == "/api/serviceaccounts/search" and method == "GET":
            wanted = query.get("query", [""])[0]
            found = [{"id": id_, "name": name, "login": f"sa-1-{name}"} for id_, name in g.accounts.items() if wanted in name]
            return self._send(200, {"totalCount": len(found), "serviceAccounts": found, "page": 1, "perPage": 100})
        if path == "/api/serviceaccounts" and method == "POST":
            body = self._body({"name", "role", "isDisabled"}, {"name"})
            if body is None:
                return None
            if body["name"] in g.accounts.values():
                return self._send(400, {"message": "service account already exists"})
            if body.get("role") not in ("Viewer", "Editor", "Admin"):
                return self._send(400, {"message": "invalid role"})
            id_ = len(g.accounts) + 2
            g.accounts[id_] = str(body["name"])
            return self._send(201, {"id": id_, "name": body["name"], "role": body["role"]})
        if parts[:2] == ["api", "serviceaccounts"] and len(parts) == 4 and parts[3] == "tokens" and method == "POST":
            body = self._body({"name", "secondsToLive"}, {"name"})
            if body is None:
                return None
            if not parts[2].isdigit() or int(parts[2]) not in g.accounts:
                return self._send(404, {"message": "service account not found"})
            if body["name"] in g.tokens:
                return self._send(409, {"message": "token name already taken"})
            key = f"invented-key-{len(self.keys)}"
            self.keys[key] = str(body["name"])
            g.tokens[str(body["name"])] = int(parts[2])
            return self._send(200, {"id": len(g.tokens), "name": body["name"], "key": key})
        return self._send(404, {"message": "Not found"})


@contextmanager
def grafana(password: str, dashboards: set[str]) -> Iterator[Grafana]:
    """Runs on a free port of 127.0.0.1 as long as the block does."""
    state = Grafana(password, set(dashboards))
    handler = type("Handler", (_Handler,), {"grafana": state, "keys": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
