# shellcheck shell=bash
# Stacks as apps of a mesh: whether one answers, which of its hosts this machine is, and `omni deploy` in place of
# compose. Sourced by deploy/setup.sh.
#
# A stack is tied to this machine, because its init script works with the containers, ports and files of this machine.
# The tie is a second compose file, .mesh.json beside the first, written anew before each deploy:
#
#   placement   this host. A plan that would have to wait for it is not begun
#   mounts      by their full path, so that data, secrets and configuration are the same files as under compose
#   exclusive   no. It cannot run twice anyway, and so it does not stop while controllers are away
#   failover    never: it waits for its host, and starts there by itself
#   updates     stop first: two programs on one data folder would spoil it
#   a label     on one-shot jobs and on what is built here: the hash of the stack's files, so that they run again when
#               those change, as under compose
#
# OMNI_SETUP_SPREAD names stacks that omni may put on any host instead (deploy/README.md, "The platform with a mesh").

TIE=.mesh.json

# OMNI: the command. MESH: 1 when omni deploys. MESH_WHY: why it does not, as the end of a sentence.
OMNI='' MESH='' MESH_WHY=''
# The host of the mesh that this machine is; filled by find_host.
MESH_HOST=''
# Per stack: compose or omni, and the environment of its app where that is known.
declare -A DRIVER=() ENVIRONMENT=()

find_omni() {
  local path
  for path in "$(command -v omni 2>/dev/null)" "$TARGET/release/omni" "$TARGET/debug/omni"; do
    if [ -n "$path" ] && [ -x "$path" ]; then
      printf '%s' "$path"
      return
    fi
  done
  return 1
}
mesh_answers() { [ -n "$OMNI" ] && "$OMNI" status >/dev/null 2>&1; }

choose_mesh() {
  OMNI=$(find_omni) || OMNI=''
  if [ -n "${OMNI_SETUP_PLAIN:-}" ]; then
    MESH_WHY="OMNI_SETUP_PLAIN is set"
  elif [ -z "$OMNI" ]; then
    MESH_WHY="there is no omni command on the PATH or in ${TARGET#"$REPO"/}"
  elif ! "$OMNI" deploy --help >/dev/null 2>&1; then
    MESH_WHY="this omni has no such verb"
  elif ! mesh_answers; then
    MESH_WHY="no mesh answers 'omni status' for $(id -un)"
  else
    MESH=1
  fi
}

by_mesh() { [ "${DRIVER[$1]:-compose}" = omni ]; }
# Stacks that omni may put on any host, parted by blanks.
SPREAD=${OMNI_SETUP_SPREAD:-} SPREAD=${SPREAD//,/ }
spread() { case " $SPREAD " in *" $1 "*) ;; *) return 1 ;; esac; }
waits_for_init() { [[ $(facts "$1" gate) == *$'\tafter-init'* ]]; }

# keeper STACK: who made the containers that it has here: "omni ENVIRONMENT APP", "compose", or nothing when it has none.
keeper() {
  local name said
  while IFS=$'\t' read -r name _; do
    said=$(docker inspect --format '{{index .Config.Labels "omni.environment"}} {{index .Config.Labels "omni.app"}}' "$name" 2>/dev/null) || continue
    if [ "$said" = ' ' ]; then echo compose; else echo "omni $said"; fi
    return
  done < <(containers "$1")
}
# away STACK: omni put it on another host.
away() { by_mesh "$1" && spread "$1" && [ -z "$(keeper "$1")" ]; }

# settle_driver STACK: fills DRIVER; fails with a message when what runs cannot be handled now.
settle_driver() {
  local stack=$1 by environment app
  DRIVER[$stack]=compose
  # omni cannot move what it stands on.
  [ "$stack" != omni ] || return 0
  read -r by environment app <<<"$(keeper "$stack")"
  case $by in
    omni)
      ENVIRONMENT[$stack]=$environment
      if [ "$app" != "$stack" ]; then
        fault "the containers of $stack belong to $environment/$app, another app of omni: remove that (omni rm $environment/$app), or leave this stack out with --skip $stack"
        return 1
      fi
      if [ -z "$MESH" ]; then
        fault "$stack is deployed by omni, and compose must not touch it; omni is not asked, because $MESH_WHY. It runs on meanwhile. To move it to compose: deploy/setup.sh --only $stack --down while omni is asked, then OMNI_SETUP_PLAIN=1 deploy/setup.sh"
        return 1
      fi
      DRIVER[$stack]=omni
      ;;
    compose) ;;
    *) [ -z "$MESH" ] || DRIVER[$stack]=omni ;;
  esac
}

# say_why_compose STACK: where that is not to be expected; at length once.
TOLD=''
say_why_compose() {
  if [ -z "$MESH" ] || [ "$1" = omni ] || by_mesh "$1"; then return; fi
  note "it runs under compose and stays there"
  if [ -z "$TOLD" ]; then
    note "omni does not take over what it did not start (there is no omni adopt yet). To move a stack: deploy/setup.sh --only $1 --down (what it needs stops too; data stays), then deploy/setup.sh"
    TOLD=1
  fi
}

# find_host: which host of the mesh this machine is. A machine elsewhere may have the same name, so the boot time counts too.
find_host() {
  local list host
  [ -z "$MESH_HOST" ] || return 0
  if ! list=$("$OMNI" -o json hosts 2>&1); then
    fault "omni does not list its hosts: $(omni_error "$list")"
    return 1
  fi
  mapfile -t host < <(jq -r --arg name "${OMNI_SETUP_HOST:-}" --arg here "$(hostname)" \
    --argjson booted "$(awk '$1 == "btime" { print $2 }' /proc/stat)" '
    .[] | select(if $name != "" then .name == $name else .facts.hostname == $here and
      (.facts.booted == null or (.facts.booted | sub("\\.[0-9]+"; "") | fromdateiso8601 - $booted | fabs) < 60) end)
    | .name' <<<"$list")
  case ${#host[@]} in
    1) MESH_HOST=${host[0]} ;;
    0)
      if [ -n "${OMNI_SETUP_HOST:-}" ]; then
        fault "the mesh has no host $OMNI_SETUP_HOST, which OMNI_SETUP_HOST names (omni hosts lists them)"
      else
        fault "the mesh has no host that is this machine ($(hostname)): let it join (omni token create --role agent, then omni-agent join), name it with OMNI_SETUP_HOST=… (omni hosts), or use compose alone with OMNI_SETUP_PLAIN=1"
      fi
      return 1
      ;;
    *)
      fault "several hosts of the mesh are this machine (${host[*]}): name one with OMNI_SETUP_HOST=…"
      return 1
      ;;
  esac
}

# omni_error TEXT: the message and hint of what omni said last with -o json; else the text itself.
omni_error() {
  tail -n 1 <<<"$1" | jq -er '.error | .message + (if .hint then " (" + .hint + ")" else "" end)' 2>/dev/null || printf '%s' "$1"
}

# omni_for STACK ARGUMENT…: omni in the environment of the stack's app; that of new apps is for omni to choose.
omni_for() {
  local environment=${ENVIRONMENT[$1]:-}
  shift
  if [ -n "$environment" ]; then OMNI_ENV=$environment "$OMNI" "$@"; else "$OMNI" "$@"; fi
}

# app_of STACK: the app as omni has it; nothing when it has none.
app_of() {
  local said code=0
  said=$(omni_for "$1" -o json apps show "$1" 2>&1) || code=$?
  case $code in
    0) printf '%s' "$said" ;;
    3) ;;
    *)
      fault "omni does not say how $1 is: $(omni_error "$said")"
      return 1
      ;;
  esac
}
# hosts_of APP [BUT]: the hosts that are to run it, but for that one.
hosts_of() {
  [ -z "$1" ] || jq -r --arg but "${2:-}" '[.allocations[] | select(.run and .host_name != $but) | .host_name] | unique | join(" ")' <<<"$1"
}

# app_faults STACK: what omni finds wrong with its app, a line each.
app_faults() {
  local app
  app=$(app_of "$1") || return 0
  if [ -z "$app" ]; then
    echo "omni knows no app $1"
    return
  fi
  jq -r 'select(.status != "healthy") | "omni says that \(.name) is \(.status)"
    + ([.groups[].waiting[]?, (.allocations[] | select(.run) | .reason // empty)] | unique | if length > 0 then ": " + join("; ") else "" end)' <<<"$app"
}

# can_be_deployed STACK: whether omni may have it here, or anywhere; says why not.
can_be_deployed() {
  local app others other=./
  find_host || return 1
  app=$(app_of "$1") || return 1
  # Data beside the files of a stack is ./data to omni when it is spread, and a path of the host when it is not.
  if spread "$1"; then other=${STACK_DIR[$1]}/; fi
  if [ -n "$app" ] && jq -e --arg other "$other" 'any(.volumes[].name; startswith($other))' <<<"$app" >/dev/null; then
    fault "$1 was deployed before $(if spread "$1"; then echo without; else echo with; fi) OMNI_SETUP_SPREAD=$1 and has its data from then ($(jq -r '[.volumes[] | "\(.name) on \(.host_name)"] | unique | join(", ")' <<<"$app")): do it as before, or begin with other data after omni rm $1"
    return 1
  fi
  if spread "$1"; then
    if waits_for_init "$1"; then
      fault "$1 cannot be spread: its containers wait for its init script, which works on this machine; take it out of OMNI_SETUP_SPREAD"
      return 1
    elif [ -n "$(facts "$1" build)" ]; then
      fault "$1 cannot be spread: its image is built on this machine and is on no other; take it out of OMNI_SETUP_SPREAD"
      return 1
    fi
  else
    others=$(hosts_of "$app" "$MESH_HOST")
    if [ -n "$others" ]; then
      fault "omni runs $1 on $others already, and would take it away from there: set it up from that host, leave it out here with --skip $1, or make a second one with OMNI_ENV=NAME (an environment of omni, omni deploy --help)"
      return 1
    fi
  fi
}

# tie STACK HASH: writes the tie, and makes folders that are mounted and not there, as compose does.
tie() {
  local stack=$1 hash=$2 service mount source inside mode lines=''
  while IFS=$'\t' read -r service mount; do
    IFS=: read -r source inside mode <<<"$(expand "$stack" "$mount")"
    source=$(realpath -ms "${STACK_DIR[$stack]}/$source")
    if [ ! -e "$source" ]; then
      case ${source##*/} in *.*)
        fault "$(short "$source") is mounted by $stack and does not exist"
        return 1
        ;;
      esac
      if ! (umask 077 && mkdir -p "${source%/*}" && mkdir "$source" && chmod 755 "$source"); then
        fault "the folder $(short "$source") could not be made"
        return 1
      fi
    fi
    lines+=$service$'\tmount\t'$source$'\t'$inside$'\t'$mode$'\n'
  done < <(compose_facts "$stack" | awk -F '\t' '$2 == "mount" { print $1 "\t" $3 }')
  # A dollar sign in a path is one, not the beginning of a variable.
  {
    compose_facts "$stack" | awk -F '\t' '$2 == "service" || $2 == "build" || ($2 == "restart" && $3 == "no")'
    printf '%s' "$lines"
  } | jq -Rn --arg host "$MESH_HOST" --arg hash "$hash" '
    def stop_first: {order: "stop-first"};
    [inputs | split("\t")] | group_by(.[0]) | map({
      key: .[0][0],
      value: ({
        deploy: {placement: {constraints: ["node.hostname == \($host)"]}, update_config: stop_first, rollback_config: stop_first},
        "x-omni": {exclusive: false, failover: {mode: "never"}}
      }
      + (map(select(.[1] == "mount")) | if length == 0 then {} else {volumes: map({
          type: "bind", source: (.[2] | gsub("\\$"; "$$")), target: .[3], read_only: (.[4] | split(",") | index("ro") != null),
          bind: {create_host_path: false}})} end)
      + (if any(.[1] == "build" or .[1] == "restart") then {labels: {"omni.quantum.setup.content": $hash}} else {} end))
    }) | {services: from_entries}' >"${STACK_DIR[$stack]}/$TIE.new" && mv -f "${STACK_DIR[$stack]}/$TIE.new" "${STACK_DIR[$stack]}/$TIE" && return
  fault "$(short "${STACK_DIR[$stack]}")/$TIE could not be written"
  return 1
}

# fetch_images STACK: has its images on this machine, which is where it will run. So a registry that is away shows at
# once and not when omni stops trying, and the logins of `docker login` count, which agents do not have.
fetch_images() {
  local service image built
  built=$(facts "$1" build | cut -f 1)
  while IFS=$'\t' read -r service image; do
    if grep -qxF -- "$service" <<<"$built"; then continue; fi
    image=$(expand "$1" "$image")
    docker image inspect "$image" >/dev/null 2>&1 || docker pull "$image" || return
  done < <(facts "$1" image)
  [ -z "$built" ] || compose "$1" build
}

# omni_deploy STACK ARGUMENT…
omni_deploy() {
  local stack=$1 more
  shift
  # What is spread takes its files along, those of other folders as well.
  if spread "$stack"; then more=(--root "$REPO"); else more=(-f "$TIE"); fi
  (cd "${STACK_DIR[$stack]}" && omni_for "$stack" "$@" -f docker-compose.yml "${more[@]}" --name "$stack")
}

# would_start STACK: whether omni would start it at once; says what it would wait for.
would_start() {
  local plan code=0 why said=$STATE/setup/$1-plan.log
  plan=$(omni_deploy "$1" -o json deploy --plan 2>"$said") || code=$?
  case $code in 0 | 10) ;; *)
    printf '%s\n' "$(omni_error "$(cat "$said")")" >&2
    explain_omni "$1" "$code" || fault "omni does not plan $1, see above"
    return 1
    ;;
  esac
  why=$(jq -r '.waiting[]' <<<"$plan") || return 1
  [ -n "$why" ] || return 0
  while IFS= read -r why; do fault "$1: omni would $why"; done <<<"$why"
  fault "$1 is not begun, because it could not start: omni hosts show $MESH_HOST tells what this machine has"
  return 1
}

# deploy_stack STACK HASH
deploy_stack() {
  local stack=$1 code=0 wait=--wait=${HEALTH_SECONDS}s
  can_be_deployed "$stack" || return 1
  spread "$stack" || tie "$stack" "$2" || return 1
  would_start "$stack" || return 1
  if ! spread "$stack" && ! run_logged "$stack" pull fetch_images "$stack"; then
    explain_log "$stack" pull || fault "an image of $stack could not be had, see above"
    return 1
  fi
  # Containers that wait for the init script do not get healthy before it; the gate below looks after them.
  if waits_for_init "$stack"; then wait=--detach; fi
  run_logged "$stack" start omni_deploy "$stack" deploy --yes "$wait" || code=$?
  if [ "$code" != 0 ]; then
    case $code in 2 | 4 | 5) ;; *) explain_log "$stack" start && return 1 ;; esac
    explain_omni "$stack" "$code" || fault "$stack did not start, see above; omni apps show $stack and omni explain $stack tell more"
    return 1
  fi
  if [ "$wait" = --detach ]; then
    replaced "$stack" || return 1
  fi
  if ! spread "$stack" && [ -z "$(keeper "$stack")" ]; then
    fault "omni runs $stack on $MESH_HOST, and the Docker engine here has none of its containers: is $MESH_HOST this machine, and does DOCKER_HOST name its engine?"
    return 1
  fi
}

# replaced STACK: waits until what runs is of the release that was deployed last, and nothing is left of the one before.
replaced() {
  local app deadline=$((SECONDS + HEALTH_SECONDS))
  until app=$(app_of "$1") && jq -e '.release as $release | .allocations | length > 0 and
    all(.run and .release == $release and .state != "pending" and .state != "preparing")' <<<"$app" >/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      explain_omni "$1" 6
      return 1
    fi
    sleep 1
  done
}

# deployed STACK: whether its deployment ended well, which for what waits for the init script is known after that.
deployed() {
  local code=0
  by_mesh "$1" && waits_for_init "$1" || return 0
  run_logged "$1" watch omni_for "$1" rollout watch "$1" --limit "${HEALTH_SECONDS}s" || code=$?
  [ "$code" != 0 ] || return 0
  # Else the next run would find it started, and this outcome again.
  forget "$1"
  explain_omni "$1" "$code" || fault "omni gave up the deployment of $1, see above; run this again to begin it anew"
  return 1
}

# stop_app STACK. Data and releases stay.
stop_app() {
  local stack=$1 app others code=0
  find_host || return 1
  app=$(app_of "$stack") || return 1
  [ -n "$app" ] || return 0
  others=$(hosts_of "$app" "$MESH_HOST")
  if [ -n "$others" ]; then
    # Whether an app may be stopped everywhere is not for one machine's set-up to say.
    fault "omni runs $stack on $others: omni stop $stack stops it there"
    return 1
  fi
  run_logged "$stack" down omni_for "$stack" stop "$stack" "--wait=${HEALTH_SECONDS}s" || code=$?
  [ "$code" != 0 ] || return 0
  explain_omni "$stack" "$code" || fault "omni did not stop $stack, see above"
  return 1
}

# explain_omni STACK CODE: what that exit code of omni means here, and what to do; fails on one that says nothing.
explain_omni() {
  case $2 in
    2) fault "omni does not accept the stack $1 as it is, see above" ;;
    4) fault "omni refuses, see above. Deploying takes a token of the role operator (omni token create-api, then omni login); if somebody else was changing $1, run this again" ;;
    5) fault "no controller answers any more (omni status); run this again when one does" ;;
    6) fault "$1 is not as it should be after $HEALTH_SECONDS s. omni goes on with it: omni rollout watch $1; omni explain $1 tells why it waits. Run this again then; OMNI_SETUP_HEALTH_SECONDS waits longer" ;;
    *) return 1 ;;
  esac
}
