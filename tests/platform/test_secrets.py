"""System 33: who may have which secret, as data, and the scripts of compose/secrets.

OpenBao cannot run here: fakes/openbao.py stands in, with seal states, tokens, policies and body fields as strict as its documentation.
Real are age, openssl, curl and jq, PostgreSQL and Redis, on which the accounts that OpenBao would make are tried.
"""

import contextlib
import copy
import importlib.util
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import Spawner, find_binary, wait_until
from fakes.openbao import HclError, OpenBao, granted, parse_hcl, parse_policy

STACK = Path(__file__).resolve().parents[2] / "compose" / "secrets"
SCRIPTS = STACK / "scripts"
PEOPLE = ("ada", "bob", "cy")


def _load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _load(SCRIPTS / "generate.py", "secrets_generate")


# ---- data ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def catalogue():
    return generate.load_catalogue()


@pytest.fixture
def access():
    return yaml.safe_load((STACK / "access.yaml").read_text())


@pytest.fixture
def rotation():
    return yaml.safe_load((STACK / "rotation" / "rotation.yaml").read_text())


def test_no_rule_is_broken_and_all_is_current(access, rotation, catalogue):
    assert generate.problems(access, rotation, catalogue) == []
    wanted = generate.files(access, rotation, catalogue)
    stale = [str(path.relative_to(STACK)) for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    assert stale == [] and {path for path in wanted if path.suffix == ".hcl"} == set((STACK / "config" / "policies").glob("*.hcl")), \
        "run compose/secrets/scripts/generate.py generate"


def test_rotation_fits_its_schema(rotation):
    schema = json.loads((STACK / "rotation" / "schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(rotation)] == []
    for change in (lambda r: r["classes"][0].pop("steps"), lambda r: r["classes"][0].update(every="often"), lambda r: r["classes"][1].pop("reason"),
                   lambda r: r.update(surprise=1), lambda r: r["secrets"].update({"No/Path/": {}}), lambda r: r["classes"][0].update(restart="all")):
        broken = copy.deepcopy(rotation)
        change(broken)
        assert list(validator.iter_errors(broken)), "the schema takes what it must not"


def test_every_secret_is_in_one_place_and_has_a_schedule(access, rotation, catalogue):
    rows = {row[0]: row for row in generate.schedule(rotation, access, catalogue)}
    for name, entry in catalogue.items():
        owner = access["same_as"].get(name)
        shared = {secret["name"] for secret in catalogue[owner]["secrets"]} if owner else set()
        for secret in entry.get("secrets", []):
            place = f"{owner if secret['name'] in shared else name}/{secret['name']}"
            assert rows[place][1], place
    assert rows["n8n/N8N_ENCRYPTION_KEY"][2] == "never" and rows["n8n/N8N_ENCRYPTION_KEY"][4].split(",")[:2] == ["n8n", "n8n-worker"]
    assert rows["gitea/GITEA__database__PASSWD"][2:5] == ("90d", "two-accounts", "gitea")
    assert "n8n-worker/N8N_ENCRYPTION_KEY" not in rows


BROKEN = {
    "nobody": (lambda a, r: a["same_as"].update(nobody="n8n"), "'nobody' is no component"),
    "chain": (lambda a, r: a["same_as"].update({"n8n": "gitea"}), "which follows another itself"),
    "nothing in common": (lambda a, r: a["same_as"].update({"gitea": "qdrant"}), "have no secret of one name"),
    "unknown left out": (lambda a, r: a["outside"].update(gitea=["NO_SUCH"]), "'gitea' has no secret 'NO_SUCH'"),
    "sudo for a program": (lambda a, r: a["also"].update(gitea=[{"path": "transit/sign/cosign", "capabilities": ["sudo"], "why": "x"}]), "too much for a program"),
    "all of kv for a program": (lambda a, r: a["also"].update(gitea=[{"path": "kv/data/*", "capabilities": ["read"], "why": "x"}]), "too much for a program"),
    "policies for a program": (lambda a, r: a["also"].update(gitea=[{"path": "sys/policies/acl/gitea", "capabilities": ["update"], "why": "x"}]), "too much for a program"),
    "unknown database role": (lambda a, r: a["database_users"].update({"gitea": ["postgresql-none"]}), "which is not made"),
    "long life without port": (lambda a, r: a["pki"]["long"]["components"].append("restic"), "'restic' has no port"),
    "secret without class": (lambda a, r: [c.update(match="^nothing-fits-this$") for c in r["classes"] if c["name"] == "between-programs"], "no class fits"),
    "rotating what must stay": (lambda a, r: [c.update(match="^nothing$") for c in r["classes"] if c["name"] == "encrypts-stored-data"], "losing it loses data"),
    "dead class": (lambda a, r: r["classes"].append({**r["classes"][-1], "name": "late", "match": "PASSWORD"}), "class 'late' fits no secret"),
    "schedule for nothing": (lambda a, r: r["secrets"].update({"gitea/GONE": r["secrets"]["openbao/approle-credentials"]}), "'gitea/GONE' does not exist"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_is_refused(case, access, rotation, catalogue):
    change, expected = BROKEN[case]
    change(access, rotation)
    found = generate.problems(access, rotation, catalogue)
    assert any(expected in text for text in found), found[:4]


def test_policies_parse_and_give_only_what_belongs(access, catalogue):
    used = generate.secrets_of(access, catalogue)
    for path in sorted((STACK / "config" / "policies").glob("*.hcl")):
        policy = parse_policy(path.read_text())
        name = path.stem
        owners = {owner for owner, _ in used.get(name, [])} | {name}
        for pattern, capabilities in policy.items():
            assert "sudo" not in capabilities and not {"create", "delete", "list"} & capabilities, f"{name}: {pattern}"
            if pattern.startswith("kv/"):
                assert capabilities == {"read"} and pattern.split("/")[2] in owners, f"{name}: {pattern}"
            if pattern.startswith("pki/"):
                assert pattern.split("/")[-1] == name
    # One program cannot see another's secret, whatever it asks.
    n8n = [parse_policy((STACK / "config/policies/n8n.hcl").read_text())]
    assert granted(n8n, "kv/data/n8n/N8N_ENCRYPTION_KEY") == {"read"}
    for elsewhere in ("kv/data/gitea/GITEA__security__SECRET_KEY", "kv/data/n8n/OTHER", "kv/metadata/n8n/N8N_ENCRYPTION_KEY", "sys/policies/acl/n8n", "pki/issue/gitea"):
        assert granted(n8n, elsewhere) == set(), elsewhere


def test_people_have_no_more_than_they_say():
    policies = {path.stem: [parse_policy(path.read_text())] for path in (STACK / "config" / "people").glob("*.hcl")}
    assert set(policies) == {"admin", "break-glass", "backup", "rotation", "ci-signing"}
    assert "read" not in granted(policies["admin"], "kv/data/gitea/GITEA__security__SECRET_KEY"), "an admin writes values and does not read them"
    assert granted(policies["admin"], "sys/raw/x") == granted(policies["admin"], "sys/generate-root-token/attempt") == set()
    assert granted(policies["admin"], "auth/userpass/users/break-glass/password") == set()
    assert granted(policies["admin"], "auth/userpass/users/break-glass") == {"read"}
    assert "read" not in granted(policies["rotation"], "kv/data/n8n/X")
    assert granted(policies["break-glass"], "kv/data/n8n/X") == granted(policies["break-glass"], "sys/policies/acl/x") == set()
    assert granted(policies["backup"], "kv/data/n8n/X") == set()


def test_policy_parser_is_strict():
    for bad in ('path "a" { capabilities = ["raed"] }', 'path "a" { capabilities = "read" }', 'path "a" { capabilities = [] }', 'path "a" { capabilities = ["read"]', 'path a { capabilities = ["read"] }',
                'path "/a" { capabilities = ["read"] }', 'path "a/*/b" { capabilities = ["read"] }', 'path "a" { policy = "read" }', 'path "a" { capabilities = ["read"] }\npath "a" { capabilities = ["read"] }', '} '):
        with pytest.raises(HclError):
            parse_policy(bad)


# Keys of the server configuration that OpenBao's documentation names.
SERVER_KEYS = {
    "": {"storage", "listener", "audit", "telemetry", "seal", "api_addr", "cluster_addr", "cluster_name", "default_lease_ttl", "max_lease_ttl", "ui", "log_level"},
    "storage": {"path", "node_id", "performance_multiplier", "retry_join"},
    "retry_join": {"leader_api_addr", "leader_ca_cert_file"},
    "listener": {"address", "cluster_address", "tls_cert_file", "tls_key_file", "tls_min_version", "tls_disable", "telemetry", "disable_unauthed_generate_root_endpoints", "disable_unauthed_rekey_endpoints"},
    "listener.telemetry": {"metrics_only", "unauthenticated_metrics_access", "disallow_metrics"},
    "audit": {"description", "options"}, "options": {"file_path", "mode"},
    "telemetry": {"prometheus_retention_time", "disable_hostname"},
    "seal.static": {"current_key_id", "current_key", "previous_key_id", "previous_key"},
    "seal.transit": {"address", "disable_renewal", "key_name", "mount_path", "tls_ca_cert"},
}


@pytest.mark.parametrize("path", sorted([*(STACK / "config/openbao").glob("*.hcl*"), *(STACK / "config/seal").glob("*.hcl")]), ids=lambda path: path.name)
def test_server_configuration_has_documented_keys_only(path):
    def walk(entries, where):
        for key, labels, value in entries:
            assert key in SERVER_KEYS[where], f"{path.name}: {key} in {where or 'the file'}"
            if isinstance(value, list) and (not value or isinstance(value[0], tuple)):
                walk(value, f"seal.{labels[0]}" if key == "seal" else "listener.telemetry" if where == "listener" else key)

    walk(parse_hcl(path.read_text()), "")


def test_server_is_what_the_scripts_count_on():
    entries = parse_hcl((STACK / "config/openbao/10-server.hcl").read_text())
    listeners = [{key: value for key, _, value in body} for name, _, body in entries if name == "listener"]
    api, metrics = listeners
    assert api["disable_unauthed_generate_root_endpoints"] and api["disable_unauthed_rekey_endpoints"] and "tls_disable" not in api
    assert metrics["address"].endswith(":8210") and {key: value for key, _, value in metrics["telemetry"]}["metrics_only"] is True
    assert len([name for name, _, _ in entries if name == "audit"]) == 2, "one blocked device must not stop every request"
    service = yaml.safe_load((STACK / "docker-compose.yml").read_text())["services"]["openbao"]
    assert service["labels"]["prometheus.port"] == "8210"
    assert "./secrets/server:/openbao/tls:ro" in service["volumes"]


def test_nothing_secret_in_the_folder():
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "."], cwd=STACK, capture_output=True, text=True).stdout.split()
    assert tracked
    for name in tracked:
        assert not re.search(r"AGE-SECRET-KEY-1[0-9A-Z]{20}|-----BEGIN [A-Z ]*PRIVATE KEY|\b[hs]\.[A-Za-z0-9]{24}", (STACK / name).read_text()), name
    for name in (".env", "secrets/shares/ada.age", "secrets/server/key.pem", "data/openbao/file/x"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=STACK).returncode == 0, f"{name} is not ignored"


# ---- scripts against the stand-in ------------------------------------------------------------------------------------

class Store:
    """A stack of its own with its keyholders, and the stand-in behind its certificate."""

    def __init__(self, root, port, keys, full=False, **fake):
        self.root, self.port, self.keys = root, port, keys
        self.kept = root / "secrets"
        self.bao = OpenBao(**fake)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("BAO_", "OPENBAO_", "SECRETS_", "VAULT_", "OMNI_"))}
        holders = ",".join(f"{name}={keys[name][1]}" for name in PEOPLE)
        self.environment |= {"SECRETS_DIR": str(self.kept), "SECRETS_ENV": str(root / "none"), "OPENBAO_ADDR": f"https://localhost:{port}", "OPENBAO_WAIT_SECONDS": "20",
                             "OPENBAO_KEYHOLDERS": holders, "OPENBAO_OWNER": f"{os.getuid()}:{os.getgid()}", "OPENBAO_TLS_NAMES": "localhost,127.0.0.1",
                             "SECRETS_LOKI_RULES": str(STACK.parents[1] / "alerts/loki")}
        if not full:
            self.environment["SECRETS_STACK"] = str(_small_stack(root / "stack"))

    def run(self, script, *arguments, expect=0, stdin="", **environment):
        done = subprocess.run(["bash", str(SCRIPTS / script), *map(str, arguments)], env={**self.environment, **environment}, capture_output=True, text=True, timeout=200, input=stdin)
        done.said = done.stdout + done.stderr
        assert done.returncode == expect, f"{script} {arguments}: exit {done.returncode}, not {expect}\n{done.said}"
        return done

    def start(self):
        self.run("init.sh", "files")
        self.bao.serve(self.port, self.kept / "server/cert.pem", self.kept / "server/key.pem")
        return self

    def ids(self, *names):
        return [part for name in names for part in ("-i", self.keys[name][0])]

    def opened(self, sealed, who):
        return subprocess.run(["age", "-d", "-i", self.keys[who][0], self.kept / sealed], capture_output=True, text=True, check=True).stdout.strip()

    def login(self, who="ada"):
        return self.run("login.sh", who, *self.ids(who)).stdout.strip()


def _small_stack(folder):
    """The real stack with a handful of components, since a hundred say nothing more and take longer."""
    keep = {"n8n", "n8n-worker", "gitea", "openbao", "postgres-exporter", "restic-rest-server"}
    (folder / "config").mkdir(parents=True)
    for part in ("people", "database", "openbao"):
        shutil.copytree(STACK / "config" / part, folder / "config" / part)
    (folder / "config/policies").mkdir()
    for name in keep:
        shutil.copy(STACK / "config/policies" / f"{name}.hcl", folder / "config/policies")
    document = json.loads((STACK / "config/access.json").read_text())
    for part in ("approles", "pki_roles", "secrets"):
        document[part] = {name: value for name, value in document[part].items() if name in keep or name.startswith(("omni-", "ci-"))}
    (folder / "config/access.json").write_text(json.dumps(document))
    shutil.copytree(SCRIPTS, folder / "scripts")
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """name -> (identity file, recipient)."""
    find_binary("age")
    folder = tmp_path_factory.mktemp("keys")
    found = {}
    for name in (*PEOPLE, "stranger"):
        subprocess.run(["age-keygen", "-o", folder / name], check=True, capture_output=True)
        found[name] = (folder / name, subprocess.run(["age-keygen", "-y", folder / name], check=True, capture_output=True, text=True).stdout.strip())
    return found


@pytest.fixture
def store(tmp_path, free_port, keys):
    """A fresh, empty store that is up; nothing is initialised."""
    made = Store(tmp_path, free_port(), keys).start()
    yield made
    made.bao.stop()


@pytest.fixture(scope="module")
def ready(tmp_path_factory, keys):
    """One that scripts/init.sh has set up; tests that share it leave it as it is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Store(tmp_path_factory.mktemp("ready"), port, keys).start()
    made.init_log = made.run("init.sh").said
    yield made
    made.bao.stop()


def test_init_sets_up_the_whole_catalogue_twice(tmp_path, free_port, keys):
    made = Store(tmp_path, free_port(), keys, full=True).start()
    try:
        said = made.run("init.sh").said
        assert "initialised: 3 shares, any 2 open it" in said and "root token: revoked" in said
        bao = made.bao
        assert len([path for path in bao.objects if path.startswith("auth/approle/role/")]) >= 95
        assert set(bao.mounts["mounts"]) == {"sys/", "kv/", "transit/", "pki/", "pki-root/", "database/"}
        assert len(bao.policies) == len(list((STACK / "config/policies").glob("*.hcl"))) + 5
        before = copy.deepcopy((bao.objects, bao.policies, bao.passwords, bao.mounts))
        count = len(bao.requests)
        again = made.run("init.sh", BAO_TOKEN=made.login()).said
        writes = [(method, path) for method, path, _ in bao.requests[count:] if method not in ("GET", "LIST") and not path.startswith("auth/userpass/login")]
        assert "nothing to do" in again and writes == [], writes[:5]
        assert (bao.objects, bao.policies, bao.passwords, bao.mounts) == before
        assert "everything as access.yaml says" in made.run("init.sh", "--check", BAO_TOKEN=made.login()).said
    finally:
        made.bao.stop()


def test_after_init_nothing_lies_in_clear(ready):
    bao = ready.bao
    roots = [token for token, entry in bao.tokens.items() if "root" in entry["policies"]]
    assert roots == [], "a root token outlived the set-up"
    assert not (ready.kept / "root-token.age").exists()
    clear = set(bao.shares) | set(bao.passwords.values())
    for path in ready.kept.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_text(errors="replace") for secret in clear), f"{path.name} shows a secret"
            assert not path.stat().st_mode & 0o007, path
    assert not any(secret in ready.init_log for secret in clear), "printed"
    # Each share opens with its own keyholder's key, and with no other.
    assert sorted(ready.opened(f"shares/{name}.age", name) for name in PEOPLE) == sorted(bao.shares)
    with pytest.raises(subprocess.CalledProcessError):
        ready.opened("shares/ada.age", "bob")
    assert ready.opened("admin/bob.age", "bob") == bao.passwords["admin-bob"]
    assert {ready.opened("break-glass.age", name) for name in PEOPLE} == {bao.passwords["break-glass"]}


def test_second_run_without_a_token_knows_that_nothing_is_left(ready):
    assert "nothing to do" in ready.run("init.sh").said
    assert "compared from outside only" in ready.run("init.sh", "--check").said
    changed = ready.run("init.sh", "--check", expect=1, OMNI_DOMAIN="other.test").said
    assert "not those that were applied last" in changed


def test_a_difference_is_seen_and_mended(store):
    store.run("init.sh")
    bao = store.bao
    bao.policies["n8n"] = 'path "kv/data/*" { capabilities = ["read"] }'
    bao.objects["auth/approle/role/gitea"]["token_ttl"] = 999
    del bao.objects["transit/keys/cosign"]
    bao.objects["pki/roles/gitea"]["allow_any_name"] = True
    said = store.run("init.sh", "--check", expect=1, BAO_TOKEN=store.login()).said
    for text in ("policy n8n: not what", "program gitea: not what", "transit key cosign: missing", "certificates of gitea: not what"):
        assert text in said
    assert bao.objects["auth/approle/role/gitea"]["token_ttl"] == 999, "--check changed something"
    said = store.run("init.sh", BAO_TOKEN=store.login()).said
    assert "done, 4 change(s)" in said
    assert bao.policies["n8n"] == (STACK / "config/policies/n8n.hcl").read_text()
    assert bao.objects["pki/roles/gitea"]["allow_any_name"] is False


def test_authority_is_a_chain_with_short_leaves(ready):
    objects = ready.bao.objects
    assert objects["pki/roles/gitea"]["ttl"] == 86400 and objects["pki/roles/gitea"]["max_ttl"] == 3 * 86400
    assert objects["pki/roles/gitea"]["allowed_domains"] == ["omni-gitea", "gitea", "localhost", "gitea.omni.localhost"]
    for name in ("allow_any_name", "allow_subdomains", "allow_glob_domains"):
        assert objects["pki/roles/gitea"][name] is False
    (root,) = ready.bao.issuers["pki-root"]
    intermediate = ready.bao._default("pki")
    (ready.root / "root.pem").write_text(root["certificate"])
    (ready.root / "intermediate.pem").write_text(intermediate["certificate"])
    subprocess.run(["openssl", "verify", "-CAfile", ready.root / "root.pem", ready.root / "intermediate.pem"], check=True, capture_output=True)


def test_a_certificate_is_issued_for_its_own_name_alone(ready, tmp_path):
    bao = ready.bao
    token = bao._token(["gitea", "default"], 600)
    said = ready.run("issue.sh", "gitea", tmp_path / "tls", "--name", "gitea.omni.localhost", "--ip", "127.0.0.1", BAO_TOKEN=token).said
    assert "valid until" in said
    shown = subprocess.run(["openssl", "x509", "-in", tmp_path / "tls/cert.pem", "-noout", "-text"], capture_output=True, text=True).stdout
    assert "DNS:omni-gitea, DNS:gitea.omni.localhost, IP Address:127.0.0.1" in shown
    assert (tmp_path / "tls/key.pem").stat().st_mode & 0o077 == 0
    before = (tmp_path / "tls/cert.pem").read_text()
    assert "refused" in ready.run("issue.sh", "n8n", tmp_path / "tls", expect=1, BAO_TOKEN=token).said
    assert "not allowed by this role" in ready.run("issue.sh", "gitea", tmp_path / "tls", "--name", "vault.omni.localhost", expect=1, BAO_TOKEN=token).said
    assert "maximum" in ready.run("issue.sh", "gitea", tmp_path / "tls", "--ttl", "8760h", expect=1, BAO_TOKEN=token).said
    assert (tmp_path / "tls/cert.pem").read_text() == before


def test_a_program_gets_in_with_what_was_delivered(ready, tmp_path):
    bao = ready.bao
    ready.run("deliver.sh", "n8n", tmp_path / "n8n", BAO_TOKEN=ready.login())
    assert sorted(path.name for path in (tmp_path / "n8n").iterdir()) == ["role_id", "wrapped_secret_id"]
    shutil.copytree(tmp_path / "n8n", tmp_path / "thief")
    ready.run("deliver.sh", "--unwrap", tmp_path / "n8n")
    secret_id = (tmp_path / "n8n/secret_id").read_text().strip()
    code, answer = bao.handle("POST", "/v1/auth/approle/login", {"Content-Type": "application/json"}, json.dumps({"role_id": (tmp_path / "n8n/role_id").read_text().strip(), "secret_id": secret_id}).encode())
    assert code == 200 and answer["auth"]["policies"] == ["default", "n8n"]
    # Whoever comes second finds out, and says so loudly.
    assert "SOMEBODY ELSE HAS OPENED IT" in ready.run("deliver.sh", "--unwrap", tmp_path / "thief", expect=1).said
    assert "'nobody' has no role" in ready.run("deliver.sh", "nobody", tmp_path / "x", expect=1, BAO_TOKEN=ready.login()).said
    assert "this needs a token" in ready.run("deliver.sh", "n8n", tmp_path / "x", expect=1).said


def test_seed_writes_once_and_never_prints(store, tmp_path):
    store.run("init.sh")
    env = tmp_path / "n8n.env"
    env.write_text('# comment\nN8N_ENCRYPTION_KEY="k\\"ey $with =odd\\\\ signs"\nDB_POSTGRESDB_PASSWORD=\nOTHER=not-a-secret-of-n8n\nN8N_RUNNERS_AUTH_TOKEN=runner-token-1\n')
    env.chmod(0o600)
    said = store.run("seed.sh", "n8n", env, BAO_TOKEN=store.login()).said
    assert "2 written, 0 there already, 2 not in the file" in said and "runner-token-1" not in said and "odd" not in said
    assert store.bao.kv["n8n/N8N_ENCRYPTION_KEY"] == [{"value": 'k\\"ey $with =odd\\\\ signs'}]
    assert "n8n/OTHER" not in store.bao.kv
    env.write_text("N8N_ENCRYPTION_KEY=another\n")
    assert "0 written, 1 there already" in store.run("seed.sh", "n8n", env, BAO_TOKEN=store.login()).said
    assert len(store.bao.kv["n8n/N8N_ENCRYPTION_KEY"]) == 1
    store.run("seed.sh", "n8n", env, "--replace", BAO_TOKEN=store.login())
    assert [version["value"] for version in store.bao.kv["n8n/N8N_ENCRYPTION_KEY"]][1:] == ["another"]
    env.chmod(0o644)
    assert "can be read by others" in store.run("seed.sh", "n8n", env, expect=1, BAO_TOKEN=store.login()).said
    env.chmod(0o600)
    assert "share those of another" in store.run("seed.sh", "n8n-worker", env, expect=1, BAO_TOKEN=store.login()).said
    # An admin's token writes values and cannot read them back.
    code, _ = store.bao.handle("GET", "/v1/kv/data/n8n/N8N_ENCRYPTION_KEY", {"X-Vault-Token": store.login()}, b"")
    assert code == 403


# ---- trouble ---------------------------------------------------------------------------------------------------------

def test_sealed_store_is_said_and_opened_by_enough_people(store):
    store.run("init.sh")
    token = store.login()
    store.bao.restart()
    assert "the store is sealed (0 of 2 shares given)" in store.run("init.sh", expect=1).said
    assert "the store is sealed" in store.run("init.sh", "--check", expect=1).said
    assert "sealed, or without a leader" in store.run("seed.sh", "n8n", _env_file(store.root), expect=1, BAO_TOKEN=token).said
    assert "opens none of the shares" in store.run("unseal.sh", *store.ids("stranger"), expect=1).said
    assert "1 of 2" in store.run("unseal.sh", *store.ids("bob")).said
    assert "given already" in store.run("unseal.sh", *store.ids("bob"), expect=1).said
    assert store.bao.sealed
    assert "ada: the store is open" in store.run("unseal.sh", *store.ids("ada")).said
    assert not store.bao.sealed
    store.bao.restart()
    assert "open" in store.run("unseal.sh", *store.ids("cy", "ada")).said


def _env_file(root):
    path = root / "some.env"
    path.write_text("N8N_ENCRYPTION_KEY=x\n")
    path.chmod(0o600)
    return path


def test_a_lost_share_is_said(store):
    store.run("init.sh")
    (store.kept / "shares/bob.age").unlink()
    assert "the share of bob is not in" in store.run("init.sh", "--check", expect=1).said
    store.bao.restart()
    assert "opens none of the shares" in store.run("unseal.sh", *store.ids("bob"), expect=1).said
    store.run("unseal.sh", *store.ids("ada", "cy"))
    assert not store.bao.sealed, "two others open it all the same"


def test_a_share_of_another_store_is_found_out(store):
    store.run("init.sh")
    subprocess.run(["age", "-a", "-r", store.keys["bob"][1], "-o", store.kept / "shares/bob.age"], input=b"A" * 44, check=True)
    store.bao.restart()
    assert "400" in store.run("unseal.sh", *store.ids("ada", "bob"), expect=1).said
    assert store.bao.sealed


def test_wrong_token_and_lost_quorum_are_told_apart(store):
    store.run("init.sh")
    assert "The token is wrong, has ended" in store.run("init.sh", expect=1, BAO_TOKEN="s.wrong").said
    token = store.login()
    store.bao.quorum_lost = True
    said = store.run("init.sh", expect=1, BAO_TOKEN=token).said
    assert "failed with 500" in said and "lost most of its members" in said
    store.bao.quorum_lost = False
    program = store.bao._token(["n8n", "default"], 600)
    assert "policies do not allow this" in store.run("init.sh", expect=1, BAO_TOKEN=program).said


def test_nothing_listens(tmp_path, free_port, keys):
    made = Store(tmp_path, free_port(), keys)
    made.run("init.sh", "files")
    said = made.run("init.sh", expect=1, OPENBAO_WAIT_SECONDS="0").said
    assert "nothing answers at https://localhost:" in said


def test_a_first_run_that_breaks_off_goes_on(store):
    store.bao.fail["transit/keys"] = 500
    assert "failed with 500" in store.run("init.sh", expect=1).said
    assert (store.kept / "root-token.age").exists() and len(list((store.kept / "shares").glob("*.age"))) == 3
    store.bao.fail.clear()
    # Without a key there is only word of what is missing; with one it goes on where it was.
    assert "not those that were applied last" in store.run("init.sh", expect=1).said
    said = store.run("init.sh", *store.ids("cy")).said
    assert "root token: revoked" in said and "initialised" not in said
    assert not (store.kept / "root-token.age").exists()
    assert "nothing to do" in store.run("init.sh").said


def test_an_empty_store_with_old_shares_is_not_initialised(store):
    store.run("init.sh")
    before = {path.name: path.read_text() for path in (store.kept / "shares").iterdir()}
    store.bao.initialized = False
    said = store.run("init.sh", expect=1).said
    assert "holds shares of an earlier one" in said
    assert {path.name: path.read_text() for path in (store.kept / "shares").iterdir()} == before


def test_without_audit_devices_it_is_not_well(tmp_path, free_port, keys):
    made = Store(tmp_path, free_port(), keys, audit=1).start()
    try:
        assert "fewer than two audit devices" in made.run("init.sh", expect=1).said
    finally:
        made.bao.stop()


def test_a_seal_that_opens_by_itself(tmp_path, free_port, keys):
    made = Store(tmp_path, free_port(), keys, seal="static")
    made.environment["OPENBAO_SEAL"] = "static"
    made.start()
    try:
        assert (made.kept / "server/static-seal.key").stat().st_size == 32
        assert "initialised: 3 shares" in made.run("init.sh").said
        made.bao.restart()
        assert "nothing to do" in made.run("init.sh").said
        assert "opens by itself" in made.run("unseal.sh", *made.ids("ada"), expect=1).said
    finally:
        made.bao.stop()


def test_a_mount_of_another_type_is_left_alone(store):
    store.bao.mounts["mounts"]["database/"] = {"type": "kv", "options": {"version": "1"}, "config": {"max_lease_ttl": 0}}
    assert "mounts/database is kv already" in store.run("init.sh", expect=1).said
    assert store.bao.mounts["mounts"]["database/"]["type"] == "kv"


@pytest.mark.parametrize("holders, threshold, expected", [
    ("", "2", "OPENBAO_KEYHOLDERS is empty"),
    ("ada=age1short", "2", "is not name=age1"),
    ("ada={ada}", "1", "at least 2"),
    ("ada={ada},bob={bob}", "2", "fewer than all"),
    ("ada={ada},bob={ada},cy={cy}", "2", "two times"),
    ("ada={ada},ada={bob},cy={cy}", "2", "two times"),
    ("ada={ada},bob={bob},cy={cy}", "two", "not a number"),
])
def test_bad_keyholders_are_refused_before_anything_happens(store, holders, threshold, expected):
    given = holders.format(**{name: key[1] for name, key in store.keys.items()})
    assert expected in store.run("init.sh", expect=1, OPENBAO_KEYHOLDERS=given, OPENBAO_THRESHOLD=threshold).said
    assert not store.bao.initialized


def test_one_person_may_say_that_it_is_a_lab(store):
    store.run("init.sh", OPENBAO_KEYHOLDERS=f"ada={store.keys['ada'][1]}", OPENBAO_THRESHOLD="1", OPENBAO_ALLOW_SINGLE="yes")
    assert not store.bao.sealed


@pytest.mark.parametrize("script, arguments", [
    ("init.sh", ["--chekc"]), ("init.sh", ["files", "--check"]), ("unseal.sh", []), ("unseal.sh", ["-i"]), ("unseal.sh", ["--reset", "now"]), ("login.sh", []), ("login.sh", ["ada", "bob"]), ("deliver.sh", ["n8n"]),
    ("deliver.sh", ["n8n", "x", "--net", "y"]), ("issue.sh", ["n8n"]), ("issue.sh", ["n8n", "x", "--ttl"]), ("seed.sh", ["n8n"]), ("seed.sh", ["n8n", "x", "--force"]), ("database.sh", []),
    ("database.sh", ["oracle"]), ("break-glass.sh", []), ("break-glass.sh", ["use"]), ("break-glass.sh", ["end"]), ("sops.py", []), ("generate.py", ["--what"]),
])
def test_wrong_usage_is_exit_2(script, arguments, tmp_path):
    environment = {**os.environ, "SECRETS_DIR": str(tmp_path), "SECRETS_ENV": str(tmp_path / "none"), "BAO_TOKEN": "s.x"}
    program = [sys.executable if script.endswith(".py") else "bash"]
    done = subprocess.run([*program, str(SCRIPTS / script), *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stdout + done.stderr


def test_people_change_their_password(store):
    store.run("init.sh")
    first = store.opened("admin/ada.age", "ada")
    token = store.run("login.sh", "ada", "--new-password", stdin=f"{first}\nshort\n", expect=1)
    assert "16 at least" in token.said
    store.run("login.sh", "ada", "--new-password", stdin=f"{first}\na much longer password\n")
    assert not (store.kept / "admin/ada.age").exists()
    assert "not known with this password" in store.run("login.sh", "ada", stdin=f"{first}\n", expect=1).said
    assert store.run("login.sh", "ada", stdin="a much longer password\n").stdout.startswith("s.")


# ---- break-glass -----------------------------------------------------------------------------------------------------

def test_break_glass_rehearsed_used_and_ended(store):
    store.run("init.sh")
    assert "never rehearsed" in store.run("break-glass.sh", "check", expect=1).said
    assert "2 are needed also to rehearse" in store.run("break-glass.sh", "rehearse", *store.ids("ada"), expect=1).said
    said = store.run("break-glass.sh", "rehearse", *store.ids("ada", "cy")).said
    assert "rehearsed: account, policy and shares work" in said
    assert store.bao.attempt is None and not [entry for entry in store.bao.tokens.values() if "root" in entry["policies"]], "a rehearsal made a root token"
    assert "break-glass is ready" in store.run("break-glass.sh", "check", BAO_TOKEN=store.login()).said

    assert "1 share(s) given, 2 are needed" in store.run("break-glass.sh", "use", *store.ids("bob"), expect=1).said
    assert store.bao.attempt is None
    file = Path(store.run("break-glass.sh", "use", *store.ids("bob", "ada")).stdout.strip())
    try:
        assert str(file).startswith("/dev/shm/") and file.stat().st_mode & 0o077 == 0
        token = file.read_text().strip()
        assert store.bao.tokens[token]["policies"] == ["root"]
        assert "a root token was not ended" in store.run("break-glass.sh", "check", expect=1).said
        old = store.bao.passwords["break-glass"]
        store.run("break-glass.sh", "renew", BAO_TOKEN_FILE=str(file))
        assert store.bao.passwords["break-glass"] != old
        assert store.opened("break-glass.age", "cy") == store.bao.passwords["break-glass"]
        store.run("break-glass.sh", "end", file)
        assert token not in store.bao.tokens and not file.exists() and not file.parent.exists()
    finally:
        shutil.rmtree(file.parent, ignore_errors=True)
    assert "break-glass is ready" in store.run("break-glass.sh", "check").said


def test_break_glass_check_finds_what_is_wrong(store, tmp_path):
    store.run("init.sh")
    store.run("break-glass.sh", "rehearse", *store.ids("ada", "bob"))
    token = store.login()
    check = lambda **env: store.run("break-glass.sh", "check", expect=1, BAO_TOKEN=token, **env).said  # noqa: E731
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yml").write_text("# auth/userpass/login/break-glass\nexpr: sys/generate-root\n")
    said = check(SECRETS_LOKI_RULES=str(rules))
    assert "no rule" in said and "login/break-glass" in said and "names sys/generate-root" not in said, "a comment is no rule"
    sealed = store.kept / "break-glass.age"
    good = sealed.read_text()
    sealed.write_text("plain password\n")
    assert "is not encrypted" in check()
    subprocess.run(["age", "-a", "-r", store.keys["ada"][1], "-o", sealed], input=b"x", check=True)
    assert "is sealed to 1 people, the list has 3" in check()
    sealed.unlink()
    assert "is missing: nobody could use the account" in check()
    sealed.write_text(good)
    (store.kept / "break-glass.txt").write_text("copy\n")
    assert "lies in clear" in check()
    (store.kept / "break-glass.txt").unlink()
    store.bao.unauthed_generate_root = True
    assert "answers without an account" in check()
    store.bao.unauthed_generate_root = False
    store.bao.objects["auth/userpass/users/break-glass"]["token_policies"] = ["admin", "break-glass"]
    assert "other policies than break-glass: admin" in check()
    store.bao.objects["auth/userpass/users/break-glass"]["token_policies"] = ["break-glass"]
    store.bao.policies["break-glass"] = 'path "*" { capabilities = ["read"] }'
    assert "is not the one here" in check()
    store.bao.policies["break-glass"] = (STACK / "config/people/break-glass.hcl").read_text().rstrip("\n")
    (store.kept / "rehearsals.tsv").write_text("2020-01-01T00:00:00Z\tpassed\t2 keyholders\n")
    assert "are the keyholders still there?" in check()
    del store.bao.objects["auth/userpass/users/break-glass"]
    assert "does not exist" in check()


def test_rules_of_this_platform_watch_the_account(ready):
    ready.run("break-glass.sh", "rehearse", *ready.ids("ada", "bob"))
    assert "break-glass is ready" in ready.run("break-glass.sh", "check", SECRETS_LOKI_RULES=str(STACK.parents[1] / "alerts/loki")).said


# ---- real databases --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A PostgreSQL of its own, as an unprivileged user; databases n8n and gitea with an owner each and a table."""
    root = tmp_path_factory.mktemp("postgres")
    user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
    # pytest keeps its folders for root alone.
    folder = Path(subprocess.run(["mktemp", "-d", "/tmp/omni-pg.XXXXXX"], capture_output=True, text=True, check=True).stdout.strip())
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def drop():
        if os.getuid() == 0:
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    subprocess.run([find_binary("initdb"), "-D", folder / "data", "-U", "admin", "-A", "trust", "--no-sync"], check=True, capture_output=True, preexec_fn=drop, env=clean, cwd=folder)
    log = (root / "log").open("w")
    # The postmaster itself, so that its process is ours to end.
    server = subprocess.Popen([find_binary("initdb").parent / "postgres" if (find_binary("initdb").parent / "postgres").exists() else _postgres_binary(), "-D", str(folder / "data"), "-k", str(folder),
                               "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"], stdout=log, stderr=subprocess.STDOUT, preexec_fn=drop, env=clean, cwd=folder)
    environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "admin", "PGDATABASE": "postgres"}

    def sql(text, code=0, **other):
        done = subprocess.run([find_binary("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], env={**environment, **other}, capture_output=True, text=True)
        assert (done.returncode == 0) == (code == 0), f"{text}: {done.stderr}"
        return done.stdout.strip() if code == 0 else done.stderr

    try:
        wait_until("PostgreSQL answers", lambda: subprocess.run([find_binary("psql"), "-Xc", "SELECT 1"], env=environment, capture_output=True).returncode == 0)
        # As in production: passwords count over TCP.
        (folder / "data/pg_hba.conf").write_text("host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        sql("SELECT pg_reload_conf()")
        for name in ("n8n", "gitea"):
            sql(f"CREATE ROLE {name} LOGIN PASSWORD 'owner'")
            sql(f"CREATE DATABASE {name} OWNER {name}")
            sql("CREATE TABLE things (id serial PRIMARY KEY, name text); INSERT INTO things (name) VALUES ('one')", PGUSER=name, PGPASSWORD="owner", PGDATABASE=name)
        sql.environment = environment
        yield sql
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binary():
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))[-1]


def _statements(texts, name, password, database=""):
    """What OpenBao's plugin does with a statement before it sends it."""
    return [text.replace("{{name}}", name).replace("{{password}}", password).replace("{{expiration}}", "2099-01-01 00:00:00+0000").replace("{{database}}", database) for text in texts]


@pytest.fixture(scope="module")
def prepared(postgres, ready):
    """scripts/database.sh has run, twice."""
    first = ready.run("database.sh", "postgresql", BAO_TOKEN=ready.login(), PGHOST="127.0.0.1", PGPORT=postgres.environment["PGPORT"], PGUSER="admin")
    count = len(ready.bao.requests)
    again = ready.run("database.sh", "postgresql", BAO_TOKEN=ready.login(), PGHOST="127.0.0.1", PGPORT=postgres.environment["PGPORT"], PGUSER="admin")
    assert [(method, path) for method, path, _ in ready.bao.requests[count:] if method == "POST" and "login" not in path] == []
    assert "note: no database wiki yet" in first.said and "  role postgresql-n8n-readonly" in first.said and "  role " not in again.said, again.said
    return ready


def test_database_accounts_are_made_by_an_account_without_more_rights(postgres, prepared):
    config = prepared.bao.objects["database/config/postgresql"]
    assert config["rotated"] and config["username"] == "openbao"
    assert "postgresql-n8n-readwrite" in config["allowed_roles"] and config["connection_url"].count("{{") == 2
    # Its password works (OpenBao would have changed it by now), and it is no superuser.
    assert postgres("SELECT current_user", PGUSER="openbao", PGPASSWORD=config["password"]) == "openbao"
    assert postgres("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'openbao'") == "f|f|t"
    assert "permission denied" in postgres("SELECT * FROM things", code=1, PGUSER="openbao", PGPASSWORD=config["password"], PGDATABASE="n8n")


@contextlib.contextmanager
def _account(postgres, prepared, role, name):
    """An account as OpenBao makes it, with OpenBao's own login, and taken away as it does."""
    spec = prepared.bao.objects[f"database/roles/{role}"]
    own = {"PGUSER": "openbao", "PGPASSWORD": prepared.bao.objects["database/config/postgresql"]["password"]}
    # The plugin sends the statements of a role as one transaction.
    postgres("BEGIN; " + "; ".join(_statements(spec["creation_statements"], name, "pass-word-1")) + "; COMMIT", **own)
    try:
        yield {"PGUSER": name, "PGPASSWORD": "pass-word-1"}
    finally:
        postgres("BEGIN; " + "; ".join(_statements(spec["revocation_statements"], name, "")) + "; COMMIT", **own)
        assert postgres(f"SELECT count(*) FROM pg_roles WHERE rolname = '{name}'") == "0", "the account is still there"


def test_readonly_account_on_real_postgresql(postgres, prepared):
    with _account(postgres, prepared, "postgresql-n8n-readonly", "v-ada-ro-1") as me:
        here = {**me, "PGDATABASE": "n8n"}
        assert postgres("SELECT name FROM things", **here) == "one"
        assert "read-only transaction" in postgres("INSERT INTO things (name) VALUES ('x')", code=1, **here)
        # Switching that off does not help: the right is missing too.
        # With a value for id: else the sequence would refuse, and hide a table that does not.
        assert "permission denied for table" in postgres("SET default_transaction_read_only = off; BEGIN READ WRITE; INSERT INTO things VALUES (99, 'x')", code=1, **here)
        assert "permission denied" in postgres("CREATE TABLE mine (i int)", code=1, **{**here, "PGOPTIONS": "-c default_transaction_read_only=off"})
        assert "permission denied" in postgres("SELECT * FROM things", code=1, **{**me, "PGDATABASE": "gitea"})
        # A table that the program makes tomorrow is seen too.
        postgres("CREATE TABLE IF NOT EXISTS later (i int); INSERT INTO later VALUES (7)", PGUSER="n8n", PGPASSWORD="owner", PGDATABASE="n8n")
        assert postgres("SELECT i FROM later", **here) == "7"
        assert postgres("SELECT rolvaliduntil > now() FROM pg_roles WHERE rolname = current_user", **here) == "t"


def test_readwrite_account_on_real_postgresql(postgres, prepared):
    with _account(postgres, prepared, "postgresql-n8n-readwrite", "v-ada-rw-1") as me:
        here = {**me, "PGDATABASE": "n8n"}
        postgres("INSERT INTO things (name) VALUES ('two'); UPDATE things SET name = 'deux' WHERE name = 'two'; DELETE FROM things WHERE name = 'deux'", **here)
        for text in ("DROP TABLE things", "CREATE TABLE mine (i int)", "TRUNCATE things", "ALTER TABLE things ADD COLUMN x int", "CREATE ROLE friend"):
            assert "permission denied" in (said := postgres(text, code=1, **here)) or "must be owner" in said, text


def test_backup_and_monitoring_accounts_on_real_postgresql(postgres, prepared, tmp_path):
    with _account(postgres, prepared, "postgresql-backup", "v-backup-1") as me:
        dump = subprocess.run([find_binary("pg_dump"), "-d", "n8n"], env={**postgres.environment, **me}, capture_output=True, text=True)
        assert dump.returncode == 0 and "COPY public.things" in dump.stdout, dump.stderr
        assert "permission denied" in postgres("INSERT INTO things (name) VALUES ('x')", code=1, **{**me, "PGDATABASE": "n8n"})
    with _account(postgres, prepared, "postgresql-monitoring", "v-exporter-1") as me:
        assert postgres("SELECT count(*) > 0 FROM pg_stat_activity WHERE query IS NOT NULL", **me) == "t"
        assert "permission denied" in postgres("SELECT * FROM things", code=1, **{**me, "PGDATABASE": "n8n"})


def test_revoking_ends_a_session_that_is_open(postgres, prepared):
    with _account(postgres, prepared, "postgresql-n8n-readonly", "v-ada-long") as me:
        session = subprocess.Popen([find_binary("psql"), "-Xc", "SELECT pg_sleep(600)"], env={**postgres.environment, **me, "PGDATABASE": "n8n"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("the session is there", lambda: postgres("SELECT count(*) FROM pg_stat_activity WHERE usename = 'v-ada-long'") == "1")
    _, error = session.communicate(timeout=60)
    assert session.returncode != 0 and "terminating connection" in error


@pytest.fixture(scope="module")
def redis(tmp_path_factory, ready):
    """A Redis with an ACL file; scripts/database.sh has run on it, twice."""
    folder = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users.acl").write_text("user default on >admin-password ~* &* +@all\n")
    spawner = Spawner(folder)
    try:
        spawner(find_binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--aclfile", str(folder / "users.acl"), "--save", "").listening(port)

        def cli(*words, user="default", password="admin-password", stdin=None):
            done = subprocess.run([find_binary("redis-cli"), "-h", "127.0.0.1", "-p", str(port), "--user", user, "--pass", password, "--no-auth-warning", *words], capture_output=True, text=True, input=stdin)
            return (done.stdout + done.stderr).strip()

        settings = {"VALKEY_HOST": "127.0.0.1", "VALKEY_PORT": str(port), "VALKEY_PASSWORD": "admin-password"}
        ready.run("database.sh", "valkey", BAO_TOKEN=ready.login(), **settings)
        again = ready.run("database.sh", "valkey", BAO_TOKEN=ready.login(), **settings)
        assert "role " not in again.said and "connection" not in again.said
        assert "user openbao" in (folder / "users.acl").read_text(), "gone after a restart"
        assert "is VALKEY_PASSWORD right" in ready.run("database.sh", "valkey", expect=1, BAO_TOKEN=ready.login(), **{**settings, "VALKEY_PASSWORD": "wrong"}).said
        cli.config = ready.bao.objects["database/config/valkey"]
        cli.roles = {name: json.loads(spec["creation_statements"][0]) for name, spec in ready.bao.objects.items() if name.startswith("database/roles/valkey-")}
        yield cli
    finally:
        spawner.stop_all()


def _redis_account(redis, role):
    """As OpenBao's plugin makes it: SETUSER name ON >password and the rules, sent by OpenBao's own account."""
    said = redis("ACL", "SETUSER", f"v-{role}", "on", ">pass-word-1", *redis.roles[f"database/roles/valkey-{role}"], user="openbao", password=redis.config["password"])
    assert said == "OK", said
    return {"user": f"v-{role}", "password": "pass-word-1"}


ALLOWED = {
    "queue": [("SET", "bull:mail:1", "x"), ("LPUSH", "n8n:bull:jobs", "1"), ("EVAL", "return redis.call('get', KEYS[1])", "1", "bull:mail:1"), ("INFO", "server"), ("PUBLISH", "bull:events", "x"), ("PING",)],
    "cache": [("SET", "cache:a", "1"), ("GET", "cache:a"), ("DEL", "cache:a"), ("EXPIRE", "cache:a", "10"), ("HSET", "cache:h", "f", "1")],
    "readonly": [("GET", "anything"), ("DBSIZE",), ("SCAN", "0"), ("INFO",)],
    "exporter": [("INFO",), ("PING",), ("CONFIG", "GET", "maxmemory"), ("SLOWLOG", "LEN"), ("CLIENT", "LIST"), ("LATENCY", "LATEST"), ("DBSIZE",)],
}
REFUSED = {
    "queue": [("GET", "cache:a"), ("FLUSHALL",), ("CONFIG", "SET", "maxmemory", "1"), ("ACL", "LIST"), ("SHUTDOWN",), ("KEYS", "*"), ("SAVE",)],
    "cache": [("SET", "bull:x", "1"), ("FLUSHDB",), ("KEYS", "cache:*"), ("PUBLISH", "x", "y"), ("ACL", "LIST"), ("CONFIG", "GET", "requirepass"), ("EVAL", "return 1", "0")],
    "readonly": [("SET", "a", "1"), ("DEL", "a"), ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*")],
    "exporter": [("GET", "cache:a"), ("SET", "a", "1"), ("CONFIG", "SET", "maxmemory", "1"), ("CLIENT", "KILL", "ID", "1"), ("ACL", "LIST"), ("KEYS", "*"), ("SLOWLOG", "RESET")],
}


@pytest.mark.parametrize("role", ALLOWED)
def test_account_on_real_redis(redis, role):
    account = _redis_account(redis, role)
    for words in ALLOWED[role]:
        said = redis(*words, **account)
        assert not said.startswith(("NOPERM", "ERR")), f"{role} may not {' '.join(words)}: {said}"
    for words in REFUSED[role]:
        said = redis(*words, **account)
        assert said.startswith("NOPERM"), f"{role} may {' '.join(words)}: {said}"
    assert redis("ACL", "DELUSER", account["user"], user="openbao", password=redis.config["password"]) == "1"
    assert "WRONGPASS" in redis("PING", **account)


def test_openbaos_account_makes_accounts_and_sees_no_key(redis):
    own = {"user": "openbao", "password": redis.config["password"]}
    assert redis("PING", **own) == "PONG"
    for words in (("GET", "cache:a"), ("SET", "a", "1"), ("CONFIG", "GET", "*"), ("FLUSHALL",)):
        assert "NOPERM" in redis(*words, **own), words


# ---- the stand-in itself ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method, path, body, code", [
    ("POST", "sys/audit/file", {"type": "file"}, 405), ("POST", "sys/mounts/x", {"type": "kv", "wrong": 1}, 400), ("POST", "sys/mounts/x", {}, 400), ("POST", "sys/mounts/kv", {"type": "kv"}, 400),
    ("GET", "no/such/path", None, 404), ("PATCH", "sys/mounts/x", None, 405), ("POST", "kv/data/a/b", {"data": {"value": "1"}}, 400), ("POST", "kv/data/a/b", {"options": {"cas": 5}, "data": {}}, 400),
    ("POST", "sys/policies/acl/x", {"policy": "path {"}, 400), ("POST", "transit/keys/x", {"type": "rot13"}, 400), ("POST", "auth/userpass/users/x", {"token_ttl": "1h"}, 400), ("GET", "sys/generate-root/attempt", None, 405),
    ("POST", "database/config/valkey", {"plugin_name": "other", "host": "h", "port": 1, "username": "u", "password": "p"}, 400),
])
def test_the_stand_in_refuses(ready, method, path, body, code):
    root = ready.bao._token(["root"], 60)
    headers = {"X-Vault-Token": root, "Content-Type": "application/json"}
    try:
        assert ready.bao.handle(method, f"/v1/{path}", headers, json.dumps(body).encode() if body is not None else b"")[0] == code
        if method == "POST" and body:
            assert ready.bao.handle(method, f"/v1/{path}", {"X-Vault-Token": root}, json.dumps(body).encode())[0] == 400, "a body without Content-Type"
    finally:
        del ready.bao.tokens[root]


# ---- SOPS ------------------------------------------------------------------------------------------------------------

sops = _load(SCRIPTS / "sops.py", "secrets_sops")
ENCRYPTED = "ENC[AES256_GCM,data:cXdl,iv:aXY=,tag:dGFn,type:str]"


@pytest.fixture
def files(tmp_path, keys):
    """A repository with two environments and one file in each form."""
    who = {name: keys[name][1] for name in ("ada", "bob", "cy")}
    (tmp_path / "recipients.yaml").write_text(yaml.safe_dump({"who": who, "environments": {"production": ["ada", "bob"], "staging": ["ada", "bob", "cy"]}}))
    for environment, names in (("production", ("ada", "bob")), ("staging", ("ada", "bob", "cy"))):
        folder = tmp_path / "secrets" / environment
        folder.mkdir(parents=True)
        age = [{"recipient": who[name], "enc": "-----BEGIN AGE ENCRYPTED FILE-----\n…\n-----END AGE ENCRYPTED FILE-----\n"} for name in names]
        metadata = {"age": age, "lastmodified": "2026-11-01T10:00:00Z", "mac": ENCRYPTED, "version": "3.13.2"}
        (folder / "gitea.enc.yaml").write_text(yaml.safe_dump({"database": {"password": ENCRYPTED, "port_unencrypted": "5432"}, "list": [ENCRYPTED, ENCRYPTED], "empty": "", "sops": metadata}))
        (folder / "n8n.enc.json").write_text(json.dumps({"key": ENCRYPTED, "sops": metadata}))
        lines = [f"TOKEN={ENCRYPTED}", "sops_mac=" + ENCRYPTED] + [f"sops_age__list_{index}__map_recipient={who[name]}" for index, name in enumerate(names)]
        (folder / "web.enc.env").write_text("\n".join(lines) + "\n")
    (tmp_path / ".sops.yaml").write_text(sops.sops_yaml(sops.load_recipients(tmp_path)))
    return tmp_path


def test_sops_files_are_well(files):
    assert sops.problems(files) == []
    rules = yaml.safe_load((files / ".sops.yaml").read_text())["creation_rules"]
    assert [re.match(rule["path_regex"], "secrets/production/a/b.enc.yaml") is not None for rule in rules] == [True, False]
    assert rules[0]["age"].count("age1") == 2 and rules[1]["age"].count("age1") == 3
    assert sops.leave(files, "cy") == ["secrets/staging/gitea.enc.yaml", "secrets/staging/n8n.enc.json", "secrets/staging/web.enc.env"]


@pytest.mark.parametrize("spoil, expected", [
    (lambda root, key: (root / "secrets/production/plain.enc.yaml").write_text("password: hunter2\n"), "plain.enc.yaml: IN CLEAR: the whole file"),
    (lambda root, key: (root / "secrets/production/web.enc.env").write_text((root / "secrets/production/web.enc.env").read_text() + "NEW=value\n"), "web.enc.env: IN CLEAR: NEW"),
    (lambda root, key: _edit(root / "secrets/production/gitea.enc.yaml", lambda d: d["database"].update(extra="clear")), "IN CLEAR: database.extra"),
    (lambda root, key: _edit(root / "secrets/production/gitea.enc.yaml", lambda d: d["sops"]["age"].append({"recipient": key})), "can open it and must not"),
    (lambda root, key: _edit(root / "secrets/staging/gitea.enc.yaml", lambda d: d["sops"]["age"].pop()), "cy cannot open it: sops updatekeys"),
    (lambda root, key: (root / "secrets/production/notes.txt").write_text("x"), "so no rule encrypts it"),
    (lambda root, key: (root / "secrets/stray.enc.yaml").write_text("x"), "lies in no environment"),
    (lambda root, key: (root / ".sops.yaml").write_text("creation_rules: []\n"), ".sops.yaml is not what recipients.yaml gives"),
])
def test_sops_files_that_are_not_well(files, keys, spoil, expected):
    spoil(files, keys["stranger"][1])
    found = sops.problems(files)
    assert len(found) == 1 and expected in found[0], found


def _edit(path, change):
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("change, expected", [
    (lambda data: data["who"].update(ada="age1x"), "no age recipient"), (lambda data: data["environments"].update(production=["ada"]), "at least two"),
    (lambda data: data["environments"].update(production=["ada", "eve"]), "names eve"), (lambda data: data.pop("who"), "two parts are expected"),
    (lambda data: data["who"].update(bob=data["who"]["ada"]), "two names have one key"),
])
def test_bad_list_of_recipients(files, change, expected):
    _edit(files / "recipients.yaml", change)
    with pytest.raises(sops.Bad, match=expected):
        sops.load_recipients(files)
