"""What the page of every component has: is it well, at the top; its containers and its log, at the bottom."""

from __future__ import annotations

from panels import GOOD_IS_ZERO, UP_DOWN, GOOD_IS_ONE, Dashboard, Panel, graph, hosts, log_graph, stat

RATE = "$__rate_interval"


def well(components: str) -> tuple[Panel, ...]:
    """Four numbers: somebody who is called at night looks here first."""
    return (
        stat("Metrics", "none", "Whether Prometheus can read its metrics, on the worst host.", ("min(up{@})", "scraped"), steps=GOOD_IS_ONE, mappings=UP_DOWN),
        probe(components),
        alerts(components),
        stat(
            "Containers running", "short", "Running containers of this component. 'no data' means that omni is not scraped.",
            (f'sum(container:running{{component=~"{components}"}})', "running"), steps=[(None, "red"), (1, "green")],
        ),
    )


def probe(components: str) -> Panel:
    return stat(
        "Probe from outside", "none", "Whether the last probe through the network succeeded, for the worst target. 'no data': nothing probes it.",
        (f'min(probe_success{{job="blackbox", component=~"{components}"}})', "probe"), steps=GOOD_IS_ONE, mappings=UP_DOWN,
    )


def alerts(components: str) -> Panel:
    return stat(
        "Firing alerts", "short", "Alerts of this component that fire now; their runbooks are in the alert list.",
        (f'count(ALERTS{{alertstate="firing", component=~"{components}"}}) or vector(0)', "firing"), steps=GOOD_IS_ZERO, drill="/alerting/list",
    )


def containers(components: str) -> tuple[Panel, ...]:
    """What it costs, and what it complains about."""
    which = f'component=~"{components}", job="cadvisor"'
    return (
        graph("CPU", "short", "Cores in use, per container.", (f"sum by (host, container) (rate(container_cpu_usage_seconds_total{{{which}}}[{RATE}]))", "{{host}}/{{container}}")),
        graph("Memory", "bytes", "Working set: what the kernel would not give back. At the limit the container is killed.",
              (f"sum by (host, container) (container_memory_working_set_bytes{{{which}}})", "{{host}}/{{container}}")),
        graph("Restarts", "short", "Restarts by Docker's policy. A step is one crash.", (f'max by (host, container) (container:restarts{{component=~"{components}"}})', "{{host}}/{{container}}")),
        log_graph("Log: warnings and errors", "Lines per interval, by level. From Loki.",
                  (f'sum by (level) (count_over_time({{component=~"{components}", level=~"warn|error|critical"}}[$__auto]))', "{{level}}")),
    )


def page(uid: str, title: str, folder: str, job: str, components: str, description: str, *, tags: tuple[str, ...] = (), covers: tuple[str, ...] | None = None,
         links: tuple[str, ...] = (), rows: list[tuple[str, tuple[Panel, ...]]]) -> Dashboard:
    """A page about one component. `components` is a pattern of catalogue names, `job` the job that has its metrics."""
    operator = "=~" if "|" in job else "="
    made = Dashboard(
        uid=uid, title=title, folder=folder, description=description, tags=("component", *tags),
        covers=covers if covers is not None else tuple(components.split("|")),
        selector=f'job{operator}"{job}", host=~"$host"',
        variables=(hosts(f'up{{job{operator}"{job}"}}'),),
        links=("omni-overview", "omni-component", *links),
    )
    made.row("Is it well?", *well(components))
    for row_title, panels in rows:
        made.row(row_title, *panels)
    return made.row("Containers and log", *containers(components))


def quantiles(metric: str, by: str = "", selector: str = "@") -> tuple[tuple[str, str], ...]:
    """Median, 95th and 99th percentile of a histogram."""
    labels = ", ".join(["le", *([by] if by else [])])
    legend = "{{" + by + "}} " if by else ""
    return tuple(
        (f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{selector}}}[{RATE}])))", f"{legend}{name}")
        for q, name in (("0.5", "half"), ("0.95", "95 %"), ("0.99", "99 %"))
    )
