#!/usr/bin/env bash
# Signs an admin in and prints the token: BAO_TOKEN=$(scripts/login.sh NAME) scripts/init.sh
#   login.sh NAME                  asks for the password of admin-NAME (or reads it from standard input)
#   login.sh NAME -i IDENTITY      with the first password, as scripts/init.sh sealed it
#   login.sh NAME --new-password   then asks for a new one, and sets it
# Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="login.sh NAME [-i IDENTITY] [--new-password]"
identities "$@"
load_env
need curl jq age
name='' change=''
for word in "${REST[@]}"; do
  case $word in
    --new-password) change=yes ;;
    -*) usage_error "$HELP" ;;
    *) [ -z "$name" ] || usage_error "$HELP"; name=$word ;;
  esac
done
[ -n "$name" ] || usage_error "$HELP"

ask() {
  local answer
  if [ -t 0 ]; then printf '%s: ' "$1" >&2; IFS= read -rs answer; printf '\n' >&2; else IFS= read -r answer; fi
  printf '%s' "$answer"
}

if [ ${#IDENTITIES[@]} -gt 0 ]; then
  [ -s "$KEPT/admin/$name.age" ] || die "$KEPT/admin/$name.age is missing: no first password of $name was sealed here"
  password=$(open_with "$KEPT/admin/$name.age" "${IDENTITIES[@]}") || die "the identity does not open $KEPT/admin/$name.age"
else
  password=$(ask "password of admin-$name")
fi
call POST "auth/userpass/login/admin-$name" "$(jq -cn --arg p "$password" '{password: $p}')"
[ "$CODE" != 400 ] || die "admin-$name is not known with this password"
[ "$CODE" = 200 ] || explain "signing in"
TOKEN=$(status .auth.client_token)
if [ -n "$change" ]; then
  new=$(ask "new password")
  [ ${#new} -ge 16 ] || die "the new password has ${#new} characters; 16 at least"
  must POST "auth/userpass/users/admin-$name/password" "$(jq -cn --arg p "$new" '{password: $p}')"
  rm -f "$KEPT/admin/$name.age"
  say "password of admin-$name changed; the sealed first one was removed"
fi
printf '%s\n' "$TOKEN"
