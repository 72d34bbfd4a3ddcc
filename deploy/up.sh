#!/usr/bin/env bash
# `make up`: three controllers and one agent of this machine, under .omni/. Running it again brings back
# what is not running and changes nothing else.
#
# OMNI_BASE_PORT   first of the ports (default 7600: QUIC 7600, 7610, 7620; API 7601, 7611, 7621)
# OMNI_STATE       where everything is kept (default .omni)
# OMNI_BIN_DIR     where the programs are, if they shall not be built (packages, debug builds)

# shellcheck source=deploy/mesh.sh
. "$(dirname "${BASH_SOURCE[0]}")/mesh.sh"

# Generous on purpose: a first start on a small machine under load is slow, and a deadline here only says "broken".
READY_SECONDS=90

build() {
  if [ -n "${OMNI_BIN_DIR:-}" ]; then return; fi
  "$REPO/deploy/web.sh" build || warn "going on without the dashboard: the controllers serve a page that says how to build it"
  step "building (the first time takes several minutes)"
  (cd "$REPO" && cargo build --release --locked -p omni-controller -p omni-agent -p omni-cli) || die "the build failed"
}

# A data folder without its mark is what an interrupted first start left behind. What it lacks cannot be
# known, so it is for the operator to remove.
joined() { [ -e "$STATE/$1.joined" ]; }
mark_joined() { : >"$STATE/$1.joined"; }
refuse_half_made() {
  if [ -e "$STATE/$1" ]; then
    die "$STATE/$1 is from a start that was interrupted. Erase it: make down && rm -rf '$STATE'"
  fi
}

check_ports() {
  local name
  for name in "${CONTROLLERS[@]}"; do
    running "$name" && continue
    need_port udp "$(quic_port "$name")" "$name"
    need_port tcp "$(api_port "$name")" "$name"
  done
}

init_cluster() {
  refuse_half_made c1
  step "making a cluster"
  "$(bin omni-controller)" init --data-dir "$STATE/c1" --name c1 --quic-addr "$(quic_addr c1)" \
    --api-addr "$(api_addr c1)" -o json >"$INIT.new" || die "the cluster could not be made"
  jq -e '.admin_token and .setup_link and .agent_join_token and .controller_join_token' "$INIT.new" >/dev/null ||
    die "$INIT.new is not what \`omni-controller init -o json\` should print"
  mv "$INIT.new" "$INIT"
  mark_joined c1
}

join_controller() {
  refuse_half_made "$1"
  step "$1 joins"
  OMNI_TOKEN=$(secret controller_join_token) "$(bin omni-controller)" join --data-dir "$STATE/$1" --name "$1" \
    --controller "$(quic_addr c1)" --quic-addr "$(quic_addr "$1")" --api-addr "$(api_addr "$1")" >&2 ||
    die "$1 could not join. If its token has expired, erase and start over: make down && rm -rf '$STATE'"
  mark_joined "$1"
}

join_agent() {
  refuse_half_made agent
  step "the agent of this machine joins"
  OMNI_TOKEN=$(secret agent_join_token) "$(bin omni-agent)" join --data-dir "$STATE/agent" \
    --controller "$(quic_addr c1)" --controller "$(quic_addr c2)" --controller "$(quic_addr c3)" >&2 ||
    die "the agent could not join. If its token has expired: omni token create, then \`omni-agent join\` as in $0"
  mark_joined agent
}

# run NAME PROGRAM: starts it unless it runs, and notices when it ends at once.
run() {
  local name=$1 program=$2
  if running "$name"; then
    note "$name runs"
    return
  fi
  start_detached "$name" "$(bin "$program")" run --data-dir "$STATE/$name"
  note "started $name (log: $STATE/$name.log)"
}

alive_or_die() {
  running "$1" && return
  tail -n 15 "$STATE/$1.log" >&2
  die "$1 ended; the end of $STATE/$1.log is above"
}

# The API answers at all, whatever it says: enough to join through this controller.
api_up() { curl -sk --max-time 3 -o /dev/null "$(api_url "$1")/"; }
api_up_or_ended() { api_up "$1" || not_running "$1"; }
await_api() {
  until_ok "$READY_SECONDS" "$1 serves its API" api_up_or_ended "$1" || alive_or_die "$1"
  alive_or_die "$1"
}

start_controllers() {
  local name
  joined c1 || init_cluster
  for name in "${CONTROLLERS[@]}"; do
    joined "$name" || join_controller "$name"
    run "$name" omni-controller
    # The next one joins through c1, so c1 has to serve before it is asked.
    if [ "$name" = c1 ] && ! all_joined; then await_api c1; fi
  done
  for name in "${CONTROLLERS[@]}"; do await_api "$name"; done
}
all_joined() {
  local name
  for name in "${CONTROLLERS[@]}" agent; do joined "$name" || return 1; done
}

start_agent() {
  joined agent || join_agent
  run agent omni-agent
}

# The token goes in by standard input: arguments can be read by every user of the machine.
login() {
  secret admin_token | "$(bin omni)" --context "$CONTEXT" login --token - \
    "$(api_url c1)" "$(api_url c2)" "$(api_url c3)" >&2 ||
    die "\`omni login\` failed; the controllers' logs are in $STATE"
}

await_health() {
  step "waiting until the mesh is healthy"
  if "$(bin omni)" --context "$CONTEXT" health --wait "${READY_SECONDS}s" >&2; then return; fi
  alive_or_die agent
  die "the mesh runs but is not healthy, see above; the logs are in $STATE"
}

# How a person comes in: by the link of `init` until somebody has, with their password after that.
entrance() {
  if curl -sk --max-time 3 "$(api_url c1)/api/v1/session/ways" | jq -e '.password' >/dev/null 2>&1; then
    printf '%s\n' "  to come in            your name and password; \`omni token create --role admin\` invites another admin"
    return
  fi
  printf '  to come in            open this link and choose a name and a password (once, within 24 hours):\n\n  %s\n' \
    "$(secret setup_link)"
}

greet() {
  local omni=${BIN#"$REPO"/}/omni
  cat <<TEXT

omni runs on this machine: three controllers and one agent.

  dashboard and API     $(api_url c1)   (also $(api_addr c2), $(api_addr c3))
$(entrance)
  admin token           in ${INIT#"$REPO"/}, readable by you alone; for programs and emergencies

Worth typing next:

  $omni status
  $omni ps
  $omni top

\`make down\` stops it.
TEXT
}

main() {
  "$REPO/deploy/packages.sh" up
  mkdir -p "$STATE"
  chmod 700 "$STATE"
  check_ports
  "$REPO/deploy/docker-engine.sh" start || true
  build
  umask 077 # from here on secrets and keys are written
  start_controllers
  start_agent
  login
  await_health
  greet
}

main
