#!/usr/bin/env bash
# Keeps the reports of a run in object storage: every file of CI_OUT goes to BUCKET/PREFIX/…, signed for S3.
#
#   CI_OUT              reports (default .omni-ci/out)
#   ARTIFACTS_URL       endpoint of the object storage, https://s3.example.org; empty: nothing is kept, and that is said
#   ARTIFACTS_BUCKET    default ci-artifacts        ARTIFACTS_REGION  default us-east-1
#   ARTIFACTS_KEY, ARTIFACTS_SECRET                 access key
#   ARTIFACTS_PREFIX    default REPOSITORY/COMMIT, as Gitea Actions or Woodpecker name them
# What is no secret may stand in .omni-ci/settings.env of the project, in whose folder this runs.
# Exit: 0 kept, or nothing to keep; 1 a file was not taken; 2 wrong use; 3 the settings cannot be read.
set -euo pipefail
[ $# -eq 0 ] || { printf 'usage: %s\n' "$0" >&2; exit 2; }
# shellcheck source=compose/ci/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_settings "$PWD" keep
fail() { printf 'keep: %s\n' "$*" >&2; exit 1; }

out=${CI_OUT:-.omni-ci/out}
if [ -z "${ARTIFACTS_URL:-}" ]; then
  echo "keep: ARTIFACTS_URL is not set; the reports stay in $out"
  exit 0
fi
if [ ! -d "$out" ]; then
  echo "keep: there is no $out, so no stage has run"
  exit 0
fi
[ -n "${ARTIFACTS_KEY:-}" ] || fail "ARTIFACTS_KEY and ARTIFACTS_SECRET are needed; pull requests do not get them"
[ -n "${ARTIFACTS_SECRET:-}" ] || fail "ARTIFACTS_SECRET is needed beside ARTIFACTS_KEY"
repository=${GITHUB_REPOSITORY:-${CI_REPO:-unknown}}
commit=${GITHUB_SHA:-${CI_COMMIT_SHA:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}}
prefix=${ARTIFACTS_PREFIX:-$repository/$commit}

kept=0
while IFS= read -r -d '' file; do
  target=${ARTIFACTS_URL%/}/${ARTIFACTS_BUCKET:-ci-artifacts}/$prefix/${file#"$out"/}
  # The key goes in by standard input: arguments can be read by every process of the machine.
  printf 'user = "%s:%s"\n' "$ARTIFACTS_KEY" "$ARTIFACTS_SECRET" |
    curl -fsS --max-time 60 --retry 3 --config - --aws-sigv4 "aws:amz:${ARTIFACTS_REGION:-us-east-1}:s3" \
      --upload-file "$file" -o /dev/null "$target" || fail "$target was not taken"
  kept=$((kept + 1))
done < <(find "$out" -type f -print0 | sort -z)
echo "keep: $kept files under ${ARTIFACTS_BUCKET:-ci-artifacts}/$prefix"
