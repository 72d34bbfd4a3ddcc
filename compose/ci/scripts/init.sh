#!/usr/bin/env bash
# Prepares the runner's registration and the registry's login, and checks that both work.
#
#   scripts/init.sh --files   only write the files that the containers need before they start
#   scripts/init.sh           the same, then check Gitea, the runner and the registry; a second run changes nothing
#   scripts/init.sh --check   change nothing; fails when something is not as it should be
#
# Exit: 0 all well, 1 failed or not as it should be, 2 wrong use. Values come from .env; the environment goes first.
#
#   GITEA_URL      GITEA_INSTANCE_URL     Gitea as this machine reaches it
#   REGISTRY_URL   http://omni-private-registry:5000 from a container; here the address that curl can reach (empty: not asked)
#   WAIT           120                    seconds until the runner has to be online
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { printf 'ci: %s\n' "$*"; }
fail() { printf 'ci: %s\n' "$*" >&2; exit 1; }
usage() { printf 'usage: %s [--files | --check]\n' "$0" >&2; exit 2; }

mode=apply
case ${1:-} in
  "") ;;
  --files) mode=files ;;
  --check) mode=check ;;
  *) usage ;;
esac
[ $# -le 1 ] || usage
for tool in curl jq htpasswd; do
  command -v "$tool" >/dev/null || fail "$tool is missing; install it (apt-get install ${tool/htpasswd/apache2-utils})"
done
if [ -f "${CI_ENV_FILE:-$here/.env}" ]; then
  while IFS='=' read -r name value; do
    case $name in '' | *[!A-Za-z0-9_]*) continue ;; esac
    [ -n "${!name+set}" ] || export "$name=$value"
  done <"${CI_ENV_FILE:-$here/.env}"
fi
GITEA_URL=${GITEA_URL:-${GITEA_INSTANCE_URL:-}}
[ -n "$GITEA_URL" ] || fail "GITEA_INSTANCE_URL is empty: set it in .env"
[ -n "${REGISTRY_PASSWORD:-}" ] || fail "REGISTRY_PASSWORD is empty: deploy/setup.sh generates it, or set it in .env"
REGISTRY_USER=${REGISTRY_USER:-omni}
SECRETS_DIR=${SECRETS_DIR:-$here/secrets}
WAIT=${WAIT:-120}
token_file=$SECRETS_DIR/gitea_runner_registration_token
login_file=$SECRETS_DIR/registry.htpasswd

# gitea METHOD PATH: the API as the administrator; the token goes in by standard input.
gitea() {
  [ -n "${GITEA_ADMIN_TOKEN:-}" ] || fail "GITEA_ADMIN_TOKEN is empty: an access token of a Gitea administrator is needed for this"
  printf 'header = "Authorization: token %s"\n' "$GITEA_ADMIN_TOKEN" |
    curl -fsS --max-time 15 --config - -X "$1" -H 'Accept: application/json' "${GITEA_URL%/}/api/v1$2"
}

login_is_right() { [ -s "$login_file" ] && printf '%s' "$REGISTRY_PASSWORD" | htpasswd -vi "$login_file" "$REGISTRY_USER" >/dev/null 2>&1; }

write_files() {
  mkdir -p "$SECRETS_DIR" && chmod 0700 "$SECRETS_DIR"
  if login_is_right; then
    say "the registry's login is there"
  else
    printf '%s' "$REGISTRY_PASSWORD" | htpasswd -niB "$REGISTRY_USER" >"$login_file.new"
    # Whatever user the registry runs as reads the mounted file; the folder around it is closed.
    chmod 0444 "$login_file.new" && mv "$login_file.new" "$login_file"
    say "the registry's login was written"
  fi
  if [ -s "$token_file" ]; then
    say "the runner's registration token is there"
  else
    local token
    token=$(gitea POST /admin/actions/runners/registration-token 2>/dev/null | jq -er .token) ||
      fail "Gitea at $GITEA_URL gave no registration token. Does it run, is GITEA_ADMIN_TOKEN an administrator's, are Actions on?"
    (umask 077 && printf '%s' "$token" >"$token_file")
    say "a registration token was fetched"
  fi
}

runner_is_online() { gitea GET /admin/actions/runners 2>/dev/null | jq -e --arg name "${GITEA_RUNNER_NAME:-omni-runner-1}" '[.runners[]? | select(.name == $name and .status == "online")] | length > 0' >/dev/null; }

# status PASSWORD: what the registry answers to a login.
status() {
  printf 'user = "%s:%s"\n' "$REGISTRY_USER" "$1" |
    curl -sS --max-time 10 --config - -o /dev/null -w '%{http_code}' "${REGISTRY_URL%/}/v2/" 2>/dev/null || true
}

[ "$mode" = check ] || write_files
[ "$mode" != files ] || exit 0

login_is_right || fail "the registry's login is not that of .env: run $0 without --check"
[ -s "$token_file" ] || fail "there is no registration token: run $0 without --check"
deadline=$((SECONDS + WAIT))
until runner_is_online; do
  if [ "$mode" = check ] || [ "$SECONDS" -ge "$deadline" ]; then
    fail "Gitea does not show the runner ${GITEA_RUNNER_NAME:-omni-runner-1} as online. Look at: docker logs omni-gitea-runner"
  fi
  sleep 1
done
say "the runner ${GITEA_RUNNER_NAME:-omni-runner-1} is online"
if [ -n "${REGISTRY_URL:-}" ]; then
  [ "$(status "$REGISTRY_PASSWORD")" = 200 ] || fail "the registry at $REGISTRY_URL does not take the login of .env"
  [ "$(status wrong)" = 401 ] || fail "the registry at $REGISTRY_URL lets in anybody"
  say "the registry takes the login, and no other"
else
  say "REGISTRY_URL is not set: the registry was not asked from here (its health check asks it)"
fi
