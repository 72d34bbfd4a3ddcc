#!/usr/bin/env bash
# Tells people what the stages said: one message to Mattermost, and a notification through Omi when something failed.
#
#   CI_OUT               reports (default .omni-ci/out)
#   MATTERMOST_WEBHOOK   incoming webhook; empty: not told          MATTERMOST_CHANNEL  default: the webhook's own
#   OMI_URL              https://api.omi.me or your own backend; empty: not told
#   OMI_APP, OMI_USER, OMI_KEY   app id, user id, key. Omi takes ten an hour, so only failures are sent.
#   CI_URL               link to the run
# A pipeline is not red because nobody could be told: what went wrong is printed, and the exit code stays 0.
# What is no secret may stand in .omni-ci/settings.env of the project, in whose folder this runs.
# Exit: 0; 2 for wrong use, 3 when the settings cannot be read.
set -euo pipefail
[ $# -eq 0 ] || { printf 'usage: %s\n' "$0" >&2; exit 2; }
# shellcheck source=compose/ci/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_settings "$PWD" notify
out=${CI_OUT:-.omni-ci/out}
shopt -s nullglob
reports=("$out"/[0-9][0-9]-*.json)
if [ ${#reports[@]} -eq 0 ]; then
  echo "notify: no reports in $out, nothing to tell"
  exit 0
fi
repository=${GITHUB_REPOSITORY:-${CI_REPO:-$(basename "$PWD")}}
commit=$(jq -rs 'map(.commit // "") | map(select(. != "")) | (first // "unknown") | .[0:10]' "${reports[@]}")
verdict=$(jq -rs 'map(.verdict) | if any(. == "fail") then "fail" elif any(. == "unjudged") then "unjudged" else "pass" end' "${reports[@]}")
lines=$(jq -rs 'sort_by(.number) | map("| \(.number) \(.stage) | \(.verdict) | " + ([.checks[] | select(.verdict == "fail" or .verdict == "unjudged") | .name] | join(", ")) + " |") | join("\n")' "${reports[@]}")
case $verdict in pass) color='#2e7d32' ;; fail) color='#c62828' ;; *) color='#f9a825' ;; esac

if [ -n "${MATTERMOST_WEBHOOK:-}" ]; then
  jq -n --arg channel "${MATTERMOST_CHANNEL:-}" --arg title "$repository at $commit: $verdict" --arg link "${CI_URL:-}" --arg color "$color" \
    --arg text "$(printf '| stage | verdict | what |\n| --- | --- | --- |\n%s' "$lines")" \
    '{attachments: [{fallback: $title, color: $color, title: $title, text: $text} + (if $link == "" then {} else {title_link: $link} end)]}
      + (if $channel == "" then {} else {channel: $channel} end)' >"$out/message.json"
  answer=$(curl -sS --max-time 15 --retry 3 -H 'Content-Type: application/json' --data-binary "@$out/message.json" "$MATTERMOST_WEBHOOK" 2>&1) || true
  if [ "$answer" = ok ]; then echo "notify: Mattermost was told"; else echo "notify: Mattermost did not take it: ${answer:0:200}"; fi
else
  echo "notify: MATTERMOST_WEBHOOK is not set"
fi

if [ "$verdict" = fail ] && [ -n "${OMI_URL:-}" ]; then
  if [ -z "${OMI_APP:-}" ] || [ -z "${OMI_USER:-}" ] || [ -z "${OMI_KEY:-}" ]; then
    echo "notify: OMI_APP, OMI_USER and OMI_KEY are needed for Omi"
    exit 0
  fi
  query=$(jq -rn --arg uid "$OMI_USER" --arg message "$repository: the pipeline failed at $commit" '"uid=\($uid | @uri)&message=\($message | @uri)"')
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$OMI_KEY" |
    curl -sS --max-time 15 --config - -o /dev/null -w '%{http_code}' -X POST -H 'Content-Length: 0' \
      "${OMI_URL%/}/v2/integrations/$OMI_APP/notification?$query") || true
  if [ "$status" = 200 ]; then echo "notify: Omi was told"; else echo "notify: Omi answered ${status:-nothing}"; fi
fi
