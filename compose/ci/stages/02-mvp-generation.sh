#!/usr/bin/env bash
# Stage 2, MVP generation: there is a first whole product, and it covers what was specified.
#
# In:   the specification (CI_SPEC_FILES, stage 1), the sources
#       CI_GENERATE        command that writes the first version from the specification, as a coding agent; run only when there
#                          are no sources yet (or with --generate). What it wrote is judged like anything else.
#       CI_SMOKE           command that shows that the product starts and does one useful thing
# Out:  02-mvp-generation.json
# Fails when it does not build, when an acceptance criterion (AC-1, AC-2 …) is named by no test, when an operation of the
# OpenAPI document is not in the sources, or when the smoke command fails.
STAGE_OPTIONS='[--generate]'
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 02 mvp-generation "$@"
export CI_SPEC_FILES=${CI_SPEC_FILES:-openapi.yaml openapi.yml openapi.json spec/** docs/acceptance*.md acceptance*.md}

sources=false
if has_python || has_node || has_rust || has_go; then sources=true; fi
if ! $sources || [ "${STAGE_ARGS[0]:-}" = --generate ]; then
  if [ -n "${CI_GENERATE:-}" ]; then check generate bash -c "$CI_GENERATE"; else note generate - unjudged 0 "no sources, and CI_GENERATE names no command that would write them"; fi
fi
if has_python; then
  mapfile -t folders < <(python_sources)
  check build-python python3 -m compileall -q "${folders[@]:-.}"
fi
if has_node; then
  if has_script build; then check build-node npm run --silent build; else skip build-node "package.json has no script build"; fi
fi
if has_rust; then check build-rust cargo build --locked --all-targets; fi
if has_go; then check build-go go build ./...; fi
check covered python3 "$STAGES/covered.py"
if [ -n "${CI_SMOKE:-}" ]; then check smoke bash -c "$CI_SMOKE"; else note smoke - unjudged 0 "set CI_SMOKE in .omni-ci/settings.env: a command that starts the product and uses it once"; fi
stage_end
