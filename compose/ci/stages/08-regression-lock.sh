#!/usr/bin/env bash
# Stage 8, regression lock: what works stays working, and is not a matter of luck.
#
# In:   .omni-ci/golden.tsv   name<TAB>command: what it prints is compared with .omni-ci/golden/NAME
#       CI_FLAKY_RUNS         how often the tests run, in another order each time (default 3)
#       .omni-ci/baseline.json   coverage that was reached; less is a failure (needs stage 3's coverage.json in CI_OUT)
#       CI_COVERAGE_SLACK     percentage points that coverage may fall (default 0.5)
#       promptfooconfig.yaml  evaluations of prompts and models; CI_EVAL_MIN least share that passes, in percent (default 90)
# Out:  08-regression-lock.json, flaky.json, eval.json
#
#   08-regression-lock.sh --update   takes today's results as the golden ones; review the diff as you would code
STAGE_OPTIONS='[--update]'
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 08 regression-lock "$@"
if [ "${STAGE_ARGS[0]:-}" = --update ]; then exec python3 "$STAGES/regression.py" update; fi
[ ${#STAGE_ARGS[@]} = 0 ] || usage_of_stage

if [ -f .omni-ci/golden.tsv ]; then check golden python3 "$STAGES/regression.py" golden; else note golden - unjudged 0 "no .omni-ci/golden.tsv: name commands whose output must not change, then --update"; fi
if has_python; then check flaky python3 "$STAGES/regression.py" flaky; fi
if [ -f "$CI_OUT/coverage.json" ] && [ -f .omni-ci/baseline.json ]; then check coverage python3 "$STAGES/regression.py" coverage; else skip coverage "needs stage 3's coverage.json and .omni-ci/baseline.json"; fi
if [ -f promptfooconfig.yaml ]; then
  export PROMPTFOO_DISABLE_TELEMETRY=1 PROMPTFOO_DISABLE_UPDATE=1
  if command -v promptfoo >/dev/null; then
    promptfoo eval --config promptfooconfig.yaml --no-cache --output "$CI_OUT/eval.json" >"$CI_OUT/logs/08-eval-run.log" 2>&1 </dev/null || true
    check eval python3 "$STAGES/regression.py" eval
  else
    missing eval promptfoo
  fi
else
  skip eval "no promptfooconfig.yaml"
fi
stage_end
