#!/usr/bin/env bash
# Installs what this machine lacks, and only that. Debian packages; nothing is started or enabled to run now.
#
#   deploy/packages.sh build   a C compiler and make, for the Rust crates that build C
#   deploy/packages.sh up      build + what `make up` needs (Docker engine, curl, jq, Node for the dashboard)
#   deploy/packages.sh test    up + what the testbed, the script checks, the browser tests and tests/platform need (PyPI packages in .omni-test/)
#   deploy/packages.sh browser what a browser takes to look at the dashboard of a mesh
#   deploy/packages.sh bench   build + the peers that omni is measured against, and protoc for the client of one
#   deploy/packages.sh check MODE   only says what is missing; fails when something is
#
# Without root it names the missing packages and fails only where the mode cannot go on without them.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The command or file that proves a package is there, the package, and whether the mode is useless without it.
needs() {
  case $1 in
    build) needs_build ;;
    up) needs_build && needs_up ;;
    test) needs_build && needs_up && needs_test ;;
    browser) needs_build && needs_up && needs_browser ;;
    bench) needs_build && needs_bench ;;
    *) die "unknown mode '$1'; one of: build, up, test, browser, bench" ;;
  esac
}
needs_build() {
  cat <<'LIST'
gcc gcc required
make make required
/usr/include/stdlib.h libc6-dev required
/etc/ssl/certs/ca-certificates.crt ca-certificates required
LIST
}
needs_up() {
  cat <<'LIST'
curl curl required
jq jq required
ss iproute2 required
dockerd docker.io optional
iptables iptables optional
node nodejs optional
npm npm optional
LIST
}
needs_test() {
  cat <<'LIST'
ip iproute2 required
nsenter util-linux required
/usr/share/doc/busybox-static busybox-static required
shellcheck shellcheck required
mold mold optional
faketime faketime required
docker-registry docker-registry required
htpasswd apache2-utils required
LIST
  needs_browser
  needs_restic
  needs_platform
}
# What e2e/ of the dashboard runs: a browser, and what its mesh makes an image of.
needs_browser() {
  cat <<'LIST'
chromium chromium required
/usr/share/doc/busybox-static busybox-static required
restic restic required
LIST
}
# What the tests of agent/restic run for real, on free ports of the loopback address.
needs_restic() {
  cat <<'LIST'
restic restic required
rclone rclone required
/usr/sbin/sshd openssh-server required
ssh-keygen openssh-client required
setpriv util-linux required
LIST
}
# What tests/platform runs for real; nothing of it is left running.
needs_platform() {
  cat <<'LIST'
/usr/share/doc/python3-venv python3-venv required
promtool prometheus required
amtool prometheus-alertmanager required
prometheus-blackbox-exporter prometheus-blackbox-exporter required
caddy caddy required
restic restic required
rclone rclone required
htpasswd apache2-utils required
age age required
ssss-split ssss required
openssl openssl required
/usr/lib/postgresql postgresql required
psql postgresql-client required
redis-server redis-server required
redis-cli redis-tools required
docker-compose docker-compose required
node nodejs required
npm npm required
g++ g++ required
LIST
}
needs_bench() {
  cat <<'LIST'
curl curl required
jq jq required
etcd etcd-server required
protoc protobuf-compiler required
/usr/include/google/protobuf/descriptor.proto libprotobuf-dev required
setpriv util-linux required
prometheus-node-exporter prometheus-node-exporter required
ip iproute2 required
/usr/share/doc/busybox-static busybox-static required
restic restic required
dockerd docker.io optional
docker-compose docker-compose optional
LIST
}

present() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) have "$1" ;;
  esac
}

# Prints the packages of MODE that are missing and of the given weight.
missing() {
  local proof package weight
  needs "$1" | while read -r proof package weight; do
    if [ "$weight" = "$2" ] && ! present "$proof"; then echo "$package"; fi
  done | sort -u | xargs
}

# Packages start their services when they are installed. This machine is somebody's workstation or a
# test host: we want the programs, and start them ourselves where we need them.
forbid_service_starts() {
  local policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return
  # shellcheck disable=SC2064 # the path is known now and must not change later
  trap "rm -f '$policy'" EXIT INT TERM
  printf '#!/bin/sh\n# written by omni deploy/packages.sh for the length of one apt-get call\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2
}

install_packages() {
  have apt-get || die "this script knows Debian's apt-get only; install by hand: $*"
  step "installing $*"
  (
    forbid_service_starts
    apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
  ) || die "apt-get could not install: $*"
}

setup_packages() {
  local mode=$1 required optional
  required=$(missing "$mode" required)
  optional=$(missing "$mode" optional)
  if [ -z "$required$optional" ]; then
    note "packages for '$mode': all there"
  elif is_root; then
    # shellcheck disable=SC2086 # a list of package names
    install_packages $required $optional && keep_out_of_boot $required
  else
    [ -z "$optional" ] || warn "going on without: $optional (as root: apt-get install $optional)"
    [ -z "$required" ] || die "not root, and these packages are missing: $required (as root: apt-get install $required)"
  fi
}

# What benchmarks and tests need is started by them, never at boot.
keep_out_of_boot() {
  local package service
  have systemctl || return 0
  for package in "$@"; do
    case $package in
      etcd-server) service=etcd ;;
      prometheus | prometheus-alertmanager | prometheus-blackbox-exporter | prometheus-node-exporter) service=$package ;;
      caddy | postgresql | redis-server) service=$package ;;
      openssh-server) service=ssh ;;
      *) continue ;;
    esac
    systemctl disable "$service" >/dev/null 2>&1 || warn "could not disable the service $service"
  done
}

check_rust() {
  have cargo || die "cargo is missing. Install Rust with rustup; rust-toolchain.toml names the version."
}

setup_nextest() {
  if ! cargo nextest --version >/dev/null 2>&1; then
    step "installing cargo-nextest (built from source, a few minutes)"
    cargo install --locked cargo-nextest >&2 || die "cargo-nextest could not be installed"
  fi
}

# PyPI packages of tests/platform, and those of the pipeline of compose/ci, which disagree with them about versions: each in
# an environment of its own, made anew when its list has changed.
setup_python() {
  python_environment "$REPO/.omni-test/venv" "$REPO/tests/platform/requirements.txt"
  python_environment "$REPO/.omni-test/ci" "$REPO/compose/ci/image/requirements.txt"
}
python_environment() {
  local venv=$1 list=$2 wanted
  wanted=$(sha256sum <"$list")
  if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ]; then
    note "Python packages of ${list#"$REPO/"}: all there"
    return
  fi
  step "installing the Python packages of ${list#"$REPO/"}"
  python3 -m venv --clear "$venv" || die "python3 cannot make a virtual environment (Debian package python3-venv)"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2 || die "pip could not install $list"
  printf '%s\n' "$wanted" >"$venv/.installed"
}

check_only() {
  local gaps
  gaps="$(missing "$1" required) $(missing "$1" optional)"
  [ -z "${gaps// /}" ] || die "missing for '$1': $gaps"
  note "packages for '$1': all there"
}

main() {
  local mode=${1:-build}
  if [ "$mode" = check ]; then
    check_only "${2:-build}"
    return
  fi
  needs "$mode" >/dev/null
  setup_packages "$mode"
  check_rust
  if [ "$mode" = test ]; then
    setup_nextest
    setup_python
  fi
}

main "$@"
