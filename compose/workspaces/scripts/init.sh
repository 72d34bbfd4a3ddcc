#!/usr/bin/env bash
# Makes the images, homes and password hashes of the workspaces that run here, and checks that each asks for a password.
#
#   scripts/init.sh            do it; a second run finds nothing to do
#   scripts/init.sh --check    change nothing; fails when something would have to change
#
# Exit: 0 all well, 1 failed or not as it should be, 2 wrong use. Values come from .env beside docker-compose.yml; what is
# set in the environment goes first.
#
#   COMPOSE_PROFILES        which workspaces: python node rust go gpu-ml coder, with commas
#   WORKSPACE_<NAME>_URL    http://127.0.0.1:8451 (python) to 8455 (gpu-ml), as this machine sees it
#   CODER_URL               http://127.0.0.1:7080
#   WORKSPACES_DIR          the stack's folder, for its data/ and secrets/
#   WAIT                    90 seconds for a workspace to answer
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${WORKSPACES_DIR:-$here}
ENV_FILE=${WORKSPACES_ENV_FILE:-$root/.env}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/scripts/lib.sh"

mode=apply
case ${1:-} in
  "") ;;
  --check) mode=check ;;
  *) printf 'usage: %s [--check]\n' "$0" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { printf 'usage: %s [--check]\n' "$0" >&2; exit 2; }
for program in docker curl jq; do
  command -v "$program" >/dev/null || fail "$program is missing; install it"
done
WAIT=${WAIT:-90}
[[ $WAIT =~ ^[0-9]+$ ]] || fail "WAIT is '$WAIT'; it is a number of seconds"

# Arguments of argon2, Debian's program in the images. About 0.1 s for each guess.
hash_of() {
  # The password goes by standard input, never by an argument. The salt is no secret.
  printf '%s' "$2" | docker run --rm -i --network none --entrypoint argon2 "$1" "$3" -id -t 3 -k 65536 -p 1 -l 32 -e
}
salt_of() {
  local salt
  salt=$(cut -d '$' -f 5 "$1")
  while [ $((${#salt} % 4)) -ne 0 ]; do salt+='='; done
  printf '%s' "$salt" | base64 -d 2>/dev/null || true
}
mode_of() { stat -c %a "$1"; }
owner_of() { stat -c %u "$1"; }
# Root gives a file to coder (1000), as whom the containers run. Anybody else has to be 1000.
give() {
  if [ "$(id -u)" = 0 ]; then
    chown "${WORKSPACES_UID:-1000}" "$1"
  elif [ "$(owner_of "$1")" != "${WORKSPACES_UID:-1000}" ]; then
    fail "$1 has to belong to user ${WORKSPACES_UID:-1000} (coder in the containers): run this as root, once"
  fi
}

# folder PATH: there, 0700, coder's.
folder() {
  if [ -d "$1" ] && [ "$(mode_of "$1")" = 700 ] && [ "$(owner_of "$1")" = "${WORKSPACES_UID:-1000}" ]; then return; fi
  [ $mode = apply ] || fail "$1 has to be a folder with mode 0700 of user ${WORKSPACES_UID:-1000}; scripts/init.sh makes it so"
  mkdir -p "$1"
  give "$1"
  chmod 700 "$1"
}

image_of() {
  local image=omni/workspace-$1:$VERSION
  if docker image inspect "$image" >/dev/null 2>&1; then return; fi
  [ $mode = apply ] || fail "the image $image is missing; scripts/init.sh builds it"
  say "building $image; the first time takes a while"
  docker build --target "$1" -t "$image" "$here/images" || fail "$image could not be built, see above"
}

# changed tells the caller, who has to restart what read the old one.
changed=
password_of() {
  local name file password image=omni/workspace-$1:$VERSION hash=''
  name=$(password_name "$1")
  file=$root/secrets/workspace-$1/password.hash
  password=$(setting "$name")
  changed=
  if [ -n "$password" ] && [ "${#password}" -lt 12 ]; then fail "$name has ${#password} characters; give it 12 or more: a workspace is a shell"; fi
  if [ -s "$file" ]; then
    # shellcheck disable=SC2016 # the dollar signs are the hash's own
    grep -q '^\$argon2id\$v=19\$' "$file" || fail "$file holds no argon2id hash; remove it and run scripts/init.sh"
    if [ "$(mode_of "$file")" != 400 ] || [ "$(owner_of "$file")" != "${WORKSPACES_UID:-1000}" ]; then
      [ $mode = apply ] || fail "$file has to have mode 0400 and belong to user ${WORKSPACES_UID:-1000}; scripts/init.sh makes it so"
      give "$file"
      chmod 400 "$file"
    fi
    # An emptied .env keeps the hash that there is.
    [ -n "$password" ] || return 0
    hash=$(hash_of "$image" "$password" "$(salt_of "$file")") || hash=''
    [ "$hash" != "$(cat "$file")" ] || return 0
    [ $mode = apply ] || fail "$file is not the hash of $name; scripts/init.sh makes it so"
  else
    [ $mode = apply ] || fail "$file is missing; scripts/init.sh makes it"
    [ -n "$password" ] || fail "$name is empty and there is no $file yet: give it a value in $ENV_FILE"
  fi
  hash=$(hash_of "$image" "$password" "$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')") || fail "argon2 in $image failed, see above"
  # shellcheck disable=SC2016
  case $hash in '$argon2id$v=19$'*) ;; *) fail "argon2 in $image made no hash" ;; esac
  (umask 077 && printf '%s\n' "$hash" >"$file.new")
  give "$file.new"
  chmod 400 "$file.new"
  mv -f "$file.new" "$file"
  changed=yes
  say "$1: new password hash in ${file#"$root/"}"
}

state_of() { docker inspect --format '{{.State.Status}}' "$1" 2>/dev/null || echo absent; }

# until_it COMMAND…: tries until WAIT is over.
until_it() {
  local deadline=$((SECONDS + WAIT))
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 1
  done
}
# "expired" means that nobody is connected, which is well.
healthy() {
  curl -fsS --max-time 5 "$1/healthz" 2>/dev/null | jq -e '.status == "alive" or .status == "expired"' >/dev/null 2>&1
}
# Without a session every page leads to the sign-in.
shut() {
  local said
  said=$(curl -sS --max-time 5 -o /dev/null -w '%{http_code} %{redirect_url}' "$1/" 2>/dev/null) || return 1
  [[ $said =~ ^302\ .*/login ]]
}
# The right password is answered with a redirect, a wrong one with the page again. Two a minute and twelve an hour are let
# through, so this is asked only after the hash has changed.
opens() {
  local code
  code=$(printf '%s' "$2" | curl -sS --max-time 10 -o /dev/null -w '%{http_code}' --data-urlencode 'password@-' "$1/login") || return 1
  [ "$code" = 302 ]
}

workspace() {
  local flavour=$1 container=omni-workspace-$1 url state
  url=$(url_of "$flavour")
  image_of "$flavour"
  folder "$root/data/workspace-$flavour"
  folder "$root/secrets/workspace-$flavour"
  password_of "$flavour"
  state=$(state_of "$container")
  if [ "$state" != running ]; then
    [ $mode = apply ] || fail "$container is $state; docker compose up -d starts it"
    say "$flavour: ready to start: docker compose up -d"
    return
  fi
  # It read the old hash when it started. One that still waits for its first hash loses nothing by a restart.
  [ -z "$changed" ] || docker restart "$container" >/dev/null || fail "$container could not be restarted"
  until_it healthy "$url" || fail "$url/healthz does not answer after $WAIT s. Look at: docker logs $container"
  shut "$url" || fail "$url/ does not ask for a password. Stop it: docker stop $container; then look at config/code-server.yaml (auth: password)"
  if [ -n "$changed" ]; then
    opens "$url" "$(setting "$(password_name "$flavour")")" || fail "$url refuses the password in $ENV_FILE. Look at: docker logs $container"
  fi
  say "$flavour: answers at $url and asks for its password"
}

coder() {
  local url=${CODER_URL:-http://127.0.0.1:7080} state
  # shellcheck disable=SC2016
  [[ $(setting CODER_PG_CONNECTION_URL) =~ ^postgres(ql)?:// ]] ||
    fail "CODER_PG_CONNECTION_URL in $ENV_FILE is no postgres:// address; without one Coder starts a database of its own inside its container, which nobody backs up"
  state=$(state_of omni-coder)
  if [ "$state" != running ]; then
    [ $mode = apply ] || fail "omni-coder is $state; docker compose up -d starts it"
    say "coder: ready to start: docker compose up -d"
    return
  fi
  until_it curl -fsS --max-time 5 -o /dev/null "$url/healthz" 2>/dev/null || fail "$url/healthz does not answer after $WAIT s. Look at: docker logs omni-coder"
  curl -fsS --max-time 5 "$url/api/v2/buildinfo" 2>/dev/null | jq -e '.version | type == "string"' >/dev/null 2>&1 || fail "$url/api/v2/buildinfo is not Coder's answer; is something else on this port?"
  say "coder: answers at $url"
}

profiles=$(chosen)
[ -n "$profiles" ] || fail "COMPOSE_PROFILES in $ENV_FILE is empty: name what runs here ($FLAVOURS coder)"
for profile in $profiles; do
  if [ "$profile" = coder ]; then coder; else workspace "$profile"; fi
done
say "all well"
