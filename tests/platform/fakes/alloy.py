"""Reads an Alloy configuration and runs its loki.process pipelines.

Alloy itself is a Go program that cannot be had on the test machine. This module knows the part of it that
compose/logs uses: the syntax, discovery.relabel / loki.relabel rules, and the stages of loki.process, each after the
reference of the component and its source (grafana/alloy, docs/sources/reference/components, internal/component/loki/
process/stages). It is strict: an unknown component, block or argument is an error, and so is a reference to nothing.
Regular expressions run on RE2 itself.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from dataclasses import dataclass, field

import jmespath
import re2

# Where each component and its arguments are described. Only what compose/logs uses.
REFERENCE = "docs/sources/reference/components"
COMPONENTS = {
    "logging": (f"{REFERENCE}/../config-blocks/logging.md", {"level", "format", "write_to"}, set()),
    "discovery.docker": (f"{REFERENCE}/discovery/discovery.docker.md", {"host", "refresh_interval", "port", "match_first_network", "host_networking_host"}, {"filter"}),
    "discovery.relabel": (f"{REFERENCE}/discovery/discovery.relabel.md", {"targets"}, {"rule"}),
    "loki.relabel": (f"{REFERENCE}/loki/loki.relabel.md", {"forward_to", "max_cache_size"}, {"rule"}),
    "loki.source.docker": (f"{REFERENCE}/loki/loki.source.docker.md", {"host", "targets", "forward_to", "labels", "relabel_rules", "refresh_interval"}, {"client"}),
    "loki.source.api": (f"{REFERENCE}/loki/loki.source.api.md", {"forward_to", "labels", "relabel_rules", "use_incoming_timestamp", "max_send_message_size", "graceful_shutdown_timeout"}, {"http"}),
    "loki.source.journal": (f"{REFERENCE}/loki/loki.source.journal.md", {"forward_to", "format_as_json", "labels", "matches", "max_age", "path", "relabel_rules"}, set()),
    "loki.source.file": (f"{REFERENCE}/loki/loki.source.file.md", {"targets", "forward_to", "encoding", "tail_from_end"}, {"decompression", "file_watch"}),
    "local.file_match": (f"{REFERENCE}/local/local.file_match.md", {"path_targets", "sync_period"}, set()),
    "loki.process": (f"{REFERENCE}/loki/loki.process.md", {"forward_to"}, set()),
    "loki.write": (f"{REFERENCE}/loki/loki.write.md", {"external_labels", "max_streams"}, {"endpoint"}),
}
EXPORTS = {
    "discovery.docker": {"targets"},
    "discovery.relabel": {"output", "rules"},
    "loki.relabel": {"receiver", "rules"},
    "local.file_match": {"targets"},
    "loki.process": {"receiver"},
    "loki.write": {"receiver"},
}
INNER = {
    "rule": {"source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"},
    "http": {"listen_address", "listen_port", "conn_limit", "server_read_timeout", "server_write_timeout"},
    "tls_config": {"ca_file", "cert_file", "key_file", "ca_pem", "cert_pem", "key_pem", "insecure_skip_verify", "min_version", "server_name"},
    # queue_config and wal are experimental: without --stability.level=experimental Alloy refuses them.
    "endpoint": {"url", "name", "batch_wait", "batch_size", "remote_timeout", "retry_on_http_429", "min_backoff_period", "max_backoff_period", "max_backoff_retries", "tenant_id", "headers", "bearer_token_file"},
    "filter": {"name", "values"},
    "metric.counter": {"action", "name", "count_entry_bytes", "description", "match_all", "max_idle_duration", "prefix", "source", "value"},
}
STAGES = {
    "decolorize": (set(), set()),
    "drop": ({"drop_counter_reason", "expression", "longer_than", "older_than", "separator", "source", "value"}, set()),
    "json": ({"expressions", "drop_malformed", "source"}, {"expressions"}),
    "label_drop": ({"values"}, {"values"}),
    "label_keep": ({"values"}, {"values"}),
    "labels": ({"values"}, {"values"}),
    "limit": ({"burst", "rate", "by_label_name", "drop", "max_distinct_labels"}, {"burst", "rate"}),
    "logfmt": ({"mapping", "source"}, {"mapping"}),
    "match": ({"selector", "action", "drop_counter_reason", "pipeline_name"}, {"selector"}),
    "metrics": (set(), set()),
    "multiline": ({"firstline", "max_lines", "max_wait_time"}, {"firstline"}),
    "regex": ({"expression", "source"}, {"expression"}),
    "replace": ({"expression", "replace", "source"}, {"expression"}),
    "static_labels": ({"values"}, {"values"}),
    "structured_metadata": ({"values"}, {"values"}),
    "template": ({"source", "template"}, {"source", "template"}),
    "timestamp": ({"format", "source", "action_on_failure", "fallback_formats", "location"}, {"format", "source"}),
}


class AlloyError(Exception):
    """What is wrong with a configuration, with its line."""


# --- Syntax -----------------------------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<comment>//[^\n]*)|(?P<newline>\n)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)"""
    r"""|(?P<number>-?\d+(?:\.\d+)?)|(?P<ident>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[{}\[\](),.=])"""
)


@dataclass
class Ref:
    path: str
    line: int


@dataclass
class Call:
    name: str
    args: list
    line: int


@dataclass
class Block:
    name: str
    label: str | None
    line: int
    attrs: dict = field(default_factory=dict)
    blocks: list = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.name}.{self.label}" if self.label else self.name


def unquote(text: str, line: int) -> str:
    if text[0] == "`":
        return text[1:-1]
    out, i, body = [], 0, text[1:-1]
    plain = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
    while i < len(body):
        if body[i] != "\\":
            out.append(body[i])
            i += 1
            continue
        if body[i + 1] not in plain:
            raise AlloyError(f"line {line}: unknown escape \\{body[i + 1]} in a string (a backslash of a regular expression is written twice)")
        out.append(plain[body[i + 1]])
        i += 2
    return "".join(out)


class Parser:
    def __init__(self, text: str):
        self.tokens, line, at = [], 1, 0
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise AlloyError(f"line {line}: cannot read {text[at:at + 20]!r}")
            kind = m.lastgroup
            if kind not in ("space", "comment"):
                self.tokens.append((kind, m.group(), line))
            line += m.group().count("\n")
            at = m.end()
        self.tokens.append(("end", "", line))
        self.i = 0

    def peek(self, skip_newlines=True):
        while skip_newlines and self.tokens[self.i][0] == "newline":
            self.i += 1
        return self.tokens[self.i]

    def take(self, want=None, skip_newlines=True):
        token = self.peek(skip_newlines)
        if want and token[1] != want:
            raise AlloyError(f"line {token[2]}: expected {want!r}, found {token[1]!r}")
        self.i += 1
        return token

    def body(self, closing: str) -> tuple[dict, list]:
        attrs, blocks = {}, []
        while True:
            kind, text, line = self.peek()
            if (closing and text == closing) or (not closing and kind == "end"):
                self.i += 1
                return attrs, blocks
            if kind != "ident":
                raise AlloyError(f"line {line}: expected a name or {closing or 'the end'!r}, found {text or kind!r}")
            name = self.take()[1]
            while self.peek(False)[1] == ".":
                self.take(".")
                name += "." + self.take()[1]
            kind, text, _ = self.peek(False)
            if text == "=":
                self.take("=")
                if name in attrs:
                    raise AlloyError(f"line {line}: {name} is set twice")
                attrs[name] = self.expression()
                kind, text, at = self.peek(False)
                if kind not in ("newline", "end") and text != "}":
                    raise AlloyError(f"line {at}: one attribute a line, found {text!r} after {name}")
                continue
            label = unquote(self.take()[1], line) if kind == "string" else None
            self.take("{", False)
            inner = Block(name, label, line)
            inner.attrs, inner.blocks = self.body("}")
            blocks.append(inner)

    def expression(self):
        kind, text, line = self.take()
        if kind in ("string", "raw"):
            return unquote(text, line)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if text == "[":
            items = []
            while self.peek()[1] != "]":
                items.append(self.expression())
                if self.peek()[1] != "]":
                    self.take(",")
            self.take("]")
            return items
        if text == "{":
            items = {}
            while self.peek()[1] != "}":
                kind, key, line = self.take()
                key = unquote(key, line) if kind == "string" else key
                self.take("=")
                items[key] = self.expression()
                if self.peek()[1] != "}":
                    self.take(",")
            self.take("}")
            return items
        if text in ("true", "false"):
            return text == "true"
        if kind != "ident":
            raise AlloyError(f"line {line}: expected a value, found {text!r}")
        path = text
        while self.peek(False)[1] == ".":
            self.take(".")
            path += "." + self.take()[1]
        if self.peek(False)[1] == "(":
            self.take("(")
            args = []
            while self.peek()[1] != ")":
                args.append(self.expression())
                if self.peek()[1] != ")":
                    self.take(",")
            self.take(")")
            return Call(path, args, line)
        return Ref(path, line)


# --- Configuration ----------------------------------------------------------------------------------------------------

class Config:
    """A checked configuration. `env` is what the process would find in its environment."""

    def __init__(self, text: str, env: dict | None = None):
        self.env = env or {}
        _, blocks = Parser(text).body("")
        self.components: dict[str, Block] = {}
        for block in blocks:
            if block.name not in COMPONENTS:
                raise AlloyError(f"line {block.line}: {block.name} is no component this configuration may use")
            if block.address in self.components:
                raise AlloyError(f"line {block.line}: {block.address} is there twice")
            self.components[block.address] = block
        for block in blocks:
            self._check(block)
            self._evaluate(block)
        self._check_reachable()

    def _check(self, block: Block):
        _, attrs, inner = COMPONENTS[block.name]
        self._known(block, attrs)
        for child in block.blocks:
            if block.name == "loki.process":
                self._check_stage(child)
            elif child.name not in inner:
                raise AlloyError(f"line {child.line}: {block.name} has no block {child.name}")
            else:
                self._check_inner(child)
        if block.name != "logging" and not block.label:
            raise AlloyError(f"line {block.line}: {block.name} needs a label")

    def _check_inner(self, block: Block):
        self._known(block, INNER[block.name])
        for child in block.blocks:
            if (block.name, child.name) not in {("endpoint", "tls_config")}:
                raise AlloyError(f"line {child.line}: {block.name} has no block {child.name} (or it is experimental)")
            self._check_inner(child)

    def _check_stage(self, block: Block):
        name = block.name.removeprefix("stage.")
        if not block.name.startswith("stage.") or name not in STAGES:
            raise AlloyError(f"line {block.line}: loki.process has no {block.name}")
        allowed, required = STAGES[name]
        self._known(block, allowed)
        for key in required - set(block.attrs):
            raise AlloyError(f"line {block.line}: {block.name} needs {key}")
        for child in block.blocks:
            if name == "match":
                self._check_stage(child)
            elif name == "metrics" and child.name == "metric.counter":
                self._known(child, INNER[child.name])
            else:
                raise AlloyError(f"line {child.line}: {block.name} has no block {child.name}")
        if name == "match" and (block.attrs.get("action", "keep") == "keep") != bool(block.blocks):
            raise AlloyError(f"line {block.line}: stage.match has inner stages, or the action drop, and not both")
        if name == "limit" and block.attrs.get("by_label_name") and block.attrs.get("drop") is not True:
            raise AlloyError(f"line {block.line}: by_label_name wants drop = true")

    @staticmethod
    def _known(block: Block, allowed: set):
        for key in set(block.attrs) - allowed:
            raise AlloyError(f"line {block.line}: {block.name} has no argument {key}")

    def _evaluate(self, block: Block):
        block.attrs = {key: self._value(value) for key, value in block.attrs.items()}
        for child in block.blocks:
            self._evaluate(child)

    def _value(self, value):
        if isinstance(value, list):
            return [self._value(v) for v in value]
        if isinstance(value, dict):
            return {k: self._value(v) for k, v in value.items()}
        if isinstance(value, Call):
            args = [self._value(a) for a in value.args]
            if value.name == "sys.env":
                return self.env.get(args[0], "")
            if value.name == "coalesce":
                return next((a for a in args if a), args[-1])
            raise AlloyError(f"line {value.line}: {value.name} is not in the standard library this configuration may use")
        if isinstance(value, Ref):
            if value.path == "constants.hostname":
                return "alloy-host"
            address, _, export = value.path.rpartition(".")
            if address not in self.components:
                raise AlloyError(f"line {value.line}: {value.path} refers to nothing")
            name = self.components[address].name
            if export not in EXPORTS.get(name, ()):
                raise AlloyError(f"line {value.line}: {name} exports no {export}")
        return value

    def next_of(self, address: str) -> list[str]:
        return [ref.path.removesuffix(".receiver") for ref in self.components[address].attrs.get("forward_to", [])]

    def paths(self, address: str) -> list[list[str]]:
        """Every way an entry can take from a component to its end."""
        onward = self.next_of(address)
        return [[address, *rest] for a in onward for rest in self.paths(a)] if onward else [[address]]

    def _check_reachable(self):
        used = set()
        for address, block in self.components.items():
            for value in block.attrs.values():
                for ref in value if isinstance(value, list) else [value]:
                    if isinstance(ref, Ref):
                        used.add(ref.path.rpartition(".")[0])
            if block.name.startswith("loki.source.") or block.name == "logging":
                used.add(address)
        for address in set(self.components) - used:
            raise AlloyError(f"line {self.components[address].line}: nobody uses {address}")

    def regexes(self):
        """Every regular expression with its place, for a compile check."""
        def walk(block):
            for key in ("expression", "firstline", "regex"):
                if key in block.attrs:
                    yield block.line, block.attrs[key]
            if "selector" in block.attrs:
                matchers, filters = parse_selector(block.attrs["selector"], block.line)
                yield from ((block.line, value) for _, op, value in matchers if "~" in op)
                yield from ((block.line, value) for op, value in filters if "~" in op)
            for child in block.blocks:
                yield from walk(child)
        for block in self.components.values():
            yield from walk(block)

    # --- Running ------------------------------------------------------------------------------------------------------

    def relabel(self, address: str, labels: dict) -> dict | None:
        """Prometheus relabelling; None when a rule drops the target."""
        labels = dict(labels)
        for rule in self.components[address].blocks:
            attrs = rule.attrs
            value = attrs.get("separator", ";").join(labels.get(n, "") for n in attrs.get("source_labels", []))
            m = re2.fullmatch(attrs.get("regex", "(.*)"), value, ANY)
            action = attrs.get("action", "replace")
            if action == "drop":
                if m:
                    return None
            elif action == "replace":
                if m:
                    labels[attrs["target_label"]] = go_expand(attrs.get("replacement", "$1"), m)
            else:
                raise AlloyError(f"line {rule.line}: action {action} is not used here")
        return {k: v for k, v in labels.items() if v}

    def from_source(self, address: str, entries: list[Entry], meta: dict | None = None) -> list[Entry]:
        """Entries as a loki.source.* component hands them on, through all that follows."""
        source = self.components[address]
        out = []
        for entry in entries:
            labels = {**source.attrs.get("labels", {}), **(meta or {}), **entry.labels}
            rules = source.attrs.get("relabel_rules")
            if isinstance(rules, Ref):
                labels = self.relabel(rules.path.removesuffix(".rules"), labels)
                if labels is None:
                    continue
            out.append(Entry(entry.line, {k: v for k, v in labels.items() if not k.startswith("__")}, entry.time))
        for step in self.paths(address)[0][1:]:
            if self.components[step].name == "loki.process":
                out = self.process(step, out)
        return out

    def process(self, address: str, entries: list[Entry]) -> list[Entry]:
        for entry in entries:
            entry.extracted = {}
        return run_pipeline(self.components[address].blocks, entries)


ANY = re2.Options()
ANY.dot_nl = True
ANY.never_nl = False
ANY.log_errors = False
# Go's regexp is Perl syntax without the s flag; google-re2 calls the same thing by its options.
GO = re2.Options()
GO.log_errors = False
GO.never_nl = False


def go_expand(template: str, m) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda t: m.group(int(t.group(1) or t.group(2))) or "", template)


@dataclass
class Entry:
    line: str
    labels: dict = field(default_factory=dict)
    time: float = 0.0
    meta: dict = field(default_factory=dict)
    extracted: dict = field(default_factory=dict)


def parse_selector(text: str, line: int = 0):
    """A LogQL stream selector with line filters; strict about what Loki refuses."""
    m = re.fullmatch(r"\{(.*?)\}((?:\s*(?:\|=|\|~|!=|!~)\s*\"(?:[^\"\\]|\\.)*\")*)\s*", text, re.S)
    if not m:
        raise AlloyError(f"line {line}: cannot read the selector {text}")
    matchers = [(n, op, unquote(f'"{v}"', line)) for n, op, v in re.findall(r"(\w+)\s*(=~|!~|!=|=)\s*\"((?:[^\"\\]|\\.)*)\"", m.group(1))]
    if not any((op == "=" and v) or (op == "=~" and not re2.fullmatch(v, "", GO)) for _, op, v in matchers):
        raise AlloyError(f"line {line}: {text}: a selector needs one matcher that does not match the empty value")
    filters = [(op, unquote(f'"{v}"', line)) for op, v in re.findall(r"(\|=|\|~|!=|!~)\s*\"((?:[^\"\\]|\\.)*)\"", m.group(2))]
    return matchers, filters


def selects(text: str, entry: Entry) -> bool:
    matchers, filters = parse_selector(text)
    for name, op, want in matchers:
        have = entry.labels.get(name, "")
        hit = bool(re2.fullmatch(want, have, GO)) if "~" in op else have == want
        if hit == op.startswith("!"):
            return False
    for op, want in filters:
        hit = bool(re2.search(want, entry.line, GO)) if "~" in op else want in entry.line
        if hit == op.startswith("!"):
            return False
    return True


def run_pipeline(stages: list[Block], entries: list[Entry]) -> list[Entry]:
    # A pipeline, a nested one too, begins by taking all labels into the extracted values.
    for entry in entries:
        entry.extracted.update(entry.labels)
    for stage in stages:
        name = stage.name.removeprefix("stage.")
        if name == "match":
            entries = run_match(stage, entries)
        elif name == "multiline":
            entries = run_multiline(stage, entries)
        else:
            entries = [e for e in entries if run_stage(name, stage.attrs, e)]
    return entries


def run_match(stage: Block, entries: list[Entry]) -> list[Entry]:
    out, run = [], []
    for entry in [*entries, None]:
        if entry is not None and selects(stage.attrs["selector"], entry):
            if stage.attrs.get("action") != "drop":
                run.append(entry)
            continue
        out += run_pipeline(stage.blocks, run) if run else []
        run = []
        out += [entry] if entry is not None else []
    return out


def run_multiline(stage: Block, entries: list[Entry]) -> list[Entry]:
    """Blocks per stream. Lines before a stream's first block pass as they are."""
    out, open_blocks = [], {}
    for entry in entries:
        key = tuple(sorted(entry.labels.items()))
        if re2.search(stage.attrs["firstline"], entry.line, GO):
            open_blocks[key] = entry
            out.append(entry)
        elif key in open_blocks:
            open_blocks[key].line += "\n" + entry.line
        else:
            out.append(entry)
    return out


def go_string(value):
    """What stages.getString makes of a value; None when it cannot."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)[:-2] if value.is_integer() and abs(value) < 1e16 else f"{value:.9f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None


def run_stage(name: str, a: dict, e: Entry) -> bool:
    """One entry through one stage. False drops the entry."""
    text = go_string(e.extracted.get(a["source"])) if a.get("source") else e.line
    if name == "decolorize":
        e.line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", e.line)
    elif name == "drop":
        if "older_than" in a:
            return not (e.time and e.time < time.time() - 3600 * int(a["older_than"].removesuffix("h")))
        return not re2.search(a["expression"], text or "", GO)
    elif name == "json":
        try:
            data = json.loads(text)
        except (TypeError, ValueError):
            return True
        if isinstance(data, dict):
            for key, expression in a["expressions"].items():
                value = jmespath.search(expression or key, data)
                e.extracted[key] = value if value is None or isinstance(value, (str, bool, int, float)) else json.dumps(value)
    elif name == "logfmt":
        pairs = dict((k, v if v is not None else q) for k, q, v in _logfmt(text or ""))
        for key, source in a["mapping"].items():
            if (source or key) in pairs:
                e.extracted[key] = pairs[source or key]
    elif name == "regex":
        m = re2.search(a["expression"], text, GO) if text is not None else None
        if m:
            e.extracted.update({k: v or "" for k, v in m.groupdict().items()})
    elif name == "replace":
        if text is not None:
            result = replace_groups(a["expression"], text, a.get("replace", ""))
            if a.get("source"):
                e.extracted[a["source"]] = result
            else:
                e.line = result
    elif name == "template":
        values = {k: go_string(v) for k, v in e.extracted.items() if go_string(v) is not None}
        if a["source"] in values:
            values["Value"] = values[a["source"]]
        try:
            result = render(a["template"], {**values, "Entry": e.line})
        except TemplateFailure:
            return True
        if result:
            e.extracted[a["source"]] = result
        else:
            e.extracted.pop(a["source"], None)
    elif name == "labels":
        for label, source in a["values"].items():
            value = go_string(e.extracted.get(source or label))
            if value is not None:
                e.labels[label] = value
    elif name == "static_labels":
        e.labels.update(a["values"])
    elif name == "label_drop":
        for label in a["values"]:
            e.labels.pop(label, None)
    elif name == "label_keep":
        e.labels = {k: v for k, v in e.labels.items() if k in a["values"]}
    elif name == "structured_metadata":
        for label, source in a["values"].items():
            value = go_string(e.extracted.get(source or label))
            if (source or label) in e.labels and value is not None:
                raise AlloyError(f"structured metadata {label} would be there twice: as a label and as an extracted value")
            if value is not None:
                e.meta[label] = value
    elif name == "timestamp":
        e.time = parse_time(a["format"], go_string(e.extracted.get(a["source"]))) or e.time
    elif name in ("limit", "metrics"):
        pass
    return True


def _logfmt(text: str):
    for key, quoted, bare in re.findall(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))', text):
        yield key, quoted.replace('\\"', '"'), bare or None


def replace_groups(expression: str, text: str, replacement: str) -> str:
    """stages/replace.go: every capture group of every match is replaced, in order, without overlap."""
    out, end = [], 0
    for m in re2.finditer(expression, text, GO):
        for i in range(1, m.re.groups + 1):
            start, stop = m.span(i)
            if start >= 0 and start >= end:
                out += [text[end:start], replacement]
                end = stop
    return "".join(out) + text[end:]


def parse_time(layout: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        if layout == "RFC3339Nano":
            head, frac, zone = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()
            moment = datetime.datetime.fromisoformat(head + ("+00:00" if zone == "Z" else zone))
            return moment.timestamp() + float(f"0.{frac or 0}")
        if layout == "Unix":
            return float(text)
        if layout == "UnixMs":
            return int(text) / 1000
    except (AttributeError, ValueError):
        return None
    raise AlloyError(f"time layout {layout} is not used here")


# --- The part of text/template that the configuration uses --------------------------------------------------------------

class TemplateFailure(Exception):
    """Execution failed: Alloy leaves the extracted value as it was."""


def render(template: str, data: dict) -> str:
    parts = re.split(r"\{\{-?\s*(.*?)\s*-?\}\}", template)
    out, _ = _render(parts, 0, data, True)
    return out


def _render(parts, i, data, live):
    """Text and actions alternate. Returns at else, else if or end."""
    out = ""
    while i < len(parts):
        if i % 2 == 0:
            out += parts[i] if live else ""
            i += 1
            continue
        action = parts[i]
        if action == "end" or action.startswith("else"):
            return out, i
        if action.startswith("if "):
            done, condition = False, action[3:]
            while True:
                truth = live and not done and bool(_eval(condition, data))
                text, i = _render(parts, i + 1, data, truth)
                out += text
                done = done or truth
                if parts[i] == "end":
                    i += 1
                    break
                condition = parts[i][8:] if parts[i].startswith("else if ") else "true"
            continue
        if live:
            value = _eval(action, data)
            out += "<no value>" if value is None else str(value)
        i += 1
    return out, i


def _eval(expression: str, data: dict):
    words = re.findall(r'"(?:[^"\\]|\\.)*"|\.\w+|\w+', expression)
    args = [w[1:-1].replace("\\\\", "\\").replace('\\"', '"') if w[0] == '"' else data.get(w[1:]) if w[0] == "." else w for w in words]
    if len(words) == 1:
        return True if words[0] == "true" else args[0]
    function, args = words[0], args[1:]
    if any(not isinstance(a, str) for a in args):
        raise TemplateFailure(f"{function} got no string")
    if function == "ToLower":
        return args[0].lower()
    if function == "regexReplaceAllLiteral":
        return re2.sub(args[0], args[2].replace("\\", "\\\\"), args[1])
    if function == "eq":
        return args[0] in args[1:]
    raise AlloyError(f"template function {function} is not used here")
