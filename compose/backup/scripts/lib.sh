# shellcheck shell=bash
# Shared by the scripts of this folder: settings, places, repositories. Sourced, never run.
set -euo pipefail
umask 077

BACKUP_STACK=${BACKUP_STACK:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
BACKUP_SECRETS=${BACKUP_SECRETS:-$BACKUP_STACK/secrets}
BACKUP_EFFECTIVE=${BACKUP_EFFECTIVE:-$BACKUP_STACK/policies/effective.yaml}
RESTIC=${RESTIC:-restic}
# Fewer tiers: only for a trial.
TIERS=${BACKUP_TIERS:-critical high medium standard}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
usage_error() { say "usage: $*"; exit 2; }
need() { local tool; for tool in "$@"; do command -v "$tool" >/dev/null || die "'$tool' is not installed: on Debian, apt-get install ${tool##*/}"; done; }

# Reads KEY=VALUE lines; what the environment already holds wins, so that a test or a person can aim a run elsewhere.
load_env() {
  local file=${BACKUP_ENV:-$BACKUP_STACK/.env}
  if [ -e "$file" ]; then read_env "$file"; fi
  export BACKUP_REST_ADDR=${BACKUP_REST_ADDR:-localhost:8000} BACKUP_S3_BUCKET=${BACKUP_S3_BUCKET:-restic}
}

read_env() {
  local file=$1 line key
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in ''|\#*) continue ;; esac
    [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || die "$file: cannot read the line '${line%%=*}': write NAME=value"
    key=${BASH_REMATCH[1]}
    [ -n "${!key+x}" ] || export "$key=${BASH_REMATCH[2]}"
  done <"$file"
}

random_hex() { openssl rand -hex "${1:-24}"; }

# A secret is made once and never replaced: who replaces a repository password locks the backups away.
make_secret() {
  local file=$1 bytes=${2:-24}
  [ -s "$file" ] && return 0
  mkdir -p "$(dirname "$file")"
  random_hex "$bytes" >"$file.new"
  mv "$file.new" "$file"
}

# Sites that this stack is set up for, in the order in which a restore should try them.
sites() {
  echo home
  [ -z "${BACKUP_S3_URL:-}" ] || echo object
  [ -z "${BACKUP_REMOTE_ADDR:-}" ] || echo remote
}

is_tier() { case " $TIERS " in *" $1 "*) ;; *) die "'$1' is no tier: $TIERS" ;; esac; }

repository_url() {
  local site=$1 tier=$2 file
  case $site in
    home) echo "rest:https://$tier:$(cat "$BACKUP_SECRETS/http/$tier")@${BACKUP_REST_ADDR:?BACKUP_REST_ADDR is not set}/$tier/" ;;
    object) echo "s3:$BACKUP_S3_URL/${BACKUP_S3_BUCKET:?BACKUP_S3_BUCKET is not set}/$tier" ;;
    remote)
      file=$BACKUP_SECRETS/remote-http/$tier
      [ -s "$file" ] || die "$file is missing: copy secrets/http/ of the second region's stack to secrets/remote-http/ here"
      echo "rest:https://$tier:$(cat "$file")@$BACKUP_REMOTE_ADDR/$tier/" ;;
    *) die "'$site' is no site; set up here: $(sites | xargs)" ;;
  esac
}

# Sets restic's environment for one repository. The URL carries a password, so it goes through a file and never through a command line.
use_repository() {
  local site=$1 tier=$2 file
  is_tier "$tier"
  file=$BACKUP_SECRETS/restic/$site-$tier
  [ -s "$file.password" ] || die "$file.password is missing: run scripts/init.sh, or bring it from the escrow (ESCROW.md)"
  repository_url "$site" "$tier" >"$file.repository.new" && mv "$file.repository.new" "$file.repository"
  unset RESTIC_REPOSITORY RESTIC_PASSWORD RESTIC_PASSWORD_COMMAND CA_FILE
  export RESTIC_REPOSITORY_FILE=$file.repository RESTIC_PASSWORD_FILE=$file.password
  case $site in
    home) CA_FILE=$BACKUP_SECRETS/tls/ca.pem ;;
    remote) CA_FILE=$BACKUP_SECRETS/tls/remote-ca.pem ;;
  esac
  if [ "$site" = object ]; then
    export AWS_ACCESS_KEY_ID=${BACKUP_S3_ACCESS_KEY:?} AWS_SECRET_ACCESS_KEY=${BACKUP_S3_SECRET_KEY:?}
    [ -z "${BACKUP_S3_REGION:-}" ] || export AWS_DEFAULT_REGION=$BACKUP_S3_REGION
  else
    [ -s "$CA_FILE" ] || die "$CA_FILE is missing: it is the certificate authority of the $site server"
  fi
}

# restic 0.14 (Debian 12) knows the authority only as a flag, not from the environment.
run_restic() { "$RESTIC" ${CA_FILE:+--cacert "$CA_FILE"} "$@"; }

# One line of the flat block of a component in effective.yaml.
policy_line() {
  awk -v name="  $1:" -v key="    $2: " '
    /^[a-z_]+:/ { inside = ($0 == "policies:") }
    inside && $0 == name { found = 1; next }
    found && /^  [a-z0-9]/ { exit }
    found && index($0, key) == 1 { print substr($0, length(key) + 1); exit }' "$BACKUP_EFFECTIVE"
}

component_tier() {
  local tier
  tier=$(policy_line "$1" tier)
  [ -n "$tier" ] || die "'$1' has no backup policy in $BACKUP_EFFECTIVE; scripts/policy.py show $1 says why"
  echo "$tier"
}

# '{a: 1, b: 2d}' and a key -> value
flow_value() { sed -n "s/^{\(.*\)}\$/\1/p" <<<"$1" | tr ',' '\n' | sed -n "s/^ *$2: *//p" | head -n 1; }

# '95m' '2h' '9d' -> seconds
seconds() {
  case $1 in
    *m) echo $((${1%m} * 60)) ;;
    *h) echo $((${1%h} * 3600)) ;;
    *d) echo $((${1%d} * 86400)) ;;
    *) die "'$1' is no duration" ;;
  esac
}
