#!/usr/bin/env bash
# Brings OpenBao into its wanted state: certificate, initialisation, engines, policies, AppRoles, authority. Safe to run again.
#   init.sh [-i IDENTITY]   everything. An open store that exists needs a token: BAO_TOKEN, BAO_TOKEN_FILE, or after an interrupted first run the
#                           age identity of one keyholder. Without one it only looks whether something is left to do.
#   init.sh files           certificate and folders; what the server needs before it starts
#   init.sh --check         changes nothing; says what is missing or wrong. With a token it compares everything, without one what can be seen from outside
# At the first run each unseal share is sealed (age) to one keyholder before anything else happens; no share and no root token is ever written in clear.
# Elsewhere: OPENBAO_ADDR, OPENBAO_CACERT. Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="init.sh [files | --check] [-i IDENTITY]"
WAIT_SECONDS=${OPENBAO_WAIT_SECONDS:-120}
CERT_DAYS=397
RENEW_SECONDS=$((30 * 86400))
# The intermediate authority lives three years; half a year before its end a new one takes over, while the old one's certificates still count.
INTERMEDIATE_RENEW_SECONDS=$((180 * 86400))
# Who the container runs as (docker-compose.yml, user).
OWNER=${OPENBAO_OWNER:-100:1000}

identities "$@"
mode=all
case ${REST[*]:-} in
  '') ;;
  files) mode=files ;;
  --check) mode=check ;;
  *) usage_error "$HELP" ;;
esac
load_env
need openssl curl jq age

problems=0
changes=0
bad() { say "  wrong: $*"; problems=$((problems + 1)); }
did() { say "$*"; changes=$((changes + 1)); }

# ---- certificate -----------------------------------------------------------------------------------------------------

tls=$KEPT/tls
server=$KEPT/server

wanted_names() { printf '%s\n' "${OPENBAO_ADVERTISE:-omni-openbao}" omni-openbao ${OPENBAO_TLS_NAMES:+${OPENBAO_TLS_NAMES//,/ }} | tr ' ' '\n' | awk 'NF && !seen[$0]++'; }
is_address() { [[ $1 =~ ^[0-9.]+$ || $1 == *:* ]]; }

subject_alt_names() {
  local name list=()
  while read -r name; do if is_address "$name"; then list+=("IP:$name"); else list+=("DNS:$name"); fi; done < <(wanted_names)
  (IFS=,; echo "${list[*]}")
}

# Why the certificate cannot be used; nothing when it can.
certificate_problem() {
  local cert=$server/cert.pem name flag
  if [ ! -s "$cert" ] || [ ! -s "$server/key.pem" ]; then echo "there is none"; return; fi
  openssl x509 -in "$cert" -noout -checkend "$RENEW_SECONDS" >/dev/null || { echo "it ends in less than 30 days"; return; }
  openssl verify -CAfile "$server/ca.pem" -untrusted "$cert" "$cert" >/dev/null 2>&1 || { echo "it is not signed by $server/ca.pem"; return; }
  [ "$(openssl x509 -in "$cert" -noout -pubkey | openssl sha256)" = "$(openssl pkey -in "$server/key.pem" -pubout 2>/dev/null | openssl sha256)" ] ||
    { echo "it does not belong to key.pem"; return; }
  while read -r name; do
    if is_address "$name"; then flag=-checkip; else flag=-checkhost; fi
    openssl x509 -in "$cert" -noout "$flag" "$name" | grep -q 'does match' || { echo "it does not name $name"; return; }
  done < <(wanted_names)
}

# The listener's certificate cannot come from the store that is sealed behind it: a small authority of this stack's own signs it.
make_certificate() {
  local why
  mkdir -p "$tls" "$server"
  why=$(certificate_problem)
  [ -n "$why" ] || return 0
  if [ ! -s "$tls/ca-key.pem" ]; then
    [ ! -s "$server/ca.pem" ] || die "a certificate is needed ($why), but $tls/ca-key.pem is not here: put it back from the escrow, or remove $server/ca.pem and give all clients the new one"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 -subj "/CN=omni openbao listener" \
      -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$tls/ca-key.pem" -out "$server/ca.pem.new" 2>/dev/null
    mv "$server/ca.pem.new" "$server/ca.pem"
  fi
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$(wanted_names | head -n 1)" -keyout "$server/key.pem.new" -out "$tls/request.pem" 2>/dev/null
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$(subject_alt_names)" >"$tls/extensions"
  openssl x509 -req -sha256 -days "$CERT_DAYS" -in "$tls/request.pem" -CA "$server/ca.pem" -CAkey "$tls/ca-key.pem" -set_serial "0x$(openssl rand -hex 16)" \
    -extfile "$tls/extensions" -out "$server/cert.pem.new" 2>/dev/null
  # The certificate last: the container waits for both, and starts with a pair that fits.
  mv "$server/key.pem.new" "$server/key.pem"
  mv "$server/cert.pem.new" "$server/cert.pem"
  rm -f "$tls/request.pem" "$tls/extensions"
  did "certificate for $(wanted_names | xargs): made. A running server takes it with: docker compose kill -s HUP openbao"
  why=$(certificate_problem)
  [ -z "$why" ] || die "the certificate in $server cannot be used: $why"
}

make_seal_key() {
  [ "${OPENBAO_SEAL:-shamir}" = static ] || return 0
  [ ! -s "$server/static-seal.key" ] || return 0
  openssl rand -out "$server/static-seal.key" 32
  did "key of the static seal: made; put it into the escrow now (ESCROW_EXTRA=static-seal=$server/static-seal.key in ../backup), without it the store is lost"
}

# The container reads these; nobody else on the host does.
give_to_container() {
  local file
  for file in "$server" "$server"/*; do
    [ "$(stat -c %u:%g "$file")" = "$OWNER" ] || chown "$OWNER" "$file" 2>/dev/null ||
      die "$file has to belong to $OWNER, the user in the container, and only root can give it away: run this as root, or: sudo chown -R $OWNER $server"
  done
  chmod 0750 "$server"
  chmod 0640 "$server"/*
}

# ---- first start -----------------------------------------------------------------------------------------------------

wait_for_server() {
  local deadline=$((SECONDS + WAIT_SECONDS))
  until call GET sys/seal-status; [ "$CODE" = 200 ]; do
    [ "$SECONDS" -lt "$deadline" ] || explain "waiting for $ADDR (${WAIT_SECONDS}s)"
    sleep 1
  done
}

initialise() {
  local count threshold=${OPENBAO_THRESHOLD:-2} answer body field name recipient index=0 all=() names=()
  [ ! -e "$SHARES" ] || [ -z "$(ls -A "$SHARES")" ] ||
    die "the store is empty, but $SHARES holds shares of an earlier one. Is its data gone (restore: BREAK-GLASS.md)? Only if it is worth nothing, move $KEPT/shares away and run this again"
  while read -r name recipient; do names+=("$name"); all+=("$recipient"); done <<<"$(keyholders)"
  count=${#all[@]}
  # What can fail is tried before there is anything to lose.
  printf 'trial' | seal_to "$SHARES/trial.age" "${all[@]}"
  rm -f "$SHARES/trial.age"
  if [ "$(status .type)" = shamir ]; then
    field=keys_base64
    body=$(jq -cn --argjson n "$count" --argjson t "$threshold" '{secret_shares: $n, secret_threshold: $t}')
  else
    # A seal that opens by itself has recovery keys instead: they do not open it, but authorise a root token and a change of keys.
    field=recovery_keys_base64
    body=$(jq -cn --argjson n "$count" --argjson t "$threshold" '{recovery_shares: $n, recovery_threshold: $t}')
  fi
  must POST sys/init "$body"
  answer=$BODY
  while read -r name recipient; do
    jq -r ".${field}[$index]" <<<"$answer" | seal_to "$SHARES/$name.age" "$recipient"
    index=$((index + 1))
  done <<<"$(keyholders)"
  TOKEN=$(jq -r .root_token <<<"$answer")
  printf '%s' "$TOKEN" | seal_to "$KEPT/root-token.age" "${all[@]}"
  did "initialised: $count shares, any $threshold open it; each is sealed to one of: ${names[*]}"
  [ "$field" = keys_base64 ] || { wait_until_open; return 0; }
  for ((index = 0; index < threshold; index++)); do give_share "$(jq -r ".keys_base64[$index]" <<<"$answer")"; done
  wait_until_open
}

# After the last share a lone member still has to elect itself.
wait_until_open() {
  local deadline=$((SECONDS + WAIT_SECONDS))
  until call GET "sys/health?standbyok=true"; [ "$CODE" = 200 ]; do
    [ "$SECONDS" -lt "$deadline" ] || explain "the store did not open within ${WAIT_SECONDS}s"
    sleep 1
  done
}

# The root token of a first run that did not come to its end.
find_token() {
  token_from_environment
  if [ -z "$TOKEN" ] && [ ${#IDENTITIES[@]} -gt 0 ]; then
    [ -s "$KEPT/root-token.age" ] || die "-i is for an interrupted first run, and that one is done; use BAO_TOKEN=\$(scripts/login.sh NAME)"
    TOKEN=$(open_with "$KEPT/root-token.age" "${IDENTITIES[@]}") || die "none of the identities opens $KEPT/root-token.age"
  fi
  [ -n "$TOKEN" ] || return 0
  must GET auth/token/lookup-self
}

# ---- engines ---------------------------------------------------------------------------------------------------------

access=$SECRETS_STACK/config/access.json

# sys/mounts or sys/auth against a part of access.json.
engines() {
  local where=$1 wanted=$2 there path verdict
  must GET "sys/$where"
  there=$BODY
  while IFS=$'\t' read -r path verdict; do
    case $verdict in
      same) ;;
      other*) die "$where/$path is ${verdict#other } already, not what access.yaml says: move it (bao $([ "$where" = auth ] && echo auth || echo secrets) move), or change access.yaml" ;;
      missing)
        if [ "$mode" = check ]; then bad "$where/$path is not enabled"; continue; fi
        must POST "sys/$where/$path" "$(jq -c --arg p "$path" ".${wanted}[\$p] | {type, description} + (if .options then {options} else {} end) + (if .max_lease_ttl then {config: {max_lease_ttl}} else {} end)" "$access")"
        did "$where/$path: enabled" ;;
      longest)
        if [ "$mode" = check ]; then bad "$where/$path: longest lease is not what access.yaml says"; continue; fi
        must POST "sys/$where/$path/tune" "$(jq -c --arg p "$path" ".${wanted}[\$p] | {max_lease_ttl}" "$access")"
        did "$where/$path: longest lease set" ;;
    esac
  done < <(jq -r --argjson there "$there" '
    def seconds: capture("^(?<n>[0-9]+)(?<u>[smhd])$") | (.n | tonumber) * {s: 1, m: 60, h: 3600, d: 86400}[.u];
    .'"$wanted"' | to_entries[] | .value as $want | ($there.data // $there)["\(.key)/"] as $is | [.key,
      if $is == null then "missing" elif $is.type != $want.type then "other \($is.type)"
      elif $want.options.version != null and $is.options.version != $want.options.version then "other version \($is.options.version)"
      elif $want.max_lease_ttl != null and ($want.max_lease_ttl | seconds) != $is.config.max_lease_ttl then "longest" else "same" end] | @tsv' "$access")
}

# A new engine of secrets answers 400 for a moment while it makes itself ready.
wait_for_kv() {
  local deadline=$((SECONDS + WAIT_SECONDS))
  until call GET kv/config; [ "$CODE" = 200 ]; do
    { [ "$CODE" = 400 ] && [ "$SECONDS" -lt "$deadline" ]; } || explain "GET kv/config"
    sleep 1
  done
}

# ---- authority -------------------------------------------------------------------------------------------------------

has_issuer() {
  call LIST "$1/issuers"
  case $CODE in 200) return 0 ;; 404) return 1 ;; *) explain "LIST $1/issuers" ;; esac
}

intermediate_problem() {
  has_issuer pki || { echo "there is none"; return; }
  must GET pki/cert/ca
  status .data.certificate | openssl x509 -noout -checkend "$INTERMEDIATE_RENEW_SECONDS" >/dev/null || echo "it ends in less than 180 days"
}

authority() {
  local why csr signed root
  if ! has_issuer pki-root; then
    if [ "$mode" = check ]; then bad "the root authority is missing"; return 0; fi
    must POST pki-root/root/generate/internal "$(jq -c '.pki.root | {common_name, ttl, key_type, key_bits, issuer_name: "omni-root", max_path_length: 1}' "$access")"
    did "root authority: made; its key never leaves OpenBao"
  fi
  why=$(intermediate_problem)
  [ -n "$why" ] || return 0
  if [ "$mode" = check ]; then bad "intermediate authority: $why"; return 0; fi
  must GET pki-root/cert/ca
  root=$(status .data.certificate)
  must POST pki/intermediate/generate/internal "$(jq -c '.pki.intermediate | {common_name, key_type, key_bits}' "$access")"
  csr=$(status .data.csr)
  must POST pki-root/root/sign-intermediate "$(jq -c --arg csr "$csr" '.pki.intermediate | {common_name, ttl, csr: $csr, max_path_length: 0, format: "pem"}' "$access")"
  signed=$(status .data.certificate)
  must POST pki/intermediate/set-signed "$(jq -cn --arg c "$signed"$'\n'"$root" '{certificate: $c}')"
  # Of what was brought in, the one with a key here signs from now on.
  must POST pki/config/issuers "$(jq -c '{default: ([.data.mapping | to_entries[] | select(.value != "") | .key][0])}' <<<"$BODY")"
  did "intermediate authority: made and signed by the root"
}

# ACME clients need these headers through (both ways), which an engine does not pass by default.
acme_headers() {
  [ "${OPENBAO_ACME:-false}" = true ] || return 0
  must GET sys/mounts/pki/tune
  [ "$(status '(.data // .).allowed_response_headers // [] | sort | join(",")')" = Last-Modified,Link,Location,Replay-Nonce ] && return 0
  if [ "$mode" = check ]; then bad "the headers that ACME needs are not let through"; return 0; fi
  must POST sys/mounts/pki/tune '{"passthrough_request_headers":["If-Modified-Since"],"allowed_response_headers":["Last-Modified","Location","Replay-Nonce","Link"]}'
  did "headers for ACME: let through"
}

# ---- everything else -------------------------------------------------------------------------------------------------

desired() {
  local policies file
  policies=$(for file in "$SECRETS_STACK"/config/policies/*.hcl "$SECRETS_STACK"/config/people/*.hcl; do jq -Rs --arg k "$(basename "$file" .hcl)" '{($k): .}' "$file"; done | jq -s add)
  jq -c --argjson policies "$policies" --arg domain "$DOMAIN" --arg api "https://${OPENBAO_ADVERTISE:-omni-openbao}:8200" --arg acme "${OPENBAO_ACME:-false}" \
    -f "$SECRETS_STACK/scripts/desired.jq" "$access"
}

# Reads all of it over one connection, compares, and writes only what differs.
reconcile() {
  local work list kind path body verdict
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the path is known now
  trap "rm -rf '$work'" EXIT
  desired >"$work/desired.json"
  jq -r '.[].read' "$work/desired.json" | read_many "$work"
  list=$(jq -r '.[].read' "$work/desired.json" | paste "$work/codes" - | awk '$1 != 200 && $1 != 404')
  if [ -n "$list" ]; then
    CODE=${list%%[!0-9]*}
    path=$(head -n 1 <<<"$list" | cut -f2)
    BODY=$(cat "$work/$(jq -r --arg p "$path" 'map(.read) | index($p) | tostring | ("000000" + .)[-6:]' "$work/desired.json").json")
    explain "GET $path"
  fi
  jq -cn --slurpfile wanted "$work/desired.json" --rawfile codes "$work/codes" '
    ($codes | split("\n")) as $codes | [inputs] as $answers | $wanted[0] | to_entries[] | .key as $i | .value as $w | ($answers[$i].data // {}) as $is
    | if $codes[$i] == "404" then {verdict: "make", kind: $w.kind, path: $w.write, body: $w.body}
      elif any(($w.fixed // {}) | to_entries[]; $is[.key] != .value) then {verdict: "stuck", kind: $w.kind, path: "\($w.fixed) cannot become of what is there", body: null}
      elif any($w.same | to_entries[]; $is[.key] != .value) then {verdict: "change", kind: $w.kind, path: ($w.update // $w.write), body: ($w.change // $w.body)}
      else empty end' "$work"/[0-9]*.json >"$work/todo"
  while IFS=$'\t' read -r verdict kind path; do
    IFS= read -r body <&3
    case $mode-$verdict in
      *-stuck) bad "$kind: $path" ;;
      check-make) bad "$kind: missing" ;;
      check-change) bad "$kind: not what access.yaml says" ;;
      *) must POST "$path" "$body"; did "$kind: $([ "$verdict" = make ] && echo made || echo changed)" ;;
    esac
  done < <(jq -r '[.verdict, .kind, .path] | @tsv' "$work/todo") 3< <(jq -c .body "$work/todo")
}

# An account for each keyholder, and the one for the worst night. First passwords are sealed; a password that exists is never touched.
people() {
  local name recipient password all=()
  while read -r name recipient; do
    all+=("$recipient")
    call GET "auth/userpass/users/admin-$name"
    case $CODE in
      200) ;;
      404)
        if [ "$mode" = check ]; then bad "account admin-$name is missing"; continue; fi
        password=$(random_password)
        printf '%s\n' "$password" | seal_to "$KEPT/admin/$name.age" "$recipient"
        must POST "auth/userpass/users/admin-$name" "$(jq -c --arg p "$password" '.people.admin + {password: $p, token_policies: ["admin"]}' "$access")"
        did "account admin-$name: made, first password sealed in secrets/admin/$name.age" ;;
      *) explain "GET auth/userpass/users/admin-$name" ;;
    esac
  done <<<"$(keyholders)"
  call GET auth/userpass/users/break-glass
  case $CODE in
    200) [ -s "$KEPT/break-glass.age" ] || bad "account break-glass exists, but $KEPT/break-glass.age does not: nobody could use it. scripts/break-glass.sh renew makes a new password" ;;
    404)
      if [ "$mode" = check ]; then bad "account break-glass is missing"; return 0; fi
      password=$(random_password)
      printf '%s\n' "$password" | seal_to "$KEPT/break-glass.age" "${all[@]}"
      must POST auth/userpass/users/break-glass "$(jq -c --arg p "$password" '.people["break-glass"] + {password: $p, token_policies: ["break-glass"], token_no_default_policy: true}' "$access")"
      did "account break-glass: made, password sealed to every keyholder in secrets/break-glass.age" ;;
    *) explain "GET auth/userpass/users/break-glass" ;;
  esac
}

audit() {
  must GET sys/audit
  [ "$(status '(.data // .) | [to_entries[] | select(.value | type == "object" and has("type"))] | length')" -ge 2 ] ||
    bad "fewer than two audit devices: they stand in config/openbao/10-server.hcl; restart, and look at its log for why not"
}

# What was applied last, so that a run without a token knows whether anything is left to do.
fingerprint() { { cat "$access" "$SECRETS_STACK"/config/policies/*.hcl "$SECRETS_STACK"/config/people/*.hcl "$SECRETS_STACK/scripts/desired.jq"; echo "$DOMAIN ${OPENBAO_ADVERTISE:-} ${OPENBAO_ACME:-}"; } | sha256sum | cut -d' ' -f1; }

check_kept() {
  local name why
  why=$(certificate_problem)
  [ -z "$why" ] || bad "certificate: $why"
  while read -r name _; do
    [ -s "$SHARES/$name.age" ] || bad "the share of $name is not in $SHARES: copy it back from a backup, or make new shares (README.md, 'New shares')"
  done <<<"$(keyholders)"
  [ -s "$KEPT/break-glass.age" ] || bad "$KEPT/break-glass.age is missing"
  while IFS= read -r name; do bad "$name can be read by others: chmod o= $name"; done < <(find "$KEPT" -type f -perm /007 2>/dev/null)
  while IFS= read -r name; do bad "$name is not sealed"; done < <(find "$SHARES" "$KEPT/admin" "$KEPT/break-glass.age" -type f -exec grep -L 'BEGIN AGE ENCRYPTED FILE' {} + 2>/dev/null)
}

everything() {
  engines mounts mounts
  engines auth auth
  # Looking at what is inside an engine that is missing says nothing new.
  if [ "$problems" -gt 0 ]; then return 0; fi
  wait_for_kv
  authority
  acme_headers
  reconcile
  people
  audit
}

# ---- run -------------------------------------------------------------------------------------------------------------

if [ "$mode" != check ]; then
  keyholders >/dev/null
  make_certificate
  make_seal_key
  give_to_container
  [ "$mode" = all ] || { say "files are ready in $KEPT"; exit 0; }
  wait_for_server
  [ "$(status .initialized)" = true ] || initialise
else
  keyholders >/dev/null
  check_kept
fi

seal_status
[ "$(status .initialized)" = true ] || die "the store is not initialised: run scripts/init.sh"
[ "$(status .sealed)" = false ] || die "the store is sealed ($(status .progress) of $(status .t) shares given): scripts/unseal.sh -i IDENTITY, one keyholder after the other, then this again"
fresh=${TOKEN:+yes}
[ -n "$TOKEN" ] || find_token
if [ -n "$TOKEN" ]; then
  everything
elif [ "$(cat "$KEPT/applied" 2>/dev/null)" != "$(fingerprint)" ]; then
  bad "policies, roles or settings here are not those that were applied last: BAO_TOKEN=\$(scripts/login.sh NAME) scripts/init.sh"
fi
[ "$problems" -eq 0 ] || die "$problems thing(s) to mend"
if [ "$mode" = check ]; then
  say "all well: open, $(find "$SHARES" -name '*.age' | wc -l) sealed shares$([ -n "$TOKEN" ] && echo ', everything as access.yaml says' || echo '; compared from outside only, BAO_TOKEN compares everything')"
  exit 0
fi
if [ -n "$TOKEN" ]; then fingerprint >"$KEPT/applied"; fi
if [ -s "$KEPT/root-token.age" ] && [ -n "$TOKEN" ]; then
  # Only the root token itself ends here; an admin's goes on.
  call GET auth/token/lookup-self
  if [ "$(status '.data.policies | index("root") != null')" = true ]; then
    must POST auth/token/revoke-self
    rm -f "$KEPT/root-token.age"
    did "root token: revoked. From here on people use their own accounts"
  fi
fi
say "$([ "$changes" -eq 0 ] && echo 'nothing to do' || echo "done, $changes change(s)")"
[ -z "$fresh" ] || say "next: copy $KEPT/shares, admin and break-glass.age to the keyholders and to two other places; rehearse: scripts/break-glass.sh rehearse -i ID -i ID (BREAK-GLASS.md)"
