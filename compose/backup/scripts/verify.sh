#!/usr/bin/env bash
# Are the backups there, fresh and whole? Without omni, from cron or by hand.
#   verify.sh [--site SITE] [--tier TIER] [--read PART]
# For each repository: it opens, its data is whole (restic check; --read 5% or 1/13 reads that part of the data too), and every component that
# ever wrote to it has a snapshot younger than its max_age. Exit: 0 all well, 1 something is not, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

help="verify.sh [--site SITE] [--tier TIER] [--read 5%|1/13]"
only_site='' only_tier='' read=''
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage_error "$help"
  case $1 in
    --site) only_site=$2 ;;
    --tier) only_tier=$2 ;;
    --read) read=$2 ;;
    *) usage_error "$help" ;;
  esac
  shift 2
done

load_env
need "$RESTIC" jq
[ -z "$only_tier" ] || is_tier "$only_tier"
wrong=0
bad() { say "  WRONG: $*"; wrong=$((wrong + 1)); }

check_data() {
  local arguments=(check) output
  [ -z "$read" ] || arguments+=("--read-data-subset=$read")
  if ! output=$(run_restic "${arguments[@]}" 2>&1); then
    if grep -qi 'already locked' <<<"$output"; then bad "locked by another run; try again after its window, never unlock a live one"; else bad "damaged: $(tail -n 3 <<<"$output" | tr '\n' ' ')"; fi
  fi
}

check_ages() {
  local rows component newest limit age
  rows=$(run_restic snapshots --json) || { bad "snapshots cannot be listed"; return; }
  [ "$(jq length <<<"$rows")" -gt 0 ] || { bad "no snapshot at all"; return; }
  while IFS=$'\t' read -r component newest; do
    limit=$(policy_line "$component" max_age)
    [ -n "$limit" ] || { say "  note: snapshots of '$component', which has no policy any more"; continue; }
    age=$(( $(date +%s) - $(date -d "$newest" +%s) ))
    if [ "$age" -gt "$(seconds "$limit")" ]; then
      bad "$component: newest snapshot is $((age / 3600)) hours old, over its limit of $limit"
    elif [ "$age" -lt -3600 ]; then
      bad "$component: newest snapshot lies in the future ($newest): a wrong clock, or somebody who wants retention to drop the real ones"
    else
      say "  $component: $((age / 60)) minutes old, limit $limit"
    fi
  done < <(jq -r '[.[] | {time, c: ((.tags // [])[] | select(startswith("component=")) | ltrimstr("component="))}] | group_by(.c)[] | [.[0].c, (max_by(.time).time)] | @tsv' <<<"$rows")
}

for site in ${only_site:-$(sites)}; do
  for tier in ${only_tier:-$TIERS}; do
    say "$site-$tier"
    if ! (use_repository "$site" "$tier" && run_restic cat config >/dev/null 2>&1); then bad "does not open; scripts/init.sh --check says why"; continue; fi
    use_repository "$site" "$tier"
    check_data
    check_ages
  done
done
[ "$wrong" -eq 0 ] || die "$wrong thing(s) wrong"
say "all well"
