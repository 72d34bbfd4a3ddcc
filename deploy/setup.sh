#!/usr/bin/env bash
# The master set-up: brings up the platform's own stacks (compose/stacks.tsv) on this machine, each when those
# that it needs are healthy. Run it again at any time: what is done stays, what changed is done anew, and what
# broke off goes on. It never changes a value in an .env file and never prints one.
#
#   deploy/setup.sh                  everything
#   deploy/setup.sh --only logs,ci   these, and what they need
#   deploy/setup.sh --skip omni      everything but these
#   deploy/setup.sh --dry-run        says each step and does none; needs no Docker
#   deploy/setup.sh --check          looks whether all is as this script leaves it; changes nothing
#   deploy/setup.sh --down           stops the stacks, the last one first; data, .env files and network stay
#
# Where a mesh answers (omni is on the PATH or built here, and logged in), omni deploys the stacks, tied to this machine;
# elsewhere compose starts them. What compose has already stays with it. deploy/README.md, "The platform with a mesh", says more.
#
# Environment:
#   OMNI_STATE                         where the finished steps and logs are kept (default .omni)
#   OMNI_SETUP_PLAIN=1                 compose even where a mesh answers
#   OMNI_SETUP_HOST=NAME               which host of the mesh this machine is, where that is not to be seen
#   OMNI_SETUP_SPREAD=A,B              stacks that omni may put on any host
#   OMNI_SETUP_HEALTH_SECONDS          how long a stack may take to become healthy (default 600)
#   OMNI_SETUP_UNHEALTHY_SECONDS       how long a container may stay unhealthy (default 120)
#   OMNI_SETUP_MIN_FREE_MB             disk space below which nothing is begun (default 5120)
#
# Exit codes: 0 done, 1 something failed (or --check found something), 2 the command line makes no sense.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage_error() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
  printf 'usage: deploy/setup.sh [--only A,B] [--skip A,B] [--dry-run | --check | --down]\n' >&2
  exit 2
}
# A fault ends a stack, not the run: stacks that do not need it go on.
fault() { printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2; }
# One line of --dry-run; data, so it goes to stdout.
plan() { printf '  %s\n' "$*"; }

# shellcheck source=deploy/platform/stacks.sh
. "$REPO/deploy/platform/stacks.sh"
# shellcheck source=deploy/platform/env.sh
. "$REPO/deploy/platform/env.sh"
# shellcheck source=deploy/platform/engine.sh
. "$REPO/deploy/platform/engine.sh"
# shellcheck source=deploy/platform/mesh.sh
. "$REPO/deploy/platform/mesh.sh"
# shellcheck source=deploy/platform/steps.sh
. "$REPO/deploy/platform/steps.sh"

MODE=up DRY='' ONLY='' SKIP=''

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --only=* | --skip=*)
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue
        ;;
      --only | --skip)
        if [[ ! ${2:-} =~ ^[a-z0-9-]+(,[a-z0-9-]+)*$ ]]; then usage_error "$1 wants names of stacks parted by commas, as: $1 monitoring,logs"; fi
        if [ "$1" = --only ]; then ONLY+=" ${2//,/ }"; else SKIP+=" ${2//,/ }"; fi
        shift
        ;;
      --dry-run) mode dry-run "$1" ;;
      --check) mode check "$1" ;;
      --down) mode down "$1" ;;
      -h | --help)
        sed -nE '2,/^$/s/^# ?//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
      *) usage_error "'$1' is not understood" ;;
    esac
    shift
  done
}
mode() {
  [ "$MODE" = up ] || usage_error "--$MODE and $2 cannot be had together"
  MODE=$1
}

# --- the report -------------------------------------------------------------------------------------------------

declare -A RESULT=() DID=() TOOK=()
report() {
  local stack failed=0
  printf '\n%-12s %-38s %-34s %6s\n' STACK STEPS RESULT TIME
  for stack in "${CHOSEN[@]}"; do
    printf '%-12s %-38s %-34s %6s\n' "$stack" "${DID[$stack]:--}" "${RESULT[$stack]:-not reached}" "${TOOK[$stack]:-0} s"
    case ${RESULT[$stack]:-not reached} in done | unchanged | 'as it should be' | stopped | 'left to the mesh that answers') ;; *) failed=1 ;; esac
  done
  return "$failed"
}

what_to_open() {
  local stack service address port protocol lines='' domain
  for stack in "${CHOSEN[@]}"; do
    while IFS=$'\t' read -r service address port protocol; do
      if [ "$protocol" = udp ]; then continue; fi
      if [ "$address" = 0.0.0.0 ]; then address=$(hostname); fi
      lines+=$(printf '  %-12s %-20s %s' "$stack" "$service" "$address:$port")$'\n'
    done < <(published "$stack")
  done
  if [ -n "$lines" ]; then
    printf '\nWhat listens on this machine:\n\n%s' "$lines"
  fi
  domain=$(setting proxy OMNI_DOMAIN 2>/dev/null || true)
  case " ${CHOSEN[*]} " in *' proxy '*) printf '\nPeople come in through the proxy, under names of %s (compose/proxy/README.md).\n' "${domain:-the domain in compose/proxy/.env}" ;; esac
  printf 'Passwords are in the .env file of each stack, readable by you alone. deploy/setup.sh --check looks after all of it.\n'
}

# --- up -----------------------------------------------------------------------------------------------------------

# One set-up at a time; the lock goes with the process, however that ends.
lock() {
  mkdir -p "$STATE/setup"
  chmod 700 "$STATE" "$STATE/setup"
  exec 9>>"$STATE/setup/lock"
  flock -n 9 || die "another deploy/setup.sh is at work here ($STATE/setup/lock)"
}

check_folders() {
  local stack
  for stack in "${CHOSEN[@]}"; do
    [ -r "$(compose_file "$stack")" ] || die "the stack $stack has no $(short "$(compose_file "$stack")")"
  done
}

# All questions come first, so that nobody has to wait beside a long run to be asked.
make_all_env() {
  local stack
  for stack in "${CHOSEN[@]}"; do make_env "$stack"; done
  if [ "${#MISSING[@]}" -gt 0 ]; then
    printf '%serror:%s values that only a person can give are missing:\n' "$RED" "$PLAIN" >&2
    printf '  %s\n' "${MISSING[@]}" >&2
    die "nothing was started. Give them and run this again, or run it on a terminal and be asked"
  fi
}

# The mesh may have come up without this script (packages, `make up`); a second one beside it would be a mistake.
left_to_mesh() { [ "$1" = omni ] && [ "${WHY[$1]}" = chosen ] && [ -z "$ONLY" ] && [ -z "$(running_names omni)" ] && mesh_answers; }
running_names() {
  local name
  while IFS=$'\t' read -r name _; do
    [ "$(docker inspect --format '{{.State.Running}}' "$name" 2>/dev/null)" != true ] || echo "$name"
  done < <(containers "$1")
}

need_healthy() {
  local need
  for need in ${NEEDS[$1]}; do
    case ${RESULT[$need]:-done} in done | unchanged | 'left to the mesh that answers') ;; *)
      RESULT[$1]="not begun: $need failed"
      fault "$1 is not begun, because it needs $need"
      return 1
      ;;
    esac
  done
}

up_stack() {
  local stack=$1 hash after faults
  RESULT[$stack]='failed: deployed by omni'
  settle_driver "$stack" || return 1
  say_why_compose "$stack"
  if by_mesh "$stack"; then
    RESULT[$stack]='failed: no host'
    find_host || return 1
  fi
  DID[$stack]='env folders'
  RESULT[$stack]='failed: folders'
  make_folders "$stack" || return 1
  if [ -e "$(prepare_script "$stack")" ]; then
    DID[$stack]+=' prepare'
    RESULT[$stack]='failed: prepare'
    prepare "$stack" || return 1
    RESULT[$stack]='failed: folders'
  fi
  make_secret_files "$stack" || return 1
  open_scrape "$stack" || return 1
  hash=$(content_hash "$stack") || return 1
  if done_already "$stack" start "$hash" && done_already "$stack" init "$hash" && running_all "$stack"; then
    RESULT[$stack]=unchanged
    note "as it was left: nothing to do"
    return 0
  fi
  if ! { done_already "$stack" start "$hash" && running_all "$stack"; }; then
    faults=$(port_faults "$stack")
    if [ -n "$faults" ]; then
      while IFS= read -r after; do fault "$after"; done <<<"$faults"
      RESULT[$stack]='failed: a port is taken'
      return 1
    fi
    forget "$stack"
    if by_mesh "$stack"; then DID[$stack]+=' deploy'; else DID[$stack]+=' start'; fi
    RESULT[$stack]='failed: start'
    start_stack "$stack" "$hash" || return 1
  fi
  if away "$stack"; then
    init_elsewhere "$stack"
    remember "$stack" start "$hash"
    remember "$stack" init "$hash"
    RESULT[$stack]='done'
    return 0
  fi
  DID[$stack]+=' health'
  RESULT[$stack]='failed: health'
  gate "$stack" before || return 1
  remember "$stack" start "$hash"
  if [ -e "$(init_script "$stack")" ]; then
    DID[$stack]+=' init'
    RESULT[$stack]='failed: init'
    run_init "$stack" >&2 || {
      fault "compose/$stack/scripts/init.sh failed, see above; run this again to go on there"
      return 1
    }
    gate "$stack" after || return 1
  fi
  RESULT[$stack]='failed: start'
  deployed "$stack" || return 1
  # The init script may have written files of the stack; what it left is the state to compare with.
  after=$(content_hash "$stack")
  if ! remember "$stack" start "$after" || ! remember "$stack" init "$after"; then
    fault "$STEPS could not be written; is the disk full?"
    return 1
  fi
  RESULT[$stack]='done'
}

# An init script works on containers of its own machine.
init_elsewhere() {
  local hosts
  hosts=$(hosts_of "$(app_of "$1")")
  if [ -e "$(init_script "$1")" ]; then
    note "omni put it on $hosts; compose/$1/scripts/init.sh was not run, because it works where the containers are: run it there"
  else
    note "omni put it on $hosts"
  fi
}

# A stack that came later may have left a credential for Prometheus, which reads them when it starts.
take_in_credentials() {
  local began=$SECONDS
  case ${RESULT[$1]} in done | unchanged) ;; *) return 0 ;; esac
  if [ -z "$(facts "$1" scrape-folder)" ] || done_already "$1" init "$(content_hash "$1")"; then return 0; fi
  step "$1: once more, with the credentials that other stacks left for it"
  up_stack "$1" || true
  TOOK[$1]=$((TOOK[$1] + SECONDS - began))
}

up() {
  local stack began faults
  lock
  choose_engine
  step "how: $HOW"
  faults=$(disk_faults)
  [ -z "$faults" ] || die "$faults"
  step "values and secrets"
  make_all_env
  step "network"
  make_network
  for stack in "${CHOSEN[@]}"; do
    began=$SECONDS
    step "$stack: ${ABOUT[$stack]}"
    if left_to_mesh "$stack"; then
      RESULT[$stack]='left to the mesh that answers'
      note "omni status answers, so a mesh runs that is not this stack's; --only omni makes the stack all the same"
    elif need_healthy "$stack"; then
      up_stack "$stack" || true
    fi
    TOOK[$stack]=$((SECONDS - began))
  done
  for stack in "${CHOSEN[@]}"; do take_in_credentials "$stack"; done
  report || {
    printf '\nRun this again when the faults above are mended; it goes on where it stopped.\n'
    return 1
  }
  what_to_open
}

# --- dry run ------------------------------------------------------------------------------------------------------

dry_run() {
  local stack service address port protocol step
  DRY=1
  choose_mesh
  say_how 'plain compose'
  [ -z "$MESH" ] || find_host || true
  printf 'how: %s\nnetwork %s, if it is not there\n' "$HOW" "$NETWORK"
  for stack in "${CHOSEN[@]}"; do
    printf '%s (system %s, %s)%s\n' "$stack" "${SYSTEM[$stack]}" "${WHY[$stack]}" "${NEEDS[$stack]:+, after: ${NEEDS[$stack]}}"
    make_env "$stack"
    make_folders "$stack"
    prepare "$stack"
    make_secret_files "$stack"
    open_scrape "$stack"
    while IFS=$'\t' read -r service address port protocol; do
      plan "port $address:$port/$protocol for $service"
    done < <(published "$stack")
    # Without an engine nothing of it can be there.
    settle_driver "$stack" || true
    if by_mesh "$stack"; then step="deploy on ${MESH_HOST:-this machine}"; else step=start; fi
    plan "$step: $(facts "$stack" service | cut -f 1 | xargs)"
    plan "wait until healthy: $(containers "$stack" | cut -f 1 | xargs)"
    if [ -e "$(init_script "$stack")" ]; then plan "run $(short "$(init_script "$stack")")"; fi
  done
  printf 'nothing was changed\n'
}

# --- check --------------------------------------------------------------------------------------------------------

check_stack() {
  local stack=$1 name policy restart word why faults path
  RESULT[$stack]='not looked at, see above'
  settle_driver "$stack" || return 0
  faults=$(env_faults "$stack")
  while IFS=$'\t' read -r _ path; do
    [ -z "$path" ] || [ -d "${STACK_DIR[$stack]}/$path" ] || faults+=${faults:+$'\n'}"$(short "${STACK_DIR[$stack]}")/${path#./} does not exist"
  done < <(facts "$stack" folder)
  while IFS= read -r path; do
    faults+=${faults:+$'\n'}"$(short "$path") cannot be read by Prometheus (a folder is 0755, a file 0444)"
  done < <(shut_scrape "$stack")
  DID[$stack]='env folders health'
  if by_mesh "$stack"; then
    why=$(app_faults "$stack")
    faults+=${why:+${faults:+$'\n'}$why}
  fi
  if away "$stack"; then
    finish_check "$stack" "$faults"
    return
  fi
  while IFS=$'\t' read -r name policy restart; do
    [ -n "$name" ] || continue
    read -r word why <<<"$(verdict "$stack" "$name" "$policy" "$restart" after)"
    [ "$word" = ready ] || faults+=${faults:+$'\n'}"$name: $why"
  done < <(containers "$stack")
  if [ -z "$faults" ] && [ -e "$(init_script "$stack")" ]; then
    DID[$stack]+=' init'
    run_init "$stack" --check >&2 || faults="compose/$stack/scripts/init.sh --check found something, see above"
  fi
  finish_check "$stack" "$faults"
}
# finish_check STACK FAULTS
finish_check() {
  local why
  if [ -z "$2" ]; then
    RESULT[$1]='as it should be'
    return 0
  fi
  RESULT[$1]="$(wc -l <<<"$2") found, see above"
  while IFS= read -r why; do fault "$why"; done <<<"$2"
}

check() {
  local stack began bad=0 faults
  choose_engine
  step "how: $HOW"
  if ! network_there; then
    fault "the network $NETWORK does not exist"
    bad=1
  fi
  faults=$(disk_faults)
  if [ -n "$faults" ]; then
    fault "$faults"
    bad=1
  fi
  for stack in "${CHOSEN[@]}"; do
    began=$SECONDS
    step "$stack"
    if left_to_mesh "$stack"; then RESULT[$stack]='left to the mesh that answers'; else check_stack "$stack"; fi
    TOOK[$stack]=$((SECONDS - began))
  done
  report || bad=1
  return "$bad"
}

# --- down ---------------------------------------------------------------------------------------------------------

down() {
  local i stack began
  lock
  choose_engine
  step "how: $HOW"
  for ((i = ${#CHOSEN[@]} - 1; i >= 0; i--)); do
    stack=${CHOSEN[i]} began=$SECONDS
    step "$stack stops"
    DID[$stack]=down
    RESULT[$stack]='failed: down'
    if settle_driver "$stack" && stop_stack "$stack"; then RESULT[$stack]=stopped; fi
    TOOK[$stack]=$((SECONDS - began))
  done
  report || return 1
  printf '\nData and .env files are where they were; deploy/setup.sh brings all of it back.\nTo remove the network as well: docker network rm %s\n' "$NETWORK"
}

main() {
  local stack
  parse "$@"
  read_stacks
  for stack in $SPREAD; do must_be_stack "$stack" OMNI_SETUP_SPREAD; done
  choose "${ONLY# }" "${SKIP# }"
  check_folders
  case $MODE in
    up) up ;;
    dry-run) dry_run ;;
    check) check ;;
    down) down ;;
  esac
}

main "$@"
