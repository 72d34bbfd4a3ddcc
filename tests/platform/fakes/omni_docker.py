#!/usr/bin/env python3
"""A strict stand-in for `docker` with the containers of compose/omni in it, down to what their programs answer.

Everything lives in $FAKE: state.json (members, tokens, hosts), flags.json (verbs and flags as the sources define them, made by the
test), wishes.json (`fails`: {"omni-agent join": text}, `absent`: [containers], `leaderless`, `host_status`). Refused as the real programs
refuse: unknown docker verbs and flags, unknown verbs and flags of omni's programs, tokens that are wrong, of the wrong kind,
expired or used up, a folder in use. Also refused: a token among arguments, where every user of the machine reads it.
"""

import json
import os
import sys
from pathlib import Path

FAKE = Path(os.environ["FAKE"])
KNOWN = {"omni-omni", "omni-omni-2", "omni-omni-3", "omni-agent"}


def refuse(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def load(name, default):
    path = FAKE / name
    return json.loads(path.read_text()) if path.exists() else default


STATE = load("state.json", {"members": {}, "tokens": {}, "hosts": {}, "made": 0})
WISHES = load("wishes.json", {})
FLAGS = load("flags.json", None)


def save():
    new = FAKE / "state.json.new"
    new.write_text(json.dumps(STATE))
    new.replace(FAKE / "state.json")


def new_token(kind, role, uses=0):
    STATE["made"] += 1
    text = f"omni-{kind}1.{STATE['made']:04d}secret"
    STATE["tokens"][text] = {"kind": kind, "role": role, "uses": uses, "used": 0}
    return text


def parse(words, spec):
    """Verb path, flags and the rest, by what the sources define."""
    flags, rest, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            known = spec["flags"].get(word)
            if known is None:
                refuse(f"error: unexpected argument '{word}' found", 2)
            flags.setdefault(known["long"], []).append(words.pop(0) if known["value"] else True)
        else:
            rest.append(word)
    return flags, rest


def api_token():
    text = os.environ.get("OMNI_TOKEN", "").strip()
    token = STATE["tokens"].get(text)
    if token is None or token["kind"] != "api":
        refuse("error: the token in OMNI_TOKEN cannot be used")
    if not os.environ.get("OMNI_URL", "").startswith("https://"):
        refuse("error: no context yet")
    return token


def use_join_token(role):
    token = STATE["tokens"].get(ENV_TOKEN)
    if token is None or token["kind"] != "join":
        refuse("error: --token is not a join token")
    if token["role"] != role:
        refuse(f"error: the cluster refused: a token for {token['role']} [token_role]")
    if token["uses"] and token["used"] >= token["uses"]:
        refuse("error: the cluster refused: the token is used up [token_used]")
    token["used"] += 1


def folder(container):
    return "/var/lib/omni-agent" if container == "omni-agent" else "/data"


def member(container, name, role, data):
    if data["--data-dir"] != [folder(container)]:
        refuse(f"error: cannot create {data['--data-dir']}")
    if container in STATE["members"]:
        refuse(f"error: {folder(container)} already holds a member; nothing was changed")
    api = {"omni-omni-2": "omni-omni-2:7611", "omni-omni-3": "omni-omni-3:7621"}.get(container, "omni-omni:7601")
    STATE["members"][container] = {"name": name, "role": role, "api": api}


def controllers():
    return [
        {"name": m["name"], "api": m.get("api", "omni-omni:7601"), "reachable": True, "role": "follower" if i or WISHES.get("leaderless") else "leader"}
        for i, m in enumerate(m for m in STATE["members"].values() if m["role"] == "controller")
    ]  # fmt: skip


def run(container, argv):
    program, words = argv[0], argv[1:]
    if program == "test" and words[:1] == ["-s"]:
        wanted = folder(container) + ("/identity" if container == "omni-agent" else "/member.json")
        if words[1:] != [wanted]:
            refuse(f"{container} never has {words[1:]}")
        sys.exit(0 if container in STATE["members"] else 1)
    if program not in FLAGS:
        refuse(f'exec: "{program}": executable file not found in $PATH', 127)
    verb = " ".join(w for w in words if not w.startswith("-"))
    failing = next((text for name, text in WISHES.get("fails", {}).items() if f"{program} {verb}".startswith(name)), None)
    spec = FLAGS[program]
    flags, rest = parse(words, spec)
    if not rest or rest[0] not in spec["verbs"]:
        refuse(f"error: unrecognized subcommand '{' '.join(rest)}'", 2)
    if failing:
        refuse(failing)
    if program == "omni-controller" and rest == ["init"]:
        member(container, flags["--name"][0], "controller", flags)
        STATE["tokens"]["omni-api1.admin"] = {"kind": "api", "role": "admin"}
        made = {"cluster_id": "c", "ca_fingerprint": os.environ["FINGERPRINT"], "admin_token": "omni-api1.admin", "agent_join_token": new_token("join", "agent"),
                "controller_join_token": new_token("join", "controller"), "api": "https://x:7601", "quic": "x:7600"}  # fmt: skip
        if flags["--output"] != ["json"]:
            refuse("the script reads JSON")
        print(json.dumps(made))
    elif program == "omni-controller" and rest == ["join"]:
        use_join_token("controller")
        member(container, flags["--name"][0], "controller", flags)
        STATE["members"][container]["to"] = flags["--controller"]
    elif program == "omni-agent" and rest == ["join"]:
        use_join_token("agent")
        member(container, flags["--name"][0], "agent", flags)
        STATE["members"][container].update(to=flags["--controller"], labels=flags.get("--label", []))
        STATE["hosts"][flags["--name"][0]] = "up"
    elif program == "omni":
        token = api_token()
        if rest == ["controllers"]:
            print(json.dumps(controllers()) if flags.get("--output") == ["json"] else "table")
        elif rest == ["hosts"]:
            print(json.dumps([{"name": n, "status": WISHES.get("host_status", s)} for n, s in STATE["hosts"].items()]))
        elif rest in (["token", "create"], ["token", "create-api"]) and flags["--output"] == ["json"]:
            if token["role"] != "admin":
                refuse("error: forbidden", 4)
            join = rest[1] == "create"
            text = new_token("join" if join else "api", flags["--role"][0], int(flags.get("--uses", ["1"])[0]))
            print(json.dumps({"view": {"role": flags["--role"][0]}, "token": text}))
        elif rest == ["status"]:
            print(f"status for {token['role']} of {os.environ['OMNI_URL']}")
        else:
            refuse(f"this fake does not know omni {rest}", 2)
    else:
        refuse(f"this fake does not know {program} {rest}", 2)
    save()


argv = sys.argv[1:]
with (FAKE / "calls.jsonl").open("a") as log:
    log.write(json.dumps(argv) + "\n")
if any("omni-join1." in word or "omni-api1." in word for word in argv):
    refuse("a token among arguments can be read by every user of the machine")
if argv[:3] == ["inspect", "--format", "{{.State.Status}}"] and len(argv) == 4:
    if argv[3] not in KNOWN or argv[3] in WISHES.get("absent", []):
        refuse(f"Error: No such object: {argv[3]}")
    print("running")
elif argv[:1] == ["exec"]:
    argv, names = argv[1:], set()
    while argv[0].startswith("-"):
        flag = argv.pop(0)
        if flag == "-e" and "=" not in argv[0]:
            names.add(argv.pop(0))
        elif flag not in ("-i", "-t"):
            refuse(f"unknown flag: {flag}", 125)
    ENV_TOKEN = os.environ.get("OMNI_TOKEN", "").strip() if "OMNI_TOKEN" in names else ""
    for name in ("OMNI_TOKEN", "OMNI_URL"):
        if name not in names:
            os.environ.pop(name, None)
    if argv[0] not in KNOWN or argv[0] in WISHES.get("absent", []):
        refuse(f"Error response from daemon: No such container: {argv[0]}")
    run(argv[0], argv[1:])
else:
    refuse(f"docker: '{' '.join(argv)}' is not known to this fake")
