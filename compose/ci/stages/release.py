"""The version of a project, and the record of a release.

    release.py print                     the version
    release.py version                   fails unless package, changelog, specification and tag agree on it
    release.py record IMAGE DIGEST       writes release.json ("-" for none)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

OUT = Path(os.environ.get("CI_OUT", ".omni-ci/out"))


def versions() -> dict[str, str]:
    """Where a version stands, and which."""
    found = {}
    if Path("pyproject.toml").is_file():
        project = tomllib.loads(Path("pyproject.toml").read_text()).get("project", {})
        if "version" in project:
            found["pyproject.toml"] = project["version"]
    if Path("package.json").is_file():
        found["package.json"] = json.loads(Path("package.json").read_text()).get("version", "")
    if Path("Cargo.toml").is_file():
        cargo = tomllib.loads(Path("Cargo.toml").read_text())
        value = cargo.get("package", {}).get("version") or cargo.get("workspace", {}).get("package", {}).get("version")
        if isinstance(value, str):
            found["Cargo.toml"] = value
    return found


def version() -> str:
    found = versions()
    if not found:
        print("no version in pyproject.toml, package.json or Cargo.toml")
        sys.exit(1)
    return next(iter(found.values()))


def check() -> None:
    found = versions()
    wanted = version()
    changelog = next((path for path in map(Path, ("CHANGELOG.md", "CHANGES.md")) if path.is_file()), None)
    faults = [f"{where} says {value}, {next(iter(found))} says {wanted}" for where, value in found.items() if value != wanted]
    if changelog is None:
        faults.append("there is no CHANGELOG.md: whoever upgrades wants to know what changed")
    else:
        first = re.search(r"^##\s+\[?v?(\d+\.\d+\.\d+[^\]\s]*)", changelog.read_text(), re.MULTILINE)
        if not first or first[1] != wanted:
            faults.append(f"{changelog}: the newest entry is {first[1] if first else 'none'}, the version is {wanted}")
    if (tag := os.environ.get("CI_TAG", "").removeprefix("v")) and tag != wanted:
        faults.append(f"the tag is {os.environ['CI_TAG']}, the version is {wanted}")
    print("\n".join(faults) if faults else f"version {wanted}, the same in {', '.join([*found, str(changelog)])}")
    sys.exit(1 if faults else 0)


def record(image: str, digest: str) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

    built = {str(path.relative_to(OUT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted([*OUT.glob("dist/*"), OUT / "sbom.json"]) if path.is_file()}
    told = {
        "version": version(), "commit": git("rev-parse", "HEAD"), "tree_clean": git("status", "--porcelain", "--untracked-files=no") == "",
        "image": None if image == "-" else image, "digest": None if digest == "-" else digest, "sha256": built,
    }  # fmt: skip
    (OUT / "release.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"release.json: {len(built)} files" + (f", {image}" if image != "-" else ""))


if __name__ == "__main__":
    if sys.argv[1] == "print":
        print(version())
    elif sys.argv[1] == "version":
        check()
    else:
        record(*sys.argv[2:])
