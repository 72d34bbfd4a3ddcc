#!/usr/bin/env bash
# A Docker engine for `make up` on a machine where none answers.
#
#   deploy/docker-engine.sh start   makes an engine answer; harmless when one already does
#   deploy/docker-engine.sh stop    stops the engine that `start` started, and no other
#   deploy/docker-engine.sh status  says which engine answers
#
# With systemd the packaged service is started. Without it (a container, a test machine) a dockerd of our
# own runs from .omni/docker, on the usual socket so that `docker` and omni need no option. It is tried
# with everything on, then without a bridge and packet filter, then with plain copies instead of overlays,
# because containers and odd kernels lack one or the other; its log says what it ended up with.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SOCKET=${OMNI_DOCKER_SOCKET:-/var/run/docker.sock}
ROOT=$STATE/docker
STARTED_UNIT=$STATE/docker.unit

answers() { curl -fsS --max-time 3 --unix-socket "$SOCKET" http://docker/_ping; }

engine_facts() {
  curl -fsS --max-time 5 --unix-socket "$SOCKET" http://docker/info |
    jq -r '"Docker \(.ServerVersion), storage \(.Driver), cgroup v\(.CgroupVersion // "1"), \(.ContainersRunning) containers running"'
}

start_with_systemd() {
  systemctl start docker >&2 || return 1
  until_ok 30 "docker.service answers" answers || return 1
  : >"$STARTED_UNIT"
}

# try_daemon OPTION…: one attempt. The daemon either answers or is stopped again.
try_daemon() {
  rm -f "$ROOT/docker.pid" # nobody answers, so it is a leftover; dockerd would refuse to start if its number were in use again
  note "dockerd $*"
  start_detached dockerd dockerd --host "unix://$SOCKET" --data-root "$ROOT/data" --exec-root "$ROOT/exec" \
    --pidfile "$ROOT/docker.pid" "$@"
  if until_ok 30 "dockerd answers or ends" answers_or_ended && answers >/dev/null 2>&1; then return; fi
  stop_running dockerd 10
  return 1
}
answers_or_ended() { answers || not_running dockerd; }

start_own() {
  mkdir -p "$ROOT"
  try_daemon ||
    try_daemon --bridge=none --iptables=false ||
    try_daemon --bridge=none --iptables=false --storage-driver=vfs
}

start() {
  mkdir -p "$STATE"
  if answers >/dev/null 2>&1; then
    note "a Docker engine answers: $(engine_facts)"
  elif ! have dockerd; then
    warn "no Docker engine and no dockerd: this host will be shown without containers"
    return 1
  elif ! is_root; then
    warn "dockerd is installed but does not answer, and we are not root: this host will be shown without containers"
    return 1
  else
    step "starting a Docker engine"
    if systemd_runs; then start_with_systemd; else start_own; fi ||
      {
        warn "the Docker engine did not start; see $STATE/dockerd.log or the journal. Going on without containers"
        return 1
      }
    note "$(engine_facts)"
  fi
}

stop() {
  if [ -e "$STARTED_UNIT" ]; then
    systemctl stop docker.service docker.socket >&2 || warn "docker.service did not stop"
    rm -f "$STARTED_UNIT"
    note "stopped docker.service"
  elif [ -e "$(pid_file dockerd)" ]; then
    stop_running dockerd 30
  fi
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  status) if answers >/dev/null 2>&1; then engine_facts; else die "no Docker engine answers at $SOCKET"; fi ;;
  *) die "usage: docker-engine.sh start|stop|status" ;;
esac
