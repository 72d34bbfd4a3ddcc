"""Where alerts go: Mattermost's incoming webhook, omni's webhook and a mail server, as strict as the real ones.

Mattermost (contracts: incoming webhook): JSON with known keys only, an existing channel, text within 16383 characters,
attachments at the top level with known keys; success is 200 and the plain text `ok`, errors are JSON objects.
omni (contracts: Alertmanager webhook, version 4): Bearer token, the keys that Alertmanager sends, endsAt of a firing
alert at year 1. The mail server speaks plain SMTP and insists on its order. All record what they took and refuse the rest
with a reason.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHANNELS = {"alerts", "alerts-critical", "alerts-info", "alerts-security", "alerts-heartbeat"}
POST_KEYS = {"text", "channel", "username", "icon_url", "icon_emoji", "attachments", "props", "type", "priority", "silent"}
ATTACHMENT_KEYS = {
    "fallback", "color", "pretext", "text", "author_name", "author_link", "author_icon", "title", "title_link", "fields",
    "image_url", "thumb_url", "footer", "footer_icon", "actions",
}
# Slack's own, which Alertmanager always sends and Mattermost passes over.
SLACK_ONLY = {"link_names", "mrkdwn_in", "callback_id"}
WEBHOOK_KEYS = {
    "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations",
    "externalURL", "alerts",
}
ALERT_KEYS = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
TIME = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$")


class Receiver:
    """An HTTP server on 127.0.0.1 with what it took, what it refused, and answers to give next instead of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken: list[dict] = []
        self.refused: list[str] = []
        self.requests = 0
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self, status: int, body: str, kind: str) -> None:
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                outer.refused.append(f"GET {self.path}")
                self.answer(405, "{}", "application/json")

            def do_POST(self) -> None:
                outer.requests += 1
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if outer.answers:
                    self.answer(outer.answers.pop(0), "busy", "text/plain")
                    return
                try:
                    kind = self.headers.get("Content-Type", "").split(";")[0]
                    if kind != "application/json":
                        raise ValueError(f"Content-Type {kind!r}")
                    body = json.loads(raw)
                    outer.check(self.path, dict(self.headers), body)
                except (ValueError, KeyError, TypeError) as error:
                    outer.refused.append(f"{self.path}: {error}")
                    self.answer(400, json.dumps({"id": "refused", "message": str(error), "status_code": 400}), "application/json")
                    return
                outer.taken.append(body)
                self.answer(200, *outer.success)

        self.success = ("{}", "application/json")
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def check(self, path: str, headers: dict, body: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Mattermost(Receiver):
    """POST /hooks/ID."""

    def __init__(self, port: int, hook: str) -> None:
        self.hook = hook
        super().__init__(port)
        self.success = ("ok", "text/plain")

    def check(self, path: str, headers: dict, body: object) -> None:
        if path != f"/hooks/{self.hook}":
            raise ValueError("no such webhook")
        if not isinstance(body, dict):
            raise ValueError("the body is no object")
        unknown = set(body) - POST_KEYS - SLACK_ONLY
        if unknown:
            raise ValueError(f"unknown keys {sorted(unknown)}")
        if not body.get("text") and not body.get("attachments"):
            raise ValueError("neither text nor attachments")
        if body.get("channel") not in CHANNELS:
            raise ValueError(f"Unable to find channel {body.get('channel')!r}")
        for attachment in body.get("attachments", []):
            unknown = set(attachment) - ATTACHMENT_KEYS - SLACK_ONLY
            if unknown:
                raise ValueError(f"unknown keys in an attachment {sorted(unknown)}")
            if not attachment.get("fallback"):
                raise ValueError("an attachment needs a fallback")
            if attachment.get("color") and not re.fullmatch(r"#[0-9a-fA-F]{3,6}", attachment["color"]):
                raise ValueError(f"color {attachment['color']!r}")
            # Longer ones are split into several posts, which nobody reads.
            if len(attachment.get("text", "")) > 16383 or len(attachment.get("footer", "")) > 300:
                raise ValueError("an attachment is too long")
            for field in attachment.get("fields") or []:
                if set(field) - {"title", "value", "short"}:
                    raise ValueError(f"unknown keys in a field {sorted(field)}")


class Omni(Receiver):
    """POST /hooks/alertmanager."""

    def __init__(self, port: int, token: str) -> None:
        self.token = token
        super().__init__(port)

    def check(self, path: str, headers: dict, body: object) -> None:
        if path != "/hooks/alertmanager":
            raise ValueError("no such route")
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise ValueError("no or wrong token")
        if not isinstance(body, dict) or not WEBHOOK_KEYS <= set(body):
            raise ValueError(f"keys are missing: {sorted(WEBHOOK_KEYS - set(body))}")
        if body["version"] != "4" or body["status"] not in ("firing", "resolved"):
            raise ValueError(f"version {body['version']!r}, status {body['status']!r}")
        for alert in body["alerts"]:
            if not ALERT_KEYS <= set(alert):
                raise ValueError(f"keys are missing in an alert: {sorted(ALERT_KEYS - set(alert))}")
            if not TIME.match(alert["startsAt"]) or not TIME.match(alert["endsAt"]):
                raise ValueError("a time is not RFC 3339")
            if alert["status"] == "firing" and alert["endsAt"] != "0001-01-01T00:00:00Z":
                raise ValueError("a firing alert has an end")


class Mail:
    """An SMTP server on 127.0.0.1: EHLO, MAIL, RCPT, DATA, QUIT in that order; no TLS, no sign-in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken: list[dict] = []
        self.refused: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text: str) -> None:
                self.wfile.write(text.encode() + b"\r\n")

            def handle(self) -> None:
                self.say("220 mail.example ESMTP")
                state, mail = "start", {}
                for raw in self.rfile:
                    line = raw.decode().rstrip("\r\n")
                    verb = line.split(":")[0].split(" ")[0].upper()
                    if verb == "QUIT":
                        self.say("221 bye")
                        return
                    if verb in ("EHLO", "HELO"):
                        state = "hello"
                        self.say("250 mail.example")
                    elif verb == "MAIL" and state == "hello" and re.fullmatch(r"MAIL FROM:<[^@>]+@[^>]+>.*", line, re.I):
                        mail, state = {"from": re.search("<(.*?)>", line)[1], "to": []}, "mail"
                        self.say("250 ok")
                    elif verb == "RCPT" and state in ("mail", "rcpt") and re.fullmatch(r"RCPT TO:<[^@>]+@[^>]+>", line, re.I):
                        mail["to"].append(re.search("<(.*?)>", line)[1])
                        state = "rcpt"
                        self.say("250 ok")
                    elif verb == "DATA" and state == "rcpt":
                        self.say("354 go on")
                        body = []
                        for part in self.rfile:
                            if part.rstrip(b"\r\n") == b".":
                                break
                            body.append(part.decode())
                        outer.taken.append({**mail, "body": "".join(body)})
                        state = "hello"
                        self.say("250 queued")
                    else:
                        outer.refused.append(line)
                        self.say("503 bad sequence of commands")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
