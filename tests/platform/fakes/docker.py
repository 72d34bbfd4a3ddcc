#!/usr/bin/env python3
"""A strict stand-in for `docker`, `docker compose` and `docker-compose`. omni.py beside it works on the same engine.

It knows exactly what deploy/setup.sh may ask and refuses everything else the way the real programs would, keeps its
"engine" in a folder, and notes every call. What the test wants to happen stands in $FAKE/wishes.json:

  engine        "ok" | "denied" | "gone"
  compose       "v2" | "v1" | "none"
  containers    name -> {"status", "health", "code", "restarts", "ready_after": inspections until healthy, "logs"}
  up_fails      project -> text on standard error
  up_hangs      project: `up` notes that it began and waits to be killed
  pull_fails    image -> text on standard error
"""

import json
import os
import re
import signal
import sys
from pathlib import Path

import yaml

FAKE = Path(os.environ["FAKE"])
ARGV = sys.argv[1:]
PROGRAM = Path(sys.argv[0]).name


def load(name, default):
    path = FAKE / name
    return json.loads(path.read_text()) if path.exists() else default


def save(name, value):
    new = FAKE / (name + ".new")
    new.write_text(json.dumps(value))
    new.replace(FAKE / name)


WISHES = load("wishes.json", {})
STATE = {"networks": [], "containers": {}, "images": [], "apps": {}} | load("state.json", {})


def refuse(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def note():
    with (FAKE / "calls.jsonl").open("a") as file:
        file.write(json.dumps({"program": PROGRAM, "argv": ARGV, "cwd": os.getcwd()}) + "\n")


def options(argv, flags, valued=()):
    """Parts argv into known options and the rest; an unknown option is refused."""
    seen, rest = {}, []
    argv = list(argv)
    while argv:
        word = argv.pop(0)
        if word in flags:
            seen[word] = True
        elif word in valued:
            if not argv:
                refuse(f"flag needs an argument: {word}", 125)
            seen[word] = argv.pop(0)
        elif word.startswith("-"):
            refuse(f"unknown flag: {word}", 125)
        else:
            rest.append(word)
    return seen, rest


def engine_answers():
    engine = WISHES.get("engine", "ok")
    if engine == "denied":
        refuse("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock")
    if engine == "gone":
        refuse("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")


# --- compose ---------------------------------------------------------------------------------------------------


def dotenv():
    values = {}
    path = Path(".env")
    if path.exists():
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name, sign, value = line.partition("=")
            if not sign:
                refuse(f"failed to read .env: unexpected character in variable name near {name!r}")
            values[name] = value.strip("'\"")
    return values | dict(os.environ)


def interpolate(text, values):
    def one(match):
        name, operator, word = match.group(1), match.group(2) or "", match.group(3) or ""
        value = values.get(name, "")
        if not value and operator in (":-", "-"):
            return word
        if not value and operator in (":?", "?"):
            refuse(f"required variable {name} is missing a value: {word}", 15)
        return value

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])([^{}]*))?\}", one, text)


def project():
    path = Path("docker-compose.yml")
    if not path.exists():
        refuse("no configuration file provided: not found", 14)
    values = dotenv()
    try:
        document = yaml.safe_load(interpolate(path.read_text(), values))
    except yaml.YAMLError as error:
        refuse(f"yaml: {error}", 15)
    unknown = [key for key in document if key not in ("services", "networks", "volumes", "secrets", "configs", "name") and not key.startswith("x-")]
    if unknown:
        refuse(f"additional properties {unknown} not allowed", 15)
    active = values.get("COMPOSE_PROFILES", "").split(",")
    services = {
        name: service
        for name, service in document["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(active)
    }
    return Path.cwd().name, document, services


def compose(argv):
    flavour = WISHES.get("compose", "v2")
    verb, argv = (argv[0], argv[1:]) if argv else ("", [])
    if verb == "version":
        print("Docker Compose version v2.39.1" if flavour == "v2" else "docker-compose version 1.29.2, build unknown")
    elif verb == "config":
        options(argv, {"-q", "--quiet", "--services"})
        project()
    elif verb == "up":
        seen, services = options(argv, {"-d", "--build", "--remove-orphans"})
        if "-d" not in seen or services:
            refuse("this fake starts whole projects, detached")
        up()
    elif verb == "build":
        seen, services = options(argv, set())
        engine_answers()
        STATE["images"] += [service["image"] for service in project()[2].values() if "build" in service]
        save("state.json", STATE)
    elif verb == "down":
        options(argv, {"--remove-orphans"})
        engine_answers()
        name, _, _ = project()
        STATE["containers"] = {k: v for k, v in STATE["containers"].items() if v["project"] != name}
        save("state.json", STATE)
    else:
        refuse(f"unknown docker command: \"compose {verb}\"", 16)


def up():
    engine_answers()
    name, document, services = project()
    made(name, document, services, {})


def made(name, document, services, labels):
    """The project's containers are there, as wished for."""
    if name in WISHES.get("up_fails", {}):
        refuse(WISHES["up_fails"][name])
    if WISHES.get("up_hangs") == name:
        (FAKE / "hanging").write_text(str(os.getpid()))
        signal.pause()
    for network, settings in (document.get("networks") or {}).items():
        if (settings or {}).get("external") and network not in STATE["networks"]:
            refuse(f"network {network} declared as external, but could not be found")
    for secret in (document.get("secrets") or {}).values():
        if not Path(secret["file"]).is_file():
            refuse(f"bind source path does not exist: {Path(secret['file']).absolute()}")
    for service, settings in services.items():
        container = settings.get("container_name") or f"{name}-{service}-1"
        other = STATE["containers"].get(container)
        if other and other["project"] != name and labels:
            refuse(f"error: the deployment failed: the name {container} is taken by a container that this agent did not make (id 0123): rename or remove it")
        if other and other["project"] != name:
            refuse(f'Conflict. The container name "/{container}" is already in use by container "0123". You have to remove (or rename) that container')
        wish = WISHES.get("containers", {}).get(container, {})
        one_shot = str(settings.get("restart")) == "no"
        STATE["containers"][container] = {
            "project": name,
            "status": wish.get("status", "exited" if one_shot else "running"),
            "health": wish.get("health", "none" if "healthcheck" not in settings else "healthy"),
            "code": wish.get("code", 0),
            "restarts": wish.get("restarts", 0),
            "ready_after": wish.get("ready_after", 0),
            "logs": wish.get("logs", ""),
            "labels": labels,
        }
    save("state.json", STATE)


# --- docker ----------------------------------------------------------------------------------------------------

LABELS_FORMAT = '{{index .Config.Labels "omni.environment"}} {{index .Config.Labels "omni.app"}}'
STATE_FORMAT = (
    "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.ExitCode}} {{.RestartCount}}"
)


def inspect(argv):
    seen, names = options(argv, set(), {"--format", "-f"})
    if len(names) != 1:
        refuse('"docker inspect" requires at least 1 argument.')
    container = STATE["containers"].get(names[0])
    if container is None:
        refuse(f"Error: No such object: {names[0]}")
    labels = container.get("labels", {})
    if seen.get("--format") == LABELS_FORMAT:
        print(labels.get("omni.environment", ""), labels.get("omni.app", ""))
    elif seen.get("--format") == "{{.State.Running}}":
        print("true" if container["status"] == "running" else "false")
    elif seen.get("--format") == STATE_FORMAT:
        print(state_line(names[0], container))
    else:
        refuse(f"template parsing error: this fake does not know {seen}")


def state_line(name, container):
    health = container["health"]
    if container["ready_after"] > 0:
        container["ready_after"] -= 1
        health = "starting"
        save("state.json", STATE)
    # An init script of the tests opens a sealed store by leaving this file.
    if health == "sealed":
        health = "healthy" if (FAKE / "unsealed").exists() else "unhealthy"
    return f"{container['status']} {health} {container['code']} {container['restarts']}"


def docker(argv):
    verb, argv = (argv[0], argv[1:]) if argv else ("", [])
    if verb == "compose":
        if WISHES.get("compose", "v2") != "v2":
            refuse("docker: 'compose' is not a docker command.\nSee 'docker --help'")
        return compose(argv)
    engine_answers()
    if verb == "version":
        seen, rest = options(argv, set(), {"--format"})
        if rest or seen.get("--format") != "{{.Server.Version}}":
            refuse("unexpected: docker version")
        print("26.1.5")
    elif verb == "info":
        seen, _ = options(argv, set(), {"--format"})
        if seen.get("--format") != "{{.DockerRootDir}}":
            refuse("unexpected: docker info")
        print(FAKE / "root")
    elif verb == "inspect":
        inspect(argv)
    elif verb == "image" and argv[:1] == ["inspect"] and len(argv) == 2:
        if argv[1] not in STATE["images"]:
            refuse(f"Error: No such image: {argv[1]}")
        print("[]")
    elif verb == "pull" and len(argv) == 1:
        if argv[0] in WISHES.get("pull_fails", {}):
            refuse(WISHES["pull_fails"][argv[0]])
        STATE["images"].append(argv[0])
        save("state.json", STATE)
    elif verb == "logs":
        _, names = options(argv, set(), {"--tail"})
        if len(names) != 1 or names[0] not in STATE["containers"]:
            refuse(f"Error response from daemon: No such container: {names}")
        print(STATE["containers"][names[0]]["logs"])
    elif verb == "network" and argv[:1] == ["inspect"] and len(argv) == 2:
        if argv[1] not in STATE["networks"]:
            refuse(f"Error response from daemon: network {argv[1]} not found")
        print("[]")
    elif verb == "network" and argv[:1] == ["create"]:
        _, names = options(argv[1:], set(), {"--label", "--driver"})
        if len(names) != 1:
            refuse('"docker network create" requires exactly 1 argument.')
        if names[0] in STATE["networks"]:
            refuse(f"Error response from daemon: network with name {names[0]} already exists")
        STATE["networks"].append(names[0])
        save("state.json", STATE)
    else:
        refuse(f"docker: '{verb} {' '.join(argv)}' is not known to this fake")


if __name__ == "__main__":
    note()
    {"docker": docker, "docker-compose": compose}[PROGRAM](ARGV)
