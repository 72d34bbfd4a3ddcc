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
"$REPO/deploy/verify.sh"
# The testbed runs the programs as they are shipped; cargo builds them for tests of their own package only.
step "programs"
linked cargo build --locked --workspace --bins
step "tests, compiled"
linked cargo nextest run --locked --workspace --no-run

# What runs beside the Rust tests: those of several hosts wait more than they compute.
beside() {
  step "platform: catalogue, stacks, alerts, dashboards, set-up"
  # A file stays with one worker, because what it starts is shared by its tests.
  "$REPO/.omni-test/venv/bin/pytest" -q -n 2 --dist loadfile --durations=15 "$REPO/tests/platform"
  if "$REPO/deploy/web.sh" fits; then
    step "the dashboard in a browser"
    OMNI_BIN_DIR=$TARGET/debug "$REPO/deploy/web.sh" e2e
  fi
}

log=$(mktemp)
step "tests; beside them those of the platform and of the dashboard in a browser, told at the end"
# In a process group of its own, so that nothing of it outlives this script.
set -m
beside >"$log" 2>&1 &
beside=$!
set +m
trap 'rm -f "$log"; kill -- "-$beside" 2>/dev/null || true' EXIT
failed=''
cargo nextest run --locked --workspace || failed="the Rust tests"
wait "$beside" || failed="${failed:+$failed and }those of the platform or the dashboard"
cat "$log"
[ -z "$failed" ] || die "failed: $failed"
step "documentation examples"
linked cargo test --locked --workspace --doc
step "all green"
