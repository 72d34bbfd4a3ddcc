#!/usr/bin/env bash
# `make down`: stops what `make up` started, agent first, and the Docker engine when it is ours.

# shellcheck source=deploy/mesh.sh
. "$(dirname "${BASH_SOURCE[0]}")/mesh.sh"

# Long enough for a leader to hand over and for the log to be closed.
GRACE_SECONDS=15

main() {
  local name
  if [ ! -d "$STATE" ]; then
    note "nothing to stop: there is no $STATE"
    return
  fi
  step "stopping omni"
  stop_running agent "$GRACE_SECONDS"
  # The other two first: a last controller without peers has nobody to hand over to.
  for name in c3 c2 c1; do stop_running "$name" "$GRACE_SECONDS"; done
  "$REPO/deploy/docker-engine.sh" stop
  cat <<TEXT

omni is stopped; \`make up\` resumes the same cluster.
To erase it, its data and its tokens for good:

  rm -rf '$STATE'
TEXT
}

main
