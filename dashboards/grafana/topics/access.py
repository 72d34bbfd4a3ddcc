"""Who may come in: identity, secrets, proxy, intrusion detection; and mail."""

from __future__ import annotations

from panels import GOOD_IS_ONE, GOOD_IS_ZERO, WATCH_ABOVE_ZERO, YES_NO, Dashboard, above, below, graph, stat

from topics._component import RATE, page, quantiles

FOLDER = "Access"


def pages() -> list[Dashboard]:
    return [authentik(), openbao(), caddy(), traefik(), crowdsec(), postal()]


def authentik() -> Dashboard:
    return page(
        "omni-authentik", "Authentik", FOLDER, "authentik-server|authentik-worker", "authentik-server|authentik-worker", "Sign-on: requests, outposts and background tasks.", tags=("identity",), links=("omni-security", "omni-postgresql"),
        rows=[
            ("Requests", (
                graph("Requests", "reqps", "To the server.", (f"sum(rate(authentik_main_request_duration_seconds_count{{@}}[{RATE}]))", "requests")),
                graph("Duration", "s", "Half, 95 % and 99 % are faster. Everybody's login waits for it.", *quantiles("authentik_main_request_duration_seconds"), steps=above(1, 3)),
                stat("Outposts connected", "short", "Forward auth of the proxy needs its outpost.", ("max(authentik_outposts_connected{@})", "outposts"), steps=[(None, "orange"), (1, "green")], height=8),
            )),
            ("Tasks", (
                stat("Workers", "short", "Connected. None: no mail, no clean-up, no sync.", ("max(sum by (instance) (authentik_tasks_workers{@}))", "workers"), steps=[(None, "red"), (1, "green")], height=8),
                graph("Waiting", "short", "Tasks in the queue.", ("max by (queue_name) (authentik_tasks_queued{@})", "{{queue_name}}"), steps=above(50, 200)),
                graph("Tasks", "ops", "Done, and failed.", (f"sum(rate(authentik_tasks_total{{@}}[{RATE}]))", "done"), (f"sum(rate(authentik_tasks_errors_total{{@}}[{RATE}]))", "failed")),
            )),
        ],
    )


def openbao() -> Dashboard:
    return page(
        "omni-openbao", "OpenBao and Vault", FOLDER, "openbao|vault", "openbao|vault", "Secrets: sealed or not, who leads, Raft, leases and audit. OpenBao keeps Vault's metric names.", tags=("secrets",), links=("omni-security", "omni-backups"),
        rows=[
            ("State", (
                stat("Unsealed", "none", "A sealed server hands out nothing. It needs people with key shares.", ("min(vault_core_unsealed{@})", "unsealed"), steps=GOOD_IS_ONE, mappings=YES_NO),
                stat("Active servers", "short", "Exactly one of the group.", ("sum(vault_core_active{@})", "active"), steps=[(None, "red"), (1, "green"), (2, "red")]),
                stat("May be lost", "short", "Servers that the group can lose and go on.", ("min(vault_autopilot_failure_tolerance{@})", "servers"), steps=[(None, "red"), (1, "green")]),
                stat("Audit failures in an hour", "short", "A server that cannot write its audit log stops answering.", ("sum(increase(vault_audit_log_request_failure{@}[1h]))", "failures"), steps=GOOD_IS_ZERO),
            )),
            ("Work", (
                graph("Requests", "reqps", "Handled.", (f"sum by (instance) (rate(vault_core_handle_request_count{{@}}[{RATE}]))", "{{instance}}")),
                graph("Duration", "ms", "Mean time of a request.", (f"sum by (instance) (rate(vault_core_handle_request_sum{{@}}[{RATE}])) / sum by (instance) (rate(vault_core_handle_request_count{{@}}[{RATE}]))", "{{instance}}"), steps=above(200, 1000)),
                graph("Leases", "short", "Alive. A steady rise: somebody asks and never gives back.", ("max(vault_expire_num_leases{@})", "leases")),
                graph("Leadership lost", "short", "Per hour. Some while nothing was restarted: slow disk or network.", ("sum(increase(vault_core_leadership_lost_count{@}[1h]))", "lost"), steps=WATCH_ABOVE_ZERO),
            )),
        ],
    )


def caddy() -> Dashboard:
    return page(
        "omni-caddy", "Caddy", FOLDER, "caddy", "caddy", "The door: requests, errors and latency per site, and whether the upstreams answer.", tags=("proxy",), links=("omni-security", "omni-sla"),
        rows=[
            ("State", (
                stat("Errors", "percentunit", "Share of requests answered with 5xx.", ('sum(rate(caddy_http_request_duration_seconds_count{@, code=~"5.."}[5m])) / sum(rate(caddy_http_request_duration_seconds_count{@}[5m]))', "5xx"), steps=above(0.005, 0.02)),
                stat("Configuration", "none", "Whether the last reload was taken.", ("min(caddy_config_last_reload_successful{@})", "loaded"), steps=GOOD_IS_ONE, mappings={"0": ("refused", "red"), "1": ("loaded", "green")}),
                stat("Upstreams down", "short", "That a health check calls unhealthy.", ("count(caddy_reverse_proxy_upstreams_healthy{@} == 0) or vector(0)", "down"), steps=GOOD_IS_ZERO),
                stat("In flight", "short", "Requests that wait for an answer.", ("sum(caddy_http_requests_in_flight{@})", "requests"), steps=above(500, 2000)),
            )),
            ("Requests", (
                graph("By status", "reqps", "What was answered.", (f"sum by (code) (rate(caddy_http_request_duration_seconds_count{{@}}[{RATE}]))", "{{code}}"), stacked=True),
                graph("Duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("caddy_http_request_duration_seconds"), steps=above(1, 2.5)),
                graph("By server", "reqps", "Caddy's servers; a site has its name in the log.", (f"sum by (server) (rate(caddy_http_request_duration_seconds_count{{@}}[{RATE}]))", "{{server}}"), stacked=True),
                graph("Sent", "Bps", "Bodies of answers.", (f"sum by (server) (rate(caddy_http_response_size_bytes_sum{{@}}[{RATE}]))", "{{server}}")),
            )),
        ],
    )


def traefik() -> Dashboard:
    return page(
        "omni-traefik", "Traefik", FOLDER, "traefik", "traefik", "Where Traefik is used instead of Caddy.", tags=("proxy",), links=("omni-caddy", "omni-security"),
        rows=[
            ("Requests", (
                stat("Errors", "percentunit", "Share of requests answered with 5xx.", ('sum(rate(traefik_entrypoint_requests_total{@, code=~"5.."}[5m])) / sum(rate(traefik_entrypoint_requests_total{@}[5m]))', "5xx"), steps=above(0.005, 0.02), height=8),
                graph("By status", "reqps", "At the entry points.", (f"sum by (code) (rate(traefik_entrypoint_requests_total{{@}}[{RATE}]))", "{{code}}"), stacked=True),
                graph("Duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("traefik_entrypoint_request_duration_seconds"), steps=above(1, 2.5)),
                graph("By service", "reqps", "Who gets the requests.", (f"topk(10, sum by (service) (rate(traefik_service_requests_total{{@}}[{RATE}])))", "{{service}}"), stacked=True),
            )),
            ("Certificates and configuration", (
                stat("First certificate to end", "s", "Of those that Traefik holds.", ("min(traefik_tls_certs_not_after{@} - time())", "left"), steps=below(7 * 86400, 14 * 86400)),
                stat("Last good reload", "s", "How long ago.", ("max(time() - traefik_config_last_reload_success{@})", "ago")),
            )),
        ],
    )


def crowdsec() -> Dashboard:
    return page(
        "omni-crowdsec", "CrowdSec", FOLDER, "crowdsec", "crowdsec", "Bans, alerts, and whether its parsers understand what they read.", tags=("security",), links=("omni-security", "omni-caddy"),
        rows=[
            ("Decisions", (
                stat("Active", "short", "Bans and other decisions in force.", ("sum(cs_active_decisions{@})", "decisions")),
                stat("Lines understood", "percentunit", "Share of log lines that a parser knew. A fall after an upgrade: the format changed, and nobody watches.", ("sum(rate(cs_parser_hits_ok_total{@}[15m])) / sum(rate(cs_parser_hits_total{@}[15m]))", "parsed"), steps=below(0.5, 0.8)),
                stat("Bouncers that ask", "short", "Programs that enforce the decisions. None: bans are words.", ("count(sum by (bouncer) (rate(cs_lapi_bouncer_requests_total{@}[15m])) > 0) or vector(0)", "bouncers"), steps=[(None, "red"), (1, "green")]),
            )),
            ("Course", (
                graph("By origin", "short", "Own scenarios, lists, or set by hand.", ("sum by (origin) (cs_active_decisions{@})", "{{origin}}"), stacked=True),
                graph("Alerts", "short", "The ten scenarios that alarmed most.", ("topk(10, sum by (reason) (cs_alerts{@}))", "{{reason}}")),
                graph("Lines", "ops", "Read, understood and not.", (f"sum(rate(cs_parser_hits_ok_total{{@}}[{RATE}]))", "understood"), (f"sum(rate(cs_parser_hits_ko_total{{@}}[{RATE}]))", "not"), stacked=True),
                graph("API duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("cs_lapi_request_duration_seconds")),
            )),
        ],
    )


def postal() -> Dashboard:
    return page(
        "omni-postal", "Postal", FOLDER, "postal-smtp|postal-worker", "postal-smtp|postal-worker|postal-web", "Mail: sessions, errors, and how long messages wait.", tags=("mail",), covers=("postal-smtp", "postal-worker"), links=("omni-mariadb",),
        rows=[
            ("In", (
                graph("Connections", "cps", "From mail servers and programs.", (f"sum(rate(postal_smtp_server_connections_total{{@}}[{RATE}]))", "all"), (f"sum(rate(postal_smtp_server_tls_connections_total{{@}}[{RATE}]))", "encrypted")),
                graph("Refused by rule", "cps", "By error, such as a wrong password or an unknown recipient.", (f"sum by (error) (rate(postal_smtp_server_client_errors{{@}}[{RATE}]))", "{{error}}"), stacked=True),
                graph("Faults", "cps", "Exceptions of the server itself.", (f"sum by (type) (rate(postal_smtp_server_exceptions_total{{@}}[{RATE}]))", "{{type}}"), steps=GOOD_IS_ZERO),
            )),
            ("Out", (
                graph("Time in the queue", "s", "Half, 95 % and 99 % left sooner. Its largest bucket is ten seconds.", *quantiles("postal_message_queue_latency"), steps=above(5, 10)),
                graph("Errors of the worker", "cps", "By kind.", (f"sum by (error) (rate(postal_worker_errors{{@}}[{RATE}]))", "{{error}}"), steps=WATCH_ABOVE_ZERO),
                graph("Job duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("postal_worker_job_runtime")),
            )),
        ],
    )
