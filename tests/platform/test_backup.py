"""System 32: the policies as data, and the scripts of compose/backup against a real restic and a real REST server.

The server is Debian's `restic-rest-server` (13) or `rest-server` where there is one, else `rclone serve restic` (Debian 12), which speaks the same
protocol with the same append-only and private-repos switches, but has no metrics.
"""

import copy
import datetime as dt
import importlib.util
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import Spawner

STACK = Path(__file__).resolve().parents[2] / "compose" / "backup"
SCRIPTS = STACK / "scripts"
TIERS = "high medium"


def _load_policy_module():
    spec = importlib.util.spec_from_file_location("backup_policy", SCRIPTS / "policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


policy = _load_policy_module()


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.fail(f"'{tool}' is not installed (deploy/packages.sh test installs everything)", pytrace=False)


# ---- policies --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def catalogue():
    return policy.load_catalogue()


@pytest.fixture
def policies():
    return yaml.safe_load((STACK / "policies" / "policies.yaml").read_text())


def _schema(part):
    whole = json.loads((STACK / "policies" / "schema.json").read_text())
    return jsonschema.Draft202012Validator({**whole, "oneOf": [{"$ref": f"#/$defs/{part}"}]})


@pytest.mark.parametrize("part", ["policies", "effective"])
def test_policy_files_fit_their_schema(part):
    errors = [f"{list(error.absolute_path)}: {[inner.message for inner in error.context] or error.message}"
              for error in _schema(part).iter_errors(yaml.safe_load((STACK / "policies" / f"{part}.yaml").read_text()))]
    assert errors == []


def test_no_rule_is_broken(policies, catalogue):
    assert policy.problems(policies, catalogue) == []


def test_effective_is_what_policies_and_catalogue_give(policies, catalogue):
    document = policy.with_worst_ages(policy.expand(policies, catalogue))
    assert (STACK / "policies" / "effective.yaml").read_text() == policy.render(document), "run compose/backup/scripts/policy.py generate"
    assert yaml.safe_load(policy.render(document)) == document


def test_each_tier_is_a_block_of_its_own(policies, catalogue):
    """What is no component of the catalogue follows its tier; so does one without an exception."""
    document = policy.with_worst_ages(policy.expand(policies, catalogue))
    assert list(document["tiers"]) == ["critical", "high", "medium", "standard"]
    for name, block in document["policies"].items():
        if name in policies["components"]:
            continue
        tier = document["tiers"][block["tier"]]
        for key in ("repository", "backup", "copy", "max_age", "retention"):
            assert block[key] == tier[key], f"{name}: {key}"
        assert {key: value for key, value in block["drill"].items() if key != "probe"} == tier["drill"], name


def test_rules_of_ones_own(policies, tmp_path, capsys):
    mine, catalogue, out = tmp_path / "mine.yaml", tmp_path / "catalogue", tmp_path / "effective.yaml"
    policies["limits"]["per_host"] = 4
    policies["components"]["ticket-desk"] = {"max_age": "40h", "reason": "Tickets come by mail as well."}
    mine.write_text(yaml.safe_dump(policies, sort_keys=False))
    catalogue.mkdir()
    entry = {"name": "ticket-desk", "tier": "medium", "backup": {"method": "volume", "paths": ["/data"], "what": "tickets"}}
    (catalogue / "desk.yaml").write_text(yaml.safe_dump({"system": 100, "components": [entry]}))
    words = ["--policies", str(mine), "--catalogue", str(catalogue), "--out", str(out)]
    assert policy.main([*words, "generate"]) == 0 and policy.main([*words, "check"]) == 0
    made = yaml.safe_load(out.read_text())
    assert list(_schema("effective").iter_errors(made)) == []
    assert made["limits"]["per_host"] == 4 and made["policies"]["ticket-desk"]["max_age"] == "40h"
    # The platform's own file is not overwritten by somebody else's rules.
    before = (STACK / "policies" / "effective.yaml").read_bytes()
    with pytest.raises(SystemExit) as refused:
        policy.main(["--policies", str(mine), "generate"])
    assert refused.value.code == 2 and "--out" in capsys.readouterr().err
    assert (STACK / "policies" / "effective.yaml").read_bytes() == before
    with pytest.raises(policy.Bad, match="no catalogue file"):
        policy.main(["--catalogue", str(tmp_path / "nowhere"), "check"])


def test_every_component_is_accounted_for_once(policies, catalogue):
    document = policy.expand(policies, catalogue)
    listed = [name for part in ("policies", "covered", "none") for name in document[part]]
    assert sorted(listed) == sorted(catalogue)
    for name, reason in document["none"].items():
        assert len(reason) >= 5, f"{name} has no policy and no reason"


def test_readme_tells_the_same_ages(policies, catalogue):
    document = policy.with_worst_ages(policy.expand(policies, catalogue))
    text = (STACK / "policies" / "README.md").read_text()
    plain = {block["tier"]: int(block["worst_age"][:-1]) for name, block in document["policies"].items() if name not in policies["components"]}
    shown = {tier: re.search(rf"^\| {tier} \| [^|]+\| ([\d.]+) (min|h) \| (\d+) h ", text, re.M).groups() for tier in plain}
    for tier, worst in plain.items():
        number, unit, limit = shown[tier]
        assert float(number) == pytest.approx(worst if unit == "min" else worst / 60, abs=0.06), f"README table, tier {tier}"
        assert f"{limit}h" == policies["tiers"][tier]["max_age"], f"README table, tier {tier}"


def _set(path, value):
    def change(document):
        *way, last = path
        for step in way:
            document = document.setdefault(step, {})
        document[last] = value
    return change


BROKEN = {
    "cron with four fields": (_set(["tiers", "high", "backup", "schedule"], "0 * * *"), "has 4 fields"),
    "minute 60": (_set(["tiers", "high", "backup", "schedule"], "60 * * * *"), "'60' is not between 0 and 59"),
    "unknown weekday": (_set(["tiers", "high", "backup", "schedule"], "0 0 * * frog"), "'frog' is not between"),
    "backward range": (_set(["tiers", "high", "backup", "schedule"], "0 9-3 * * *"), "runs backwards"),
    "step of zero": (_set(["tiers", "high", "backup", "schedule"], "*/0 * * * *"), "step"),
    "unknown time zone": (_set(["time_zone"], "Europe/Atlantis"), "is unknown"),
    "jitter without unit": (_set(["tiers", "high", "backup", "jitter"], "20"), "is no duration"),
    "retention in months": (_set(["tiers", "high", "retention", "monthly"], "6m"), "without months"),
    "retention by count": (_set(["tiers", "high", "retention", "keep_daily"], 7), "is unknown"),
    "RPO over limit": (_set(["tiers", "high", "max_age"], "5h"), "over max_age 5h"),
    "run longer than its interval": (_set(["tiers", "critical", "backup", "max_duration"], "70m"), "may still be going"),
    "two copies only": (_set(["tiers", "medium", "copy", "to"], []), "3-2-1: 2 copies"),
    "one medium": (_set(["tiers", "medium", "copy", "to"], ["remote"]), "one medium"),
    "nothing off site": (lambda document: [_set(["sites", site, "offsite"], False)(document) for site in document["sites"]], "no copy off site"),
    "nothing append-only off site": (_set(["sites", "remote", "append_only"], False), "both off site and append-only"),
    "unknown site": (_set(["tiers", "medium", "copy", "to"], ["moon"]), "site 'moon' is not among"),
    "prune meets backup": (_set(["tiers", "critical", "maintenance", "prune", "schedule"], "20 3 * * *"), "prune ('20 3 * * *') meets the backup window"),
    "long prune reaches the next backup": (_set(["tiers", "critical", "maintenance", "prune", "max_duration"], "30m"), "at Sat 01 Jan 04:00 UTC"),
    "prune meets check": (_set(["tiers", "medium", "maintenance", "check", "schedule"], "30 13 * * 6"), "prune and check meet"),
    "exception meets prune": (_set(["components", "gitea", "backup", "schedule"], "0 2 * * *"), "meets the backup window of gitea"),
    "drill too seldom": (_set(["tiers", "critical", "drill", "schedule"], "0 6 1 * *"), "drills run less often"),
    "exception without reason": (_set(["components", "caddy"], {"max_age": "9h"}), "'caddy' differs from its tier without a reason"),
    "exception for nobody": (_set(["components", "nobody"], {"max_age": "9h", "reason": "a typing error"}), "'nobody' is no component"),
    "exception for a component without data": (_set(["components", "docker-gc"], {"max_age": "9h", "reason": "kept by mistake"}), "the catalogue says 'none'"),
    "same moment, other schedule": (_set(["components", "langfuse-clickhouse"], {"backup": {"schedule": "10 1-23/4 * * *"}, "max_age": "9h", "reason": "apart"}),
                                    "same moment"),
    "state forgotten": (lambda document: document["none"].pop("restic-rest-server"), "restic-rest-server: keeps state in /data"),
    "kept and not kept": (_set(["none", "caddy"], "nothing worth keeping"), "none: 'caddy' is said to have nothing to keep"),
    "method without probe": (lambda document: document["probes"].pop("qdrant"), "no probe for method 'qdrant'"),
    "tier without policy": (lambda document: document["tiers"].pop("standard"), "no policy for tier 'standard'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_policy_is_refused(case, policies, catalogue):
    change, expected = BROKEN[case]
    broken = copy.deepcopy(policies)
    change(broken)
    found = policy.problems(broken, catalogue)
    assert any(expected in text for text in found), found[:5]


def test_a_new_component_with_data_needs_a_policy(policies, catalogue):
    extra = {"name": "newcomer", "tier": "medium", "system": 99, "backup": {"method": "none", "what": "none yet"},
             "data": {"paths": [{"path": "/data", "keep": "state"}]}}
    assert any("newcomer: keeps state in /data" in text for text in policy.problems(policies, {**catalogue, "newcomer": extra}))
    extra["backup"] = {"method": "shared", "shared_with": "nobody", "what": "with nobody"}
    assert any("covered by 'nobody'" in text for text in policy.problems(policies, {**catalogue, "newcomer": extra}))


@pytest.mark.parametrize("change", [
    _set(["tiers", "high", "surprise"], 1), _set(["components", "gitea", "as_tier"], "urgent"), _set(["sites", "home", "credentials", "password"], "hunter2"),
    _set(["probes", "volume", "compare"], []), _set(["tiers", "high", "repository"], "home-high"), _set(["tiers", "high", "maintenance", "check", "read_data_parts"], 0), _set(["version"], 2),
])
def test_schema_refuses(change, policies):
    change(policies)
    assert list(_schema("policies").iter_errors(policies))


def _clock(offsets, begin):
    return [(begin + dt.timedelta(minutes=offset)).strftime("%H:%M") for offset in offsets]


def test_cron_over_the_change_of_clocks():
    spring = dt.datetime(2027, 3, 28, tzinfo=dt.timezone.utc)  # 02:00 CET becomes 03:00 CEST
    assert _clock(policy.starts("30 2 * * *", "Europe/Berlin", spring, 1), spring) == ["01:30"], "skipped time runs after the gap, once"
    autumn = dt.datetime(2027, 10, 31, tzinfo=dt.timezone.utc)  # 03:00 CEST becomes 02:00 CET
    assert _clock(policy.starts("30 2 * * *", "Europe/Berlin", autumn, 1), autumn) == ["00:30"], "doubled time runs the first time only"


def test_cron_day_fields():
    begin = dt.datetime(2027, 1, 1, tzinfo=dt.timezone.utc)  # a Friday
    day = lambda text: [offset // 1440 + 1 for offset in policy.starts(text, "UTC", begin, 14)]  # noqa: E731
    assert day("0 0 * * fri") == [1, 8]
    assert day("0 0 13 * 5") == [1, 8, 13], "either day field is enough when both are given"
    assert day("0 0 */5 1 *") == [1, 6, 11]
    assert day("0 0 * * 7") == day("0 0 * * 0") == day("0 0 * jan sun") == [3, 10]


# ---- scripts: static -------------------------------------------------------------------------------------------------

def test_scripts_pass_shellcheck():
    need("shellcheck")
    found = subprocess.run(["shellcheck", "-x", *sorted(map(str, SCRIPTS.glob("*.sh")))], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_nothing_secret_in_the_folder():
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "."], cwd=STACK, capture_output=True, text=True).stdout.split()
    for name in tracked:
        text = (STACK / name).read_text()
        assert not re.search(r"AGE-SECRET-KEY-1[0-9A-Z]{20}|-----BEGIN [A-Z ]*PRIVATE KEY", text), name
    for name in (".env", "secrets/restic/home-high.password", "escrow/bundle.age", "data/x"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=STACK).returncode == 0, f"{name} is not ignored"


def test_server_options_match_the_scripts():
    service = yaml.safe_load((STACK / "docker-compose.yml").read_text())["services"]["restic-rest-server"]
    for option in ("--append-only", "--private-repos", "--prometheus", "--tls ", "--htpasswd-file /etc/rest-server/htpasswd", "--max-size"):
        assert option in service["environment"]["OPTIONS"]
    assert "./secrets/server:/etc/rest-server:ro" in service["volumes"], "init.sh writes the password file and certificate there"
    assert "no-auth" not in service["environment"]["OPTIONS"]


# ---- scripts: against a real server ----------------------------------------------------------------------------------

def _server_command(path, port, secrets):
    files = secrets / "server"
    for name in (os.environ.get("OMNI_TEST_REST_SERVER", ""), "restic-rest-server", "rest-server"):
        if name and shutil.which(name):
            return "rest-server", [name, "--path", str(path), "--listen", f"127.0.0.1:{port}", "--append-only", "--private-repos", "--prometheus",
                                   "--htpasswd-file", str(files / "htpasswd"), "--tls", "--tls-cert", str(files / "tls/cert.pem"),
                                   "--tls-key", str(files / "tls/key.pem"), "--max-size", "1000000000"]
    need("rclone")
    return "rclone", ["rclone", "serve", "restic", str(path), "--cache-objects=false", "--addr", f"127.0.0.1:{port}", "--append-only", "--private-repos",
                      "--htpasswd", str(files / "htpasswd"), "--cert", str(files / "tls/cert.pem"), "--key", str(files / "tls/key.pem")]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Place:
    """One installation of the stack: secrets, data, server."""

    def __init__(self, root, other=None):
        self.root, self.port = root, _free_port()
        self.secrets, self.data, self.escrow = root / "secrets", root / "data", root / "escrow"
        self.data.mkdir(parents=True)
        (root / "env").write_text(f"BACKUP_REST_ADDR=localhost:{self.port}\nBACKUP_TLS_NAMES=localhost,127.0.0.1\n")
        # Settings of whoever runs the tests must not reach the scripts.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BACKUP_", "ESCROW_", "RESTIC_", "AWS_", "COMPOSE_"))}
        self.environment = {**clean, "BACKUP_ENV": str(root / "env"), "BACKUP_SECRETS": str(self.secrets), "BACKUP_TIERS": TIERS,
                            "BACKUP_DATA": str(self.data), "BACKUP_ESCROW": str(self.escrow), "MONITORING_DIR": str(root / "monitoring"),
                            "BACKUP_WAIT_SECONDS": "60",
                            "RESTIC_CACHE_DIR": str(root / "cache"), "TMPDIR": str(root), "RCLONE_CONFIG": "/dev/null"}

    def run(self, script, *arguments, expect=0, **environment):
        done = subprocess.run(["bash", str(SCRIPTS / script), *map(str, arguments)], env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
        assert done.returncode == expect, f"{script} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        done.said = done.stdout + done.stderr
        return done

    def start(self, spawner):
        self.kind, command = _server_command(self.data, self.port, self.secrets)
        self.server = spawner(*command, env=self.environment)
        self.server.listening(self.port)

    def request(self, method, user, path, password=None):
        password = (self.secrets / "http" / user).read_text().strip() if password is None else password
        context = ssl.create_default_context(cafile=str(self.secrets / "tls" / "ca.pem"))
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", method=method,
                                         headers={"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()})
        try:
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def restic(self, tier, *arguments, expect=0, data=None):
        """Bare restic, as a user without any of our scripts would call it."""
        environment = {**self.environment, "RESTIC_PASSWORD_FILE": str(self.secrets / "restic" / f"home-{tier}.password"),
                       "RESTIC_REPOSITORY": f"rest:https://{tier}:{(self.secrets / 'http' / tier).read_text().strip()}@localhost:{self.port}/{tier}/"}
        done = subprocess.run(["restic", "--cacert", str(self.secrets / "tls/ca.pem"), *map(str, arguments)], env=environment, capture_output=True, text=True,
                              timeout=120, input=data)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout


def _tree(root):
    """Path -> what it is, with content, mode and link target."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", path.stat().st_mode & 0o7777)
        else:
            found[name] = ("file", path.stat().st_mode & 0o7777, path.read_bytes())
    return found


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Two regions, each with a server of its own, initialised and joined as README.md says."""
    need("restic", "openssl", "curl", "htpasswd", "jq")
    home, remote = (Place(tmp_path_factory.mktemp(name)) for name in ("home", "remote"))
    spawner = Spawner(tmp_path_factory.mktemp("servers"))
    try:
        for place in (home, remote):
            place.files_log = place.run("init.sh", "files").said
            place.start(spawner)
        home.init_log = home.run("init.sh").said
        (home.secrets / "remote-http").mkdir(mode=0o700)
        for tier in TIERS.split():
            shutil.copy(remote.secrets / "http" / tier, home.secrets / "remote-http" / tier)
        shutil.copy(remote.secrets / "tls" / "ca.pem", home.secrets / "tls" / "remote-ca.pem")
        with (home.root / "env").open("a") as env:
            env.write(f"BACKUP_REMOTE_ADDR=localhost:{remote.port}\n")
        home.joined_log = home.run("init.sh").said
        source = home.root / "source"
        (source / "deep" / "er").mkdir(parents=True)
        (source / "deep" / "er" / "blob").write_bytes(os.urandom(300_000))
        (source / "settings").write_text("answer = 42\n")
        (source / "settings").chmod(0o640)
        (source / "empty").touch()
        (source / "link").symlink_to("settings")
        home.source = source
        home.snapshot = home.run("backup-now.sh", "caddy", source).stdout.strip()
        yield home, remote
    finally:
        spawner.stop_all()


def _copy_of(place, root):
    """Another set of secrets for the same server, to spoil."""
    twin = Place.__new__(Place)
    twin.__dict__ = {**place.__dict__, "root": root, "secrets": root / "secrets", "escrow": root / "escrow"}
    shutil.copytree(place.secrets, twin.secrets)
    # Only the home site: these tests are about one server.
    (root / "env").write_text(f"BACKUP_REST_ADDR=localhost:{place.port}\nBACKUP_TLS_NAMES=127.0.0.1\n")
    twin.environment = {**place.environment, "BACKUP_ENV": str(root / "env"), "BACKUP_SECRETS": str(twin.secrets), "BACKUP_ESCROW": str(twin.escrow)}
    return twin


def test_init_makes_then_leaves_alone(places):
    home, _ = places
    assert "certificate for localhost" in home.files_log and "user high: set" in home.files_log
    assert "certificate for" not in home.init_log and "user " not in home.init_log, "made a second time"
    assert [line for line in home.init_log.splitlines() if line.startswith("repository ")] == ["repository home-high: made", "repository home-medium: made"]
    assert [line for line in home.joined_log.splitlines() if line.startswith("repository ")] == ["repository remote-high: made", "repository remote-medium: made"]
    before = _tree(home.secrets)
    again = home.run("init.sh").said
    assert ": made" not in again and "all well: certificate, users, 2 site(s), 2 repositories each" in again
    assert _tree(home.secrets) == before, "a second run changed a secret"
    assert "all well" in home.run("init.sh", "--check").said
    assert _tree(home.secrets) == before, "--check changed something"


def test_secrets_are_for_their_owner_alone(places, tmp_path):
    home, _ = places
    assert [str(path) for path in home.secrets.rglob("*") if path.stat().st_mode & 0o077] == []
    twin = _copy_of(home, tmp_path)
    (twin.secrets / "restic" / "home-high.password").chmod(0o644)
    assert "can be read by others" in twin.run("init.sh", "--check", expect=1).said


def test_certificate_is_renewed_when_it_does_not_fit(places, tmp_path):
    home, _ = places
    twin = _copy_of(home, tmp_path)
    twin.environment["BACKUP_TLS_NAMES"] = "127.0.0.1,backup.example.test"
    assert "it does not name backup.example.test" in twin.run("init.sh", "--check", expect=1).said
    assert "certificate for localhost omni-restic-rest-server 127.0.0.1 backup.example.test: made" in twin.run("init.sh", "files").said
    shown = subprocess.run(["openssl", "x509", "-in", twin.secrets / "server/tls/cert.pem", "-noout", "-ext", "subjectAltName,extendedKeyUsage,basicConstraints"],
                           capture_output=True, text=True).stdout
    assert "DNS:backup.example.test" in shown and "IP Address:127.0.0.1" in shown and "CA:FALSE" in shown and "TLS Web Server Authentication" in shown
    (twin.secrets / "tls" / "ca-key.pem").unlink()
    twin.environment["BACKUP_TLS_NAMES"] = "127.0.0.1,other.example.test"
    assert "put it back, or set BACKUP_TLS_CERT" in twin.run("init.sh", "files", expect=1).said
    assert "'/nowhere' is none" in twin.run("init.sh", "files", expect=1, BACKUP_TLS_CERT=str(twin.secrets / "server/tls/cert.pem"), BACKUP_TLS_KEY="/nowhere").said


def test_init_refuses_what_is_not_ours(places, tmp_path):
    home, _ = places
    twin = _copy_of(home, tmp_path)
    before = _tree(home.data / "high" / "keys")

    (twin.secrets / "restic" / "home-high.password").write_text("not the password\n")
    said = twin.run("init.sh", expect=1).said
    assert "repository home-high exists, but" in said and "left as it is" in said and "ESCROW.md" in said
    assert "does not open it" in twin.run("init.sh", "--check", expect=1).said
    assert _tree(home.data / "high" / "keys") == before, "the repository was touched"

    shutil.copy(home.secrets / "restic" / "home-high.password", twin.secrets / "restic")
    (twin.secrets / "restic" / "home-high.id").write_text("0" * 64 + "\n")
    assert "this is another repository" in twin.run("init.sh", expect=1).said

    shutil.copy(home.secrets / "restic" / "home-high.id", twin.secrets / "restic")
    hidden = home.data / "medium.hidden"
    (home.data / "medium").rename(hidden)
    try:
        said = twin.run("init.sh", expect=1).said
        assert "home-medium was made here before" in said and "is gone now" in said
        assert not (home.data / "medium").exists() or not list((home.data / "medium").glob("config"))
    finally:
        shutil.rmtree(home.data / "medium", ignore_errors=True)
        hidden.rename(home.data / "medium")


def test_prometheus_gets_what_it_asks_with(places, tmp_path):
    home, _ = places
    twin = _copy_of(home, tmp_path)
    monitoring = tmp_path / "monitoring"
    monitoring.mkdir()
    twin.environment["MONITORING_DIR"] = str(monitoring)
    assert "monitoring's secrets/scrape/restic-rest-server-metrics" in twin.run("init.sh", "--check", expect=1).said
    assert "monitoring: user, password and authority" in twin.run("init.sh", "files").said
    scrape = monitoring / "secrets" / "scrape"
    assert (scrape.stat().st_mode & 0o777, scrape.parent.stat().st_mode & 0o777) == (0o755, 0o700)
    kept = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in scrape.iterdir()}
    name = "restic-rest-server-metrics"
    assert kept == {f"{name}.user": ("metrics", 0o444), f"{name}.password": ((twin.secrets / "http/metrics").read_text(), 0o444), f"{name}.ca": ((twin.secrets / "tls/ca.pem").read_text(), 0o444)}
    twin.run("init.sh", "--check")
    assert "monitoring:" not in twin.run("init.sh", "files").said


def test_init_says_when_no_server_answers(places, tmp_path):
    home, _ = places
    twin = _copy_of(home, tmp_path)
    said = twin.run("init.sh", expect=1, BACKUP_REST_ADDR="localhost:1", BACKUP_WAIT_SECONDS="0").said
    assert "https://localhost:1 did not answer" in said


@pytest.mark.parametrize("script, arguments", [
    ("init.sh", ["--chekc"]), ("init.sh", ["--check", "x"]), ("backup-now.sh", ["caddy"]), ("backup-now.sh", ["caddy", "--dump", "x", "y"]), ("restore.sh", ["caddy"]),
    ("restore.sh", ["caddy", "--site"]), ("verify.sh", ["--all"]), ("maintain.sh", []), ("escrow.sh", ["open"]), ("escrow.sh", ["rehearse"]), ("escrow.sh", []),
])
def test_wrong_usage_is_exit_2(script, arguments, tmp_path):
    environment = {**os.environ, "BACKUP_ENV": str(tmp_path / "none"), "BACKUP_SECRETS": str(tmp_path), "BACKUP_ESCROW": str(tmp_path)}
    done = subprocess.run(["bash", str(SCRIPTS / script), *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "usage:" in done.stderr, done.stderr


def test_server_keeps_what_it_has(places):
    home, _ = places
    listed = home.restic("high", "list", "snapshots").split()
    assert listed
    for path in (f"/high/snapshots/{listed[0]}", f"/high/data/{home.restic('high', 'list', 'packs').split()[0]}", "/high/config"):
        code, _ = home.request("DELETE", "high", path)
        assert code == 403, f"DELETE {path}: {code}"
    code, _ = home.request("POST", "high", f"/high/snapshots/{listed[0]}")
    assert code == 403, f"a snapshot could be overwritten: {code}"
    assert home.restic("high", "list", "snapshots").split() == listed
    for user, path in (("high", "/medium/config"), ("medium", "/high/config"), ("metrics", "/high/config")):
        code, _ = home.request("HEAD", user, path)
        assert code in (401, 403), f"{user} reaches {path}: {code}"
    assert home.request("HEAD", "high", "/high/config", "wrong")[0] == 401
    assert home.request("HEAD", "high", "/high/config")[0] == 200


def test_metrics_need_their_user(places):
    home, _ = places
    if home.kind != "rest-server":
        # rclone has no such address; that it does not pretend to is all that can be asked of it.
        assert home.request("GET", "metrics", "/metrics")[0] in (401, 403, 404)
        return
    assert home.request("GET", "high", "/metrics")[0] == 401
    code, text = home.request("GET", "metrics", "/metrics")
    assert code == 200 and 'rest_server_blob_write_total{repo="high",type="snapshots",user="high"}' in text


def test_restore_equals_the_source(places, tmp_path):
    home, _ = places
    target = tmp_path / "back"
    said = home.run("restore.sh", "caddy", "--target", target).said
    assert home.snapshot[:8] in said and "3 files in" in said
    assert _tree(Path(f"{target}{home.source}")) == _tree(home.source)
    # A user without any of our scripts gets the same.
    bare = tmp_path / "bare"
    home.restic("high", "restore", home.snapshot, "--target", bare)
    assert _tree(Path(f"{bare}{home.source}")) == _tree(home.source)


def test_restore_refuses_what_would_do_harm(places, tmp_path):
    home, _ = places
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "file").write_text("precious")
    assert "is not empty" in home.run("restore.sh", "caddy", "--target", tmp_path / "live", expect=1).said
    assert (tmp_path / "live" / "file").read_text() == "precious"
    assert "is no snapshot of grafana" in home.run("restore.sh", "grafana", "--target", tmp_path / "a", "--snapshot", home.snapshot[:8], expect=1).said
    assert "no snapshot of grafana" in home.run("restore.sh", "grafana", "--target", tmp_path / "b", expect=1).said
    assert "holds no file under /nowhere" in home.run("restore.sh", "caddy", "--target", tmp_path / "c", "--path", "/nowhere", expect=1).said
    assert "has no backup policy" in home.run("restore.sh", "nobody", "--target", tmp_path / "d", expect=1).said


def test_dump_of_a_failing_command_is_not_stored(places, tmp_path):
    home, _ = places
    before = home.restic("medium", "list", "snapshots")
    assert "nothing was stored" in home.run("backup-now.sh", "--no-copy", "wikijs", "--dump", "wiki.sql", "--", "sh", "-c", "echo half; exit 9", expect=1).said
    assert "printed nothing" in home.run("backup-now.sh", "--no-copy", "wikijs", "--dump", "wiki.sql", "--", "true", expect=1).said
    assert "does not exist; nothing was stored" in home.run("backup-now.sh", "--no-copy", "wikijs", tmp_path / "missing", expect=1).said
    assert home.restic("medium", "list", "snapshots") == before
    home.run("backup-now.sh", "--no-copy", "wikijs", "--dump", "wiki.sql", "--", "echo", "whole")
    assert home.restic("medium", "dump", "--tag", "component=wikijs", "latest", "wiki.sql") == "whole\n"


def test_copy_in_second_region(places, tmp_path):
    home, remote = places
    target = tmp_path / "back"
    said = home.run("restore.sh", "caddy", "--target", target, "--site", "remote").said
    assert "from remote-high" in said
    assert _tree(Path(f"{target}{home.source}")) == _tree(home.source)
    # Same chunker parameters: the copy holds the same chunks, so later copies share data with it.
    polynomials = set()
    for place, site in ((home, "home"), (remote, "remote")):
        shown = subprocess.run(["restic", "-r", place.data / "high", "--password-file", home.secrets / "restic" / f"{site}-high.password", "cat", "config"],
                               env=home.environment, capture_output=True, text=True, check=True).stdout
        polynomials.add(json.loads(shown)["chunker_polynomial"])
    assert len(polynomials) == 1


def test_verify_sees_age_and_damage(places, tmp_path):
    home, _ = places
    assert "caddy: " in home.run("verify.sh", "--tier", "high", "--site", "home", "--read", "100%").said
    twin = _copy_of(home, tmp_path)
    stale = STACK.joinpath("policies/effective.yaml").read_text().replace("max_age: 6h", "max_age: 0m")
    (tmp_path / "effective.yaml").write_text(stale)
    assert "over its limit of 0m" in twin.run("verify.sh", "--tier", "high", "--site", "home", expect=1, BACKUP_EFFECTIVE=str(tmp_path / "effective.yaml")).said
    pack = max((path for path in (home.data / "high" / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    good = pack.read_bytes()
    mode = pack.stat().st_mode
    try:
        pack.chmod(0o600)
        pack.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
        assert "WRONG: damaged" in twin.run("verify.sh", "--tier", "high", "--site", "home", "--read", "100%", expect=1).said
    finally:
        pack.write_bytes(good)
        pack.chmod(mode)


def test_maintenance(places, tmp_path):
    """Last of those that need the snapshots: it forgets some."""
    home, _ = places
    for stamp in ("2020-01-01 10:00:00", "2020-01-01 11:00:00", "2020-01-01 12:00:00"):
        home.restic("medium", "backup", "--tag", "component=nango-server", "--host", "old", "--time", stamp, home.source)
    ids = home.restic("medium", "list", "snapshots").split()
    assert "nango-server: 2 snapshot(s) would be forgotten" in home.run("maintain.sh", "medium", "--dry-run", "--no-prune").said
    assert sorted(home.restic("medium", "list", "snapshots").split()) == sorted(ids)
    assert "2 forgotten, check passed" in home.run("maintain.sh", "medium").said
    assert len(home.restic("medium", "list", "snapshots").split()) == len(ids) - 2
    home.restic("medium", "backup", "--tag", "component=nango-server", "--host", "thief", "--time", "2045-01-01 10:00:00", home.source)
    left = sorted(home.restic("medium", "list", "snapshots").split())
    assert "refused: snapshot(s) from the future" in home.run("maintain.sh", "medium", expect=1).said
    said = home.run("restore.sh", "nango-server", "--target", tmp_path / "back", "--site", "home").said
    assert "is dated ahead (2045-01-01" in said and "files in" in said, "the thief's snapshot was taken for the newest"
    # And it hides no new one.
    assert len(home.run("backup-now.sh", "--no-copy", "--host", "thief", "nango-server", home.source).stdout.strip()) == 64
    left = sorted(home.restic("medium", "list", "snapshots").split())
    assert "refused: snapshot(s) from the future" in home.run("maintain.sh", "medium", expect=1).said
    assert sorted(home.restic("medium", "list", "snapshots").split()) == left
    assert "is not here" in home.run("maintain.sh", "medium", expect=1, BACKUP_DATA="/nowhere").said


# ---- escrow ----------------------------------------------------------------------------------------------------------

PEOPLE = ("ada", "bob", "cy")


@pytest.fixture(scope="module")
def sealed(places, tmp_path_factory):
    """An escrow of the home place, with three keyholders of whom two open it."""
    need("age", "age-keygen", "ssss-split", "ssss-combine", "jq")
    home, _ = places
    root = tmp_path_factory.mktemp("escrow")
    place = _copy_of(home, root)
    place.escrow.mkdir()
    place.keys = {}
    lines = []
    for name in (*PEOPLE, "stranger"):
        place.keys[name] = root / f"{name}.txt"
        subprocess.run(["age-keygen", "-o", place.keys[name]], check=True, capture_output=True)
        lines.append(f"{name} {subprocess.run(['age-keygen', '-y', place.keys[name]], check=True, capture_output=True, text=True).stdout.strip()}")
    (place.escrow / "keyholders.txt").write_text("# public keys only\n" + "\n".join(lines[:3]) + "\n")
    subprocess.run(["age-keygen", "-o", root / "sops.txt"], check=True, capture_output=True)
    place.environment |= {"ESCROW_EXTRA": f"sops-age-key={root / 'sops.txt'}", "ESCROW_SCRATCH": str(root)}
    # The remote repositories belong to the other site; this escrow is of one server.
    for path in (place.secrets / "restic").glob("remote-*"):
        path.unlink()
    place.seal_log = place.run("escrow.sh", "seal").said
    return place


def _identities(place, *names):
    return [part for name in names for part in ("-i", place.keys[name])]


def test_escrow_round_trip(sealed, tmp_path):
    assert "any 2 of 3 keyholders" in sealed.seal_log
    for pair in (("ada", "bob"), ("cy", "ada")):
        said = sealed.run("escrow.sh", "rehearse", *_identities(sealed, *pair)).said
        assert "repository home-high: opens, newest snapshot restored and verified" in said
        assert "rehearsal passed with" in said
    assert "escrow is current" in sealed.run("escrow.sh", "status").said
    rows = [line.split("\t") for line in (sealed.escrow / "rehearsals.tsv").read_text().splitlines()]
    assert [row[2] for row in rows] == ["passed", "passed"] and rows[0][3] == "ada bob"
    folder = Path(subprocess.run(["mktemp", "-d", "/dev/shm/test.XXXXXX"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        sealed.run("escrow.sh", "open", folder, *_identities(sealed, "bob", "cy"))
        assert (folder / "restic/home-high.password").read_text() == (sealed.secrets / "restic/home-high.password").read_text()
        assert (folder / "extra/sops-age-key").read_text().count("AGE-SECRET-KEY-") == 1
        assert "home-high\trest:https://localhost" in (folder / "README.tsv").read_text()
        assert (sealed.secrets / "http/high").read_text().strip() not in (folder / "README.tsv").read_text()
    finally:
        shutil.rmtree(folder)


def test_escrow_needs_enough_of_the_right_people(sealed, tmp_path):
    assert "1 share(s) (ada), 2 are needed" in sealed.run("escrow.sh", "rehearse", *_identities(sealed, "ada"), expect=1).said
    assert "belongs to no keyholder" in sealed.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "stranger"), expect=1).said
    assert "given two times" in sealed.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "ada"), expect=1).said
    assert "no RAM disk" in sealed.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "bob"), expect=1, ESCROW_RAM=str(tmp_path)).said
    assert "not on a RAM disk" in sealed.run("escrow.sh", "open", tmp_path / "open", *_identities(sealed, "ada", "bob"), expect=1).said


def test_escrow_holds_nothing_in_clear(sealed):
    secrets = {path.read_text().strip() for folder in ("restic", "http") for path in (sealed.secrets / folder).iterdir() if path.suffix in ("", ".password")}
    secrets |= {path.read_text().splitlines()[-1] for path in sealed.keys.values()} | {(sealed.root / "sops.txt").read_text().splitlines()[-1]}
    for path in sealed.escrow.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), f"{path.name} shows a secret"
            assert b"AGE-SECRET-KEY-" not in content, path.name
    assert not list(Path("/dev/shm").glob("escrow.*")), "something clear was left in memory"


def test_escrow_damage_and_change_are_seen(sealed, tmp_path):
    twin = Place.__new__(Place)
    twin.__dict__ = {**sealed.__dict__, "escrow": tmp_path / "escrow"}
    shutil.copytree(sealed.escrow, twin.escrow)
    twin.environment = {**sealed.environment, "BACKUP_ESCROW": str(twin.escrow)}
    bundle = twin.escrow / "bundle.age"
    good = bundle.read_bytes()
    bundle.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert "is not the one that escrow.json describes" in twin.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "bob"), expect=1).said
    bundle.write_bytes(good)
    recipient = json.loads((twin.escrow / "escrow.json").read_text())["keyholders"][0]["recipient"]
    foreign = subprocess.run(["age", "-a", "-r", recipient], input=b"1-" + b"ab" * 74, capture_output=True, check=True).stdout
    own = (twin.escrow / "shares/ada.age").read_bytes()
    (twin.escrow / "shares/ada.age").write_bytes(foreign)
    assert "from another sealing, or mistyped" in twin.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "bob"), expect=1).said
    (twin.escrow / "shares/ada.age").write_bytes(own)
    (twin.escrow / "rehearsals.tsv").unlink(missing_ok=True)
    assert "never rehearsed" in twin.run("escrow.sh", "status", expect=1).said
    made = json.loads((twin.escrow / "escrow.json").read_text())["made"]
    (twin.escrow / "rehearsals.tsv").write_text(f"2020-01-01T00:00:00Z\t{made}\tpassed\tada bob\n")
    assert "are the keyholders still there?" in twin.run("escrow.sh", "status", expect=1).said
    (twin.escrow / "shares/bob.age").unlink()
    assert "the share of bob is missing" in twin.run("escrow.sh", "status", expect=1).said
    spoiled = tmp_path / "secrets"
    shutil.copytree(sealed.secrets, spoiled)
    (spoiled / "http" / "high").write_text("changed\n")
    (spoiled / "restic" / "remote-high.password").write_text("new\n")
    said = twin.run("escrow.sh", "status", expect=1, BACKUP_SECRETS=str(spoiled)).said
    assert "http/high changed since the sealing" in said and "restic/remote-high.password is not in the escrow" in said
    (twin.escrow / "keyholders.txt").write_text((twin.escrow / "keyholders.txt").read_text().replace("cy ", "dan "))
    assert "keyholders file has changed" in twin.run("escrow.sh", "status", expect=1).said


def test_a_password_that_does_not_open_fails_the_rehearsal(sealed, tmp_path):
    """What is sealed may be wrong from the start: only use shows it."""
    twin = Place.__new__(Place)
    twin.__dict__ = {**sealed.__dict__, "escrow": tmp_path / "escrow", "secrets": tmp_path / "secrets"}
    shutil.copytree(sealed.escrow, twin.escrow)
    shutil.copytree(sealed.secrets, twin.secrets)
    (twin.secrets / "restic" / "home-high.password").write_text("not this one\n")
    twin.environment = {**sealed.environment, "BACKUP_ESCROW": str(twin.escrow), "BACKUP_SECRETS": str(twin.secrets)}
    twin.run("escrow.sh", "seal")
    said = twin.run("escrow.sh", "rehearse", *_identities(sealed, "ada", "bob"), expect=1).said
    assert "repository home-high: does not open with the password from the escrow" in said and "treat the backups as lost" in said
    assert (twin.escrow / "rehearsals.tsv").read_text().splitlines()[-1].split("\t")[2] == "failed"


@pytest.mark.parametrize("lines, threshold, expected", [
    ("ada age1short\n", "2", "line 1: write a name"),
    ("{ada}\n{bob}\n", "2", "fewer than all"),
    ("{ada}\n{bob}\n{cy}\n", "1", "nobody opens it alone"),
    ("{ada}\n{ada}\n{cy}\n", "2", "names somebody two times"),
    ("{ada}\neve {adakey}\n{cy}\n", "2", "one recipient to two people"),
])
def test_bad_keyholders_are_refused(sealed, tmp_path, lines, threshold, expected):
    people = {line.split()[0]: line for line in (sealed.escrow / "keyholders.txt").read_text().splitlines() if not line.startswith("#")}
    (tmp_path / "keyholders").write_text(lines.format(**people, adakey=people["ada"].split()[1]))
    done = sealed.run("escrow.sh", "seal", expect=1, ESCROW_KEYHOLDERS=str(tmp_path / "keyholders"), ESCROW_THRESHOLD=threshold, BACKUP_ESCROW=str(tmp_path / "e"))
    assert expected in done.said
    assert not (tmp_path / "e" / "bundle.age").exists()


@pytest.mark.parametrize("plain", [False, True])
def test_escrow_sheet_is_typed_back(sealed, tmp_path, plain):
    twin = Place.__new__(Place)
    twin.__dict__ = {**sealed.__dict__}
    escrow = tmp_path / "escrow"
    shutil.copytree(sealed.escrow, escrow)
    twin.environment = {**sealed.environment, "BACKUP_ESCROW": str(escrow)}
    sheet = twin.run("escrow.sh", "sheet", "bob", *(["--plain", "-i", sealed.keys["bob"]] if plain else [])).stdout
    assert max(map(len, sheet.splitlines())) <= 110 and len(sheet.splitlines()) < 60, "does not fit on a page"
    assert ("IN CLEAR" in sheet) == plain
    (escrow / "shares" / "bob.age").unlink()
    typed = tmp_path / "typed"
    rows = [line for line in sheet.splitlines() if re.match(r"\d\d  \S", line)]
    row = rows[0 if plain else 2]
    wrong = row[:10] + ("A" if row[10] != "A" else "B") + row[11:]
    typed.write_text(sheet.replace(row, wrong))
    assert f"line {row[:2]} is mistyped" in twin.run("escrow.sh", "read-sheet", "bob", typed, expect=1).said
    assert not (escrow / "shares" / "bob.age").exists()
    # People type single blanks and leave the rest of the page away.
    typed.write_text("\n".join(re.sub(r" +", " ", line) for line in rows))
    twin.run("escrow.sh", "read-sheet", "bob", typed)
    assert "rehearsal passed with bob cy" in twin.run("escrow.sh", "rehearse", *_identities(sealed, "bob", "cy")).said
    assert "'eve' is no keyholder" in twin.run("escrow.sh", "read-sheet", "eve", typed, expect=1).said
