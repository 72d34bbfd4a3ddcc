#!/usr/bin/env python3
"""A strict stand-in for `docker` with the containers of compose/workspaces, and what runs in their images.

Everything lives in $FAKE/state.json: images, containers {name: {status, started}}. Calls are written to $FAKE/calls. Refused as
the real programs refuse: unknown verbs, flags and containers, an image that is not there, a Dockerfile without the stage, a salt
that argon2 finds too short. Also refused: a password among arguments, where every user of the machine reads it.
"""

import base64
import hashlib
import json
import os
import re
import sys
from pathlib import Path

FAKE = Path(os.environ["FAKE"])
STATE = json.loads((FAKE / "state.json").read_text())
ARGON2 = ["-id", "-t", "3", "-k", "65536", "-p", "1", "-l", "32", "-e"]


def refuse(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def save():
    new = FAKE / "state.json.new"
    new.write_text(json.dumps(STATE))
    new.replace(FAKE / "state.json")


def argon2(password, salt):
    """The form of argon2's answer; the digest is another, which nobody here looks into."""
    if len(salt) < 8:
        refuse("Error: Salt is too short")
    text = [base64.b64encode(part).decode().rstrip("=") for part in (salt.encode(), hashlib.sha256(salt.encode() + password).digest())]
    return f"$argon2id$v=19$m=65536,t=3,p=1${text[0]}${text[1]}"


def need_image(name):
    if name not in STATE["images"]:
        refuse(f"Unable to find image '{name}' locally: pull access denied", 125)


def main(words):
    with (FAKE / "calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    if any(secret in word for secret in STATE["secrets"] for word in words):
        refuse("a password stands in the arguments")
    match words:
        case ["image", "inspect", name]:
            if name not in STATE["images"]:
                refuse(f"Error response from daemon: No such image: {name}")
            print("[{}]")
        case ["build", "--target", stage, "-t", name, folder]:
            text = (Path(folder) / "Dockerfile").read_text()
            if not re.search(rf"^FROM \S+ AS {re.escape(stage)}$", text, re.M):
                refuse(f"ERROR: target stage {stage!r} could not be found")
            for source in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.M):
                for one in source.split():
                    if not (Path(folder) / one).is_file():
                        refuse(f'ERROR: "/{one}": not found')
            STATE["images"].append(name)
        case ["run", "--rm", "-i", "--network", "none", "--entrypoint", "argon2", image, salt, *rest]:
            need_image(image)
            if rest != ARGON2:
                refuse(f"Error: unknown argument among {rest}")
            print(argon2(sys.stdin.buffer.read(), salt))
        case ["inspect", "--format", form, name]:
            if name not in STATE["containers"]:
                refuse(f"Error: No such object: {name}")
            one = STATE["containers"][name]
            parts = {"{{.State.Status}}": one["status"], "{{.State.StartedAt}}": one["started"]}
            if set(form.split()) - set(parts):
                refuse(f"template parsing error: {form}")
            print(" ".join(parts[part] for part in form.split()))
        case ["restart" | "stop" as verb, name]:
            if name not in STATE["containers"]:
                refuse(f"Error response from daemon: No such container: {name}")
            STATE["containers"][name]["status"] = "running" if verb == "restart" else "exited"
            print(name)
        case _:
            refuse(f"unknown command or flags: docker {' '.join(words)}", 125)
    save()


main(sys.argv[1:])
