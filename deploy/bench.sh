#!/usr/bin/env bash
# `make bench`: omni against etcd, node_exporter, docker-compose and restic, on this machine and in the same run. See
# docs/benchmarks.md. Arguments go to the benchmark (`make bench ARGS="writes --quick"`); without a part, all run.
# `dashboard` is the part that a browser measures; it runs last. Not part of `make test`: it takes long and its numbers
# mean little on a busy machine.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO"

# The dashboard of the controllers that are measured is the one in the tree.
dashboard() {
  "$REPO/deploy/packages.sh" browser
  "$REPO/deploy/web.sh" build
  step "building"
  cargo build --release --locked --bins -p omni-controller -p omni-agent
  (cd "$REPO/dashboards/web" && OMNI_BIN_DIR=$TARGET/release npm run --silent budgets -- "$@")
}

# What of the arguments both parts understand.
shared() {
  while [ $# -gt 0 ]; do
    case $1 in
      --quick) printf '%s\n' "$1" ;;
      --json) printf '%s\n' "$1" "$(realpath -m "${2:?--json wants a folder}")" && shift ;;
    esac
    shift
  done
}

case ${1:-all} in
  dashboard)
    shift
    dashboard "$@"
    exit
    ;;
esac

"$REPO/deploy/packages.sh" bench
step "building"
# In one go, so that the controller that is measured and the one the benchmark links are built once.
cargo build --release --locked --bins -p omni-controller -p omni-agent -p omni-cli -p omni-tests --features omni-tests/bench
"$TARGET/release/omni-bench" "$@"
case ${1:-all} in
  all | --*)
    if "$REPO/deploy/web.sh" fits; then
      mapfile -t both < <(shared "$@")
      dashboard "${both[@]}"
    else
      warn "SKIPPED dashboard: it takes Node 20.19 or later"
    fi
    ;;
esac
