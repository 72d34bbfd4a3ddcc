#!/usr/bin/env bash
# Stage 6, security hardening: no secret, no known hole, no pattern that we know to be one.
#
# In:   CI_AUDIT           on (default) asks the registries for known holes in dependencies; off where none can be reached
#       CI_TRIVY           on (default) scans files and configuration; off leaves it to pip-audit, npm audit, cargo-deny
#       CI_SEMGREP_RULES   further rules, beside the ones that come with the pipeline (default none)
#       .omni-ci/allowed.json   detect-secrets' baseline, where gitleaks is not installed; gitleaks reads .gitleaks.toml
# Out:  06-security-hardening.json, semgrep.json, bandit.json, secrets.json
#
# Trivy's own release was poisoned in March 2026 and carried malicious packages into others. It is pinned by digest in the CI
# image, brings its database from your mirror (TRIVY_DB_REPOSITORY), and gets no token of any registry.
STAGE_OPTIONS=''
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 06 security-hardening "$@"

if command -v gitleaks >/dev/null; then
  check secrets gitleaks dir . --redact --no-banner --report-format json --report-path "$CI_OUT/secrets.json"
else
  check secrets python3 "$STAGES/secrets_of.py"
fi

export SEMGREP_ENABLE_VERSION_CHECK=0 SEMGREP_SEND_METRICS=off
rules=(--config "$STAGES/../rules/semgrep.yml")
for more in ${CI_SEMGREP_RULES:-}; do rules+=(--config "$more"); done
check semgrep semgrep scan --metrics off --disable-version-check --quiet --error --exclude .omni-ci --exclude .venv --exclude node_modules \
  "${rules[@]}" --json-output="$CI_OUT/semgrep.json" --text .

if has_python; then
  mapfile -t folders < <(python_sources)
  # The report is read by people and by the artefact store; the second run's output is what the log shows.
  bandit -q -r "${folders[@]:-.}" -f json -o "$CI_OUT/bandit.json" >/dev/null 2>&1 || true
  check bandit bandit -q -r "${folders[@]:-.}" --severity-level medium
fi
if [ "${CI_AUDIT:-on}" = on ]; then
  if has_python; then
    if [ -f requirements.txt ]; then check audit-python pip-audit -r requirements.txt --progress-spinner off; else check audit-python pip-audit --progress-spinner off .; fi
  fi
  if has_node; then check audit-node npm audit --audit-level=high; fi
  if has_rust; then check audit-rust cargo deny --locked check advisories bans sources; fi
  if has_go; then check audit-go govulncheck ./...; fi
else
  skip audit "CI_AUDIT=off: dependencies were not compared with known holes"
fi
if [ "${CI_TRIVY:-on}" = on ]; then
  check trivy trivy filesystem --scanners vuln,misconfig --severity HIGH,CRITICAL --exit-code 1 --no-progress --skip-dirs .omni-ci .
else
  skip trivy "CI_TRIVY=off"
fi
if [ -f Dockerfile ]; then check container python3 "$STAGES/container.py" Dockerfile; else skip container "no Dockerfile"; fi
stage_end
