#!/usr/bin/env bash
# Makes or joins the cluster with what this host runs, and checks the result. The containers are up and wait for it.
#
#   scripts/init.sh            do it; a second run finds nothing to do
#   scripts/init.sh --check    change nothing; fails when something is not as it should be
#   scripts/init.sh --invite   make tokens with which other hosts join, in secrets/invite/, good for a day
#
# Exit: 0 all well, 1 failed or not as it should be, 2 wrong use. Values come from .env beside docker-compose.yml; what is
# set in the environment goes first.
#
#   SECRETS_DIR      secrets             tokens: init.json and admin.token (may do everything), viewer/token, and on hosts
#                                        that join controller.token and agent.token, which you put there
#   OMNI_API_URL     https://OMNI_BIND:7601   this host's controller, as this machine sees it
#   OMNI_URL         this host's controller, or those of OMNI_JOIN: whom the command in the container asks
#   MONITORING_DIR   ../monitoring       where Prometheus' token and the root certificate go, when that stack is there
#   DOCKER           docker
#   WAIT             180 seconds for each thing that has to come up
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=compose/omni/scripts/lib.sh
. "$here/scripts/lib.sh"

usage() { printf 'usage: %s [--check | --invite]\n' "$0" >&2; exit 2; }
mode=apply
case ${1:-} in
  "") ;;
  --check) mode=check ;;
  --invite) mode=invite ;;
  *) usage ;;
esac
[ $# -le 1 ] || usage
for program in curl jq sha256sum base64; do
  command -v "$program" >/dev/null || fail "$program is missing; install it (apt-get install curl jq coreutils)"
done
command -v "$DOCKER" >/dev/null || fail "$DOCKER is missing; the stack runs in containers"

read_settings
WAIT=${WAIT:-180}
MONITORING_DIR=${MONITORING_DIR:-$here/../monitoring}
INIT=$SECRETS_DIR/init.json
ADMIN=$SECRETS_DIR/admin.token
VIEWER=$SECRETS_DIR/viewer/token
# In its container and on the host.
AGENT_DATA=/var/lib/omni-agent
HOST_NAME=${OMNI_HOST_NAME:-$(hostname)}
bind=${OMNI_BIND:-127.0.0.1}
[ "$bind" != 0.0.0.0 ] || bind=127.0.0.1
API=${OMNI_API_URL:-https://$bind:7601}

runs controller || runs agent || fail "COMPOSE_PROFILES in .env names neither controller nor agent, so nothing runs here"
! runs lab || runs controller || fail "COMPOSE_PROFILES: lab adds to a controller; write controller,lab"
! runs lab || { [ "$ADVERTISE" = omni-omni ] && [ -z "${OMNI_JOIN:-}" ]; } || fail "the profile lab is for one host: leave OMNI_ADVERTISE at omni-omni and OMNI_JOIN empty, or take lab out of COMPOSE_PROFILES"
runs controller || [ -n "${OMNI_JOIN:-}" ] || fail "this host runs an agent alone: OMNI_JOIN in .env has to name controllers, as c1.example:7600"

# --- containers ------------------------------------------------------------------------------------------------------------

in_container() { "$DOCKER" exec "$@"; }
need_running() {
  local state
  state=$("$DOCKER" inspect --format '{{.State.Status}}' "$1" 2>/dev/null) || state=absent
  [ "$state" = running ] || fail "the container $1 is $state: docker compose up -d, then docker logs $1"
}
is_member() { in_container "$1" test -s "$2"; }

# until_ok WHAT COMMAND…: polls; what the last try said is shown when the time is over.
until_ok() {
  local what=$1 said deadline=$((SECONDS + WAIT))
  shift
  until said=$("$@" 2>&1); do
    if [ "$SECONDS" -ge "$deadline" ]; then
      [ -z "$said" ] || printf '%s\n' "$said" >&2
      fail "$what: not within $WAIT s. Look at: docker logs $CLI"
    fi
    sleep 1
  done
}

# --- secrets ---------------------------------------------------------------------------------------------------------------

# keep FILE MODE: standard input into a file, in one step; nothing at all is no content.
keep() {
  (umask 077 && cat >"$1.new" && [ -s "$1.new" ] && chmod "$2" "$1.new" && mv -f "$1.new" "$1") || {
    rm -f "$1.new"
    fail "$1: nothing came to be written there, or the disk is full or not ours"
  }
}
whole_init() { jq -e '.admin_token and .controller_join_token and .agent_join_token and .ca_fingerprint' "$1" >/dev/null 2>&1; }
# The token of a container's check: its folder is mounted, so whoever the container runs as has to read it. secrets/
# itself is for its owner alone.
viewer_folder() {
  (umask 077 && mkdir -p "$SECRETS_DIR")
  chmod 700 "$SECRETS_DIR"
  mkdir -p "$SECRETS_DIR/viewer"
  chmod 755 "$SECRETS_DIR/viewer"
}
viewer_works() { [ -s "$VIEWER" ] && omni_as "$VIEWER" -- -o json controllers >/dev/null; }
# What another host's --invite made, copied here, goes where the containers look for it.
take_invitation() {
  [ -s "$SECRETS_DIR/viewer.token" ] || return 0
  # With an end of line, or `read` in the check takes it for cut off.
  keep "$VIEWER" 444 <<<"$(cat "$SECRETS_DIR/viewer.token")"
  rm -f "$SECRETS_DIR/viewer.token"
}
# new_token FILE MODE ARGUMENT…: what `omni token ARGUMENT…` makes.
new_token() {
  local file=$1 file_mode=$2 token
  shift 2
  token=$(omni_as "$ADMIN" -- -o json token "$@" | jq -er .token) || fail "no token could be made (omni token $1), see above"
  keep "$file" "$file_mode" <<<"$token"
}

# --- joining ---------------------------------------------------------------------------------------------------------------

# Flags that init and join of a controller share.
place() {
  if [ -n "${OMNI_REGION:-}" ]; then printf '%s\n' --region "$OMNI_REGION"; fi
  if [ -n "${OMNI_ZONE:-}" ]; then printf '%s\n' --zone "$OMNI_ZONE"; fi
}

make_cluster() {
  local where
  mapfile -t where < <(place)
  if ! is_member omni-omni /data/member.json; then
    [ ! -e "$INIT" ] || fail "$INIT holds the tokens of a cluster, but data/omni holds no controller: was it emptied? Put it back, or move $INIT away to make a new cluster"
    in_container omni-omni omni-controller init --data-dir /data --name "${OMNI_CONTROLLER_NAME:-c1}" "${where[@]}" -o json | keep "$INIT.made" 600 ||
      fail "the cluster could not be made, see above. data/omni has to be an empty folder of user 7600 (README.md, \"Start\")"
    say "made a cluster; its controller here is ${OMNI_CONTROLLER_NAME:-c1}. The first person comes in by the setup_link in $INIT, once and within 24 hours"
  fi
  # A run that was cut off between the two left the tokens under the first name.
  if [ ! -e "$INIT" ] && whole_init "$INIT.made"; then mv "$INIT.made" "$INIT"; fi
  if ! whole_init "$INIT"; then
    fail "data/omni holds a controller whose tokens are not in $INIT. Put that file back; or, if this host joined others, set OMNI_JOIN; or, if nothing uses the cluster yet, stop the containers, empty data/ and run this again"
  fi
  [ -s "$ADMIN" ] || keep "$ADMIN" 600 <<<"$(jq -r .admin_token "$INIT")"
}

token_for() {
  [ -s "$1" ] || fail "to join, this host needs $1: run scripts/init.sh --invite on a host that is in, and copy secrets/invite/ here as secrets/ (README.md, \"More hosts\")"
}
controllers_to_join() {
  local address
  for address in ${1//,/ }; do printf '%s\n' --controller "$address"; done
}

# join_controller CONTAINER NAME TOKEN_FILE CONTROLLERS
join_controller() {
  local where to
  ! is_member "$1" /data/member.json || return 0
  token_for "$3"
  mapfile -t where < <(place)
  mapfile -t to < <(controllers_to_join "$4")
  OMNI_TOKEN=$(cat "$3") in_container -e OMNI_TOKEN "$1" omni-controller join --data-dir /data --name "$2" "${to[@]}" "${where[@]}" >/dev/null ||
    fail "controller $2 could not join, see above (docs/operations.md, \"A machine cannot join\")"
  say "controller $2 joined"
}

join_agent() {
  local to options=() token=$SECRETS_DIR/agent.token
  ! is_member omni-agent "$AGENT_DATA/identity" || return 0
  [ ! -e "$here/data/agent/identity" ] ||
    fail "this host's identity lies in data/agent, where it was kept before: docker compose stop agent, cp -a data/agent/. $AGENT_DATA/, rm -r data/agent, docker compose start agent, and this again"
  mapfile -t to < <(controllers_to_join "$agents_dial")
  if [ -n "${OMNI_ZONE:-}" ]; then options+=(--zone "$OMNI_ZONE"); fi
  local label
  for label in ${OMNI_HOST_LABELS//,/ }; do options+=(--label "$label"); done
  # The host that made the cluster needs no invitation.
  if [ ! -s "$token" ] && [ -s "$ADMIN" ]; then
    new_token "$token" 600 create --role agent --ttl 1h --uses 1
  fi
  token_for "$token"
  OMNI_TOKEN=$(cat "$token") in_container -e OMNI_TOKEN omni-agent omni-agent join --data-dir "$AGENT_DATA" --name "$HOST_NAME" "${to[@]}" "${options[@]}" >/dev/null ||
    fail "the agent could not join as $HOST_NAME, see above (docs/operations.md, \"A machine cannot join\")"
  rm -f "$token"
  say "this host joined as $HOST_NAME"
}

# --- monitoring ------------------------------------------------------------------------------------------------------------

# The certificate's names are localhost and what is advertised, whatever address it is published at.
api_curl() {
  local place=${API#https://}
  curl -fsS --max-time 10 --connect-to "localhost:7601:${place%/}" "$@"
}
root_certificate() {
  curl -sk --max-time 10 -o /dev/null -w '%{certs}' "$API/healthz" |
    awk '/BEGIN CERT/ { n++ } n == 2 && !over { print } n == 2 && /END CERT/ { over = 1 }'
}
fingerprint() { sed '/-----/d' "$1" | base64 -d 2>/dev/null | sha256sum | cut -d ' ' -f 1; }
# Prometheus runs as user 65534 and reads both; the folder and the files are open, the folder above is not.
prometheus_reads() {
  [ -s "$scrape/omni.token" ] && [ -s "$scrape/omni.ca" ] || return 1
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$scrape/omni.token")" |
    api_curl --cacert "$scrape/omni.ca" -K - https://localhost:7601/metrics 2>/dev/null | grep '^omni_' >/dev/null
}
# Where every controller serves its API, as monitoring's OMNI_CONTROLLERS wants it; grows when a controller joins.
api_addresses() { omni_as "$VIEWER" -- -o json controllers | jq -er '.[].api' | LC_ALL=C sort; }
addresses_are_told() { [ -s "$scrape/omni.controllers" ] && [ "$(api_addresses)" = "$(cat "$scrape/omni.controllers")" ]; }
connect_monitoring() {
  [ -d "$MONITORING_DIR" ] && [ -s "$ADMIN" ] || return 0
  prometheus_reads || give_prometheus_a_token
  addresses_are_told || {
    api_addresses | keep "$scrape/omni.controllers" 444
    say "monitoring: Prometheus is to scrape $(xargs <"$scrape/omni.controllers"); docker compose up -d there, when it runs already"
  }
}
give_prometheus_a_token() {
  (umask 077 && mkdir -p "$MONITORING_DIR/secrets")
  mkdir -p "$scrape"
  chmod 755 "$scrape"
  root_certificate >"$scrape/omni.ca.seen" || fail "nobody answers at $API, where this host publishes its controller"
  [ "$(fingerprint "$scrape/omni.ca.seen")" = "$(jq -r .ca_fingerprint "$INIT")" ] || {
    rm -f "$scrape/omni.ca.seen"
    fail "$API shows another root certificate than the cluster of $INIT has: who answers there?"
  }
  keep "$scrape/omni.ca" 444 <"$scrape/omni.ca.seen"
  rm -f "$scrape/omni.ca.seen"
  new_token "$scrape/omni.token" 444 create-api --name prometheus --role viewer
  prometheus_reads || fail "$API/metrics refuses the token that was just made for Prometheus"
  say "monitoring: token and root certificate are in $scrape"
}

# --- what it should be -----------------------------------------------------------------------------------------------------

controllers_in() {
  local name list
  list=$(omni_as "$VIEWER" -- -o json controllers) || return 1
  for name in "$@"; do
    jq -e --arg name "$name" 'any(.[]; .name == $name and .reachable and (.role == "leader" or .role == "follower"))' <<<"$list" >/dev/null || {
      echo "controller $name is not there, or not yet a full member"
      return 1
    }
  done
  jq -e 'any(.[]; .role == "leader")' <<<"$list" >/dev/null || { echo "no leader"; return 1; }
}
host_is_up() {
  local status
  status=$(omni_as "$VIEWER" -- -o json hosts | jq -r --arg name "$HOST_NAME" '.[] | select(.name == $name) | .status') || return 1
  [ "$status" = up ] || { echo "host $HOST_NAME is ${status:-not known}"; return 1; }
}
members=()
if runs controller; then members+=("${OMNI_CONTROLLER_NAME:-c1}"); fi
if runs lab; then members+=(c2 c3); fi
names=()
if runs controller; then names+=(omni-omni); fi
if runs lab; then names+=(omni-omni-2 omni-omni-3); fi
if runs agent; then names+=(omni-agent); fi
agents_dial=${OMNI_JOIN:-}
if runs controller; then agents_dial=$ADVERTISE:7600${OMNI_JOIN:+,$OMNI_JOIN}; fi
scrape=$MONITORING_DIR/secrets/scrape

for name in "${names[@]}"; do need_running "$name"; done

invite() {
  local out=$SECRETS_DIR/invite
  [ -s "$ADMIN" ] || fail "invitations are made where the cluster was made, with $ADMIN; it is not here"
  (umask 077 && mkdir -p "$out")
  new_token "$out/controller.token" 600 create --role controller --ttl 24h --uses 4
  new_token "$out/agent.token" 600 create --role agent --ttl 24h --uses 0
  keep "$out/viewer.token" 600 <"$VIEWER"
  say "tokens are in $out, good for a day. Copy them into compose/omni/secrets/ of each new host, then remove the folder"
}

check() {
  local file mode faults=0
  for file in "$ADMIN" "$INIT"; do
    if [ -e "$file" ] && [ "$(stat -c %a "$file")" != 600 ]; then
      warn "$file can be read by others: chmod 600"
      faults=1
    fi
  done
  if ! viewer_works; then
    warn "the token in $VIEWER does not work"
    faults=1
  elif ! file=$(controllers_in "${members[@]}"); then
    warn "$file"
    faults=1
  elif runs agent && ! file=$(host_is_up); then
    warn "$file"
    faults=1
  fi
  if [ -d "$MONITORING_DIR" ] && [ -s "$ADMIN" ] && ! prometheus_reads; then
    warn "Prometheus cannot read $API/metrics with $scrape/omni.token and omni.ca; scripts/init.sh makes both"
    faults=1
  elif [ -d "$MONITORING_DIR" ] && [ -s "$ADMIN" ] && ! addresses_are_told; then
    warn "$scrape/omni.controllers does not name all controllers; scripts/init.sh writes it"
    faults=1
  fi
  return "$faults"
}

apply() {
  viewer_folder
  take_invitation
  if runs controller; then
    if [ -z "${OMNI_JOIN:-}" ]; then make_cluster; else join_controller omni-omni "${OMNI_CONTROLLER_NAME:-c1}" "$SECRETS_DIR/controller.token" "$OMNI_JOIN"; fi
  fi
  if [ -s "$ADMIN" ]; then
    until_ok "the controller of this host answers and knows a leader" omni_as "$ADMIN" -- -o json controllers
    if ! viewer_works 2>/dev/null; then new_token "$VIEWER" 444 create-api --name "check-$HOST_NAME" --role viewer; fi
  fi
  [ -s "$VIEWER" ] || token_for "$SECRETS_DIR/viewer.token"
  if runs lab; then
    for number in 2 3; do
      if is_member "omni-omni-$number" /data/member.json; then continue; fi
      new_token "$SECRETS_DIR/controller.token" 600 create --role controller --ttl 1h --uses 1
      join_controller "omni-omni-$number" "c$number" "$SECRETS_DIR/controller.token" "$ADVERTISE:7600"
    done
  fi
  until_ok "the controllers of this host are full members" controllers_in "${members[@]}"
  rm -f "$SECRETS_DIR/controller.token"
  if runs agent; then
    join_agent
    until_ok "this host is up in omni" host_is_up
  fi
  if runs controller; then connect_monitoring; fi
}

case $mode in
  apply) apply ;;
  invite) invite; exit 0 ;;
  check) ;;
esac
check || fail "not as it should be, see above; scripts/init.sh brings it there"
say "all well"
