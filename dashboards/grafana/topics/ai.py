"""AI gateway, model servers and workflow programs."""

from __future__ import annotations

from panels import WATCH_ABOVE_ZERO, Dashboard, above, graph, stat

from topics._component import RATE, page, quantiles

FOLDER = "AI and automation"


def pages() -> list[Dashboard]:
    return [litellm(), vllm(), n8n(), flowise()]


def litellm() -> Dashboard:
    return page(
        "omni-litellm", "LiteLLM", FOLDER, "litellm", "litellm", "The gateway to models: requests, failures, latency, tokens and cost.", tags=("ai",), links=("omni-vllm", "omni-gpu"),
        rows=[
            ("State", (
                stat("Failures", "percentunit", "Share of requests that failed for clients.", ("sum(rate(litellm_proxy_failed_requests_metric_total{@}[5m])) / sum(rate(litellm_proxy_total_requests_metric_total{@}[5m]))", "failed"), steps=above(0.02, 0.1)),
                stat("Deployments in trouble", "short", "Models whose backend partly or fully fails.", ("count(max by (litellm_model_name, api_base) (litellm_deployment_state{@}) > 0) or vector(0)", "deployments"), steps=WATCH_ABOVE_ZERO),
                stat("Tokens in the time shown", "short", "In and out.", ("sum(increase(litellm_total_tokens_metric_total{@}[$__range]))", "tokens")),
                stat("Cost in the time shown", "currencyUSD", "At the price list of LiteLLM; own models cost what you entered.", ("sum(increase(litellm_spend_metric_total{@}[$__range]))", "cost")),
            )),
            ("Requests", (
                graph("By model", "reqps", "As clients ask for it.", (f"sum by (requested_model) (rate(litellm_proxy_total_requests_metric_total{{@}}[{RATE}]))", "{{requested_model}}"), stacked=True),
                graph("Failures", "reqps", "By status; 429 is a limit, 5xx a backend.", (f"sum by (exception_status) (rate(litellm_proxy_failed_requests_metric_total{{@}}[{RATE}]))", "{{exception_status}}"), stacked=True),
                graph("Duration", "s", "Whole request: half, 95 % and 99 % are faster.", *quantiles("litellm_request_total_latency_metric"), steps=above(30, 120)),
                graph("First token", "s", "Of streamed answers.", *quantiles("litellm_llm_api_time_to_first_token_metric"), steps=above(2, 10)),
            )),
            ("Tokens and cost", (
                graph("Tokens in", "cps", "By model.", (f"sum by (model) (rate(litellm_input_tokens_metric_total{{@}}[{RATE}]))", "{{model}}"), stacked=True),
                graph("Tokens out", "cps", "By model.", (f"sum by (model) (rate(litellm_output_tokens_metric_total{{@}}[{RATE}]))", "{{model}}"), stacked=True),
                graph("Cost per hour", "currencyUSD", "By team.", ("sum by (team_alias) (increase(litellm_spend_metric_total{@}[1h]))", "{{team_alias}}"), stacked=True),
                graph("Backends", "reqps", "Answered and failed, by backend.", (f"sum by (api_base) (rate(litellm_deployment_success_responses_total{{@}}[{RATE}]))", "{{api_base}} done"), (f"sum by (api_base) (rate(litellm_deployment_failure_responses_total{{@}}[{RATE}]))", "{{api_base}} failed")),
            )),
        ],
    )


def vllm() -> Dashboard:
    return page(
        "omni-vllm", "vLLM", FOLDER, "vllm", "vllm", "Own models on own GPUs: queue, cache, tokens and latency.", tags=("ai", "gpu"), links=("omni-gpu", "omni-litellm"),
        rows=[
            ("Queue", (
                graph("Requests", "short", "At work, and waiting for room.", ("sum(vllm:num_requests_running{@})", "running"), ("sum(vllm:num_requests_waiting{@})", "waiting"), steps=above(20, 100)),
                graph("Cache of keys and values", "percentunit", "In use. Full: requests wait or are put back.", ("max by (model_name) (vllm:kv_cache_usage_perc{@})", "{{model_name}}"), steps=above(0.85, 0.95), high=1),
                graph("Put back", "cps", "Requests that lost their cache and start again.", (f"sum by (model_name) (rate(vllm:num_preemptions_total{{@}}[{RATE}]))", "{{model_name}}"), steps=WATCH_ABOVE_ZERO),
                graph("Finished", "reqps", "By reason: end of text, length, given up.", (f"sum by (finished_reason) (rate(vllm:request_success_total{{@}}[{RATE}]))", "{{finished_reason}}"), stacked=True),
            )),
            ("Speed", (
                graph("Tokens", "cps", "Read and written.", (f"sum(rate(vllm:prompt_tokens_total{{@}}[{RATE}]))", "read"), (f"sum(rate(vllm:generation_tokens_total{{@}}[{RATE}]))", "written")),
                graph("First token", "s", "Half, 95 % and 99 % came sooner.", *quantiles("vllm:time_to_first_token_seconds"), steps=above(2, 10)),
                graph("Between tokens", "s", "Half, 95 % and 99 % came sooner.", *quantiles("vllm:inter_token_latency_seconds"), steps=above(0.1, 0.3)),
                graph("Whole request", "s", "Half, 95 % and 99 % were faster.", *quantiles("vllm:e2e_request_latency_seconds")),
            )),
        ],
    )


def n8n() -> Dashboard:
    return page(
        "omni-n8n", "n8n", FOLDER, "n8n|n8n-worker", "n8n|n8n-worker", "Workflows: the queue between main program and workers, and how busy they are.", tags=("automation",), links=("omni-redis", "omni-postgresql"),
        rows=[
            ("Queue", (
                graph("Waiting", "short", "Executions that no worker has taken. A rise: more workers.", ("max(n8n_scaling_mode_queue_jobs_waiting{@})", "waiting"), steps=above(20, 100)),
                graph("At work", "short", "Executions that run.", ("max(n8n_scaling_mode_queue_jobs_active{@})", "active")),
                graph("Done and failed", "ops", "Executions a second.", (f"sum(rate(n8n_scaling_mode_queue_jobs_completed{{@}}[{RATE}]))", "done"), (f"sum(rate(n8n_scaling_mode_queue_jobs_failed{{@}}[{RATE}]))", "failed")),
                graph("Event loop lag", "s", "How long the program is deaf. Above a second a workflow computes too much in one go.", ("n8n_nodejs_eventloop_lag_seconds{@}", "{{instance}}"), steps=above(0.5, 1)),
            )),
        ],
    )


def flowise() -> Dashboard:
    return page(
        "omni-flowise", "Flowise", FOLDER, "flowise", "flowise", "Its own metrics are off unless ENABLE_METRICS is set, and their names vary; this page keeps to what is sure: scrape, probe, process and containers.", tags=("ai",), links=("omni-litellm", "omni-qdrant"),
        rows=[
            ("Scrape", (
                graph("Scrape duration", "s", "How long the program takes to answer; a first sign of a busy event loop.", ("scrape_duration_seconds{@}", "{{instance}}"), steps=above(2, 8)),
                graph("Samples", "short", "Number of metrics it hands out.", ("scrape_samples_scraped{@}", "{{instance}}")),
                graph("Probe duration", "s", "From outside.", ('probe_duration_seconds{job="blackbox", component="flowise"}', "{{instance}}"), steps=above(2, 10)),
            )),
        ],
    )
