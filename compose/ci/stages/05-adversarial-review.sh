#!/usr/bin/env bash
# Stage 5, adversarial review: someone tries to break it.
#
# In:   CI_PROPERTY_TESTS   folder of property tests (default tests/property); Hypothesis, or whatever runs there
#       CI_SEED             seed of all randomness (default: from the commit, so that a rerun repeats what a run found)
#       CI_MUTATION_MIN     least share of mutants that the tests notice, in percent (default 70)
#       CI_MUTATION_PATHS   what is mutated (default: the Python sources), CI_MUTATION_MAX how many mutants (default 60)
#       CI_APP              command that serves the API on $CI_APP_PORT of 127.0.0.1; then Schemathesis holds it to its OpenAPI document
#       CI_OPENAPI          that document (default openapi.yaml), CI_API_EXAMPLES requests an operation (default 25)
#       CI_FUZZ             command of a fuzzer with a time limit of its own, as `cargo fuzz run parse -- -max_total_time=60`
#       LITELLM_URL, LITELLM_KEY (or LITELLM_KEY_FILE), CI_REVIEW_MODEL   a model reads the change: advice, never a verdict
# Out:  05-adversarial-review.json, mutants.json, review.md
STAGE_OPTIONS=''
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 05 adversarial-review "$@"
commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 0)
seed=${CI_SEED:-$((16#${commit//[^0-9a-f]/0} % 1000000007))}
export CI_SEED=$seed

properties=${CI_PROPERTY_TESTS:-tests/property}
if has_python; then
  if [ -d "$properties" ]; then
    check properties pytest -q -p no:cacheprovider "--hypothesis-seed=$seed" "$properties"
  else
    note properties - unjudged 0 "no $properties: write what always holds as a property, or set CI_PROPERTY_TESTS"
  fi
  check mutation python3 "$STAGES/mutate.py"
fi
if has_node && has_script test:property; then check properties-node npm run --silent test:property; fi
if has_rust; then
  if command -v cargo-mutants >/dev/null; then check mutation-rust cargo mutants --no-shuffle --in-place --timeout 120; else missing mutation-rust cargo-mutants; fi
fi
if [ -n "${CI_FUZZ:-}" ]; then check fuzz bash -c "$CI_FUZZ"; else skip fuzz "CI_FUZZ names no fuzzer"; fi

document=${CI_OPENAPI:-openapi.yaml}
if [ -n "${CI_APP:-}" ] && [ -f "$document" ]; then
  if command -v schemathesis >/dev/null; then
    check api python3 "$STAGES/against_openapi.py" "$document" "${CI_API_EXAMPLES:-25}"
  else
    missing api schemathesis
  fi
else
  skip api "needs CI_APP (a command that serves on \$CI_APP_PORT) and $document"
fi

# Advice. A model that is away, or finds fault, never decides whether a change may go in.
if [ -n "${LITELLM_URL:-}" ]; then
  said=$(python3 "$STAGES/review.py" 2>&1) && verdict=pass || verdict=warn
  note review "${CI_REVIEW_MODEL:-no model}" "$verdict" 0 "$(tail -n 1 <<<"$said" | cut -c 1-110)"
else
  skip review "LITELLM_URL is not set; advice is optional"
fi
stage_end
