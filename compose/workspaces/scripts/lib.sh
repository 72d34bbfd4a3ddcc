# shellcheck shell=bash
# What init.sh and idle.sh share: settings, and which workspaces run on this host.
set -euo pipefail

# shellcheck disable=SC2034 # init.sh reads it
VERSION=4.133.0
FLAVOURS="python node rust go gpu-ml"

fail() { printf 'workspaces: %s\n' "$*" >&2; exit 1; }
say() { printf 'workspaces: %s\n' "$*"; }

# .env is data, not a script: a value is what stands behind the first "=". What is set in the environment goes first.
setting() {
  if [ -n "${!1+set}" ]; then printf '%s' "${!1}"; return; fi
  [ ! -f "$ENV_FILE" ] || sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1
}
capitals() { printf '%s' "$1" | tr 'a-z-' 'A-Z_'; }

port_of() {
  case $1 in
    python) echo 8451 ;;
    node) echo 8452 ;;
    rust) echo 8453 ;;
    go) echo 8454 ;;
    gpu-ml) echo 8455 ;;
  esac
}
password_name() {
  case $1 in
    python) echo WORKSPACE_PYTHON_PASSWORD ;;
    node) echo WORKSPACE_NODE_PASSWORD ;;
    rust) echo WORKSPACE_RUST_PASSWORD ;;
    go) echo WORKSPACE_GO_PASSWORD ;;
    gpu-ml) echo WORKSPACE_GPU_ML_PASSWORD ;;
  esac
}
# WORKSPACE_PYTHON_URL and so on aim the checks elsewhere.
url_of() {
  local name
  name=WORKSPACE_$(capitals "$1")_URL
  printf '%s' "${!name:-http://127.0.0.1:$(port_of "$1")}"
}

# Profiles of COMPOSE_PROFILES, each once; a wrong name ends it here, because Compose would silently start nothing.
chosen() {
  local profile
  for profile in $(setting COMPOSE_PROFILES | tr ',' ' '); do
    case " $FLAVOURS coder " in
      *" $profile "*) printf '%s\n' "$profile" ;;
      *) fail "COMPOSE_PROFILES names '$profile'; there are: $FLAVOURS coder" ;;
    esac
  done | sort -u
}
