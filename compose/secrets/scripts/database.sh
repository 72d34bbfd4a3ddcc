#!/usr/bin/env bash
# Lets OpenBao make short-lived database accounts. Run again after each new database.
#   database.sh postgresql     needs psql and a superuser: PGHOST, PGPORT, PGUSER, PGPASSWORD as usual
#   database.sh valkey         needs redis-cli or valkey-cli, VALKEY_HOST, VALKEY_PORT and VALKEY_PASSWORD (of the default user). Redis 7 likewise
# OpenBao's own login is `openbao`; its password is known to nobody once OpenBao has changed it (PostgreSQL) or made here and forgotten (Valkey).
# Needs BAO_TOKEN (scripts/login.sh). Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="database.sh postgresql|valkey"
[ $# -eq 1 ] || usage_error "$HELP"
load_env
need curl jq openssl
need_token
ACCESS=$SECRETS_STACK/config/access.json
sql=$SECRETS_STACK/config/database
login=openbao
# What is there already is no news.
query() { PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning" psql -X -q -v ON_ERROR_STOP=1 -v "login=$login" "$@"; }

there() {
  call GET "$1"
  case $CODE in 200) return 0 ;; 404) return 1 ;; *) explain "GET $1" ;; esac
}

# Times are given as 1h and read as seconds.
# shellcheck disable=SC2016 # a program for jq
same='def seconds: if type == "number" then . else capture("^(?<n>[0-9]+)(?<u>[smhd])$") | (.n | tonumber) * {s: 1, m: 60, h: 3600, d: 86400}[.u] end;
  .data as $have | all($want | to_entries[]; (if .key | endswith("_ttl") then .value | seconds else .value end) == $have[.key])'

# Roles of one connection, written only where they differ.
write_roles() {
  local connection=$1 name want
  while IFS=$'\t' read -r name want; do
    if there "database/roles/$name" && jq -e --argjson want "$want" "$same" <<<"$BODY" >/dev/null; then continue; fi
    must POST "database/roles/$name" "$want"
    say "  role $name"
  done < <(roles_of "$connection")
}

roles_of() {
  if [ "$1" = postgresql ]; then
    jq -r --slurpfile sql "$sql/postgresql-roles.json" '.database_roles | to_entries[] | select(.value.connection == "postgresql") | .value as $v | [.key, ({db_name: "postgresql", default_ttl: $v.default_ttl, max_ttl: $v.max_ttl,
      creation_statements: ($sql[0][$v.kind].creation_statements | map(gsub("\\{\\{database\\}\\}"; $v.database // ""))), revocation_statements: $sql[0].every.revocation_statements, renew_statements: $sql[0].every.renew_statements} | @base64)] | @tsv' "$ACCESS"
  else
    jq -r --slurpfile acl "$sql/valkey-roles.json" '.database_roles | to_entries[] | select(.value.connection == "valkey") | .value as $v | [.key, ({db_name: "valkey", default_ttl: $v.default_ttl, max_ttl: $v.max_ttl,
      creation_statements: [$acl[0][$v.kind] | tojson]} | @base64)] | @tsv' "$ACCESS"
  fi | while IFS=$'\t' read -r name encoded; do printf '%s\t%s\n' "$name" "$(base64 -d <<<"$encoded")"; done
}

case $1 in
  postgresql)
    need psql
    query -d postgres -f "$sql/postgresql.sql" || die "the superuser could not prepare the server (above)"
    present=$(query -d postgres -At -c "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    while read -r database; do
      if grep -qx "$database" <<<"$present"; then query -d "$database" -f "$sql/postgresql-database.sql" || die "database $database could not be prepared (above)"; else say "  note: no database $database yet; run this again when it is there"; fi
    done < <(jq -r '.databases[]' "$ACCESS")
    if ! there database/config/postgresql; then
      password=$(openssl rand -hex 24)
      # Through standard input: a command line is there for all to read.
      printf "ALTER ROLE %s PASSWORD '%s';\n" "$login" "$password" | query -d postgres >/dev/null
      must POST database/config/postgresql "$(jq -c --arg password "$password" --arg login "$login" --arg host "${OPENBAO_PG_HOST:-omni-postgresql}" --arg port "${OPENBAO_PG_PORT:-5432}" --arg mode "${OPENBAO_PG_SSLMODE:-prefer}" \
        '. as $all | .database.postgresql + {username: $login, password: $password, connection_url: "postgresql://{{username}}:{{password}}@\($host):\($port)/postgres?sslmode=\($mode)", allowed_roles: [$all.database_roles | to_entries[] | select(.value.connection == "postgresql") | .key]}' "$ACCESS")"
      must POST database/rotate-root/postgresql
      say "  connection postgresql; the password of '$login' is known to OpenBao alone"
    fi
    write_roles postgresql ;;
  valkey)
    client=$(command -v valkey-cli || command -v redis-cli) || die "neither valkey-cli nor redis-cli is installed: on Debian, apt-get install redis-tools"
    valkey() { REDISCLI_AUTH=${VALKEY_PASSWORD:-} "$client" -h "${VALKEY_HOST:-127.0.0.1}" -p "${VALKEY_PORT:-6379}" --no-auth-warning "$@"; }
    [ "$(valkey PING)" = PONG ] || die "no PONG from ${VALKEY_HOST:-127.0.0.1}:${VALKEY_PORT:-6379}; is VALKEY_PASSWORD right?"
    if ! there database/config/valkey; then
      password=$(openssl rand -hex 24)
      # It makes accounts and nothing else; keys it cannot see. The password goes in by its digest, through standard input.
      said=$(printf 'ACL SETUSER %s reset on #%s resetkeys resetchannels -@all +acl +ping +auth +hello\nACL SAVE\n' "$login" "$(printf %s "$password" | sha256sum | cut -d' ' -f1)" | valkey)
      [ "$(head -n 1 <<<"$said")" = OK ] || die "the account '$login' could not be made: $said"
      grep -q 'ERR' <<<"$(tail -n 1 <<<"$said")" && say "  note: the server has no aclfile, so its accounts end with a restart; set aclfile and run this again"
      must POST database/config/valkey "$(jq -c --arg password "$password" --arg login "$login" --arg host "${OPENBAO_VALKEY_HOST:-omni-valkey}" --argjson port "${OPENBAO_VALKEY_PORT:-6379}" \
        '. as $all | .database.valkey + {username: $login, password: $password, host: $host, port: $port, allowed_roles: [$all.database_roles | to_entries[] | select(.value.connection == "valkey") | .key]}' "$ACCESS")"
      say "  connection valkey"
    fi
    write_roles valkey ;;
  *) usage_error "$HELP" ;;
esac
say "$1: done"
