#!/usr/bin/env bash
# What the containers mount and only a program can give: the registry's login and Gitea's registration token for the runner.
# deploy/setup.sh runs it before it starts them; a second run finds both there.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/init.sh" --files
