#!/usr/bin/env bash
# `make bench`: omni against etcd and node_exporter, on this machine and in the same run. See docs/benchmarks.md.
# Arguments go to the benchmark (`make bench ARGS="writes --quick"`); without any, all parts run. Not part of
# `make test`: it takes long and its numbers mean little on a busy machine.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO"

"$REPO/deploy/packages.sh" bench
step "building"
# In one go, so that the controller that is measured and the one the benchmark links are built once.
cargo build --release --locked --bins -p omni-controller -p omni-agent -p omni-tests --features omni-tests/bench
exec "$TARGET/release/omni-bench" "$@"
