"""Golden results, flaky tests, coverage that only grows, evaluations of prompts.

    regression.py golden | flaky | coverage | eval     checks; end with 1 and the reason
    regression.py update                               writes .omni-ci/golden/ and .omni-ci/baseline.json
"""

from __future__ import annotations

import difflib
import json
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

OUT = Path(os.environ.get("CI_OUT", ".omni-ci/out"))
TABLE, GOLDEN, BASELINE = Path(".omni-ci/golden.tsv"), Path(".omni-ci/golden"), Path(".omni-ci/baseline.json")
# What differs from run to run and means nothing.
NOISE = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|µs|seconds)\b"), "<duration>"),
]


def table() -> dict[str, str]:
    rows = {}
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, command = line.partition("\t")
        if not command or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            print(f"{TABLE}:{number}: not name<TAB>command: {line}")
            sys.exit(1)
        rows[name] = command
    return rows


def result(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    text = done.stdout + (f"exit {done.returncode}\n" if done.returncode else "")
    for pattern, word in NOISE:
        text = pattern.sub(word, text)
    return text


def golden() -> int:
    faults = []
    rows = table()
    for name, command in rows.items():
        file = GOLDEN / name
        if not file.is_file():
            faults.append(f"{name}: no golden result yet; look at it, then --update")
            continue
        was, now = file.read_text(), result(command)
        if was != now:
            faults += [f"{name}: `{command}` gives another result", *difflib.unified_diff(was.splitlines(), now.splitlines(), str(file), "now", lineterm="", n=1)]
    faults += [f"{path}: nothing in {TABLE} makes this any more" for path in sorted(GOLDEN.glob("*")) if path.name not in rows]
    print("\n".join(faults) if faults else f"{len(rows)} golden results unchanged")
    return 1 if faults else 0


def outcomes(order: list[str] | None, run: int) -> dict[str, str]:
    report = OUT / f"flaky-{run}.xml"
    command = ["pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *(order or [])]
    subprocess.run(command, capture_output=True, timeout=1800, env={**os.environ, "PYTHONHASHSEED": str(run)})
    if not report.is_file():
        return {}
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        found[f"{case.get('classname')}::{case.get('name')}"] = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    report.unlink()
    return found


def flaky() -> int:
    runs = max(2, int(os.environ.get("CI_FLAKY_RUNS", "3")))
    listed = subprocess.run(["pytest", "--collect-only", "-q", "-p", "no:cacheprovider"], capture_output=True, text=True, timeout=600).stdout
    tests = [line for line in listed.splitlines() if "::" in line]
    if not tests:
        print("pytest finds no tests")
        return 1
    seen: dict[str, list[str]] = {}
    for run in range(runs):
        order = list(tests)
        # The first run is the order of the files; the others are shuffled, so that one test cannot live off another.
        if run:
            random.Random(run).shuffle(order)
        for name, outcome in outcomes(order, run).items():
            seen.setdefault(name, []).append(outcome)
    unsure = {name: got for name, got in seen.items() if len(set(got)) > 1 or len(got) != runs}
    broken = [name for name, got in seen.items() if set(got) == {"failed"}]
    (OUT / "flaky.json").write_text(json.dumps({"runs": runs, "tests": len(seen), "flaky": unsure, "failed": broken}, indent=2))
    for name, got in unsure.items():
        print(f"{name}: {', '.join(got)}: it depends on chance, on time or on the order of tests")
    for name in broken:
        print(f"{name}: failed in every run")
    print(f"{len(seen)} tests, {runs} runs, {len(unsure)} flaky, {len(broken)} failing")
    return 1 if unsure or broken else 0


def covered() -> float:
    return round(float(json.loads((OUT / "coverage.json").read_text())["totals"]["percent_covered"]), 2)


def coverage() -> int:
    was, now = float(json.loads(BASELINE.read_text())["coverage"]), covered()
    slack = float(os.environ.get("CI_COVERAGE_SLACK", "0.5"))
    print(f"coverage {now} %, it was {was} %")
    return 1 if now < was - slack else 0


def evaluation() -> int:
    file = OUT / "eval.json"
    if not file.is_file():
        print("promptfoo wrote no result; see logs/08-eval-run.log")
        return 1
    stats = json.loads(file.read_text())["results"]["stats"]
    good, bad = int(stats["successes"]), int(stats["failures"]) + int(stats.get("errors", 0))
    least = float(os.environ.get("CI_EVAL_MIN", "90"))
    share = 100 * good / (good + bad) if good + bad else 0.0
    print(f"{good} of {good + bad} evaluations passed, {share:.0f} %; {least:.0f} % is the least")
    return 0 if good + bad and share >= least else 1


def update() -> int:
    rows = table() if TABLE.is_file() else {}
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for path in GOLDEN.glob("*"):
        if path.name not in rows:
            path.unlink()
    for name, command in rows.items():
        (GOLDEN / name).write_text(result(command))
    if (OUT / "coverage.json").is_file():
        BASELINE.write_text(json.dumps({"coverage": covered()}) + "\n")
    print(f"{len(rows)} golden results written" + (f", coverage {covered()} %" if (OUT / "coverage.json").is_file() else ""))
    return 0


if __name__ == "__main__":
    sys.exit({"golden": golden, "flaky": flaky, "coverage": coverage, "eval": evaluation, "update": update}[sys.argv[1]]())
