"""The watchers: Prometheus, Alertmanager, Grafana, Thanos, exporters, Loki, Alloy, Uptime Kuma."""

from __future__ import annotations

from panels import GOOD_IS_ONE, GOOD_IS_ZERO, WATCH_ABOVE_ZERO, Dashboard, above, bars, below, graph, stat, table

from topics._component import RATE, page, quantiles

FOLDER = "Observability"
LOADED = {"0": ("refused", "red"), "1": ("loaded", "green")}


def pages() -> list[Dashboard]:
    return [prometheus(), alertmanager(), grafana(), thanos(), loki(), alloy(), promtail(), blackbox(), uptime_kuma()]


def prometheus() -> Dashboard:
    return page(
        "omni-prometheus", "Prometheus", FOLDER, "prometheus", "prometheus", "Series, samples, targets, rules and alerts on their way; what costs most.", tags=("monitoring",), links=("omni-alertmanager", "omni-thanos"),
        rows=[
            ("State", (
                stat("Series", "short", "In the head block. Each costs about four kilobytes of memory.", ("sum(prometheus_tsdb_head_series{@})", "series"), steps=above(1e6, 2e6)),
                stat("Configuration", "none", "Whether the last reload was taken.", ("min(prometheus_config_last_reload_successful{@})", "loaded"), steps=GOOD_IS_ONE, mappings=LOADED),
                stat("Rule failures in an hour", "short", "Evaluations that ended with an error: an alert that cannot fire.", ("sum(increase(prometheus_rule_evaluation_failures_total{@}[1h]))", "failures"), steps=GOOD_IS_ZERO),
                stat("Alerts not delivered in an hour", "short", "Dropped on their way to Alertmanager.", ("sum(increase(prometheus_notifications_dropped_total{@}[1h]))", "alerts"), steps=GOOD_IS_ZERO),
            )),
            ("Ingest", (
                graph("Samples", "cps", "Taken in.", (f"sum by (instance) (rate(prometheus_tsdb_head_samples_appended_total{{@}}[{RATE}]))", "{{instance}}")),
                graph("Series", "short", "A step that stays: somebody added labels.", ("prometheus_tsdb_head_series{@}", "{{instance}}")),
                graph("Refused scrapes", "cps", "Above the sample limit, the label limits or the body limit.", (f"sum(rate(prometheus_target_scrapes_exceeded_sample_limit_total{{@}}[{RATE}]))", "samples"), (f"sum(rate(prometheus_target_scrapes_exceeded_body_size_limit_total{{@}}[{RATE}]))", "body"), (f"sum(rate(prometheus_target_scrape_pool_exceeded_label_limits_total{{@}}[{RATE}]))", "labels"), steps=GOOD_IS_ZERO),
                graph("Discovery failures", "cps", "omni's discovery could not be asked; the last list stays in use.", (f"sum(rate(prometheus_sd_http_failures_total{{@}}[{RATE}]))", "failures"), steps=WATCH_ABOVE_ZERO),
            )),
            ("What costs most", (
                bars("Samples by job", "short", "In one scrape of all its targets, the fifteen largest.", ("topk(15, sum by (job) (scrape_samples_post_metric_relabeling))", "{{job}}"), height=12),
                bars("New series by job", "short", "In an hour. Much for a job that does not grow: labels that change.", ("topk(15, sum by (job) (sum_over_time(scrape_series_added[1h])))", "{{job}}"), height=12),
                table("Slowest targets", "s", "Duration of the last scrape.", "topk(15, scrape_duration_seconds)", {"job": "Job", "instance": "Target", "Value": "Took"}, steps=above(3, 8), height=12),
            )),
            ("Queries, rules, disk", (
                graph("Query duration", "s", "90th and 99th percentile of evaluation.", ('max by (quantile) (prometheus_engine_query_duration_seconds{@, slice="inner_eval", quantile=~"0.9|0.99"})', "{{quantile}}"), steps=above(2, 10)),
                graph("Rule groups that are late", "cps", "Iterations missed because the one before was not done.", (f"sum by (rule_group) (rate(prometheus_rule_group_iterations_missed_total{{@}}[{RATE}]))", "{{rule_group}}"), steps=WATCH_ABOVE_ZERO),
                graph("On disk", "bytes", "Blocks, and the write-ahead log.", ("prometheus_tsdb_storage_blocks_bytes{@}", "blocks"), ("prometheus_tsdb_wal_storage_size_bytes{@}", "write-ahead log"), stacked=True),
                graph("Storage trouble", "cps", "Failed compactions and reloads, corruptions of the log.", (f"sum(rate(prometheus_tsdb_compactions_failed_total{{@}}[{RATE}]))", "compactions"), (f"sum(rate(prometheus_tsdb_reloads_failures_total{{@}}[{RATE}]))", "reloads"), (f"sum(rate(prometheus_tsdb_wal_corruptions_total{{@}}[{RATE}]))", "corruptions"), steps=GOOD_IS_ZERO),
            )),
        ],
    )


def alertmanager() -> Dashboard:
    return page(
        "omni-alertmanager", "Alertmanager", FOLDER, "alertmanager", "alertmanager", "Whether alerts reach people.", tags=("monitoring",), links=("omni-prometheus", "omni-loki"),
        rows=[
            ("State", (
                stat("Alerts", "short", "That it knows and are not resolved.", ('sum(alertmanager_alerts{@, state="active"})', "alerts")),
                stat("Silences", "short", "Active. Forgotten ones hide the next outage.", ('sum(alertmanager_silences{@, state="active"})', "silences"), steps=above(5, 20)),
                stat("Failed notifications in an hour", "short", "Nobody was told.", ("sum(increase(alertmanager_notifications_failed_total{@}[1h]))", "failed"), steps=GOOD_IS_ZERO),
                stat("Configuration", "none", "Whether the last reload was taken.", ("min(alertmanager_config_last_reload_successful{@})", "loaded"), steps=GOOD_IS_ONE, mappings=LOADED),
            )),
            ("Course", (
                graph("Notifications", "cps", "Sent, by kind of receiver.", (f"sum by (integration) (rate(alertmanager_notifications_total{{@}}[{RATE}]))", "{{integration}}")),
                graph("Failures", "cps", "By kind of receiver.", (f"sum by (integration) (rate(alertmanager_notifications_failed_total{{@}}[{RATE}]))", "{{integration}}"), steps=GOOD_IS_ZERO),
                graph("Duration", "s", "95th percentile, by kind of receiver.", (f"histogram_quantile(0.95, sum by (le, integration) (rate(alertmanager_notification_latency_seconds_bucket{{@}}[{RATE}])))", "{{integration}}"), steps=above(5, 15)),
                graph("Alerts", "short", "Alerts that it knows, by state.", ("sum by (state) (alertmanager_alerts{@})", "{{state}}"), stacked=True),
            )),
        ],
    )


def grafana() -> Dashboard:
    return page(
        "omni-grafana", "Grafana", FOLDER, "grafana", "grafana", "Requests, datasources and users of Grafana itself.", tags=("monitoring",), links=("omni-prometheus", "omni-loki"),
        rows=[
            ("Use", (
                stat("Dashboards", "short", "Provisioned and own.", ("max(grafana_stat_totals_dashboard{@})", "dashboards")),
                stat("Active people", "short", "In the last thirty days.", ("max(grafana_stat_active_users{@})", "people")),
                stat("Errors", "percentunit", "Share of requests answered with 5xx.", ('sum(rate(grafana_http_request_duration_seconds_count{@, status_code=~"5.."}[5m])) / sum(rate(grafana_http_request_duration_seconds_count{@}[5m]))', "5xx"), steps=above(0.01, 0.05)),
            )),
            ("Requests", (
                graph("By status", "reqps", "Answered.", (f"sum by (status_code) (rate(grafana_http_request_duration_seconds_count{{@}}[{RATE}]))", "{{status_code}}"), stacked=True),
                graph("Duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("grafana_http_request_duration_seconds"), steps=above(2, 10)),
                graph("Datasource queries", "reqps", "By datasource and status.", (f"sum by (datasource, code) (rate(grafana_datasource_request_total{{@}}[{RATE}]))", "{{datasource}} {{code}}"), stacked=True),
            )),
        ],
    )


def thanos() -> Dashboard:
    every = "thanos-sidecar|thanos-query|thanos-store|thanos-compact"
    return page(
        "omni-thanos", "Thanos", FOLDER, every, every, "Years of metrics: uploads, the bucket, and the compactor.", tags=("monitoring",), links=("omni-prometheus", "omni-minio"),
        rows=[
            ("State", (
                stat("Compactor halted", "none", "It stops for good at a block that it cannot believe, and the bucket grows until somebody looks.", ("max(thanos_compact_halted{@})", "halted"), steps=GOOD_IS_ZERO, mappings={"0": ("no", "green"), "1": ("yes", "red")}),
                stat("Last upload", "s", "By the sidecar. A block is made each two hours.", ('max(time() - thanos_objstore_bucket_last_successful_upload_time{@, job="thanos-sidecar"})', "ago"), steps=above(3 * 3600, 6 * 3600)),
                stat("Sidecar sees Prometheus", "none", "Whether the sidecar can ask it.", ("min(thanos_sidecar_prometheus_up{@})", "up"), steps=GOOD_IS_ONE, mappings={"0": ("no", "red"), "1": ("yes", "green")}),
                stat("Failed bucket calls", "percentunit", "Share of operations.", ("sum(rate(thanos_objstore_bucket_operation_failures_total{@}[15m])) / sum(rate(thanos_objstore_bucket_operations_total{@}[15m]))", "failed"), steps=above(0.01, 0.05)),
            )),
            ("Course", (
                graph("Bucket operations", "ops", "By part and operation.", (f"sum by (job, operation) (rate(thanos_objstore_bucket_operations_total{{@}}[{RATE}]))", "{{job}} {{operation}}")),
                graph("Failures", "ops", "By part and operation.", (f"sum by (job, operation) (rate(thanos_objstore_bucket_operation_failures_total{{@}}[{RATE}]))", "{{job}} {{operation}}"), steps=GOOD_IS_ZERO),
                graph("Query duration", "s", "Of the querier's HTTP: half, 95 % and 99 % are faster.", *quantiles("http_request_duration_seconds", selector='@, job="thanos-query"'), steps=above(5, 30)),
                graph("Compactions", "ops", "Done, and failed.", (f"sum(rate(thanos_compact_group_compactions_total{{@}}[{RATE}]))", "done"), (f"sum(rate(thanos_compact_group_compactions_failures_total{{@}}[{RATE}]))", "failed")),
            )),
        ],
    )


def loki() -> Dashboard:
    return page(
        "omni-loki", "Loki", FOLDER, "loki", "loki", "Lines in, lines refused, streams, queries and retention.", tags=("logs",), links=("omni-logs", "omni-alloy"),
        rows=[
            ("State", (
                stat("Refused lines in an hour", "short", "Too old, too fast, too many labels: they are gone.", ("sum(increase(loki_discarded_samples_total{@}[1h])) or vector(0)", "lines"), steps=GOOD_IS_ZERO),
                stat("Streams", "short", "Active. The limit is LOKI_MAX_STREAMS.", ("sum(loki_ingester_memory_streams{@})", "streams"), steps=above(7000, 9500)),
                stat("Last retention run", "s", "How long ago the compactor deleted what is too old.", ("max(time() - loki_compactor_apply_retention_last_successful_run_timestamp_seconds{@})", "ago"), steps=above(3 * 3600, 24 * 3600)),
                stat("Panics", "short", "In a day.", ("sum(increase(loki_panic_total{@}[1d])) or vector(0)", "panics"), steps=GOOD_IS_ZERO),
            )),
            ("Course", (
                graph("Lines", "cps", "Taken in.", (f"sum(rate(loki_distributor_lines_received_total{{@}}[{RATE}]))", "lines")),
                graph("Bytes", "Bps", "Taken in.", (f"sum(rate(loki_distributor_bytes_received_total{{@}}[{RATE}]))", "bytes")),
                graph("Refused", "cps", "By reason.", (f"sum by (reason) (rate(loki_discarded_samples_total{{@}}[{RATE}]))", "{{reason}}"), steps=GOOD_IS_ZERO),
                graph("Requests", "reqps", "By status.", (f"sum by (status_code) (rate(loki_request_duration_seconds_count{{@}}[{RATE}]))", "{{status_code}}"), stacked=True),
            )),
            ("Queries and memory", (
                graph("Duration by route", "s", "95th percentile, the eight slowest.", (f"topk(8, histogram_quantile(0.95, sum by (le, route) (rate(loki_request_duration_seconds_bucket{{@}}[{RATE}]))))", "{{route}}"), steps=above(5, 30)),
                graph("Chunks in memory", "short", "Not yet written out.", ("sum(loki_ingester_memory_chunks{@})", "chunks")),
                graph("Rule failures", "cps", "Log alerts that cannot fire.", (f"sum by (rule_group) (rate(loki_prometheus_rule_evaluation_failures_total{{@}}[{RATE}]))", "{{rule_group}}"), steps=GOOD_IS_ZERO),
            )),
        ],
    )


def alloy() -> Dashboard:
    return page(
        "omni-alloy", "Alloy", FOLDER, "alloy", "alloy", "The collector on each host: lines read, sent and lost.", tags=("logs",), links=("omni-logs", "omni-loki"),
        rows=[
            ("State", (
                stat("Hosts that collect", "short", "Hosts with an Alloy that answers.", ("count(up{@} == 1)", "hosts"), steps=[(None, "red"), (1, "green")]),
                stat("Lines lost in an hour", "short", "Given up after retries.", ("sum(increase(loki_write_dropped_entries_total{@}[1h]))", "lines"), steps=GOOD_IS_ZERO),
                stat("Parts that are not healthy", "short", "Components of its pipeline.", ('sum(alloy_component_controller_running_components{@, health_type!="healthy"}) or vector(0)', "parts"), steps=GOOD_IS_ZERO),
                stat("Configuration", "none", "Whether the last load worked.", ("min(alloy_config_last_load_successful{@})", "loaded"), steps=GOOD_IS_ONE, mappings=LOADED),
            )),
            ("Course", (
                graph("Sent", "cps", "By host.", (f"sum by (host) (rate(loki_write_sent_entries_total{{@}}[{RATE}]))", "{{host}}")),
                graph("Lost", "cps", "By host.", (f"sum by (host) (rate(loki_write_dropped_entries_total{{@}}[{RATE}]))", "{{host}}"), steps=GOOD_IS_ZERO),
                graph("Dropped on purpose", "cps", "By reason: noise, limits, health checks.", (f"sum by (reason) (rate(loki_process_dropped_lines_total{{@}}[{RATE}]))", "{{reason}}"), stacked=True),
                graph("Retries", "cps", "Loki was slow or away.", (f"sum by (host) (rate(loki_write_batch_retries_total{{@}}[{RATE}]))", "{{host}}"), steps=WATCH_ABOVE_ZERO),
            )),
        ],
    )


def promtail() -> Dashboard:
    return page(
        "omni-promtail", "Promtail", FOLDER, "promtail", "promtail", "Only where Alloy has not replaced it yet.", tags=("logs",), links=("omni-alloy", "omni-logs"),
        rows=[
            ("Course", (
                graph("Sent", "cps", "By host.", (f"sum by (instance) (rate(promtail_sent_entries_total{{@}}[{RATE}]))", "{{instance}}")),
                graph("Lost", "cps", "By host.", (f"sum by (instance) (rate(promtail_dropped_entries_total{{@}}[{RATE}]))", "{{instance}}"), steps=GOOD_IS_ZERO),
            )),
        ],
    )


def blackbox() -> Dashboard:
    return page(
        "omni-blackbox", "Probes", FOLDER, "blackbox-exporter", "blackbox-exporter", "All probes: what fails, how long they take, and where the time goes.", tags=("monitoring",), links=("omni-sla", "omni-security"),
        rows=[
            ("All probes", (
                table("Failing", "none", "Probes that fail at this moment.", 'min by (component, instance, module) (probe_success{job="blackbox"} == 0)', {"component": "Component", "instance": "Target", "module": "Module", "Value": "State"}, mappings={"0": ("fails", "red")}, steps=GOOD_IS_ONE),
                table("Slowest", "s", "Mean of the last five minutes.", 'topk(15, avg by (component, instance) (avg_over_time(probe_duration_seconds{job="blackbox"}[5m])))', {"component": "Component", "instance": "Target", "Value": "Takes"}, steps=above(1, 5)),
                table("HTTP status", "none", "Answers other than 200.", 'max by (component, instance) (probe_http_status_code{job="blackbox"} != 200)', {"component": "Component", "instance": "Target", "Value": "Status"}, steps=[(None, "orange"), (200, "green"), (400, "orange"), (500, "red")]),
            )),
            ("Where the time goes", (
                graph("HTTP by phase", "s", "Mean over all targets: name, connect, TLS, waiting, transfer.", ('avg by (phase) (probe_http_duration_seconds{job="blackbox"})', "{{phase}}"), stacked=True),
                graph("Name look-up", "s", "The ten slowest targets.", ('topk(10, max by (instance) (probe_dns_lookup_time_seconds{job="blackbox"}))', "{{instance}}"), steps=above(0.1, 1)),
                stat("Configuration", "none", "Whether the exporter took its last reload.", ("min(blackbox_exporter_config_last_reload_successful{@})", "loaded"), steps=GOOD_IS_ONE, mappings=LOADED, height=8),
            )),
        ],
    )


def uptime_kuma() -> Dashboard:
    return page(
        "omni-uptime-kuma", "Uptime Kuma", FOLDER, "uptime-kuma", "uptime-kuma", "The first opinion: its monitors, their answers and certificates.", tags=("monitoring",), links=("omni-sla", "omni-blackbox"),
        rows=[
            ("Monitors", (
                stat("Up", "short", "Monitors.", ("count(monitor_status{@} == 1) or vector(0)", "up")),
                stat("Down", "short", "Monitors.", ("count(monitor_status{@} == 0) or vector(0)", "down"), steps=GOOD_IS_ZERO),
                stat("Pending or in maintenance", "short", "Monitors that are not judged now.", ("count(monitor_status{@} > 1) or vector(0)", "others"), steps=WATCH_ABOVE_ZERO),
                stat("Certificates that are not valid", "short", "As the monitors see them.", ("count(monitor_cert_is_valid{@} == 0) or vector(0)", "certificates"), steps=GOOD_IS_ZERO),
            )),
            ("Course", (
                graph("Answer time", "ms", "The ten slowest monitors.", ("topk(10, max by (monitor_name) (monitor_response_time{@}))", "{{monitor_name}}"), steps=above(1000, 5000)),
                graph("State", "none", "0 down, 1 up, 2 pending, 3 maintenance.", ("min by (monitor_name) (monitor_status{@})", "{{monitor_name}}"), low=0, high=3),
                graph("Certificates: days left", "d", "The ten that end first.", ("bottomk(10, min by (monitor_name) (monitor_cert_days_remaining{@}))", "{{monitor_name}}"), steps=below(7, 14)),
            )),
        ],
    )
