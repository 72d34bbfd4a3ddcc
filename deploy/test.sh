#!/usr/bin/env bash
# `make test`: everything CI runs, from a machine with nothing of ours installed.
# Part of it by hand: cargo nextest run -p omni-common, or cargo nextest run -E 'test(/name/)'.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO"
# The examples of property tests are the same each time, so that a change is not judged by luck; those who look for faults
# run the tests by hand, where each run draws new ones, or set another seed.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-37}

"$REPO/deploy/packages.sh" test
# Before anything is compiled: the controller embeds it.
if "$REPO/deploy/web.sh" fits; then
  "$REPO/deploy/web.sh" size
else
  warn "the dashboard is not built or checked: it takes Node 20.19 or later"
fi
"$REPO/deploy/verify.sh" plain
step "platform: catalogue, stacks, alerts, dashboards, set-up"
# A file stays with one worker, because what it starts is shared by its tests; conftest.py says which go first.
"$REPO/.omni-test/venv/bin/pytest" -q -n 2 --dist loadfile --no-loadscope-reorder --durations=15 "$REPO/tests/platform"
# The testbed runs the programs as they are shipped; cargo builds them for tests of their own package only.
step "programs"
linked cargo build --locked --workspace --bins
LOGS=$(mktemp -d)
declare -A ASIDE=()
group=''
trap 'rm -rf "$LOGS"; for group in "${ASIDE[@]}"; do kill -- "-$group" 2>/dev/null || true; done' EXIT
step "tests, compiled"
# Where they lie is written down, so that running them asks nothing of cargo, which the lints will keep busy.
linked cargo nextest list --locked --workspace --list-type binaries-only --message-format json >"$LOGS/binaries.json"
cargo metadata --locked --no-deps --format-version 1 >"$LOGS/cargo.json"

# aside NAME COMMAND…: runs COMMAND beside what follows, in a session of its own, so that nothing of it outlives this script.
aside() {
  local name=$1
  shift
  step "$name, beside the tests that follow; told after them"
  setsid "$@" >"$LOGS/$name" 2>&1 &
  ASIDE[$name]=$!
}
FAILED=()
# told NAME: waits for what runs aside, and shows what it said.
told() {
  wait "${ASIDE[$1]}" || FAILED+=("$1")
  unset "ASIDE[$1]"
  step "$1"
  cat "$LOGS/$1"
}
# The tests on several hosts wait more than they compute, and so do those in a browser: they run beside each other, and the
# lints, which only compute, get what they leave of the processors. Linux shares those out by session first and by
# niceness within one, so the whole session is made nice.
if "$REPO/deploy/web.sh" fits; then
  aside "the dashboard in a browser" env "OMNI_BIN_DIR=$TARGET/debug" "$REPO/deploy/web.sh" e2e
fi
# shellcheck disable=SC2016 # for the shell that is started
aside "lints" sh -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 "$0" compiler' "$REPO/deploy/verify.sh"
step "tests"
cargo nextest run --cargo-metadata "$LOGS/cargo.json" --binaries-metadata "$LOGS/binaries.json" || FAILED+=("the Rust tests")
for name in "${!ASIDE[@]}"; do told "$name"; done
[ ${#FAILED[@]} -eq 0 ] || die "not well: $(IFS=,; printf '%s' "${FAILED[*]}" | sed 's/,/, /g')"
step "documentation examples"
linked cargo test --locked --workspace --doc
step "all green"
