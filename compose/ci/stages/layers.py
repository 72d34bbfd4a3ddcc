"""Which part may use which, read from the imports; and how long a source file may grow.

    layers.py FOLDER...        .omni-ci/layers names modules, uppermost first; imports go downwards only, and in no circle
    layers.py --lines NUMBER   no source file has more lines
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from covered import CODE, SKIP


def modules(folders: list[str]) -> dict[str, Path]:
    """Modules by dotted name."""
    found = {}
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*.py")):
            if not SKIP & set(path.parts):
                parts = path.relative_to(folder).with_suffix("").parts
                found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """Modules of the project that a module imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    used: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            used |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {one for one in used if one in known and one != name}


def layer_of(name: str, layers: list[str]) -> int | None:
    return next((i for i, layer in enumerate(layers) if name == layer or name.startswith(layer + ".")), None)


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A circle of imports, if there is one."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for following in sorted(graph[name]):
            if found := visit(following, [*path, name]):
                return found
        done.add(name)
        return None

    return next((found for name in sorted(graph) if (found := visit(name, []))), None)


def check_layers(folders: list[str]) -> int:
    layers = [line.strip() for line in Path(".omni-ci/layers").read_text().splitlines() if line.strip() and not line.startswith("#")]
    known = modules(folders)
    graph = {name: imports(name, path, set(known)) for name, path in known.items()}
    faults = [f".omni-ci/layers: there is no module {layer}" for layer in layers if all(layer_of(name, [layer]) is None for name in known)]
    for name, used in graph.items():
        upper = layer_of(name, layers)
        for one in sorted(used):
            lower = layer_of(one, layers)
            if upper is not None and lower is not None and lower < upper:
                faults.append(f"{known[name]}: {name} uses {one}, which is above it ({layers[lower]} is over {layers[upper]})")
    if found := circle(graph):
        faults.append("imports in a circle: " + " -> ".join(found))
    print("\n".join(faults) if faults else f"{len(known)} modules in {len(layers)} layers, imports go downwards")
    return 1 if faults else 0


def check_lines(most: int) -> int:
    files = [path for path in sorted(Path().rglob("*")) if path.suffix in CODE and path.is_file() and not SKIP & set(path.parts)]
    lengths = {path: len(path.read_text(errors="replace").splitlines()) for path in files}
    faults = [f"{path} has {lines} lines; {most} is the most: what is its second topic?" for path, lines in lengths.items() if lines > most]
    print("\n".join(faults) if faults else f"{len(files)} files, the longest has {max(lengths.values(), default=0)} lines")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(check_lines(int(sys.argv[2])) if sys.argv[1] == "--lines" else check_layers(sys.argv[1:]))
