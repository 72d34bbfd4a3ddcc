"""dashboards/grafana: current, readable, and made of queries that parse and of metrics that exist.

Real: promtool parses every PromQL expression. Loki cannot run here, so LogQL is checked by a small strict reader of
our own (`read_logql`): balanced, a selector of known labels, known pipeline stages and functions.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import REPO, find_binary

GRAFANA = REPO / "dashboards" / "grafana"
ALERTS = REPO / "alerts"
FILES = sorted((GRAFANA / "json").rglob("*.json"))
PAGES: dict[str, dict[str, Any]] = {json.loads(file.read_text())["uid"]: json.loads(file.read_text()) for file in FILES}

# Written by Prometheus itself for each target, and by its alerting.
BUILT_IN = {
    "up", "ALERTS", "ALERTS_FOR_STATE", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
}
# What Grafana puts in place of its variables, as Prometheus and Loki would see it.
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "6h", "$__auto": "1m", "$host": ".*", "$component": ".*", "$tier": ".*", "$level": ".*"}
# Units of Grafana (packages/grafana-data, valueFormats/categories.ts) that are used here.
UNITS = {"none", "short", "percent", "percentunit", "bytes", "Bps", "s", "ms", "d", "ops", "reqps", "cps", "celsius", "watt", "rothz", "currencyUSD"}
# Units that say nothing by themselves; the description has to.
SAYS_LITTLE = {"none", "short"}


def panels(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def queries(kind: str) -> list[tuple[str, str]]:
    """(where, expression) of every query to Prometheus or Loki, the choices at the top of a page included."""
    found = []
    for uid, page in PAGES.items():
        for panel in panels(page):
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == kind:
                    found.append((f"{uid}: {panel['title']}", target["expr"]))
    return found


def filled(expression: str) -> str:
    for name in sorted(VARIABLES, key=len, reverse=True):
        expression = expression.replace(name, VARIABLES[name])
    return expression


# --- the generator -----------------------------------------------------------------------------------------------------


def generate(*arguments: str, cwd: Path = GRAFANA) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", str(cwd / "generate.py"), *arguments], capture_output=True, text=True, timeout=60)


def test_the_committed_files_are_current() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_a_file_that_was_edited_or_left_over_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "grafana"
    shutil.copytree(GRAFANA, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert generate("--check", cwd=copy).returncode == 0
    file = copy / "json/Platform/omni-overview.json"
    file.write_text(file.read_text().replace("Overview", "Overwiev"))
    (copy / "json/Platform/omni-old.json").write_text("{}")
    done = generate("--check", cwd=copy)
    assert done.returncode == 1
    assert "omni-overview.json" in done.stderr and "omni-old.json" in done.stderr
    assert generate(cwd=copy).returncode == 0
    assert generate("--check", cwd=copy).returncode == 0


def test_the_generator_needs_nothing_but_python() -> None:
    standard = set(sys.stdlib_module_names) | {"panels", "topics"}
    for file in GRAFANA.rglob("*.py"):
        for name in re.findall(r"^\s*(?:from|import) ([A-Za-z_]+)", file.read_text(), re.MULTILINE):
            assert name in standard, f"{file.name} imports {name}"


# --- the shape -----------------------------------------------------------------------------------------------------------


def test_uids_and_titles_are_unique() -> None:
    assert len(PAGES) == len(FILES)
    titles = [(file.parent.name, PAGES[file.stem]["title"]) for file in FILES]
    assert len(set(titles)) == len(titles)
    for uid, page in PAGES.items():
        assert re.fullmatch(r"omni-[a-z0-9-]{3,35}", uid), uid
        assert page["id"] is None and "__inputs" not in page, "such a file is only understood by an import by hand"
        assert "omni" in page["tags"] and page["description"]


@pytest.mark.parametrize("uid", sorted(PAGES))
def test_panels_can_be_read(uid: str) -> None:
    page = PAGES[uid]
    ids = [panel["id"] for panel in page["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(page):
        where = f"{uid}: {panel['title'] or panel['type']}"
        if panel["type"] == "text":
            assert len(panel["options"]["content"]) > 40, where
            continue
        assert panel["title"] and len(panel["title"]) <= 45, where
        assert panel["description"].endswith((".", "…")), f"{where}: a description ends like a sentence"
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS, f"{where}: unit {unit}"
        if unit in SAYS_LITTLE and panel["type"] not in ("logs", "table"):
            assert len(panel["description"]) >= 10 or panel["type"] == "stat", f"{where}: the unit says nothing, so the description has to"
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values), f"{where}: thresholds rise"
        assert panel["targets"] and [t["refId"] for t in panel["targets"]] == [chr(65 + n) for n in range(len(panel["targets"]))], where
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], where
            if panel["type"] not in ("table", "logs"):
                assert target["legendFormat"], f"{where}: a curve without a name"
        if panel["type"] == "table":
            _check_columns(where, panel)


def _check_columns(where: str, panel: dict[str, Any]) -> None:
    shown = panel["transformations"][0]["options"]["include"]["names"]
    renamed = panel["transformations"][1]["options"]["renameByName"]
    assert set(renamed) == set(shown) and shown[-1] == "Value", where
    for link in panel["fieldConfig"]["defaults"].get("links", []):
        for column in re.findall(r"__data\.fields\.(\w+)", link["url"]):
            assert column in renamed.values(), f"{where}: the link names the column {column}, which is not there"


@pytest.mark.parametrize("uid", sorted(PAGES))
def test_the_grid_is_calm(uid: str) -> None:
    """At most four panels side by side, none over another, no hole, each row under a title."""
    page = PAGES[uid]
    rows: dict[int, list[dict[str, Any]]] = {}
    for panel in page["panels"]:
        rows.setdefault(panel["gridPos"]["y"], []).append(panel)
    below = 0
    titled = False
    for y, row in sorted(rows.items()):
        assert y == below, f"{uid}: hole or overlap at y={y}"
        heights = {panel["gridPos"]["h"] for panel in row}
        assert len(heights) == 1, f"{uid}: panels of one row have one height"
        below = y + heights.pop()
        if row[0]["type"] == "row":
            assert len(row) == 1 and row[0]["title"]
            titled = True
            continue
        assert titled, f"{uid}: panels without a row title"
        titled = False
        assert 1 <= len(row) <= 4, f"{uid}: {len(row)} panels side by side"
        right = 0
        for panel in sorted(row, key=lambda one: one["gridPos"]["x"]):
            assert panel["gridPos"]["x"] == right, f"{uid}: {panel['title']}"
            right += panel["gridPos"]["w"]
        assert right == 24, uid
    assert not titled, f"{uid}: a title with nothing under it"


def test_datasources_are_variables_with_the_provisioned_uids() -> None:
    for uid, page in PAGES.items():
        given = {variable["name"]: variable for variable in page["templating"]["list"]}
        assert given["ds"]["type"] == "datasource" and given["ds"]["current"]["value"] == "prometheus"
        for panel in panels(page):
            if panel["type"] == "text":
                continue
            source = panel["datasource"]
            assert source in ({"type": "prometheus", "uid": "${ds}"}, {"type": "loki", "uid": "${logs}"}), f"{uid}: {panel['title']}"
            if source["type"] == "loki":
                assert given["logs"]["current"]["value"] == "loki", uid
        used = set(re.findall(r"\$\{?([a-z]\w*)", " ".join(target["expr"] for panel in panels(page) for target in panel.get("targets", []))))
        assert used <= set(given), f"{uid}: {used - set(given)} is used and not declared"
        assert set(given) - {"ds", "logs"} <= used | set(re.findall(r"\$(\w+)", " ".join(str(v.get("query")) for v in given.values()))), f"{uid}: a choice that changes nothing"


def test_links_lead_somewhere() -> None:
    for uid, page in PAGES.items():
        urls = [link["url"] for link in page["links"]]
        urls += [link["url"] for panel in panels(page) for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])]
        assert page["links"], f"{uid}: a page without a way out"
        for url in urls:
            assert url.startswith("/"), f"{uid}: {url} leaves this Grafana"
            if url.startswith("/d/"):
                target = url.removeprefix("/d/").partition("?")[0]
                assert target in PAGES, f"{uid}: no page {target}"
                for name in re.findall(r"var-(\w+)=", url):
                    assert name in {variable["name"] for variable in PAGES[target]["templating"]["list"]}, f"{uid}: {target} has no choice {name}"
            else:
                assert url == "/alerting/list", f"{uid}: {url}"
    # Each page can be reached from the first one, in two steps at most.
    near = {url["url"].removeprefix("/d/") for url in PAGES["omni-overview"]["links"]}
    reached = {"omni-overview"} | near | {link["url"].removeprefix("/d/") for uid in near for link in PAGES[uid]["links"]}
    by_tag = {uid for uid, page in PAGES.items() if "component" in page["tags"]}
    assert set(PAGES) - reached <= by_tag, "pages that nothing leads to"


def test_every_component_with_metrics_has_its_page() -> None:
    sys.path.insert(0, str(GRAFANA))
    try:
        import generate as generator  # type: ignore[import-not-found]

        covered = {name for page in generator.pages() for name in page.covers}
    finally:
        sys.path.remove(str(GRAFANA))
    with_metrics = set()
    known = set()
    for file in sorted((REPO / "compose/catalogue/systems").glob("*.yaml")):
        for component in yaml.safe_load(file.read_text()).get("components", []):
            known.add(component["name"])
            if component.get("metrics", {}).get("kind") in ("native", "exporter"):
                with_metrics.add(component["name"])
    assert covered <= known, f"not in the catalogue: {covered - known}"
    assert with_metrics <= covered, f"components with metrics and without a page: {sorted(with_metrics - covered)}"


# --- PromQL --------------------------------------------------------------------------------------------------------------


def test_every_expression_is_promql(tmp_path: Path) -> None:
    found = queries("prometheus")
    assert len(found) > 300
    rules = [{"record": f"page:expression:{number}", "expr": filled(expression), "labels": {"at": where}} for number, (where, expression) in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "pages", "rules": rules}]}))
    done = subprocess.run([str(find_binary("promtool")), "check", "rules", "--lint=none", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, "\n".join(f"{rules[int(n)]['labels']['at']}: {rules[int(n)]['expr']}" for n in set(re.findall(r"expression:(\d+)", done.stderr))) + done.stderr


def test_a_broken_expression_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": [{"record": "a", "expr": filled("sum(rate(up[$__rate_interval])")}]}]}))
    assert subprocess.run([str(find_binary("promtool")), "check", "rules", str(file)], capture_output=True, timeout=60).returncode != 0


KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan"}


def metrics_in(expression: str) -> set[str]:
    """Names of metrics in a PromQL expression: words that are no function, keyword, label or number."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', filled(expression))
    text = re.sub(r"\{[^{}]*\}", " ", text)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", " ", text)
    words = re.finditer(r"(?<![\w:.])([A-Za-z_:][\w:]*)(\s*\()?", text)
    return {word[1] for word in words if not word[2] and word[1].lower() not in KEYWORDS}


# What one line of alerts/metrics stands for, by the type it names.
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def known_metrics() -> set[str]:
    known = set(BUILT_IN)
    for file in sorted((ALERTS / "metrics").glob("*.txt")):
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                name, _, kind = line.strip().partition(" ")
                known |= {name + part for part in PARTS.get(kind, ("",))}
    for file in sorted((ALERTS / "prometheus").glob("*.yml")):
        for group in (yaml.safe_load(file.read_text()) or {}).get("groups", []):
            known |= {rule["record"] for rule in group["rules"] if "record" in rule}
    return known


def test_the_reader_of_metric_names() -> None:
    assert metrics_in('sum by (le, x) (rate(a_bucket{job="b", c=~"d{e}"}[5m])) / on (x) group_left (y) max(b:c:d offset 5m) or vector(0)') == {"a_bucket", "b:c:d"}
    assert metrics_in("time() - max(a{x!=\"up\"}) > 14 * 86400 and 1e9 < b") == {"a", "b"}


def test_every_metric_exists() -> None:
    known = known_metrics()
    unknown = {name: where for where, expression in queries("prometheus") for name in metrics_in(expression) - known}
    assert not unknown, "not in alerts/metrics and recorded by no rule:\n" + "\n".join(f"{name} ({where})" for name, where in sorted(unknown.items()))


def test_choices_ask_for_metrics_that_exist() -> None:
    known = known_metrics()
    for uid, page in PAGES.items():
        for variable in page["templating"]["list"]:
            if variable["type"] != "query" or variable["datasource"]["type"] != "prometheus":
                continue
            asked = re.fullmatch(r"label_values\(([A-Za-z_:][\w:]*)(\{.*\})?, (\w+)\)", variable["query"]["query"])
            assert asked, f"{uid}: {variable['query']}"
            assert asked[1] in known, f"{uid}: {asked[1]}"


# --- LogQL ---------------------------------------------------------------------------------------------------------------

INDEX_LABELS = {"component", "tier", "critical", "host", "service", "level", "source", "security"}
STRUCTURED = {"trace_id", "span_id", "request_id", "security_event", "container", "unit", "filename", "log_stream"}
SECURITY_EVENTS = {"auth_failure", "auth_success", "ban", "waf", "ids", "privilege", "account_change", "secrets_audit", "policy"}
LEVELS = {"trace", "debug", "info", "warn", "error", "critical", "unknown"}
FUNCTIONS = {"sum", "count", "topk", "bottomk", "max", "min", "avg", "sort", "sort_desc", "count_over_time", "rate", "bytes_rate", "bytes_over_time"}
STRING = r'"(?:[^"\\]|\\.)*"'


class NotLogQL(ValueError):
    """What is wrong, and where."""


def read_logql(expression: str) -> None:
    """Raises when an expression is not of the small part of LogQL that the pages use."""
    rest = filled(expression)
    outside = re.sub(STRING, '""', rest)
    for opening, closing in ("()", "{}", "[]"):
        if outside.count(opening) != outside.count(closing):
            raise NotLogQL(f"{opening} and {closing} do not match")
    selectors = list(re.finditer(r"\{((?:[^{}\"]|" + STRING + r")*)\}", rest))
    if len(selectors) != 1:
        raise NotLogQL("exactly one stream selector")
    _read_selector(selectors[0][1])
    before, after = rest[: selectors[0].start()], rest[selectors[0].end():]
    for name in re.findall(r"([a-z_]+)\s*\(", re.sub(r"\b(by|without)\s*\([^()]*\)", "", before)):
        if name not in FUNCTIONS:
            raise NotLogQL(f"function {name}")
    for grouped in re.findall(r"\bby\s*\(([^()]*)\)", before):
        for label in filter(None, (part.strip() for part in grouped.split(","))):
            if label not in INDEX_LABELS | STRUCTURED:
                raise NotLogQL(f"grouped by {label}")
    if re.sub(r"[a-z_]+|[0-9]+|[(),\s]", "", before):
        raise NotLogQL(f"before the selector: {before}")
    _read_pipeline(after, is_metric=bool(before.strip()))


def _read_selector(inside: str) -> None:
    matchers = re.findall(r"\s*(\w+)\s*(=~|!~|!=|=)\s*(" + STRING + r")\s*(,|$)", inside)
    if re.sub(r"\s*\w+\s*(=~|!~|!=|=)\s*" + STRING + r"\s*,?", "", inside).strip():
        raise NotLogQL(f"selector {inside}")
    not_empty = False
    for label, operator, value, _ in matchers:
        if label not in INDEX_LABELS:
            raise NotLogQL(f"{label} is not an index label; structured metadata is filtered after the selector")
        text = value[1:-1]
        if label == "level" and text != ".*" and not set(text.split("|")) <= LEVELS:
            raise NotLogQL(f"level {text}")
        if operator in ("=~", "!~"):
            re.compile(text)
        not_empty = not_empty or (operator == "=" and text != "") or (operator == "=~" and not re.fullmatch(text, ""))
    if not not_empty and not all(operator == "=~" and value == '".*"' for _, operator, value, _ in matchers):
        raise NotLogQL("Loki wants a matcher that does not fit the empty string")


def _read_pipeline(after: str, *, is_metric: bool) -> None:
    stage = re.compile(r"\s*(?:(\|=|!=|\|~|!~)\s*(" + STRING + r")|\|\s*(\w+)\s*(=~|!~|!=|=)\s*(" + STRING + r"))")
    while match := stage.match(after):
        if match[3]:
            if match[3] not in STRUCTURED:
                raise NotLogQL(f"{match[3]} is no structured metadata of ours")
            if match[3] == "security_event" and not set(match[5][1:-1].split("|")) <= SECURITY_EVENTS:
                raise NotLogQL(f"security_event {match[5]}")
        after = after[match.end():]
    if is_metric:
        window = re.match(r"\s*\[(\d+[smhd])\]", after)
        if not window:
            raise NotLogQL(f"no [range]: {after}")
        after = after[window.end():]
        if re.sub(r"[()\s]", "", after):
            raise NotLogQL(f"after the range: {after}")
    elif after.strip():
        raise NotLogQL(f"pipeline: {after}")


def test_every_log_query_is_logql() -> None:
    found = queries("loki")
    assert len(found) > 40
    for where, expression in found:
        try:
            read_logql(expression)
        except NotLogQL as wrong:
            pytest.fail(f"{where}: {wrong}\n{expression}", pytrace=False)


@pytest.mark.parametrize(
    "wrong",
    [
        'sum(count_over_time({component="x"}[5m])',
        'sum(count_over_time({component="x"}))',
        'sum(count_over_time({job="x"}[5m]))',
        'sum(count_over_time({security_event="ban"}[5m]))',
        'sum by (user) (count_over_time({component="x"}[5m]))',
        'sum(count_over_time({component="x"} | security_event="burglary" [5m]))',
        'sum(count_over_time({component="x", level=~"warning"}[5m]))',
        'histogram(count_over_time({component="x"}[5m]))',
        '{level=~"error|"}',
        '{component="x"} | json',
    ],
)
def test_the_reader_of_logql_refuses(wrong: str) -> None:
    with pytest.raises(NotLogQL):
        read_logql(wrong)


def test_choices_of_loki_are_index_labels() -> None:
    for uid, page in PAGES.items():
        for variable in page["templating"]["list"]:
            if variable["type"] == "query" and variable["datasource"]["type"] == "loki":
                asked = re.fullmatch(r"label_values\((\w+)\)", variable["query"])
                assert asked and asked[1] in INDEX_LABELS, f"{uid}: {variable['query']}"
