#!/usr/bin/env python3
"""Backup policies: expand them over the catalogue, check them, show them.

    policy.py check       every problem of policies.yaml against the catalogue; exit 1 when there is one
    policy.py generate    write policies/effective.yaml (one flat block a component, what omni's engine reads)
    policy.py show NAME   the effective policy of one component
    policy.py table       component, tier, schedule, RPO, limit, repositories

Your own rules, outside of this folder, for `omni-controller run --backup-policies FILE`:

    policy.py --policies MINE.yaml --catalogue FOLDER --out EFFECTIVE.yaml generate

--catalogue adds your own catalogue files over the built-in ones, as omni's option of that name does.

The functions take values and return values; only main() reads and writes files. Needs PyYAML.
"""

import argparse
import datetime as dt
import re
import sys
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

HERE = Path(__file__).resolve().parent
POLICIES = HERE.parent / "policies" / "policies.yaml"
EFFECTIVE = HERE.parent / "policies" / "effective.yaml"
CATALOGUE = HERE.parent.parent / "catalogue" / "systems"

# Windows are laid out over one whole year, so that months, leap days and both changes of clocks are in it.
YEAR_START = dt.datetime(2028, 1, 1, tzinfo=dt.timezone.utc)
YEAR_DAYS = 366

MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13)))
DAYS = dict(zip("sun mon tue wed thu fri sat".split(), range(7)))
CRON_FIELDS = (("minute", 0, 59, {}), ("hour", 0, 23, {}), ("day", 1, 31, {}), ("month", 1, 12, MONTHS), ("weekday", 0, 7, DAYS))
UNIT_MINUTES = {"m": 1, "h": 60, "d": 1440}
RETENTION_KEYS = ("within", "hourly", "daily", "weekly", "monthly", "yearly")


class Bad(Exception):
    """A value that cannot be read; the text says which and why."""


# ---- reading single values -------------------------------------------------------------------------------------------

def minutes(text):
    """'90m', '2h', '9d' -> minutes."""
    match = re.fullmatch(r"(\d+)([mhd])", str(text))
    if not match:
        raise Bad(f"'{text}' is no duration: write a number and m, h or d, as in 90m")
    return int(match[1]) * UNIT_MINUTES[match[2]]


def cron(text):
    """Five fields -> (minutes, hours, days, months, weekdays, day_free, weekday_free)."""
    parts = str(text).split()
    if len(parts) != 5:
        raise Bad(f"cron '{text}' has {len(parts)} fields, five are needed (minute hour day month weekday)")
    sets = [_cron_field(part, *field) for part, field in zip(parts, CRON_FIELDS)]
    weekdays = {day % 7 for day in sets[4]}
    return (*sets[:4], weekdays, parts[2].startswith("*"), parts[4].startswith("*"))


def _cron_field(text, name, low, high, names):
    values = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        if step and not step.isdigit() or step == "0":
            raise Bad(f"cron field {name}: step '{step}' is no number above 0")
        if body == "*":
            first, last = low, high
        else:
            first, dash, last = body.partition("-")
            first = _cron_value(first, name, low, high, names)
            last = _cron_value(last, name, low, high, names) if dash else (high if step else first)
            if last < first:
                raise Bad(f"cron field {name}: '{body}' runs backwards")
        values.update(range(first, last + 1, int(step or 1)))
    return values


def _cron_value(text, name, low, high, names):
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdigit() or not low <= int(text) <= high:
        raise Bad(f"cron field {name}: '{text}' is not between {low} and {high}")
    return int(text)


def starts(text, zone, begin=YEAR_START, days=YEAR_DAYS):
    """All starts of a cron line as minutes since `begin`, in order. A wall-clock time that the change of clocks skips runs at the first
    minute after the gap; one that comes twice runs the first time only."""
    minute_set, hour_set, day_set, month_set, weekday_set, day_free, weekday_free = cron(text)
    try:
        zone = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise Bad(f"time zone '{zone}' is unknown") from None
    found = set()
    day = begin.date() - dt.timedelta(days=1)
    for _ in range(days + 2):
        by_day, by_weekday = day.day in day_set, (day.weekday() + 1) % 7 in weekday_set
        # As in every cron: when both day fields are given, one of them is enough.
        fits = (by_day and by_weekday) if day_free or weekday_free else (by_day or by_weekday)
        if day.month in month_set and fits:
            for hour in hour_set:
                for minute in minute_set:
                    local = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                    at = local.astimezone(dt.timezone.utc)
                    offset = round((at - begin).total_seconds() / 60)
                    if 0 <= offset < days * 1440:
                        found.add(offset)
        day += dt.timedelta(days=1)
    return sorted(found)


# ---- catalogue -------------------------------------------------------------------------------------------------------

def load_catalogue(folder=CATALOGUE, own=None):
    """{component: entry with its system number}; those of the folder `own` over the built-in ones of the same name."""
    found = {}
    for place in filter(None, (folder, own)):
        paths = sorted(path for path in Path(place).glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
        if not paths:
            raise Bad(f"no catalogue file in {place}")
        for path in paths:
            system = yaml.safe_load(path.read_text(encoding="utf-8"))
            for entry in system.get("components") or []:
                found[entry["name"]] = {**entry, "system": system["system"]}
    return found


# ---- expanding -------------------------------------------------------------------------------------------------------

def _merge(base, over):
    merged = dict(base)
    for key, value in (over or {}).items():
        merged[key] = _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


def expand(policies, catalogue):
    """policies.yaml + catalogue -> the flat document that effective.yaml holds."""
    repositories = {}
    for site, spec in policies["sites"].items():
        for tier in policies["tiers"]:
            fill = lambda value: value.replace("{tier}", tier) if isinstance(value, str) else value  # noqa: E731
            repositories[f"{site}-{tier}"] = {
                "site": site, "tier": tier, "url": fill(spec["url"]), "region": spec["region"], "medium": spec["medium"],
                "append_only": spec["append_only"], "offsite": spec["offsite"],
                "credentials": {key: fill(value) for key, value in spec["credentials"].items()},
                "maintenance": {**{key: fill(value) for key, value in spec["maintenance"].items()},
                                **policies["tiers"][tier]["maintenance"]},
            }
    tiers = {tier: _effective_tier(tier, policies) for tier in policies["tiers"]}
    result, covered, none = {}, {}, {}
    for name, entry in catalogue.items():
        take = entry["backup"]
        if take["method"] == "none":
            none[name] = (policies.get("none") or {}).get(name) or take["what"]
        elif take["method"] == "shared":
            covered[name] = take["shared_with"]
        else:
            result[name] = _effective(name, entry, take, policies)
    return {"version": policies["version"], "time_zone": policies["time_zone"], "catch_up": policies["catch_up"], "limits": policies["limits"],
            "repositories": repositories, "tiers": tiers, "policies": result, "covered": covered, "none": none}


def _effective_tier(tier, policies):
    """What holds for data that belongs to no component of the catalogue, and for the care of repositories that have a name of their own."""
    base = policies["tiers"][tier]
    return {"repository": f"home-{tier}", "backup": {"time_zone": policies["time_zone"], **base["backup"]},
            "copy": {"to": [f"{site}-{tier}" for site in base["copy"]["to"]], "max_duration": base["copy"]["max_duration"]},
            "max_age": base["max_age"], "retention": base["retention"],
            "drill": {**base["drill"], "host": "other", "copy": "rotate"}, "maintenance": base["maintenance"]}


def _effective(name, entry, take, policies):
    own = (policies.get("components") or {}).get(name) or {}
    tier = own.get("as_tier", entry["tier"])
    base = policies["tiers"][tier]
    merged = _merge({key: base[key] for key in ("backup", "copy", "max_age", "retention", "drill")},
                    {key: value for key, value in own.items() if key not in ("as_tier", "reason", "probe")})
    probe = _merge(policies["probes"][take["method"]], own.get("probe"))
    drill = {**merged["drill"], "host": "other", "copy": "rotate", "probe": probe}
    block = {"system": entry["system"], "tier": tier, "catalogue_tier": entry["tier"]}
    block["take"] = {key: take[key] for key in ("method", "server", "databases", "paths", "host_paths", "buckets", "command", "quiesce", "same_moment")
                     if key in take}
    if "quiesce" not in block["take"]:
        block["take"]["quiesce"] = "none"
    if take.get("keys"):
        block["keys_elsewhere"] = take["keys"]
    block["repository"] = f"home-{tier}"
    block["tags"] = [f"component={name}", f"tier={tier}"]
    block["backup"] = {"time_zone": policies["time_zone"], **merged["backup"]}
    block["copy"] = {"to": [f"{site}-{tier}" for site in merged["copy"]["to"]], "max_duration": merged["copy"]["max_duration"]}
    block["max_age"] = merged["max_age"]
    block["worst_age"] = None  # filled by with_worst_ages: needs the year laid out
    block["retention"] = merged["retention"]
    block["drill"] = drill
    if "reason" in own:
        block["reason"] = own["reason"]
    return block


def window(block):
    """Minutes from a start until backup and copies must be over."""
    return minutes(block["backup"]["jitter"]) + minutes(block["backup"]["max_duration"]) + minutes(block["copy"]["max_duration"])


def worst_age(block):
    """The oldest that the newest copied snapshot can get in a year when every run succeeds, in minutes."""
    at = starts(block["backup"]["schedule"], block["backup"]["time_zone"])
    if len(at) < 2:
        raise Bad(f"schedule '{block['backup']['schedule']}' starts fewer than two times a year")
    gaps = [later - sooner for sooner, later in zip(at, at[1:])]
    return max(gaps) + window(block)


def with_worst_ages(document):
    for block in document["policies"].values():
        block["worst_age"] = f"{worst_age(block)}m"
    return document


# ---- checking --------------------------------------------------------------------------------------------------------

def problems(policies, catalogue):
    """Every reason why this set must not be used. Empty: it may."""
    found = []
    found += _listed_but_unknown(policies, catalogue)
    found += _values(policies)
    if found:
        return found  # the rest would only repeat them
    document = expand(policies, catalogue)
    found += _nothing_forgotten(policies, document, catalogue)
    for name, block in document["policies"].items():
        found += [f"{name}: {text}" for text in _one_policy(block, document["repositories"])]
    found += _same_moment(document)
    found += _exclusive_windows(document)
    return found


def _listed_but_unknown(policies, catalogue):
    found = []
    for section in ("components", "none"):
        for name in policies.get(section) or {}:
            if name not in catalogue:
                found.append(f"{section}: '{name}' is no component of the catalogue")
    for name in policies.get("none") or {}:
        if name in catalogue and catalogue[name]["backup"]["method"] != "none":
            found.append(f"none: '{name}' is said to have nothing to keep, but the catalogue says '{catalogue[name]['backup']['method']}'")
    for name, own in (policies.get("components") or {}).items():
        if not own.get("reason"):
            found.append(f"components: '{name}' differs from its tier without a reason")
        if own.get("as_tier", "critical") not in policies["tiers"]:
            found.append(f"components: '{name}' names tier '{own['as_tier']}', which has no policy")
        if name in catalogue and catalogue[name]["backup"]["method"] in ("none", "shared"):
            found.append(f"components: '{name}' has a policy, but the catalogue says '{catalogue[name]['backup']['method']}'")
    for tier in {entry["tier"] for entry in catalogue.values()} - set(policies["tiers"]):
        found.append(f"tiers: no policy for tier '{tier}'")
    methods = {entry["backup"]["method"] for entry in catalogue.values()} - {"none", "shared"}
    for method in sorted(methods - set(policies["probes"])):
        found.append(f"probes: no probe for method '{method}'")
    return found


def _values(policies):
    """Every cron line and duration of the file can be read."""
    found = []

    def walk(value, where):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{where}.{key}" if where else str(key))
            return
        key = where.rsplit(".", 1)[-1]
        try:
            if key == "schedule":
                starts(value, policies["time_zone"])
            elif key in ("jitter", "max_duration", "max_age", "restore_within"):
                minutes(value)
        except Bad as error:
            found.append(f"{where}: {error}")

    walk({key: policies.get(key) or {} for key in ("tiers", "components")}, "")
    sites = set(policies["sites"])
    for part in ("tiers", "components"):
        for name, block in (policies.get(part) or {}).items():
            for site in sorted(set((block.get("copy") or {}).get("to", [])) - sites):
                found.append(f"{part}.{name}.copy.to: site '{site}' is not among {', '.join(sorted(sites))}")
            for key, value in (block.get("retention") or {}).items():
                if key == "last":
                    continue
                if key not in RETENTION_KEYS:
                    found.append(f"{part}.{name}.retention: '{key}' is unknown; use last, {', '.join(RETENTION_KEYS)}")
                elif not re.fullmatch(r"(?=.)(\d+y)?(\d+d)?(\d+h)?", str(value)):
                    found.append(f"{part}.{name}.retention.{key}: '{value}' is no time in restic's form without months, as in 1y30d or 48h")
    return found


def _nothing_forgotten(policies, document, catalogue):
    found = []
    for name, entry in catalogue.items():
        keeps = [path["path"] for path in (entry.get("data") or {}).get("paths", []) if path.get("keep") == "state"]
        if name in document["none"] and keeps and name not in (policies.get("none") or {}):
            found.append(f"{name}: keeps state in {', '.join(keeps)} and has no policy; give one in the catalogue, or a reason under none:")
    for name, by in document["covered"].items():
        if by not in document["policies"]:
            found.append(f"{name}: is said to be covered by '{by}', which has no policy")
    return found


def _one_policy(block, repositories):
    found = []
    worst, limit = worst_age(block), minutes(block["max_age"])
    if worst > limit:
        found.append(f"RPO can reach {worst}m (longest gap between runs, jitter, backup and copy), over max_age {block['max_age']}")
    if minutes(block["backup"]["jitter"]) + minutes(block["backup"]["max_duration"]) > _shortest_gap(block):
        found.append("a run may still be going when its next one starts; shorten max_duration or jitter")
    names = [block["repository"], *block["copy"]["to"]]
    used = [repositories[name] for name in names]
    if 1 + len(set(names)) < 3:
        found.append(f"3-2-1: {1 + len(set(names))} copies with the live one, 3 are needed")
    # Backup copies alone must lie on two media: the live data dies with its host, so its disk does not count.
    if len({repo["medium"] for repo in used}) < 2:
        found.append("3-2-1: all copies on one medium, 2 are needed")
    if not any(repo["offsite"] for repo in used):
        found.append("3-2-1: no copy off site")
    if not any(repo["append_only"] for repo in used):
        found.append("no append-only copy: who takes the host takes every backup")
    if not any(repo["append_only"] and repo["offsite"] for repo in used):
        found.append("no copy that is both off site and append-only")
    if minutes(block["drill"]["max_age"]) < _longest_gap(block["drill"]["schedule"], block["backup"]["time_zone"]) + minutes(block["drill"]["jitter"]):
        found.append(f"drills run less often than their max_age {block['drill']['max_age']} allows")
    # Something must be left when every run fails for as long as a drill may be overdue.
    longest = max(_retention_days(value) for key, value in block["retention"].items() if key != "last")
    if longest * 1440 < minutes(block["max_age"]) * 3:
        found.append(f"retention ends after {longest} days, less than three times max_age")
    return found


def _retention_days(text):
    amount = {unit: int(number) for number, unit in re.findall(r"(\d+)([ydh])", str(text))}
    return amount.get("y", 0) * 365 + amount.get("d", 0) + amount.get("h", 0) / 24


def _shortest_gap(block):
    at = starts(block["backup"]["schedule"], block["backup"]["time_zone"])
    return min(later - sooner for sooner, later in zip(at, at[1:]))


def _longest_gap(schedule, zone):
    # Two years, so that a drill that runs twice a year still shows its longest gap.
    at = starts(schedule, zone, days=2 * YEAR_DAYS)
    if len(at) < 2:
        raise Bad(f"drill schedule '{schedule}' starts fewer than two times in two years")
    return max(later - sooner for sooner, later in zip(at, at[1:]))


def _same_moment(document):
    found = []
    for name, block in document["policies"].items():
        for other in block["take"].get("same_moment", []):
            partner = document["policies"].get(other)
            if partner is None:
                found.append(f"{name}: must be taken at the same moment as '{other}', which has no policy")
            elif (partner["backup"], partner["repository"]) != (block["backup"], block["repository"]):
                found.append(f"{name}: must be taken at the same moment as '{other}', but their schedules or repositories differ")
    return found


def _exclusive_windows(document):
    """prune and check lock a repository for themselves: no backup or copy may use it then, nor may they meet each other."""
    found = []
    busy = {name: {} for name in document["repositories"]}
    for component, block in document["policies"].items():
        for repository in [block["repository"], *block["copy"]["to"]]:
            busy[repository].setdefault((block["backup"]["schedule"], window(block)), component)
    for name, repository in document["repositories"].items():
        jobs = {job: repository["maintenance"][job] for job in ("prune", "check")}
        spans = {job: [(at, at + minutes(spec["max_duration"])) for at in starts(spec["schedule"], document["time_zone"])] for job, spec in jobs.items()}
        for job in jobs:
            for (schedule, length), component in busy[name].items():
                runs = [(at, at + length) for at in starts(schedule, document["time_zone"])]
                clash = _first_overlap(spans[job], runs)
                if clash is not None:
                    found.append(f"repository {name}: {job} ('{jobs[job]['schedule']}') meets the backup window of {component} ('{schedule}', {length}m)"
                                 f" at {_show(clash)}")
        clash = _first_overlap(spans["prune"], spans["check"])
        if clash is not None:
            found.append(f"repository {name}: prune and check meet at {_show(clash)}")
    return found


def _first_overlap(left, right):
    """First minute that a span of both sorted lists shares."""
    i = j = 0
    while i < len(left) and j < len(right):
        begin, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if begin < end:
            return begin
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return None


def _show(offset):
    return (YEAR_START + dt.timedelta(minutes=offset)).strftime("%a %d %b %H:%M UTC")


# ---- commands --------------------------------------------------------------------------------------------------------

HEAD = """# Generated by ../scripts/policy.py generate from policies.yaml and the catalogue; change those, then generate again.
# One flat block a component, and one a tier for what is no component: nothing is inherited any more. This is the file that omni's backup engine reads. Meaning: README.md.
"""


def _flow(value):
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _block(name, values):
    return [f"  {name}:"] + [f"    {key}: {_flow(value)}" for key, value in values.items()]


def render(document):
    """One line a key, so that a change of policy reads as one line of diff for each component it touches."""
    lines = [HEAD]
    for key in ("version", "time_zone", "catch_up", "limits"):
        lines.append(f"{key}: {_flow(document[key])}")
    for section in ("repositories", "tiers", "policies"):
        lines += ["", f"{section}:"]
        for name, values in document[section].items():
            lines += _block(name, values)
    for section in ("covered", "none"):
        lines += ["", f"{section}:"] + [f"  {name}: {_flow(value)}" for name, value in document[section].items()]
    return "\n".join(lines) + "\n"


def table(document):
    lines = [f"{'component':24} {'repository':15} {'schedule':18} {'worst age':>9} {'limit':>6}  drill"]
    for name, block in document["policies"].items():
        lines.append(f"{name:24} {block['repository']:15} {block['backup']['schedule']:18} {block['worst_age']:>9} {block['max_age']:>6}  "
                     f"{block['drill']['schedule']}")
    return "\n".join(lines)


def _arguments(words):
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--policies", type=Path, default=POLICIES)
    parser.add_argument("--catalogue", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("command", choices=("check", "generate", "show", "table"))
    parser.add_argument("name", nargs="?")
    read = parser.parse_args(words)
    if (read.command == "show") != (read.name is not None):
        parser.error("`show` takes the name of a component, the others take none")
    if read.out is None:
        # What is generated from somebody's own files must not land in place of the platform's.
        if read.command == "generate" and (read.policies != POLICIES or read.catalogue):
            parser.error("say with --out where the result of your own files goes")
        read.out = EFFECTIVE
    return read


def main(words):
    read = _arguments(words)
    policies = yaml.safe_load(read.policies.read_text(encoding="utf-8"))
    catalogue = load_catalogue(own=read.catalogue)
    found = problems(policies, catalogue)
    for text in found:
        print(f"{read.policies.name}: {text}", file=sys.stderr)
    if found:
        return 1
    document = with_worst_ages(expand(policies, catalogue))
    if read.command == "check":
        stale = not read.out.exists() or read.out.read_text(encoding="utf-8") != render(document)
        if stale:
            print(f"{read.out.name} is not what {read.policies.name} and the catalogue give: run policy.py generate", file=sys.stderr)
            return 1
        print(f"{len(document['policies'])} policies, {len(document['covered'])} covered by another, {len(document['none'])} with nothing to keep")
    elif read.command == "generate":
        read.out.write_text(render(document), encoding="utf-8")
    elif read.command == "table":
        print(table(document))
    elif read.name in document["policies"]:
        print("\n".join(_block(read.name, document["policies"][read.name])))
    else:
        print(f"{read.name}: {document['none'].get(read.name) or document['covered'].get(read.name) or 'not in the catalogue'}")
        return 0 if read.name in catalogue else 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Bad, KeyError, OSError, yaml.YAMLError) as error:
        print(f"policy.py: {error!r}" if isinstance(error, KeyError) else f"policy.py: {error}", file=sys.stderr)
        sys.exit(1)
