"""Git, pipelines, registry, workspaces, updates."""

from __future__ import annotations

from panels import GOOD_IS_ZERO, WATCH_ABOVE_ZERO, Dashboard, above, graph, stat

from topics._component import RATE, page, quantiles

FOLDER = "Delivery"


def pages() -> list[Dashboard]:
    return [gitea(), woodpecker(), registry(), coder(), watchtower()]


def gitea() -> Dashboard:
    return page(
        "omni-gitea", "Gitea", FOLDER, "gitea", "gitea", "Repositories, people, issues and the process behind them.", tags=("git",), links=("omni-woodpecker", "omni-postgresql", "omni-backups"),
        rows=[
            ("Contents", (
                stat("Repositories", "short", "All repositories of the server.", ("max(gitea_repositories{@})", "repositories")),
                stat("People", "short", "Accounts of people and bots.", ("max(gitea_users{@})", "people")),
                stat("Open issues", "short", "In all repositories.", ("max(gitea_issues_open{@})", "issues")),
                stat("Mirrors", "short", "Repositories that follow another.", ("max(gitea_mirrors{@})", "mirrors")),
            )),
            ("Process", (
                graph("CPU", "short", "Cores that the process uses.", (f"rate(process_cpu_seconds_total{{@}}[{RATE}])", "{{instance}}")),
                graph("Memory", "bytes", "Resident.", ("process_resident_memory_bytes{@}", "{{instance}}")),
                graph("Open files", "percentunit", "Of those allowed.", ("process_open_fds{@} / process_max_fds{@}", "{{instance}}"), steps=above(0.7, 0.9)),
                graph("Goroutines", "short", "A steady rise is a leak.", ("go_goroutines{@}", "{{instance}}")),
            )),
            ("Growth", (
                graph("Issues", "short", "Open and closed.", ("max(gitea_issues_open{@})", "open"), ("max(gitea_issues_closed{@})", "closed")),
                graph("Releases", "short", "Published releases.", ("max(gitea_releases{@})", "releases")),
                graph("Attachments", "short", "Files in issues and releases.", ("max(gitea_attachments{@})", "attachments")),
            )),
        ],
    )


def woodpecker() -> Dashboard:
    return page(
        "omni-woodpecker", "Woodpecker", FOLDER, "woodpecker-server", "woodpecker-server|woodpecker-agent", "Pipelines: what waits, what runs, who works.", tags=("ci",), covers=("woodpecker-server",), links=("omni-gitea", "omni-private-registry"),
        rows=[
            ("Queue", (
                stat("Agents", "short", "Workers connected. None: everything waits.", ("max(woodpecker_worker_count{@})", "agents"), steps=[(None, "red"), (1, "green")], height=8),
                graph("Steps", "short", "Running, waiting for a worker, waiting for another step.", ("max(woodpecker_running_steps{@})", "running"), ("max(woodpecker_pending_steps{@})", "pending"), ("max(woodpecker_waiting_steps{@})", "waiting")),
                graph("Pipelines", "short", "Ended per hour, by outcome.", ("sum by (status) (increase(woodpecker_pipeline_count{@, pipeline=\"total\"}[1h]))", "{{status}}"), stacked=True),
                graph("Duration", "s", "Of the last pipeline of each repository.", ("topk(10, max by (repo) (woodpecker_pipeline_time{@, pipeline=\"total\"}))", "{{repo}}"), steps=above(1200, 3600)),
            )),
        ],
    )


def registry() -> Dashboard:
    return page(
        "omni-private-registry", "Private registry", FOLDER, "private-registry", "private-registry", "Image pulls and pushes, and the storage behind them.", tags=("registry",), links=("omni-woodpecker", "omni-minio"),
        rows=[
            ("Requests", (
                graph("By status", "reqps", "401 is the start of every login, not an attack.", (f"sum by (code) (rate(registry_http_requests_total{{@}}[{RATE}]))", "{{code}}"), stacked=True),
                graph("Duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("registry_http_request_duration_seconds"), steps=above(5, 30)),
                graph("In flight", "short", "Pulls and pushes at this moment.", ("sum(registry_http_in_flight_requests{@})", "requests")),
            )),
            ("Storage", (
                graph("Calls", "ops", "By action.", (f"sum by (action) (rate(registry_storage_action_seconds_count{{@}}[{RATE}]))", "{{action}}"), stacked=True),
                graph("Duration of calls", "s", "95th percentile by action.", (f"histogram_quantile(0.95, sum by (le, action) (rate(registry_storage_action_seconds_bucket{{@}}[{RATE}])))", "{{action}}"), steps=above(1, 5)),
            )),
        ],
    )


def coder() -> Dashboard:
    return page(
        "omni-coder", "Coder", FOLDER, "coder", "coder", "Workspaces: builds, provisioners and the API.", tags=("workspaces",), links=("omni-capacity", "omni-postgresql"),
        rows=[
            ("Builds", (
                stat("Provisioners", "short", "Daemons that build workspaces.", ("sum(coderd_provisionerd_num_daemons{@})", "daemons"), steps=[(None, "red"), (1, "green")], height=8),
                graph("Builds", "short", "Per hour, by outcome.", ("sum by (status) (increase(coderd_workspace_builds_total{@}[1h]))", "{{status}}"), stacked=True),
                graph("Failed by template", "short", "Per hour. One template: its author; all: the hosts.", ('sum by (template_name) (increase(coderd_workspace_builds_total{@, status="failed"}[1h]))', "{{template_name}}"), steps=WATCH_ABOVE_ZERO),
                graph("Jobs at work", "short", "Of the provisioners.", ("sum(coderd_provisionerd_jobs_current{@})", "jobs")),
            )),
            ("API", (
                graph("Requests", "reqps", "By status.", (f"sum by (code) (rate(coderd_api_requests_processed_total{{@}}[{RATE}]))", "{{code}}"), stacked=True),
                graph("Duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("coderd_api_request_latencies_seconds"), steps=above(1, 3)),
            )),
        ],
    )


def watchtower() -> Dashboard:
    return page(
        "omni-watchtower", "Watchtower", FOLDER, "watchtower|watchtower-fork", "watchtower|watchtower-fork", "Only in monitor mode: it says which images have newer versions; omni does the updates.", tags=("updates",),
        rows=[
            ("Last scan", (
                stat("Looked at", "short", "Containers.", ("max(watchtower_containers_scanned{@})", "containers")),
                stat("Updated", "short", "Must stay zero: updates are omni's.", ("max(watchtower_containers_updated{@})", "containers"), steps=GOOD_IS_ZERO),
                stat("Failed", "short", "Containers whose image could not be checked.", ("max(watchtower_containers_failed{@})", "containers"), steps=WATCH_ABOVE_ZERO),
                stat("Scans in a day", "short", "None: it does not look.", ("sum(increase(watchtower_scans_total{@}[1d]))", "scans"), steps=[(None, "orange"), (1, "green")]),
            )),
        ],
    )
