#!/usr/bin/env bash
# Puts the secrets of a component from an .env file into kv/<component>/<name>. Never prints a value.
#   seed.sh COMPONENT ENV-FILE [--replace]
# Only names that the catalogue lists for the component are taken. What is there stays, unless --replace is given; then a new version is written, and
# the old one kept. Needs BAO_TOKEN (scripts/login.sh). Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="seed.sh COMPONENT ENV-FILE [--replace]"
case $#-${3:-} in 2- | 3---replace) ;; *) usage_error "$HELP" ;; esac
component=$1 file=$2 replace=${3:-}
load_env
need curl jq
[ -s "$file" ] || die "$file is missing or empty"
[ -z "$(find "$file" -perm /077)" ] || die "$file can be read by others: chmod 600 $file, and rotate what stands in it"
names=$(jq -r --arg name "$component" '.secrets[$name] // [] | .[] | select(.path | endswith("*") | not) | .name' "$SECRETS_STACK/config/access.json")
[ -n "$names" ] || die "'$component' has no secret of its own here; does it share those of another (access.yaml, same_as)?"
need_token

written=0 kept=0 absent=0
while read -r name; do
  value=$(sed -n "s/^$name=//p" "$file" | tail -n 1)
  # Compose takes quotes off, and so do we.
  if [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]]; then value=${BASH_REMATCH[1]}; fi
  if [ -z "$value" ]; then absent=$((absent + 1)); say "  $name: not in $file"; continue; fi
  call GET "kv/metadata/$component/$name"
  case $CODE in
    404) version=0 ;;
    200) version=$(status .data.current_version) ;;
    *) explain "kv/$component/$name" ;;
  esac
  if [ "$version" -gt 0 ] && [ -z "$replace" ]; then kept=$((kept + 1)); continue; fi
  # Check-and-set: whoever wrote in between wins, and this run says so.
  must POST "kv/data/$component/$name" "$(jq -nc --arg value "$value" --argjson cas "$version" '{options: {cas: $cas}, data: {value: $value}}')"
  written=$((written + 1))
done <<<"$names"
say "$component: $written written, $kept there already, $absent not in the file"
