"""The alerts: rules and their cases by promtool, metric names by their lists, log rules by a small LogQL, Alertmanager
by amtool and by running it, runbooks by reading them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from fakes import alert_receivers, logql

REPO = Path(__file__).resolve().parents[2]
ALERTS = REPO / "alerts"
RULES = sorted((ALERTS / "prometheus").glob("*.yml"))
CASES = sorted((ALERTS / "prometheus" / "tests").glob("*.test.yml"))
LOKI = sorted((ALERTS / "loki").glob("*.yml"))
ALERTMANAGER = ALERTS / "alertmanager"
RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
SEVERITIES = {"critical", "warning", "info", "none"}
TIERS = {"critical", "high", "medium", "standard"}
# It fires always, on purpose: silence is what it is there to be noticed by.
ALWAYS = {"Watchdog"}


def rules_of(files: list[Path]) -> list[dict]:
    return [
        {**rule, "file": path.name, "group": group["name"]}
        for path in files
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


PROMETHEUS_RULES = rules_of(RULES)
LOKI_RULES = rules_of(LOKI)
ALERTING = [rule for rule in PROMETHEUS_RULES if "alert" in rule]


def catalogue() -> dict[str, dict]:
    found = {}
    for path in sorted((REPO / "compose" / "catalogue" / "systems").glob("*.yaml")):
        system = yaml.safe_load(path.read_text())
        for component in system["components"]:
            found[component["name"]] = {**component, "system": str(system["system"])}
    return found


COMPONENTS = catalogue()
# Labels that stand for something other than a component of the catalogue.
NOT_COMPONENTS = {"host": ("critical", "37"), "gpu": ("high", "11")}


# ----- rules ----------------------------------------------------------------------------------------------------------


def test_promtool_accepts_every_rule(run, binary):
    run([binary("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *RULES])


@pytest.fixture(scope="module")
def verdicts(binary) -> dict[str, tuple[int, str]]:
    """promtool's answer to each file of cases; two at a time, because each takes some seconds."""
    promtool = binary("promtool")

    def judge(path: Path) -> tuple[int, str]:
        done = subprocess.run([promtool, "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True, timeout=240)
        return done.returncode, done.stdout + done.stderr

    with ThreadPoolExecutor(2) as pool:
        return dict(zip([path.name for path in CASES], pool.map(judge, CASES)))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".test.yml"))
def test_cases_hold(path: Path, verdicts):
    code, said = verdicts[path.name]
    assert code == 0, said


def cases() -> list[tuple[str, dict, dict]]:
    return [
        (path.name, case, test)
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for test in case["alert_rule_test"]
    ]


def test_every_rule_has_a_case_that_fires_and_one_that_is_silent():
    fires = {test["alertname"] for _, _, test in cases() if test["exp_alerts"]}
    silent = {test["alertname"] for _, _, test in cases() if not test["exp_alerts"]}
    names = {rule["alert"] for rule in ALERTING}
    assert not names - fires, f"no case makes these fire: {sorted(names - fires)}"
    assert not names - silent - ALWAYS, f"no case keeps these silent: {sorted(names - silent - ALWAYS)}"
    assert not (fires | silent) - names, f"cases of rules that do not exist: {sorted((fires | silent) - names)}"


def test_a_silent_case_has_something_to_be_silent_about():
    """Without a series that the rule looks at, every rule is silent, a broken one too."""
    by_name = {rule["alert"]: rule for rule in ALERTING}
    recorded: dict[str, set[str]] = {}
    for rule in PROMETHEUS_RULES:
        if "record" in rule:
            recorded.setdefault(rule["record"], set()).update(metrics_in(rule["expr"]))
    for name, case, test in cases():
        if test["exp_alerts"]:
            continue
        wanted = metrics_in(by_name[test["alertname"]]["expr"])
        # Twice, because what is recorded may stand on what is recorded.
        for _ in range(2):
            wanted |= set().union(*(recorded.get(metric, set()) for metric in wanted))
        given = {re.match(r"[A-Za-z_:][\w:]*", series["series"])[0] for series in case["input_series"]}
        assert wanted & given, f"{name}: {case['name']}: none of {sorted(wanted)} is given"


def test_what_people_read_is_whole():
    for name, case, test in cases():
        for alert in test["exp_alerts"]:
            for text in alert["exp_annotations"].values():
                assert text and "<no value>" not in text and "%!" not in text, f"{name}: {case['name']}: {text!r}"
                assert not re.search(r"  | \.|\(\)| ,", text), f"{name}: {case['name']}: a label is empty in {text!r}"


def test_recording_comes_first_in_cases():
    """Groups run in no certain order under promtool, so a case would fail now and then."""
    recording = {rule["group"] for rule in PROMETHEUS_RULES if "record" in rule}
    for path in CASES:
        document = yaml.safe_load(path.read_text())
        groups = []
        for name in document["rule_files"]:
            file = (path.parent / name).resolve()
            groups += [group["name"] for group in yaml.safe_load(file.read_text())["groups"]]
        if recording & set(groups):
            order = document.get("group_eval_order", [])
            assert sorted(order) == sorted(groups), f"{path.name}: group_eval_order has to name {groups}"
            last = max(order.index(group) for group in groups if group in recording)
            assert last < min(order.index(group) for group in groups if group not in recording), path.name


def anchors() -> set[str]:
    return {
        f"alerts/runbooks/{page.name}#{re.sub(r'[^a-z0-9 -]', '', head.lower()).replace(' ', '-')}"
        for page in RUNBOOKS
        for head in re.findall(r"^## (.+)$", page.read_text(), re.M)
    }


@pytest.mark.parametrize("rule", ALERTING + LOKI_RULES, ids=lambda rule: rule["alert"])
def test_rule_says_what_it_has_to_say(rule: dict):
    labels, annotations = rule.get("labels", {}), rule["annotations"]
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", rule["alert"])
    assert set(annotations) == {"summary", "description", "runbook"}
    assert annotations["runbook"] in anchors(), f"{annotations['runbook']} does not exist"
    assert annotations["runbook"].endswith("#" + rule["alert"].lower())
    assert not annotations["summary"].endswith("."), "a summary is a headline"
    assert annotations["description"].endswith((".", "!"))
    assert "severity" in labels
    if "{{" not in labels["severity"]:
        assert labels["severity"] in SEVERITIES
    component = labels.get("component", "")
    if component and "{{" not in component:
        tier, system = NOT_COMPONENTS.get(component) or (COMPONENTS[component]["tier"], COMPONENTS[component]["system"])
        assert labels.get("tier", tier) == tier, f"the catalogue has {component} in tier {tier}"
        assert labels["system"] == system, f"the catalogue has {component} in system {system}"


def test_names_are_unique():
    names = [rule["alert"] for rule in ALERTING + LOKI_RULES]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def test_most_descriptions_have_a_number():
    """People decide by numbers. Alerts on a state that is 0 or 1 have none; they say since when or what follows."""
    without = [r["alert"] for r in ALERTING + LOKI_RULES if not re.search(r"\$value|\d", r["annotations"]["description"])]
    states = [r for r in ALERTING + LOKI_RULES if re.search(r"== [012]\b|!= 1", r["expr"])]
    without = set(without) - {r["alert"] for r in states} - ALWAYS
    assert not without, sorted(without)


def test_severity_follows_the_tier():
    policy = yaml.safe_load((ALERTS / "severity.yaml").read_text())
    exceptions = dict(policy["exceptions"])
    fired = [
        (test["alertname"], alert["exp_labels"]) for _, _, test in cases() for alert in test["exp_alerts"]
    ] + [(r["alert"], r["labels"]) for r in LOKI_RULES if "tier" in r["labels"]]
    used = set()
    for name, labels in fired:
        if name in ALWAYS:
            continue
        assert {"severity", "component", "tier", "system"} <= set(labels) or labels.get("component") is None, f"{name}: {labels}"
        severity, tier = labels["severity"], labels["tier"]
        assert severity in SEVERITIES and tier in TIERS, f"{name}: {labels}"
        allowed = set(policy["tiers"][tier].values()) | {"info"}
        if tier in ("medium", "standard"):
            allowed.add("warning")
        if severity not in allowed:
            assert name in exceptions, f"{name}: {severity} for tier {tier}; mend it or give the reason in severity.yaml"
            used.add(name)
    assert used == set(exceptions), f"needless exceptions: {sorted(set(exceptions) - used)}"


def test_every_alert_carries_the_labels_it_is_routed_by():
    for name, case, test in cases():
        for alert in test["exp_alerts"]:
            missing = {"severity", "tier", "system"} - set(alert["exp_labels"])
            assert not missing or test["alertname"] in {"ThanosBucketFailing"}, f"{case['name']}: lacks {missing}"


# ----- metric names ---------------------------------------------------------------------------------------------------

WORDS = {
    "by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool", "inf", "nan",
    "sum", "avg", "min", "max", "count", "topk", "bottomk", "quantile", "stddev", "group", "start", "end", "atan2",
}
TYPES = {"gauge", "counter", "histogram", "summary", "untyped", "unknown"}


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics that a PromQL expression selects."""
    text = re.sub(r"#.*", "", expression)
    text = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', '""', text)
    text = re.sub(r"\{[^}]*\}", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    found = set()
    for match in re.finditer(r"(?<![\w:.])([A-Za-z_:][\w:]*)(\s*\()?", text):
        if match[2] or match[1].lower() in WORDS or re.fullmatch(r"[smhdwy]", match[1]):
            continue
        found.add(match[1])
    return found


def known_metrics() -> dict[str, str]:
    """Every name that a list gives, with its type; histograms and summaries with the series that they stand for."""
    found: dict[str, str] = {}
    for path in sorted((ALERTS / "metrics").glob("*.txt")):
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, kind = line.partition(" ")
            found[name] = kind
            if kind in ("histogram", "summary"):
                for suffix in ("_sum", "_count", "_bucket")[: 3 if kind == "histogram" else 2]:
                    found[name + suffix] = kind
    return found


def test_metrics_are_found_in_expressions():
    assert metrics_in('sum by (a) (rate(x_total{b="c_d", e=~"f|g"}[5m] offset 1d)) / on (h) group_left (i) y:z > 3') == {"x_total", "y:z"}
    assert metrics_in("histogram_quantile(0.9, sum by (le) (rate(vllm:ttft_bucket[10m]))) > 1e3 and time() - up > 5") == {"vllm:ttft_bucket", "up"}
    assert metrics_in('label_replace(m_1, "a", "$1", "b", "(.+)") unless on () vector(1) or absent(q)') == {"m_1", "q"}


def test_rules_name_only_metrics_whose_source_is_known():
    known = set(known_metrics()) | {rule["record"] for rule in PROMETHEUS_RULES if "record" in rule}
    for rule in PROMETHEUS_RULES:
        unknown = metrics_in(rule["expr"]) - known
        name = rule.get("alert") or rule["record"]
        assert not unknown, f"{rule['file']}: {name} uses {sorted(unknown)}; put it into alerts/metrics/JOB.txt with its source"


@pytest.mark.parametrize("path", sorted((ALERTS / "metrics").glob("*.txt")), ids=lambda path: path.stem)
def test_metric_list_is_well_formed(path: Path):
    lines = path.read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert any("Source: " in line for line in head), f"{path.name} does not say where its names come from"
    assert lines[: len(head)] == head, f"{path.name}: the lines with # belong to the top"
    names = []
    for line in lines[len(head):]:
        name, _, kind = line.partition(" ")
        assert re.fullmatch(r"[A-Za-z_:][\w:]*", name), f"{path.name}: {line!r}"
        assert kind in TYPES | {""}, f"{path.name}: {line!r}: type is one of {sorted(TYPES)}"
        names.append(name)
    assert len(names) == len(set(names)), f"{path.name}: twice: {sorted({n for n in names if names.count(n) > 1})}"


def test_omni_list_is_what_docs_say():
    text = (REPO / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(omni_\w+)`", text, re.M))
    listed = {line.split()[0] for line in (ALERTS / "metrics" / "omni.txt").read_text().splitlines() if not line.startswith("#")}
    assert documented <= listed, sorted(documented - listed)
    # What is not documented yet comes with the backup engine.
    assert all(name.startswith(("omni_backup_", "omni_drill_")) for name in listed - documented), sorted(listed - documented)


# ----- the catalogue --------------------------------------------------------------------------------------------------


def test_what_is_made_from_the_catalogue_is_current(run):
    run([os.sys.executable, ALERTS / "catalogue.py", "--check"])


def test_no_component_is_left_unwatched():
    """Whatever the catalogue knows: a service is watched as a container, a job through what it works for."""
    info = {r["labels"]["component"]: r["labels"] for r in PROMETHEUS_RULES if r.get("record") == "omni:component:info"}
    assert set(info) == set(COMPONENTS)
    for name, component in COMPONENTS.items():
        labels = info[name]
        assert labels["tier"] == component["tier"] and labels["system"] == component["system"]
        assert labels["metrics"] == component["metrics"]["kind"]
        assert labels["runs"] == ("job" if component["placement"]["instances"] == "job" else "service")
    rows = re.findall(r"^\| \d+ \| ([\w-]+) \| \w+ \| (.+?) \| .+ \|$", (ALERTS / "README.md").read_text(), re.M)
    assert {name for name, _ in rows} == set(COMPONENTS)
    assert all(ways.strip() for _, ways in rows)


SHARED_LIST = {
    "vault": "openbao", "valkey": "redis-exporter", "authentik-worker": "authentik-server", "n8n-worker": "n8n",
    "minio-fork": "minio", "watchtower-fork": "watchtower", "postal-smtp": "postal-worker", "thanos-sidecar": "thanos",
    "thanos-query": "thanos", "thanos-store": "thanos", "thanos-compact": "thanos",
}


def test_every_component_with_metrics_has_a_list():
    for name, component in COMPONENTS.items():
        metrics = component["metrics"]
        if metrics["kind"] == "none":
            continue
        wanted = metrics.get("exporter") or SHARED_LIST.get(name, name)
        assert (ALERTS / "metrics" / f"{wanted}.txt").is_file(), f"{name}: alerts/metrics/{wanted}.txt is missing"


# ----- log rules ------------------------------------------------------------------------------------------------------

RULE_KEYS = {"alert", "expr", "for", "labels", "annotations"}


@pytest.mark.parametrize("rule", LOKI_RULES, ids=lambda rule: rule["alert"])
def test_log_rule_is_logql(rule: dict):
    assert set(rule) - {"file", "group"} <= RULE_KEYS, f"keys that no rule has: {set(rule) - RULE_KEYS}"
    tree = logql.parse(rule["expr"])
    grouped = set()
    node = tree
    while not isinstance(node, logql.Aggregate):
        node = node.left
    grouped = set(node.by)
    assert grouped, "an alert without labels says nobody's name"
    texts = " ".join([*rule["annotations"].values(), *map(str, rule["labels"].values())])
    for name in re.findall(r"\$labels\.(\w+)", texts):
        assert name in grouped | set(rule["labels"]), f"$labels.{name} is lost by the aggregation"
    assert {"severity", "system"} <= set(rule["labels"])
    assert {"component", "tier"} <= grouped | set(rule["labels"])


def test_log_rules_are_in_files_that_loki_can_read():
    """Loki takes every file of the folder for rules, so nothing else may lie there."""
    others = [path.name for path in (ALERTS / "loki").iterdir() if path.is_file() and path not in LOKI]
    assert not others, others
    for path in LOKI:
        document = yaml.safe_load(path.read_text())
        assert set(document) == {"groups"}
        for group in document["groups"]:
            assert set(group) <= {"name", "interval", "rules", "limit"}, f"{path.name}: {set(group)}"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ('sum by (component) (count_over_time({component="x"} |= "a" [5m])) >', "ends too early"),
        ('sum by (component) (count_over_time({pod="x"}[5m])) > 0', "cannot be selected by"),
        ('sum by (pod) (count_over_time({component="x"}[5m])) > 0', "cannot be grouped by"),
        ('sum by (component) (count_over_time({component=~".*"}[5m])) > 0', "refuse the empty value"),
        ('sum by (component) (count_over_time({component="x"} |~ "(a" [5m])) > 0', "RE2 refuses"),
        ('sum by (component) (count_over_time({component="x"} |~ "a(?=b)" [5m])) > 0', "RE2 refuses"),
        (r'sum by (component) (count_over_time({component="x"} |~ "\(" [5m])) > 0', "unknown escape"),
        ('sum by (component) (count_over_time({component="x"})) > 0', "is missing before"),
        ('sum by (component) (count_over_time({component="x"}[5])) > 0', "a time span is missing"),
        ('sum by (component) (count_over_time({component="x"}[5m])) > 0 )', "goes on where it should end"),
        ('sum by (component) (count_over_time({component="x"} | color="red" [5m])) > 0', "cannot be filtered by"),
        ("3 > 2", "needs a query"),
    ],
)
def test_broken_logql_is_refused(broken: str, why: str):
    with pytest.raises(logql.Refused, match=re.escape(why)):
        logql.parse(broken)


LOG_CASES = yaml.safe_load((ALERTS / "loki" / "tests" / "cases.yml").read_text())
NOW = 1_800_000_000.0


def entries(samples: list[dict]) -> list[logql.Entry]:
    made = []
    for sample in samples:
        assert set(sample) <= {"in", "meta", "count", "between", "line", "pad"}, set(sample)
        labels = {"tier": "high", "host": "web-1", "level": "info", "source": "docker", **sample["in"]}
        labels.setdefault("service", labels["component"])
        labels.setdefault("critical", str(labels["tier"] == "critical").lower())
        assert set(labels) - {"security"} <= logql.INDEX and set(sample.get("meta", {})) <= logql.METADATA
        begin, end = (logql.duration(text) for text in sample["between"])
        count = sample["count"]
        line = sample["line"] + "x" * sample.get("pad", 0)
        for i in range(count):
            ago = begin if count == 1 else begin - (begin - end) * i / (count - 1)
            made.append(logql.Entry(NOW - ago, line, labels, sample.get("meta", {})))
    return made


def test_every_log_rule_has_sample_lines():
    assert sorted(case["alert"] for case in LOG_CASES) == sorted(rule["alert"] for rule in LOKI_RULES)


@pytest.mark.parametrize("case", LOG_CASES, ids=lambda case: case["alert"])
def test_log_rule_over_sample_lines(case: dict):
    tree = logql.parse(next(rule["expr"] for rule in LOKI_RULES if rule["alert"] == case["alert"]))
    fires = tree.value(entries(case["fires"]), NOW)
    assert fires, "it stays silent over lines that should make it fire"
    silent = tree.value(entries(case["silent"]), NOW)
    assert not silent, f"it fires over lines that should leave it silent: {silent}"


def test_the_break_glass_rule_is_what_secrets_looks_for():
    text = "\n".join(path.read_text() for path in LOKI)
    assert re.search(r'\{component="openbao"\} \|= "[^"]*break-glass"', text)


# ----- Alertmanager ---------------------------------------------------------------------------------------------------


def test_amtool_accepts_the_configuration(run, binary):
    run([binary("amtool"), "check-config", ALERTMANAGER / "alertmanager.yml"])


def test_no_secret_stands_in_the_configuration():
    text = (ALERTMANAGER / "alertmanager.yml").read_text()
    for key in ("api_url:", "slack_api_url:", "credentials:", "smtp_auth_password:", "password:", "bearer_token:"):
        assert key not in text, f"{key} holds a secret; use the key that ends in _file"
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == {"mattermost_webhook_url", "omni_webhook_token", "smtp_password"}


BUILDS = [
    [],
    ["--omni-webhook", "https://c1.example:7601/hooks/alertmanager", "--omni-ca", "/run/secrets/omni-ca.pem"],
    ["--email-to", "ops@example.org", "--email-from", "omni@example.org", "--smarthost", "mail.example.org:587", "--smtp-user", "omni"],
    ["--heartbeat", "https://watch.example.org/ping?id=1&x=2"],
    ["--omni-webhook", "http://c1:7601/h", "--email-to", "a@example.org", "--email-from", "b@example.org", "--smarthost", "m:25", "--no-tls", "--heartbeat", "http://h/x"],
]


@pytest.mark.parametrize("arguments", BUILDS, ids=lambda a: "+".join(x[2:] for x in a if x.startswith("--")) or "plain")
def test_build_turns_switches_on(arguments: list[str], run, binary, tmp_path: Path):
    out = tmp_path / "am.yml"
    for _ in range(2):
        run([ALERTMANAGER / "build.sh", *arguments, "--output", out])
        text = out.read_text()
        assert not re.search(r"^#(omni|mail|smtp|beat|ca)#", text, re.M)
        assert not re.search(r"OMNI_WEBHOOK_URL|EMAIL_TO|EMAIL_FROM|SMARTHOST|SMTP_TLS|SMTP_USER|HEARTBEAT_URL|OMNI_CA_FILE", text)
    first = out.read_text()
    run([ALERTMANAGER / "build.sh", *arguments, "--output", out])
    assert out.read_text() == first
    document = yaml.safe_load(first)
    receivers = {receiver["name"]: receiver for receiver in document["receivers"]}
    assert ("omni" in receivers) == ("--omni-webhook" in arguments)
    assert ("email_configs" in receivers["mattermost-page"]) == ("--email-to" in arguments)
    assert ("webhook_configs" in receivers["heartbeat"]) == ("--heartbeat" in arguments)
    if "--heartbeat" in arguments:
        assert receivers["heartbeat"]["webhook_configs"][0]["url"] == arguments[arguments.index("--heartbeat") + 1]
    assert stat.S_IMODE(out.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--email-to", "a@b"], "mail needs"),
        (["--omni-webhook", "c1:7601"], "no http:// or https:// address"),
        (["--omni-webhook"], "needs a value"),
        (["--smarthost", "mail", "--email-to", "a@b", "--email-from", "c@b"], "HOST:PORT"),
        (["--webhook", "x"], "not known"),
        (["--heartbeat", "http://x/'y"], "quote"),
        (["--omni-ca", "/x"], "only with"),
    ],
)
def test_build_refuses_with_a_reason(arguments: list[str], said: str, run, tmp_path: Path):
    out = tmp_path / "am.yml"
    out.write_text("untouched")
    done = run([ALERTMANAGER / "build.sh", "--output", out, *arguments], code=2)
    assert said in done.stderr
    assert out.read_text() == "untouched"


ROUTES = [
    # labels, receivers of the file as it is, receivers with omni
    ("alertname=Watchdog severity=none", "heartbeat"),
    ("alertname=PostgresqlDown severity=critical tier=critical component=postgresql", "mattermost-page"),
    ("alertname=TargetDown severity=critical tier=high component=gitea", "mattermost-critical"),
    ("alertname=OmniQuorumLost severity=critical tier=standard component=omni", "mattermost-critical"),
    ("alertname=TargetDown severity=warning tier=medium component=wikijs", "mattermost-warning"),
    ("alertname=HostMemoryLow severity=warning tier=critical component=host", "mattermost-warning"),
    ("alertname=SloMissed severity=info tier=standard component=coder", "mattermost-info"),
    ("alertname=BreakGlassUsed severity=critical tier=critical component=openbao category=security", "mattermost-security,mattermost-page"),
    ("alertname=AccountChanged severity=warning tier=critical component=host category=security", "mattermost-security,mattermost-warning"),
    ("alertname=NobodyKnows", "mattermost-warning"),
]


@pytest.mark.parametrize(("labels", "receivers"), ROUTES, ids=[labels.split()[0].split("=")[1] for labels, _ in ROUTES])
def test_routes(labels: str, receivers: str, run, binary, tmp_path: Path):
    amtool = binary("amtool")
    run([amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER / 'alertmanager.yml'}", f"--verify.receivers={receivers}", *labels.split()])
    with_omni = tmp_path / "am.yml"
    run([ALERTMANAGER / "build.sh", "--omni-webhook", "http://c1/h", "--output", with_omni])
    wanted = receivers if receivers == "heartbeat" else f"omni,{receivers}"
    run([amtool, "config", "routes", "test", f"--config.file={with_omni}", f"--verify.receivers={wanted}", *labels.split()])


def test_every_severity_of_every_alert_is_routed_on_purpose():
    """The default route is for mistakes; no alert of ours may end there."""
    config = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
    matchers = [m for route in config["route"]["routes"] for m in route.get("matchers", [])]
    for severity in SEVERITIES - {"none"}:
        assert f'severity="{severity}"' in matchers
    for rule in ALERTING:
        if rule["labels"]["severity"] == "none":
            assert rule["alert"] in ALWAYS


def test_inhibition_names_alerts_that_exist():
    config = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
    names = {rule["alert"] for rule in ALERTING + LOKI_RULES}
    for rule in config["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            key, op, value = re.fullmatch(r'(\w+)(=~|!=|!~|=)"(.*)"', matcher).groups()
            if key != "alertname":
                continue
            for part in re.sub(r"R\[pt\]o", "Rto", value).split("|"):
                hit = [name for name in names if re.fullmatch(part, name)]
                assert hit, f"{part} in {matcher} is no alert"


def test_inhibition_knows_who_needs_postgresql():
    text = (ALERTMANAGER / "alertmanager.yml").read_text()
    listed = re.search(r"'alertname=~\"ProbeDown.*\n\s+- 'component=~\"([^\"]+)\"'", text)[1].split("|")
    wanted = [name for name, c in COMPONENTS.items() if "postgresql" in c.get("depends", {}).get("hard", [])]
    assert sorted(listed) == sorted(wanted), "write the catalogue's hard dependants of postgresql into alertmanager.yml"


# ----- Alertmanager, running ------------------------------------------------------------------------------------------


class Running:
    """A real Alertmanager with both receivers behind it."""

    def __init__(self, port: int, mattermost: alert_receivers.Mattermost, omni: alert_receivers.Omni, mail: alert_receivers.Mail) -> None:
        self.port, self.mattermost, self.omni, self.mail = port, mattermost, omni, mail

    def send(self, *alerts: dict) -> None:
        body = [{"annotations": {}, **alert} for alert in alerts]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"},
        )
        assert urllib.request.urlopen(request, timeout=10).status == 200

    def posts(self, channel: str) -> list[dict]:
        return [post for post in self.mattermost.taken if post["channel"] == channel]


@pytest.fixture
def alertmanager(binary, run, spawn, free_port, tmp_path: Path):
    """Alertmanager with the committed configuration; only addresses, secret files and waiting times are its own."""
    hook, token = "h00k1d", "omni-token-1"
    mattermost = alert_receivers.Mattermost(free_port(), hook)
    omni = alert_receivers.Omni(free_port(), token)
    mail = alert_receivers.Mail(free_port())
    folder = tmp_path / "alertmanager"
    shutil.copytree(ALERTMANAGER, folder)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    # Mattermost's address is the secret. A final line break, as an editor leaves it, must not do harm.
    (secrets / "mattermost_webhook_url").write_text(f"http://127.0.0.1:{mattermost.port}/hooks/{hook}\n")
    (secrets / "omni_webhook_token").write_text(f"{token}\n")
    run([
        folder / "build.sh", "--omni-webhook", f"http://127.0.0.1:{omni.port}/hooks/alertmanager", "--email-to", "ops@example.org",
        "--email-from", "omni@example.org", "--smarthost", f"127.0.0.1:{mail.port}", "--no-tls", "--output", "local.yml",
    ])
    text = (folder / "local.yml").read_text().replace("/run/secrets/", f"{secrets}/")
    text = re.sub(r"group_wait: \w+", "group_wait: 1s", text)
    text = re.sub(r"group_interval: \w+", "group_interval: 2s", text)
    # Whatever the hour is in which this runs.
    text = text.replace("mute_time_intervals: [maintenance, night]", "mute_time_intervals: [maintenance]")
    (folder / "local.yml").write_text(text)
    port = free_port()
    process = spawn(
        binary("prometheus-alertmanager"), f"--config.file={folder / 'local.yml'}", f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--web.external-url=http://am.example:9093",
    )
    process.listening(port)
    try:
        yield Running(port, mattermost, omni, mail)
    finally:
        for receiver in (mattermost, omni, mail):
            receiver.close()


def alert(name: str, severity: str = "critical", tier: str = "critical", **labels: str) -> dict:
    return {
        "labels": {"alertname": name, "severity": severity, "tier": tier, "component": "postgresql", "system": "4", **labels},
        "annotations": {"summary": f"{name} it is", "description": "97.5% of everything.", "runbook": f"alerts/runbooks/x.md#{name.lower()}"},
        "generatorURL": "http://prometheus.example/graph",
    }


def test_a_page_reaches_mattermost_and_omni(alertmanager: Running, wait_until):
    alertmanager.send(alert("PostgresqlDown", host="db-1"))
    wait_until("a post in alerts-critical", lambda: alertmanager.posts("alerts-critical"))
    wait_until("the alert at omni", lambda: alertmanager.omni.taken)
    post = alertmanager.posts("alerts-critical")[0]["attachments"][0]
    assert post["title"] == "CRITICAL: PostgresqlDown it is"
    assert post["pretext"] == "@channel"
    assert post["color"] == "#d00000"
    assert "97.5% of everything." in post["text"] and "tier critical · host db-1" in post["text"]
    assert re.search(r"\[What to do\]\(https?://[^)]+alerts/runbooks/x\.md#postgresqldown\)", post["text"])
    got = alertmanager.omni.taken[0]
    assert got["receiver"] == "omni" and got["alerts"][0]["labels"]["component"] == "postgresql"
    assert not alertmanager.mattermost.refused and not alertmanager.omni.refused


def test_each_severity_reaches_its_channel(alertmanager: Running, wait_until):
    alertmanager.send(
        alert("Watchdog", "none"), alert("HostMemoryLow", "warning", component="host", host="a"),
        alert("SloMissed", "info", "standard", component="coder"), alert("AccountChanged", "warning", category="security", component="openbao"),
    )
    for channel in ("alerts-heartbeat", "alerts", "alerts-info", "alerts-security"):
        wait_until(f"a post in {channel}", lambda channel=channel: alertmanager.posts(channel))
    assert not alertmanager.posts("alerts-critical")
    assert not alertmanager.mattermost.refused


def test_many_alerts_make_one_short_message(alertmanager: Running, wait_until):
    alertmanager.send(*[alert("ContainerStopped", component="gitea", container=f"c{i}", host=f"h{i}") for i in range(60)])
    wait_until("a post", lambda: alertmanager.posts("alerts-critical"))
    post = alertmanager.posts("alerts-critical")[0]["attachments"][0]
    assert post["text"].count("**ContainerStopped it is**") == 10
    assert "… and more: 60 in all." in post["text"]
    assert "(60 firing, 0 over)" in post["title"]
    assert len(alertmanager.posts("alerts-critical")) == 1


def test_titles_of_mixed_groups(alertmanager: Running, wait_until):
    """What a group has in common is its title; what it has not in common is in its text."""
    first, second = alert("TargetDown", component="n8n", host="a"), alert("TargetDown", component="n8n", host="b")
    second["annotations"] = {"summary": "n8n on b gives no metrics", "description": "3 minutes."}
    one, two = (alert(name, "info", "standard", component=c, system="29") for name, c in (("ProbeSlow", "cadvisor"), ("SloMissed", "redis-exporter")))
    alertmanager.send(first, second, one, {**two, "annotations": {"summary": "other", "description": "2 %."}})
    wait_until("both posts", lambda: alertmanager.posts("alerts-critical") and alertmanager.posts("alerts-info"))
    assert alertmanager.posts("alerts-critical")[0]["attachments"][0]["title"] == "CRITICAL (2 firing, 0 over): TargetDown of n8n"
    info = alertmanager.posts("alerts-info")[0]["attachments"][0]
    assert info["title"] == "INFO (2 firing, 0 over): several alerts of system 29"
    assert "**other**" in info["text"] and "**ProbeSlow it is**" in info["text"]


def test_critical_alerts_go_out_by_mail_too(alertmanager: Running, wait_until):
    alertmanager.send(alert("PostgresqlDown", host="db-1"), alert("HostMemoryLow", "warning", component="host"))
    wait_until("a mail", lambda: alertmanager.mail.taken)
    mail = alertmanager.mail.taken[0]
    assert mail["from"] == "omni@example.org" and mail["to"] == ["ops@example.org"]
    assert "PostgresqlDown it is" in mail["body"] and "97.5% of everything." in mail["body"].replace("=25", "%").replace("=\r\n", "")
    wait_until("the warning in chat", lambda: alertmanager.posts("alerts"))
    assert len(alertmanager.mail.taken) == 1 and not alertmanager.mail.refused


def test_the_end_is_told(alertmanager: Running, wait_until):
    alertmanager.send(alert("PostgresqlDown"))
    wait_until("the beginning", lambda: alertmanager.posts("alerts-critical"))
    alertmanager.send({**alert("PostgresqlDown"), "endsAt": "2020-01-01T00:00:00Z"})
    wait_until("the end", lambda: len(alertmanager.posts("alerts-critical")) > 1)
    post = alertmanager.posts("alerts-critical")[1]["attachments"][0]
    assert post["title"] == "OVER: PostgresqlDown it is"
    assert post["color"] == "#2eb886" and post.get("pretext", "") == ""
    wait_until("omni hears of it", lambda: any(body["status"] == "resolved" for body in alertmanager.omni.taken))


def inhibited(alertmanager: Running) -> dict[str, bool]:
    with urllib.request.urlopen(f"http://127.0.0.1:{alertmanager.port}/api/v2/alerts", timeout=10) as answer:
        return {
            item["labels"]["alertname"] + "/" + item["labels"].get("host", "") + "/" + item["labels"]["component"]: bool(item["status"]["inhibitedBy"])
            for item in json.load(answer)
        }


def test_one_cause_keeps_its_effects_quiet(alertmanager: Running, wait_until):
    alertmanager.send(
        alert("HostDown", component="host", host="db-1"),
        alert("TargetDown", component="gitea", tier="high", host="db-1"),
        alert("TargetDown", component="gitea", tier="high", host="web-2"),
        alert("PostgresqlDown", component="postgresql", host="web-3"),
        alert("PostgresqlConnectionsHigh", "warning", component="postgresql", host="web-3"),
        alert("BackupOverdue", "warning", component="postgresql", host="web-3"),
        alert("ProbeDown", component="n8n", tier="high", host="web-4"),
        alert("ProbeDown", component="ollama", tier="high", host="web-4"),
    )
    wait_until("HostDown is told", lambda: alertmanager.posts("alerts-critical"))
    wait_until("all alerts are known", lambda: len(inhibited(alertmanager)) == 8)
    quiet = inhibited(alertmanager)
    assert quiet == {
        "HostDown/db-1/host": False,
        "TargetDown/db-1/gitea": True,
        "TargetDown/web-2/gitea": False,
        "PostgresqlDown/web-3/postgresql": False,
        "PostgresqlConnectionsHigh/web-3/postgresql": True,
        # A backup is another matter.
        "BackupOverdue/web-3/postgresql": False,
        # n8n cannot live without PostgreSQL, Ollama can.
        "ProbeDown/web-4/n8n": True,
        "ProbeDown/web-4/ollama": False,
    }


def test_omni_that_is_busy_is_asked_again(alertmanager: Running, wait_until):
    alertmanager.omni.answers = [503, 503]
    alertmanager.send(alert("PostgresqlDown"))
    wait_until("it is delivered in the end", lambda: alertmanager.omni.taken)
    assert alertmanager.omni.requests >= 3


def test_prometheus_with_all_rules_reaches_mattermost(alertmanager: Running, binary, spawn, free_port, wait_until, tmp_path: Path):
    """The whole chain: the real Prometheus loads every rule, evaluates it without an error, and the heartbeat arrives."""
    config = tmp_path / "prometheus.yml"
    port = free_port()
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in RULES:
        # Every group at once, or the slow ones would keep the test waiting for minutes.
        (rules / path.name).write_text(re.sub(r"^    interval: \w+\n", "", path.read_text(), flags=re.M))
    config.write_text(yaml.safe_dump({
        "global": {"evaluation_interval": "2s", "scrape_interval": "1s"},
        "rule_files": [f"{rules}/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
        "scrape_configs": [{
            "job_name": "prometheus",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"component": "prometheus", "tier": "high", "host": "web-1"}}],
        }],
    }))
    spawn(
        binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
        # The first alert may come before Alertmanager is known; the next try would be a minute away.
        "--rules.alert.resend-delay=1s",
    ).listening(port)

    def groups() -> list[dict]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10) as answer:
            return json.load(answer)["data"]["groups"]

    loaded = [rule for group in wait_until("Prometheus is ready", groups) for rule in group["rules"]]
    assert len(loaded) == len(PROMETHEUS_RULES)
    wait_until("the heartbeat arrives", lambda: alertmanager.posts("alerts-heartbeat"), 90)
    wait_until("every group was evaluated", lambda: all(r["health"] != "unknown" for g in groups() for r in g["rules"]), 150)
    bad = [(rule["name"], rule.get("lastError")) for group in groups() for rule in group["rules"] if rule["health"] != "ok"]
    assert not bad, bad


# ----- runbooks -------------------------------------------------------------------------------------------------------

VERBS = re.compile(r"\bomni (?:-\S+ )*([a-z]+)")


def commands(text: str) -> str:
    """What stands in code, in blocks and between backticks."""
    return "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))


def omni_verbs() -> set[str]:
    source = (REPO / "cli" / "src" / "args.rs").read_text()
    body = re.search(r"enum Command \{(.*?)\n\}", source, re.S)[1]
    return {name.lower() for name in re.findall(r"^    ([A-Z]\w+)\b", body, re.M)}


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbook_can_be_followed(page: Path):
    text = page.read_text()
    heads = re.findall(r"^## (.+)$", text, re.M)
    assert heads[0] == "First three checks" and heads[-2:] == ["Verify", "Escalate"], heads
    assert "**People notice**" in text
    first = text.split("## First three checks", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"```sh\n(.*?)```", first, re.S)
    assert block and len([line for line in block[1].splitlines() if line.strip()]) >= 3, "three commands to begin with"
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        head, _, body = section.partition("\n")
        assert len(body.strip()) > (10 if head == "Escalate" else 40), f"{head} says nearly nothing"


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbook_names_what_exists(page: Path):
    text = page.read_text()
    code = commands(text)
    unknown = set(VERBS.findall(code)) - omni_verbs()
    assert not unknown, f"omni has no {sorted(unknown)}"
    for path in re.findall(r"\b((?:compose|alerts|deploy|docs)/[\w./-]+\.(?:sh|md|yml|yaml|alloy))\b", text):
        if path.startswith("compose/secrets/") and not (REPO / "compose/secrets/README.md").is_file():
            continue
        assert (REPO / path).exists(), f"{path} does not exist"
    for name, link in re.findall(r"\]\(([\w-]+\.md)?(?:#([\w-]+))?\)", text):
        target = ALERTS / "runbooks" / (name or page.name)
        assert target.is_file(), f"{name} does not exist"
        if link:
            assert f"alerts/runbooks/{target.name}#{link}" in anchors(), f"{target.name}#{link} does not exist"
    for component in re.findall(r"omni (?:logs|exec) ([a-z][a-z0-9-]+)", code):
        assert component in COMPONENTS or component == "clickhouse", f"{component} is not in the catalogue"


def test_every_runbook_section_belongs_to_an_alert():
    wanted = {rule["annotations"]["runbook"] for rule in ALERTING + LOKI_RULES}
    common = {"first-three-checks", "verify", "escalate", "if-it-is-a-break-in"}
    extra = {anchor for anchor in anchors() - wanted if anchor.split("#")[1] not in common}
    assert not extra, sorted(extra)


# ----- this folder ----------------------------------------------------------------------------------------------------


def test_record_keeps_what_is_there(run, tmp_path: Path):
    """record.py over files that are right changes nothing; it fills in a case that only says that something fires."""
    folder = tmp_path / "prometheus"
    shutil.copytree(ALERTS / "prometheus", folder)
    path = folder / "tests" / "gpu.test.yml"
    before = path.read_text()
    run([os.sys.executable, folder / "tests" / "record.py", path])
    assert path.read_text() == before
    spec = importlib.util.spec_from_file_location("record", folder / "tests" / "record.py")
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    document = yaml.safe_load(before)
    document["tests"][0]["alert_rule_test"][0]["exp_alerts"] = [{}]
    head = "".join(line for line in before.splitlines(True) if line.startswith("#"))
    path.write_text(record.render(head, document))
    assert path.read_text() != before
    run([os.sys.executable, folder / "tests" / "record.py", path])
    assert path.read_text() == before


def test_verified_names_tests_that_exist():
    names = set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.M))
    for item in yaml.safe_load((ALERTS / "verified.yaml").read_text()):
        assert set(item) == {"what", "how", "test"} and item["how"] in ("real", "documentation"), item
        if item["test"]:
            file, _, test = item["test"].partition("::")
            if file.endswith(".rs"):
                assert f"fn {test}(" in (ALERTS.parent / file).read_text(), item["test"]
            else:
                assert file == "tests/platform/test_alerts.py" and test in names, item["test"]
        else:
            assert item["how"] == "documentation", f"what was tried for real has a test: {item['what']}"
