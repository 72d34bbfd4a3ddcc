# shellcheck shell=bash
# What the scripts of this stack share: messages, .env, and omni's command in a container.

here=${here:?}
DOCKER=${DOCKER:-docker}
SECRETS_DIR=${SECRETS_DIR:-$here/secrets}

say() { printf 'omni: %s\n' "$*"; }
warn() { printf 'omni: %s\n' "$*" >&2; }
fail() { warn "$@"; exit 1; }

# .env is data, not a script: only these names are taken, and a value is what stands behind the first "=".
read_settings() {
  local name value env_file=${OMNI_ENV_FILE:-$here/.env}
  for name in COMPOSE_PROFILES OMNI_ADVERTISE OMNI_BIND OMNI_JOIN OMNI_CONTROLLER_NAME OMNI_HOST_NAME OMNI_HOST_LABELS OMNI_REGION OMNI_ZONE; do
    [ -z "${!name+set}" ] || continue
    value=''
    if [ -f "$env_file" ]; then value=$(sed -n "s/^$name=//p" "$env_file" | tail -n 1); fi
    printf -v "$name" '%s' "$value"
  done
  # shellcheck disable=SC2034 # init.sh reads it
  ADVERTISE=${OMNI_ADVERTISE:-omni-omni}
  if runs controller; then
    CLI=omni-omni
  else
    CLI=omni-agent
  fi
}

# runs PROFILE: whether this host runs it.
runs() { case ",${COMPOSE_PROFILES:-}," in *",$1,"*) ;; *) return 1 ;; esac; }

# The controllers' addresses as the command wants them; 7601 is where a controller at 7600 serves its API.
urls() {
  local address list=''
  if [ -n "${OMNI_URL:-}" ]; then
    printf '%s' "$OMNI_URL"
  elif runs controller; then
    printf 'https://localhost:7601'
  else
    for address in ${OMNI_JOIN//,/ }; do
      case $address in
        *:7600) list+=,https://${address%:*}:7601 ;;
        *) fail "OMNI_JOIN names $address, whose API cannot be told from that: set OMNI_URL=https://HOST:PORT" ;;
      esac
    done
    printf '%s' "${list#,}"
  fi
}

# omni_as TOKEN_FILE [flag of docker exec]… -- ARGUMENT…: omni's command. Names only: docker takes the values from its
# environment, so that no token stands in a process list.
omni_as() {
  local file=$1 flags=() list
  shift
  while [ "$1" != -- ]; do
    flags+=("$1")
    shift
  done
  shift
  list=$(urls)
  OMNI_TOKEN=$(cat "$file") OMNI_URL=$list "$DOCKER" exec -e OMNI_TOKEN -e OMNI_URL "${flags[@]}" "$CLI" omni "$@"
}
