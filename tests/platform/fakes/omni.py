#!/usr/bin/env python3
"""A strict stand-in for `omni` before a mesh whose hosts are the engine of docker.py and, as far as a test says so, others.

It takes the verbs that deploy/setup.sh uses with the flags that the real command's sources define ($FAKE/omni.json, made
by the test), and refuses what the real one refuses. What the test wants to happen stands in $FAKE/wishes.json:

  mesh          "ok" | "no-answer" | "no-verb"
  role          "operator" | "viewer"
  hosts         name -> {"hostname", "booted": seconds after this machine}; h1, which is this machine, when absent
  place         app -> the host that it is put on when it is not tied to one
  waits         app -> why a plan would wait
  deploy        app -> [exit code, text]: how a deploy ends
  knows         app -> what `omni apps show` says of it when nothing was deployed
  watch         app -> [exit code, text]: how `omni rollout watch` ends
  replaces_after  so many looks after a deploy still show what was there before
"""

import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import docker
from docker import FAKE, STATE, WISHES, refuse, save

VERBS = json.loads((FAKE / "omni.json").read_text())
AS_JSON = False


def fail(code, text, hint=None):
    if AS_JSON:
        refuse(json.dumps({"error": {"message": text, "exit_code": code, "code": None, "request_id": None, "hint": hint}}), code)
    refuse(f"error: {text}" + (f"\nhint: {hint}" if hint else ""), code)


def parse(argv):
    """The verb, its options and the rest; anything that the sources do not define is refused."""
    words = [word for word in argv if not word.startswith("-")]
    # Flags of every command may stand before the verb.
    known = [verb for verb in VERBS if set(verb.split()) <= set(words)]
    if not known:
        fail(2, f"unrecognized subcommand in {argv}")
    verb = max(known, key=len)
    flags, seen, rest, argv = VERBS[verb], {}, [], list(argv)
    while argv:
        word, sign, value = argv.pop(0).partition("=")
        if not word.startswith("-"):
            rest.append(word)
            continue
        flag = flags.get(word)
        if not flag:
            fail(2, f"unexpected argument '{word}' found in `omni {verb}`")
        if not flag["value"] and sign:
            fail(2, f"unexpected value for '{word}'")
        if flag["value"] and not sign:
            value = "" if flag.get("optional") else argv.pop(0) if argv else fail(2, f"a value is required for '{word}'")
        seen.setdefault(flag["long"], []).append(value)
    for word in verb.split():
        rest.remove(word)
    return verb, seen, rest


def one(seen, flag, default=None):
    return seen.get(flag, [default])[-1]


def hosts():
    here = {"h1": {}}
    btime = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    for name, host in WISHES.get("hosts", here).items():
        booted = datetime.fromtimestamp(btime + host.get("booted", 0), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        yield {"name": name, "status": "up", "facts": {"hostname": host.get("hostname", socket.gethostname()), "booted": booted}}


def needs_operator():
    if WISHES.get("role") == "viewer":
        fail(4, "this needs the role operator, the token has viewer", "ask an admin for a token with that role")


def view(name):
    app = STATE["apps"].get(name) or WISHES.get("knows", {}).get(name)
    if app and app.get("looks", 0) > 0:
        app["looks"] -= 1
        save("state.json", STATE)
        return app | {"allocations": [app["allocations"][0] | {"release": 0}]}
    return app


def app_view(name, host, status, volumes):
    return {
        "name": name, "status": status, "release": 1, "groups": [{"waiting": []}],
        "allocations": [{"run": True, "host_name": host, "reason": None, "release": 1, "state": "healthy"}],
        "volumes": [{"name": volume, "host_name": host} for volume in volumes],
    }  # fmt: skip


def read_project(seen):
    """The project and the host it is tied to, after the checks that an engine and a controller would make."""
    files = seen.get("--file", [])
    name, document, services = docker.project()
    root = Path(one(seen, "--root", ".")).resolve()
    mounts = [(s, v.split(":")) for s in services for v in services[s].get("volumes", []) if v.startswith((".", "/"))]
    outside = [source for _, (source, *_) in mounts if source.startswith(".") and not Path(source).resolve().is_relative_to(root)]
    if files == ["docker-compose.yml"]:
        if outside:
            fail(2, f"docker-compose.yml: `{outside[0]}` leaves the folder that was packed")
        return name, document, services, None
    if files != ["docker-compose.yml", ".mesh.json"]:
        fail(2, f"the fake is asked for {files}")
    tie = json.loads(Path(files[1]).read_text())["services"]
    ties = {tuple(tie.get(s, {}).get("deploy", {}).get("placement", {}).get("constraints", [])) for s in services}
    over = {(s, mount["target"]): mount for s in tie for mount in tie[s].get("volumes", [])}
    for service, (source, target, *_) in mounts:
        if source.startswith("."):
            there = over.get((service, target)) or fail(2, f"{service}: {source} would not be the file of this machine")
            # In a compose file two dollar signs are one.
            if not Path(there["source"].replace("$$", "$")).exists():
                fail(1, f'invalid mount config for type "bind": bind source path does not exist: {there["source"]}')
    (constraint,) = ties.pop() if len(ties) == 1 else fail(2, f"services are tied to different hosts: {ties}")
    host = constraint.removeprefix("node.hostname == ")
    for service in services:
        assert tie[service]["x-omni"] == {"exclusive": False, "failover": {"mode": "never"}}
        assert tie[service]["deploy"]["update_config"] == {"order": "stop-first"}
    return name, document, services, host


def deploy(seen, rest):
    name, document, services, host = read_project(seen)
    app = one(seen, "--name")
    if rest or app != name:
        fail(2, f"the fake is asked to deploy {app} in {name}")
    needs_operator()
    waiting = WISHES.get("waits", {}).get(app, [])
    if "--plan" in seen:
        print(json.dumps({"unchanged": False, "waiting": waiting}))
        sys.exit(10)
    if "--yes" not in seen:
        fail(1, "this asks first, and there is no terminal; say --yes")
    code, text = WISHES.get("deploy", {}).get(app, [0, f"{app} is at release 1: 1 of 1 healthy."])
    if code:
        fail(code, text)
    host = host or WISHES.get("place", {}).get(app, "h1")
    environment = one(seen, "--env", os.environ.get("OMNI_ENV", "default"))
    if host == "h1":
        missing = [s["image"] for s in services.values() if s["image"] not in STATE["images"]]
        if missing and ".mesh.json" in seen["--file"]:
            fail(1, f"the image {missing[0]} cannot be pulled: no such host")
        docker.made(f"omni:{app}", document, services, {"omni.app": app, "omni.environment": environment})
    data = [v.split(":")[0] for s in services.values() for v in s.get("volumes", []) if v.startswith("./data/")]
    data = data if "--root" in seen else [str(Path(path).resolve()) for path in data]
    STATE["apps"][app] = app_view(app, host, "healthy", sorted(set(data))) | {"looks": WISHES.get("replaces_after", 0)}
    save("state.json", STATE)
    print(text, file=sys.stderr)


def main():
    global AS_JSON
    argv = sys.argv[1:]
    mesh = WISHES.get("mesh", "no-answer")
    if argv == ["deploy", "--help"]:
        sys.exit(fail(2, "unrecognized subcommand 'deploy'") if mesh == "no-verb" else 0)
    verb, seen, rest = parse(argv)
    AS_JSON = one(seen, "--output") == "json"
    if mesh != "ok":
        fail(5, "no controller is reachable")
    if verb == "status":
        print("all well")
    elif verb == "hosts":
        print(json.dumps(list(hosts())))
    elif verb == "deploy":
        deploy(seen, rest)
    elif verb == "apps show":
        print(json.dumps(view(rest[0]) or fail(3, f"there is no app `default/{rest[0]}`")))
    elif verb == "rollout watch":
        code, text = WISHES.get("watch", {}).get(rest[0], [0, ""])
        if code:
            fail(code, text)
    elif verb == "stop":
        needs_operator()
        STATE["containers"] = {k: v for k, v in STATE["containers"].items() if v["project"] != f"omni:{rest[0]}"}
        STATE["apps"][rest[0]] |= {"status": "stopped", "allocations": []}
        save("state.json", STATE)


docker.note()
main()
