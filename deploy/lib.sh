#!/usr/bin/env bash
# Shared by the scripts of this folder: talk, privileges, ports, and processes kept by pid file.
# Sourced, never run. Talk goes to stderr, so that a script's stdout stays data.

set -euo pipefail

# `dirname` twice: this file's folder, then the repository.
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that `make up` makes lives here, so that erasing it is one command.
STATE=${OMNI_STATE:-$REPO/.omni}
# dockerd and the network tools live where only root looks.
PATH=$PATH:/usr/sbin:/sbin
# Where cargo leaves the binaries.
# shellcheck disable=SC2034 # read by the scripts that source this file
TARGET=${CARGO_TARGET_DIR:-$REPO/target}

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\033[1m' DIM=$'\033[2m' RED=$'\033[31m' YELLOW=$'\033[33m' PLAIN=$'\033[0m'
else
  BOLD='' DIM='' RED='' YELLOW='' PLAIN=''
fi

# Says what begins, and from the first minute on how long this script has run.
step() {
  local since=''
  [ "$SECONDS" -lt 60 ] || since=" ($((SECONDS / 60)) min $((SECONDS % 60)) s)"
  printf '%s==>%s %s%s%s%s\n' "$BOLD" "$PLAIN" "$*" "$DIM" "$since" "$PLAIN" >&2
}
note() { printf '    %s%s%s\n' "$DIM" "$*" "$PLAIN" >&2; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
die() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }
# linked COMMAND…: has a quick linker do the linking of COMMAND where there is one. Nothing else changes, so what is built with
# and without is the same to cargo.
linked() { if have mold; then mold -run "$@"; else "$@"; fi; }
is_root() { [ "$(id -u)" -eq 0 ]; }
systemd_runs() { [ -d /run/systemd/system ]; }

# until_ok SECONDS WHAT COMMAND…: polls until COMMAND succeeds; fails once SECONDS have passed.
until_ok() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      warn "$what: not so after $seconds s"
      return 1
    fi
    sleep 0.3
  done
}

# port_owner udp|tcp PORT: prints what listens there ("process (pid)" as far as we may see); fails when nobody does.
port_owner() {
  local line flag=-lntpH
  [ "$1" = udp ] && flag=-lnupH
  line=$(ss "$flag" "sport = :$2" 2>/dev/null | head -n 1)
  [ -n "$line" ] || return 1
  sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/\1 (pid \2)/p; t; s/.*/a process of another user/p' <<<"$line"
}

# need_port udp|tcp PORT FOR: dies with the port's owner when the port is taken.
need_port() {
  local owner
  if owner=$(port_owner "$1" "$2"); then
    die "$1 port $2, needed by $3, is taken by $owner. Stop it, or choose other ports with OMNI_BASE_PORT=…"
  fi
}

# The pid file of NAME, and whether its process still runs the program that we started. The start
# time is kept beside the pid because the kernel hands out the same pid again.
pid_file() { printf '%s/%s.pid' "$STATE" "$1"; }
# Empty for a zombie: it runs no more, though its parent has not looked yet.
start_time() { sed -E 's/^.*\) //; /^Z/d' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
running() {
  local pid born
  read -r pid born 2>/dev/null <"$(pid_file "$1")" || return 1
  [ -n "$pid" ] && [ -n "$born" ] && [ "$(start_time "$pid")" = "$born" ]
}

# start_detached NAME COMMAND…: runs COMMAND in a session of its own, logging to NAME.log.
start_detached() {
  local name=$1 pid
  shift
  mkdir -p "$STATE"
  setsid nohup "$@" </dev/null >>"$STATE/$name.log" 2>&1 &
  pid=$!
  printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$(pid_file "$name")"
}

# stop_running NAME SECONDS: TERM, then KILL when it has not gone within SECONDS. Fine when it is not running.
stop_running() {
  local name=$1 seconds=$2 pid
  if running "$name"; then
    read -r pid _ <"$(pid_file "$name")"
    kill -TERM "$pid" 2>/dev/null || true
    if ! until_ok "$seconds" "$name stopped after SIGTERM" not_running "$name"; then
      warn "$name (pid $pid) is killed"
      kill -KILL "$pid" 2>/dev/null || true
      until_ok 5 "$name gone" not_running "$name" || true
    fi
    note "stopped $name"
  fi
  rm -f "$(pid_file "$name")"
}
not_running() { ! running "$1"; }
