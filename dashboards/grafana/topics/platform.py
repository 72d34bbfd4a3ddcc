"""The pages about the platform as a whole: overview, any component, service levels, capacity, the mesh."""

from __future__ import annotations

from panels import FULLNESS, GOOD_IS_ONE, GOOD_IS_ZERO, UP_DOWN, WATCH_ABOVE_ZERO, YES_NO, Dashboard, Variable, above, bars, below, gauge, graph, hosts, log_graph, log_lines, stat, table, text

from topics._component import RATE, alerts, containers, probe

TO_COMPONENT = "/d/omni-component?var-component=${__data.fields.Component}"
TO_HOST = "/d/omni-capacity?var-host=${__data.fields.Host}"


def pages() -> list[Dashboard]:
    return [overview(), component(), service_levels(), capacity(), mesh()]


def overview() -> Dashboard:
    page = Dashboard(
        uid="omni-overview", title="Overview", folder="Platform", tags=("platform",), since="now-3h",
        description="The platform on one page: what fires, what is down, what is unknown. Start here.",
        links=("omni-component", "omni-sla", "omni-capacity", "omni-mesh", "omni-backups", "omni-security", "omni-logs", "omni-gpu"),
    )
    page.row(
        "Now",
        stat("Critical alerts", "short", "Somebody has to act now.", ('count(ALERTS{alertstate="firing", severity="critical"}) or vector(0)', "firing"), steps=GOOD_IS_ZERO, drill="/alerting/list"),
        stat("Warnings", "short", "Somebody has to act during the day.", ('count(ALERTS{alertstate="firing", severity="warning"}) or vector(0)', "firing"), steps=WATCH_ABOVE_ZERO, drill="/alerting/list"),
        stat("Hosts that are not up", "short", "Suspect, down and pending hosts, as the controllers agree.", ('sum(max by (status) (omni_hosts{status!="up"})) or vector(0)', "hosts"), steps=GOOD_IS_ZERO, drill="/d/omni-mesh"),
        stat("Targets that cannot be scraped", "short", "What is not scraped is not known: a gap in every other panel.", ("count(up == 0) or vector(0)", "targets"), steps=WATCH_ABOVE_ZERO),
    )
    page.row(
        "Probes from outside",
        stat("Components that fail", "short", "Components with a failing probe.", ('count(count by (component) (probe_success{job="blackbox"} == 0)) or vector(0)', "components"), steps=GOOD_IS_ZERO),
        stat("Components that answer", "short", "Components whose probes all succeed.", ('count(min by (component) (probe_success{job="blackbox"}) == 1) or vector(0)', "components")),
        stat("Unhealthy containers", "short", "Their own health check fails.", ("sum(container:unhealthy) or vector(0)", "containers"), steps=GOOD_IS_ZERO),
        stat("Certificates that end within 14 days", "short", "Of everything that is probed over TLS.", ("count(probe_ssl_earliest_cert_expiry - time() < 14 * 86400) or vector(0)", "certificates"), steps=GOOD_IS_ZERO, drill="/d/omni-security"),
    )
    page.row(
        "What is wrong",
        table("Firing alerts", "none", "Each firing alert once, with the component it belongs to. Click for the component's page.",
              'max by (severity, alertname, component, host) (ALERTS{alertstate="firing"})', {"severity": "Severity", "alertname": "Alert", "component": "Component", "host": "Host", "Value": "Fires"}, drill=TO_COMPONENT),
        table("Failing probes", "none", "What does not answer as it should.",
              'min by (component, tier, instance) (probe_success{job="blackbox"} == 0)', {"component": "Component", "tier": "Tier", "instance": "Target", "Value": "State"}, mappings=UP_DOWN, steps=GOOD_IS_ONE, drill=TO_COMPONENT),
    )
    page.row(
        "By component",
        table("Containers", "short", "Running containers of each component, with its tier and system.",
              "sum by (component, tier, system) (container:running)", {"component": "Component", "tier": "Tier", "system": "System", "Value": "Running"}, steps=[(None, "red"), (1, "green")], drill=TO_COMPONENT),
        table("Targets", "none", "Whether the metrics of each component can be read.",
              "min by (component, tier, host) (up)", {"component": "Component", "tier": "Tier", "host": "Host", "Value": "Metrics"}, mappings=UP_DOWN, steps=GOOD_IS_ONE, drill=TO_COMPONENT),
    )
    page.row(
        "Course",
        graph("Alerts", "short", "Firing alerts by severity.", ('sum by (severity) (ALERTS{alertstate="firing"})', "{{severity}}"), stacked=True),
        graph("Share of probes that succeed", "percentunit", "By tier; one failing probe shows at once.", ('avg by (tier) (probe_success{job="blackbox"})', "{{tier}}"), high=1),
        graph("CPU in use", "percentunit", "Share of all cores, per host.", ("host:cpu_busy:ratio", "{{host}}"), steps=above(0.8, 0.95), high=1),
        log_graph("Errors in logs", "Lines of level error and critical, by component.", ('topk(10, sum by (component) (count_over_time({level=~"error|critical"}[$__auto])))', "{{component}}")),
    )
    return page


def component() -> Dashboard:
    which = "$component"
    page = Dashboard(
        uid="omni-component", title="Any component", folder="Platform", tags=("platform",),
        description="What is known of every component, also of one without metrics of its own: probes, containers, alerts, logs.",
        variables=(Variable("component", "Component", "label_values(omni:component:info, component)", description="Name in the catalogue"),),
        links=("omni-overview", "omni-sla", "omni-logs"),
    )
    page.row(
        "Is it well?", probe(which), alerts(which),
        stat("Containers running", "short", "As omni's agents see it.", (f'sum(container:running{{component=~"{which}"}})', "running"), steps=[(None, "red"), (1, "green")]),
        stat("Newest backup", "s", "Age of the newest successful backup. 'no data': none is known, which is not the same as none is needed.",
             (f'time() - max(omni_backup_last_success_timestamp_seconds{{component=~"{which}"}})', "age"), steps=above(86400, 172800), drill="/d/omni-backups"),
    )
    page.row(
        "From outside",
        graph("Probe succeeds", "none", "1 while the probe succeeds.", (f'probe_success{{job="blackbox", component=~"{which}"}}', "{{instance}}"), low=0, high=1, mappings=UP_DOWN),
        graph("Probe duration", "s", "How long the whole probe took.", (f'probe_duration_seconds{{job="blackbox", component=~"{which}"}}', "{{instance}}"), steps=above(2, 10)),
        graph("HTTP status", "none", "What the last probe was answered. 0: no HTTP answer at all.", (f'probe_http_status_code{{job="blackbox", component=~"{which}"}}', "{{instance}}")),
        stat("Certificate ends in", "s", "Of the certificate chain that the probe saw, the first to end.", (f'min(probe_ssl_earliest_cert_expiry{{component=~"{which}"}} - time())', "left"), steps=below(7 * 86400, 14 * 86400), height=8),
    )
    page.row("Containers and log", *containers(which))
    page.row(
        "Network and disk",
        graph("Network in", "Bps", "Received, per container.", (f'sum by (host, container) (rate(container_network_receive_bytes_total{{component=~"{which}", job="cadvisor"}}[{RATE}]))', "{{host}}/{{container}}")),
        graph("Network out", "Bps", "Sent, per container.", (f'sum by (host, container) (rate(container_network_transmit_bytes_total{{component=~"{which}", job="cadvisor"}}[{RATE}]))', "{{host}}/{{container}}")),
        graph("Disk writes", "Bps", "Written by the container's processes.", (f'sum by (host, container) (rate(container_fs_writes_bytes_total{{component=~"{which}", job="cadvisor"}}[{RATE}]))', "{{host}}/{{container}}")),
        graph("CPU held back", "percentunit", "Share of periods in which the CPU limit held the container back. Above a quarter the limit is too low.",
              (f'sum by (host, container) (rate(container_cpu_cfs_throttled_periods_total{{component=~"{which}", job="cadvisor"}}[{RATE}])) / sum by (host, container) (rate(container_cpu_cfs_periods_total{{component=~"{which}", job="cadvisor"}}[{RATE}]))', "{{host}}/{{container}}"), steps=above(0.25, 0.5)),
    )
    page.row("Lines", log_lines("Warnings and errors", "Newest first; open a line for its trace.", f'{{component=~"{which}", level=~"warn|error|critical"}}'))
    return page


def service_levels() -> Dashboard:
    page = Dashboard(
        uid="omni-sla", title="Service levels", folder="Platform", tags=("platform",), since="now-30d", refresh="5m",
        description="Availability against the objective of each tier (critical 99.9 %, high 99.5 %, medium 99 %, standard 98 %), and how fast the error budget is used.",
        variables=(Variable("tier", "Tier", "label_values(slo:error_budget:ratio, tier)"), Variable("component", "Component", 'label_values(slo:errors:ratio_rate3d{tier=~"$tier"}, component)')),
        links=("omni-overview", "omni-component", "omni-backups"),
    )
    which = 'tier=~"$tier", component=~"$component"'
    page.row("How to read this", text("", "The **budget** is what the objective allows to fail in 30 days. A **burn rate** of 1 uses it up in exactly 30 days; 14.4 in two days. Alerts fire at 14.4, 6, 3 and 1, when a long and a short window agree."))
    page.row(
        "Availability in the time shown",
        *(gauge(f"{tier.capitalize()}", "percentunit", f"Mean share of successful probes of tier {tier}. Objective {shown}.",
                (f'avg(avg_over_time(probe_success{{job="blackbox", tier="{tier}"}}[$__range]))', tier), steps=below(bad, goal), low=low, decimals=3)
          for tier, goal, bad, low, shown in (("critical", 0.999, 0.998, 0.99, "99.9 %"), ("high", 0.995, 0.99, 0.98, "99.5 %"), ("medium", 0.99, 0.98, 0.95, "99 %"), ("standard", 0.98, 0.96, 0.9, "98 %"))),
    )
    page.row(
        "By component",
        table("Availability", "percentunit", "Share of successful probes in the time shown, worst first.",
              f'sort(avg by (component, tier) (avg_over_time(probe_success{{job="blackbox", {which}}}[$__range])))', {"component": "Component", "tier": "Tier", "Value": "Available"}, steps=below(0.98, 0.999), decimals=4, drill=TO_COMPONENT),
        table("Budget used in 3 days", "percentunit", "Share of the 30-day budget that the last three days have used. Above 1 it is gone.",
              f"sort_desc(max by (component, tier, slo) (slo:errors:ratio_rate3d{{{which}}} / on (tier) group_left () slo:error_budget:ratio) * 3 / 30)",
              {"component": "Component", "tier": "Tier", "slo": "Kind", "Value": "Used"}, steps=above(0.1, 0.5), drill=TO_COMPONENT),
    )
    page.row(
        "Burn rate",
        graph("Over one hour", "short", "How many times faster than allowed. From 14.4 on somebody is called.", (f"slo:errors:ratio_rate1h{{{which}}} / on (tier) group_left () slo:error_budget:ratio", "{{component}} {{slo}}"), steps=above(6, 14.4)),
        graph("Over six hours", "short", "From 6 on somebody is called.", (f"slo:errors:ratio_rate6h{{{which}}} / on (tier) group_left () slo:error_budget:ratio", "{{component}} {{slo}}"), steps=above(3, 6)),
        graph("Over three days", "short", "Above 1 the objective will be missed.", (f"slo:errors:ratio_rate3d{{{which}}} / on (tier) group_left () slo:error_budget:ratio", "{{component}} {{slo}}"), steps=above(0.8, 1)),
    )
    page.row(
        "Latency from outside",
        graph("Slowest probes", "s", "Mean probe duration, the ten slowest components.", (f'topk(10, avg by (component) (avg_over_time(probe_duration_seconds{{job="blackbox", {which}}}[5m])))', "{{component}}"), steps=above(2, 10)),
        graph("Second opinion: Uptime Kuma", "none", "1 while Uptime Kuma calls a monitor up. Where it and the probes disagree, look at the network between.", ("min by (monitor_name) (monitor_status)", "{{monitor_name}}"), low=0, high=1),
    )
    return page


def capacity() -> Dashboard:
    page = Dashboard(
        uid="omni-capacity", title="Capacity", folder="Platform", tags=("platform", "hosts"), since="now-24h", refresh="1m", covers=("node-exporter", "cadvisor"),
        description="Hosts: CPU, memory, disks and network, when disks will be full, and who uses what. Numbers come from node-exporter, else from omni's agents.",
        variables=(hosts("host:cpu_busy:ratio"),), links=("omni-overview", "omni-gpu", "omni-mesh", "omni-component"),
    )
    h = 'host=~"$host"'
    page.row(
        "Hosts",
        bars("CPU", "percentunit", "Share of all cores in use.", (f"sort_desc(host:cpu_busy:ratio{{{h}}})", "{{host}}"), steps=FULLNESS, low=0, high=1),
        bars("Memory", "percentunit", "Share that programs cannot get any more.", (f"sort_desc(1 - host:memory_available:ratio{{{h}}})", "{{host}}"), steps=FULLNESS, low=0, high=1),
        bars("Fullest disk", "percentunit", "The fullest file system of each host.", (f"sort_desc(max by (host) (1 - host:filesystem_available:ratio{{{h}}}))", "{{host}}"), steps=FULLNESS, low=0, high=1),
        bars("Load per core", "short", "Runnable and waiting tasks over five minutes, per core. Above 1 somebody waits.",
             (f'sort_desc(max by (host) (node_load5{{{h}}}) / count by (host) (node_cpu_seconds_total{{mode="idle", {h}}}))', "{{host}}"), steps=above(1, 2)),
    )
    page.row(
        "When is it full?",
        table("Disks that fill up within 30 days", "s", "Straight line through the last three days. Empty is good.",
              f"sort(host:filesystem_available:bytes{{{h}}} / (-deriv(host:filesystem_available:bytes{{{h}}}[3d]) > 0) < 30 * 86400)", {"host": "Host", "mount": "Mounted at", "Value": "Full in"}, steps=below(3 * 86400, 14 * 86400)),
        graph("Space left", "bytes", "Free space of every file system.", (f"host:filesystem_available:bytes{{{h}}}", "{{host}} {{mount}}"), height=9),
        graph("Share left", "percentunit", "The same as a share of its size.", (f"host:filesystem_available:ratio{{{h}}}", "{{host}} {{mount}}"), steps=below(0.1, 0.2), height=9, low=0, high=1),
    )
    page.row(
        "Course",
        graph("CPU", "percentunit", "Share of all cores in use.", (f"host:cpu_busy:ratio{{{h}}}", "{{host}}"), high=1),
        graph("Memory available", "percentunit", "Share that programs could still get.", (f"host:memory_available:ratio{{{h}}}", "{{host}}"), steps=below(0.1, 0.2), high=1),
        graph("Network in", "Bps", "Received by real interfaces.", (f"sum by (host) (rate(node_network_receive_bytes_total{{{h}}}[{RATE}]))", "{{host}}")),
        graph("Network out", "Bps", "Sent by real interfaces.", (f"sum by (host) (rate(node_network_transmit_bytes_total{{{h}}}[{RATE}]))", "{{host}}")),
    )
    page.row(
        "Pressure",
        graph("Waiting for CPU", "percentunit", "Share of time in which some task waited for CPU (PSI).", (f"rate(node_pressure_cpu_waiting_seconds_total{{{h}}}[{RATE}])", "{{host}}"), steps=above(0.2, 0.5)),
        graph("Waiting for memory", "percentunit", "Share of time in which some task waited for memory. Above a few percent the host swaps.", (f"rate(node_pressure_memory_waiting_seconds_total{{{h}}}[{RATE}])", "{{host}}"), steps=above(0.05, 0.2)),
        graph("Waiting for disks", "percentunit", "Share of time in which some task waited for I/O.", (f"rate(node_pressure_io_waiting_seconds_total{{{h}}}[{RATE}])", "{{host}}"), steps=above(0.2, 0.5)),
        graph("Disk busy", "percentunit", "Share of time with an I/O under way, per disk.", (f"rate(node_disk_io_time_seconds_total{{{h}}}[{RATE}])", "{{host}} {{device}}"), steps=above(0.8, 0.95)),
    )
    page.row(
        "Who uses it",
        bars("CPU by component", "short", "Cores in use, the fifteen largest.", (f'topk(15, sum by (component) (rate(container_cpu_usage_seconds_total{{job="cadvisor", component!="cadvisor", {h}}}[5m])))', "{{component}}"), height=12),
        bars("Memory by component", "bytes", "Working set, the fifteen largest.", (f'topk(15, sum by (component) (container_memory_working_set_bytes{{job="cadvisor", component!="cadvisor", {h}}}))', "{{component}}"), height=12),
        bars("Temperature", "celsius", "The hottest sensor of each host.", (f"sort_desc(max by (host) (omni_host_temperature_celsius{{{h}}}))", "{{host}}"), steps=above(75, 90), height=12),
    )
    return page


def mesh() -> Dashboard:
    page = Dashboard(
        uid="omni-mesh", title="Mesh", folder="Platform", tags=("platform",), covers=("omni",),
        description="omni itself: controllers, Raft, agents and their hosts, refused peers, and how fast writes and requests are.",
        selector='job="omni"', links=("omni-overview", "omni-capacity", "omni-backups"),
    )
    page.row(
        "Quorum",
        stat("Controllers up", "short", "Controllers that answer. A group of three stands one loss, of five two.", ("sum(up{@})", "up"), steps=[(None, "red"), (2, "orange"), (3, "green")]),
        stat("Leaders", "short", "Exactly one leads. None: no writes. Two for longer than a moment: look at the clocks and the network.", ("sum(omni_raft_is_leader{@})", "leaders"), steps=[(None, "red"), (1, "green"), (2, "red")]),
        stat("Behind", "short", "Log entries between the first and the last controller.", ("max(omni_raft_applied_index{@}) - min(omni_raft_applied_index{@})", "entries"), steps=above(100, 10000)),
        stat("Changes of term in a day", "short", "Each one is an election. Some while nothing was restarted: slow disks or network.", ("changes(max(omni_raft_term{@})[1d:1m])", "elections"), steps=above(3, 10)),
    )
    page.row(
        "Hosts",
        stat("Up", "short", "Hosts whose heartbeats arrive.", ('max(omni_hosts{@, status="up"})', "up")),
        stat("Suspect", "short", "Heartbeats are late; nothing is moved yet.", ('max(omni_hosts{@, status="suspect"})', "suspect"), steps=WATCH_ABOVE_ZERO),
        stat("Down", "short", "Given up; what could be moved was moved.", ('max(omni_hosts{@, status="down"})', "down"), steps=GOOD_IS_ZERO),
        stat("Pending", "short", "Joined, never heard of yet.", ('max(omni_hosts{@, status="pending"})', "pending"), steps=WATCH_ABOVE_ZERO),
    )
    page.row(
        "Each host",
        table("State", "none", "As the controllers agree.", "max by (host) (omni_host_up{@})", {"host": "Host", "Value": "Heartbeats"}, mappings=YES_NO, steps=GOOD_IS_ONE, drill=TO_HOST),
        table("Age of the newest sample", "s", "Older than a minute: the numbers of this host stand still.", "sort_desc(max by (host) (omni_host_sample_age_seconds{@}))", {"host": "Host", "Value": "Age"}, steps=above(30, 60), drill=TO_HOST),
        graph("Sessions", "short", "Agents connected to each controller. They spread out by themselves.", ("omni_agent_sessions{@}", "{{instance}}"), height=9, stacked=True),
    )
    page.row(
        "Writes",
        graph("Writes a second", "ops", "What became of the writes that controllers took.", (f"sum by (outcome) (rate(omni_proposals_total{{@}}[{RATE}]))", "{{outcome}}"), stacked=True),
        graph("From a write to its answer", "s", "95th and 99th percentile, per controller.", ('omni_proposal_seconds{@, quantile=~"0.95|0.99"}', "{{instance}} {{quantile}}"), steps=above(0.5, 2)),
        graph("Operations in one commit", "short", "How well writes are grouped. More under load is right.", ('omni_raft_commit_operations{@, quantile="0.5"}', "{{instance}}")),
        graph("Applied entries a second", "ops", "Speed of the log.", (f"rate(omni_raft_applied_index{{@}}[{RATE}])", "{{instance}}")),
    )
    page.row(
        "Background work and refusals",
        graph("Reconcilers", "ops", "Runs of the leader's background work. Failed ones are retried.", (f"sum by (name, outcome) (rate(omni_reconcile_runs_total{{@}}[{RATE}]))", "{{name}} {{outcome}}")),
        graph("Sessions ended for a fault", "ops", "By close code; the codes are in docs/operations.md.", (f"sum by (code) (rate(omni_connections_refused_total{{@}}[{RATE}]))", "{{code}}")),
        graph("Peers turned away", "ops", "Before they could speak: revoked, unknown, wrong role.", (f"sum by (code) (rate(omni_handshakes_refused_total{{@}}[{RATE}]))", "{{code}}")),
        graph("Container events dropped", "ops", "Hosts that send more than their allowance.", (f"rate(omni_container_events_dropped_total{{@}}[{RATE}])", "{{instance}}")),
    )
    page.row(
        "API",
        graph("Requests", "reqps", "By status.", (f"sum by (status) (rate(omni_http_requests_total{{@}}[{RATE}]))", "{{status}}"), stacked=True),
        graph("Slowest routes", "s", "95th percentile, the ten slowest.", ('topk(10, max by (route, method) (omni_http_request_seconds{@, quantile="0.95"}))', "{{method}} {{route}}")),
        graph("Frames from agents", "ops", "Facts, containers and samples taken in.", (f"sum by (kind) (rate(omni_telemetry_frames_total{{@}}[{RATE}]))", "{{kind}}")),
        log_graph("omni's log", "Warnings and errors of controllers and agents.", ('sum by (component, level) (count_over_time({component=~"omni|omni-agent", level=~"warn|error|critical"}[$__auto]))', "{{component}} {{level}}")),
    )
    return page
