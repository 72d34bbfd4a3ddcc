"""The lock on a specification: hashes, version, approval, and whether a change breaks those who rely on it.

    speclock.py files | version | compatibility      checks; end with 1 and the reason
    speclock.py update VERSION APPROVER              writes .omni-ci/spec.lock.json

Reads CI_SPEC_FILES (globs) and CI_BASE (the commit that was agreed on, empty for a first import).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(".omni-ci/spec.lock.json")
APPROVERS = Path(".omni-ci/approvers")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def fail(message: str, code: int = 1) -> None:
    print(message)
    sys.exit(code)


def spec_files() -> list[Path]:
    found = {path for pattern in os.environ["CI_SPEC_FILES"].split() for path in Path().glob(pattern) if path.is_file()}
    return sorted(found)


def hashes() -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in spec_files()}


def lock() -> dict[str, Any]:
    if not LOCK.is_file():
        fail(f"there is no {LOCK}: agree on the specification, then run 01-spec-lock.sh --update 1.0.0 NAME")
    try:
        found = json.loads(LOCK.read_text())
        parse(found["version"])
        return {"version": found["version"], "approved_by": found["approved_by"], "files": dict(found["files"])}
    except (ValueError, KeyError, TypeError) as error:
        fail(f"{LOCK} cannot be read ({error}); write it with 01-spec-lock.sh --update")
        raise AssertionError from error


def parse(version: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", str(version))
    if not match:
        raise ValueError(f"{version!r} is not a version like 1.4.0")
    return int(match[1]), int(match[2]), int(match[3])


def at_base(path: Path | str) -> str | None:
    base = os.environ.get("CI_BASE")
    if not base:
        return None
    done = subprocess.run(["git", "show", f"{base}:{path}"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def files() -> None:
    locked, now = lock()["files"], hashes()
    if not now:
        fail(f"no specification found under {os.environ['CI_SPEC_FILES']}: set CI_SPEC_FILES in .omni-ci/settings.env", 3)
    faults = [f"{path} changed since it was agreed" for path in now if path in locked and locked[path] != now[path]]
    faults += [f"{path} is new and was not agreed" for path in now if path not in locked]
    faults += [f"{path} was agreed and is gone" for path in locked if path not in now]
    if faults:
        fail("\n".join([*faults, "if the change was agreed: 01-spec-lock.sh --update VERSION APPROVER"]))
    print(f"{len(now)} files as agreed in version {lock()['version']}")


def version() -> None:
    now, before = lock(), at_base(LOCK)
    names = at_base(APPROVERS)
    approvers = (names if names is not None else APPROVERS.read_text() if APPROVERS.is_file() else "").split("\n")
    known = {name.strip() for name in approvers if name.strip() and not name.startswith("#")}
    for path in spec_files():
        document = openapi(path.read_text(), path)
        if document and str(document.get("info", {}).get("version")) != now["version"]:
            fail(f"{path}: info.version is {document.get('info', {}).get('version')}, the lock says {now['version']}")
    if before is None:
        if now["approved_by"] not in known:
            fail(f"approved by {now['approved_by']}, who is not in {APPROVERS}")
        print(f"version {now['version']}, first one, approved by {now['approved_by']}")
        return
    old = json.loads(before)
    if old["files"] == now["files"] and old["version"] == now["version"]:
        print(f"version {now['version']}, unchanged")
        return
    if parse(now["version"]) <= parse(old["version"]):
        fail(f"the specification changed and its version did not rise: {old['version']} -> {now['version']}")
    # Whoever changes the specification must not be able to add himself: the list is that of the base branch.
    if now["approved_by"] not in known:
        fail(f"approved by {now['approved_by']}, who is not in {APPROVERS} of the base branch")
    print(f"version {old['version']} -> {now['version']}, approved by {now['approved_by']}")


def openapi(text: str, path: Path) -> dict[str, Any] | None:
    """The document, if this is OpenAPI."""
    if path.suffix not in (".yaml", ".yml", ".json") or "openapi" not in text:
        return None
    if path.suffix == ".json":
        found = json.loads(text)
    else:
        try:
            import yaml
        except ImportError:
            fail(f"{path} is YAML and this Python has no PyYAML: pip install PyYAML", 3)
        found = yaml.safe_load(text)
    return found if isinstance(found, dict) and "openapi" in found else None


def operations(document: dict[str, Any]) -> dict[str, set[str]]:
    """What callers rely on: each operation with the statuses it may answer."""
    return {
        f"{method.upper()} {path}": set(map(str, operation.get("responses", {})))
        for path, item in document.get("paths", {}).items() for method, operation in item.items() if method in METHODS
    }  # fmt: skip


def required(document: dict[str, Any]) -> set[str]:
    """Parameters and body fields that a caller has to send."""
    found = set()
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            for parameter in [*item.get("parameters", []), *operation.get("parameters", [])]:
                if parameter.get("required") and parameter.get("in") != "path":
                    found.add(f"{method.upper()} {path}: {parameter.get('in')} {parameter.get('name')}")
            for media in (operation.get("requestBody") or {}).get("content", {}).values():
                found |= {f"{method.upper()} {path}: field {name}" for name in (media.get("schema") or {}).get("required", [])}
    return found


def compatibility() -> None:
    before = at_base(LOCK)
    if before is None:
        print("first version; nobody relies on an older one")
        return
    major = parse(lock()["version"])[0] > parse(json.loads(before)["version"])[0]
    faults = []
    for path in json.loads(before)["files"]:
        text = at_base(path)
        old = openapi(text, Path(path)) if text is not None else None
        if old is None:
            continue
        new = openapi(Path(path).read_text(), Path(path)) if Path(path).is_file() else None
        was, now = operations(old), operations(new or {})
        faults += [f"{path}: {name} is gone" for name in was if name not in now]
        faults += [f"{path}: {name} no longer answers {status}" for name in was for status in sorted(was[name] - now.get(name, was[name])) if status.startswith("2")]
        faults += [f"{path}: {name} is now required" for name in sorted(required(new or {}) - required(old)) if name.split(":")[0] in was]
    if faults and not major:
        fail("\n".join([*faults, "that breaks callers: it needs a higher major version"]))
    print("breaks callers, with a higher major version" if faults else "nothing that callers rely on was taken away")


def update(version_: str, approver: str) -> None:
    try:
        parse(version_)
    except ValueError as error:
        fail(str(error), 2)
    if not spec_files():
        fail(f"no specification found under {os.environ['CI_SPEC_FILES']}", 3)
    LOCK.parent.mkdir(exist_ok=True)
    LOCK.write_text(json.dumps({"version": version_, "approved_by": approver, "files": hashes()}, indent=2) + "\n")
    print(f"{LOCK}: version {version_}, {len(spec_files())} files, approved by {approver}")


if __name__ == "__main__":
    {"files": files, "version": version, "compatibility": compatibility, "update": update}[sys.argv[1]](*sys.argv[2:])
