"""What Prometheus meets when it scrapes omni: discovery and /metrics over TLS with a token, and plain exporters.

Strict: without the token 401 (as problem+json), other paths 404, other methods 405. The list of targets is what
controller/src/app/scrape.rs hands out: sanitised labels with __meta_ names, omni_* for what stays.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, str, str]


def target(address: str, host: str, container: str, labels: dict[str, str], *, published: bool) -> dict[str, object]:
    """One group of the discovery answer."""
    given = {
        "omni_host": host,
        "omni_container": container,
        "__meta_omni_image": f"{container}:1",
        "__meta_omni_container_id": "c" * 64,
        "__meta_omni_published": "true" if published else "false",
    }
    if component := labels.get("omni.quantum.component"):
        given["omni_component"] = component
        if tier := labels.get("omni.quantum.tier"):
            given["omni_tier"] = tier
    if path := labels.get("prometheus.path"):
        given["__metrics_path__"] = path
    for key, value in labels.items():
        given["__meta_omni_container_label_" + re.sub(r"[^A-Za-z0-9]", "_", key)] = value
    return {"targets": [address], "labels": given}


@contextmanager
def serve(answer: Callable[[str, dict[str, list[str]], dict[str, str]], Answer], tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """An HTTP server on a free port of 127.0.0.1; answer(path, query, headers) gives status, type and text."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, kind, text = answer(url.path, parse_qs(url.query), dict(self.headers))
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.send_error(405)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            # A scraper that goes away in the middle is none of our business.
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*map(str, tls))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def controller(token: str, targets: Callable[[], list[dict[str, object]]], metrics: str) -> Callable[..., Answer]:
    """The two routes of an omni controller."""

    def answer(path: str, query: dict[str, list[str]], headers: dict[str, str]) -> Answer:
        if headers.get("Authorization") != f"Bearer {token}":
            return 401, "application/problem+json", json.dumps({"code": "unauthenticated", "message": "no valid token"})
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", metrics
        if path == "/api/v1/prometheus/sd":
            if query != {"consistency": ["stale"]}:
                return 503, "application/problem+json", json.dumps({"code": "no_leader", "message": "nobody leads"})
            return 200, "application/json", json.dumps(targets())
        return 404, "application/problem+json", json.dumps({"code": "not_found"})

    return answer
