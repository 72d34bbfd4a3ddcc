"""compose/uptime: the generator, and provisioning against a real Uptime Kuma.

Real: Uptime Kuma 2.0.0-dev.0, the one version that npm has of the 2 line. It is installed once into .omni-test/ (about
a minute and a half, npm only) with one repair: the package lacks some of its own SQL patches at the place where the
server looks for them. What 2.5 does differently is in fakes/kuma25.mjs; the same tests run against both.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
UPTIME = ROOT / "compose" / "uptime"
VERSION = "2.0.0-dev.0"
APP = ROOT / ".omni-test" / f"uptime-kuma-{VERSION}"
USER, PASSWORD = "omni", "Correct-horse-7"
COMPOSE = yaml.safe_load((UPTIME / "docker-compose.yml").read_text())
NODE_ENV = {"NODE_OPTIONS": f"--require {HERE}/fakes/only_loopback.cjs"}


# --- Getting the real thing ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def app() -> Path:
    """A folder with node_modules/uptime-kuma, able to run. Installed once; several test runs at a time wait for one another."""
    APP.parent.mkdir(exist_ok=True)
    with open(APP.parent / "uptime-kuma.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (APP / "ready").exists():
            shutil.rmtree(APP, ignore_errors=True)
            APP.mkdir()
            (APP / "package.json").write_text('{"private": true}\n')

            def npm(*args, **env):
                done = subprocess.run(["npm", *args], cwd=APP, capture_output=True, text=True, timeout=600, env={**os.environ, **env})
                assert done.returncode == 0, f"npm {' '.join(args)}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"

            # --before: the dependencies as they were then, so that a new release of one of four hundred breaks nothing here.
            # --ignore-scripts: browsers and the like are not fetched; the one native module that is needed is built below.
            npm("install", f"uptime-kuma@{VERSION}", "--before", "2026-09-01", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")
            npm("rebuild", "@louislam/sqlite3", npm_config_build_from_source="true")
            db = APP / "node_modules/uptime-kuma/db"
            for patch in db.glob("patch-*.sql"):
                shutil.copy(patch, db / "old_migrations")
            (APP / "ready").write_text("")
    return APP


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server: real or fake. Stopped by its process id."""

    def __init__(self, command: list[str], port: int, app: Path, cwd: Path, env: dict, log: Path):
        self.app, self.url, self.log = app, f"http://127.0.0.1:{port}", log
        self.process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **NODE_ENV, "KUMA_APP_DIR": str(app), **env}, stdout=open(log, "w"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/api/entry-page", timeout=5).read()
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, f"not listening: {log.read_text()[-3000:]}"
                time.sleep(0.05)

    def close(self, politely=False):
        """A polite stop of the real one takes four seconds; only the data folder that others start from is worth them."""
        self.process.send_signal(signal.SIGTERM if politely else signal.SIGKILL)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def calls(self, *calls) -> dict:
        """Does the calls as somebody with a browser would, and returns answers and lists."""
        done = subprocess.run(
            ["node", str(HERE / "fakes/kuma_call.mjs")], input=json.dumps({"url": self.url, "user": USER, "password": PASSWORD, "calls": calls}),
            capture_output=True, text=True, timeout=120, env={**os.environ, **NODE_ENV, "KUMA_APP_DIR": str(self.app)})
        assert done.returncode == 0, done.stderr + self.log.read_text()[-2000:]
        return json.loads(done.stdout)

    def monitors(self) -> dict:
        """By the key in their tag; the others by name."""
        out = {}
        for m in self.calls()["monitors"]:
            tag = next((t["value"] for t in m["tags"] if t["name"] == "omni"), None)
            assert tag is None or tag not in out, f"{tag} is there twice"
            out[tag or m["name"]] = m
        return out

    def public(self, slug: str) -> dict:
        return json.load(urllib.request.urlopen(f"{self.url}/api/status-page/{slug}", timeout=10))


@pytest.fixture(scope="session")
def fresh_data(app, tmp_path_factory) -> Path:
    """The data folder of a server that has made its tables; each test starts from a copy."""
    data = tmp_path_factory.mktemp("kuma") / "data"
    data.mkdir()
    start_real(app, data, data.parent / "first.log").close(politely=True)
    return data


def start_real(app: Path, data: Path, log: Path) -> Server:
    port = free_port()
    env = {"UPTIME_KUMA_DB_TYPE": "sqlite", "DATA_DIR": f"{data}/", "UPTIME_KUMA_PORT": str(port), "UPTIME_KUMA_HOST": "127.0.0.1"}
    return Server(["node", "server/server.js"], port, app, app / "node_modules/uptime-kuma", env, log)


def start_fake(app: Path, log: Path, version="2.5.5", *flags) -> Server:
    port = free_port()
    return Server(["node", str(HERE / "fakes/kuma25.mjs"), str(port), version, *flags], port, app, HERE, {}, log)


@pytest.fixture
def real(app, fresh_data, tmp_path):
    shutil.copytree(fresh_data, tmp_path / "data")
    server = start_real(app, tmp_path / "data", tmp_path / "kuma.log")
    yield server
    server.close()


@pytest.fixture(params=["2.0.0-dev.0 (real)", "2.5 (fake)"])
def kuma(request, app, tmp_path):
    if "real" in request.param:
        yield request.getfixturevalue("real")
    else:
        server = start_fake(app, tmp_path / "fake.log")
        yield server
        server.close()


# --- What is wanted -------------------------------------------------------------------------------------------------------

def wanted(*components: str, routes=False) -> dict:
    """desired.json reduced to some components, with every address on this machine."""
    desired = json.loads((UPTIME / "desired.json").read_text())
    monitors = [m for m in desired["monitors"] if (m["component"] in components or not components) and (routes or m["group"] != "routes")]
    for m in monitors:
        if "url" in m and m["group"] != "routes":
            m["url"] = re.sub(r"//[^/:]+:\d+", "//127.0.0.1:9", m["url"])
        elif "url" in m:
            m["url"] = re.sub(r"//[^/]+", "//127.0.0.1:9", m["url"])
        else:
            m["host"], m["port"] = "127.0.0.1", 9
    return {**desired, "monitors": monitors}


class Program:
    """provision.mjs with a desired.json of this test."""

    def __init__(self, server: Server, folder: Path):
        self.server, self.file = server, folder / "desired.json"
        self.env = {"KUMA_URL": server.url, "KUMA_USER": USER, "KUMA_PASSWORD": PASSWORD, "KUMA_APP_DIR": str(server.app), "UPTIME_SELECT": "all", "UPTIME_DESIRED": str(self.file)}

    def __call__(self, desired: dict | None, *args, code=0, **env) -> str:
        if desired is not None:
            self.file.write_text(json.dumps(desired))
        done = subprocess.run(["node", str(UPTIME / "provision/provision.mjs"), *args], capture_output=True, text=True, timeout=170, env={**os.environ, **NODE_ENV, **self.env, **env})
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def provision(kuma, tmp_path) -> Program:
    return Program(kuma, tmp_path)


HOOKS = {"UPTIME_MATTERMOST_WEBHOOK": "http://127.0.0.1:9/hooks/aaa", "UPTIME_OMNI_WEBHOOK": "http://127.0.0.1:9/in", "UPTIME_OMNI_TOKEN": "t0k3n-of-omni"}
FEW = ("gitea", "postgresql", "redis", "openbao", "mattermost")


# --- Provisioning -----------------------------------------------------------------------------------------------------------

def test_everything_is_made_once(provision, kuma):
    first = provision(wanted(*FEW, routes=True), UPTIME_WATCH_ROUTES="true", OMNI_DOMAIN="example.org", **HOOKS)
    assert "t0k3n" not in first and "hooks/aaa" not in first, "a secret was printed"
    monitors = kuma.monitors()
    gitea, postgres = monitors["component:gitea"], monitors["component:postgresql"]
    assert (gitea["type"], gitea["interval"], gitea["retryInterval"], gitea["maxretries"], gitea["resendInterval"], gitea["timeout"]) == ("http", 60, 30, 2, 60, 15)
    assert (postgres["type"], postgres["hostname"], postgres["port"], postgres["interval"]) == ("port", "127.0.0.1", 9, 30)
    assert gitea["parent"] == monitors["system:13"]["id"] and monitors["system:13"]["type"] == "group"
    assert postgres["parent"] == monitors["component:redis"]["parent"] == monitors["system:4"]["id"]
    assert monitors["component:openbao"]["accepted_statuscodes"] == ["200-299", "429"] and monitors["component:openbao"]["ignoreTls"] in (True, 1)
    assert monitors["route:git"]["expiryNotification"] in (True, 1)
    names = {n["name"]: n for n in kuma.calls()["notifications"]}
    assert set(names) == {"omni: Mattermost", "omni: webhook"}
    assert json.loads(names["omni: Mattermost"]["config"])["type"] == "mattermost"
    hook = json.loads(names["omni: webhook"]["config"])
    assert json.loads(hook["webhookAdditionalHeaders"]) == {"Authorization": "Bearer t0k3n-of-omni"} and hook["webhookContentType"] == "json"
    assert {int(k) for k, v in gitea["notificationIDList"].items() if v} == {n["id"] for n in names.values()}
    page = kuma.public("omni-operators")
    assert [g["name"] for g in page["publicGroupList"]][:2] == ["02 Secrets Vault", "04 Database Management"]
    assert {m["name"] for g in kuma.public("omni-public")["publicGroupList"] for m in g["monitorList"]} == {"Git", "Chat"}

    second = provision(None, UPTIME_WATCH_ROUTES="true", OMNI_DOMAIN="example.org", **HOOKS)
    assert "; 0 changes" in second
    assert kuma.monitors() == monitors
    moved = provision(None, UPTIME_WATCH_ROUTES="true", OMNI_DOMAIN="example.org", **{**HOOKS, "UPTIME_MATTERMOST_WEBHOOK": "http://127.0.0.1:9/hooks/bbb", "UPTIME_OMNI_TOKEN": "n3w-t0k3n"})
    assert "mattermostWebhookUrl: (secret) -> (secret)" in moved and not any(s in moved for s in ("aaa", "bbb", "t0k3n"))
    assert "; 2 changes" in moved


def test_dry_run_shows_the_difference_and_does_nothing(provision, kuma):
    provision(wanted("gitea"))
    changed = wanted("gitea", "redis")
    changed["monitors"][0 if changed["monitors"][0]["name"] == "gitea" else 1]["interval"] = 90
    before = kuma.monitors()
    out = provision(changed, "--dry-run", code=10, UPTIME_MATTERMOST_WEBHOOK="http://127.0.0.1:9/hooks/secret1")
    assert "+ monitor component:redis  127.0.0.1:9" in out and "+ group system:4" in out
    assert "~ monitor component:gitea\n    interval: 60 -> 90\n    tells: - -> mattermost" in out
    assert "+ channel mattermost" in out and "secret1" not in out
    assert "nothing was done" in out
    assert kuma.monitors() == before
    provision(wanted("gitea"), "--dry-run")


def test_only_its_own_are_touched(provision, kuma):
    """Monitors of people stay, also inside omni's groups; changes of people to omni's own are undone, save what is theirs."""
    provision(wanted("gitea", "redis"), **HOOKS)
    mine = kuma.monitors()
    group = mine["system:13"]["id"]
    common = {"interval": 60, "retryInterval": 60, "resendInterval": 0, "maxretries": 0, "timeout": 48, "accepted_statuscodes": ["200-299"], "kafkaProducerBrokers": [], "kafkaProducerSaslOptions": {"mechanism": "None"}}
    extra = {} if "2.0" in kuma.app.name and kuma.log.name == "kuma.log" else {"conditions": [], "rabbitmqNodes": []}
    theirs = {"type": "http", "name": "printer", "url": "http://127.0.0.1:9/printer", "notificationIDList": {}, "parent": group, **common, **extra}
    pager = {"name": "pager of ops", "type": "webhook", "webhookURL": "http://127.0.0.1:9/pager", "webhookContentType": "json", "isDefault": False, "applyExisting": False}
    made = kuma.calls(["add", theirs], ["addNotification", pager, None])["answers"]
    assert all(a["ok"] for a in made), made
    edited = {**mine["component:gitea"], "interval": 3600, "url": "http://127.0.0.1:9/wrong", "keyword": "left by a person"}
    edited["notificationIDList"] = {str(made[1]["id"]): True}
    assert kuma.calls(["editMonitor", edited], ["pauseMonitor", mine["component:redis"]["id"]])["answers"][0]["ok"]

    provision(wanted("gitea", "redis"), **HOOKS)
    now = kuma.monitors()
    assert now["printer"]["parent"] == group and now["printer"]["url"].endswith("/printer")
    assert now["component:gitea"]["interval"] == 60 and now["component:gitea"]["url"] == mine["component:gitea"]["url"]
    assert now["component:gitea"]["id"] == mine["component:gitea"]["id"], "its history would be gone"
    assert now["component:gitea"]["keyword"] == "left by a person"
    told = {int(k) for k, v in now["component:gitea"]["notificationIDList"].items() if v}
    assert made[1]["id"] in told and len(told) == 3
    assert not now["component:redis"]["active"], "somebody paused it"

    provision(wanted("redis"), **HOOKS)
    left = kuma.monitors()
    assert set(left) == {"printer", "component:redis", "system:4"}
    assert left["printer"]["parent"] is None
    assert {n["name"] for n in kuma.calls()["notifications"]} == {"omni: Mattermost", "omni: webhook", "pager of ops"}


def test_a_run_that_died_half_way_is_taken_up(provision, kuma):
    """Between `add` and `addMonitorTag` a monitor has no tag; and a clone has one too many."""
    provision(wanted("gitea", "redis"))
    before = kuma.monitors()
    tags = kuma.calls(["getTags"])["answers"][0]["tags"]
    (tag,) = [t["id"] for t in tags if t["name"] == "omni"]
    clone = {k: v for k, v in before["component:redis"].items() if k in ("type", "name", "hostname", "port", "interval", "retryInterval", "resendInterval", "maxretries", "timeout", "accepted_statuscodes", "parent", "kafkaProducerBrokers", "kafkaProducerSaslOptions", "conditions", "rabbitmqNodes")}
    made = kuma.calls(["deleteMonitorTag", tag, before["component:gitea"]["id"], "component:gitea"], ["add", {**clone, "notificationIDList": {}}])["answers"]
    assert all(a["ok"] for a in made), made
    kuma.calls(["addMonitorTag", tag, made[1]["monitorID"], "component:redis"])
    out = provision(None)
    assert "tag was lost, set again" in out and "copy of redis" in out
    now = kuma.monitors()
    assert {k: m["id"] for k, m in now.items()} == {k: m["id"] for k, m in before.items()}


def test_pages_of_people_stay(provision, kuma):
    kuma.calls(["addStatusPage", "Ours", "omni-team"], ["addStatusPage", "Private", "lunch"])
    desired = wanted("gitea", "mattermost")
    assert "! page omni-team" in provision(desired)
    assert kuma.public("omni-team")["publicGroupList"] == [] and kuma.public("lunch")["config"]["title"] == "Private"

    config = kuma.calls(["getStatusPage", "omni-operators"])["answers"][0]["config"]
    config["customCSS"] += "\nbody { color: teal }"
    config["title"] = "Changed by hand"
    config["logo"] = config.get("icon") or ""
    config.setdefault("analyticsType", None)
    assert kuma.calls(["saveStatusPage", "omni-operators", config, "", []])["answers"][0]["ok"]
    provision(None)
    page = kuma.public("omni-operators")
    assert page["config"]["title"] == "Platform" and page["config"]["customCSS"].endswith("color: teal }")
    assert [m["name"] for g in page["publicGroupList"] for m in g["monitorList"]] == ["gitea", "mattermost"]

    desired["pages"] = [p for p in desired["pages"] if p["slug"] != "omni-public"]
    assert "- page omni-public" in provision(desired)
    # Over HTTP the real server shows a page for five more minutes from its cache.
    assert not kuma.calls(["getStatusPage", "omni-public"])["answers"][0]["ok"]


def test_maintenance_windows_stay(real, tmp_path):
    provision = Program(real, tmp_path)
    provision(wanted("gitea"))
    gitea = real.monitors()["component:gitea"]["id"]
    window = {"title": "move", "description": "", "strategy": "manual", "intervalDay": 1, "active": True, "cron": "30 3 * * *", "durationMinutes": 60, "dateRange": [], "timeRange": [{"hours": 2, "minutes": 0}, {"hours": 3, "minutes": 0}], "weekdays": [], "daysOfMonth": [], "timezoneOption": "SAME_AS_SERVER"}
    made = real.calls(["addMaintenance", window])["answers"][0]
    assert made["ok"], made
    assert real.calls(["addMonitorMaintenance", made["maintenanceID"], [{"id": gitea}]])["answers"][0]["ok"]
    desired = wanted("gitea")
    desired["monitors"][0]["interval"] = 120
    provision(desired)
    answer = real.calls(["getMonitorMaintenance", made["maintenanceID"]], ["getMaintenance", made["maintenanceID"]])["answers"]
    assert [m["id"] for m in answer[0]["monitors"]] == [gitea] and answer[1]["maintenance"]["title"] == "move"
    assert real.monitors()["component:gitea"]["interval"] == 120


def test_present_means_watched_once_seen(provision, kuma):
    desired = wanted("gitea", "redis")
    for m in desired["monitors"]:
        m.update({"host": "localhost"} if m["component"] == "redis" else {"url": "http://omni-gitea:3000/api/healthz"})
    assert "1 monitors" in provision(desired, UPTIME_SELECT="present")
    assert set(kuma.monitors()) == {"component:redis", "system:4"}
    for m in desired["monitors"]:
        if m["component"] == "redis":
            m["host"] = "omni-redis"  # It is down: its name is gone. That is when it must be watched.
    assert "1 monitors" in provision(desired, UPTIME_SELECT="present")
    assert kuma.monitors()["component:redis"]["hostname"] == "omni-redis"
    assert "0 monitors" in provision(None, UPTIME_SELECT="present", UPTIME_LEAVE="redis")
    assert kuma.monitors() == {}


# --- What goes wrong ----------------------------------------------------------------------------------------------------------

def test_wrong_password(provision, kuma):
    kuma.calls()
    out = provision(wanted("gitea"), code=1, KUMA_PASSWORD="Wrong-horse-7")
    assert "omni cannot sign in" in out and "Incorrect username or password" in out and "reset-password" in out


def totp(secret: str, moment: float) -> str:
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(moment) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def test_two_factor_on_the_real_server(real, tmp_path):
    provision = Program(real, tmp_path)
    uri = real.calls(["prepare2FA", PASSWORD], ["save2FA", PASSWORD])["answers"][0]["uri"]
    secret = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["secret"][0]
    assert "two-factor sign-in. Give the current code in KUMA_TOTP" in provision(wanted("gitea"), code=1)
    assert "KUMA_TOTP is wrong" in provision(None, code=1, KUMA_TOTP="000000" if totp(secret, time.time()) != "000000" else "111111")
    assert "1 monitors" in provision(None, KUMA_TOTP=totp(secret, time.time()))


def test_two_factor_of_2_5(app, tmp_path):
    server = start_fake(app, tmp_path / "fake.log", "2.5.5", "2fa")
    try:
        provision = Program(server, tmp_path)
        assert "two-factor" in provision(wanted("gitea"), code=1)
        assert "KUMA_TOTP is wrong" in provision(None, code=1, KUMA_TOTP="654321")
        assert "1 monitors" in provision(None, KUMA_TOTP="123456")
    finally:
        server.close()


@pytest.mark.parametrize("version, complaint", [("1.23.16", "1.23.16 is too old"), ("2.0.0-beta.3", "is not known here"), ("3.0.0", "is not known here")])
def test_a_version_it_does_not_know(app, tmp_path, version, complaint):
    server = start_fake(app, tmp_path / "fake.log", version)
    try:
        provision = Program(server, tmp_path)
        assert complaint in provision(wanted("gitea"), code=1)
        if version == "3.0.0":
            assert "UPTIME_ALLOW_UNKNOWN_VERSION" in provision(None, code=1)
            assert "1 monitors" in provision(None, UPTIME_ALLOW_UNKNOWN_VERSION="true")
    finally:
        server.close()


def test_fields_of_one_version_are_refused_by_the_other(real, app, tmp_path):
    """The reason for the list of versions, shown on the real server: an unknown field is an SQL error."""
    common = {"type": "http", "name": "x", "url": "http://127.0.0.1:9", "interval": 60, "retryInterval": 60, "resendInterval": 0, "maxretries": 0, "timeout": 48, "accepted_statuscodes": ["200-299"], "notificationIDList": {}, "kafkaProducerBrokers": [], "kafkaProducerSaslOptions": {"mechanism": "None"}}
    new = {"conditions": [], "rabbitmqNodes": []}
    assert "conditions" in real.calls(["add", {**common, **new}])["answers"][0]["msg"]
    fake = start_fake(app, tmp_path / "fake.log")
    try:
        answers = fake.calls(["add", common], ["add", {**common, **new, "nonsense": 1}], ["add", {**common, **new}])["answers"]
        assert "NOT NULL" in answers[0]["msg"] and "no column named nonsense" in answers[1]["msg"] and answers[2]["ok"]
    finally:
        fake.close()


def test_other_troubles_have_words(app, tmp_path):
    kuma = start_fake(app, tmp_path / "fake.log")
    try:
        troubles(Program(kuma, tmp_path), app, tmp_path)
    finally:
        kuma.close()


def troubles(provision, app, tmp_path):
    assert "nobody answers at http://127.0.0.1:9" in provision(wanted("gitea"), code=1, KUMA_URL="http://127.0.0.1:9")
    assert "KUMA_PASSWORD is not set" in provision(None, code=1, KUMA_PASSWORD="")
    assert 'UPTIME_SELECT is "some"' in provision(None, code=1, UPTIME_SELECT="some")
    assert "needs OMNI_DOMAIN" in provision(None, code=1, UPTIME_WATCH_ROUTES="true")
    assert "no socket.io-client in /nowhere" in provision(None, code=1, KUMA_APP_DIR="/nowhere")
    assert "Make it with compose/uptime/generate.py" in provision(None, code=1, UPTIME_DESIRED=str(tmp_path / "none.json"))
    assert "usage:" in provision(None, "--drrun", code=2)
    bad = wanted("gitea")
    bad["monitors"][0]["interval"] = 5
    assert "adding component:gitea: Interval cannot be less than 20 seconds" in provision(bad, code=1)
    server = start_fake(app, tmp_path / "nodb.log", "2.5.5", "nodb")
    try:
        assert "Set UPTIME_KUMA_DB_TYPE=sqlite" in provision(wanted("gitea"), code=1, KUMA_URL=server.url)
    finally:
        server.close()


# --- scripts/init.sh ------------------------------------------------------------------------------------------------------------

def test_init_from_nothing_to_well(real, app, tmp_path):
    """The whole committed desired.json on the real server, as deploy/setup.sh would run it; then again, then broken."""
    key_file = tmp_path / "monitoring/secrets/scrape/key.password"
    (tmp_path / ".env").write_text(f"KUMA_USER={USER}\n# a comment\nKUMA_PASSWORD={PASSWORD}\nUPTIME_SELECT=all\n")
    (tmp_path / "desired.json").write_text(json.dumps(wanted()))

    def init(*args, code=0, **env):
        done = subprocess.run(
            ["bash", str(UPTIME / "scripts/init.sh"), *args], capture_output=True, text=True, timeout=170,
            env={**os.environ, **NODE_ENV, "KUMA_URL": real.url, "UPTIME_RUN": "local", "KUMA_APP_DIR": str(app), "UPTIME_ENV_FILE": str(tmp_path / ".env"),
                 "UPTIME_DESIRED": str(tmp_path / "desired.json"), "METRICS_KEY_FILE": str(key_file), "WAIT": "20", **env})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "scripts/init.sh brings it there" in init("--check", code=1)
    out = init()
    assert "uptime: all well" in out and "new key in" in out
    assert key_file.with_suffix(".user").read_text() == "prometheus"
    assert [oct(path.stat().st_mode & 0o777) for path in (key_file, key_file.with_suffix(".user"), key_file.parent, key_file.parent.parent)] == ["0o444", "0o444", "0o755", "0o700"]
    count = len([m for m in json.loads((UPTIME / "desired.json").read_text())["monitors"] if m["group"] != "routes"])
    assert f"{count} monitors" in out
    again = init()
    assert "; 0 changes" in again and "works" in again
    assert "all well" in init("--check")
    key_file.unlink()
    key_file.write_text("uk1_not-the-key")
    assert "does not open" in init("--check", code=1)
    assert "new key in" in init()
    assert "usage:" in init("--chekc", code=2)
    assert "nobody answers" in init(code=1, KUMA_URL="http://127.0.0.1:9", WAIT="1")


# --- The generator -----------------------------------------------------------------------------------------------------------

def generate(*args, code=0) -> str:
    done = subprocess.run([sys.executable, str(UPTIME / "generate.py"), *map(str, args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_committed_files_are_current():
    generate("--check")


def test_a_stale_file_is_noticed(tmp_path):
    shutil.copy(UPTIME / "desired.json", tmp_path)
    assert "blackbox-targets.yml not current" in generate("--check", "--out", tmp_path, code=1)


def test_every_component_is_watched_or_has_a_reason():
    listed = {line.split()[0]: line for line in generate("--list").splitlines()}
    names = [c["name"] for f in (ROOT / "compose/catalogue/systems").glob("*.yaml") for c in yaml.safe_load(f.read_text())["components"]]
    assert [n for n in names if n not in listed] == []
    assert all(len(line.split("not watched: ")[1]) > 5 for line in listed.values() if "not watched" in line)


def test_both_opinions_ask_the_same(tmp_path):
    desired = json.loads((UPTIME / "desired.json").read_text())
    blackbox = yaml.safe_load((UPTIME / "blackbox-targets.yml").read_text())
    asked = {m.get("url") or f"{m['host']}:{m['port']}" for m in desired["monitors"] if m["group"] != "routes"}
    targets = {t["targets"][0]: t["labels"] for t in blackbox}
    assert set(targets) - asked == {"http://omni-uptime-kuma:3001/api/entry-page"} and asked <= set(targets)
    for target, labels in targets.items():
        assert set(labels) == {"module", "component", "tier", "critical", "system"}
        assert labels["module"] == "tcp_connect" if "//" not in target else labels["module"] in ("http_2xx", "http_reachable")
    for m in desired["monitors"]:
        assert m["interval"] >= 20 and m["timeout"] < m["interval"]
    groups = {g["key"] for g in desired["groups"]}
    assert {m["group"] for m in desired["monitors"]} == groups
    keys = [m["key"] for m in desired["monitors"]]
    assert len(keys) == len(set(keys))
    assert {k for p in desired["pages"] for s in p["sections"] for k in s["monitors"]} <= set(keys)


def test_routes_are_those_of_the_proxy():
    offered = {(r["component"], r["host"]) for r in yaml.safe_load((ROOT / "compose/proxy/routes.yaml").read_text())["routes"]}
    for route in yaml.safe_load((UPTIME / "config/uptime.yaml").read_text())["routes"]:
        host = re.match(r"https://([a-z-]+)\.\$\{OMNI_DOMAIN\}/", route["url"]).group(1)
        assert (route["component"], host) in offered, f"{route['name']}: compose/proxy/routes.yaml offers no {host} for {route['component']}"


@pytest.mark.parametrize("change, complaint", [
    (lambda c: c["overrides"].update(giteaa={}), "overrides.giteaa is no component"),
    (lambda c: c["overrides"]["caddy"].update(pot=1), "overrides.caddy.pot is unknown"),
    (lambda c: c["overrides"]["seaweedfs"].update(accept=["2xx"]), "'2xx' is no status or range"),
    (lambda c: c["tiers"]["critical"].update(interval=10), "refuses intervals under 20 s"),
    (lambda c: c["tiers"]["high"].update(timeout=90), "checks would overlap"),
    (lambda c: c["tiers"].pop("medium"), "tiers must be"),
    (lambda c: c["pages"][0].update(slug="Public"), "a slug is omni-"),
    (lambda c: c["pages"][2].update(routes=["Mail"]), "no route is called Mail"),
    (lambda c: c["routes"][0].update(tier="gold"), "gold is no tier"),
    (lambda c: c.pop("leave"), "leave is missing"),
])
def test_wrong_settings_are_named(tmp_path, change, complaint):
    settings = yaml.safe_load((UPTIME / "config/uptime.yaml").read_text())
    change(settings)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    assert complaint in generate("--config", tmp_path / "c.yaml", "--out", tmp_path, code=1)


def test_components_of_ones_own(tmp_path):
    own = {"system": 100, "name": "Ours", "components": [{"name": "shop", "tier": "high", "critical": False, "health": {"kind": "http", "port": 8080, "path": "/up"}}]}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/100-ours.yaml").write_text(yaml.safe_dump(own))
    generate("--catalogue", tmp_path / "mine", "--out", tmp_path)
    shop = next(m for m in json.loads((tmp_path / "desired.json").read_text())["monitors"] if m["name"] == "shop")
    assert shop["url"] == "http://omni-shop:8080/up" and shop["group"] == "system:100"
    own["components"][0]["name"] = "gitea"
    (tmp_path / "mine/100-ours.yaml").write_text(yaml.safe_dump(own))
    assert "component gitea is already in" in generate("--catalogue", tmp_path / "mine", "--out", tmp_path, code=1)


def test_env_example_and_compose_agree_with_the_scripts():
    documented = set(re.findall(r"^(\w+)=", (UPTIME / ".env.example").read_text(), re.M))
    names = set(re.search(r'names="([^"]+)"', (UPTIME / "scripts/init.sh").read_text()).group(1).split())
    assert names - {"UPTIME_ALLOW_UNKNOWN_VERSION"} <= documented
    assert set(re.findall(r"\$\{(\w+)", (UPTIME / "docker-compose.yml").read_text())) <= documented
    mounts = {v.split(":")[1] for v in COMPOSE["services"]["uptime-kuma"]["volumes"]}
    assert {"/app/data", "/omni/provision", "/omni/desired.json"} == mounts


def test_verified_list_is_complete():
    rows = yaml.safe_load((UPTIME / "verified.yaml").read_text())
    for row in rows:
        assert set(row) == {"what", "how", "test"} and row["how"] in ("real", "documentation")
        if row["test"]:
            file, _, name = row["test"].partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(), row
