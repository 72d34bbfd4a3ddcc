"""A Loki that refuses what Loki refuses.

Push (JSON, gzip allowed), query_range by a small matcher, ready, config, the ruler's view of rule files, and the push
API of Alloy in front of it (`AlloyPush`), which runs the real configuration through fakes/alloy.py. Shapes and limits:
grafana/loki docs, API reference and limits_config. Every request is kept in `requests`; `answers` holds statuses to give
before normal service goes on (429, 500, 503, or "drop" to close the connection).
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Refused(Exception):
    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status, self.text = status, text


class _Server:
    """An HTTP server on a free port of the loopback, stopped by close()."""

    def __init__(self):
        self.requests: list[tuple] = []
        self.answers: list = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                try:
                    if outer.answers:
                        answer = outer.answers.pop(0)
                        if answer == "drop":
                            self.connection.close()
                            return
                        raise Refused(answer, "as told by the test")
                    status, kind, out = outer.serve(self.command, url.path, parse_qs(url.query), self.headers, body)
                except Refused as refused:
                    status, kind, out = refused.status, "text/plain; charset=utf-8", refused.text.encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def serve(self, method, path, query, headers, body):
        raise NotImplementedError


def read_push(headers, body: bytes, multi_tenant: bool) -> list[tuple[dict, list]]:
    """Checks a JSON push the way the distributor does and returns its streams."""
    if multi_tenant and not headers.get("X-Scope-OrgID"):
        raise Refused(401, "no org id")
    if not multi_tenant and headers.get("X-Scope-OrgID") not in (None, "fake"):
        # Real Loki ignores the header when auth is off; a client that sends one believes in a tenant that is not there.
        raise Refused(400, f"tenant {headers['X-Scope-OrgID']} on a Loki without tenants")
    kind = (headers.get("Content-Type") or "").split(";")[0].strip()
    if kind != "application/json":
        raise Refused(400 if kind == "application/x-protobuf" else 415, f"Content-Type {kind or 'missing'} is not application/json")
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        data = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"couldn't parse push request: {error}") from error
    if set(data) != {"streams"} or not data["streams"]:
        raise Refused(400, f"unknown or missing fields: {sorted(data)}")
    out = []
    for stream in data["streams"]:
        labels = stream.get("stream")
        if set(stream) != {"stream", "values"} or not isinstance(labels, dict) or not labels:
            raise Refused(400, "error at least one label pair is required per stream")
        if len(labels) > 15:
            raise Refused(400, f"stream {labels} has {len(labels)} label names; limit 15")
        for name, value in labels.items():
            if not LABEL.fullmatch(name) or not isinstance(value, str):
                raise Refused(400, f"error parsing labels: {name}={value!r}")
        for value in stream["values"]:
            if len(value) not in (2, 3) or not isinstance(value[0], str) or not value[0].isdigit():
                raise Refused(400, f"a timestamp is a string of nanoseconds, not {value[0]!r}")
            if not isinstance(value[1], str):
                raise Refused(400, "a line is a string")
            if len(value[1].encode()) > 256 * 1024:
                raise Refused(400, "Max entry size '262144' bytes exceeded")
            if len(value) == 3 and not all(isinstance(v, str) for v in value[2].values()):
                raise Refused(400, "structured metadata are strings")
            age = time.time() - int(value[0]) / 1e9
            if age > 7 * 86400:
                raise Refused(400, "entry has timestamp too old")
            if age < -600:
                raise Refused(400, "entry has timestamp too new")
        out.append((labels, stream["values"]))
    return out


class FakeLoki(_Server):
    def __init__(self, config_text: str = "", rules: list[dict] | None = None, multi_tenant=False, swallow=False):
        self.config_text, self.rules, self.multi_tenant = config_text, rules or [], multi_tenant
        self.swallow = swallow  # Takes lines and forgets them.
        self.ready_after = 0    # How many times /ready still says no.
        self.streams: dict[tuple, list] = {}
        super().__init__()

    def store(self, labels: dict, values: list):
        if not self.swallow:
            self.streams.setdefault(tuple(sorted(labels.items())), []).extend(values)

    def serve(self, method, path, query, headers, body):
        routes = {
            ("GET", "/ready"): self._ready,
            ("GET", "/config"): lambda *_: (200, "text/plain", self.config_text.encode()),
            ("POST", "/loki/api/v1/push"): self._push,
            ("GET", "/loki/api/v1/query_range"): self._query,
            ("GET", "/prometheus/api/v1/rules"): self._rules,
        }
        if (method, path) not in routes:
            if any(path == known for _, known in routes):
                raise Refused(405, "method not allowed")
            raise Refused(404, "404 page not found")
        return routes[method, path](query, headers, body)

    def _ready(self, *_):
        if self.ready_after > 0:
            self.ready_after -= 1
            raise Refused(503, "Ingester not ready: waiting for 15s after being ready")
        return 200, "text/plain", b"ready\n"

    def _push(self, query, headers, body):
        for labels, values in read_push(headers, body, self.multi_tenant):
            self.store(labels, values)
        return 204, "text/plain", b""

    def _query(self, query, headers, body):
        text = query.get("query", [""])[0]
        m = re.fullmatch(r"(\{.*?\})((?:\s*\|=\s*`[^`]*`)*)", text)
        if not m:
            raise Refused(400, f"parse error: {text}")
        matchers = re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', m.group(1))
        if not any(op == "=" and value for _, op, value in matchers):
            raise Refused(400, "queries require at least one regexp or equality matcher that does not have an empty-compatible value")
        needles = re.findall(r"`([^`]*)`", m.group(2))
        result = []
        for key, values in self.streams.items():
            labels = dict(key)
            if all(labels.get(n, "") == v if op == "=" else labels.get(n, "") != v for n, op, v in matchers):
                hits = [[v[0], v[1]] for v in values if all(n in v[1] for n in needles)]
                if hits:
                    result.append({"stream": labels, "values": hits[::-1][: int(query.get("limit", ["100"])[0])]})
        answer = {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}
        return 200, "application/json", json.dumps(answer).encode()

    def _rules(self, *_):
        groups = [{"name": "g", "file": "fake", "interval": 60, "rules": self.rules}] if self.rules else []
        return 200, "application/json", json.dumps({"status": "success", "data": {"groups": groups}}).encode()


class AlloyPush(_Server):
    """Alloy's loki.source.api: takes a push, runs the configuration, hands the result to a FakeLoki."""

    def __init__(self, config, source: str, loki: FakeLoki):
        self.config, self.source, self.loki = config, source, loki
        super().__init__()

    def serve(self, method, path, query, headers, body):
        from fakes.alloy import Entry

        if (method, path) == ("GET", "/ready"):
            return 200, "text/plain", b"ready\n"
        if (method, path) != ("POST", "/loki/api/v1/push"):
            raise Refused(404, "404 page not found")
        for labels, values in read_push(headers, body, False):
            entries = [Entry(line, dict(labels), int(ts) / 1e9) for ts, line, *_ in values]
            for entry in self.config.from_source(self.source, entries):
                self.loki.store(entry.labels, [[str(int(entry.time * 1e9)), entry.line, entry.meta]])
        return 204, "text/plain", b""
