#!/usr/bin/env bash
# The mesh that `make up` runs on this machine: names, ports, and where the parts keep their data.
# Sourced by up.sh and down.sh, so that both mean the same thing.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Controller N listens on BASE + 10·(N-1) for QUIC (UDP) and on the next number for the API (TCP).
BASE_PORT=${OMNI_BASE_PORT:-7600}
# shellcheck disable=SC2034 # read by the scripts that source this file
CONTROLLERS=(c1 c2 c3)
# shellcheck disable=SC2034
CONTEXT=local
INIT=$STATE/init.json

quic_port() { echo $((BASE_PORT + 10 * (${1#c} - 1))); }
api_port() { echo $(($(quic_port "$1") + 1)); }
quic_addr() { echo "127.0.0.1:$(quic_port "$1")"; }
api_addr() { echo "127.0.0.1:$(api_port "$1")"; }
api_url() { echo "https://$(api_addr "$1")"; }

# The programs: cargo's release build, or a folder that holds them already.
BIN=${OMNI_BIN_DIR:-$TARGET/release}
bin() { echo "$BIN/$1"; }

# secret KEY: one of the secrets that `init` printed once.
secret() { jq -er --arg key "$1" '.[$key]' "$INIT"; }
