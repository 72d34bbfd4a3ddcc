"""compose/README.md and the table of findings are what compose/readme.py makes of the tree."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from compose_lint import REPO, ours, stacks

TOOL = REPO / "compose" / "readme.py"


def load_tool(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"readme_{abs(hash(path))}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the tool reads."""

    def foreign(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "src" or not ours(Path(folder) / name / "x")]

    for name in ("compose", "alerts", "dashboards"):
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, tmp_path / name, ignore=foreign)
    return tmp_path


def call(run: Callable[..., Any], tree: Path, *arguments: str, code: int = 0) -> Any:
    return run([sys.executable, tree / "compose" / "readme.py", *arguments], code=code, cwd=tree)


def test_the_committed_files_are_current(run: Callable[..., Any]) -> None:
    run([sys.executable, TOOL, "--check"])


def test_it_says_so_when_they_are_not(run: Callable[..., Any], tree: Path) -> None:
    call(run, tree)
    call(run, tree, "--check")
    file = tree / "compose" / "catalogue" / "systems" / "13-git-hosting.yaml"
    file.write_text(file.read_text().replace("codename: Code Citadel", "codename: Code Castle"))
    done = call(run, tree, "--check", code=1)
    assert "compose/README.md is not current" in done.stderr
    assert "Code Castle" in done.stdout
    assert "Code Castle" not in (tree / "compose" / "README.md").read_text(), "--check writes nothing"
    call(run, tree)
    call(run, tree, "--check")


def test_all_systems_have_a_row() -> None:
    text = (REPO / "compose" / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \|", text, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, 38))
    for folder in stacks():
        assert f"### {folder.name}\n" in text, f"{folder.name} is not in compose/stacks.tsv, or has no section"


def test_it_works_without_stacks_alerts_and_dashboards(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "compose").mkdir()
    shutil.copy(TOOL, tmp_path / "compose")
    shutil.copytree(REPO / "compose" / "catalogue", tmp_path / "compose" / "catalogue", ignore=shutil.ignore_patterns("src"))
    call(run, tmp_path)
    text = (tmp_path / "compose" / "README.md").read_text()
    assert len(re.findall(r"^\| \d+ \|", text, re.MULTILINE)) == 37


def test_alerts_dashboards_routes_and_checks_are_counted(run: Callable[..., Any], tmp_path: Path) -> None:
    test_it_works_without_stacks_alerts_and_dashboards(run, tmp_path)
    for name, text in {
        "alerts/prometheus/git.yml": "groups: [{name: git, rules: [{alert: A, expr: 'up{job=\"gitea\"} == 0', labels: {severity: warning}},"
        " {alert: B, expr: x, labels: {component: gitea}}, {alert: C, expr: x, labels: {system: '13'}}, {record: r, expr: x},"
        " {alert: D, expr: up == 0}, {alert: E, expr: x, labels: {component: loki}}]}]",
        "alerts/prometheus/tests/git.test.yml": "groups: [{name: t, rules: [{alert: T, expr: x, labels: {component: gitea}}]}]",
        "dashboards/grafana/gitea.json": '{"uid": "omni-gitea", "panels": []}',
        "dashboards/grafana/sla.json": '{"uid": "omni-sla", "panels": []}',
        "compose/proxy/config/Caddyfile": "reverse_proxy omni-gitea:3000\n",
        "compose/uptime/desired.json": '{"monitors": [{"component": "gitea"}, {"component": "gitea"}, {"key": "component:loki"}]}',
        "compose/stacks.tsv": "stack\tsystem\tfolder\tneeds\tdescription\nforge\t13\tcompose/forge\t-\tx\ngone\t35\tcompose/gone\t-\tx\n",
        "compose/forge/docker-compose.yml": "services: {}\n",
        "compose/forge/verified.yaml": "- {what: it starts, how: real, test: tests/platform/test_forge.py::test_it}\n- {what: it stays, how: documentation, test: null}\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    call(run, tmp_path)
    text = (tmp_path / "compose" / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| 13 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[5:] == ["3", "[gitea](../dashboards/grafana/gitea.json)", "gitea", "gitea", "2", "[forge](forge/)"]
    assert "[sla](../dashboards/grafana/sla.json)" in text
    assert "5 alert rules, 4 of them about one system." in text
    assert "- it starts (`test_forge.py::test_it`)" in text and "- it stays\n" in text
    assert "gone" not in text


def test_a_broken_input_is_named(run: Callable[..., Any], tmp_path: Path) -> None:
    test_it_works_without_stacks_alerts_and_dashboards(run, tmp_path)
    (tmp_path / "alerts" / "prometheus").mkdir(parents=True)
    (tmp_path / "alerts" / "prometheus" / "x.yml").write_text("groups: [")
    assert "alerts/prometheus/x.yml: cannot be read" in call(run, tmp_path, code=1).stderr
    (tmp_path / "alerts" / "prometheus" / "x.yml").unlink()
    readme = tmp_path / "compose" / "catalogue" / "README.md"
    readme.write_text(readme.read_text().replace("<!-- end of findings -->", ""))
    assert "the marks around the table of findings are gone" in call(run, tmp_path, code=1).stderr


def test_what_says_as_another_joins_its_row() -> None:
    text = load_tool(TOOL).findings()
    assert re.search(r"^\| `n8n`, `n8n-worker`, `n8n-runner`, `n8n-worker-runner` \| source-available \|", text, re.MULTILINE)
    assert "| As " not in text
