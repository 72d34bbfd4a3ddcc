# shellcheck shell=bash
# What all stages share. A stage is a list of checks; each leaves a line for people and an entry in a JSON report.
#
# Exit codes of every stage: 0 passed, 1 the project failed a check, 2 wrong use, 3 it could not be judged (a program or a
# setting is missing). Not judged is never passed: a pipeline stops on 1 and on 3.
#
# Environment that every stage reads:
#   CI_PROJECT   the project's folder (default: where you are)
#   CI_OUT       reports and logs (default: CI_PROJECT/.omni-ci/out)
#   CI_OPTIONAL  names of checks, parted by spaces, that may be left out when their program is missing
# Settings of the project: .omni-ci/settings.env, lines NAME=value (scripts/lib.sh). The environment wins over the file.

STAGES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
set -euo pipefail
# shellcheck source=compose/ci/scripts/lib.sh
. "$STAGES/../scripts/lib.sh"

usage_of_stage() {
  printf 'usage: %s [--project DIR] [--out DIR] %s\n' "$(basename "$0")" "${STAGE_OPTIONS:-}" >&2
  exit 2
}

# stage NUMBER NAME "$@": reads the command line and the settings. What it does not know stays in STAGE_ARGS.
stage() {
  STAGE_NUMBER=$1 STAGE_NAME=$2
  shift 2
  STAGE_ARGS=()
  CI_PROJECT=${CI_PROJECT:-$PWD}
  while [ $# -gt 0 ]; do
    case $1 in
      --project | --out)
        [ -n "${2:-}" ] || usage_of_stage
        if [ "$1" = --project ]; then CI_PROJECT=$2; else CI_OUT=$2; fi
        shift
        ;;
      --*)
        case " ${STAGE_OPTIONS:-} " in *"[$1"*) STAGE_ARGS+=("$1") ;; *) usage_of_stage ;; esac
        ;;
      *) STAGE_ARGS+=("$1") ;;
    esac
    shift
  done
  CI_PROJECT=$(cd "$CI_PROJECT" 2>/dev/null && pwd) || { printf '%s: no such project folder\n' "$STAGE_NAME" >&2; exit 2; }
  CI_OUT=${CI_OUT:-$CI_PROJECT/.omni-ci/out}
  mkdir -p "$CI_OUT/logs"
  CI_OUT=$(cd "$CI_OUT" && pwd)
  command -v jq >/dev/null || { printf '%s: jq is missing; it writes the report\n' "$STAGE_NAME" >&2; exit 3; }
  read_settings "$CI_PROJECT" "$STAGE_NAME"
  cd "$CI_PROJECT"
  CHECKS=$(mktemp)
  trap 'rm -f "$CHECKS"' EXIT
  STAGE_BEGAN=$SECONDS
  # Programs that the project brings along win over those of the machine.
  PATH=$CI_PROJECT/.venv/bin:$CI_PROJECT/node_modules/.bin:$PATH
  export PATH CI_PROJECT CI_OUT
  printf '== %s %s\n' "$STAGE_NUMBER" "$STAGE_NAME"
}

# note NAME TOOL VERDICT SECONDS DETAIL
note() {
  local mark='?'
  case $3 in pass) mark=ok ;; fail) mark=FAIL ;; skip) mark=skip ;; warn) mark=warn ;; unjudged) mark=UNJUDGED ;; esac
  printf '   %-8s %-22s %s\n' "$mark" "$1" "$5"
  jq -cn --arg name "$1" --arg tool "$2" --arg verdict "$3" --argjson seconds "$4" --arg detail "$5" \
    '{name: $name, tool: $tool, verdict: $verdict, seconds: $seconds, detail: $detail}' >>"$CHECKS"
}

# version_of PROGRAM: its first line about itself.
version_of() { { "$1" --version 2>/dev/null || "$1" version 2>/dev/null || true; } | head -n 1 | tr -d '\r' | cut -c 1-60; }

# check NAME PROGRAM ARGUMENTS...: a program that has to end with 0. Its output goes to a log, the end of it to the screen when it fails.
check() {
  local name=$1 program=$2 began=$SECONDS status=0 log detail
  shift
  log=$CI_OUT/logs/$STAGE_NUMBER-$name.log
  if ! command -v "$program" >/dev/null; then
    missing "$name" "$program"
    return 0
  fi
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" = 0 ]; then
    note "$name" "$(tool_name "$program")" pass $((SECONDS - began)) "$(summary "$log")"
  else
    detail="ended with $status; log: logs/$(basename "$log")"
    note "$name" "$(tool_name "$program")" fail $((SECONDS - began)) "$detail"
    tail -n 15 "$log" | sed 's/^/            /'
  fi
}

tool_name() {
  # A function of a stage has no version to ask for.
  if [ "$1" = python3 ] || [ -z "$(type -P "$1")" ]; then printf '%s' "$1"; else version_of "$1"; fi
}
# summary LOG: the last line that says something.
summary() {
  local said
  said=$(sed 's/=\{3,\}//g' "$1" | grep -v '^[[:space:]]*$' | tail -n 1 | sed 's/^ *//; s/ *$//' | cut -c 1-110) || true
  printf '%s' "${said:-nothing to report}"
}

# missing NAME PROGRAM: not judged, unless the project said that it may be left out.
missing() {
  case " ${CI_OPTIONAL:-} " in
    *" $1 "*) note "$1" "$2" skip 0 "$2 is not installed; CI_OPTIONAL allows that" ;;
    *) note "$1" "$2" unjudged 0 "$2 is not installed. Install it, or name the check in CI_OPTIONAL" ;;
  esac
}

skip() { note "$1" - skip 0 "$2"; }

# has_python, has_node, has_rust, has_go: the languages of the project, by what every project of theirs has.
has_python() { [ -f pyproject.toml ] || [ -f setup.py ] || [ -f requirements.txt ]; }
has_node() { [ -f package.json ]; }
has_rust() { [ -f Cargo.toml ]; }
has_go() { [ -f go.mod ]; }
has_script() { has_node && jq -e --arg name "$1" '.scripts[$name]' package.json >/dev/null 2>&1; }
# Folders with the project's own Python.
python_sources() {
  local folder
  for folder in ${CI_PYTHON_SOURCES:-src app}; do [ ! -d "$folder" ] || printf '%s\n' "$folder"; done
}

# stage_end: writes the report, says the verdict, and ends with its code.
stage_end() {
  local verdict code report
  if grep -q '"verdict":"fail"' "$CHECKS"; then
    verdict=fail code=1
  elif grep -q '"verdict":"unjudged"' "$CHECKS"; then
    verdict=unjudged code=3
  elif ! grep -q '"verdict":"\(pass\|warn\)"' "$CHECKS"; then
    note nothing - unjudged 0 "no check of this stage fits the project, so nothing is known about it"
    verdict=unjudged code=3
  else
    verdict=pass code=0
  fi
  report=$CI_OUT/$STAGE_NUMBER-$STAGE_NAME.json
  jq -s --arg stage "$STAGE_NAME" --arg number "$STAGE_NUMBER" --arg verdict "$verdict" --argjson seconds $((SECONDS - STAGE_BEGAN)) \
    --arg commit "${CI_COMMIT:-$(git rev-parse HEAD 2>/dev/null || true)}" --arg ended "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{stage: $stage, number: $number, verdict: $verdict, commit: $commit, ended: $ended, seconds: $seconds, checks: .}' "$CHECKS" >"$report"
  printf '== %s %s: %s (%s)\n' "$STAGE_NUMBER" "$STAGE_NAME" "$(tr '[:lower:]' '[:upper:]' <<<"$verdict")" "${report#"$CI_PROJECT"/}"
  exit "$code"
}
