"""What must hold for every Dockerfile that goes to production: pinned bases, no root, no secret, no download unchecked."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def faults(text: str) -> list[str]:
    joined = re.sub(r"\\\n", " ", text)
    steps = [line.strip().split(None, 1) for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, user, stages = [], "", set()
    for step in steps:
        word, rest = step[0].upper(), step[1] if len(step) > 1 else ""
        if word == "FROM":
            user = ""
            image, *more = [part for part in rest.split() if not part.startswith("--")]
            tag = image.rsplit("/", 1)[-1]
            if image not in stages and image != "scratch" and "$" not in image and "@sha256:" not in image and (":" not in tag or tag.endswith(":latest")):
                found.append(f"FROM {image} is not pinned to a version or digest")
            if more[:1] and more[0].upper() == "AS":
                stages.add(more[1])
        elif word == "USER":
            user = rest.split(":")[0]
        elif word in ("ENV", "ARG") and re.search(r"(PASSWORD|SECRET|TOKEN|API_KEY)\w*[= ]\S", rest):
            found.append(f"{word} {rest.split('=')[0]} puts a secret into the image; use a build secret or a file at run time")
        elif word == "RUN" and re.search(r"\b(curl|wget)\b[^;&\n]*\|\s*(sudo\s+)?(ba)?sh\b", rest):
            found.append("RUN pipes a download into a shell")
        elif word == "ADD" and re.match(r"https?://", rest) and "--checksum" not in rest:
            found.append("ADD of a URL without --checksum")
    if user in ("", "root", "0"):
        found.append("the last stage runs as root: set USER")
    return found


def main(path: str) -> int:
    said = faults(Path(path).read_text())
    print("\n".join(f"{path}: {one}" for one in said) if said else f"{path}: pinned, not root, no secrets")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
