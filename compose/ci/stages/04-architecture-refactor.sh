#!/usr/bin/env bash
# Stage 4, architecture and refactoring: the code stays fit to be changed.
#
# In:   .omni-ci/layers      one layer a line, the uppermost first: `shop.api`; a layer may use those below it, never those above
#       CI_COMPLEXITY_MAX    branches of one function (default 10)
#       CI_FILE_LINES_MAX    lines of one source file (default 500)
#       ruff, eslint and clippy read the project's own configuration as well
# Out:  04-architecture-refactor.json
STAGE_OPTIONS=''
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 04 architecture-refactor "$@"

if has_python; then
  mapfile -t folders < <(python_sources)
  check lint-python ruff check --no-cache "${folders[@]:-.}"
  check complexity ruff check --no-cache --select C901,PLR0915 --config "lint.mccabe.max-complexity = ${CI_COMPLEXITY_MAX:-10}" "${folders[@]:-.}"
  check format-python ruff format --no-cache --check "${folders[@]:-.}"
  if [ -f .omni-ci/layers ]; then check layers python3 "$STAGES/layers.py" "${folders[@]:-.}"; else note layers - unjudged 0 "no .omni-ci/layers: name the layers, uppermost first, one a line"; fi
fi
if has_node; then check lint-node eslint --max-warnings 0 .; fi
if has_rust; then
  check lint-rust cargo clippy --locked --all-targets --all-features -- -D warnings
  check format-rust cargo fmt --all --check
fi
if has_go; then check lint-go golangci-lint run ./...; fi
check file-size python3 "$STAGES/layers.py" --lines "${CI_FILE_LINES_MAX:-500}"
stage_end
