#!/usr/bin/env bash
# Hands a program its way in: role id, and a wrapped secret id that can be opened once, within five minutes.
#   deliver.sh COMPONENT DIR [--cidr NET]     writes DIR/role_id and DIR/wrapped_secret_id; needs BAO_TOKEN (scripts/login.sh)
#   deliver.sh --unwrap DIR                   on the program's host: DIR/secret_id in exchange; fails loudly when somebody was there first
# Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="deliver.sh COMPONENT DIR [--cidr NET] | --unwrap DIR"
load_env
need curl jq
if [ "${1:-}" = --unwrap ]; then
  [ $# -eq 2 ] || usage_error "$HELP"
  [ -s "$2/wrapped_secret_id" ] || die "$2/wrapped_secret_id is missing or empty"
  TOKEN=$(cat "$2/wrapped_secret_id")
  call POST sys/wrapping/unwrap
  case $CODE in
    200) ;;
    400 | 403) die "the wrapped secret id does not open: it is older than five minutes, or SOMEBODY ELSE HAS OPENED IT. Deliver a new one; if it was younger, look in the audit log for sys/wrapping/unwrap" ;;
    *) explain "POST sys/wrapping/unwrap" ;;
  esac
  status .data.secret_id >"$2/secret_id.new"
  mv "$2/secret_id.new" "$2/secret_id"
  rm -f "$2/wrapped_secret_id"
  exit 0
fi
case $#-${3:-} in 2- | 4---cidr) ;; *) usage_error "$HELP" ;; esac
component=$1 folder=$2 body='{}'
if [ $# -eq 4 ]; then body=$(jq -nc --arg net "$4" '{cidr_list: [$net], token_bound_cidrs: [$net]}'); fi
need_token
call GET "auth/approle/role/$component/role-id"
[ "$CODE" != 404 ] || die "'$component' has no role: does it use a secret (access.yaml), and was scripts/init.sh run?"
[ "$CODE" = 200 ] || explain "role of $component"
role=$(status .data.role_id)
WRAP_TTL=5m must POST "auth/approle/role/$component/secret-id" "$body"
[ "$(status '.wrap_info.token // ""')" != "" ] || die "OpenBao gave a secret id unwrapped; nothing was written"
mkdir -p "$folder"
printf '%s\n' "$role" >"$folder/role_id"
status .wrap_info.token >"$folder/wrapped_secret_id"
say "$component: role_id and wrapped_secret_id in $folder; its host opens it within five minutes: scripts/deliver.sh --unwrap $folder"
