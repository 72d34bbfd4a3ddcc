#!/usr/bin/env bash
# The account for the night when nothing else works. BREAK-GLASS.md is the procedure.
#   break-glass.sh check                      exists, is sealed, lies nowhere in clear, its use would alert, the door without an account is shut
#   break-glass.sh rehearse -i ID -i ID...    everything up to the last share, then undone; writes down that it was done
#   break-glass.sh use -i ID -i ID...         a root token, into a file on a RAM disk
#   break-glass.sh end FILE                   revokes that token and removes the file
#   break-glass.sh renew                      new password for the account, sealed to every keyholder. Needs the root token (BAO_TOKEN_FILE)
# check looks at the account itself only with a token (BAO_TOKEN). Exit: 0 well, 1 not, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="break-glass.sh check | rehearse -i ID... | use -i ID... | end FILE | renew"
SEALED=$KEPT/break-glass.age
LOG=$KEPT/rehearsals.tsv
RULES=${SECRETS_LOKI_RULES:-$SECRETS_STACK/../../alerts/loki}
REHEARSE_DAYS=${OPENBAO_REHEARSE_DAYS:-100}
identities "$@"
load_env
need curl jq age

wrong=0
bad() { say "  wrong: $*"; wrong=$((wrong + 1)); }
# Whether a rule of Loki names this, outside comments.
watched() { { cat "$RULES"/*.yml "$RULES"/*.yaml 2>/dev/null || true; } | grep -E "^[^#]*$1" >/dev/null; }

check_sealed() {
  local found count
  if [ ! -s "$SEALED" ]; then
    bad "$SEALED is missing: nobody could use the account. Copy it back, or make a new password (BREAK-GLASS.md, 'Renew')"
  elif ! head -n 1 "$SEALED" | grep -q '^-----BEGIN AGE ENCRYPTED FILE-----'; then
    bad "$SEALED is not encrypted"
  else
    count=$(keyholders | wc -l)
    # To whom cannot be seen from outside; to how many can.
    found=$(sed '/^-----/d' "$SEALED" | base64 -d 2>/dev/null | grep -ac '^-> X25519 ' || true)
    [ "$found" -eq "$count" ] || bad "$SEALED is sealed to $found people, the list has $count: renew it (BREAK-GLASS.md, 'Renew')"
  fi
  found=$(find "$KEPT" -path "$KEPT/server" -prune -o -path "$KEPT/tls" -prune -o -type f -name '*break*' ! -name '*.age' -print 2>/dev/null)
  [ -z "$found" ] || bad "something of it lies in clear: $found"
  found=$(find "${SECRETS_RAM:-/dev/shm}" -maxdepth 2 -path '*/openbao.*/root-token' 2>/dev/null || true)
  [ -z "$found" ] || bad "a root token was not ended: scripts/break-glass.sh end $found"
}

check_watched() {
  watched 'auth/userpass/login/break-glass' || bad "no rule in $RULES names auth/userpass/login/break-glass: its use would wake nobody"
  watched 'sys/generate-root' || bad "no rule in $RULES names sys/generate-root: a new root token would wake nobody"
  [ "$(cat "$SECRETS_STACK"/config/openbao/*.hcl | grep -cE '^audit "')" -ge 2 ] || bad "fewer than two audit devices in config/openbao: its use might not be written down"
}

check_store() {
  seal_status
  [ "$(status .sealed)" = false ] || bad "the store is sealed: scripts/unseal.sh first; break-glass needs it open"
  # The old door needs no account, so nothing could name who came in.
  call GET sys/generate-root/attempt
  [ "$CODE" != 200 ] || bad "sys/generate-root answers without an account: disable_unauthed_generate_root_endpoints must be true on every listener"
  token_from_environment
  if [ -z "$TOKEN" ]; then say "  note: without BAO_TOKEN the account itself was not looked at"; return 0; fi
  call GET auth/userpass/users/break-glass
  case $CODE in
    200) [ "$(status '.data.token_policies | join(",")')" = break-glass ] || bad "the account has other policies than break-glass: $(status '.data.token_policies | join(",")')" ;;
    404) bad "the account break-glass does not exist: scripts/init.sh makes it" ;;
    *) explain "account break-glass" ;;
  esac
  call GET sys/policies/acl/break-glass
  case $CODE in
    200) [ "$(status '.data.policy // .policy')" = "$(cat "$SECRETS_STACK/config/people/break-glass.hcl")" ] || bad "the policy break-glass in the store is not the one here" ;;
    404) bad "the policy break-glass does not exist: scripts/init.sh writes it" ;;
    *) explain "policy break-glass" ;;
  esac
  must GET sys/audit
  [ "$(status '(.data // .) | [to_entries[] | select(.value | type == "object" and has("type"))] | length')" -ge 1 ] || bad "no audit device is on"
}

check_rehearsed() {
  local last days
  last=$(awk -F'\t' '$2 == "passed" { last = $1 } END { print last }' "$LOG" 2>/dev/null || true)
  if [ -z "$last" ]; then bad "never rehearsed: scripts/break-glass.sh rehearse"; return 0; fi
  days=$((($(date +%s) - $(date -d "$last" +%s)) / 86400))
  [ "$days" -le "$REHEARSE_DAYS" ] || bad "last rehearsed $days days ago, over $REHEARSE_DAYS: are the keyholders still there?"
}

# Signs in with the sealed password, and begins. NONCE and OTP are set.
begin() {
  local password
  [ -s "$SEALED" ] || die "$SEALED is missing: take it from the escrow or from another host"
  password=$(open_with "$SEALED" "${IDENTITIES[@]}") || die "none of the identities opens $SEALED"
  TOKEN=''
  call POST auth/userpass/login/break-glass "$(jq -cn --arg p "$password" '{password: $p}')"
  [ "$CODE" = 200 ] || explain "signing in as break-glass"
  TOKEN=$(status .auth.client_token)
  # One attempt at a time; what somebody left half done is dropped.
  call DELETE sys/generate-root-token/attempt
  must POST sys/generate-root-token/attempt '{}'
  NONCE=$(status '(.data // .).nonce') OTP=$(status '(.data // .).otp') REQUIRED=$(status '(.data // .).required')
}

leave() {
  call DELETE sys/generate-root-token/attempt
  call POST auth/token/revoke-self
}

# Gives the shares of the identities, at most $1 of them. ENCODED is set when that was enough; WHO names the people.
give_shares() {
  local most=$1 identity found
  ENCODED='' WHO=()
  for identity in "${IDENTITIES[@]}"; do
    [ "${#WHO[@]}" -lt "$most" ] || break
    if ! found=$(share_of "$identity"); then leave; exit 1; fi
    case " ${WHO[*]} " in *" ${found%% *} "*) leave; die "the share of ${found%% *} was given two times" ;; esac
    call POST sys/generate-root-token/update "$(jq -cn --arg k "${found#* }" --arg n "$NONCE" '{key: $k, nonce: $n}')"
    if [ "$CODE" != 200 ]; then code=$CODE body=$BODY; leave; CODE=$code BODY=$body; explain "share of ${found%% *}"; fi
    WHO+=("${found%% *}")
    ENCODED=$(status '(.data // .) | if .complete then .encoded_token else "" end')
  done
}

use() {
  local folder
  [ ${#IDENTITIES[@]} -gt 0 ] || usage_error "$HELP"
  begin
  give_shares "$REQUIRED"
  if [ -z "$ENCODED" ]; then leave; die "${#WHO[@]} share(s) given, $REQUIRED are needed"; fi
  folder=$(private_folder)
  xor "$ENCODED" "$OTP" >"$folder/root-token"
  call POST auth/token/revoke-self
  say "opened by ${WHO[*]}. Root token in $folder/root-token: use it as BAO_TOKEN_FILE, write down what you do, and end it: scripts/break-glass.sh end $folder/root-token"
  printf '%s\n' "$folder/root-token"
}

# All but the last share: password, account, policy, shares and the store's answer are proved, and no root token comes to be.
rehearse() {
  local outcome=failed given
  [ ${#IDENTITIES[@]} -gt 0 ] || usage_error "$HELP"
  begin
  if [ ${#IDENTITIES[@]} -lt "$REQUIRED" ]; then leave; die "${#IDENTITIES[@]} keyholder(s), $REQUIRED are needed also to rehearse"; fi
  for identity in "${IDENTITIES[@]}"; do if ! share_of "$identity" >/dev/null; then leave; exit 1; fi; done
  give_shares "$((REQUIRED - 1))"
  must GET sys/generate-root-token/attempt
  given=$(status '(.data // .).progress')
  [ "$given" -ne "$((REQUIRED - 1))" ] || outcome=passed
  leave
  printf '%s\t%s\t%s\n' "$(date -u +%FT%TZ)" "$outcome" "${#IDENTITIES[@]} keyholders" >>"$LOG"
  [ "$outcome" = passed ] || die "the store counted $given share(s) instead of $((REQUIRED - 1))"
  say "rehearsed: account, policy and shares work; nothing was left behind. The alerts BreakGlassUsed and RootTokenGenerated must be on somebody's screen now: if not, mend that first"
}

# base64 text xor one-time pad, byte for byte; the base64 may come without its padding.
xor() {
  local pad=() index=0 byte out='' text=$1
  while [ $((${#text} % 4)) -ne 0 ]; do text+='='; done
  read -ra pad <<<"$(printf '%s' "$2" | od -An -v -tu1 | tr '\n' ' ')"
  for byte in $(base64 -d <<<"$text" | od -An -v -tu1); do
    printf -v out '%s\\x%02x' "$out" $((byte ^ pad[index]))
    index=$((index + 1))
  done
  printf '%b\n' "$out"
}

renew() {
  local password recipients
  need_token
  mapfile -t recipients < <(keyholders | cut -d' ' -f2)
  [ ${#recipients[@]} -gt 0 ] || exit 1
  password=$(random_password)
  # Sealed before it counts: a password that nobody can open must not come to be.
  printf '%s\n' "$password" | seal_to "$SEALED.next" "${recipients[@]}"
  call POST auth/userpass/users/break-glass/password "$(jq -cn --arg p "$password" '{password: $p}')"
  case $CODE in 200 | 204) ;; *) rm -f "$SEALED.next"; explain "new password of break-glass" ;; esac
  mv "$SEALED.next" "$SEALED"
  say "new password, sealed to ${#recipients[@]} keyholders in $SEALED; copy it to where the old one lies, and rehearse"
}

case ${REST[0]:-}-${#REST[@]} in
  check-1)
    check_sealed; check_watched; check_store; check_rehearsed
    [ "$wrong" -eq 0 ] || die "$wrong thing(s) to mend"
    say "break-glass is ready: sealed, watched, rehearsed, the door without an account shut" ;;
  rehearse-1) rehearse ;;
  use-1) use ;;
  end-2)
    [ -s "${REST[1]}" ] || die "${REST[1]} is missing or empty"
    TOKEN=$(cat "${REST[1]}")
    must POST auth/token/revoke-self
    rm -f "${REST[1]}"
    rmdir "$(dirname "${REST[1]}")" 2>/dev/null || true
    say "revoked. Now renew the account's password and write the report (BREAK-GLASS.md, 'Afterwards')" ;;
  renew-1) renew ;;
  *) usage_error "$HELP" ;;
esac
