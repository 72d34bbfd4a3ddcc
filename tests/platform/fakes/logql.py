"""A small LogQL: reads what the rules in alerts/loki use, refuses everything else, and evaluates it over sample lines.

Loki itself cannot be installed here. This reads the same grammar (Loki's documentation, "LogQL"), so a bracket that is
missing, a label that Alloy does not set or an expression that RE2 does not know turns the test red. What it does not
know it refuses: a rule may use it only after it has been added here.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field

import re2

# What Alloy leaves on an entry: compose/logs/config/alloy/config.alloy, "label_keep" and "structured_metadata".
INDEX = {"component", "tier", "critical", "host", "service", "level", "source", "security"}
METADATA = {"trace_id", "span_id", "request_id", "security_event", "container", "unit", "filename", "log_stream"}

TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)
    |(?P<duration>\d+(?:ms|[smhdw])(?:\d+(?:ms|[smhdw]))*)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<op>\|=|\|~|!=|!~|=~|==|>=|<=|[-+*/%^<>=|(){}\[\],]))""",
    re.X,
)
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
AGGREGATIONS = {"sum": sum, "min": min, "max": max, "count": len, "avg": lambda v: sum(v) / len(v)}
RANGES = {"count_over_time", "rate", "bytes_rate", "bytes_over_time"}
# From loose to tight, as in PromQL.
LEVELS = [{"or"}, {"and", "unless"}, {"==", "!=", ">", ">=", "<", "<="}, {"+", "-"}, {"*", "/", "%"}, {"^"}]
COMPARE = {"==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
COMPUTE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod, "^": operator.pow}


class Refused(ValueError):
    """The expression is not LogQL, or uses something that no rule has used so far."""


@dataclass
class Entry:
    """One log line as Loki has it."""

    at: float
    line: str
    labels: dict[str, str]
    meta: dict[str, str] = field(default_factory=dict)


@dataclass
class Logs:
    """A selector with its pipeline."""

    matchers: list[tuple[str, str, str]]
    stages: list[tuple[str, str, str]]  # (op, label or "", value)

    def takes(self, entry: Entry) -> bool:
        """Whether the entry passes selector, line filters and label filters."""
        for name, op, value in self.matchers:
            if not _match(op, entry.labels.get(name, ""), value, anchored=True):
                return False
        for op, name, value in self.stages:
            if name:
                if not _match(op, {**entry.labels, **entry.meta}.get(name, ""), value, anchored=True):
                    return False
            elif op == "|=" and value not in entry.line or op == "!=" and value in entry.line:
                return False
            elif op == "|~" and not re2.search(value, entry.line) or op == "!~" and re2.search(value, entry.line):
                return False
        return True


def _match(op: str, have: str, want: str, anchored: bool) -> bool:
    if op in ("=", "=="):
        return have == want
    if op == "!=":
        return have != want
    found = re2.search(f"^(?:{want})$" if anchored else want, have) is not None
    return found if op == "=~" else not found


@dataclass
class Range:
    """count_over_time({…}[5m] offset 1h) and its like."""

    function: str
    logs: Logs
    seconds: float
    offset: float

    def value(self, entries: list[Entry], now: float) -> dict[frozenset, float]:
        end = now - self.offset
        out: dict[frozenset, float] = {}
        for entry in entries:
            if end - self.seconds < entry.at <= end and self.logs.takes(entry):
                key = frozenset({**entry.labels, **entry.meta}.items())
                out[key] = out.get(key, 0) + (len(entry.line.encode()) if self.function.startswith("bytes") else 1)
        return {key: v / self.seconds for key, v in out.items()} if self.function.endswith("rate") else out

    def parts(self) -> list[Logs]:
        return [self.logs]


@dataclass
class Aggregate:
    """sum by (component) (…)."""

    function: str
    by: list[str]
    inner: object

    def value(self, entries: list[Entry], now: float) -> dict[frozenset, float]:
        groups: dict[frozenset, list[float]] = {}
        for key, value in self.inner.value(entries, now).items():
            labels = dict(key)
            groups.setdefault(frozenset((n, labels[n]) for n in self.by if n in labels), []).append(value)
        return {key: float(AGGREGATIONS[self.function](values)) for key, values in groups.items()}

    def parts(self) -> list[Logs]:
        return self.inner.parts()


@dataclass
class Binary:
    """left > right, left unless right, …"""

    op: str
    left: object
    right: object

    def value(self, entries: list[Entry], now: float):
        left = self.left.value(entries, now) if hasattr(self.left, "value") else self.left
        right = self.right.value(entries, now) if hasattr(self.right, "value") else self.right
        vectors = isinstance(left, dict), isinstance(right, dict)
        if self.op in ("and", "or", "unless"):
            if self.op == "or":
                return {**right, **left}
            return {k: v for k, v in left.items() if (k in right) == (self.op == "and")}
        if self.op in COMPARE:
            if vectors == (True, False):
                return {k: v for k, v in left.items() if COMPARE[self.op](v, right)}
            if vectors == (True, True):
                return {k: v for k, v in left.items() if k in right and COMPARE[self.op](v, right[k])}
            raise Refused(f"{self.op} needs a vector on its left")
        compute = COMPUTE[self.op]
        if vectors == (True, True):
            return {k: compute(v, right[k]) for k, v in left.items() if k in right}
        if vectors == (True, False):
            return {k: compute(v, right) for k, v in left.items()}
        if vectors == (False, True):
            return {k: compute(left, v) for k, v in right.items()}
        return compute(left, right)

    def parts(self) -> list[Logs]:
        return [p for side in (self.left, self.right) if hasattr(side, "parts") for p in side.parts()]


class Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, at = text, [], 0
        text = text.rstrip()
        while at < len(text):
            token = TOKEN.match(text, at)
            if not token:
                raise Refused(f"cannot be read from here: {text[at:at + 30]!r}")
            self.tokens.append((token.lastgroup, token[token.lastgroup]))
            at = token.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "end"

    def next(self) -> str:
        if self.at >= len(self.tokens):
            raise Refused("ends too early")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def want(self, text: str) -> None:
        got = self.next()
        if got != text:
            raise Refused(f"{text!r} is missing before {got!r}")

    def string(self) -> str:
        if self.kind() != "string":
            raise Refused(f"a string is missing before {self.peek()!r}")
        raw = self.next()
        if raw[0] == "`":
            return raw[1:-1]
        # Go's escapes. An unknown one, such as "\(", is an error in Loki too.
        out, i = [], 1
        simple = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
        while i < len(raw) - 1:
            if raw[i] == "\\":
                if raw[i + 1] not in simple:
                    raise Refused(f"unknown escape {raw[i:i + 2]!r} in {raw}")
                out.append(simple[raw[i + 1]])
                i += 2
            else:
                out.append(raw[i])
                i += 1
        return "".join(out)

    def whole(self):
        found = self.binary(0)
        if self.at != len(self.tokens):
            raise Refused(f"goes on where it should end: {self.peek()!r}")
        return found

    def binary(self, level: int):
        if level == len(LEVELS):
            return self.primary()
        left = self.binary(level + 1)
        while self.peek() in LEVELS[level] and self.kind() != "string":
            op = self.next()
            left = Binary(op, left, self.binary(level + 1))
        return left

    def primary(self):
        if self.kind() == "number":
            return float(self.next())
        token = self.next()
        if token == "(":
            inner = self.binary(0)
            self.want(")")
            return inner
        if token in AGGREGATIONS:
            by = self.grouping()
            self.want("(")
            inner = self.binary(0)
            self.want(")")
            return Aggregate(token, by or self.grouping(), inner)
        if token in RANGES:
            self.want("(")
            logs, seconds, offset = self.range()
            self.want(")")
            return Range(token, logs, seconds, offset)
        raise Refused(f"{token!r} is not a function that rules use here")

    def grouping(self) -> list[str]:
        if self.peek() != "by":
            return []
        self.next()
        self.want("(")
        names = [self.label(INDEX, "grouped by")]
        while self.peek() == ",":
            self.next()
            names.append(self.label(INDEX, "grouped by"))
        self.want(")")
        return names

    def label(self, known: set[str], how: str) -> str:
        if self.kind() != "name":
            raise Refused(f"a label is missing before {self.peek()!r}")
        name = self.next()
        if name not in known:
            raise Refused(f"label {name!r} cannot be {how}: Alloy sets {sorted(known)}")
        return name

    def range(self) -> tuple[Logs, float, float]:
        self.want("{")
        matchers = []
        while True:
            name = self.label(INDEX, "selected by")
            op = self.next()
            if op not in ("=", "!=", "=~", "!~"):
                raise Refused(f"{op!r} compares no label")
            value = self.string()
            if "~" in op:
                _compile(value)
            matchers.append((name, op, value))
            if self.peek() != ",":
                break
            self.next()
        self.want("}")
        if not any(_needs_something(op, value) for _, op, value in matchers):
            raise Refused("one matcher has to refuse the empty value, or Loki refuses the query")
        stages = []
        while self.peek() in ("|=", "!=", "|~", "!~", "|"):
            op = self.next()
            if op == "|":
                name = self.label(METADATA | INDEX, "filtered by")
                compare = self.next()
                if compare not in ("=", "==", "!=", "=~", "!~"):
                    raise Refused(f"{compare!r} compares no label")
                value = self.string()
                if "~" in compare:
                    _compile(value)
                stages.append((compare, name, value))
            else:
                value = self.string()
                if "~" in op:
                    _compile(value)
                stages.append((op, "", value))
        self.want("[")
        seconds = self.duration()
        self.want("]")
        offset = 0.0
        if self.peek() == "offset":
            self.next()
            offset = self.duration()
        return Logs(matchers, stages), seconds, offset

    def duration(self) -> float:
        if self.kind() != "duration":
            raise Refused(f"a time span is missing before {self.peek()!r}")
        return duration(self.next())


def duration(text: str) -> float:
    """`1h30m` in seconds."""
    return sum(int(n) * UNITS[u] for n, u in re.findall(r"(\d+)(ms|[smhdw])", text))


def _compile(expression: str) -> None:
    try:
        re2.compile(expression)
    except re2.error as error:
        raise Refused(f"RE2 refuses {expression!r}: {error}") from error


def _needs_something(op: str, value: str) -> bool:
    return {"=": value != "", "!=": value == "", "=~": not re2.search(f"^(?:{value})$", ""), "!~": False}[op]


def parse(text: str):
    """The expression as a tree with .value(entries, now) and .parts(); Refused when it is none."""
    found = Parser(text).whole()
    if not hasattr(found, "parts") or not found.parts():
        raise Refused("a rule needs a query, not a number")
    return found
