"""Whether what was specified is there: acceptance criteria in the tests, operations in the sources.

A criterion is a line of a Markdown specification with an id such as AC-7. An operation is named in the sources by its
operationId, as it is or with underscores.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from speclock import METHODS, openapi, spec_files

CODE = {".py", ".js", ".ts", ".tsx", ".jsx", ".mjs", ".rs", ".go", ".java", ".kt", ".feature"}
SKIP = {".git", ".venv", "venv", "node_modules", "target", "dist", "build", ".omni-ci", "__pycache__", "mutants"}


def sources() -> tuple[str, str]:
    """(text of tests, text of everything else)."""
    tests, rest = [], []
    for path in sorted(Path().rglob("*")):
        if path.suffix in CODE and not SKIP & set(path.parts) and path.is_file():
            is_test = any(part in ("tests", "test", "__tests__", "e2e") for part in path.parts[:-1]) or re.search(r"(^|[._-])(test|spec)([._-]|$)", path.stem)
            (tests if is_test else rest).append(path.read_text(errors="replace"))
    return "\n".join(tests), "\n".join(rest)


def main() -> int:
    tests, code = sources()
    criteria, operations, faults = 0, 0, []
    for path in spec_files():
        text = path.read_text()
        if path.suffix == ".md":
            for name in sorted(set(re.findall(r"\bAC-\d+\b", text)), key=lambda one: int(one[3:])):
                criteria += 1
                if not re.search(rf"\b{name.replace('-', '[-_]')}(?!\d)", tests, re.IGNORECASE) and not re.search(rf"(?<![a-z]){name.lower().replace('-', '_?')}(?!\d)", tests.lower()):
                    faults.append(f"{path}: {name} is named by no test")
        document = openapi(text, path)
        for route, item in (document or {}).get("paths", {}).items():
            for method, operation in item.items():
                if method not in METHODS:
                    continue
                operations += 1
                name = operation.get("operationId")
                if not name:
                    faults.append(f"{path}: {method.upper()} {route} has no operationId")
                elif not re.search(rf"\b{re.escape(name)}\b", code) and not re.search(rf"\b{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}\b", code):
                    faults.append(f"{path}: operation {name} ({method.upper()} {route}) is nowhere in the sources")
    if faults:
        print("\n".join(faults))
        return 1
    if not criteria and not operations and os.environ.get("CI_COVERED", "on") != "off":
        print("the specification has neither acceptance criteria (AC-1 …) nor operations; set CI_COVERED=off if that is meant")
        return 1
    print(f"{criteria} acceptance criteria in the tests, {operations} operations in the sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())
