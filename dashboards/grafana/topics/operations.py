"""GPU, logs, security and backups: pages that go across components."""

from __future__ import annotations

from panels import FULLNESS, GOOD_IS_ONE, GOOD_IS_ZERO, UP_DOWN, WATCH_ABOVE_ZERO, Dashboard, Variable, above, bars, below, graph, hosts, log_graph, log_lines, log_stat, stat, table, text

from topics._component import RATE

LEVELS = 'level=~"$level"'


def pages() -> list[Dashboard]:
    return [gpu(), logs(), security(), backups()]


def gpu() -> Dashboard:
    page = Dashboard(
        uid="omni-gpu", title="GPU", folder="Platform", tags=("platform", "gpu"), covers=("dcgm-exporter",),
        description="GPUs of all hosts, as omni's agents see them; clocks, memory bandwidth and XID errors from the DCGM exporter where it runs.",
        variables=(hosts("omni_gpu_memory_total_bytes"),), links=("omni-overview", "omni-capacity", "omni-vllm"),
    )
    h = 'host=~"$host"'
    page.row(
        "Now",
        stat("GPUs", "short", "GPUs that omni sees.", (f"count(max by (host, gpu) (omni_gpu_memory_total_bytes{{{h}}}))", "GPUs")),
        stat("Mean use", "percent", "Time the GPUs were busy.", (f"avg(max by (host, gpu) (omni_gpu_utilisation_percent{{{h}}}))", "busy")),
        stat("Memory in use", "percentunit", "Of all GPUs together.", (f"sum(max by (host, gpu) (omni_gpu_memory_used_bytes{{{h}}})) / sum(max by (host, gpu) (omni_gpu_memory_total_bytes{{{h}}}))", "used"), steps=above(0.9, 0.97)),
        stat("Power", "watt", "All GPUs together.", (f"sum(max by (host, gpu) (omni_gpu_power_watts{{{h}}}))", "power")),
    )
    page.row(
        "Each GPU",
        graph("Busy", "percent", "Time with a kernel running.", (f"max by (host, gpu) (omni_gpu_utilisation_percent{{{h}}})", "{{host}} {{gpu}}"), low=0, high=100),
        graph("Memory in use", "bytes", "A server for models fills it at start and stays there.", (f"max by (host, gpu) (omni_gpu_memory_used_bytes{{{h}}})", "{{host}} {{gpu}}")),
        graph("Temperature", "celsius", "Near the limit the card slows down.", (f"max by (host, gpu) (omni_gpu_temperature_celsius{{{h}}})", "{{host}} {{gpu}}"), steps=above(80, 88)),
        graph("Power", "watt", "Drawn now.", (f"max by (host, gpu) (omni_gpu_power_watts{{{h}}})", "{{host}} {{gpu}}")),
    )
    page.row(
        "From DCGM (profile gpu)",
        graph("Clock", "rothz", "Streaming multiprocessors. A drop at full use: power or heat.", (f'DCGM_FI_DEV_SM_CLOCK{{job="dcgm-exporter", {h}}} * 1000000', "{{host}} {{gpu}}")),
        graph("Memory copies", "percent", "Time the memory interface was busy.", (f'DCGM_FI_DEV_MEM_COPY_UTIL{{job="dcgm-exporter", {h}}}', "{{host}} {{gpu}}"), low=0, high=100),
        stat("Last XID error", "none", "Number of the newest driver error; 0 is none. NVIDIA's list of XIDs says what to do.", (f'max by (host, gpu) (DCGM_FI_DEV_XID_ERRORS{{job="dcgm-exporter", {h}}})', "{{host}} {{gpu}}"), steps=GOOD_IS_ZERO, height=8),
        graph("PCIe replays", "cps", "Retries on the bus: a bad slot or riser.", (f'rate(DCGM_FI_DEV_PCIE_REPLAY_COUNTER{{job="dcgm-exporter", {h}}}[{RATE}])', "{{host}} {{gpu}}"), steps=WATCH_ABOVE_ZERO),
    )
    return page


def logs() -> Dashboard:
    page = Dashboard(
        uid="omni-logs", title="Logs", folder="Platform", tags=("platform", "logs"), since="now-1h",
        description="All logs of the platform: how many, from whom, what they say. Links on trace ids lead to Langfuse.",
        variables=(
            Variable("component", "Component", "label_values(component)", "loki"), Variable("host", "Host", "label_values(host)", "loki"), Variable("level", "Level", "label_values(level)", "loki"),
        ),
        links=("omni-overview", "omni-security", "omni-loki", "omni-alloy"),
    )
    which = f'component=~"$component", host=~"$host", {LEVELS}'
    page.row(
        "How many",
        log_stat("Lines", "In the time shown.", (f"sum(count_over_time({{{which}}}[$__range]))", "lines")),
        log_stat("Errors", "Level error and critical, in the time shown.", ('sum(count_over_time({component=~"$component", host=~"$host", level=~"error|critical"}[$__range]))', "lines"), steps=above(1, 1000)),
        log_stat("Components that log", "With at least one line.", (f"count(sum by (component) (count_over_time({{{which}}}[$__range])))", "components")),
        stat("Lines lost on the way", "short", "Dropped by Alloy or refused by Loki in the last hour. Not zero: the picture has holes.",
             ("sum(increase(loki_write_dropped_entries_total[1h])) or vector(0)", "dropped"), steps=GOOD_IS_ZERO),
    )
    page.row(
        "Course",
        log_graph("By level", "Lines per interval.", (f"sum by (level) (count_over_time({{{which}}}[$__auto]))", "{{level}}")),
        log_graph("By component", "The ten that log most.", (f"topk(10, sum by (component) (count_over_time({{{which}}}[$__auto])))", "{{component}}")),
        log_graph("Errors by component", "The ten with most errors.", ('topk(10, sum by (component) (count_over_time({component=~"$component", host=~"$host", level=~"error|critical"}[$__auto])))', "{{component}}")),
    )
    page.row("Lines", log_lines("Newest first", "Open a line for its fields; a trace id has a link.", f"{{{which}}}", height=20))
    return page


def security() -> Dashboard:
    event = 'security="true"'
    page = Dashboard(
        uid="omni-security", title="Security", folder="Platform", tags=("platform", "security"), since="now-24h", refresh="1m",
        description="Failed logins, bans, firewall hits, use of secrets and of rights, peers that omni turned away, and certificates.",
        variables=(Variable("host", "Host", "label_values(host)", "loki"),), links=("omni-overview", "omni-logs", "omni-crowdsec", "omni-openbao", "omni-authentik", "omni-mesh"),
    )
    h = 'host=~"$host"'
    page.row(
        "In the time shown",
        log_stat("Failed logins", "All components and hosts.", (f'sum(count_over_time({{{event}, {h}}} | security_event="auth_failure" [$__range]))', "failures"), steps=above(50, 500)),
        log_stat("Bans", "By fail2ban and CrowdSec.", (f'sum(count_over_time({{{event}, {h}}} | security_event="ban" [$__range]))', "bans")),
        log_stat("Firewall hits", "Requests that the web application firewall stopped, and intrusion alarms.", (f'sum(count_over_time({{{event}, {h}}} | security_event=~"waf|ids" [$__range]))', "hits")),
        log_stat("Use of the break-glass account", "Must be zero, unless somebody told you.", ('sum(count_over_time({component="openbao"} |= "break-glass" [$__range]))', "entries"), steps=GOOD_IS_ZERO),
    )
    page.row(
        "Events",
        log_graph("By kind", "Security events per interval.", (f"sum by (security_event) (count_over_time({{{event}, {h}}} [$__auto]))", "{{security_event}}")),
        log_graph("Failed logins by component", "Where somebody tries doors.", (f'sum by (component) (count_over_time({{{event}, {h}}} | security_event="auth_failure" [$__auto]))', "{{component}}")),
        log_graph("Rights and accounts", "sudo, changes of accounts and policies.", (f'sum by (security_event, component) (count_over_time({{{event}, {h}}} | security_event=~"privilege|account_change|policy" [$__auto]))', "{{component}} {{security_event}}")),
        log_graph("Use of secrets", "Entries in OpenBao's audit log.", (f'sum by (component) (count_over_time({{{event}, {h}}} | security_event="secrets_audit" [$__auto]))', "{{component}}")),
    )
    page.row(
        "Gates",
        graph("Active bans", "short", "Decisions in force, by origin.", ('sum by (origin, action) (cs_active_decisions{job="crowdsec"})', "{{origin}} {{action}}")),
        graph("Peers that omni turned away", "ops", "Unknown, revoked or of the wrong role.", (f'sum by (code) (rate(omni_handshakes_refused_total{{job="omni"}}[{RATE}]))', "{{code}}")),
        graph("Refused requests at the proxy", "reqps", "401, 403 and 429 from Caddy.", (f'sum by (code) (rate(caddy_http_request_duration_seconds_count{{code=~"401|403|429"}}[{RATE}]))', "{{code}}")),
        stat("Sealed vaults", "short", "OpenBao or Vault servers that are sealed.", ('count(vault_core_unsealed == 0) or vector(0)', "sealed"), steps=GOOD_IS_ZERO, height=8, drill="/d/omni-openbao"),
    )
    page.row(
        "Certificates",
        table("End first", "s", "From probes over TLS. Internal certificates live hours and renew themselves; the proxy's live weeks.",
              "sort(min by (component, instance) (probe_ssl_earliest_cert_expiry) - time())", {"component": "Component", "instance": "Target", "Value": "Ends in"}, steps=below(7 * 86400, 14 * 86400)),
        table("End first, as Uptime Kuma sees it", "d", "Second opinion.", "sort(min by (monitor_name) (monitor_cert_days_remaining))", {"monitor_name": "Monitor", "Value": "Days left"}, steps=below(7, 14)),
    )
    page.row("Lines", log_lines("Security events", "Newest first.", f"{{{event}, {h}}}"))
    return page


def backups() -> Dashboard:
    page = Dashboard(
        uid="omni-backups", title="Backups", folder="Platform", tags=("platform", "backups"), since="now-7d", refresh="5m", covers=("restic-rest-server", "clickhouse-backup"),
        description="A backup counts when a drill has restored it. Age of backups against their limit, drills, checks, and the repositories' server.",
        variables=(Variable("component", "Component", 'label_values(omni:component:info{backup="yes"}, component)'),), links=("omni-overview", "omni-component", "omni-capacity"),
    )
    c = 'component=~"$component"'
    page.row("How to read this", text("", "**RPO** is the age of the newest snapshot that was copied and checked: what would be lost now. **RTO** is how long the last drill took: how long it would be away. A component that is *not in these tables* has no known backup."))
    page.row(
        "Now",
        stat("Over their limit", "short", "Components whose newest backup is older than it may be.",
             ("count(max by (component) (time() - omni_backup_last_success_timestamp_seconds) > on (component) max by (component) (omni_backup_max_age_seconds)) or vector(0)", "components"), steps=GOOD_IS_ZERO),
        stat("Without a known backup", "short", "Components of the catalogue that have a backup method, run here, and have never reported a backup.",
             ('count(max by (component) (container:running == 1) and on (component) omni:component:info{backup="yes"} unless on (component) omni_backup_last_success_timestamp_seconds) or vector(0)', "components"), steps=GOOD_IS_ZERO),
        stat("Failed runs in a day", "short", "Of all components.", ('sum(increase(omni_backup_runs_total{outcome="failed"}[1d])) or vector(0)', "failed"), steps=WATCH_ABOVE_ZERO),
        stat("No drill for 35 days", "short", "Components whose restore was not tried lately, or never.",
             ("count(time() - max by (component) (omni_drill_last_success_timestamp_seconds) > 35 * 86400) or vector(0)", "components"), steps=WATCH_ABOVE_ZERO),
    )
    page.row(
        "By component",
        table("RPO", "s", "What would be lost now.", f"sort_desc(max by (component) (omni_backup_rpo_seconds{{{c}}}))", {"component": "Component", "Value": "Age"}, steps=above(86400, 172800)),
        table("RTO", "s", "How long the last drill took. Goal: under five minutes.", f"sort_desc(max by (component) (omni_backup_rto_seconds{{{c}}}))", {"component": "Component", "Value": "Took"}, steps=above(300, 900)),
        table("Last drill", "s", "How long ago a restore succeeded.", f"sort_desc(time() - max by (component) (omni_drill_last_success_timestamp_seconds{{{c}}}))", {"component": "Component", "Value": "Ago"}, steps=above(30 * 86400, 35 * 86400)),
    )
    page.row(
        "Course",
        graph("Runs", "short", "Per hour, by outcome.", (f"sum by (outcome) (increase(omni_backup_runs_total{{{c}}}[1h]))", "{{outcome}}"), stacked=True),
        graph("Age of the newest backup", "s", "A saw is right; a line that goes on rising is not.", (f"time() - max by (component) (omni_backup_last_success_timestamp_seconds{{{c}}})", "{{component}}")),
        graph("Age of the newest check", "s", "Per repository: when its data was last read and compared.", ("time() - max by (repository) (omni_backup_last_check_timestamp_seconds)", "{{repository}}"), steps=above(7 * 86400, 8 * 86400)),
    )
    page.row(
        "Repositories' server",
        stat("rest-server", "none", "Whether it can be scraped, on the worst host.", ('min(up{job="restic-rest-server"})', "up"), steps=GOOD_IS_ONE, mappings=UP_DOWN, height=8),
        graph("Written", "Bps", "By repository.", (f'sum by (repo) (rate(rest_server_blob_write_bytes_total{{job="restic-rest-server"}}[{RATE}]))', "{{repo}}")),
        graph("Read", "Bps", "By repository: restores, checks and drills.", (f'sum by (repo) (rate(rest_server_blob_read_bytes_total{{job="restic-rest-server"}}[{RATE}]))', "{{repo}}")),
        graph("Deleted blobs", "short", "Locks aside, an append-only server deletes nothing: each one is an alarm.", ('sum by (repo, type) (increase(rest_server_blob_delete_total{job="restic-rest-server", type!="locks"}[1h]))', "{{repo}} {{type}}"), steps=GOOD_IS_ZERO),
    )
    page.row(
        "ClickHouse backup",
        stat("Create", "none", "Status of the last one: 0 failed, 1 done, 2 unknown.", ('min(clickhouse_backup_last_create_status{job="clickhouse-backup"})', "create"), steps=[(None, "red"), (1, "green"), (2, "orange")]),
        stat("Upload", "none", "Status of the last one: 0 failed, 1 done, 2 unknown.", ('min(clickhouse_backup_last_upload_status{job="clickhouse-backup"})', "upload"), steps=[(None, "red"), (1, "green"), (2, "orange")]),
        stat("Restore", "none", "Status of the last one: 0 failed, 1 done, 2 unknown.", ('min(clickhouse_backup_last_restore_status{job="clickhouse-backup"})', "restore"), steps=[(None, "red"), (1, "green"), (2, "orange")]),
        stat("Local backups", "bytes", "Room that they take beside the data.", ('max(clickhouse_backup_local_data_size{job="clickhouse-backup"})', "size")),
    )
    return page
