#!/usr/bin/env python3
"""Fills in what an alert looks like when it fires, from promtool's own answer.

promtool compares every label and annotation of an alert, so each case that fires has to spell them all out. Write the
case with `exp_alerts: [{}]`, run this, and read the diff: what it wrote is what people will get to read.
Cases that stay silent are never touched; a wrong one stays red. Usage: record.py FILE.test.yml …; needs PyYAML, promtool.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

GOT = re.compile(r"alertname: (?P<alert>\S+), time: (?P<time>\S+),")
FIELD = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


def seconds(text: str) -> float:
    """Prometheus' way to write a time span, in seconds."""
    return sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(text))


def fields(text: str) -> dict[str, str]:
    """{a="b", c="d"} as Go prints it."""
    return {name: yaml.safe_load(f'"{value}"') for name, value in FIELD.findall(text)}


def quote(text: str) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def flow(mapping: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {quote(value)}" for key, value in mapping.items()) + "}"


def render(head: str, document: dict) -> str:
    """The house's form of a test file: one case after the other, nothing hidden."""
    out = [head]
    out.append("rule_files: [" + ", ".join(document["rule_files"]) + "]\n")
    out.append(f"evaluation_interval: {document['evaluation_interval']}\n")
    # Groups are evaluated in no certain order, so those that record come first, or a case fails now and then.
    if document.get("group_eval_order"):
        out.append("group_eval_order: [" + ", ".join(document["group_eval_order"]) + "]\n")
    out.append("tests:\n")
    for case in document["tests"]:
        out.append(f"\n  - name: {quote(case['name'])}\n    interval: {case['interval']}\n    input_series:")
        if not case.get("input_series"):
            out.append(" []\n")
        else:
            out.append("\n")
            for series in case["input_series"]:
                out.append(f"      - {{series: {quote(series['series'])}, values: {quote(series['values'])}}}\n")
        out.append("    alert_rule_test:\n")
        for test in case["alert_rule_test"]:
            out.append(f"      - eval_time: {test['eval_time']}\n        alertname: {test['alertname']}\n        exp_alerts:")
            if not test["exp_alerts"]:
                out.append(" []\n")
                continue
            out.append("\n")
            for alert in test["exp_alerts"]:
                out.append(f"          - exp_labels: {flow(alert.get('exp_labels', {}))}\n            exp_annotations:\n")
                for key in ("summary", "description", "runbook"):
                    out.append(f"              {key}: {quote(alert.get('exp_annotations', {}).get(key, ''))}\n")
    return "".join(out)


def answers(path: Path) -> list[tuple[str, str, list[dict]]]:
    """(alert, time, alerts that promtool got) of each mismatch, in the order of the file."""
    done = subprocess.run(["promtool", "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True)
    text = done.stdout + done.stderr
    found = []
    for block in re.split(r"(?=alertname: )", text)[1:]:
        head = GOT.match(block)
        if not head:
            continue
        got = block.split("got:[", 1)[1] if "got:[" in block else ""
        alerts = []
        for part in re.split(r"\n\s+\d+:\s*\n", got)[1:]:
            labels, annotations = part.split("Annotations:", 1)
            label_fields = fields(labels)
            label_fields.pop("alertname", None)
            alerts.append({"exp_labels": label_fields, "exp_annotations": fields(annotations)})
        found.append((head["alert"], head["time"], alerts))
    if done.returncode and not found:
        raise SystemExit(f"{path}: promtool said\n{text}")
    return found


def record(path: Path) -> None:
    text = path.read_text()
    head = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    document = yaml.safe_load(text)
    got = answers(path)
    for case in document["tests"]:
        for test in case["alert_rule_test"]:
            for index, (alert, time, alerts) in enumerate(got):
                if alert == test["alertname"] and seconds(time) == seconds(str(test["eval_time"])):
                    if test["exp_alerts"]:
                        if not alerts:
                            print(f"{path.name}: {case['name']}: promtool got no alert", file=sys.stderr)
                        else:
                            test["exp_alerts"] = alerts
                    else:
                        print(f"{path.name}: {case['name']}: it fires: {alerts}", file=sys.stderr)
                    del got[index]
                    break
    path.write_text(render(head, document))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for name in sys.argv[1:]:
        record(Path(name).resolve())
