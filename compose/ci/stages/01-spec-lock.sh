#!/usr/bin/env bash
# Stage 1, spec lock: what was agreed does not change in passing.
#
# In:   CI_SPEC_FILES      globs of the specification (default: openapi.* spec/** docs/acceptance*.md acceptance*.md)
#       .omni-ci/spec.lock.json, .omni-ci/approvers (one name a line)
#       CI_BASE_REF        the branch that was agreed on (default origin/main, then main); without one, first import is assumed
#       CI_SPEC_SIGNED     true: the commit that changed the lock must carry a good signature
# Out:  01-spec-lock.json
# Fails when a specification file differs from its hash, or the lock changed without a higher version, without an approver
# that the base branch knows, or (OpenAPI) took operations away without a higher major version.
#
#   01-spec-lock.sh --update VERSION APPROVER   writes the lock after a change that was agreed
STAGE_OPTIONS='[--update VERSION APPROVER]'
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 01 spec-lock "$@"
export CI_SPEC_FILES=${CI_SPEC_FILES:-openapi.yaml openapi.yml openapi.json spec/** docs/acceptance*.md acceptance*.md}

if [ "${STAGE_ARGS[0]:-}" = --update ]; then
  [ ${#STAGE_ARGS[@]} = 3 ] || usage_of_stage
  exec python3 "$STAGES/speclock.py" update "${STAGE_ARGS[1]}" "${STAGE_ARGS[2]}"
fi
[ ${#STAGE_ARGS[@]} = 0 ] || usage_of_stage
base=''
for candidate in ${CI_BASE_REF:-origin/main main}; do
  if git rev-parse -q --verify "$candidate^{commit}" >/dev/null 2>&1; then
    base=$(git merge-base HEAD "$candidate" 2>/dev/null || git rev-parse "$candidate")
    break
  fi
done
export CI_BASE=$base
check files python3 "$STAGES/speclock.py" files
check version python3 "$STAGES/speclock.py" version
check compatibility python3 "$STAGES/speclock.py" compatibility
if [ "${CI_SPEC_SIGNED:-false}" = true ]; then
  check signature git verify-commit "$(git log -1 --format=%H -- .omni-ci/spec.lock.json)"
else
  skip signature "CI_SPEC_SIGNED is not true"
fi
stage_end
