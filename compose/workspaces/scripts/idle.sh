#!/usr/bin/env bash
# Stops workspaces to which nobody was connected for WORKSPACE_IDLE_SECONDS. Run it every few minutes (README.md, "Idle").
#
#   scripts/idle.sh            stop them
#   scripts/idle.sh --check    only say which
#
# Exit: 0 done, 1 failed, 2 wrong use. A stopped workspace keeps its home; docker compose start workspace-<name> brings it back.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ENV_FILE=${WORKSPACES_ENV_FILE:-${WORKSPACES_DIR:-$here}/.env}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/scripts/lib.sh"

stop=yes
case ${1:-} in
  "") ;;
  --check) stop='' ;;
  *) printf 'usage: %s [--check]\n' "$0" >&2; exit 2 ;;
esac
limit=$(setting WORKSPACE_IDLE_SECONDS)
[[ ${limit:-0} =~ ^[0-9]+$ ]] || fail "WORKSPACE_IDLE_SECONDS is '$limit'; it is a number of seconds, 0 for never"
[ "${limit:-0}" -gt 0 ] || { say "WORKSPACE_IDLE_SECONDS is 0: nothing is stopped"; exit 0; }

now=$(date +%s)
status=0
for flavour in $(chosen); do
  [ "$flavour" != coder ] || continue
  container=omni-workspace-$flavour
  read -r state started < <(docker inspect --format '{{.State.Status}} {{.State.StartedAt}}' "$container" 2>/dev/null || echo "absent -")
  [ "$state" = running ] || continue
  # Who does not answer may just be starting: the health check tells people, this does not stop it.
  beat=$(curl -fsS --max-time 5 "$(url_of "$flavour")/healthz" 2>/dev/null | jq -er 'select(.status == "expired") | .lastHeartbeat / 1000 | floor' 2>/dev/null) || continue
  # Since its start, where nobody was connected yet.
  since=$(date -d "$started" +%s)
  [ "$beat" -lt "$since" ] || since=$beat
  [ $((now - since)) -ge "$limit" ] || continue
  say "$flavour: nobody for $(((now - since) / 60)) minutes${stop:+, stopping it}"
  [ -z "$stop" ] || docker stop "$container" >/dev/null || { printf 'workspaces: %s could not be stopped\n' "$container" >&2; status=1; }
done
exit $status
