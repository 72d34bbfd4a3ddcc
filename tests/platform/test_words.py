"""Words that must not stand in the platform's files: places that exist on one machine only, and unfinished work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from compose_lint import REPO, ours

ROOTS = ("compose", "alerts", "dashboards", "deploy/platform", "deploy/setup.sh", "tests/platform")
# Written in two halves, so that this file does not find itself.
FORBIDDEN = {
    r"(?<![\w.-])/wo" + r"rk/(main|shared)\b": "a path of one machine",
    r"\b(pypi|pythonhosted)\." + r"(org|io)\b": "the host of a package registry",
    r"\b(registry\.)?npm" + r"js\.(org|com)\b": "the host of a package registry",
    r"\b(static\.|index\.)?crates\." + r"io\b": "the host of a package registry",
    r"\b(deb|security|ftp)\.deb" + r"ian\.org\b": "the host of a package registry",
    r"\bproxy\.go" + r"lang\.org\b": "the host of a package registry",
    r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b": "unfinished work",
    r"(?i)lorem ip" + r"sum": "filler",
    r"\bseed'?s? (document|file|gives|names|lists)\b": "where a list came from; say what the platform is",
}
PATTERNS = [(re.compile(pattern), why) for pattern, why in FORBIDDEN.items()]
# Places where such a word is right, with the reason.
ALLOWED: dict[tuple[str, str], str] = {}


def files() -> list[Path]:
    found = []
    for root in ROOTS:
        top = REPO / root
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and ours(path):
                found.append(path)
    return found


def words_in(text: str) -> list[tuple[int, str, str]]:
    """(line, word, why) of everything forbidden."""
    return [
        (number, match[0], why)
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, why in PATTERNS
        if (match := pattern.search(line))
    ]


def test_forbidden_words() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        name = str(path.relative_to(REPO))
        found += [f"{name}:{line}: {word!r}: {why}" for line, word, why in words_in(text) if (name, word) not in ALLOWED]
    assert found == [], "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    ["cd /wo" + "rk/main", "https://py" + "pi.org/simple", "registry.npm" + "js.org", "cra" + "tes.io", "deb.deb" + "ian.org", "# TO" + "DO: later"],
)
def test_each_is_heard(text: str) -> None:
    assert words_in(f"fine\n{text}\n")[0][0] == 2


@pytest.mark.parametrize("text", ["/home/node/.n8n", "/home/omni", "container path /root/.cache", "a worker /work/x", "Debian's packages", "todo lists"])
def test_what_only_looks_like_it(text: str) -> None:
    assert words_in(text) == []
