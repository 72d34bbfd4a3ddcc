"""What stands behind the proxy in its tests: a program, and Authentik's outpost as forward auth sees it.

    python fakes/edge.py program PORT     echoes requests; compressible text; a stream; a WebSocket
    python fakes/edge.py authentik PORT   decides as the outpost does; refuses what a right proxy would not send
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IDENTITY = {
    "X-authentik-username": "ann", "X-authentik-groups": "devs|omni-admins", "X-authentik-email": "ann@omni.test",
    "X-authentik-name": "Ann", "X-authentik-uid": "5f3a",
}  # fmt: skip


class Base(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Program(Base):
    """A program of the platform."""

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = b""
        while len(body) < length:
            piece = self.rfile.read(min(65536, length - len(body)))
            if not piece:
                self.close_connection = True
                return
            body += piece
        path = self.path.split("?")[0]
        if path == "/ws":
            self.websocket()
        elif path == "/text":
            self.answer(200, b"the same words again and again. " * 200, "text/plain", X_Powered_By="Fake/1", X_Authentik_Username="leak")
        elif path == "/own-policy":
            self.answer(200, b"{}", Content_Security_Policy="default-src 'none'", X_Frame_Options="DENY")
        elif path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", self.path.partition("?")[2])
            self.end_headers()
            self.wfile.write(b"data: one\n\n")
            self.wfile.flush()
            # The second piece only when the client has said that it saw the first: on another connection, at /seen.
            self.server.seen.wait(30)  # type: ignore[attr-defined]
            self.wfile.write(b"data: two\n\n")
            self.close_connection = True
        elif path == "/seen":
            self.server.seen.set()  # type: ignore[attr-defined]
            self.answer(200, b"{}")
        else:
            told = {"path": self.path, "method": self.command, "headers": [[k, v] for k, v in self.headers.items()], "bytes": len(body)}
            self.answer(200, json.dumps(told).encode())

    def websocket(self) -> None:
        if self.headers.get("Upgrade", "").lower() != "websocket":
            self.answer(400, b"not a websocket")
            return
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.decode())):
            self.send_header(name, value)
        self.end_headers()
        # One short masked text frame in, the same unmasked out.
        head = self.rfile.read(2)
        size = head[1] & 127
        mask, data = self.rfile.read(4), self.rfile.read(size)
        self.wfile.write(bytes([0x81, size]) + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = handle_any


class Authentik(Base):
    """The embedded outpost. Anything that forward auth would not send is 400, so a wrong proxy shows."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/-/health/ready/":
            self.answer(200, b"")
        elif path == "/outpost.goauthentik.io/auth/caddy":
            lacking = [name for name in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Uri", "X-Forwarded-Method") if not self.headers.get(name)]
            given = [name for name in self.headers if name.lower().replace("_", "-").startswith("x-authentik")]
            if lacking or given:
                self.answer(400, f"lacking {lacking}, came with {given}".encode(), "text/plain")
            elif "session=good" in self.headers.get("Cookie", ""):
                self.answer(200, b"", "text/plain", **{name.replace("-", "_"): value for name, value in IDENTITY.items()})
            else:
                back = f"https://{self.headers['X-Forwarded-Host']}{self.headers['X-Forwarded-Uri']}"
                self.answer(302, b"", "text/html", Location=f"/outpost.goauthentik.io/start?rd={back}")
        elif path == "/outpost.goauthentik.io/start":
            self.answer(302, b"", "text/html", Location="https://auth.omni.test/application/o/authorize/")
        else:
            self.answer(404, b"", "text/plain")

    def refuse(self) -> None:
        self.answer(405, b"", "text/plain")

    do_POST = do_PUT = do_HEAD = refuse


def main(kind: str, port: int) -> None:
    import threading

    # Every site of the proxy asks this one server for its health.
    ThreadingHTTPServer.request_queue_size = 512
    server = ThreadingHTTPServer(("127.0.0.1", port), {"program": Program, "authentik": Authentik}[kind])
    server.daemon_threads = True
    server.seen = threading.Event()  # type: ignore[attr-defined]
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
