#!/usr/bin/env bash
# Checks that the log stack works, end to end, and says what does not.
#
#   scripts/init.sh          wait until Loki and Alloy are ready, then all checks; writes two test lines
#   scripts/init.sh --check  the same without the wait and without writing
#
# Nothing has to be created in Loki: configuration and rules are files. So this script is all checks, and may run as
# often as you like. Exit: 0 all well, 1 a check failed, 2 wrong use.
#
#   LOKI_URL   http://127.0.0.1:3100   as this host sees Loki
#   ALLOY_URL  http://127.0.0.1:3500   Alloy's push API on this host; "-" on a machine without Alloy
#   WAIT       120                     seconds to wait for readiness and for a line to be found
#   RULES_DIR  alerts/loki of this checkout
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOKI_URL=${LOKI_URL:-http://127.0.0.1:3100}
ALLOY_URL=${ALLOY_URL:-http://127.0.0.1:3500}
WAIT=${WAIT:-120}
RULES_DIR=${RULES_DIR:-$here/../../alerts/loki}

say() { printf '%s\n' "$*"; }
fail() { printf 'logs: %s\n' "$*" >&2; exit 1; }

writing=true
case ${1:-} in
  "") ;;
  --check) writing=false; WAIT=1 ;;
  *) printf 'usage: %s [--check]\n' "$0" >&2; exit 2 ;;
esac
for tool in curl jq; do command -v "$tool" >/dev/null || fail "$tool is missing; install it (apt-get install $tool)"; done

body=$(mktemp)
trap 'rm -f "$body"' EXIT

# ask METHOD URL [curl options]: puts the answer into $body and the status into $status; 000 when nobody answers.
ask() {
  local method=$1 url=$2
  shift 2
  status=$(curl -sS --max-time 20 -o "$body" -w '%{http_code}' -X "$method" "$@" "$url" 2>/dev/null) || status=000
}

# until_true SECONDS COMMAND...: tries each second.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 1
  done
}

ready() { ask GET "$1/ready"; [ "$status" = 200 ]; }

until_true "$WAIT" ready "$LOKI_URL" ||
  fail "Loki at $LOKI_URL is not ready (status $status: $(head -c 200 "$body")). Look at: docker logs omni-loki"
say "loki: ready"

# --- Retention is on -----------------------------------------------------------------------------------------------------
# /config prints the configuration that runs, defaults included.
ask GET "$LOKI_URL/config"
[ "$status" = 200 ] || fail "Loki at $LOKI_URL does not show its configuration (status $status)"
grep -Eq '^ +retention_enabled: true' "$body" ||
  fail "retention is off: the compactor of the running Loki has retention_enabled: false, so nothing is ever deleted. Mount config/loki/loki.yaml and restart omni-loki"
grep -A3 -E '^ +retention_stream:' "$body" | grep 'security=' >/dev/null ||
  fail "the running Loki has no retention class for security=\"true\"; security events would go with the rest. Mount config/loki/loki.yaml and restart omni-loki"
say "loki: retention is on, with a class for security events"

# --- Rules are loaded ----------------------------------------------------------------------------------------------------
wanted=0
if [ -d "$RULES_DIR" ]; then
  wanted=$(find "$RULES_DIR" -maxdepth 1 -type f \( -name '*.yml' -o -name '*.yaml' \) -exec grep -hE '^ *- (alert|record):' {} + | wc -l)
fi
rules_loaded() {
  ask GET "$LOKI_URL/prometheus/api/v1/rules"
  [ "$status" = 200 ] || return 1
  loaded=$(jq '[.data.groups[]?.rules[]?] | length' "$body" 2>/dev/null) || return 1
  [ "$loaded" -ge "$wanted" ]
}
loaded=0
# The ruler looks at its folder once a minute.
until_true "$([ "$WAIT" -gt 1 ] && echo $((WAIT > 90 ? WAIT : 90)) || echo 1)" rules_loaded ||
  fail "the ruler has $loaded of the $wanted rules in $RULES_DIR (status $status). One bad file makes it skip all of them: docker logs omni-loki | grep -i rule"
[ "$wanted" -gt 0 ] || say "loki: no rules in $RULES_DIR"
unhealthy=$(jq -r '[.data.groups[]?.rules[]? | select(.health == "err") | .name] | join(", ")' "$body")
[ -z "$unhealthy" ] || fail "rules that Loki cannot evaluate: $unhealthy (see lastError in $LOKI_URL/prometheus/api/v1/rules)"
say "loki: $loaded rules loaded"

# --- A line comes through ------------------------------------------------------------------------------------------------
# push URL LINE LABELS: hands one line to a push API.
push() {
  local payload
  payload=$(jq -n --arg ts "$(date +%s%N)" --arg line "$2" --argjson labels "$3" '{streams: [{stream: $labels, values: [[$ts, $line]]}]}')
  ask POST "$1/loki/api/v1/push" -H 'Content-Type: application/json' --data-binary "$payload"
  [ "$status" = 204 ] || fail "$1 refused a test line with status $status: $(head -c 300 "$body")"
}
# found SELECTOR TEXT: is the text in the last hour of these streams?
found() {
  ask GET "$LOKI_URL/loki/api/v1/query_range" -G --data-urlencode "query=$1 |= \`$2\`" --data-urlencode "since=1h" --data-urlencode "limit=10"
  [ "$status" = 200 ] && [ "$(jq '[.data.result[].values[]] | length' "$body")" -ge 1 ]
}

if $writing; then
  stamp="logs-init $(date +%s)-$$"
  push "$LOKI_URL" "level=info msg=\"$stamp direct\"" '{"component":"logs-init","service":"logs-init","tier":"standard","level":"info","source":"push"}'
  until_true "$WAIT" found '{component="logs-init"}' "$stamp direct" ||
    fail "Loki took a line and does not find it again within $WAIT s (query_range status $status: $(head -c 200 "$body"))"
  say "loki: a line goes in and comes out"

  if [ "$ALLOY_URL" != - ]; then
    until_true "$WAIT" ready "$ALLOY_URL" ||
      fail "Alloy's push API at $ALLOY_URL is not ready (status $status). Look at: docker logs omni-alloy. On a machine without Alloy set ALLOY_URL=-"
    push "$ALLOY_URL" "level=warn msg=\"$stamp piped\" password=not-to-be-seen" '{"component":"logs-init","service":"logs-init"}'
    until_true "$WAIT" found '{component="logs-init", level="warn", tier="standard"}' "$stamp piped" ||
      fail "Alloy took a line and Loki does not have it within $WAIT s, with the labels that the pipeline sets. Look at: docker logs omni-alloy"
    if found '{component="logs-init"}' "not-to-be-seen"; then
      fail "a password came through Alloy in the clear: the running configuration is not config/alloy/config.alloy. Restart omni-alloy"
    fi
    say "alloy: a line comes through, labelled, its password removed"
  fi
fi
say "logs: all well"
