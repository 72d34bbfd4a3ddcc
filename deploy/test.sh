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
cargo build --locked --workspace --bins
step "tests"
cargo nextest run --locked --workspace
if "$REPO/deploy/web.sh" fits; then
  step "the dashboard in a browser"
  OMNI_BIN_DIR=$TARGET/debug "$REPO/deploy/web.sh" e2e
fi
step "documentation examples"
cargo test --locked --workspace --doc
step "all green"
