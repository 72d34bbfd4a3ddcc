#!/usr/bin/env python3
"""Writes the dashboards of topics/*.py to json/<folder>/<uid>.json.

    python3 dashboards/grafana/generate.py           writes what has changed, removes what is gone
    python3 dashboards/grafana/generate.py --check   writes nothing; exit 1 when a file is not what would be written
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from panels import Dashboard, render  # noqa: E402

OUTPUT = HERE / "json"


def pages() -> list[Dashboard]:
    """Every page of every topic, by uid."""
    found: list[Dashboard] = []
    for file in sorted((HERE / "topics").glob("*.py")):
        if file.stem != "__init__" and not file.stem.startswith("_"):
            found += importlib.import_module(f"topics.{file.stem}").pages()
    return sorted(found, key=lambda page: page.uid)


def wanted() -> dict[Path, str]:
    """The files as they have to be."""
    all_pages = pages()
    titles = {page.uid: page.title for page in all_pages}
    files: dict[Path, str] = {}
    for page in all_pages:
        file = OUTPUT / page.folder / f"{page.uid}.json"
        if file in files or len(titles) != len(all_pages):
            raise SystemExit(f"generate: the uid {page.uid} or another stands twice")
        missing = [uid for uid in page.links if uid not in titles]
        if missing:
            raise SystemExit(f"generate: {page.uid} links to {', '.join(missing)}, which no topic makes")
        files[file] = json.dumps(render(page, titles), indent=1, ensure_ascii=False) + "\n"
    return files


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args(arguments)
    files = wanted()
    changed = [file for file, content in files.items() if not file.is_file() or file.read_text() != content]
    gone = [file for file in sorted(OUTPUT.rglob("*.json")) if file not in files]
    if options.check:
        for file in [*changed, *gone]:
            print(f"{file.relative_to(HERE)}: not current; run python3 dashboards/grafana/generate.py", file=sys.stderr)
        return 1 if changed or gone else 0
    for file in changed:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[file])
    for file in gone:
        file.unlink()
    print(f"{len(files)} dashboards, {len(changed)} written, {len(gone)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
