"""A strict stand-in for OpenBao 2.6: the API paths that compose/secrets uses, and nothing else.

It keeps what makes the real one refuse: seal states and their codes, tokens with policies (HCL, parsed and enforced), required and known body fields,
check-and-set, wrapped answers that open once, root token only through an account and shares. Unknown paths, methods and fields are refused.
Source: OpenBao's API documentation for 2.6, and contracts of the platform. PKI is real: keys and certificates are made by openssl.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CAPABILITIES = {"create", "read", "update", "patch", "delete", "list", "sudo", "deny", "scan"}


# ---- HCL -------------------------------------------------------------------------------------------------------------

class HclError(ValueError):
    """Text that HCL would not take."""


def parse_hcl(text: str) -> list[tuple[str, list[str], Any]]:
    """The part of HCL that policies and server configurations use: [(key, labels, value)], a block's value being such a list again."""
    tokens = re.findall(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],=]|[A-Za-z_][A-Za-z0-9_.-]*|-?\d+(?:\.\d+)?|#[^\n]*|//[^\n]*|\s+|.', text)
    tokens = [token for token in tokens if not token.isspace() and not token.startswith(("#", "//"))]
    place = 0

    def take(expected: str | None = None) -> str:
        nonlocal place
        if place >= len(tokens):
            raise HclError(f"ends early, {expected or 'more'} expected")
        token = tokens[place]
        if expected is not None and token != expected:
            raise HclError(f"'{token}' where '{expected}' belongs")
        place += 1
        return token

    def value() -> Any:
        token = take()
        if token.startswith('"'):
            return json.loads(token)
        if token == "[":
            items = []
            while tokens[place:place + 1] != ["]"]:
                items.append(value())
                if tokens[place:place + 1] == [","]:
                    take(",")
                elif tokens[place:place + 1] != ["]"]:
                    raise HclError("',' or ']' expected in a list")
            take("]")
            return items
        if token in ("true", "false"):
            return token == "true"
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        raise HclError(f"'{token}' is no value")

    def body(closing: bool) -> list[tuple[str, list[str], Any]]:
        found: list[tuple[str, list[str], Any]] = []
        while place < len(tokens) and tokens[place] != "}":
            key = take()
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key):
                raise HclError(f"'{key}' is no key")
            labels = []
            while tokens[place:place + 1] and tokens[place].startswith('"'):
                labels.append(json.loads(take()))
            if tokens[place:place + 1] == ["{"]:
                take("{")
                found.append((key, labels, body(True)))
                take("}")
            else:
                if labels:
                    raise HclError(f"{key} has labels and no block")
                take("=")
                found.append((key, [], value()))
        if not closing and place < len(tokens):
            raise HclError("a '}' too many")
        return found

    return body(False)


def parse_policy(text: str) -> dict[str, set[str]]:
    """{path: capabilities}; whatever OpenBao would not take, or we do not use, is an error."""
    paths: dict[str, set[str]] = {}
    for key, labels, value in parse_hcl(text):
        if key != "path" or len(labels) != 1 or not isinstance(value, list):
            raise HclError(f"'{key}' in a policy; only path \"…\" {{ … }} is")
        names = [name for name, _, _ in value]
        if names != ["capabilities"]:
            raise HclError(f"path {labels[0]}: {names} instead of capabilities alone")
        capabilities = value[0][2]
        if not capabilities or not set(capabilities) <= CAPABILITIES:
            raise HclError(f"path {labels[0]}: unknown capabilities {sorted(set(capabilities) - CAPABILITIES)}")
        if labels[0] in paths:
            raise HclError(f"path {labels[0]} stands twice")
        if labels[0].startswith("/") or "*" in labels[0][:-1]:
            raise HclError(f"path {labels[0]}: no leading slash, and * only at the end")
        paths[labels[0]] = set(capabilities)
    return paths


def granted(policies: list[dict[str, set[str]]], path: str) -> set[str]:
    """Capabilities on a path: exact before + before *, the longest first, all policies of equal rank together, deny above all."""
    best: tuple[int, int, int] | None = None
    found: set[str] = set()
    for policy in policies:
        for pattern, capabilities in policy.items():
            rank = _rank(pattern, path)
            if rank is None:
                continue
            if best is None or rank > best:
                best, found = rank, set(capabilities)
            elif rank == best:
                found |= capabilities
    return set() if "deny" in found else found


def _rank(pattern: str, path: str) -> tuple[int, int, int] | None:
    regex = "/".join("[^/]+" if part == "+" else re.escape(part) for part in pattern.removesuffix("*").split("/"))
    if not re.fullmatch(regex + (".*" if pattern.endswith("*") else ""), path):
        return None
    return (0 if pattern.endswith("*") else 1, -pattern.count("+"), len(pattern))


# ---- the store -------------------------------------------------------------------------------------------------------

class Refused(Exception):
    """An answer other than success."""

    def __init__(self, code: int, *errors: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(code, errors)
        self.code, self.errors, self.body = code, errors, body


def seconds(value: Any) -> int:
    """1h, 90 or "90" -> seconds, as OpenBao gives it back."""
    match = re.fullmatch(r"(\d+)([smhd]?)", str(value))
    if not match:
        raise Refused(400, f"cannot parse '{value}' as a duration")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


TEXT, NUMBER, FLAG, LIST, MAP, TIME = (str,), (int,), (bool,), (list,), (dict,), (str, int)
TOKEN_FIELDS = {"token_ttl": TIME, "token_max_ttl": TIME, "token_policies": LIST, "token_no_default_policy": FLAG, "token_bound_cidrs": LIST, "token_num_uses": NUMBER, "token_period": TIME}
PKI_CA = {"common_name": TEXT, "ttl": TIME, "key_type": TEXT, "key_bits": NUMBER, "issuer_name": TEXT, "max_path_length": NUMBER, "format": TEXT}
ROLE_FLAGS = ("allow_bare_domains", "allow_subdomains", "allow_glob_domains", "allow_localhost", "allow_ip_sans", "allow_any_name", "enforce_hostnames", "server_flag", "client_flag", "no_store")
# Body fields by path: those that must be there are marked with a star. A body with another field is refused.
FIELDS: list[tuple[str, dict[str, tuple[type, ...]]]] = [
    (r"sys/init", {"secret_shares": NUMBER, "secret_threshold": NUMBER, "recovery_shares": NUMBER, "recovery_threshold": NUMBER}),
    (r"sys/unseal", {"key": TEXT, "reset": FLAG, "migrate": FLAG}),
    (r"sys/mounts/[\w-]+|sys/auth/[\w-]+", {"*type": TEXT, "description": TEXT, "config": MAP, "options": MAP}),
    (r"sys/(?:mounts|auth)/[\w-]+/tune", {"max_lease_ttl": TIME, "default_lease_ttl": TIME, "description": TEXT, "passthrough_request_headers": LIST, "allowed_response_headers": LIST}),
    (r"sys/policies/acl/[\w-]+", {"*policy": TEXT}),
    (r"sys/generate-root-token/attempt", {"pgp_key": TEXT}),
    (r"sys/generate-root-token/update", {"*key": TEXT, "*nonce": TEXT}),
    (r"sys/wrapping/unwrap", {"token": TEXT}),
    (r"auth/token/revoke-self", {}),
    (r"auth/userpass/login/[\w-]+", {"*password": TEXT}),
    (r"auth/userpass/users/[\w-]+/password", {"*password": TEXT}),
    (r"auth/userpass/users/[\w-]+", {"password": TEXT, **TOKEN_FIELDS}),
    (r"auth/approle/login", {"*role_id": TEXT, "secret_id": TEXT}),
    (r"auth/approle/role/[\w-]+/secret-id", {"metadata": TEXT, "cidr_list": LIST, "token_bound_cidrs": LIST, "num_uses": NUMBER, "ttl": TIME}),
    (r"auth/approle/role/[\w-]+", {"bind_secret_id": FLAG, "secret_id_num_uses": NUMBER, "secret_id_ttl": TIME, **TOKEN_FIELDS}),
    (r"kv/config", {"max_versions": NUMBER, "cas_required": FLAG, "delete_version_after": TIME}),
    (r"kv/data/.+", {"options": MAP, "*data": MAP}),
    (r"transit/keys/[\w-]+/config", {"auto_rotate_period": TIME, "min_decryption_version": NUMBER, "min_encryption_version": NUMBER, "deletion_allowed": FLAG}),
    (r"transit/keys/[\w-]+", {"type": TEXT, "auto_rotate_period": TIME, "exportable": FLAG, "derived": FLAG, "allow_plaintext_backup": FLAG}),
    (r"[\w-]+/root/generate/internal|[\w-]+/intermediate/generate/internal", {"*common_name": TEXT, **{k: v for k, v in PKI_CA.items() if k != "common_name"}}),
    (r"[\w-]+/root/sign-intermediate", {"*csr": TEXT, "use_csr_values": FLAG, **PKI_CA}),
    (r"[\w-]+/intermediate/set-signed", {"*certificate": TEXT}),
    (r"[\w-]+/config/issuers", {"*default": TEXT, "default_follows_latest_issuer": FLAG}),
    (r"[\w-]+/config/urls", {"issuing_certificates": LIST, "crl_distribution_points": LIST, "ocsp_servers": LIST}),
    (r"[\w-]+/config/auto-tidy", {"enabled": FLAG, "tidy_cert_store": FLAG, "tidy_revoked_certs": FLAG, "interval_duration": TIME, "safety_buffer": TIME}),
    (r"[\w-]+/config/cluster", {"path": TEXT, "aia_path": TEXT}),
    (r"[\w-]+/config/acme", {"enabled": FLAG, "allowed_roles": LIST, "allowed_issuers": LIST, "default_directory_policy": TEXT, "dns_resolver": TEXT, "eab_policy": TEXT}),
    (r"pki[\w-]*/roles/[\w-]+", {"allowed_domains": LIST, "ttl": TIME, "max_ttl": TIME, "key_type": TEXT, "key_bits": NUMBER, **dict.fromkeys(ROLE_FLAGS, FLAG)}),
    (r"pki[\w-]*/issue/[\w-]+", {"*common_name": TEXT, "alt_names": TEXT, "ip_sans": TEXT, "ttl": TIME, "format": TEXT}),
    (r"database/config/postgresql", {"*plugin_name": TEXT, "allowed_roles": LIST, "*connection_url": TEXT, "username": TEXT, "password": TEXT, "max_open_connections": NUMBER,
                                     "max_connection_lifetime": TIME, "password_authentication": TEXT, "verify_connection": FLAG}),
    (r"database/config/valkey", {"*plugin_name": TEXT, "allowed_roles": LIST, "*host": TEXT, "*port": NUMBER, "*username": TEXT, "*password": TEXT, "tls": FLAG, "verify_connection": FLAG}),
    (r"database/roles/[\w-]+", {"*db_name": TEXT, "*creation_statements": LIST, "revocation_statements": LIST, "renew_statements": LIST, "rollback_statements": LIST, "default_ttl": TIME, "max_ttl": TIME}),
    (r"database/rotate-root/[\w-]+", {}),
]
OPEN_PATHS = r"sys/(seal-status|health|init|unseal)|auth/(userpass|approle)/login.*|sys/generate-root/.*"
SEALED_PATHS = r"sys/(seal-status|health|init|unseal)"
# Paths that the real one keeps for root and for sudo.
SUDO_PATHS = r"sys/audit|sys/auth/[\w-]+|sys/generate-root-token/.*"


class OpenBao:
    """State and rules; `serve` puts it behind TLS on a port of 127.0.0.1."""

    def __init__(self, audit: int = 2, seal: str = "shamir") -> None:
        self.seal, self.initialized, self.sealed = seal, False, True
        self.shares: list[str] = []
        self.threshold, self.progress = 0, []
        self.audit = {f"device-{number}/": {"type": "file", "options": {"file_path": "stdout"}} for number in range(audit)}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, str] = {}
        self.mounts: dict[str, dict[str, dict[str, Any]]] = {"mounts": {"sys/": {"type": "system", "options": None, "config": {"max_lease_ttl": 0}}}, "auth": {"token/": {"type": "token", "options": None, "config": {}}}}
        self.objects: dict[str, dict[str, Any]] = {}
        self.passwords: dict[str, str] = {}
        self.secret_ids: dict[str, tuple[str, int]] = {}
        self.kv: dict[str, list[dict[str, Any]]] = {}
        self.wrapped: dict[str, dict[str, Any]] = {}
        self.attempt: dict[str, Any] | None = None
        self.issuers: dict[str, list[dict[str, str]]] = {}
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        # Switches for trouble: answer everything but the seal state like a cluster without a leader; fail the next calls to a path.
        self.quorum_lost = False
        self.unauthed_generate_root = False
        self.fail: dict[str, int] = {}
        self.lock = threading.RLock()
        # Goes with this object.
        self.folder = tempfile.TemporaryDirectory(prefix="fake-openbao-")
        self.work = Path(self.folder.name)

    # -- serving

    def serve(self, port: int, certificate: Path, key: Path) -> None:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                code, body = store.handle(self.command, self.path, self.headers, raw)
                out = b"" if body is None else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = answer

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.shutdown()
            self.server.server_close()

    def restart(self) -> None:
        """As after a restart of the host: Shamir seals, the others open by themselves."""
        with self.lock:
            self.sealed = self.seal == "shamir"
            self.progress, self.attempt = [], None

    # -- one request

    def handle(self, method: str, raw_path: str, headers: Any, raw: bytes) -> tuple[int, dict[str, Any] | None]:
        with self.lock:
            try:
                return self._handle(method, raw_path, headers, raw)
            except Refused as refused:
                return refused.code, refused.body or {"errors": list(refused.errors)}

    def _handle(self, method: str, raw_path: str, headers: Any, raw: bytes) -> tuple[int, dict[str, Any] | None]:
        if not raw_path.startswith("/v1/"):
            raise Refused(404, "no such path")
        path = raw_path[4:].partition("?")[0]
        method = "POST" if method == "PUT" else method
        body: dict[str, Any] = {}
        if raw:
            if headers.get("Content-Type") != "application/json":
                raise Refused(400, "Content-Type has to be application/json")
            try:
                body = json.loads(raw)
            except ValueError:
                raise Refused(400, "error parsing JSON") from None
        self.requests.append((method, path, body))
        for prefix, code in self.fail.items():
            if path.startswith(prefix):
                raise Refused(code, "told to fail")
        if self.quorum_lost and not re.fullmatch(SEALED_PATHS, path):
            raise Refused(500, "local node not active but active cluster node not found")
        if not re.fullmatch(SEALED_PATHS, path):
            if not self.initialized or self.sealed:
                raise Refused(503, "OpenBao is sealed")
        if method == "POST":
            self._check_fields(path, body)
        token = headers.get("X-Vault-Token") or ""
        wrap = headers.get("X-Vault-Wrap-TTL")
        if path == "sys/wrapping/unwrap":
            return self._unwrap(token, body)
        if not re.fullmatch(OPEN_PATHS, path):
            self._authorise(method, path, token)
        code, answer = self._route(method, path, body, token)
        if wrap and answer:
            handle = "s." + secrets.token_hex(12)
            self.wrapped[handle] = {"until": time.monotonic() + seconds(wrap), "answer": answer}
            return 200, {"data": None, "auth": None, "wrap_info": {"token": handle, "ttl": seconds(wrap), "creation_path": path}}
        return code, answer

    def _check_fields(self, path: str, body: dict[str, Any]) -> None:
        for pattern, fields in FIELDS:
            if re.fullmatch(pattern, path):
                break
        else:
            raise Refused(405 if path.startswith("sys/audit") else 404, f"unsupported path {path}")
        types = {name.lstrip("*"): kinds for name, kinds in fields.items()}
        unknown = set(body) - set(types)
        if unknown:
            raise Refused(400, f"{path}: unknown field {sorted(unknown)}")
        for name, kinds in types.items():
            if name in body and (not isinstance(body[name], kinds) or (isinstance(body[name], bool) and bool not in kinds)):
                raise Refused(400, f"{path}: field {name} is {body[name]!r}")
            if f"*{name}" in fields and not body.get(name) and body.get(name) != 0:
                raise Refused(400, f"{path}: missing {name}")

    def _authorise(self, method: str, path: str, token: str) -> None:
        entry = self.tokens.get(token)
        if entry is None or entry["until"] < time.monotonic():
            raise Refused(403, "permission denied", "invalid token") if token else Refused(403, "permission denied")
        if "root" in entry["policies"]:
            return
        default = {"auth/token/lookup-self": {"read"}, "auth/token/renew-self": {"update"}, "auth/token/revoke-self": {"update"}, "sys/capabilities-self": {"update"}}
        policies = [default if name == "default" else parse_policy(self.policies[name]) for name in entry["policies"] if name == "default" or name in self.policies]
        has = granted(policies, path)
        existing = path in self.objects or path.removeprefix("kv/data/") in self.kv
        wanted = {"GET": "read", "LIST": "list", "DELETE": "delete", "POST": "update" if existing or "create" not in has else "create"}[method]
        if wanted not in has:
            raise Refused(403, f"1 error occurred: permission denied on {path}")
        if re.fullmatch(SUDO_PATHS, path) and "sudo" not in has:
            raise Refused(403, f"1 error occurred: permission denied on {path} (root-protected)")

    # -- paths

    def _route(self, method: str, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any] | None]:
        where = f"{method} {path}"
        if path in ("sys/seal-status", "sys/unseal", "sys/init", "sys/health"):
            return self._system(method, path, body)
        if re.match(r"sys/generate-root/", path):
            if not self.unauthed_generate_root:
                raise Refused(405, "unsupported operation")
            return 200, {"started": False}
        if path.startswith("sys/generate-root-token/"):
            return self._generate_root(method, path, body)
        if where == "GET sys/audit":
            return 200, {**self.audit, "data": self.audit}
        if match := re.fullmatch(r"sys/(mounts|auth)(?:/([\w-]+))?(/tune)?", path):
            return self._mount(method, match[1], match[2], bool(match[3]), body)
        if match := re.fullmatch(r"sys/policies/acl/([\w-]+)", path):
            return self._policy(method, match[1], body)
        if path.startswith("auth/"):
            return self._auth(method, path, body, token)
        mount = path.partition("/")[0]
        kind = self.mounts["mounts"].get(f"{mount}/", {}).get("type")
        if kind is None:
            raise Refused(404, f"no handler for route \"{path}\". route entry not found.")
        return {"kv": self._kv, "transit": self._transit, "pki": self._pki, "database": self._database}[kind](method, path, body)

    def _system(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        state = {"type": self.seal, "initialized": self.initialized, "sealed": self.sealed, "t": self.threshold, "n": len(self.shares), "progress": len(self.progress), "version": "2.6.2", "storage_type": "raft"}
        if path == "sys/seal-status" and method == "GET":
            return 200, state
        if path == "sys/health" and method == "GET":
            return (501 if not self.initialized else 503 if self.sealed else 200), {"initialized": self.initialized, "sealed": self.sealed, "standby": False}
        if path == "sys/init" and method == "POST":
            if self.initialized:
                raise Refused(400, "OpenBao is already initialized")
            kind = "secret" if self.seal == "shamir" else "recovery"
            if set(body) != {f"{kind}_shares", f"{kind}_threshold"}:
                raise Refused(400, f"this seal takes {kind}_shares and {kind}_threshold")
            count, threshold = body[f"{kind}_shares"], body[f"{kind}_threshold"]
            if threshold > count or (threshold == 1 and count > 1):
                raise Refused(400, "invalid seal configuration: threshold")
            self.shares = [base64.b64encode(secrets.token_bytes(33)).decode() for _ in range(count)]
            self.threshold, self.initialized, self.sealed = threshold, True, self.seal == "shamir"
            root = self._token(["root"], 10**9)
            prefix = "" if kind == "secret" else "recovery_"
            return 200, {f"{prefix}keys": [base64.b64decode(share).hex() for share in self.shares], f"{prefix}keys_base64": self.shares, "root_token": root}
        if path == "sys/unseal" and method == "POST":
            if not self.initialized:
                raise Refused(400, "OpenBao is not initialized")
            if body.get("reset"):
                self.progress = []
            elif self.sealed:
                if not body.get("key"):
                    raise Refused(400, "'key' must be specified in request body as JSON, or 'reset' set to true")
                if body["key"] not in self.progress:
                    self.progress.append(body["key"])
                if len(self.progress) >= self.threshold:
                    right = all(key in self.shares for key in self.progress)
                    self.progress = []
                    if not right:
                        raise Refused(400, "failed to decrypt encrypted stored keys: cipher: message authentication failed")
                    self.sealed = False
            return self._system("GET", "sys/seal-status", {})
        raise Refused(405, "unsupported operation")

    def _generate_root(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if path.endswith("/attempt"):
            if method == "POST":
                if self.attempt:
                    raise Refused(400, "root generation already in progress")
                self.attempt = {"nonce": secrets.token_hex(8), "otp": secrets.token_urlsafe(40)[:28], "keys": []}
                return 200, {**self._attempt(), "otp": self.attempt["otp"]}
            if method == "GET":
                return 200, self._attempt()
            if method == "DELETE":
                self.attempt = None
                return 204, None
        elif method == "POST":
            if not self.attempt:
                raise Refused(400, "no root generation in progress")
            if body["nonce"] != self.attempt["nonce"]:
                raise Refused(400, "incorrect nonce supplied")
            if body["key"] not in self.attempt["keys"]:
                self.attempt["keys"].append(body["key"])
            answer = self._attempt()
            if len(self.attempt["keys"]) < self.threshold:
                return 200, answer
            attempt, self.attempt = self.attempt, None
            if not all(key in self.shares for key in attempt["keys"]):
                raise Refused(400, "root generation aborted: invalid key")
            root = self._token(["root"], 10**9)
            mixed = bytes(left ^ right for left, right in zip(root.encode(), attempt["otp"].encode(), strict=True))
            return 200, {**answer, "complete": True, "progress": self.threshold, "encoded_token": base64.b64encode(mixed).decode().rstrip("=")}
        raise Refused(405, "unsupported operation")

    def _attempt(self) -> dict[str, Any]:
        attempt = self.attempt or {"nonce": "", "keys": []}
        return {"started": bool(self.attempt), "nonce": attempt["nonce"], "progress": len(attempt["keys"]), "required": self.threshold, "otp": "", "otp_length": 28, "complete": False}

    def _mount(self, method: str, where: str, name: str | None, tune: bool, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        table = self.mounts[where]
        if name is None:
            if method != "GET":
                raise Refused(405, "unsupported operation")
            return 200, {**table, "data": table}
        entry = table.get(f"{name}/")
        if tune:
            if entry is None:
                raise Refused(400, f"no mount entry found for {name}/")
            if method == "POST":
                entry["config"].update({key: seconds(value) if key.endswith("_ttl") else value for key, value in body.items()})
                return 204, None
            return 200, {**entry["config"], "data": entry["config"]}
        if method == "POST":
            if entry is not None:
                raise Refused(400, f"path is already in use at {name}/")
            if body["type"] not in ("kv", "transit", "pki", "database") + (("approle", "userpass") if where == "auth" else ()):
                raise Refused(400, f"plugin not found in the catalog: {body['type']}")
            config = {key: seconds(value) if key.endswith("_ttl") else value for key, value in (body.get("config") or {}).items()}
            if set(config) - {"max_lease_ttl", "default_lease_ttl"}:
                raise Refused(400, f"unknown config {sorted(config)}")
            table[f"{name}/"] = {"type": body["type"], "description": body.get("description", ""), "options": body.get("options"), "config": {"max_lease_ttl": 0, "default_lease_ttl": 0, **config}}
            return 204, None
        raise Refused(405, "unsupported operation")

    def _policy(self, method: str, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if method == "GET":
            if name not in self.policies:
                raise Refused(404)
            return 200, {"data": {"name": name, "policy": self.policies[name]}}
        if method != "POST" or name == "root":
            raise Refused(400, "cannot do that to a policy")
        try:
            parse_policy(body["policy"])
        except HclError as error:
            raise Refused(400, f"failed to parse policy: {error}") from None
        self.policies[name] = body["policy"]
        self.objects[f"sys/policies/acl/{name}"] = {}
        return 204, None

    # -- auth

    def _token(self, policies: list[str], ttl: int) -> str:
        token = "s." + secrets.token_urlsafe(30)[:26]
        self.tokens[token] = {"policies": policies, "until": time.monotonic() + ttl}
        return token

    def _auth(self, method: str, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any] | None]:
        if path == "auth/token/lookup-self" and method == "GET":
            return 200, {"data": {"policies": self.tokens[token]["policies"], "ttl": 0}}
        if path == "auth/token/revoke-self" and method == "POST":
            del self.tokens[token]
            return 204, None
        kind = path.split("/")[1]
        if f"{kind}/" not in self.mounts["auth"]:
            raise Refused(404, f"no handler for route \"{path}\"")
        if match := re.fullmatch(r"auth/userpass/login/([\w-]+)", path):
            user = self.objects.get(f"auth/userpass/users/{match[1]}")
            if user is None or self.passwords.get(match[1]) != body["password"]:
                raise Refused(400, "invalid username or password")
            return 200, self._signed_in(user)
        if match := re.fullmatch(r"auth/userpass/users/([\w-]+)/password", path):
            if f"auth/userpass/users/{match[1]}" not in self.objects:
                raise Refused(400, "username does not exist")
            self.passwords[match[1]] = body["password"]
            return 204, None
        if path == "auth/approle/login":
            role = next((entry for name, entry in self.objects.items() if name.startswith("auth/approle/role/") and entry.get("role_id") == body["role_id"]), None)
            secret = self.secret_ids.get(body.get("secret_id", ""))
            if role is None or secret is None or secret[0] != body["role_id"]:
                raise Refused(400, "invalid role or secret ID")
            return 200, self._signed_in(role)
        if match := re.fullmatch(r"auth/approle/role/([\w-]+)/(role-id|secret-id)", path):
            role = self.objects.get(f"auth/approle/role/{match[1]}")
            if role is None:
                raise Refused(404)
            if match[2] == "role-id" and method == "GET":
                return 200, {"data": {"role_id": role["role_id"]}}
            if match[2] == "secret-id" and method == "POST":
                handle = secrets.token_hex(16)
                self.secret_ids[handle] = (role["role_id"], 0)
                return 200, {"data": {"secret_id": handle, "secret_id_accessor": secrets.token_hex(8), "secret_id_ttl": role["secret_id_ttl"]}}
            raise Refused(405, "unsupported operation")
        if re.fullmatch(r"auth/(userpass/users|approle/role)/[\w-]+", path):
            return self._account(method, path, body)
        raise Refused(404, f"unsupported path {path}")

    def _account(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if method == "GET":
            if path not in self.objects:
                raise Refused(404)
            return 200, {"data": {key: value for key, value in self.objects[path].items() if key != "role_id"}}
        if method != "POST":
            raise Refused(405, "unsupported operation")
        name = path.rsplit("/", 1)[1]
        if "/users/" in path:
            if path not in self.objects and not body.get("password"):
                raise Refused(400, "missing password")
            if body.get("password"):
                self.passwords[name] = body["password"]
        entry = self.objects.setdefault(path, {"token_ttl": 0, "token_max_ttl": 0, "token_policies": [], "token_no_default_policy": False, "token_bound_cidrs": []})
        if "/role/" in path:
            entry.setdefault("role_id", secrets.token_hex(8))
            entry.setdefault("bind_secret_id", True)
            entry.setdefault("secret_id_ttl", 0)
            entry.setdefault("secret_id_num_uses", 0)
        entry.update({key: seconds(value) if key.endswith("_ttl") else value for key, value in body.items() if key != "password"})
        return 204, None

    def _signed_in(self, account: dict[str, Any]) -> dict[str, Any]:
        policies = sorted({*account["token_policies"], *([] if account["token_no_default_policy"] else ["default"])})
        return {"auth": {"client_token": self._token(policies, account["token_ttl"] or 3600), "policies": policies, "token_policies": policies, "lease_duration": account["token_ttl"], "renewable": True}}

    def _unwrap(self, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        entry = self.wrapped.pop(body.get("token") or token, None)
        if entry is None or entry["until"] < time.monotonic():
            raise Refused(400, "wrapping token is not valid or does not exist")
        return 200, entry["answer"]

    # -- engines

    def _plain(self, method: str, path: str, body: dict[str, Any], defaults: dict[str, Any] | None = None) -> tuple[int, dict[str, Any] | None]:
        """A settings object: written whole, read back with times in seconds."""
        if method == "GET":
            if path not in self.objects:
                if defaults is None:
                    raise Refused(404)
                return 200, {"data": defaults}
            return 200, {"data": self.objects[path]}
        if method != "POST":
            raise Refused(405, "unsupported operation")
        times = ("ttl", "max_ttl", "default_ttl", "interval_duration", "safety_buffer", "auto_rotate_period")
        self.objects[path] = {**(defaults or {}), **{key: seconds(value) if key in times else value for key, value in body.items()}}
        return 204, None

    def _kv(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if path == "kv/config":
            return self._plain(method, path, body, {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"})
        _, kind, name = path.split("/", 2)
        versions = self.kv.get(name)
        if kind == "metadata" and method == "GET":
            if not versions:
                raise Refused(404)
            return 200, {"data": {"current_version": len(versions), "cas_required": False}}
        if kind == "data" and method == "GET":
            if not versions:
                raise Refused(404)
            return 200, {"data": {"data": versions[-1], "metadata": {"version": len(versions), "destroyed": False, "deletion_time": ""}}}
        if kind == "data" and method == "POST":
            cas = (body.get("options") or {}).get("cas")
            if cas is None and self.objects.get("kv/config", {}).get("cas_required"):
                raise Refused(400, "check-and-set parameter required for this call")
            if cas is not None and cas != len(versions or []):
                raise Refused(400, "check-and-set parameter did not match the current version")
            self.kv.setdefault(name, []).append(body["data"])
            return 200, {"data": {"version": len(self.kv[name])}}
        raise Refused(405, "unsupported operation")

    def _transit(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if match := re.fullmatch(r"transit/keys/([\w-]+)/config", path):
            key = self.objects.get(f"transit/keys/{match[1]}")
            if key is None:
                raise Refused(400, "no existing key named " + match[1])
            key.update({name: seconds(value) if name == "auto_rotate_period" else value for name, value in body.items()})
            return 200, {"data": key}
        if re.fullmatch(r"transit/keys/[\w-]+", path):
            if method == "POST":
                if body.get("type", "aes256-gcm96") not in ("aes256-gcm96", "ecdsa-p256", "ed25519"):
                    raise Refused(400, f"unknown key type {body['type']}")
                if 0 < seconds(body.get("auto_rotate_period", 0)) < 3600:
                    raise Refused(400, "auto rotate period must be 0 to disable or at least an hour")
                if path in self.objects:
                    return 200, {"data": self.objects[path]}
            return self._plain(method, path, {"type": "aes256-gcm96", "exportable": False, "deletion_allowed": False, **body} if method == "POST" else body)
        raise Refused(404, f"unsupported path {path}")

    def _database(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if match := re.fullmatch(r"database/rotate-root/([\w-]+)", path):
            config = self.objects.get(f"database/config/{match[1]}")
            if config is None:
                raise Refused(400, "unknown connection")
            config["rotated"] = True
            return 204, None
        if match := re.fullmatch(r"database/config/(postgresql|valkey)", path):
            plugin = {"postgresql": "postgresql-database-plugin", "valkey": "valkey-database-plugin"}[match[1]]
            if method == "POST" and body["plugin_name"] != plugin:
                raise Refused(400, f"unrecognized database plugin {body['plugin_name']}")
            return self._plain(method, path, body)
        if re.fullmatch(r"database/roles/[\w-]+", path):
            if method == "POST" and not all(isinstance(statement, str) for statement in body["creation_statements"]):
                raise Refused(400, "creation_statements are texts")
            return self._plain(method, path, body)
        raise Refused(404, f"unsupported path {path}")

    # -- certificates, by openssl

    def _pki(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        mount, _, rest = path.partition("/")
        issuers = self.issuers.setdefault(mount, [])
        where = f"{method} {rest}"
        if where == "LIST issuers":
            if not issuers:
                raise Refused(404)
            return 200, {"data": {"keys": [issuer["id"] for issuer in issuers]}}
        if where == "GET cert/ca":
            default = self._default(mount)
            return 200, {"data": {"certificate": default["certificate"], "revocation_time": 0}}
        if where == "POST root/generate/internal":
            issuer = self._make_root(body)
            issuers.append(issuer)
            self.objects[f"{mount}/config/issuers"] = {"default": issuer["id"]}
            return 200, {"data": {"certificate": issuer["certificate"], "issuer_id": issuer["id"], "issuing_ca": issuer["certificate"]}}
        if where == "POST intermediate/generate/internal":
            key, csr = self._key_and_csr(body["common_name"])
            self.pending = getattr(self, "pending", {})
            self.pending[mount] = key
            return 200, {"data": {"csr": csr, "key_id": secrets.token_hex(8)}}
        if where == "POST root/sign-intermediate":
            root = self._default(mount)
            return 200, {"data": {"certificate": self._sign(root, body["csr"], seconds(body["ttl"]), ["basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign"]),
                                  "issuing_ca": root["certificate"], "ca_chain": [root["certificate"]]}}
        if where == "POST intermediate/set-signed":
            mapping = {}
            for text in re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", body["certificate"], re.S):
                key = self.pending[mount] if not mapping else ""
                issuers.append({"id": secrets.token_hex(8), "certificate": text, "key": key})
                mapping[issuers[-1]["id"]] = secrets.token_hex(8) if key else ""
            self.objects.setdefault(f"{mount}/config/issuers", {"default": next(iter(mapping))})
            return 200, {"data": {"imported_issuers": list(mapping), "mapping": mapping}}
        if where == "POST config/issuers":
            if body["default"] not in [issuer["id"] for issuer in issuers]:
                raise Refused(400, "unable to find issuer")
            return self._plain(method, path, body)
        if match := re.fullmatch(r"config/(urls|auto-tidy|cluster|acme)", rest):
            return self._plain(method, path, body, {"enabled": False} if match[1] in ("auto-tidy", "acme") else {})
        if re.fullmatch(r"roles/[\w-]+", rest):
            return self._plain(method, path, body)
        if match := re.fullmatch(r"POST issue/([\w-]+)", where):
            return self._issue(mount, match[1], body)
        raise Refused(404, f"unsupported path {path}")

    def _default(self, mount: str) -> dict[str, str]:
        wanted = self.objects.get(f"{mount}/config/issuers", {}).get("default")
        for issuer in self.issuers.get(mount, []):
            if issuer["id"] == wanted:
                return issuer
        raise Refused(500, "no default issuer currently configured")

    def _issue(self, mount: str, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        role = self.objects.get(f"{mount}/roles/{name}")
        if role is None:
            raise Refused(400, f"unknown role: {name}")
        names = [body["common_name"], *filter(None, body.get("alt_names", "").split(","))]
        for wanted in names:
            fits = wanted in role["allowed_domains"] or (role.get("allow_subdomains") and any(wanted.endswith("." + domain) for domain in role["allowed_domains"]))
            if not fits and not (wanted == "localhost" and role.get("allow_localhost")):
                raise Refused(400, f"common name or subject alternate name {wanted} not allowed by this role")
        life = seconds(body.get("ttl", role["ttl"]))
        if life > role["max_ttl"]:
            raise Refused(400, "cannot satisfy request, as TTL would result in notAfter beyond the role's maximum")
        issuer = self._default(mount)
        key, csr = self._key_and_csr(names[0])
        alternatives = [f"DNS:{wanted}" for wanted in names] + [f"IP:{ip}" for ip in filter(None, body.get("ip_sans", "").split(","))]
        certificate = self._sign(issuer, csr, life, ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth", "subjectAltName=" + ",".join(alternatives)])
        chain = [issuer["certificate"]] + [other["certificate"] for other in self.issuers[mount] if other is not issuer and not other["key"]]
        return 200, {"data": {"certificate": certificate, "private_key": key, "private_key_type": "ec", "issuing_ca": issuer["certificate"], "ca_chain": chain, "serial_number": secrets.token_hex(8)}}

    def _openssl(self, *arguments: str, files: dict[str, str] | None = None) -> None:
        for name, text in (files or {}).items():
            (self.work / name).write_text(text)
        done = subprocess.run(["openssl", *arguments], cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            raise Refused(500, done.stderr)

    def _key_and_csr(self, name: str) -> tuple[str, str]:
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", "key", "-out", "csr")
        return (self.work / "key").read_text().strip(), (self.work / "csr").read_text().strip()

    def _make_root(self, body: dict[str, Any]) -> dict[str, str]:
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(seconds(body["ttl"]) // 86400), "-subj", f"/CN={body['common_name']}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "key", "-out", "cert")
        return {"id": secrets.token_hex(8), "certificate": (self.work / "cert").read_text().strip(), "key": (self.work / "key").read_text()}

    def _sign(self, issuer: dict[str, str], csr: str, life: int, extensions: list[str]) -> str:
        self._openssl("x509", "-req", "-in", "in.csr", "-CA", "ca", "-CAkey", "ca.key", "-days", str(max(1, life // 86400)), "-set_serial", f"0x{secrets.token_hex(16)}", "-extfile", "ext", "-out", "out",
                      files={"in.csr": csr, "ca": issuer["certificate"], "ca.key": issuer["key"], "ext": "\n".join(extensions) + "\n"})
        return (self.work / "out").read_text().strip()
