#!/usr/bin/env bash
# Brings the monitoring stack into its wanted state and checks it from end to end.
#
#   scripts/init.sh           reload Prometheus and Alertmanager, wait until all is ready, then every check
#   scripts/init.sh --check   the checks only; changes nothing
#   scripts/init.sh --token   also makes the service account `omni` in Grafana; its token goes to secrets/grafana_omni_token
#
# May run as often as you like. Exit: 0 all well, 1 a check failed, 2 wrong use.
# Each of these can be set in the environment:
#   PROMETHEUS_API     http://127.0.0.1:9090      ALERTMANAGER_API   http://127.0.0.1:9093
#   GRAFANA_API        http://127.0.0.1:3000      WAIT               180, seconds to wait for what starts up
#   RULES_DIR, ALERTMANAGER_FILE, DASHBOARDS_DIR  the files of this checkout
#   SECRETS_DIR        ./secrets                  ENV_FILE           ./.env
#   RELOAD             a command that is given `prometheus` or `alertmanager`; default: SIGHUP to the container
#   MUST_BE_UP         components that have to answer; the others are reported
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
repo=$(cd "$here/../.." && pwd)
PROMETHEUS_API=${PROMETHEUS_API:-http://127.0.0.1:9090}
ALERTMANAGER_API=${ALERTMANAGER_API:-http://127.0.0.1:9093}
GRAFANA_API=${GRAFANA_API:-http://127.0.0.1:3000}
WAIT=${WAIT:-180}
RULES_DIR=${RULES_DIR:-$repo/alerts/prometheus}
ALERTMANAGER_FILE=${ALERTMANAGER_FILE:-$repo/alerts/alertmanager/alertmanager.yml}
DASHBOARDS_DIR=${DASHBOARDS_DIR:-$repo/dashboards/grafana/json}
SECRETS_DIR=${SECRETS_DIR:-$here/secrets}
ENV_FILE=${ENV_FILE:-$here/.env}
RELOAD=${RELOAD:-}
MUST_BE_UP=${MUST_BE_UP:-prometheus alertmanager grafana blackbox-exporter node-exporter cadvisor}
# Variables of .env whose value lies in a secret file of the same name in lower case.
SECRET_VARIABLES="PROMETHEUS_PASSWORD GRAFANA_ADMIN_PASSWORD GRAFANA_SECRET_KEY GRAFANA_OAUTH_CLIENT_SECRET
POSTGRES_EXPORTER_PASSWORD BLACKBOX_BEARER_TOKEN MATTERMOST_WEBHOOK_URL OMNI_WEBHOOK_TOKEN SMTP_PASSWORD"

say() { printf '%s\n' "$*"; }
warn() { printf 'monitoring: warning: %s\n' "$*" >&2; }
fail() { printf 'monitoring: %s\n' "$*" >&2; exit 1; }

changing=true
token=false
for argument in "$@"; do
  case $argument in
    --check) changing=false ;;
    --token) token=true ;;
    *) printf 'usage: %s [--check | --token]\n' "$0" >&2; exit 2 ;;
  esac
done
if ! $changing && $token; then
  printf '%s: --check changes nothing, --token makes a token: one of them\n' "$0" >&2
  exit 2
fi
for tool in curl jq; do command -v "$tool" >/dev/null || fail "$tool is missing; install it (apt-get install $tool)"; done

# --- Secrets --------------------------------------------------------------------------------------------------------------
# setup.sh makes a secret file once. A value that was changed in .env afterwards would be believed and not be used.
env_value() { if [ -f "$ENV_FILE" ]; then sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1; fi; }
for name in $SECRET_VARIABLES; do
  file=$SECRETS_DIR/${name,,}
  [ -f "$file" ] || continue
  value=$(env_value "$name")
  [ -z "$value" ] || [ "$value" = "$(cat "$file")" ] ||
    fail "$name in .env is not what lies in secrets/${name,,}. Delete that file, run deploy/setup.sh --only monitoring, and this again"
done
secret() {
  [ -s "$SECRETS_DIR/$1" ] || fail "secrets/$1 is missing or empty; deploy/setup.sh --only monitoring makes it from .env"
  cat "$SECRETS_DIR/$1"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 700 "$work"
# Passwords go to curl by file: arguments of a process can be read by everybody on the host.
prometheus_password=$(secret prometheus_password)
grafana_password=$(secret grafana_admin_password)
grafana_user=${GRAFANA_ADMIN_USER:-$(env_value GRAFANA_ADMIN_USER)}
printf 'user = "omni:%s"\n' "$prometheus_password" >"$work/prometheus"
printf 'user = "%s:%s"\n' "${grafana_user:-admin}" "$grafana_password" >"$work/grafana"
: >"$work/alertmanager"

body=$work/body
# ask WHO METHOD URL [curl options]: the answer goes to $body, its status to $status; 000 when nobody answers.
ask() {
  local who=$1 method=$2 url=$3
  shift 3
  : >"$body"
  status=$(curl -sS --max-time 30 -K "$work/$who" -o "$body" -w '%{http_code}' -X "$method" "$@" "$url" 2>"$work/error") || status=000
}
answer() { head -c 300 "$body" | tr '\n' ' '; }

# until_true SECONDS COMMAND...: tries each second.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 1
  done
}
is_200() { ask "$@"; [ "$status" = 200 ]; }
# Wrong passwords do not get better by waiting.
ready() { is_200 "$@" || [ "$status" = 401 ] || [ "$status" = 403 ]; }

# A look does not wait for what starts up.
if ! $changing && [ "$WAIT" -gt 5 ]; then WAIT=5; fi

# --- Prometheus: ready, reloaded ------------------------------------------------------------------------------------------
until_true "$WAIT" ready prometheus GET "$PROMETHEUS_API/-/ready" ||
  fail "Prometheus at $PROMETHEUS_API is not ready (status $status $(cat "$work/error")). Look at: docker logs omni-prometheus-config omni-prometheus-check omni-prometheus"
[ "$status" = 200 ] || fail "Prometheus turns our password away (status $status): secrets/prometheus_password is not the one in web.yml. Run: docker compose up -d prometheus-config"
say "prometheus: ready"

reload() {
  if [ -n "$RELOAD" ]; then $RELOAD "$1"; else docker kill --signal HUP "omni-$1" >/dev/null; fi ||
    fail "cannot reload $1: is omni-$1 running?"
}
# The values of one own metric.
own_metric() {
  ask "$1" GET "$2/metrics"
  [ "$status" = 200 ] || fail "$1 at $2 does not show its metrics (status $status)"
  sed -n "s/^$3 //p" "$body"
}
# reloaded WHO URL PREFIX BEFORE: done when it tried, well or badly, after the signal.
reload_count() { own_metric "$1" "$2" "$3_config_last_reload_success_timestamp_seconds"; }
reload_state() { own_metric "$1" "$2" "$3_config_last_reload_successful"; }
reload_settled() {
  [ "$(reload_state "$1" "$2" "$3")" = 0 ] || [ "$(reload_count "$1" "$2" "$3")" != "$4" ]
}
if $changing; then
  before=$(reload_count prometheus "$PROMETHEUS_API" prometheus)
  was=$(reload_state prometheus "$PROMETHEUS_API" prometheus)
  reload prometheus
  if [ "$was" = 1 ]; then
    until_true 60 reload_settled prometheus "$PROMETHEUS_API" prometheus "$before" ||
      fail "Prometheus did not take the reload within a minute. Look at: docker logs omni-prometheus"
  else
    # It was broken before: only a success can be told from the old failure.
    good_again() { [ "$(reload_state prometheus "$PROMETHEUS_API" prometheus)" = 1 ]; }
    until_true 15 good_again || true
  fi
fi
[ "$(reload_state prometheus "$PROMETHEUS_API" prometheus)" = 1 ] ||
  fail "Prometheus refuses the configuration or a rule file and goes on with the old one. It says which line: docker logs --tail 20 omni-prometheus; or: promtool check rules $RULES_DIR/*.yml"
say "prometheus: configuration loaded"

# --- Rules ------------------------------------------------------------------------------------------------------------------
ask prometheus GET "$PROMETHEUS_API/api/v1/rules"
[ "$status" = 200 ] || fail "Prometheus does not list its rules (status $status: $(answer))"
cp "$body" "$work/rules.json"
jq -r '.data.groups[].file | split("/") | last' "$work/rules.json" | sort -u >"$work/loaded"
find "$RULES_DIR" -maxdepth 1 -type f -name '*.yml' -printf '%f\n' | sort -u >"$work/wanted"
[ -s "$work/wanted" ] || fail "$RULES_DIR holds no rule file (*.yml); the alerts of the platform live there"
missing=$(comm -13 "$work/loaded" "$work/wanted" | tr '\n' ' ')
[ -z "$missing" ] || fail "Prometheus has not loaded: $missing(wanted from $RULES_DIR). A rule file without groups, or the folder is not mounted at /etc/prometheus/rules"
broken=$(jq -r '[.data.groups[].rules[] | select(.health == "err") | "\(.name): \(.lastError)"] | first // empty' "$work/rules.json")
[ -z "$broken" ] || fail "a rule fails when it is evaluated: $broken"
say "prometheus: $(jq '[.data.groups[].rules[]] | length' "$work/rules.json") rules from $(wc -l <"$work/loaded") files"

# --- Targets ----------------------------------------------------------------------------------------------------------------
ask prometheus GET "$PROMETHEUS_API/api/v1/status/config"
[ "$status" = 200 ] || fail "Prometheus does not show its configuration (status $status: $(answer))"
jq -r .data.yaml "$body" | sed -n 's/^- job_name: *//p' | tr -d '"' | sort -u >"$work/jobs"
targets_known() {
  is_200 prometheus GET "$PROMETHEUS_API/api/v1/targets" || return 1
  cp "$body" "$work/targets.json"
  jq -r '.data.activeTargets[].scrapePool' "$work/targets.json" | sort -u >"$work/pools"
  # What comes from discovery may rightly be empty.
  empty=$(comm -23 "$work/jobs" "$work/pools" | grep -v '^omni-containers' | tr '\n' ' ')
  [ -z "$empty" ] || return 1
  # Everything was scraped once.
  jq -e '[.data.activeTargets[] | select(.health == "unknown")] | length == 0' "$work/targets.json" >/dev/null
}
empty=
until_true "$WAIT" targets_known || {
  [ -z "$empty" ] || fail "jobs without a target: $empty. Prometheus has the job and nothing to ask: see Status > Service discovery"
  warn "not scraped yet: $(jq -r '[.data.activeTargets[] | select(.health == "unknown") | .labels.instance] | unique | join(" ")' "$work/targets.json")"
}
down=$(jq -r '[.data.activeTargets[] | select(.health == "down")] | unique_by(.labels.job, .labels.instance)[] | "\(.labels.job)\t\(.labels.instance)\t\(.lastError)"' "$work/targets.json")
while IFS=$'\t' read -r job instance error; do
  [ -n "$job" ] || continue
  case " $MUST_BE_UP " in
    *" $job "*) fail "$job ($instance) cannot be scraped: $error" ;;
    *) warn "$job ($instance) cannot be scraped: $error" ;;
  esac
done <<<"$down"
for job in $MUST_BE_UP; do
  jq -e --arg job "$job" '[.data.activeTargets[] | select(.labels.job == $job and .health == "up")] | length > 0' "$work/targets.json" >/dev/null ||
    fail "$job is not scraped: no target of that job is up"
done
say "prometheus: $(jq '[.data.activeTargets[] | select(.health == "up")] | length' "$work/targets.json") of $(jq '.data.activeTargets | length' "$work/targets.json") targets up, $(wc -l <"$work/jobs") jobs"
# Newer Prometheus can be told to forget what was dropped; then there is nothing to count.
unpublished=$(jq '[.data.droppedTargets[]? | .discoveredLabels | select(.__meta_omni_published == "false" and .__meta_omni_container_label_omni_quantum_scrape != "static") | "\(.omni_host)/\(.omni_container)"] | unique | length' "$work/targets.json")
[ "$unpublished" = 0 ] || warn "$unpublished containers on other hosts want to be scraped and publish no port: README.md, \"Other hosts\""

# --- Alertmanager -------------------------------------------------------------------------------------------------------------
until_true "$WAIT" is_200 alertmanager GET "$ALERTMANAGER_API/-/ready" ||
  fail "Alertmanager at $ALERTMANAGER_API is not ready (status $status). Look at: docker logs omni-alertmanager"
if $changing; then
  before=$(reload_count alertmanager "$ALERTMANAGER_API" alertmanager)
  reload alertmanager
  until_true 20 reload_settled alertmanager "$ALERTMANAGER_API" alertmanager "$before" || true
fi
[ "$(reload_state alertmanager "$ALERTMANAGER_API" alertmanager)" = 1 ] ||
  fail "Alertmanager refuses its configuration and goes on with the old one: docker logs --tail 20 omni-alertmanager; or: amtool check-config $ALERTMANAGER_FILE"
[ -f "$ALERTMANAGER_FILE" ] || fail "$ALERTMANAGER_FILE is missing: the routes of the alerts live there"
# Names directly under `receivers:`, with or without quotes, in block or flow form.
awk '/^receivers:/ { on = 1; next } on && /^[^ #-]/ { on = 0 }
     on && match($0, /^ *- *\{? *name: */) { name = substr($0, RSTART + RLENGTH); sub(/[,}#].*/, "", name); gsub(/["\x27 ]/, "", name); print name }' \
  "$ALERTMANAGER_FILE" | sort -u >"$work/wanted"
[ -s "$work/wanted" ] || fail "$ALERTMANAGER_FILE names no receiver"
ask alertmanager GET "$ALERTMANAGER_API/api/v2/receivers"
[ "$status" = 200 ] || fail "Alertmanager does not list its receivers (status $status: $(answer))"
jq -r '.[].name' "$body" | sort -u >"$work/loaded"
missing=$(comm -13 "$work/loaded" "$work/wanted" | tr '\n' ' ')
[ -z "$missing" ] || fail "Alertmanager has not these receivers: $missing. It runs with another file than $ALERTMANAGER_FILE"
connected() {
  is_200 prometheus GET "$PROMETHEUS_API/api/v1/alertmanagers" && jq -e '.data.activeAlertmanagers | length > 0' "$body" >/dev/null
}
until_true "$WAIT" connected || fail "Prometheus knows no Alertmanager: its alerts would reach nobody"
say "alertmanager: ready, receivers $(tr '\n' ' ' <"$work/wanted")"

# --- Grafana --------------------------------------------------------------------------------------------------------------------
until_true "$WAIT" is_200 grafana GET "$GRAFANA_API/api/health" ||
  fail "Grafana at $GRAFANA_API is not up (status $status). Look at: docker logs omni-grafana"
[ "$(jq -r .database "$body" 2>/dev/null)" = ok ] || fail "Grafana runs, its database does not: $(answer)"
ask grafana GET "$GRAFANA_API/api/org"
[ "$status" != 401 ] || fail "Grafana turns ${grafana_user:-admin} away. The password is set at the first start only; later: docker exec omni-grafana grafana cli admin reset-admin-password"
[ "$status" = 200 ] || fail "Grafana does not answer for ${grafana_user:-admin} (status $status: $(answer))"

for uid in prometheus alertmanager loki; do
  ask grafana GET "$GRAFANA_API/api/datasources/uid/$uid"
  [ "$status" = 200 ] || fail "Grafana has no datasource with the uid $uid (status $status): are config/grafana/provisioning/datasources and ../logs/config/grafana mounted? docker logs omni-grafana"
done
ask grafana GET "$GRAFANA_API/api/datasources/uid/prometheus/health"
datasource_works() { [ "$status" = 200 ] && [ "$(jq -r .status "$body" 2>/dev/null)" = OK ]; }
datasource_works || fail "Grafana cannot ask Prometheus: $(answer)"
ask grafana GET "$GRAFANA_API/api/datasources/uid/loki/health"
if datasource_works; then
  say "grafana: datasources prometheus, loki and alertmanager"
else
  warn "Grafana cannot ask Loki; start the stack \`logs\`: $(answer)"
  say "grafana: datasources prometheus and alertmanager"
fi

find "$DASHBOARDS_DIR" -name '*.json' -exec jq -r .uid {} + 2>/dev/null | sort -u >"$work/wanted"
[ -s "$work/wanted" ] || fail "$DASHBOARDS_DIR holds no dashboard; run: python3 dashboards/grafana/generate.py"
dashboards_there() {
  is_200 grafana GET "$GRAFANA_API/api/search?type=dash-db&limit=5000" || return 1
  jq -r '.[].uid' "$body" | sort -u >"$work/loaded"
  missing=$(comm -13 "$work/loaded" "$work/wanted" | tr '\n' ' ')
  [ -z "$missing" ]
}
missing=
# Grafana looks into the folder each 30 seconds.
wait_for_dashboards=60
$changing || wait_for_dashboards=1
until_true "$wait_for_dashboards" dashboards_there ||
  fail "Grafana lacks dashboards: ${missing:-all of them (status $status)}. docker logs omni-grafana says what it did not like"
say "grafana: $(wc -l <"$work/wanted") dashboards"

# --- The service account of omni --------------------------------------------------------------------------------------------------
# For what omni does in Grafana: annotations of deploys and failovers. Editor, not Admin.
if $token; then
  file=$SECRETS_DIR/grafana_omni_token
  works() {
    [ -s "$file" ] || return 1
    printf 'header = "Authorization: Bearer %s"\n' "$(cat "$file")" >"$work/omni"
    is_200 omni GET "$GRAFANA_API/api/org"
  }
  if works; then
    say "grafana: the token in secrets/grafana_omni_token works"
  else
    ask grafana GET "$GRAFANA_API/api/serviceaccounts/search?query=omni&perpage=100"
    [ "$status" = 200 ] || fail "Grafana does not list service accounts (status $status: $(answer))"
    id=$(jq -r 'first(.serviceAccounts[] | select(.name == "omni") | .id) // empty' "$body")
    if [ -z "$id" ]; then
      ask grafana POST "$GRAFANA_API/api/serviceaccounts" -H 'Content-Type: application/json' -d '{"name":"omni","role":"Editor","isDisabled":false}'
      [ "$status" = 201 ] || fail "Grafana does not make the service account omni (status $status: $(answer))"
      id=$(jq -r .id "$body")
    fi
    # A name of its own each time: the old token, if somebody has it, goes on until it is deleted in Grafana.
    ask grafana POST "$GRAFANA_API/api/serviceaccounts/$id/tokens" -H 'Content-Type: application/json' -d "{\"name\":\"omni-$(date -u +%Y%m%dT%H%M%S)-$RANDOM\"}"
    [ "$status" = 200 ] || fail "Grafana gives the service account omni no token (status $status: $(answer))"
    (umask 077 && jq -r .key "$body" >"$file.new" && mv "$file.new" "$file")
    works || fail "the new token does not work (status $status: $(answer))"
    say "grafana: token of the service account omni in secrets/grafana_omni_token"
  fi
fi
say "monitoring: all well"
