#!/usr/bin/env bash
# Loads the configuration into the running proxy and checks, from outside, that every route does what its policy says.
#
#   scripts/init.sh          validate, load, check
#   scripts/init.sh --check  check only; also says when the running configuration is not that of the files
#
# A bad configuration changes nothing: Caddy refuses it as a whole and keeps the old one. May be run as often as you like.
# A program that is not there (yet) is reported and is no failure: the proxy's part is to answer for it.
# Exit: 0 all well, 1 a check failed, 2 wrong use.
#
#   PROXY_EXEC          docker exec omni-caddy          prefix of commands that run beside Caddy; empty: on this machine
#   PROXY_CADDYFILE     /etc/caddy/Caddyfile            as those commands see it
#   PROXY_ADMIN_SOCKET  /run/caddy/admin.sock           likewise
#   PROXY_ADDRESS       127.0.0.1                       where this script reaches the proxy
#   PROXY_HTTPS_PORT, PROXY_HTTP_PORT  443, 80
#   PROXY_CA            root certificate for checking routes; internal TLS has its own, otherwise the system's
#   SITES_DIR           config of this checkout
#   WAIT                60                              seconds until the proxy has to answer
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -f "$here/.env" ]; then
  # Read, not sourced: what is in .env are values, not commands. What is set already stays.
  while IFS='=' read -r name value; do
    case $name in '' | *[!A-Za-z0-9_]*) continue ;; esac
    [ -n "${!name+set}" ] || export "$name=$value"
  done <"$here/.env"
fi
PROXY_EXEC=${PROXY_EXEC-docker exec omni-caddy}
PROXY_CADDYFILE=${PROXY_CADDYFILE:-/etc/caddy/Caddyfile}
PROXY_ADMIN_SOCKET=${PROXY_ADMIN_SOCKET:-/run/caddy/admin.sock}
PROXY_ADDRESS=${PROXY_ADDRESS:-127.0.0.1}
PROXY_HTTPS_PORT=${PROXY_HTTPS_PORT:-443}
PROXY_HTTP_PORT=${PROXY_HTTP_PORT:-80}
SITES_DIR=${SITES_DIR:-$here/config}
WAIT=${WAIT:-60}
domain=${OMNI_DOMAIN:-omni.localhost}

say() { printf 'proxy: %s\n' "$*"; }
fail() { printf 'proxy: %s\n' "$*" >&2; exit 1; }

loading=true
case ${1:-} in
  "") ;;
  --check) loading=false ;;
  *) printf 'usage: %s [--check]\n' "$0" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { printf 'usage: %s [--check]\n' "$0" >&2; exit 2; }
for tool in curl jq; do command -v "$tool" >/dev/null || fail "$tool is missing; install it (apt-get install $tool)"; done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# beside COMMAND...: runs it where Caddy runs.
beside() {
  local -a prefix
  read -r -a prefix <<<"$PROXY_EXEC"
  "${prefix[@]}" "$@"
}

# --- The settings fit together ------------------------------------------------------------------------------------------
edition=${PROXY_EDITION:-full}
tls=${PROXY_TLS:-internal}
one_of() {
  local name=$1 value=$2
  shift 2
  local good
  for good in "$@"; do [ "$value" != "$good" ] || return 0; done
  fail "$name is \"$value\"; it is one of: $*. Set it in .env"
}
one_of PROXY_EDITION "$edition" full stock
one_of PROXY_TLS "$tls" internal acme acme-private acme-dns
one_of PROXY_GEO "${PROXY_GEO:-off}" off allow deny
one_of PROXY_CROWDSEC "${PROXY_CROWDSEC:-off}" off on
one_of PROXY_WAF "${PROXY_WAF:-off}" off detect block
one_of PROXY_MTLS "${PROXY_MTLS:-off}" off on
one_of PROXY_TLS_UPSTREAMS "${PROXY_TLS_UPSTREAMS:-off}" off on
needs() { [ -n "${!2:-}" ] || fail "$1 needs $2; set it in .env"; }
case $tls in acme*) needs "PROXY_TLS=$tls" ACME_EMAIL ;; esac
[ "$tls" != acme-private ] || needs "PROXY_TLS=$tls" ACME_CA
if [ "$tls" = acme-dns ]; then
  [ "$edition" = full ] || fail "PROXY_TLS=acme-dns needs PROXY_EDITION=full: the DNS module is not in a stock Caddy"
  for name in ACME_DNS_SERVER ACME_DNS_KEY_NAME ACME_DNS_KEY; do needs "PROXY_TLS=$tls" "$name"; done
fi
[ "${PROXY_GEO:-off}" = off ] || needs "PROXY_GEO=$PROXY_GEO" PROXY_GEO_COUNTRIES
[ "${PROXY_CROWDSEC:-off}" = off ] || needs PROXY_CROWDSEC=on CROWDSEC_API_KEY
if [ "$edition" = stock ]; then
  for name in PROXY_GEO PROXY_CROWDSEC PROXY_WAF; do
    value=${!name:-off}
    [ "$value" = off ] || fail "$name=$value needs PROXY_EDITION=full; a stock Caddy would silently do without it"
  done
fi

# --- The program has what the edition needs -----------------------------------------------------------------------------
beside caddy version >"$scratch/version" 2>"$scratch/error" ||
  fail "Caddy cannot be called ($(tail -n 1 "$scratch/error")). Start it: docker compose up -d; docker logs omni-caddy"
if [ "$edition" = full ]; then
  beside caddy list-modules >"$scratch/modules"
  for module in http.handlers.rate_limit http.matchers.maxmind_geolocation http.handlers.crowdsec http.handlers.waf dns.providers.rfc2136; do
    grep -qx "$module" "$scratch/modules" ||
      fail "this Caddy ($(cut -d ' ' -f 1 "$scratch/version")) has no module $module. Build the image (docker compose build), or set PROXY_EDITION=stock and know what you do without"
  done
fi

# --- The files are right ------------------------------------------------------------------------------------------------
beside caddy validate --config "$PROXY_CADDYFILE" --adapter caddyfile >"$scratch/validate" 2>&1 ||
  fail "the configuration is not valid, the running one stays: $(grep -v '"level":"\(info\|warn\)"' "$scratch/validate" | tail -n 1)"
say "configuration: valid"

# running: the configuration that Caddy has now. A socket has no host name, so the Host header is empty.
running() { beside curl -sS --max-time 10 --unix-socket "$PROXY_ADMIN_SOCKET" -H 'Host;' http://localhost/config/; }
# Caddy lists the files it hides from the error page's file server in an order of chance.
sorted='walk(if type == "object" and has("hide") then .hide |= sort else . end)'
same() {
  beside caddy adapt --config "$PROXY_CADDYFILE" --adapter caddyfile 2>/dev/null | jq -S "$sorted" >"$scratch/wanted"
  running 2>"$scratch/error" | jq -S "$sorted" >"$scratch/running" && cmp -s "$scratch/wanted" "$scratch/running"
}
if $loading; then
  if same; then
    say "configuration: already loaded"
  else
    beside caddy reload --config "$PROXY_CADDYFILE" --adapter caddyfile --address "unix/$PROXY_ADMIN_SOCKET" >"$scratch/reload" 2>&1 ||
      fail "Caddy refused the configuration and keeps the old one: $(grep -v '"level":"\(info\|warn\)"' "$scratch/reload" | tail -n 1)"
    same || fail "Caddy took the configuration and shows another one: is something else loading into it?"
    say "configuration: loaded"
  fi
else
  same || fail "the running configuration is not that of the files: run scripts/init.sh. (After a change of .env: docker compose up -d)"
  say "configuration: what runs is what the files say"
fi

# --- Every route answers, and as its policy says ------------------------------------------------------------------------
ca=${PROXY_CA:-}
if [ -z "$ca" ] && [ "$tls" = internal ]; then
  ca=$here/data/caddy/caddy/pki/authorities/local/root.crt
fi
trust=()
[ -z "$ca" ] || trust=(--cacert "$ca")

# ask HOST: status into HOST.status, headers into HOST.head; 000 when nobody answers.
ask() {
  local code
  code=$(curl -sS --max-time 20 ${trust[@]+"${trust[@]}"} --resolve "$1:$PROXY_HTTPS_PORT:$PROXY_ADDRESS" -o /dev/null -D "$scratch/$1.head" \
    -w '%{http_code}' "https://$1:$PROXY_HTTPS_PORT/" 2>"$scratch/$1.error") || code=000
  printf '%s' "$code" >"$scratch/$1.status"
}
# Certificates are made at the first start; the first answer may take its time.
ask_until_answered() {
  local deadline=$((SECONDS + WAIT))
  ask "$1"
  while [ "$(cat "$scratch/$1.status")" = 000 ] && [ "$SECONDS" -lt "$deadline" ]; do
    sleep 1
    ask "$1"
  done
}
folders=(sites)
[ "${PROXY_TLS_UPSTREAMS:-off}" = off ] || folders+=(sites-tls)
files=()
for folder in "${folders[@]}"; do
  for file in "$SITES_DIR/$folder"/*.caddy; do
    [ -e "$file" ] || fail "no sites in $SITES_DIR/$folder: run scripts/routes.py"
    files+=("$file")
  done
done
# Which hosts ask for sign-on is read from the table, not from the site: the site may be what is wrong.
sign_on_hosts() { awk -F'|' -v domain="$domain" '$5 ~ /^ (sso|admin) $/ && $2 !~ /\// { gsub(/[` ]/, "", $2); print $2 "." domain }' "$here/ROUTES.md"; }

# All at once: a program that is away holds its request for some seconds.
for file in "${files[@]}"; do ask_until_answered "$(basename "$file" .caddy).$domain" & done
wait

away=0 wrong=0
complain() { printf 'proxy: %s\n' "$*" >&2; wrong=$((wrong + 1)); }
for file in "${files[@]}"; do
  host=$(basename "$file" .caddy).$domain
  status=$(cat "$scratch/$host.status")
  case $status in
    000)
      complain "$host: no answer ($(head -c 200 "$scratch/$host.error")). With PROXY_TLS=$tls, look for \"obtain\" in: docker logs omni-caddy"
      continue
      ;;
    502 | 503 | 504)
      away=$((away + 1))
      say "$host: its program is not answering (status $status)"
      ;;
  esac
  grep -qi '^strict-transport-security:' "$scratch/$host.head" || complain "$host: answers without Strict-Transport-Security; something else answers on port $PROXY_HTTPS_PORT, or the site has lost security_headers"
done

# The root of no site is an open path, so there nobody may come in without sign-on.
for host in $(sign_on_hosts); do
  status=$(cat "$scratch/$host.status")
  [[ $status != 2* ]] || complain "$host: let us in without sign-on (status $status). Look at its provider in Authentik; take the route down until that is mended"
done

status=$(curl -sS --max-time 10 -o /dev/null -w '%{http_code}' --resolve "${host}:$PROXY_HTTP_PORT:$PROXY_ADDRESS" "http://${host}:$PROXY_HTTP_PORT/" 2>/dev/null) || status=000
case $status in
  301 | 308) ;;
  *) complain "http://$host answers $status instead of sending people to https" ;;
esac
[ "$wrong" = 0 ] || fail "$wrong of ${#files[@]} routes are not as they should be"
say "all well: ${#files[@]} routes answer, $away of them for a program that is not there"
