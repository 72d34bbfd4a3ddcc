"""Every shell script under shellcheck, every Dockerfile under hadolint, and a few rules of our own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_lint import REPO, ours

ROOTS = ("compose", "alerts", "dashboards", "deploy", "tests/platform")
HADOLINT = REPO / "tests" / "platform" / "hadolint.yaml"


def tree() -> list[Path]:
    """Files of ours, whatever their ending."""
    found = []
    for root in ROOTS:
        for path in sorted((REPO / root).rglob("*")):
            if path.is_file() and ours(path):
                found.append(path)
    return found


def is_shell(path: Path) -> bool:
    """A script by its name, or by its first line."""
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        return re.match(rb"#!.*\b(sh|bash|dash)\b", file.readline(80)) is not None


def is_dockerfile(path: Path) -> bool:
    """Named Dockerfile, with whatever before or behind; ignore lists are not."""
    return path.name.endswith("Dockerfile") or (path.name.startswith("Dockerfile") and path.suffix not in (".dockerignore", ".md"))


SCRIPTS = [path for path in tree() if is_shell(path)]
DOCKERFILES = [path for path in tree() if is_dockerfile(path)]


def name(path: Path) -> str:
    return str(path.relative_to(REPO))


def test_there_are_scripts_and_dockerfiles() -> None:
    assert len(SCRIPTS) > 10
    assert DOCKERFILES


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_shellcheck(path: Path, binary: Callable[[str], Path], run: Callable[..., Any]) -> None:
    # -x follows what a script sources, from the script's own folder.
    run([binary("shellcheck"), "-x", "-P", "SCRIPTDIR", "-P", str(REPO), path])


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.parts[-2] == "scripts"], ids=name)
def test_a_script_can_be_run(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    if path.name == "lib.sh" or path.stem.startswith("lib"):
        return
    assert first in ("#!/usr/bin/env bash", "#!/bin/sh"), first
    assert path.stat().st_mode & 0o111, "chmod 755"


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_hadolint(path: Path, binary: Callable[[str], Path], run: Callable[..., Any]) -> None:
    run([binary("hadolint"), "--config", HADOLINT, path])


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continued lines joined, comments out, here-documents kept whole."""
    found: list[tuple[str, str]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole = line.rstrip()
        while whole.endswith("\\"):
            following = next((one for one in lines if not one.lstrip().startswith("#")), "")
            whole = whole[:-1] + " " + following.strip()
        for marker in re.findall(r"<<-?[\"']?([A-Za-z_]+)[\"']?", whole):
            for inner in lines:
                if inner.strip() == marker:
                    break
                whole += "\n" + inner
        word, _, arguments = whole.strip().partition(" ")
        found.append((word.upper(), arguments.strip()))
    return found


def faults(text: str) -> list[str]:
    """What is against the rules of the house in a Dockerfile."""
    steps = instructions(text)
    said: list[str] = []
    stages: set[str] = set()
    arguments = {a.partition("=")[0]: a.partition("=")[2].strip("\"'") for word, a in steps if word == "ARG"}
    for word, a in steps:
        if word == "FROM":
            parts = [part for part in a.split() if not part.startswith("--")]
            image = re.sub(r"\$\{?([A-Za-z_]+)\}?", lambda m: arguments.get(m[1], ""), parts[0])
            last = image.split("@")[0].rsplit("/", 1)[-1]
            if image not in stages and image != "scratch" and "@sha256:" not in image:
                if ":" not in last or last.endswith(":latest") or last.endswith(":"):
                    said.append(f"FROM {parts[0]} is not pinned")
            if len(parts) == 3:
                stages.add(parts[2])
        if word == "ADD" and re.search(r"\bhttps?://", a) and "--checksum=" not in a:
            said.append("ADD of a URL without --checksum")
        if word in ("ENV", "ARG") and re.search(r"(PASSWORD|SECRET|TOKEN|_KEY)\w*=[\"']?[^\s\"'$]", a):
            said.append(f"{word} holds a secret")
        if word == "RUN":
            if "apt-get install" in a and "--no-install-recommends" not in a:
                said.append("apt-get install without --no-install-recommends")
            if "apt-get install" in a and "rm -rf /var/lib/apt/lists" not in a and "--mount=type=cache" not in a:
                said.append("apt-get install leaves its lists behind")
            downloads = re.search(r"\b(curl|wget)\b[^|;&\n]*https?://", a)
            if downloads and not re.search(r"sha(256|512)sum|gpg --verify|cosign verify", a):
                said.append("a download without a checksum")
            if re.search(r"\b(curl|wget)\b[^;&\n]*\|\s*(sudo\s+)?(ba|da)?sh\b", a):
                said.append("a download piped into a shell")
    final = steps[max((i for i, (word, _) in enumerate(steps) if word == "FROM"), default=0) :]
    users = [a for word, a in final if word == "USER"]
    if not users:
        said.append("the last stage sets no USER")
    elif users[-1].split(":")[0] in ("root", "0"):
        said.append("the last USER is root")
    return said


# Dockerfiles that a rule does not fit, with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_the_rules_of_the_house(path: Path) -> None:
    said = [fault for fault in faults(path.read_text()) if (name(path), fault) not in EXCEPTIONS]
    assert said == [], "\n" + "\n".join(said)


def test_no_exception_outlives_its_reason() -> None:
    for (path, fault), reason in EXCEPTIONS.items():
        assert reason
        assert fault in faults((REPO / path).read_text()), f"{path} no longer needs its exception for: {fault}"


GOOD = """\
ARG BASE=debian:bookworm-20260101-slim
FROM golang:1.26.1 AS build
RUN curl -fsSLo x.tgz https://example.org/x.tgz \\
 && echo "abc  x.tgz" | sha256sum -c -
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends jq \\
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /x /x
USER omni
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("golang:1.26.1", "golang", "FROM golang is not pinned"),
        ("golang:1.26.1", "golang:latest", "FROM golang:latest is not pinned"),
        ("debian:bookworm-20260101-slim", "debian", "FROM ${BASE} is not pinned"),
        ("COPY --from=build /x /x", "ADD https://example.org/x /x", "ADD of a URL without --checksum"),
        (" --no-install-recommends", "", "apt-get install without --no-install-recommends"),
        (" \\\n && rm -rf /var/lib/apt/lists/*", "", "apt-get install leaves its lists behind"),
        (" \\\n && echo \"abc  x.tgz\" | sha256sum -c -", "", "a download without a checksum"),
        ("COPY --from=build /x /x", "RUN curl -fsSL https://example.org/x | sh", "a download piped into a shell"),
        ("USER omni", "USER root", "the last USER is root"),
        ("USER omni\n", "", "the last stage sets no USER"),
        ("USER omni", "ENV API_TOKEN=abc\nUSER omni", "ENV holds a secret"),
    ],
)  # fmt: skip
def test_each_rule_of_the_house(old: str, new: str, fault: str) -> None:
    assert faults(GOOD) == []
    assert old in GOOD
    assert fault in faults(GOOD.replace(old, new))


def test_shellcheck_and_hadolint_are_heard(tmp_path: Path, binary: Callable[[str], Path], run: Callable[..., Any]) -> None:
    script = tmp_path / "bad.sh"
    script.write_text("#!/usr/bin/env bash\nrm -rf $1/*\n")
    assert "SC2086" in run([binary("shellcheck"), script], code=1).stdout
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian:latest\nRUN cd /x && make\n")
    said = run([binary("hadolint"), "--config", HADOLINT, dockerfile], code=1).stdout
    assert "DL3007" in said and "DL3003" in said
