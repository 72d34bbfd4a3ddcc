"""Secrets in the tree, by detect-secrets; for machines without gitleaks. .omni-ci/allowed.json is its baseline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    if not shutil.which("detect-secrets"):
        print("neither gitleaks nor detect-secrets is installed")
        return 1
    done = subprocess.run(["detect-secrets", "scan", "--all-files", "--exclude-files", r"(^|/)(\.git|\.venv|node_modules|\.omni-ci/out|\.[a-z]+_cache)/|(^|/)\.omni-ci/spec\.lock\.json$"], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr)
        return 1
    found = json.loads(done.stdout)["results"]
    baseline = Path(".omni-ci/allowed.json")
    allowed = {(file, one["hashed_secret"]) for file, entries in json.loads(baseline.read_text())["results"].items() for one in entries} if baseline.is_file() else set()
    faults = [f"{file}:{one['line_number']}: {one['type']}" for file, entries in found.items() for one in entries if (file, one["hashed_secret"]) not in allowed]
    Path(os.environ["CI_OUT"], "secrets.json").write_text(json.dumps(faults, indent=2))
    print("\n".join(faults) if faults else "no secrets found")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
