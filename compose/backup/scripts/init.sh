#!/usr/bin/env bash
# Makes this stack ready: passwords, certificate, users of the server, repositories. Safe to run again; nothing that exists is replaced.
#   init.sh files     passwords, certificate and password file; what the server needs before it starts
#   init.sh           the same, then waits for the server and makes the repositories
#   init.sh --check   changes nothing; says what is missing or wrong
# MONITORING_DIR (../monitoring) gets what Prometheus needs to read the server's metrics, when that stack is there.
# Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WAIT_SECONDS=${BACKUP_WAIT_SECONDS:-120}
# Leaf certificates live 397 days, the longest that every client takes; below 30 days left a new one is made.
CERT_DAYS=397
RENEW_SECONDS=$((30 * 86400))

mode=all
case ${1:-} in
  '') ;;
  files) mode=files ;;
  --check) mode=check ;;
  *) usage_error "init.sh [files|--check]" ;;
esac
[ $# -le 1 ] || usage_error "init.sh [files|--check]"

load_env
need openssl curl
problems=0
bad() { say "  wrong: $*"; problems=$((problems + 1)); }

# ---- certificate ----------------------------------------------------------------------------------------------------

tls=$BACKUP_SECRETS/tls
server=$BACKUP_SECRETS/server

wanted_names() {
  local host=${BACKUP_REST_ADDR%:*}
  printf '%s\n' "$host" omni-restic-rest-server ${BACKUP_TLS_NAMES:+${BACKUP_TLS_NAMES//,/ }} | tr ' ' '\n' | awk 'NF && !seen[$0]++'
}

subject_alt_names() {
  local name list=()
  while read -r name; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then list+=("IP:$name"); else list+=("DNS:$name"); fi
  done < <(wanted_names)
  (IFS=,; echo "${list[*]}")
}

# Prints why the certificate cannot be used; nothing when it can.
certificate_problem() {
  local cert=$server/tls/cert.pem name flag
  if [ ! -s "$cert" ] || [ ! -s "$server/tls/key.pem" ]; then echo "there is none"; return; fi
  openssl x509 -in "$cert" -noout -checkend "$RENEW_SECONDS" >/dev/null || { echo "it ends in less than 30 days"; return; }
  openssl verify -CAfile "$tls/ca.pem" -untrusted "$cert" "$cert" >/dev/null 2>&1 || { echo "it is not signed by $tls/ca.pem"; return; }
  [ "$(openssl x509 -in "$cert" -noout -pubkey | openssl sha256)" = "$(openssl pkey -in "$server/tls/key.pem" -pubout | openssl sha256)" ] ||
    { echo "it does not belong to key.pem"; return; }
  while read -r name; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then flag=-checkip; else flag=-checkhost; fi
    openssl x509 -in "$cert" -noout "$flag" "$name" | grep -q 'does match' || { echo "it does not name $name"; return; }
  done < <(wanted_names)
}

# Given files win: BACKUP_TLS_CERT, _KEY and _CA, as ../secrets/scripts/issue.sh writes them from OpenBao's PKI. Else an authority of this stack's own.
make_certificate() {
  local why file
  mkdir -p "$tls" "$server/tls"
  if [ -n "${BACKUP_TLS_CERT:-}" ]; then
    for file in "$BACKUP_TLS_CERT" "${BACKUP_TLS_KEY:-}" "${BACKUP_TLS_CA:-}"; do
      [ -s "$file" ] || die "BACKUP_TLS_CERT, BACKUP_TLS_KEY and BACKUP_TLS_CA must all name readable files; '$file' is none"
    done
    cp "$BACKUP_TLS_CERT" "$server/tls/cert.pem"; cp "$BACKUP_TLS_KEY" "$server/tls/key.pem"; cp "$BACKUP_TLS_CA" "$tls/ca.pem"
  else
    why=$(certificate_problem)
    [ -n "$why" ] || return 0
    if [ ! -s "$tls/ca-key.pem" ]; then
      [ ! -s "$tls/ca.pem" ] || die "a certificate is needed ($why), but $tls/ca-key.pem is not here: put it back, or set BACKUP_TLS_CERT, _KEY and _CA"
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 -subj "/CN=omni backup authority" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$tls/ca-key.pem" -out "$tls/ca.pem" 2>/dev/null
    fi
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$(wanted_names | head -n 1)" \
      -keyout "$server/tls/key.pem.new" -out "$tls/request.pem" 2>/dev/null
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=%s\n' \
      "$(subject_alt_names)" >"$tls/extensions"
    openssl x509 -req -sha256 -days "$CERT_DAYS" -in "$tls/request.pem" -CA "$tls/ca.pem" -CAkey "$tls/ca-key.pem" -set_serial "0x$(random_hex 16)" \
      -extfile "$tls/extensions" -out "$server/tls/cert.pem.new" 2>/dev/null
    mv "$server/tls/key.pem.new" "$server/tls/key.pem"; mv "$server/tls/cert.pem.new" "$server/tls/cert.pem"
    rm -f "$tls/request.pem" "$tls/extensions"
    say "certificate for $(wanted_names | xargs): made"
  fi
  why=$(certificate_problem)
  [ -z "$why" ] || die "the certificate in $server/tls cannot be used: $why"
}

# ---- users ----------------------------------------------------------------------------------------------------------

# user and password -> one line of bcrypt; rest-server takes bcrypt and SHA-1 only, and SHA-1 is not good enough.
htpasswd_line() {
  if command -v htpasswd >/dev/null; then
    htpasswd -niB -C 10 "$1" <<<"$2"
  elif command -v docker >/dev/null; then
    docker run --rm -i --network none --entrypoint htpasswd restic/rest-server:0.14.0 -niB -C 10 "$1" <<<"$2"
  else
    die "bcrypt needs 'htpasswd' (on Debian: apt-get install apache2-utils) or docker"
  fi | head -n 1
}

make_users() {
  local user line
  mkdir -p "$server"
  touch "$server/htpasswd"
  for user in $TIERS metrics; do
    make_secret "$BACKUP_SECRETS/http/$user" 24
    if command -v htpasswd >/dev/null; then
      htpasswd -vi "$server/htpasswd" "$user" <"$BACKUP_SECRETS/http/$user" >/dev/null 2>&1 && continue
    elif grep -q "^$user:" "$server/htpasswd"; then
      continue
    fi
    line=$(htpasswd_line "$user" "$(cat "$BACKUP_SECRETS/http/$user")")
    { grep -v "^$user:" "$server/htpasswd" || true; printf '%s\n' "$line"; } >"$server/htpasswd.new"
    mv "$server/htpasswd.new" "$server/htpasswd"
    say "user $user: set"
  done
}

make_repository_passwords() {
  local site tier
  for site in $(sites); do
    for tier in $TIERS; do make_secret "$BACKUP_SECRETS/restic/$site-$tier.password" 32; done
  done
  if [[ ${COMPOSE_PROFILES:-} == *s3* ]]; then
    mkdir -p "$BACKUP_SECRETS/seaweedfs"
    printf '{"identities":[{"name":"restic","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin:%s","Read:%s","Write:%s","List:%s"]}]}\n' \
      "${BACKUP_S3_ACCESS_KEY:?}" "${BACKUP_S3_SECRET_KEY:?}" "$BACKUP_S3_BUCKET" "$BACKUP_S3_BUCKET" "$BACKUP_S3_BUCKET" "$BACKUP_S3_BUCKET" \
      >"$BACKUP_SECRETS/seaweedfs/s3.json"
  fi
}

# ---- repositories ---------------------------------------------------------------------------------------------------

# HTTP code of a rest-server's own answer for a path, 000 when nothing answers.
rest_code() {
  local site=$1 tier=$2 path=$3 url password
  url=$(repository_url "$site" "$tier"); url=https://${url#*@}
  if [ "$site" = home ]; then password=$(cat "$BACKUP_SECRETS/http/$tier"); else password=$(cat "$BACKUP_SECRETS/remote-http/$tier"); fi
  curl -s -o /dev/null -w '%{http_code}' --max-time 10 --cacert "$CA_FILE" -I -K - "$url$path" <<<"user = \"$tier:$password\"" || true
}

wait_for_server() {
  local deadline=$((SECONDS + WAIT_SECONDS)) code
  use_repository home "${TIERS%% *}"
  until code=$(rest_code home "${TIERS%% *}" config); [ "$code" = 200 ] || [ "$code" = 404 ] || [ "$code" = 401 ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "https://$BACKUP_REST_ADDR did not answer within ${WAIT_SECONDS}s (last: ${code:-none}); is the stack started, and does the name resolve here? $(curl -sS -o /dev/null --max-time 5 --cacert "$CA_FILE" "https://$BACKUP_REST_ADDR/" 2>&1 || true)"
    sleep 1
  done
  [ "$code" != 401 ] || die "the server refuses user '${TIERS%% *}': its password file is not $server/htpasswd, or it was started before that was made (restart it)"
}

# "open ID" | missing | locked-out | unreachable | unsure. Opening costs a second of key stretching, so it is done once.
repository_state() {
  local site=$1 tier=$2 config status=0
  use_repository "$site" "$tier"
  config=$(run_restic cat config 2>/dev/null) || status=$?
  if [ "$status" -eq 0 ]; then
    echo "open $(sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' <<<"$config")"
  elif [ "$site" != object ]; then
    case $(rest_code "$site" "$tier" config) in
      200) echo locked-out ;;
      404) echo missing ;;
      *) echo unreachable ;;
    esac
  else
    # S3 has no cheap question that works the same everywhere; restic from 0.17 says it by exit status, before that init finds out.
    case $status in
      10) echo missing ;;
      12) echo locked-out ;;
      *) echo unsure ;;
    esac
  fi
}

refuse_password() {
  die "repository $1 exists, but $BACKUP_SECRETS/restic/$1.password does not open it. It was left as it is. Bring the right password from the escrow" \
    "(ESCROW.md) or from OpenBao (kv/restic/$1); only if its backups are worth nothing, move the repository away and run this again."
}

make_repository() {
  local site=$1 tier=$2 name=$1-$2 state mark from=()
  mark=$BACKUP_SECRETS/restic/$name.id
  state=$(repository_state "$site" "$tier")
  case $state in
    locked-out) refuse_password "$name" ;;
    unreachable) die "repository $name cannot be reached: $(use_repository "$site" "$tier"; run_restic cat config 2>&1 >/dev/null | head -n 3 | tr '\n' ' ')" ;;
    missing | unsure)
      [ ! -s "$mark" ] || die "repository $name was made here before (id $(cut -c1-8 "$mark")) and is gone now. Find out why before a new one takes its place; then remove $mark and run this again."
      # Copies must cut files at the same places as the home repository, or nothing would be shared between them.
      if [ "$site" != home ]; then
        use_repository home "$tier"
        from=(--copy-chunker-params --from-repository-file "$BACKUP_SECRETS/restic/home-$tier.repository" --from-password-file "$BACKUP_SECRETS/restic/home-$tier.password")
      fi
      use_repository "$site" "$tier"
      init_repository "${from[@]}" || { [ "$state" != unsure ] || refuse_password "$name"; die "repository $name could not be made"; }
      state=$(repository_state "$site" "$tier")
      say "repository $name: made" ;;
  esac
  check_identity "$name" "$state" || exit 1
}

# With a private authority on only one of two servers, restic wants both in one file.
init_repository() {
  local bundle status=0
  bundle=$(mktemp)
  cat "$tls/ca.pem" >"$bundle"
  if [ -s "$tls/remote-ca.pem" ]; then cat "$tls/remote-ca.pem" >>"$bundle"; fi
  CA_FILE=$bundle run_restic init "$@" >/dev/null || status=$?
  rm -f "$bundle"
  return "$status"
}

# The id that a repository had at first is written down: another one under the same address is no backup of ours.
check_identity() {
  local name=$1 id=${2#open } mark=$BACKUP_SECRETS/restic/$1.id
  if [ "$2" = "$id" ] || [ -z "$id" ]; then bad "repository $name does not open"; return 1; fi
  if [ ! -s "$mark" ]; then
    [ "$mode" = check ] || printf '%s\n' "$id" >"$mark"
  elif [ "$id" != "$(cat "$mark")" ]; then
    bad "repository $name has id ${id:0:8}, but ${mark##*/} says $(cut -c1-8 "$mark"): this is another repository"
    return 1
  fi
}

# ---- monitoring -----------------------------------------------------------------------------------------------------

# Prometheus asks the server as its user `metrics`. These are copies: the password here is the one that counts.
MONITORING_DIR=${MONITORING_DIR:-$BACKUP_STACK/../monitoring}
scrape=$MONITORING_DIR/secrets/scrape/restic-rest-server-metrics
prometheus_has_them() {
  [ "$(cat "$scrape.user" 2>/dev/null)" = metrics ] && cmp -s "$scrape.password" "$BACKUP_SECRETS/http/metrics" && cmp -s "$scrape.ca" "$tls/ca.pem"
}
connect_monitoring() {
  if [ ! -d "$MONITORING_DIR" ] || prometheus_has_them; then return 0; fi
  mkdir -p "$MONITORING_DIR/secrets"
  # Prometheus reads as its own user; secrets/ above is closed to others.
  [ -d "${scrape%/*}" ] || install -d -m 755 "${scrape%/*}"
  install -m 444 "$BACKUP_SECRETS/http/metrics" "$scrape.password"
  install -m 444 "$tls/ca.pem" "$scrape.ca"
  printf metrics >"$scrape.user.new" && chmod 444 "$scrape.user.new" && mv -f "$scrape.user.new" "$scrape.user"
  say "monitoring: user, password and authority are in ${scrape%/*}"
}

# ---- run ------------------------------------------------------------------------------------------------------------

check_everything() {
  local why user site tier state name
  why=$(certificate_problem)
  [ -z "$why" ] || bad "certificate: $why"
  for user in $TIERS metrics; do
    if [ ! -s "$BACKUP_SECRETS/http/$user" ]; then bad "no password for user $user"; continue; fi
    grep -q "^$user:\$2" "$server/htpasswd" 2>/dev/null || bad "user $user is not in $server/htpasswd with bcrypt"
  done
  [ ! -d "$MONITORING_DIR" ] || prometheus_has_them || bad "Prometheus cannot read the server's metrics: monitoring's secrets/scrape/${scrape##*/}.user, .password and .ca are not those of this stack"
  while IFS= read -r name; do bad "$name can be read by others: chmod go= $name"; done < <(find "$BACKUP_SECRETS" -type f -perm /077 2>/dev/null)
  # A run that makes things has just opened every repository.
  for site in $([ "$mode" != check ] || sites); do
    for tier in $TIERS; do
      if [ ! -s "$BACKUP_SECRETS/restic/$site-$tier.password" ]; then bad "no password for repository $site-$tier"; continue; fi
      state=$(repository_state "$site" "$tier") || { bad "repository $site-$tier: not set up"; continue; }
      case $state in
        open*) check_identity "$site-$tier" "$state" || true ;;
        locked-out) bad "repository $site-$tier exists, but its password file does not open it" ;;
        *) bad "repository $site-$tier: $state" ;;
      esac
    done
  done
  for site in object remote; do
    sites | grep -qx "$site" || say "  note: no site '$site' is set up; with two of the three, 3-2-1 is not met (README.md)"
  done
  [ "$problems" -eq 0 ] || die "$problems thing(s) to mend; scripts/init.sh makes what is missing"
  say "all well: certificate, users, $(sites | wc -l) site(s), $(wc -w <<<"$TIERS") repositories each"
}

if [ "$mode" = check ]; then need "$RESTIC"; check_everything; exit 0; fi

mkdir -p "$BACKUP_SECRETS"
make_certificate
make_users
make_repository_passwords
connect_monitoring
[ "$mode" = all ] || { say "files are ready in $BACKUP_SECRETS"; exit 0; }

need "$RESTIC"
wait_for_server
for site in $(sites); do
  for tier in $TIERS; do make_repository "$site" "$tier"; done
done
check_everything
say "next: escrow the passwords before anything depends on them: scripts/escrow.sh seal (ESCROW.md)"
