"""What omni's programs accept, read from the sources that define it (clap's derive): they are built after these tests run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ATTRIBUTES = r"\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"


def kebab(name: str) -> str:
    """As clap calls a variant or a field."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().replace("_", "-")


def source(*paths: Path) -> str:
    """The definitions, without comments and tests."""
    return "\n".join(re.sub(r"^\s*//.*$", "", path.read_text().split("#[cfg(test)]")[0], flags=re.M) for path in paths)


def arguments(body: str) -> dict[str, dict[str, Any]]:
    """Flags of a struct's or a variant's body under each of their names: `value` when one follows, `optional` when it may be left out."""
    flags: dict[str, dict[str, Any]] = {}
    for attributes, name, kind in re.findall(rf"#\[arg{ATTRIBUTES}\]\s*(?:pub )?([a-z_]+): ([A-Za-z<>:]+)", body):
        long = re.search(r"\blong(?:\s*=\s*\"([^\"]+)\")?", attributes)
        if not long:
            continue
        flag = {"long": "--" + (long[1] or kebab(name)), "value": kind != "bool"}
        if "num_args = 0..=1" in attributes:
            flag["optional"] = True
        flags[flag["long"]] = flag
        short = re.search(r"\bshort(?:\s*=\s*'(.)')?", attributes)
        if short:
            flags["-" + (short[1] or name[0])] = flag
    return flags


def part(text: str, kind: str, name: str) -> str:
    """The body of a struct or an enum."""
    found = re.search(rf"{kind} {name} \{{\n(.*?)\n\}}", text, re.S)
    assert found, f"the sources define no {kind} {name}"
    return found[1]


def with_flattened(text: str, body: str) -> dict[str, dict[str, Any]]:
    """The body's own flags, and those of what it flattens."""
    flags = arguments(body)
    for name in re.findall(r"#\[command\(flatten\)\]\s*(?:pub )?[a-z_]+: ([A-Za-z]+)", body):
        flags |= with_flattened(text, part(text, "struct", name))
    return flags


def verb(text: str, *words: str) -> dict[str, dict[str, Any]]:
    """Flags of `omni WORD…`, those of every command included."""
    enum = "Command"
    flags: dict[str, dict[str, Any]] = {}
    for word in words:
        variants = dict(re.findall(r"^    ([A-Z]\w*)(\([A-Za-z]+\)|(?: \{.*?^    \})?),?$", part(text, "enum", enum), re.S | re.M))
        named = {kebab(name): shape for name, shape in variants.items()}
        assert word in named, f"omni has no verb `{word}` ({', '.join(words)})"
        shape = named[word]
        inner = re.search(r"command: (?:Option<)?([A-Za-z]+Command)", shape)
        enum = inner[1] if inner else ""
        body = part(text, "struct", shape[1:-1]) if shape.startswith("(") else shape
        flags = with_flattened(text, body)
    return flags | arguments(part(text, "struct", "Global"))
