#!/usr/bin/env bash
# Brings Uptime Kuma to what desired.json says, makes Prometheus' key, and checks the result.
#
#   scripts/init.sh            do it; a second run finds nothing to do
#   scripts/init.sh --check    change nothing; fails when something would have to change
#   scripts/init.sh --dry-run  show what would change
#
# Exit: 0 all well, 1 failed or not as it should be, 2 wrong use. Values come from .env beside docker-compose.yml; what is
# set in the environment goes first.
#
#   KUMA_URL          http://127.0.0.1:3001          as this machine sees it
#   UPTIME_RUN        container: provision.mjs runs in omni-uptime-kuma; local: with this machine's node, KUMA_APP_DIR
#                     then names a folder in which uptime-kuma or socket.io-client is installed
#   METRICS_KEY_FILE  ../monitoring/secrets/scrape/uptime-kuma-metrics.password, where Prometheus looks for the credential
#                     named by the label prometheus.auth; secrets/… here when monitoring is not on this machine
#   WAIT              180 seconds for Uptime Kuma to answer
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() { printf 'uptime: %s\n' "$*" >&2; exit 1; }

mode=apply
case ${1:-} in
  "") ;;
  --check) mode=check ;;
  --dry-run) mode=dry-run ;;
  *) printf 'usage: %s [--check | --dry-run]\n' "$0" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { printf 'usage: %s [--check | --dry-run]\n' "$0" >&2; exit 2; }
command -v curl >/dev/null || fail "curl is missing; install it (apt-get install curl)"

names="KUMA_USER KUMA_PASSWORD KUMA_TOTP UPTIME_SELECT UPTIME_LEAVE UPTIME_WATCH_ROUTES OMNI_DOMAIN UPTIME_MATTERMOST_WEBHOOK
  UPTIME_MATTERMOST_CHANNEL UPTIME_OMNI_WEBHOOK UPTIME_OMNI_TOKEN UPTIME_ALLOW_UNKNOWN_VERSION"
env_file=${UPTIME_ENV_FILE:-$here/.env}
# .env is data, not a script: only the names above are taken, and a value is what stands behind the first "=".
for name in $names; do
  if [ -z "${!name+set}" ] && [ -f "$env_file" ]; then
    value=$(sed -n "s/^$name=//p" "$env_file" | tail -n 1)
    printf -v "$name" '%s' "$value"
  fi
  export "${name?}"
done

KUMA_URL=${KUMA_URL:-http://127.0.0.1:3001}
key_folder=$here/secrets
[ ! -d "$here/../monitoring" ] || key_folder=$here/../monitoring/secrets/scrape
METRICS_KEY_FILE=${METRICS_KEY_FILE:-$key_folder/uptime-kuma-metrics.password}
WAIT=${WAIT:-180}
[ -n "${KUMA_PASSWORD:-}" ] || fail "KUMA_PASSWORD is empty: copy .env.example to .env and give it one"

answers() { curl -fsS --max-time 5 -o /dev/null "$KUMA_URL/api/entry-page" 2>/dev/null; }
deadline=$((SECONDS + WAIT))
until answers; do
  [ "$SECONDS" -lt "$deadline" ] || fail "nobody answers at $KUMA_URL after $WAIT s. Look at: docker logs omni-uptime-kuma"
  sleep 1
done

provision() {
  if [ "${UPTIME_RUN:-container}" = local ]; then
    KUMA_URL=$KUMA_URL node "$here/provision/provision.mjs" "$@"
    return
  fi
  local flags=()
  # Names only: docker takes the values from this environment, so no secret stands in a process list.
  for name in $names; do flags+=(-e "$name"); done
  docker exec -i "${flags[@]}" -e KUMA_URL=http://127.0.0.1:3001 -e KUMA_APP_DIR=/app omni-uptime-kuma node /omni/provision/provision.mjs "$@"
}

# The key is a password: it goes to curl by its standard input, not by its arguments. grep reads to the end: with -q it
# would leave curl with a broken pipe, which counts as a failure here.
key_works() {
  [ -s "$METRICS_KEY_FILE" ] || return 1
  printf 'user = "prometheus:%s"\n' "$(cat "$METRICS_KEY_FILE")" |
    curl -fsS --max-time 10 -K - "$KUMA_URL/metrics" 2>/dev/null | grep '^# HELP monitor_status ' >/dev/null
}

if [ $mode != apply ]; then
  status=0
  provision --dry-run || status=$?
  [ $status = 0 ] || [ $status = 10 ] || exit 1
  [ $mode = dry-run ] && exit 0
  [ $status = 0 ] || fail "Uptime Kuma is not what desired.json says; scripts/init.sh brings it there"
  key_works || fail "the key in $METRICS_KEY_FILE does not open $KUMA_URL/metrics; scripts/init.sh makes a new one"
  echo "uptime: all well"
  exit 0
fi

provision
if key_works; then
  echo "metrics: the key in $METRICS_KEY_FILE works"
else
  folder=$(dirname "$METRICS_KEY_FILE")
  (umask 077 && mkdir -p "$folder")
  key=$(provision metrics-key)
  (umask 077 && printf '%s' "$key" >"$METRICS_KEY_FILE.new" && mv "$METRICS_KEY_FILE.new" "$METRICS_KEY_FILE")
  # Uptime Kuma does not look at the user name; Prometheus wants one.
  printf 'prometheus' >"${METRICS_KEY_FILE%.password}.user"
  # Prometheus reads both as its own user; secrets/ above is closed to everybody else.
  if [ "$(basename "$folder")" = scrape ]; then
    chmod 755 "$folder"
    chmod 444 "$METRICS_KEY_FILE" "${METRICS_KEY_FILE%.password}.user"
  fi
  key_works || fail "Uptime Kuma made a key and $KUMA_URL/metrics refuses it"
  echo "metrics: new key in $METRICS_KEY_FILE. If Prometheus runs on another machine, copy it and the .user file there"
fi
provision --dry-run >/dev/null || fail "Uptime Kuma changed again right after it was provisioned; is a second program provisioning it?"
echo "uptime: all well"
