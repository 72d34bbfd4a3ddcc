#!/usr/bin/env bash
# The dashboard: packages, build, checks, tests. Node does the work; cargo embeds what `build` leaves in dist/.
#
#   deploy/web.sh build   builds it, unless nothing it is made of has changed
#   deploy/web.sh check   format, types against the API's description, unit tests; never writes to the tree
#   deploy/web.sh size    how much a first visit loads; fails above the budget
#   deploy/web.sh fix     formats it
#   deploy/web.sh fits    whether this machine's Node can build it; says nothing
#   deploy/web.sh e2e     browsers against meshes made for it, and a real OpenID provider; root; builds the debug programs unless OMNI_BIN_DIR names others

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WEB=$REPO/dashboards/web
# What the builder asks for, in one number: 20.19 and later, 22.12 and later.
NODE_MIN=2019

node_fits() {
  local major minor
  have node && have npm || return 1
  IFS=. read -r major minor _ < <(node -p process.versions.node)
  [ $((major * 100 + minor)) -ge "$NODE_MIN" ] && [ "$major" -ne 21 ] && { [ "$major" -ne 22 ] || [ "$minor" -ge 12 ]; }
}

need_node() {
  node_fits || die "the dashboard is built with Node 20.19 or later, and npm; here is $(node --version 2>/dev/null || echo none)"
}

# Installed anew when the lock file, or the Node that some packages are built for, has changed.
install_packages() {
  local wanted mark=$WEB/node_modules/.installed
  wanted=$(cat "$WEB/package-lock.json" <(node --version) | sha256sum)
  if [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ]; then return; fi
  step "installing the dashboard's packages"
  (cd "$WEB" && npm ci --no-fund --no-audit) >&2 || die "npm could not install the packages of dashboards/web"
  printf '%s\n' "$wanted" >"$mark"
}

# What a build is made of. An unchanged one is left alone, or cargo would build the controller anew.
sources() {
  (cd "$WEB" && cat package-lock.json vite.config.ts svelte.config.js tsconfig.json index.html ../../controller/openapi.json &&
    find src -type f ! -name schema.ts ! -name '*.test.ts' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
}

build() {
  local wanted mark=$WEB/node_modules/.built
  install_packages
  wanted=$(sources)
  if [ -e "$WEB/dist/index.html" ] && [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ]; then
    note "the dashboard is built already"
    return
  fi
  step "building the dashboard"
  (cd "$WEB" && npm run --silent build) >&2 || die "the dashboard could not be built"
  printf '%s\n' "$wanted" >"$mark"
}

# The controller carries the dashboard as it was when cargo last ran, so cargo runs first.
browse() {
  if [ -z "${OMNI_BIN_DIR:-}" ]; then cargo build --locked --workspace --bins; fi
  (cd "$WEB" && OMNI_BIN_DIR=${OMNI_BIN_DIR:-$TARGET/debug} npm run --silent e2e)
}

main() {
  local what=${1:-build}
  if [ "$what" = fits ]; then node_fits; exit; fi
  need_node
  case $what in
    build) build ;;
    check) install_packages && (cd "$WEB" && npm run --silent check) ;;
    fix) install_packages && (cd "$WEB" && npm run --silent fix) ;;
    size) build && (cd "$WEB" && npm run --silent size) ;;
    e2e) build && browse ;;
    *) die "unknown word '$what'; one of: build, check, size, fix, fits, e2e" ;;
  esac
}

main "$@"
