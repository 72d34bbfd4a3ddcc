"""The panels that a dashboard is made of, and how they are laid out. Standard library only.

    Dashboard(...)            a page: uid, title, folder, what it covers
      .row("Title", p, p, p)  at most four panels side by side; they share the width
    stat, gauge, graph, bars  numbers and curves from Prometheus
    table                     one line per series, the value last
    log_graph, log_lines      from Loki
    text                      words

A query is (expression, legend). `@` in an expression stands for the page's selector, so that a page says once which job
and hosts it is about: `rate(foo_total{@, code="500"}[$__rate_interval])`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

WIDTH = 24
MOST_IN_A_ROW = 4
# Version of the dashboard model; newer Grafanas migrate it when they load it.
SCHEMA = 42

PROMETHEUS = {"type": "prometheus", "uid": "${ds}"}
LOKI = {"type": "loki", "uid": "${logs}"}

Query = tuple[str, str]
Steps = list[tuple[float | None, str]]

# --- thresholds: (from this value on, colour); the first one has no value ------------------------------------------------
NEUTRAL: Steps = [(None, "blue")]
GOOD_IS_ONE: Steps = [(None, "red"), (1, "green")]
GOOD_IS_ZERO: Steps = [(None, "green"), (1, "red")]
WATCH_ABOVE_ZERO: Steps = [(None, "green"), (1, "orange")]


def above(warn: float, bad: float) -> Steps:
    """Green, then orange from `warn`, then red from `bad`."""
    return [(None, "green"), (warn, "orange"), (bad, "red")]


def below(bad: float, warn: float) -> Steps:
    """Red under `bad`, orange under `warn`, green from there on."""
    return [(None, "red"), (bad, "orange"), (warn, "green")]


FULLNESS = above(0.8, 0.9)
UP_DOWN = {"0": ("down", "red"), "1": ("up", "green")}
YES_NO = {"0": ("no", "red"), "1": ("yes", "green")}


@dataclass(frozen=True)
class Panel:
    """One panel, before it has a place and an id."""

    kind: str
    title: str
    unit: str
    description: str
    queries: tuple[Query, ...] = ()
    steps: tuple[tuple[float | None, str], ...] = ()
    datasource: str = "prometheus"
    height: int = 8
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    instant: bool = False
    mappings: tuple[tuple[str, tuple[str, str]], ...] = ()
    stacked: bool = False
    drill: str | None = None
    content: str = ""
    # Names of a table's columns, by label; what is not named is hidden.
    columns: tuple[tuple[str, str], ...] = ()


def _panel(kind: str, title: str, unit: str, description: str, queries: tuple[Query, ...], **more: Any) -> Panel:
    steps = tuple(more.pop("steps", NEUTRAL))
    mappings = tuple(dict(more.pop("mappings", {})).items())
    return Panel(kind, title, unit, description, queries, steps, mappings=mappings, **more)


def stat(title: str, unit: str, description: str, *queries: Query, **more: Any) -> Panel:
    """A number, with its recent course behind it."""
    return _panel("stat", title, unit, description, queries, **{"height": 4, **more})


def gauge(title: str, unit: str, description: str, *queries: Query, **more: Any) -> Panel:
    """A number between two ends."""
    return _panel("gauge", title, unit, description, queries, **{"height": 6, "low": 0, "high": 1, "instant": True, **more})


def graph(title: str, unit: str, description: str, *queries: Query, **more: Any) -> Panel:
    """Curves over time. Thresholds, if given, are lines."""
    return _panel("timeseries", title, unit, description, queries, **{"steps": [(None, "green")], **more})


def bars(title: str, unit: str, description: str, *queries: Query, **more: Any) -> Panel:
    """One horizontal bar per series, longest first if the query sorts."""
    return _panel("bargauge", title, unit, description, queries, **{"instant": True, **more})


def table(title: str, unit: str, description: str, query: str, columns: dict[str, str], **more: Any) -> Panel:
    """One line per series: the named labels, then the value under the name of `Value`."""
    return _panel("table", title, unit, description, ((query, ""),), columns=tuple(columns.items()), **{"height": 9, "instant": True, **more})


def log_graph(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    """How many log lines, over time."""
    return _panel("timeseries", title, "short", description, queries, datasource="loki", **{"steps": [(None, "green")], "stacked": True, **more})


def log_stat(title: str, description: str, *queries: Query, **more: Any) -> Panel:
    return _panel("stat", title, "short", description, queries, datasource="loki", **{"height": 4, "instant": True, **more})


def log_lines(title: str, description: str, query: str, **more: Any) -> Panel:
    """The lines themselves, newest first."""
    return _panel("logs", title, "none", description, ((query, ""),), datasource="loki", **{"height": 12, **more})


def text(title: str, content: str, **more: Any) -> Panel:
    return _panel("text", title, "none", "Explains this page.", (), content=content, **{"height": 4, **more})


@dataclass(frozen=True)
class Variable:
    """A choice at the top of the page."""

    name: str
    label: str
    query: str
    datasource: str = "prometheus"
    description: str = ""


def hosts(selector: str) -> Variable:
    return Variable("host", "Host", f"label_values({selector}, host)", description="Which hosts to show")


@dataclass
class Dashboard:
    """One page."""

    uid: str
    title: str
    folder: str
    description: str
    # Catalogue components that have this page as theirs.
    covers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    selector: str = ""
    variables: tuple[Variable, ...] = ()
    since: str = "now-6h"
    refresh: str = "30s"
    # Other pages, by uid.
    links: tuple[str, ...] = ()
    rows: list[tuple[str, tuple[Panel, ...]]] = field(default_factory=list)

    def row(self, title: str, *panels: Panel) -> Dashboard:
        if not 1 <= len(panels) <= MOST_IN_A_ROW:
            raise ValueError(f"{self.uid}: row '{title}' has {len(panels)} panels; 1 to {MOST_IN_A_ROW} can be read")
        self.rows.append((title, panels))
        return self

    def resolved(self) -> list[tuple[str, tuple[Panel, ...]]]:
        """The rows with the page's selector in the queries."""

        def fill(panel: Panel) -> Panel:
            return replace(panel, queries=tuple((query.replace("@", self.selector), legend) for query, legend in panel.queries))

        return [(title, tuple(fill(panel) for panel in panels)) for title, panels in self.rows]


# --- JSON ------------------------------------------------------------------------------------------------------------------


def render(page: Dashboard, titles: dict[str, str]) -> dict[str, Any]:
    """A page in Grafana's classic model. `titles` knows every page, for the links."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in page.resolved():
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        y += 1
        height = max(panel.height for panel in row)
        for number, panel in enumerate(row):
            left, right = number * WIDTH // len(row), (number + 1) * WIDTH // len(row)
            place = {"x": left, "y": y, "w": right - left, "h": height}
            panels.append({"id": len(panels) + 1, **_render_panel(panel), "gridPos": place})
        y += height
    uses_logs = any(panel.datasource == "loki" for _, row in page.rows for panel in row)
    return {
        "id": None,
        "uid": page.uid,
        "title": page.title,
        "description": page.description,
        "tags": ["omni", *page.tags],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": page.since, "to": "now"},
        "timezone": "browser",
        "refresh": page.refresh,
        "annotations": {"list": []},
        "links": [_link(uid, titles[uid]) for uid in page.links],
        "templating": {"list": _variables(page, uses_logs)},
        "panels": panels,
    }


def _link(uid: str, title: str) -> dict[str, Any]:
    return {
        "type": "link", "title": title, "url": f"/d/{uid}", "icon": "dashboard", "tooltip": f"Open {title}", "tags": [],
        "asDropdown": False, "includeVars": True, "keepTime": True, "targetBlank": False,
    }


def _variables(page: Dashboard, uses_logs: bool) -> list[dict[str, Any]]:
    found = [_datasource_variable("ds", "Metrics", "prometheus", "Prometheus")]
    if uses_logs:
        found.append(_datasource_variable("logs", "Logs", "loki", "Loki"))
    for variable in page.variables:
        of_loki = variable.datasource == "loki"
        query: Any = variable.query if of_loki else {"query": variable.query, "refId": "StandardVariableQuery"}
        found.append({
            "type": "query", "name": variable.name, "label": variable.label, "description": variable.description,
            "datasource": LOKI if of_loki else PROMETHEUS, "query": query, "definition": variable.query,
            # On each change of the time range: hosts come and go.
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "hide": 0, "regex": "", "skipUrlSync": False,
            "options": [], "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        })
    return found


def _datasource_variable(name: str, label: str, kind: str, title: str) -> dict[str, Any]:
    return {
        "type": "datasource", "name": name, "label": label, "query": kind, "refresh": 1, "hide": 2, "multi": False,
        "includeAll": False, "regex": "", "skipUrlSync": False, "options": [], "current": {"selected": True, "text": title, "value": kind},
    }


def _render_panel(panel: Panel) -> dict[str, Any]:
    source = LOKI if panel.datasource == "loki" else PROMETHEUS
    if panel.kind == "text":
        return {"type": "text", "title": panel.title, "description": panel.description, "transparent": True, "options": {"mode": "markdown", "content": panel.content}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "targets": [_target(panel, number, query, legend, source) for number, (query, legend) in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        **_transformations(panel),
    }


def _target(panel: Panel, number: int, query: str, legend: str, source: dict[str, str]) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
    if panel.datasource == "loki":
        target |= {"queryType": "instant" if panel.instant else "range", "editorMode": "code"}
    else:
        target |= {"instant": panel.instant, "range": not panel.instant, "editorMode": "code", "exemplar": panel.kind == "timeseries" and "_bucket" in query}
        if panel.kind == "table":
            target["format"] = "table"
    return target


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": "no data",
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in panel.steps]},
    }
    for key, value in (("min", panel.low), ("max", panel.high), ("decimals", panel.decimals)):
        if value is not None:
            defaults[key] = value
    if panel.mappings:
        options = {value: {"text": shown, "color": colour, "index": index} for index, (value, (shown, colour)) in enumerate(panel.mappings)}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.drill:
        defaults["links"] = [{"title": "Look closer", "url": panel.drill, "targetBlank": False}]
    if panel.kind == "timeseries":
        with_lines = len(panel.steps) > 1
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if panel.stacked else 8, "showPoints": "never", "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if with_lines else "off"},
            "axisSoftMin": 0,
        }
    else:
        defaults["color"] = {"mode": "thresholds"}
    return defaults


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind != "table":
        return []
    name = dict(panel.columns).get("Value", "Value")
    shown = [{"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}}] if len(panel.steps) > 1 or panel.mappings else []
    return [{"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": panel.unit}, *shown]}]


def _options(panel: Panel) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {"reduceOptions": last, "colorMode": "value", "graphMode": "none" if panel.instant or panel.mappings else "area", "textMode": "auto", "orientation": "auto", "justifyMode": "auto"}
    if panel.kind == "gauge":
        return {"reduceOptions": last, "showThresholdLabels": False, "showThresholdMarkers": True, "orientation": "auto"}
    if panel.kind == "bargauge":
        return {"reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color"}
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
    return {"showTime": True, "wrapLogMessage": True, "enableLogDetails": True, "sortOrder": "Descending", "dedupStrategy": "none", "prettifyLogMessage": False}


def _transformations(panel: Panel) -> dict[str, Any]:
    if panel.kind != "table":
        return {}
    names = dict(panel.columns)
    return {"transformations": [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": {name: index for index, name in enumerate(names)}, "renameByName": names}},
    ]}
