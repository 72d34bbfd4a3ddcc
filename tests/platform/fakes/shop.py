"""A small project that passes all eight stages of the pipeline: prices of a shop, as an API. Tests break it."""

from __future__ import annotations

import subprocess
from pathlib import Path

FILES = {
    "openapi.yaml": """\
openapi: 3.0.3
info: {title: Shop, version: 1.2.0}
paths:
  /price/{item}:
    get:
      operationId: getPrice
      parameters:
        - {name: item, in: path, required: true, schema: {type: string, pattern: '^[a-z]{1,20}$'}}
        - {name: count, in: query, required: false, schema: {type: integer, minimum: 1, maximum: 1000}}
      responses:
        '200':
          description: the price in cents
          content:
            application/json:
              schema:
                type: object
                required: [item, cents]
                additionalProperties: false
                properties: {item: {type: string}, cents: {type: integer, minimum: 0}}
        '400':
          description: not a request this API knows
          content: {application/json: {schema: {type: object, required: [error], properties: {error: {type: string}}}}}
        '404':
          description: no such item
          content: {application/json: {schema: {type: object, required: [error], properties: {error: {type: string}}}}}
""",
    "acceptance.md": """\
# What was agreed

- AC-1: an item costs its price times the count.
- AC-2: from ten pieces on there is a tenth off.
- AC-3: an item that does not exist is refused.
""",
    "src/shop/__init__.py": '"""Prices of a shop."""\n',
    "src/shop/store.py": """\
\"\"\"What there is, and what one piece costs, in cents.\"\"\"

PRICES = {"apple": 40, "bread": 310, "cheese": 1250}


def price_of(item: str) -> int | None:
    \"\"\"The price of one piece; None when there is no such item.\"\"\"
    return PRICES.get(item)
""",
    "src/shop/service.py": """\
\"\"\"What several pieces cost.\"\"\"

from shop import store

DISCOUNT_FROM = 10


class UnknownItem(Exception):
    \"\"\"There is no such item.\"\"\"


def total(item: str, count: int) -> int:
    \"\"\"Cents for so many pieces; from ten on, a tenth less.\"\"\"
    if count < 1:
        raise ValueError("the count is at least 1")
    price = store.price_of(item)
    if price is None:
        raise UnknownItem(item)
    full = price * count
    if count >= DISCOUNT_FROM:
        return full - full // 10
    return full
""",
    "src/shop/api.py": """\
\"\"\"The service over HTTP.\"\"\"

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from shop import service


def get_price(item: str, query: str) -> tuple[str, dict[str, Any]]:
    \"\"\"Status and body of GET /price/{item}.\"\"\"
    counts = parse_qs(query, keep_blank_values=True).get("count", ["1"])
    if not re.fullmatch(r"[a-z]{1,20}", item) or len(counts) != 1 or not re.fullmatch(r"[0-9]{1,4}", counts[0], re.ASCII):
        return "400 Bad Request", {"error": "not an item and a count"}
    if not 1 <= int(counts[0]) <= 1000:
        return "400 Bad Request", {"error": "the count is 1 to 1000"}
    try:
        return "200 OK", {"item": item, "cents": service.total(item, int(counts[0]))}
    except service.UnknownItem:
        return "404 Not Found", {"error": "no such item"}


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    \"\"\"WSGI.\"\"\"
    match = re.fullmatch(r"/price/([^/]+)", environ["PATH_INFO"])
    allow: list[tuple[str, str]] = []
    if not match:
        status, body = "404 Not Found", {"error": "no such page"}
    elif environ["REQUEST_METHOD"] != "GET":
        status, body, allow = "405 Method Not Allowed", {"error": "only GET"}, [("Allow", "GET")]
    else:
        status, body = get_price(match[1], environ.get("QUERY_STRING", ""))
    start(status, [("Content-Type", "application/json"), *allow])
    return [json.dumps(body).encode()]


def main() -> None:
    \"\"\"Serve, or with two arguments print a price.\"\"\"
    if len(sys.argv) == 3:
        print(json.dumps(get_price(sys.argv[1], f"count={sys.argv[2]}")))
        return
    with make_server("127.0.0.1", int(os.environ["CI_APP_PORT"]), application) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
""",
    "tests/conftest.py": "import sys\nfrom pathlib import Path\n\nsys.path.insert(0, str(Path(__file__).parents[1] / 'src'))\n",
    "tests/test_service.py": """\
import pytest
from shop import service, store


def test_ac_1_price_times_count():
    assert service.total("apple", 1) == 40
    assert service.total("apple", 9) == 360


def test_ac_2_a_tenth_off_from_ten():
    assert service.total("apple", 10) == 360
    assert service.total("bread", 11) == 3069


def test_ac_3_unknown_item():
    with pytest.raises(service.UnknownItem):
        service.total("anvil", 1)


def test_count_is_at_least_one():
    with pytest.raises(ValueError):
        service.total("apple", 0)


def test_prices():
    assert store.PRICES == {"apple": 40, "bread": 310, "cheese": 1250}
""",
    "tests/test_api.py": """\
import io
import json
import sys

import pytest
from shop import api


def ask(path, query="", method="GET"):
    seen = {}

    def start(status, headers):
        seen.update(status=status, headers=dict(headers))

    body = b"".join(api.application({"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}, start))
    return seen["status"][:3], json.loads(body), seen["headers"]


@pytest.mark.parametrize(
    ("path", "query", "status", "body"),
    [
        ("/price/apple", "", "200", {"item": "apple", "cents": 40}),
        ("/price/apple", "count=1000", "200", {"item": "apple", "cents": 36000}),
        ("/price/apple", "count=1001", "400", {"error": "the count is 1 to 1000"}),
        ("/price/apple", "count=0", "400", {"error": "the count is 1 to 1000"}),
        ("/price/apple", "count=", "400", {"error": "not an item and a count"}),
        ("/price/apple", "count=12345", "400", {"error": "not an item and a count"}),
        ("/price/apple", "count=1&count=2", "400", {"error": "not an item and a count"}),
        ("/price/Apple", "", "400", {"error": "not an item and a count"}),
        ("/price/anvil", "", "404", {"error": "no such item"}),
        ("/", "", "404", {"error": "no such page"}),
    ],
)
def test_answers(path, query, status, body):
    assert ask(path, query)[:2] == (status, body)


def test_other_methods():
    status, body, headers = ask("/price/apple", method="POST")
    assert (status, body, headers["Allow"]) == ("405", {"error": "only GET"}, "GET")
    assert headers["Content-Type"] == "application/json"


def test_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["shop", "bread", "2"])
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    api.main()
    assert json.loads(out.getvalue()) == ["200 OK", {"item": "bread", "cents": 620}]
""",
    "tests/property/test_totals.py": """\
from hypothesis import given
from hypothesis import strategies as st
from shop import service, store


@given(st.sampled_from(sorted(store.PRICES)), st.integers(1, 1000))
def test_more_pieces_never_cost_less_than_nine_tenths(item, count):
    full = store.PRICES[item] * count
    assert full * 0.9 <= service.total(item, count) <= full
""",
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "shop"
version = "1.2.0"
requires-python = ">=3.11"

[tool.setuptools.packages.find]
where = ["src"]

[tool.mypy]
strict = true
mypy_path = "src"

[tool.ruff]
line-length = 140
""",
    "requirements.txt": "",
    "CHANGELOG.md": "# Changes\n\n## 1.2.0\n\n- A tenth off from ten pieces on.\n\n## 1.1.0\n\n- Cheese.\n",
    "Dockerfile": "FROM registry.omni.test/base/python:3.11.7\nCOPY src /app\nUSER 1000\nCMD [\"python3\", \"-m\", \"shop.api\"]\n",
    ".gitignore": ".omni-ci/out/\n__pycache__/\n*.egg-info/\nbuild/\n.hypothesis/\n",
    ".omni-ci/approvers": "# who may agree to a change of the specification\nann\n",
    ".omni-ci/layers": "# uppermost first\nshop.api\nshop.service\nshop.store\n",
    ".omni-ci/golden.tsv": "price-of-one\tPYTHONPATH=src python3 -m shop.api bread 1\nprice-of-many\tPYTHONPATH=src python3 -m shop.api cheese 25\n",
    ".omni-ci/settings.env": """\
# Settings of the pipeline for this project.
CI_COVERAGE_MIN=85
CI_SMOKE=PYTHONPATH=src python3 -m shop.api apple 3 | grep -q '"cents": 120'
CI_APP=PYTHONPATH=src exec python3 -m shop.api
CI_API_EXAMPLES=8
CI_MUTATION_MAX=4
CI_FLAKY_RUNS=2
# Nothing outside can be asked on the machine that tests the pipeline.
CI_AUDIT=off
CI_TRIVY=off
""",
}


def make(folder: Path) -> Path:
    """The project as a git repository with one commit on main, its specification locked, its results golden."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "init", "-q", "-b", "main")
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@omni.test", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
