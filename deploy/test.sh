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
step "platform: catalogue, stacks, alerts, dashboards, set-up"
# A file stays with one worker, because what it starts is shared by its tests.
"$REPO/.omni-test/venv/bin/pytest" -q -n 2 --dist loadfile --durations=15 "$REPO/tests/platform"
# The testbed runs the programs as they are shipped; cargo builds them for tests of their own package only.
step "programs"
linked cargo build --locked --workspace --bins
step "tests, compiled"
linked cargo nextest run --locked --workspace --no-run

# The tests on several hosts wait more than they compute, and so do those in a browser: they run beside each other.
browser=''
log=$(mktemp)
trap 'rm -f "$log"; [ -z "$browser" ] || kill -- "-$browser" 2>/dev/null || true' EXIT
if "$REPO/deploy/web.sh" fits; then
  step "the dashboard in a browser, beside the tests that follow; told after them"
  # In a process group of its own, so that nothing of it outlives this script.
  set -m
  OMNI_BIN_DIR=$TARGET/debug "$REPO/deploy/web.sh" e2e >"$log" 2>&1 &
  browser=$!
  set +m
fi
step "tests"
failed=''
cargo nextest run --locked --workspace || failed="the Rust tests"
if [ -n "$browser" ]; then
  wait "$browser" || failed="${failed:+$failed, }the dashboard in a browser"
  browser=''
  step "the dashboard in a browser"
  cat "$log"
fi
[ -z "$failed" ] || die "not well: $failed"
step "documentation examples"
linked cargo test --locked --workspace --doc
step "all green"
