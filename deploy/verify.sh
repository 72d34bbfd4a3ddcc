#!/usr/bin/env bash
# `make verify`: everything that can be judged without running omni. Never writes to the tree.
#
#   deploy/verify.sh            all of it
#   deploy/verify.sh plain      what takes a minute
#   deploy/verify.sh compiler   what compiles everything, or nearly: clippy, and the documentation of the code

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO"

# A second TLS stack or crypto provider comes in through one careless feature flag.
FORBIDDEN_CRATES=(aws-lc-sys aws-lc-rs openssl-sys native-tls)

no_forbidden_crates() {
  local crate tree found=0
  for crate in "${FORBIDDEN_CRATES[@]}"; do
    # cargo fails when no such package is locked, and prints nothing when none is linked here.
    tree=$(cargo tree --locked --workspace -i "$crate" --depth 3 2>/dev/null || true)
    if [ -n "$tree" ]; then
      warn "$crate is linked; omni has one TLS stack, rustls with ring. By whom:"
      printf '%s\n' "$tree" >&2
      found=1
    fi
  done
  [ "$found" -eq 0 ]
}

licences_and_bans() {
  if cargo deny --version >/dev/null 2>&1; then
    # Without the network the advisory database cannot be had, and only that check needs it.
    cargo deny --locked --offline check bans licenses sources
  else
    note "cargo-deny is not installed: licences and sources are not checked (cargo install --locked cargo-deny)"
  fi
}

scripts() {
  local script files
  mapfile -t files < <(git ls-files '*.sh' .ci/run)
  for script in "${files[@]}"; do bash -n "$script"; done
  if have shellcheck; then
    shellcheck -x "${files[@]}"
  else
    note "shellcheck is not installed: the scripts are only parsed (deploy/packages.sh test installs it)"
  fi
}

web() {
  if deploy/web.sh fits; then
    deploy/web.sh check
  else
    note "the dashboard is not checked: that takes Node 20.19 or later"
  fi
}

plain() {
  step "format"
  cargo fmt --all --check
  step "scripts"
  scripts
  step "dashboard"
  web
  step "documents"
  deploy/check-docs.sh
  step "dependencies"
  no_forbidden_crates
  licences_and_bans
}

compiler() {
  step "clippy"
  cargo clippy --locked --workspace --all-targets -- -D warnings
  step "documentation"
  # Links to private items are for readers of the source.
  RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --workspace --no-deps
}

case ${1:-all} in
  all)
    plain
    compiler
    ;;
  plain | compiler) "$1" ;;
  *) die "unknown word '$1'; one of: plain, compiler" ;;
esac
