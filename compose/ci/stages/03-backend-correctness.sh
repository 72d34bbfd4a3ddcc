#!/usr/bin/env bash
# Stage 3, backend correctness: types hold and tests pass.
#
# In:   CI_COVERAGE_MIN    least line coverage in percent (default 80)
#       CI_PYTHON_SOURCES  folders with the project's Python (default: src app)
#       CI_TYPES           mypy (default) or pyright
# Out:  03-backend-correctness.json, coverage.xml, coverage.json, junit.xml
STAGE_OPTIONS=''
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 03 backend-correctness "$@"
least=${CI_COVERAGE_MIN:-80}
[[ $least =~ ^[0-9]+$ ]] || { printf 'CI_COVERAGE_MIN is %s, not a percentage\n' "$least" >&2; exit 3; }

if has_python; then
  mapfile -t folders < <(python_sources)
  [ ${#folders[@]} -gt 0 ] || { printf 'no Python under %s: set CI_PYTHON_SOURCES\n' "${CI_PYTHON_SOURCES:-src app}" >&2; exit 3; }
  case ${CI_TYPES:-mypy} in
    mypy) check types-python mypy --no-incremental --cache-dir=/dev/null "${folders[@]}" ;;
    pyright) check types-python pyright "${folders[@]}" ;;
    *) printf 'CI_TYPES is %s; it is mypy or pyright\n' "$CI_TYPES" >&2; exit 3 ;;
  esac
  coverage=()
  for folder in "${folders[@]}"; do coverage+=("--cov=$folder"); done
  COVERAGE_FILE=$CI_OUT/.coverage check tests-python pytest -q -p no:cacheprovider "${coverage[@]}" --cov-report="xml:$CI_OUT/coverage.xml" \
    --cov-report="json:$CI_OUT/coverage.json" --cov-report=term-missing:skip-covered --cov-fail-under="$least" --junitxml="$CI_OUT/junit.xml"
fi
if has_node; then
  if [ -f tsconfig.json ]; then check types-node tsc --noEmit; else skip types-node "no tsconfig.json"; fi
  check tests-node npm test --silent
fi
if has_rust; then
  if command -v cargo-nextest >/dev/null; then check tests-rust cargo nextest run --locked --all-features; else check tests-rust cargo test --locked --all-features; fi
fi
if has_go; then
  check types-go go vet ./...
  check tests-go go test -race -coverprofile="$CI_OUT/go-coverage.out" ./...
fi
stage_end
