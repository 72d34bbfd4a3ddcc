#!/usr/bin/env python3
"""SOPS files in a git repository: who can open which, kept by one list.

    sops.py write DIR     DIR/recipients.yaml -> DIR/.sops.yaml
    sops.py check DIR     every file below DIR/secrets is encrypted, to exactly the people of its environment; exit 1 if not
    sops.py leave DIR WHO files that WHO can open, and whose values must change once WHO has gone

Layout and recipients.yaml: ../sops/README.md. SOPS itself encrypts; this only looks. Needs PyYAML.
"""

import re
import sys
from pathlib import Path

import yaml

RECIPIENT = re.compile(r"age1[0-9a-z]{58}")
VALUE = re.compile(r"ENC\[AES256_GCM,data:[^,]*,iv:[^,]+,tag:[^,]+,type:(str|int|float|bool|bytes|comment)\]")
ENDINGS = (".enc.yaml", ".enc.json", ".enc.env")


class Bad(Exception):
    """Something in the repository that is not as it must be."""


def load_recipients(folder):
    path = Path(folder) / "recipients.yaml"
    if not path.is_file():
        raise Bad(f"{path} is missing: ../sops/README.md shows one")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or set(data) != {"who", "environments"}:
        raise Bad(f"{path}: two parts are expected, who and environments")
    for name, key in data["who"].items():
        if not RECIPIENT.fullmatch(str(key)):
            raise Bad(f"{path}: the key of {name} is no age recipient (age1…)")
    if len(set(data["who"].values())) != len(data["who"]):
        raise Bad(f"{path}: two names have one key")
    for environment, names in data["environments"].items():
        if not re.fullmatch(r"[a-z][a-z0-9-]*", environment):
            raise Bad(f"{path}: '{environment}' is no name of an environment (a-z, 0-9, -)")
        unknown = sorted(set(names) - set(data["who"]))
        if unknown:
            raise Bad(f"{path}: {environment} names {', '.join(unknown)}, who is not under who")
        if len(set(names)) < 2:
            raise Bad(f"{path}: {environment} can be opened by {len(set(names))}; at least two, or one lost key loses all of it")
    return data


def sops_yaml(data):
    lines = ["# Written by compose/secrets/scripts/sops.py from recipients.yaml; change that, write again, then `sops updatekeys` what check names.", "creation_rules:"]
    for environment, names in data["environments"].items():
        lines.append(f"  # {environment}: {', '.join(names)}")
        lines.append(f"  - path_regex: ^secrets/{environment}/.*\\.enc\\.(yaml|json|env)$")
        lines.append(f"    age: {','.join(data['who'][name] for name in names)}")
    return "\n".join(lines) + "\n"


def read_encrypted(path):
    """(recipients, [places that are in clear]) of one file."""
    text = path.read_text(encoding="utf-8")
    if path.name.endswith(".enc.env"):
        pairs = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#") and "=" in line)
        recipients = {value for key, value in pairs.items() if re.fullmatch(r"sops_age__list_\d+__map_recipient", key)}
        clear = [key for key, value in pairs.items() if not key.startswith("sops_") and value and not key.endswith("_unencrypted") and not VALUE.fullmatch(value)]
        return recipients, clear
    # Everything as text: an unquoted lastmodified would become a date.
    document = yaml.load(text, yaml.BaseLoader)
    if not isinstance(document, dict) or not isinstance(document.get("sops"), dict):
        return set(), ["the whole file"]
    clear = []

    def walk(value, where):
        if isinstance(value, dict):
            for key, inner in value.items():
                if not str(key).endswith("_unencrypted"):
                    walk(inner, f"{where}.{key}" if where else str(key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{where}[{index}]")
        elif value not in ("", None) and not VALUE.fullmatch(str(value)):
            clear.append(where)

    walk({key: value for key, value in document.items() if key != "sops"}, "")
    return {entry.get("recipient", "") for entry in document["sops"].get("age") or []}, clear


def encrypted_files(folder):
    root = Path(folder) / "secrets"
    return sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []


def problems(folder):
    folder = Path(folder)
    data = load_recipients(folder)
    found = []
    rules = folder / ".sops.yaml"
    if not rules.is_file() or rules.read_text(encoding="utf-8") != sops_yaml(data):
        found.append(".sops.yaml is not what recipients.yaml gives: sops.py write")
    for path in encrypted_files(folder):
        name = path.relative_to(folder)
        environment = name.parts[1] if len(name.parts) > 2 else None
        if environment not in data["environments"]:
            found.append(f"{name}: lies in no environment of recipients.yaml")
            continue
        if not path.name.endswith(ENDINGS):
            found.append(f"{name}: does not end with {', '.join(ENDINGS)}, so no rule encrypts it")
            continue
        recipients, clear = read_encrypted(path)
        if clear:
            found.append(f"{name}: IN CLEAR: {', '.join(clear[:5])}. It is in git's history too if it was committed: change the values")
        wanted = {data["who"][who]: who for who in data["environments"][environment]}
        known = {key: who for who, key in data["who"].items()}
        for key in sorted(recipients - set(wanted)):
            found.append(f"{name}: {known.get(key, key)} can open it and must not: sops updatekeys {name}, then change its values")
        for key in sorted(set(wanted) - recipients):
            if not clear or recipients:
                found.append(f"{name}: {wanted[key]} cannot open it: sops updatekeys {name}")
    return found


def leave(folder, who):
    data = load_recipients(folder)
    if who not in data["who"]:
        raise Bad(f"{who} is not in recipients.yaml")
    return [str(path.relative_to(folder)) for path in encrypted_files(folder) if path.name.endswith(ENDINGS) and data["who"][who] in read_encrypted(path)[0]]


def main(arguments):
    if len(arguments) not in (2, 3) or arguments[0] not in ("write", "check", "leave") or (arguments[0] == "leave") != (len(arguments) == 3):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[1])
    if arguments[0] == "write":
        (folder / ".sops.yaml").write_text(sops_yaml(load_recipients(folder)), encoding="utf-8")
    elif arguments[0] == "leave":
        print("\n".join(leave(folder, arguments[2])))
    else:
        found = problems(folder)
        for text in found:
            print(text, file=sys.stderr)
        if found:
            return 1
        print(f"{len(encrypted_files(folder))} files, all encrypted to the right people")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Bad, yaml.YAMLError) as error:
        print(f"sops.py: {error}", file=sys.stderr)
        sys.exit(1)
