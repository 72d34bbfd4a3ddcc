#!/usr/bin/env bash
# One backup by hand, with plain restic and the policy's repository, tags and copies. For when omni is not there.
#   backup-now.sh COMPONENT PATH...              files and folders
#   backup-now.sh COMPONENT --dump NAME -- COMMAND...
#                                                what COMMAND prints, stored under NAME; nothing is stored when COMMAND fails
#   options before COMPONENT: --no-copy (skip the other sites), --host NAME (default: this host's name)
# Prints the snapshot's id. Exit: 0 done, 1 failed, 2 usage, 3 stored but some files could not be read.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

help="backup-now.sh [--no-copy] [--host NAME] COMPONENT PATH... | COMPONENT --dump NAME -- COMMAND..."
copy=yes
host=$(hostname)
while [ $# -gt 0 ]; do
  case $1 in
    --no-copy) copy=no; shift ;;
    --host) [ $# -ge 2 ] || usage_error "$help"; host=$2; shift 2 ;;
    -*) usage_error "$help" ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || usage_error "$help"
component=$1
shift
if [ "$1" = --dump ] && { [ $# -lt 4 ] || [ "$3" != -- ]; }; then usage_error "$help"; fi

load_env
need "$RESTIC"
tier=$(component_tier "$component")
use_repository home "$tier"
tags=(--tag "component=$component" --tag "tier=$tier" --host "$host")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Ids, not the newest by time: a snapshot dated ahead would hide the new one.
ids() { run_restic snapshots --json --tag "component=$component" --host "$host" 2>/dev/null | grep -o '"id":"[0-9a-f]\{64\}"' | cut -d'"' -f4 | sort; }
before=$(ids || true)

status=0
if [ "$1" = --dump ]; then
  name=$2
  shift 3
  # Written to a file first: restic's --stdin cannot know that the program before the pipe failed.
  "$@" >"$work/dump" || die "'$1' failed with exit status $?; nothing was stored"
  [ -s "$work/dump" ] || die "'$1' printed nothing; nothing was stored"
  run_restic backup --quiet "${tags[@]}" --stdin --stdin-filename "$name" <"$work/dump" || status=$?
else
  for path in "$@"; do
    # restic before 0.19 skips a missing path and exits 0.
    [ -e "$path" ] || die "'$path' does not exist; nothing was stored"
  done
  run_restic backup --quiet "${tags[@]}" -- "$@" || status=$?
fi
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || die "restic failed with exit status $status; nothing new is in repository home-$tier"

# The list is asked, not the summary: what counts is what the server now holds.
id=$(comm -13 <(echo "$before") <(ids) | head -n 1)
[ -n "$id" ] || die "restic reported success, but repository home-$tier holds no new snapshot of $component"
printf '%s\n' "$id"

if [ "$copy" = yes ]; then
  for site in $(sites | grep -v '^home$' || true); do
    from=(--from-repository-file "$BACKUP_SECRETS/restic/home-$tier.repository" --from-password-file "$BACKUP_SECRETS/restic/home-$tier.password")
    use_repository home "$tier"; cat "${CA_FILE:-/dev/null}" >"$work/ca"
    use_repository "$site" "$tier"; [ -z "${CA_FILE:-}" ] || cat "$CA_FILE" >>"$work/ca"
    CA_FILE=$work/ca
    run_restic copy --quiet "${from[@]}" "$id" || die "the snapshot is in home-$tier, but the copy to $site-$tier failed"
    say "copied to $site-$tier"
  done
fi
if [ "$status" -eq 3 ]; then say "partial: some files could not be read (above)"; exit 3; fi
