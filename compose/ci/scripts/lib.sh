# shellcheck shell=bash
# The project's settings, for the stages and for keep.sh and notify.sh: .omni-ci/settings.env, lines NAME=value, never secrets.

# read_settings PROJECT WHO: exports what the file says and the environment does not; ends with 3 on a line that is wrong.
read_settings() {
  local file=$1/.omni-ci/settings.env text name value line=0
  [ -f "$file" ] || return 0
  while IFS= read -r text || [ -n "$text" ]; do
    line=$((line + 1))
    case $text in '' | '#'*) continue ;; esac
    name=${text%%=*} value=${text#*=}
    # The line itself is not printed: it may be a secret in the wrong place.
    if [[ ! $text =~ ^(CI|ARTIFACTS|MATTERMOST|OMI|LITELLM|OMNI)_[A-Z0-9_]+= ]]; then
      printf '%s: %s line %s: not NAME=value with a name that begins with CI_, ARTIFACTS_, MATTERMOST_, OMI_, LITELLM_ or OMNI_\n' "$2" "$file" "$line" >&2
      exit 3
    fi
    if [[ $name =~ _(KEY|SECRET|TOKEN|PASSWORD|WEBHOOK)$ ]]; then
      printf '%s: %s line %s: %s is a secret; it belongs into the secrets of Gitea or Woodpecker, not into the repository\n' "$2" "$file" "$line" "$name" >&2
      exit 3
    fi
    # An empty value in the environment is what a pipeline passes on when nobody has set it.
    [ -n "${!name:-}" ] || export "$name=$value"
  done <"$file"
}
