# shellcheck shell=bash
# What the stacks are started with: the Docker engine, compose, the network, ports and disk. Sourced by deploy/setup.sh.

NETWORK=omni-quantum-network
# A platform that fills its disk while it is being set up is harder to mend than one that was not begun.
MIN_FREE_MB=${OMNI_SETUP_MIN_FREE_MB:-5120}

# COMPOSE: the command, as an array. HOW: how stacks are started and why so, for people.
COMPOSE=() HOW=''

choose_engine() {
  choose_compose
  choose_mesh
  say_how "$HOW"
}
# say_how COMPOSE
say_how() {
  if [ -n "$MESH" ]; then
    HOW="omni deploy, because a mesh answers; the stack omni itself with $1"
  else
    HOW="$1; not omni deploy, because $MESH_WHY"
  fi
}

choose_compose() {
  local said
  have docker || die "docker is not installed. On Debian: deploy/packages.sh up (as root); then deploy/docker-engine.sh start"
  if ! said=$(docker version --format '{{.Server.Version}}' 2>&1); then
    case $said in
      *'permission denied'*) die "the Docker engine refuses $(id -un): run this as root, or add the user to the group docker and log in again" ;;
      *) die "no Docker engine answers (deploy/docker-engine.sh start starts one; a remote one is named by DOCKER_HOST). It said: $(tail -n 1 <<<"$said")" ;;
    esac
  fi
  if docker compose version >/dev/null 2>&1; then
    COMPOSE=(docker compose) HOW="docker compose, on engine $said"
  elif have docker-compose && docker-compose version >/dev/null 2>&1; then
    COMPOSE=(docker-compose) HOW="docker-compose, on engine $said (there is no 'docker compose' here)"
  else
    die "neither 'docker compose' nor 'docker-compose' works here. On Debian: apt-get install docker-compose"
  fi
}

# compose STACK ARGUMENT…
compose() {
  (cd "${STACK_DIR[$1]}" && shift && "${COMPOSE[@]}" "$@")
}

network_there() { docker network inspect "$NETWORK" >/dev/null 2>&1; }
make_network() {
  network_there && return
  docker network create --label omni.quantum.network=platform "$NETWORK" >/dev/null ||
    die "the network $NETWORK could not be made, see above"
  note "network $NETWORK made"
}

# disk_faults: file systems with too little room, a line each.
disk_faults() {
  local root path free seen='' device
  root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || true)
  for path in "$REPO/compose" "${root:-/var/lib/docker}"; do
    [ -d "$path" ] || continue
    read -r device free < <(df -Pm "$path" | awk 'NR == 2 { print $1, $4 }')
    case " $seen " in *" $device "*) continue ;; esac
    seen+=" $device"
    if [ "$free" -lt "$MIN_FREE_MB" ]; then
      echo "only $free MiB are free where $path lies; the stacks want $MIN_FREE_MB MiB (docker system df shows what Docker holds; OMNI_SETUP_MIN_FREE_MB changes the limit)"
    fi
  done
}

# published STACK: "service <tab> address <tab> port <tab> tcp|udp" of each published port.
published() {
  local service port protocol address rest
  while IFS=$'\t' read -r service port; do
    port=$(expand "$1" "$port")
    protocol=tcp
    case $port in */udp) protocol=udp ;; esac
    port=${port%/*}
    # [address:]host:container; without a host port the engine picks one.
    [[ $port == *:* ]] || continue
    rest=${port%:*}
    address=${rest%:*}
    if [ "$address" = "$rest" ]; then address=0.0.0.0; fi
    printf '%s\t%s\t%s\t%s\n' "$service" "$address" "${rest##*:}" "$protocol"
  done < <(facts "$1" port)
}

# port_faults STACK: its ports that somebody else has, a line each. Containers of its own are not somebody else.
port_faults() {
  local service address port protocol owner name
  while IFS=$'\t' read -r service address port protocol; do
    name=$(facts "$1" name | awk -F '\t' -v service="$service" '$1 == service { print $2 }')
    if [ -n "$name" ] && [ "$(docker inspect --format '{{.State.Running}}' "$name" 2>/dev/null)" = true ]; then continue; fi
    [[ $port =~ ^[0-9]+$ ]] || continue
    if owner=$(port_owner "$protocol" "$port"); then
      echo "$protocol port $port, which $service of $1 publishes, is taken by $owner: stop that, or change the port in $(short "$(env_file "$1")")"
    fi
  done < <(published "$1")
}
