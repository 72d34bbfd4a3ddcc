"""Mutation test: small faults are put into the sources one at a time, and the tests have to notice.

Reads CI_MUTATION_PATHS or CI_PYTHON_SOURCES, CI_MUTATION_MIN (percent), CI_MUTATION_MAX (mutants), CI_SEED (which ones, when there
are more), CI_MUTATION_TESTS (arguments of pytest). Writes CI_OUT/mutants.json. Works in a copy; the project stays untouched.

Only covered lines are mutated: what no test runs is a matter of coverage, and stage 3's.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIP = shutil.ignore_patterns(".git", ".venv", "venv", "node_modules", "out", "__pycache__", ".hypothesis", "dist")
SWAP = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def variants(node: ast.AST) -> list[tuple[str, object]]:
    """(what, new value) of each way to get this node wrong."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAP:
        return [("op", SWAP[type(node.op)]())]
    if isinstance(node, ast.BoolOp):
        return [("op", SWAP[type(node.op)]())]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAP:
        return [("ops", [SWAP[type(node.ops[0])]()])]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [("value", not node.value)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return [("value", node.value + 1)]
    if isinstance(node, ast.Return) and node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        return [("value", ast.Constant(None))]
    return []


def mutants(path: Path, lines: set[int]) -> list[tuple[int, str, str]]:
    """(line, what was changed, new source) of each mutant of a file."""
    tree = ast.parse(path.read_text())
    # What a condition at the end of a file guards, and annotations, are not behaviour under test.
    ignored = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" in ast.dump(node.test) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if value := getattr(node, field, None):
                ignored |= {id(inner) for inner in ast.walk(value)}
    found = []
    nodes = list(ast.walk(tree))
    for index, node in enumerate(nodes):
        if id(node) in ignored or getattr(node, "lineno", 0) not in lines:
            continue
        for name, value in variants(node):
            changed = copy.deepcopy(tree)
            twin = list(ast.walk(changed))[index]
            before = ast.unparse(twin)
            setattr(twin, name, value)
            found.append((node.lineno, f"{before}  ->  {ast.unparse(ast.fix_missing_locations(twin))}", ast.unparse(ast.fix_missing_locations(changed))))
    return found


def pytest(folder: Path, *arguments: str, timeout: float = 300) -> int:
    """Exit code of the tests in a folder; a mutant that never ends is noticed too."""
    command = ["pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments, *os.environ.get("CI_MUTATION_TESTS", "").split()]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=timeout, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}).returncode
    except subprocess.TimeoutExpired:
        return 124


def main() -> int:
    least, most = int(os.environ.get("CI_MUTATION_MIN", "70")), int(os.environ.get("CI_MUTATION_MAX", "60"))
    roots = (os.environ.get("CI_MUTATION_PATHS") or os.environ.get("CI_PYTHON_SOURCES") or "src app").split()
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place) / "project"
        shutil.copytree(Path(), copied, ignore=SKIP, symlinks=True)
        report = Path(place) / "coverage.json"
        arguments = [f"--cov={root}" for root in roots if (copied / root).is_dir()]
        if pytest(copied, *arguments, f"--cov-report=json:{report}") != 0:
            print("the tests fail without any mutant; stage 3 says why")
            return 1
        covered = {name: set(entry["executed_lines"]) for name, entry in json.loads(report.read_text())["files"].items()}
        all_of_them = []
        for root in roots:
            for path in sorted((copied / root).rglob("*.py")):
                name = str(path.relative_to(copied))
                all_of_them += [(path, name, *mutant) for mutant in mutants(path, covered.get(name, set()))]
        if not all_of_them:
            print("there is nothing to mutate in covered lines")
            return 1
        chosen = random.Random(int(os.environ.get("CI_SEED", "1"))).sample(all_of_them, min(most, len(all_of_them)))
        survivors = []
        for path, name, line, change, source in chosen:
            original = path.read_text()
            path.write_text(source)
            if pytest(copied, timeout=60) == 0:
                survivors.append({"file": name, "line": line, "change": change})
            path.write_text(original)
    noticed = len(chosen) - len(survivors)
    share = 100 * noticed // len(chosen)
    Path(os.environ["CI_OUT"], "mutants.json").write_text(json.dumps({"all": len(all_of_them), "tried": len(chosen), "noticed": noticed, "survivors": survivors}, indent=2))
    for one in survivors:
        print(f"{one['file']}:{one['line']}: no test notices  {one['change']}")
    print(f"{noticed} of {len(chosen)} mutants noticed, {share} %; {least} % is the least")
    return 0 if share >= least else 1


if __name__ == "__main__":
    sys.exit(main())
