"""compose/logs: what can be shown without Loki and Alloy, which do not run on a test machine.

The Alloy configuration is read by fakes/alloy.py, which is strict about names and references and runs the pipelines on
RE2; loki.yaml is compared with the keys of Loki's configuration reference; scripts/init.sh runs against fakes/loki.py.
The Docker filter runs in the real Caddy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
import re2
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from fakes.alloy import GO, AlloyError, Config, Entry, Ref, parse_selector, render  # noqa: E402
from fakes.loki import AlloyPush, FakeLoki  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "compose" / "logs"
ALLOY = (LOGS / "config/alloy/config.alloy").read_text()
COMPOSE = yaml.safe_load((LOGS / "docker-compose.yml").read_text())
SAMPLES = yaml.safe_load((LOGS / "samples.yaml").read_text())
SOURCES = {
    "docker": "loki.source.docker.containers",
    "journal": "loki.source.journal.host",
    "file": "loki.source.file.host",
    "push": "loki.source.api.push",
}
LABELS = {"component", "tier", "critical", "host", "service", "level", "source", "security"}
LEVELS = {"trace", "debug", "info", "warn", "error", "critical", "unknown"}


@pytest.fixture(scope="module")
def config() -> Config:
    return Config(ALLOY, {"OMNI_HOST": "web-1"})


def run_sample(config: Config, sample: dict) -> list[Entry]:
    source, name = sample.get("source", "docker"), sample["component"]
    labels = {}
    if source == "docker":
        meta = {
            "__meta_docker_container_name": f"/omni-{name}",
            "__meta_docker_container_label_omni_quantum_component": name,
            "__meta_docker_container_label_omni_quantum_tier": "high",
        }
        labels = config.relabel("discovery.relabel.containers", meta)
        labels["__meta_docker_container_log_stream"] = "stderr"
    elif source == "journal":
        labels = dict(sample["journal"])
    elif source == "file":
        labels = {"component": name, "service": name, "filename": "/var/log/host/x.log"}
    written = time.time() - 3600 * sample["hours_old"] if "hours_old" in sample else 0.0
    return config.from_source(SOURCES[source], [Entry(line, dict(labels), written) for line in sample["lines"]])


# --- The pipeline -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{i}-{s['component']}" for i, s in enumerate(SAMPLES)])
def test_line_becomes_what_the_sample_says(config, sample):
    entries = run_sample(config, sample)
    text = "\n".join(e.line for e in entries)
    assert len(entries) == sample.get("count", 1), text
    for secret in sample.get("gone", []):
        assert secret not in text
        assert not any(secret in v for e in entries for v in [*e.meta.values(), *e.labels.values()])
    for part in sample.get("kept", []):
        assert part in text
    for entry in entries:
        assert set(entry.labels) <= LABELS
        assert entry.labels["level"] in LEVELS
        assert {"component", "tier", "critical", "host", "service", "level", "source"} <= set(entry.labels), entry.labels
    if entries:
        first = entries[0]
        assert first.labels["level"] == sample["level"]
        assert first.labels["component"] == sample["component"]
        assert first.labels["source"] == sample.get("source", "docker")
        for key in ("trace_id", "request_id", "security_event"):
            assert first.meta.get(key) == sample.get(key), key
        assert first.labels.get("security") == ("true" if "security_event" in sample else None)
        if sample.get("source") == "file":
            assert first.meta["filename"] == "/var/log/host/x.log"
        if "at" in sample:
            assert first.time == pytest.approx(sample["at"], abs=1e-4)


def test_every_log_format_of_the_catalogue_has_a_sample():
    """Per component where it has a format of its own; a family speaks for its members."""
    families = [
        r"thanos-.*", r"(postgres|pgbouncer|mysqld|blackbox|node|redis)-exporter", r"postal-.*", r"plane-.*", r"superset.*", r"n8n.*",
        r"flowise.*", r"twenty-.*", r"coolify(-realtime)?", r"watchtower.*", r"minio.*", r"authentik-.*", r"langfuse-(web|worker)", r"woodpecker-.*", r"omni(-agent|-controller)?",
    ]
    have = {s["component"] for s in SAMPLES}
    plain = {  # Free text without a level of its own, or another program's output: the general rules apply.
        "restic", "listmonk", "dozzle", "docker-gc", "promptfoo", "swe-agent", "seaweedfs", "omi-command-center", "wikijs", "calcom", "twenty-server",
        "twenty-worker", "crater", "invoiceshelf", "financial-fortress", "dcgm-exporter", "clickhouse-backup", "sops", "age", "gitea-runner", "omni-ids",
        "nango-worker", "promtail", "docker-read", "coolify-realtime", "watchtower", "watchtower-fork",
    }
    missing = []
    for file in sorted((ROOT / "compose/catalogue/systems").glob("*.yaml")):
        for component in yaml.safe_load(file.read_text())["components"]:
            name = component["name"]
            if "logs" not in component or name in have | plain:
                continue
            if not any(re.fullmatch(f, name) and any(re.fullmatch(f, h) for h in have) for f in families):
                missing.append(name)
    assert not missing, f"compose/logs/samples.yaml has no line of {missing}: add what they write, or name them as free text in this test"


def test_configuration_is_whole(config):
    for line, expression in config.regexes():
        try:
            re2.compile(expression, GO)
        except re2.error as error:
            pytest.fail(f"config.alloy line {line}: {expression} is not RE2: {error}")
    for source in SOURCES.values():
        for path in config.paths(source):
            assert path[-1] == "loki.write.loki"
            assert path[-2] == "loki.process.redact", f"{source} reaches Loki without redaction: {path}"
            assert "loki.process.security" in path and "loki.process.guard" in path


def test_nothing_follows_the_list_of_labels(config):
    stages = config.components["loki.process.redact"].blocks
    assert stages[-1].name == "stage.label_keep"
    assert set(stages[-1].attrs["values"]) == LABELS


def test_hand_made_labels_do_not_reach_the_index(config):
    entry = Entry("INFO x", {"component": "job", "user_id": "4711", "url": "/a"})
    (out,) = config.from_source(SOURCES["push"], [entry])
    assert "user_id" not in out.labels and "url" not in out.labels


def test_containers_without_labels_are_seen_and_can_opt_out(config):
    plain = {"__meta_docker_container_name": "/somebodys-db", "__meta_docker_container_label_com_docker_compose_service": "db"}
    assert config.relabel("discovery.relabel.containers", plain) | {"x": ""} == plain | {
        "service": "db", "component": "db", "tier": "standard", "critical": "false", "container": "somebodys-db", "source": "docker", "x": ""}
    assert config.relabel("discovery.relabel.containers", plain | {"__meta_docker_container_label_omni_logs": "false"}) is None
    wild = config.relabel("discovery.relabel.containers", plain | {"__meta_docker_container_label_omni_quantum_tier": "gold"})
    assert wild["tier"] == "standard", "a tier that does not exist would escape every retention class"


def test_extra_redaction_of_emails_as_shown_in_env_example():
    shown = re.search(r"^#\s+LOGS_REDACT_EXTRA=(.+)$", (LOGS / ".env.example").read_text(), re.M).group(1)
    line = {"component": "my-app", "lines": ["INFO mail to alice.b+x@example.org sent"], "level": "info"}
    assert "alice.b" in run_sample(Config(ALLOY), line)[0].line
    (entry,) = run_sample(Config(ALLOY, {"LOGS_REDACT_EXTRA": shown}), line)
    assert entry.line == "INFO mail to [redacted] sent"


def test_security_events_are_not_rate_limited(config):
    (limit,) = [s for s in config.components["loki.process.guard"].blocks if s.name == "stage.match"]
    assert limit.blocks[0].name == "stage.limit"
    assert ("security", "!=", "true") in parse_selector(limit.attrs["selector"])[0]


@pytest.mark.parametrize("old, new, complaint", [
    ("forward_to = [loki.process.guard.receiver]", "forward_to = [loki.process.gard.receiver]", "refers to nothing"),
    ("loki.relabel.push.rules", "loki.relabel.push.rulez", "exports no"),
    ("stage.decolorize {}", "stage.decolourise {}", "has no stage"),
    ("by_label_name = ", "by_labels = ", "has no argument"),
    ("  max_streams = 2000", "  max_streams = 2000\n  wal {\n    enabled = true\n  }", "has no block wal"),
    ('"\\\\z(.)"', '"\\z(.)"', "unknown escape"),
    ('{component=~\\".+\\", component!~', '{component!~', "does not match the empty value"),
    ("      values = {level = \"\"}\n    }\n  }", "      values = {level = \"\"}\n    }", "expected"),
])
def test_a_broken_configuration_is_refused(old, new, complaint):
    assert old in ALLOY
    with pytest.raises(AlloyError, match=complaint):
        list(Config(ALLOY.replace(old, new, 1)).regexes())


def test_the_reader_renders_templates_like_go():
    assert render('{{ if .a }}A{{ else if .b }}{{ .b }}{{ else }}-{{ end }}', {"b": "B"}) == "B"
    assert render('{{ if .a }}A{{ else if .b }}{{ .b }}{{ else }}-{{ end }}', {"a": "x", "b": "B"}) == "A"
    assert render('{{ if .x }}{{ if eq .x "1" "2" }}y{{ else }}n{{ end }}{{ else }}none{{ end }}!', {"x": "2"}) == "y!"
    assert render("{{ .gone }}", {}) == "<no value>"


# --- Loki ---------------------------------------------------------------------------------------------------------------

# Keys from docs/sources/shared/configuration.md of grafana/loki (reference of 3.7); only the sections in use. "*" stands
# for a name of one's own; a list stands for the fields of its items.
REFERENCE = {
    "auth_enabled": None,
    "server": {k: None for k in ["http_listen_port", "grpc_listen_port", "log_level", "log_format", "http_server_read_timeout", "http_server_write_timeout", "grpc_server_max_recv_msg_size", "grpc_server_max_send_msg_size"]},
    "common": {"path_prefix": None, "replication_factor": None, "instance_addr": None, "ring": {"kvstore": {"store": None}}},
    "schema_config": {"configs": [{"from": None, "store": None, "object_store": None, "schema": None, "index": {"prefix": None, "period": None}}]},
    "storage_config": {
        "tsdb_shipper": {"active_index_directory": None, "cache_location": None, "cache_ttl": None},
        "filesystem": {"directory": None},
        "aws": {k: None for k in ["endpoint", "region", "bucketnames", "access_key_id", "secret_access_key", "s3forcepathstyle", "insecure"]},
    },
    "ingester": {
        "chunk_encoding": None, "chunk_target_size": None, "chunk_idle_period": None, "max_chunk_age": None,
        "wal": {k: None for k in ["enabled", "dir", "replay_memory_ceiling", "flush_on_shutdown", "disk_full_threshold"]},
    },
    "chunk_store_config": {"chunk_cache_config": {"embedded_cache": {"enabled": None, "max_size_mb": None, "ttl": None}}},
    "query_range": {
        "align_queries_with_step": None, "cache_results": None, "max_retries": None, "parallelise_shardable_queries": None,
        "results_cache": {"cache": {"embedded_cache": {"enabled": None, "max_size_mb": None, "ttl": None}}},
    },
    "querier": {"max_concurrent": None, "tail_max_duration": None},
    "query_scheduler": {"max_outstanding_requests_per_tenant": None},
    "compactor": {k: None for k in ["working_directory", "compaction_interval", "retention_enabled", "retention_delete_delay", "retention_delete_worker_count", "delete_request_store", "delete_request_cancel_period"]},
    "limits_config": {
        **{k: None for k in [
            "ingestion_rate_strategy", "ingestion_rate_mb", "ingestion_burst_size_mb", "per_stream_rate_limit", "per_stream_rate_limit_burst", "max_line_size",
            "max_line_size_truncate", "max_label_names_per_series", "max_label_name_length", "max_label_value_length", "max_global_streams_per_user", "reject_old_samples",
            "reject_old_samples_max_age", "creation_grace_period", "increment_duplicate_timestamp", "allow_structured_metadata", "discover_log_levels", "query_timeout",
            "max_query_length", "max_query_parallelism", "split_queries_by_interval", "max_query_series", "max_entries_limit_per_query", "max_chunks_per_query",
            "cardinality_limit", "max_streams_matchers_per_query", "max_concurrent_tail_requests", "max_querier_bytes_read", "max_cache_freshness_per_query", "volume_enabled",
            "retention_period", "deletion_mode"]},
        "shard_streams": {"enabled": None, "desired_rate": None},
        "retention_stream": [{"selector": None, "priority": None, "period": None}],
    },
    "ruler": {
        "storage": {"type": None, "local": {"directory": None}},
        **{k: None for k in ["rule_path", "enable_api", "alertmanager_url", "enable_alertmanager_v2", "external_url", "datasource_uid", "evaluation_interval", "poll_interval", "resend_delay"]},
        "ring": {"kvstore": {"store": None}}, "wal": {"dir": None},
        "remote_write": {"enabled": None, "add_org_id_header": None, "clients": {"*": {"url": None, "basic_auth": {"username": None, "password": None}}}},
    },
    "analytics": {"reporting_enabled": None},
}


def unknown_keys(have, reference, path="") -> list[str]:
    if isinstance(have, dict):
        out = []
        for key, value in have.items():
            if not isinstance(reference, dict) or not ({key, "*"} & set(reference)):
                out.append(f"{path}.{key}".lstrip("."))
            else:
                out += unknown_keys(value, reference.get(key, reference.get("*")), f"{path}.{key}")
        return out
    if isinstance(have, list) and isinstance(reference, list):
        return [k for item in have for k in unknown_keys(item, reference[0], f"{path}[]")]
    return [] if reference is None else [f"{path.lstrip('.')} should have keys below it"]


def expand(text: str, env: dict) -> str:
    """-config.expand-env: ${NAME} and ${NAME:-default}."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda m: env.get(m.group(1)) or m.group(2) or "", text)


def loki_yaml(env: dict | None = None) -> dict:
    return yaml.safe_load(expand((LOGS / "config/loki/loki.yaml").read_text(), env or {}))


def hours(period: str) -> int:
    return int(re.fullmatch(r"(\d+)h", period).group(1))


def test_loki_knows_every_key():
    assert unknown_keys(loki_yaml(), REFERENCE) == []
    assert unknown_keys({"limits_config": {"retention_perod": "1h"}, "ruler": {"storage": "local"}}, REFERENCE) == ["limits_config.retention_perod", "ruler.storage should have keys below it"]


def test_retention_classes():
    limits = loki_yaml()["limits_config"]
    streams = limits["retention_stream"]
    priorities = [s["priority"] for s in streams]
    assert len(set(priorities)) == len(priorities), "on a tie the shorter period would win"
    for stream in streams:
        matchers, filters = parse_selector(stream["selector"])
        assert not filters, "a retention selector has label matchers only"
        assert {n for n, _, _ in matchers} <= LABELS, "a label that Alloy never sets"
        assert hours(stream["period"]) >= 24

    def kept(**labels) -> int:
        def hit(selector):
            return all((re.fullmatch(v, labels.get(n, "")) is not None) == (op == "=~") if "~" in op else (labels.get(n, "") == v) == (op == "=") for n, op, v in parse_selector(selector)[0])
        best = max((s for s in streams if hit(s["selector"])), key=lambda s: s["priority"], default=None)
        return hours(best["period"] if best else limits["retention_period"])

    assert kept(tier="standard", level="info") == 168
    assert kept(level="info") == 168
    assert kept(tier="medium", level="error") == kept(tier="high", level="info") == 720
    assert kept(tier="critical", level="info") == 2160
    assert kept(tier="critical", level="debug") == 24
    assert kept(tier="standard", level="debug", security="true") == 8760
    assert hours(limits["max_query_length"]) >= 8760, "nobody could ask for the oldest security events"


@pytest.mark.parametrize("store", ["filesystem", "s3"])
def test_one_switch_moves_chunks_index_and_delete_requests(store):
    conf = loki_yaml({"LOKI_OBJECT_STORE": store, "LOKI_S3_SECRET_KEY": "k"})
    (period,) = conf["schema_config"]["configs"]
    assert (period["store"], period["schema"], period["index"]["period"]) == ("tsdb", "v13", "24h")
    assert period["object_store"] == conf["compactor"]["delete_request_store"] == store
    assert conf["storage_config"]["filesystem"]["directory"].startswith("/loki/")
    assert conf["storage_config"]["aws"]["secret_access_key"] == "k"
    assert conf["limits_config"]["allow_structured_metadata"] is True


def test_every_variable_of_the_configurations_is_passed_and_documented():
    loki = set(re.findall(r"\$\{(\w+)", (LOGS / "config/loki/loki.yaml").read_text()))
    alloy = set(re.findall(r'sys\.env\("(\w+)"\)', ALLOY))
    env = (LOGS / ".env.example").read_text()
    documented = set(re.findall(r"^(\w+)=", env, re.M))
    assert loki == set(COMPOSE["services"]["loki"]["environment"])
    assert alloy == set(COMPOSE["services"]["alloy"]["environment"])
    wanted = set(re.findall(r"\$\{(\w+)", (LOGS / "docker-compose.yml").read_text()))
    assert wanted == documented, wanted ^ documented
    for name in documented:
        rule = re.search(rf"^#: (\w+.*)\n{name}=", env, re.M)
        assert rule, f"{name} has no rule above it"


def test_rules_folder_holds_rule_files_only():
    """Loki's local rule store reads every file of the folder; one that is no rule file stops all of them."""
    folder = ROOT / "alerts/loki"
    assert folder.is_dir(), "docker-compose.yml mounts alerts/loki as the rules of Loki"
    for file in [f for f in folder.iterdir() if f.is_file()]:
        data = yaml.safe_load(file.read_text())
        assert isinstance(data, dict) and set(data) == {"groups"}, f"{file.name} is no rule file"
        for rule in (r for g in data["groups"] for r in g["rules"]):
            for selector in re.findall(r"\{[^{}]*\}", rule["expr"]):
                names = {n for n, _, _ in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*["`]([^"`]*)', selector)}
                assert names <= LABELS | {"service_name"}, f"{rule.get('alert')}: {names - LABELS} are no index labels"


def test_grafana_links():
    text = (LOGS / "config/grafana/loki-datasource.yaml").read_text()
    (source,) = yaml.safe_load(text)["datasources"]
    assert source["uid"] == "loki" and source["url"] == "http://omni-loki:3100"
    # Grafana replaces ${X} from its environment; what Grafana's links replace later is written with two dollars.
    assert set(re.findall(r"(?<!\$)\$\{(\w+)\}", text)) == {"LANGFUSE_URL", "LANGFUSE_PROJECT_ID"}
    links = source["jsonData"]["derivedFields"]
    assert all(link["url"].endswith("/traces/$${__value.raw}") for link in links)
    line = next(s for s in SAMPLES if s["component"] == "litellm")["lines"][0]
    by_text = next(link for link in links if link.get("matcherType") != "label")
    assert re2.search(by_text["matcherRegex"], line).group(1) == "0af7651916cd43dd8448eb211c80319c"
    for correlation in source["correlations"]:
        (change,) = correlation["config"]["transformations"]
        assert f"$${{{change['mapValue']}}}" in correlation["config"]["target"]["expr"]
        assert re2.search(change["expression"], line)


# --- scripts/init.sh ----------------------------------------------------------------------------------------------------

GOOD_CONFIG = 'compactor:\n  retention_enabled: true\nlimits_config:\n  retention_stream:\n  - selector: \'{security="true"}\'\n    priority: 100\n'
ONE_RULE = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: 'sum(rate({level=\"error\"}[5m])) > 1'\n"


@pytest.fixture
def stack(tmp_path, config):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yml").write_text(ONE_RULE)
    loki = FakeLoki(GOOD_CONFIG, [{"name": "A", "type": "alerting", "health": "ok"}])
    alloy = AlloyPush(config, SOURCES["push"], loki)
    yield loki, alloy, tmp_path / "rules"
    alloy.close()
    loki.close()


def init(loki, alloy, rules, *args, **env):
    return subprocess.run(
        ["bash", str(LOGS / "scripts/init.sh"), *args], capture_output=True, text=True, timeout=120,
        env={**os.environ, "LOKI_URL": loki.url, "ALLOY_URL": alloy.url if alloy else "-", "RULES_DIR": str(rules), "WAIT": "8", **env})


def test_init_passes_and_may_run_again(stack):
    loki, alloy, rules = stack
    loki.ready_after = 1
    for _ in range(2):
        done = init(loki, alloy, rules)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("logs: all well\n")
    piped = [dict(k) for k in loki.streams if dict(k).get("level") == "warn"]
    assert piped and piped[0]["component"] == "logs-init" and piped[0]["critical"] == "false"


def test_init_check_writes_nothing(stack):
    loki, alloy, rules = stack
    done = init(loki, alloy, rules, "--check")
    assert done.returncode == 0, done.stderr
    assert not loki.streams and all(method == "GET" for method, *_ in loki.requests)


def test_init_says_what_is_wrong(stack):
    loki, alloy, rules = stack

    def complains(text, *args, **env):
        done = init(loki, alloy, rules, *args, **{"WAIT": "1", **env})
        assert done.returncode == 1 and text in done.stderr, (done.stdout, done.stderr)

    complains("is not ready", LOKI_URL="http://127.0.0.1:9")
    loki.config_text = GOOD_CONFIG.replace("true", "false", 1)
    complains("retention is off")
    loki.config_text = "compactor:\n  retention_enabled: true\nlimits_config:\n  retention_period: 168h\n"
    complains("no retention class for security")
    loki.config_text = GOOD_CONFIG
    (rules / "b.yml").write_text(ONE_RULE)
    complains("has 1 of the 2 rules")
    (rules / "b.yml").unlink()
    loki.rules = [{"name": "A", "health": "err"}]
    complains("cannot evaluate: A")
    loki.rules = [{"name": "A", "health": "ok"}]
    loki.swallow = True
    complains("does not find it again")
    loki.swallow = False
    loki.answers = []
    complains("push API at http://127.0.0.1:9 is not ready", ALLOY_URL="http://127.0.0.1:9")


def test_init_notices_an_alloy_that_does_not_redact(stack):
    loki, alloy, rules = stack
    alloy.config = Config(ALLOY.replace('["\']?\\\\s*(?:=>|[:=])', "NEVER").replace("(?:password|passwd", "(?:NEVER", 9), {})
    done = init(loki, alloy, rules)
    assert done.returncode == 1 and "a password came through" in done.stderr, (done.stdout, done.stderr)


def test_init_usage(stack):
    assert init(*stack, "--chekc").returncode == 2


def post(loki, payload, **headers):
    import urllib.error
    import urllib.request
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    request = urllib.request.Request(f"{loki.url}/loki/api/v1/push", body, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_fake_refuses_what_loki_refuses():
    loki = FakeLoki()
    now = str(time.time_ns())
    good = {"streams": [{"stream": {"a": "b"}, "values": [[now, "x", {"trace_id": "1"}]]}]}
    try:
        assert post(loki, good) == 204
        for bad in (
            {"streams": [{"stream": {"a": "b"}, "values": [[int(now), "x"]]}]},
            {"streams": [{"stream": {}, "values": [[now, "x"]]}]},
            {"streams": [{"stream": {f"l{i}": "x" for i in range(16)}, "values": [[now, "x"]]}]},
            {"streams": [{"stream": {"1a": "b"}, "values": [[now, "x"]]}]},
            {"streams": [{"stream": {"a": "b"}, "values": [[now, "x" * 262145]]}]},
            {"streams": [{"stream": {"a": "b"}, "values": [["1700000000000000000", "old"]]}]},
            {"streams": [{"stream": {"a": "b"}, "values": [[now, "x", {"n": 1}]]}]},
            {"streams": [], "more": 1}, b"not json",
        ):
            assert post(loki, bad) == 400, bad
        assert post(loki, good, **{"Content-Type": "text/plain"}) == 415
        assert post(loki, good, **{"X-Scope-OrgID": "team-a"}) == 400
        loki.answers = [429, 500]
        assert (post(loki, good), post(loki, good), post(loki, good)) == (429, 500, 204)
        loki.multi_tenant = True
        assert post(loki, good) == 401 and post(loki, good, **{"X-Scope-OrgID": "team-a"}) == 204
    finally:
        loki.close()


# --- The Docker filter, in the real Caddy ---------------------------------------------------------------------------------

class FakeDocker:
    """A Docker API on a unix socket that answers everything, so that whatever is refused was refused by the filter."""

    def __init__(self, path: Path):
        self.seen = []
        self.release = threading.Event()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(4096)
                if not part:
                    return
                head += part
            request = head.split(b"\r\n")[0].decode()
            self.seen.append(request)
            if "/logs" in request:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nline 1\r\n")
                # The stream stays open, as `docker logs -f` does.
                self.release.wait(20)
                connection.sendall(b"0\r\n\r\n")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")

    def close(self):
        self.release.set()
        self.socket.close()


@pytest.fixture
def docker_read(tmp_path):
    caddy = shutil.which("caddy")
    if not caddy:
        pytest.fail("caddy is missing: deploy/packages.sh test installs it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    docker = FakeDocker(tmp_path / "d.sock")
    text = (LOGS / "config/docker-read/Caddyfile").read_text()
    assert ":2375 {" in text
    (tmp_path / "Caddyfile").write_text(text.replace(":2375 {", f"http://127.0.0.1:{port} {{"))
    env = {**os.environ, "DOCKER_READ_UPSTREAM": f"unix/{tmp_path}/d.sock", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    process = subprocess.Popen([caddy, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read().decode()
                assert time.monotonic() < deadline, "caddy does not listen"
        yield port, docker
    finally:
        process.terminate()
        process.wait(20)
        docker.close()


def ask(port, method, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    return connection.getresponse()


def test_docker_filter_reads_and_nothing_else(docker_read):
    port, docker = docker_read
    for path in ("/_ping", "/v1.41/version", "/v1.44/containers/json?all=1", "/containers/json", "/v1.41/containers/4f1d/json", "/v1.41/networks",
                 "/v1.41/containers/json?filters=%7B%22status%22%3A%5B%22running%22%5D%7D"):
        assert ask(port, "GET", path).status == 200, path
    seen = len(docker.seen)
    for method, path in [
        ("POST", "/v1.41/containers/create"), ("POST", "/v1.41/containers/4f1d/exec"), ("DELETE", "/v1.41/containers/4f1d"), ("POST", "/v1.41/containers/4f1d/logs"),
        ("GET", "/v1.41/containers/4f1d/archive?path=/etc/shadow"), ("GET", "/v1.41/containers/4f1d/export"), ("GET", "/v1.41/images/json"), ("GET", "/v1.41/secrets"),
        ("GET", "/v1.41/containers/4f1d/attach/ws"), ("PUT", "/v1.41/containers/4f1d/archive"), ("GET", "/v1.41/containers/x/../../secrets"), ("POST", "/build"),
        ("GET", "/v1.41/containers/x%2f..%2fsecrets/json"), ("GET", "/swarm"), ("GET", "/v1.41/events"),
        ("GET", "/v1.41//containers/json"), ("GET", "/v1.41/secrets/../containers/json"), ("GET", "/v1.41/containers/x/json/"),
    ]:
        assert ask(port, method, path).status == 403, (method, path)
    assert len(docker.seen) == seen, f"the filter let through {docker.seen[seen:]}"


def test_docker_filter_hands_log_lines_on_at_once(docker_read):
    port, docker = docker_read
    response = ask(port, "GET", "/v1.41/containers/4f1d/logs?follow=1&stdout=1")
    assert response.read1(6) == b"line 1"  # while the other side still holds the stream open
    docker.release.set()
    assert response.read() == b""


# --- The stack -----------------------------------------------------------------------------------------------------------

def test_only_alloy_can_reach_the_docker_filter():
    services = COMPOSE["services"]
    assert [n for n, s in services.items() if "docker-read" in s.get("networks", [])] == ["docker-read", "alloy"]
    assert services["docker-read"]["networks"] == ["docker-read"] and "ports" not in services["docker-read"]
    assert COMPOSE["networks"]["docker-read"] == {"internal": True}
    assert not any("docker.sock" in v for n, s in services.items() if n != "docker-read" for v in s.get("volumes", []))


def test_once_per_host_is_declared():
    modes = {name: service["deploy"].get("mode") for name, service in COMPOSE["services"].items()}
    assert modes == {"loki-folders": None, "loki": None, "docker-read": "global", "alloy": "global"}


def test_verified_list_is_complete():
    rows = yaml.safe_load((LOGS / "verified.yaml").read_text())
    for row in rows:
        assert set(row) == {"what", "how", "test"} and row["how"] in ("real", "documentation")
        if row["test"]:
            file, _, name = row["test"].partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(), row
