"""A small repository with its own setup.sh, three stacks and strict stand-ins for Docker and omni, for the tests of setup.sh."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

from clap_source import source, verb

REPO = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).parent / "fakes"
# Generous: the machine may be busy; it only bounds how long a broken test hangs.
DEADLINE = 120

# What setup.sh may rely on: a Debian system with curl, jq, iproute2 and procps. Nothing else is on the tests' PATH.
TOOLS = """awk base64 basename bash cat chmod chown cp cut date df dirname echo env find flock grep head hostname id install jq
mkdir mv od printf realpath rm rmdir sed sha256sum sh sleep sort ss stat tail touch tr uname wc xargs""".split()

# What setup.sh asks omni.
OMNI_VERBS = ["status", "hosts", "deploy", "apps show", "rollout watch", "stop"]

ALPHA_ENV = """\
# Of alpha.
#: generate hex 16
ALPHA_KEY=
#: generate base64 32
ALPHA_SALT=
#: generate password 24
ALPHA_PASSWORD=
#: default
ALPHA_PORT={port}
PLAIN=as it is
"""
ALPHA = """\
x-logging: &default-logging
  driver: json-file
services:
  alpha:
    image: example/alpha:1.0
    container_name: omni-alpha
    restart: unless-stopped
    user: "{uid}:{gid}"
    logging: *default-logging
    # The only way in for tests.
    ports:
      - "127.0.0.1:${{ALPHA_PORT:-1}}:80"
    volumes:
      - ./data/alpha:/var/lib/alpha
      - ./config/alpha.conf:/etc/alpha.conf:ro
    secrets: [alpha_password]
    healthcheck:
      test: ["CMD", "true"]
  migrate:
    image: example/alpha:1.0
    container_name: omni-alpha-migrate
    restart: "no"
  extra:
    image: example/extra:1.0
    container_name: omni-alpha-extra
    profiles: [extra]
    volumes: ["./data/extra:/data"]
networks:
  default:
    name: omni-quantum-network
  omni-quantum-network:
    external: true
secrets:
  alpha_password:
    file: ./secrets/alpha_password
"""
BETA_ENV = """\
#: from alpha ALPHA_KEY
BETA_ALPHA_KEY=
"""
SIMPLE = """\
services:
  {name}:
    image: example/{name}:1.0
    container_name: omni-{name}
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "true"]
networks:
  omni-quantum-network:
    external: true
"""
INIT = """\
#!/usr/bin/env bash
set -euo pipefail
case ${{1:-}} in
  --check) echo "{name} check" >>"$FAKE/init.log"; test -e "$FAKE/{name}.ready" ;;
  '') echo "{name} init" >>"$FAKE/init.log"; touch "$FAKE/{name}.ready" "$FAKE/unsealed" ;;
  *) exit 2 ;;
esac
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Place:
    """A small repository with its own setup.sh, three stacks (alpha <- beta <- gamma), and a fake engine."""

    def __init__(self, root):
        self.root, self.fake, self.bin = root / "repo", root / "fake", root / "bin"
        for folder in (self.root, self.fake, self.bin, self.fake / "root"):
            folder.mkdir(parents=True)
        shutil.copytree(REPO / "deploy" / "platform", self.root / "deploy" / "platform")
        for name in ("lib.sh", "setup.sh"):
            shutil.copy(REPO / "deploy" / name, self.root / "deploy" / name)
        self.port = free_port()
        self.stacks(["alpha\t1\tcompose/alpha\t-\tfirst", "beta\t2\tcompose/beta\talpha\tsecond", "gamma\t3\tcompose/gamma\tbeta\tthird"])
        self.write("compose/alpha/docker-compose.yml", ALPHA.format(uid=os.getuid(), gid=os.getgid()))
        self.write("compose/alpha/.env.example", ALPHA_ENV.format(port=self.port))
        self.write("compose/alpha/config/alpha.conf", "one\n")
        self.write("compose/beta/docker-compose.yml", SIMPLE.format(name="beta"))
        self.write("compose/beta/.env.example", BETA_ENV)
        self.write("compose/gamma/docker-compose.yml", SIMPLE.format(name="gamma"))
        for name in ("alpha", "beta"):
            self.write(f"compose/{name}/scripts/init.sh", INIT.format(name=name))
        for tool in TOOLS:
            found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
            assert found, f"{tool} is missing on this machine"
            (self.bin / tool).symlink_to(found)
        for program in ("docker", "docker-compose"):
            self.program(program)
        self.env = {
            "PATH": str(self.bin), "FAKE": str(self.fake), "HOME": str(root), "LC_ALL": "C.UTF-8",
            "OMNI_SETUP_MIN_FREE_MB": "1", "OMNI_SETUP_HEALTH_SECONDS": "60", "OMNI_SETUP_UNHEALTHY_SECONDS": "0",
        }

    def program(self, name, fake="docker.py"):
        # An interpreter with PyYAML, whatever the PATH of the test says.
        path = self.bin / name
        beside = f"import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {str(FAKES)!r})"
        path.write_text(f"#!{sys.executable}\n{beside}\n" + (FAKES / fake).read_text().split("\n", 1)[1])
        path.chmod(0o755)

    def mesh(self, **wishes):
        """omni is there, knows the flags that its sources define, and reaches a mesh."""
        text = source(REPO / "cli/src/args.rs", REPO / "cli/src/args/apps.rs")
        (self.fake / "omni.json").write_text(json.dumps({words: verb(text, *words.split()) for words in OMNI_VERBS}))
        self.program("omni", "omni.py")
        self.wish(**{"mesh": "ok"} | wishes)

    def stacks(self, lines):
        self.write("compose/stacks.tsv", "stack\tsystem\tfolder\tneeds\tdescription\n" + "".join(line + "\n" for line in lines))

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def wish(self, **wishes):
        (self.fake / "wishes.json").write_text(json.dumps(wishes))

    def run(self, *arguments, rc=0, **env):
        done = subprocess.run(
            ["bash", str(self.root / "deploy/setup.sh"), *arguments],
            env=self.env | env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False,
        )
        assert done.returncode == rc, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.said = done.stdout + done.stderr
        return done

    def calls(self):
        path = self.fake / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changing_calls(self):
        """What was asked of the engine that changes something, as "program words"."""
        words = [f"{call['program']} {' '.join(call['argv'])} @{Path(call['cwd']).name}" for call in self.calls()]
        return [word for word in words if re.search(r"\b(up|down|create)\b|omni (deploy .*--yes|stop)\b", word)]

    def forget_calls(self):
        (self.fake / "calls.jsonl").unlink(missing_ok=True)

    def init_log(self):
        path = self.fake / "init.log"
        return path.read_text().splitlines() if path.exists() else []

    def env_of(self, stack):
        lines = (self.root / "compose" / stack / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def tree(self, *, without=()):
        return {
            str(path.relative_to(self.root)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
            for path in sorted(self.root.rglob("*"))
            if not any(part in without for part in path.parts)
        }
