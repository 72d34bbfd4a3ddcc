#!/usr/bin/env bash
# forget, prune and check of the repositories on this server's own disk, as the policies say. The only way to delete: the server itself is append-only.
#   maintain.sh TIER [--dry-run] [--no-prune]
# Runs on the host of rest-server, in the tier's prune window. Uses restic on this host, else the stack's one-shot container `restic`.
# Exit: 0 done, 1 failed or refused, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

help="maintain.sh TIER [--dry-run] [--no-prune]"
[ $# -ge 1 ] || usage_error "$help"
tier=$1
shift
dry=() prune=yes
for argument in "$@"; do
  case $argument in
    --dry-run) dry=(--dry-run) ;;
    --no-prune) prune=no ;;
    *) usage_error "$help" ;;
  esac
done
load_env
is_tier "$tier"
need jq
data=${BACKUP_DATA:-$BACKUP_STACK/data/restic-rest-server}
[ -d "$data/$tier" ] || die "$data/$tier is not here: this runs on the host of rest-server (BACKUP_DATA names its data folder)"

on_disk() {
  if command -v "$RESTIC" >/dev/null; then
    env -u RESTIC_REPOSITORY_FILE RESTIC_REPOSITORY="$data/$tier" RESTIC_PASSWORD_FILE="$BACKUP_SECRETS/restic/home-$tier.password" "$RESTIC" "$@"
  else
    docker-compose -f "$BACKUP_STACK/docker-compose.yml" run --rm -e RESTIC_REPOSITORY="/data/$tier" -e RESTIC_PASSWORD_FILE="/secrets/home-$tier.password" restic "$@"
  fi
}

snapshots=$(on_disk snapshots --json) || die "the repository on disk does not open with $BACKUP_SECRETS/restic/home-$tier.password"

# restic counts keep-within from the newest snapshot. One that is dated ahead would make all real ones look old, and whoever holds a client's
# credentials can write one; so a future date stops everything.
future=$(jq -r --argjson now "$(date +%s)" '.[] | select((.time | sub("\\.[0-9]+"; "") | sub("Z$"; "+00:00") | capture("^(?<t>.{19})(?<s>[+-])(?<h>..):(?<m>..)$") |
  ((.t + "Z") | fromdateiso8601) - ((if .s == "-" then -1 else 1 end) * ((.h | tonumber) * 3600 + (.m | tonumber) * 60))) > $now + 3600) | .short_id + " of " + .time' <<<"$snapshots")
[ -z "$future" ] || die "refused: snapshot(s) from the future: $(tr '\n' ' ' <<<"$future"). Find out who wrote them (audit, rest-server log); remove them by id with restic forget on this host, then run again"

forgotten=0
while read -r component; do
  [ -n "$component" ] || continue
  keep=$(policy_line "$component" retention)
  [ -n "$keep" ] || { say "$component: no policy, nothing is forgotten"; continue; }
  arguments=(forget --tag "component=$component" --group-by "host,tags" --keep-tag keep --keep-last "$(flow_value "$keep" last)")
  for span in within hourly daily weekly monthly yearly; do
    value=$(flow_value "$keep" "$span")
    [ -n "$value" ] || continue
    if [ "$span" = within ]; then arguments+=(--keep-within "$value"); else arguments+=("--keep-within-$span" "$value"); fi
  done
  count=$(on_disk "${arguments[@]}" "${dry[@]}" --json | jq '[.[].remove // [] | length] | add // 0') || die "forget failed for $component"
  [ "$count" -eq 0 ] || say "$component: $count snapshot(s) ${dry:+would be }forgotten"
  forgotten=$((forgotten + count))
done < <(jq -r '[.[] | (.tags // [])[] | select(startswith("component=")) | ltrimstr("component=")] | unique[]' <<<"$snapshots")

# forget exits 0 also where nothing could be deleted, so the list decides.
if [ ${#dry[@]} -eq 0 ]; then
  left=$(on_disk snapshots --json | jq length)
  expected=$(( $(jq length <<<"$snapshots") - forgotten ))
  [ "$left" -le "$expected" ] || die "$forgotten snapshots were to go, but $left of $(jq length <<<"$snapshots") are still there: is $data writable?"
fi

if [ "$prune" = yes ]; then
  rules=$(awk -v name="  home-$tier:" '$0 == name { found = 1; next } found && /^    maintenance: / { print; exit }' "$BACKUP_EFFECTIVE")
  [[ $rules =~ max_unused:\ ([0-9]+%) ]] || die "$BACKUP_EFFECTIVE has no max_unused for home-$tier: run scripts/policy.py generate"
  unused=${BASH_REMATCH[1]}
  [[ $rules =~ max_repack_size:\ ([0-9]+[KMGT]) ]] || die "$BACKUP_EFFECTIVE has no max_repack_size for home-$tier: run scripts/policy.py generate"
  # The repack bound keeps a prune inside its window; what is left over goes next time.
  on_disk prune "${dry[@]}" --max-unused "$unused" --max-repack-size "${BASH_REMATCH[1]}" >&2 ||
    die "prune failed (above); the repository is still whole, run check before anything else"
fi
on_disk check >&2 || die "check found damage (above): stop writing to this repository and compare with the other sites"
say "$tier: $forgotten forgotten, check passed"
