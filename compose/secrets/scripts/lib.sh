# shellcheck shell=bash
# Shared by the scripts of this folder: settings, calls to OpenBao, keyholders, age. Sourced, never run.
set -euo pipefail
umask 077

SECRETS_STACK=${SECRETS_STACK:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
# Sealed shares, first passwords, certificate: what this host keeps. Never in git.
KEPT=${SECRETS_DIR:-$SECRETS_STACK/secrets}
SHARES=$KEPT/shares
HELP=''
TOKEN='' CODE='' BODY=''

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
usage_error() { say "usage: $*"; exit 2; }
need() { local tool; for tool in "$@"; do command -v "$tool" >/dev/null || die "'$tool' is not installed: on Debian, apt-get install ${tool%%-keygen}"; done; }

# Reads KEY=VALUE lines; what the environment already holds wins, so that a test or a person can aim a run elsewhere.
load_env() {
  local file=${SECRETS_ENV:-$SECRETS_STACK/.env} line key
  if [ -e "$file" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in '' | \#*) continue ;; esac
      [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || die "$file: cannot read the line '${line%%=*}': write NAME=value"
      key=${BASH_REMATCH[1]}
      [ -n "${!key+x}" ] || export "$key=${BASH_REMATCH[2]}"
    done <"$file"
  fi
  ADDR=${OPENBAO_ADDR:-https://localhost:${OPENBAO_PORT:-8200}}
  CA_FILE=${OPENBAO_CACERT:-$KEPT/server/ca.pem}
  # shellcheck disable=SC2034 # read by the scripts that source this
  DOMAIN=${OMNI_DOMAIN:-omni.localhost}
}

# Splits a command line into IDENTITIES (each -i FILE) and REST.
identities() {
  IDENTITIES=() REST=()
  while [ $# -gt 0 ]; do
    if [ "$1" = -i ]; then
      [ $# -ge 2 ] || usage_error "$HELP"
      [ -s "$2" ] || die "identity $2 is missing or empty"
      IDENTITIES+=("$2")
      shift 2
    else
      REST+=("$1")
      shift
    fi
  done
}

random_password() { openssl rand -base64 36 | tr -d '/+=\n' | cut -c1-32; }

# A folder in memory: what is clear must never reach a disk.
private_folder() {
  local base=${SECRETS_RAM:-/dev/shm}
  [ "$(stat -f -c %T "$base" 2>/dev/null)" = tmpfs ] || die "$base is no RAM disk; set SECRETS_RAM to one (mount -t tmpfs)"
  mktemp -d "$base/openbao.XXXXXX"
}

# ---- calls -----------------------------------------------------------------------------------------------------------

quoted() { local text=${1//\\/\\\\}; text=${text//\"/\\\"}; printf '%s' "${text//$'\n'/\\n}"; }

# call METHOD PATH [JSON] -> status in CODE, answer in BODY. Token and body go through a pipe: a command line is there for all to read.
call() {
  local answer
  answer=$({
    printf 'url = "%s/v1/%s"\nrequest = "%s"\n' "$ADDR" "$2" "$1"
    [ -z "$TOKEN" ] || printf 'header = "X-Vault-Token: %s"\n' "$TOKEN"
    [ -z "${WRAP_TTL:-}" ] || printf 'header = "X-Vault-Wrap-TTL: %s"\n' "$WRAP_TTL"
    [ -z "${3:-}" ] || printf 'header = "Content-Type: application/json"\ndata = "%s"\n' "$(quoted "$3")"
  } | curl -s -K - --cacert "$CA_FILE" --max-time "${OPENBAO_TIMEOUT:-60}" -w '\n%{http_code}' 2>/dev/null) || true
  CODE=${answer##*$'\n'}
  BODY=${answer%$'\n'*}
  case $CODE in [1-5][0-9][0-9]) ;; *) CODE=000 BODY='' ;; esac
}

# Reads the paths on standard input over one connection; answers in FOLDER/000000.json and on, their status in FOLDER/codes.
read_many() {
  local folder=$1 index=0 file
  {
    [ -z "$TOKEN" ] || printf 'header = "X-Vault-Token: %s"\n' "$TOKEN"
    printf 'write-out = "%%{http_code}\\n"\n'
    awk -v addr="$ADDR" -v folder="$folder" '{ printf "url = \"%s/v1/%s\"\noutput = \"%s/%06d.json\"\n", addr, $0, folder, NR - 1 }'
  } | curl -s -K - --cacert "$CA_FILE" --max-time 600 >"$folder/codes" 2>/dev/null || true
  # An answer without a body leaves no file.
  while IFS= read -r _; do
    printf -v file '%s/%06d.json' "$folder" "$index"
    [ -s "$file" ] || echo '{}' >"$file"
    index=$((index + 1))
  done <"$folder/codes"
}

# status JQ-PATH -> that part of the last answer.
status() { jq -r "$1" <<<"$BODY"; }

# Ends the run with what a person can do about the last answer.
explain() {
  local errors
  errors=$(jq -r '.errors // [] | join("; ")' <<<"$BODY" 2>/dev/null || true)
  errors=${errors:+ ($errors)}
  case $CODE in
    000) die "$1: nothing answers at $ADDR. Is the stack started, does the name resolve, and does $CA_FILE belong to it? $(curl -sS -o /dev/null --max-time 5 --cacert "$CA_FILE" "$ADDR/v1/sys/seal-status" 2>&1 || true)" ;;
    403) die "$1: refused$errors. The token is wrong, has ended, or its policies do not allow this" ;;
    503) die "$1: sealed, or without a leader$errors. scripts/unseal.sh opens it; in a cluster see that most members run" ;;
    5*) die "$1: OpenBao failed with $CODE$errors. Its log says why; a cluster that has lost most of its members answers like this" ;;
    *) die "$1: answer $CODE$errors" ;;
  esac
}

must() {
  call "$@"
  case $CODE in 200 | 204) ;; *) explain "$1 $2" ;; esac
}

seal_status() { must GET sys/seal-status; }

token_from_environment() {
  if [ -n "${BAO_TOKEN:-}" ]; then
    TOKEN=$BAO_TOKEN
  elif [ -n "${BAO_TOKEN_FILE:-}" ]; then
    [ -s "$BAO_TOKEN_FILE" ] || die "BAO_TOKEN_FILE names $BAO_TOKEN_FILE, which is missing or empty"
    TOKEN=$(cat "$BAO_TOKEN_FILE")
  fi
}

need_token() {
  token_from_environment
  [ -n "$TOKEN" ] || die "this needs a token: export BAO_TOKEN=\$(scripts/login.sh NAME)"
}

# ---- keyholders ------------------------------------------------------------------------------------------------------

# OPENBAO_KEYHOLDERS, 'name=age1…,name=age1…', as lines "name recipient"; checked together with the threshold.
keyholders() {
  local item name recipient seen=' ' count=0 threshold=${OPENBAO_THRESHOLD:-2}
  [ -n "${OPENBAO_KEYHOLDERS:-}" ] || die "OPENBAO_KEYHOLDERS is empty: give name=age1… for each person, parted by commas (README.md, Keyholders)"
  for item in ${OPENBAO_KEYHOLDERS//,/ }; do
    name=${item%%=*} recipient=${item#*=}
    [[ $name =~ ^[a-z][a-z0-9-]*$ && $recipient =~ ^age1[0-9a-z]{58}$ ]] || die "OPENBAO_KEYHOLDERS: '$item' is not name=age1… (name: a-z, 0-9, -)"
    case $seen in *" $name "* | *" $recipient "*) die "OPENBAO_KEYHOLDERS gives '$name' or its recipient two times: each person needs a key of their own" ;; esac
    seen+="$name $recipient "
    count=$((count + 1))
  done
  [[ $threshold =~ ^[0-9]+$ ]] || die "OPENBAO_THRESHOLD is '$threshold', not a number"
  # One person alone: a lab. It has to be said, since there is then nobody to help.
  if [ "$count" -eq 1 ] && [ "$threshold" -eq 1 ] && [ "${OPENBAO_ALLOW_SINGLE:-no}" = yes ]; then :
  elif [ "$threshold" -lt 2 ] || [ "$threshold" -ge "$count" ]; then
    die "OPENBAO_THRESHOLD is $threshold of $count keyholders: at least 2, so that nobody opens it alone, and fewer than all, so that one loss does not lock it (a lab of one person: threshold 1 and OPENBAO_ALLOW_SINGLE=yes)"
  fi
  for item in ${OPENBAO_KEYHOLDERS//,/ }; do printf '%s %s\n' "${item%%=*}" "${item#*=}"; done
}

# Writes standard input encrypted to the recipients after the file's name; never leaves half a file.
seal_to() {
  local file=$1 recipient arguments=()
  shift
  for recipient in "$@"; do arguments+=(-r "$recipient"); done
  mkdir -p "$(dirname "$file")"
  age -a "${arguments[@]}" -o "$file.new" || die "age could not encrypt for ${file##*/}: is every recipient whole?"
  mv "$file.new" "$file"
}

# open_with FILE IDENTITY... -> its content, with the first identity that fits.
open_with() {
  local file=$1 identity
  shift
  for identity in "$@"; do age -d -i "$identity" "$file" 2>/dev/null && return 0; done
  return 1
}

# share_of IDENTITY -> "name share". An identity opens the one share that was sealed to it.
share_of() {
  local file share
  for file in "$SHARES"/*.age; do
    [ -e "$file" ] || die "no share is in $SHARES: copy NAME.age there from where it is kept"
    if share=$(age -d -i "$1" "$file" 2>/dev/null); then
      printf '%s %s\n' "$(basename "$file" .age)" "$share"
      return 0
    fi
  done
  die "$1 opens none of the shares in $SHARES: whose is it, and is that share here?"
}

give_share() { must POST sys/unseal "$(jq -cn --arg k "$1" '{key: $k}')"; }
