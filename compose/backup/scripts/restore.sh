#!/usr/bin/env bash
# Restore by hand, with plain restic, into an empty folder; never over live data.
#   restore.sh COMPONENT --target DIR [--snapshot ID] [--site home|object|remote] [--path PATH] [--host NAME]
#   restore.sh COMPONENT --list [--site …]
# Without --snapshot the newest one of the component. Without --site the first site that answers.
# Exit: 0 restored and checked, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

help="restore.sh COMPONENT --target DIR [--snapshot ID] [--site SITE] [--path PATH] [--host NAME] | COMPONENT --list [--site SITE]"
[ $# -ge 2 ] || usage_error "$help"
component=$1
shift
target='' snapshot=latest site='' path='' host='' list=no
while [ $# -gt 0 ]; do
  [ "$1" = --list ] || [ $# -ge 2 ] || usage_error "$help"
  case $1 in
    --target) target=$2; shift 2 ;;
    --snapshot) snapshot=$2; shift 2 ;;
    --site) site=$2; shift 2 ;;
    --path) path=$2; shift 2 ;;
    --host) host=$2; shift 2 ;;
    --list) list=yes; shift ;;
    *) usage_error "$help" ;;
  esac
done
[ "$list" = yes ] || [ -n "$target" ] || usage_error "$help"

load_env
need "$RESTIC" jq
tier=$(component_tier "$component")

if [ -z "$site" ]; then
  for candidate in $(sites); do
    if (use_repository "$candidate" "$tier" && run_restic cat config >/dev/null 2>&1); then site=$candidate; break; fi
    say "site $candidate does not answer or does not open"
  done
  [ -n "$site" ] || die "no site opens for tier $tier; scripts/init.sh --check says why"
fi
use_repository "$site" "$tier"
filter=(--tag "component=$component")
[ -z "$host" ] || filter+=(--host "$host")

if [ "$list" = yes ]; then
  run_restic snapshots "${filter[@]}"
  exit 0
fi

found=$(run_restic snapshots --json "${filter[@]}") || die "the snapshots of $site-$tier cannot be listed"
if [ "$snapshot" = latest ]; then
  # One dated ahead is nobody's backup of today: whoever could write it wants it to be taken for the newest.
  chosen='' limit=$(($(date +%s) + 3600))
  while IFS=$'\t' read -r id time; do
    if [ "$(date -d "$time" +%s)" -le "$limit" ]; then chosen=$id; break; fi
    say "snapshot ${id:0:8} is dated ahead ($time) and left out; --snapshot takes it all the same"
  done < <(jq -r 'sort_by(.time) | reverse[] | [.id, .time] | @tsv' <<<"$found")
  [ -n "$chosen" ] || die "no snapshot of $component in $site-$tier"
else
  # Asked among this component's snapshots only: an id of another component named by mistake is refused here.
  chosen=$(jq -r --arg id "$snapshot" '[.[] | select(.id | startswith($id))] | if length == 1 then .[0].id else "" end' <<<"$found")
  [ -n "$chosen" ] || die "'$snapshot' is no snapshot of $component in $site-$tier, or fits several; restore.sh $component --list shows them"
fi
age=$(( $(date +%s) - $(date -d "$(jq -r --arg id "$chosen" '.[] | select(.id == $id) | .time' <<<"$found")" +%s) ))

if [ -e "$target" ] && [ -n "$(ls -A "$target" 2>/dev/null)" ]; then
  die "$target is not empty. Restore into an empty folder, look at it, then put it in place while the component is stopped"
fi
mkdir -p "$target"

say "restoring ${chosen:0:8} of $component from $site-$tier, taken $((age / 60)) minutes ago"
begin=$SECONDS
arguments=(restore "$chosen" --target "$target" --verify)
[ -z "$path" ] || arguments+=(--include "$path")
run_restic "${arguments[@]}" >&2 || die "restic could not restore everything (above); $target is incomplete, do not use it"

# restic is content with an --include that fits nothing, so what arrived is counted against what the snapshot lists.
listed=$(run_restic ls --json "$chosen" | jq -r --arg path "$path" 'select(.struct_type == "node" and .type == "file" and (($path == "") or (.path == $path) or (.path | startswith($path + "/")))) | .path' | wc -l)
arrived=$(find "$target" -type f | wc -l)
[ "$listed" -gt 0 ] || die "the snapshot holds no file${path:+ under $path}"
[ "$arrived" -eq "$listed" ] || die "$arrived files arrived, the snapshot lists $listed: do not use $target"
say "$arrived files in $target, verified, in $((SECONDS - begin))s"
