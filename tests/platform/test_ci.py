"""compose/ci: the eight stages over a small project, the workflows, and the scripts around them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from fakes import shop

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "compose" / "ci"
STAGES = sorted((CI / "stages").glob("[0-9][0-9]-*.sh"))
NAMES = [path.stem for path in STAGES]
BIN = Path(sys.executable).parent
# The pipeline's own tools, as its image has them: deploy/packages.sh installs compose/ci/image/requirements.txt there.
# gitleaks, Trivy, syft, cosign and Promptfoo come from no registry that tests reach.
TOOLS = ROOT / ".omni-test" / "ci" / "bin"


def environment(**more: str) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("CI")}
    return {**keep, "PATH": f"{TOOLS}:{os.environ['PATH']}", "SEMGREP_SETTINGS_FILE": str(TOOLS.parent / "semgrep.yml"), "SEMGREP_LOG_FILE": str(TOOLS.parent / "semgrep.log"), "GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@example.org",
            "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@example.org", **more}


def call(script: Path, project: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(script), *args], cwd=project, capture_output=True, text=True, timeout=240, env=environment(**env))


def stage(number: int) -> Path:
    return STAGES[number - 1]


@pytest.fixture(scope="session")
def green(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is as it should be, committed."""
    assert (TOOLS / "semgrep").is_file(), "the pipeline's tools are not installed: deploy/packages.sh test"
    project = shop.make(tmp_path_factory.mktemp("ci") / "shop")
    locked = call(stage(1), project, "--update", "1.2.0", "ann")
    assert locked.returncode == 0, locked.stdout + locked.stderr
    golden = call(stage(8), project, "--update")
    assert golden.returncode == 0, golden.stdout + golden.stderr
    shop.commit(project, "first")
    return project


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without Semgrep, which takes ten seconds: for what is not about it."""
    folder = tmp_path_factory.mktemp("quick")
    for tool in TOOLS.iterdir():
        if tool.name != "semgrep":
            (folder / tool.name).symlink_to(tool)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "CI_OPTIONAL": "semgrep"}


@pytest.fixture
def project(green: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    copy = tmp_path / "shop"
    shutil.copytree(green, copy)
    shutil.rmtree(copy / ".omni-ci" / "out", ignore_errors=True)
    return copy


def test_there_are_eight() -> None:
    assert NAMES == [
        "01-spec-lock", "02-mvp-generation", "03-backend-correctness", "04-architecture-refactor", "05-adversarial-review",
        "06-security-hardening", "07-release-engineering", "08-regression-lock",
    ]


def test_a_green_project_passes_every_stage(green: Path) -> None:
    for script in STAGES:
        done = call(script, green)
        assert done.returncode == 0, f"{script.stem}\n{done.stdout}{done.stderr}"
        report = json.loads((green / ".omni-ci" / "out" / f"{script.stem}.json").read_text())
        assert report["verdict"] == "pass" and any(one["verdict"] == "pass" for one in report["checks"]), report


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(project: Path) -> None:
        file = project / name
        text = file.read_text() if file.exists() else ""
        assert old in text, f"{name} has no {old!r}"
        file.write_text(text.replace(old, new, 1) if old else text + new)

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda project: (project / name).unlink()


def relock(version: str, approver: str) -> Callable[[Path], None]:
    """Another specification, locked and committed beside the branch that it was agreed on."""

    def apply(project: Path) -> None:
        shop.git(project, "switch", "-q", "-c", "change")
        edit("acceptance.md", "a tenth off", "a fifth off")(project)
        call(stage(1), project, "--update", version, approver)
        shop.commit(project, "another specification")

    return apply


SERVICE, API = "src/shop/service.py", "src/shop/api.py"
FAULTS = [
    (1, "files", edit("acceptance.md", "a tenth off", "a fifth off")),
    (1, "version", relock("1.2.0", "ann")),
    (1, "version", relock("1.3.0", "mallory")),
    (2, "covered", edit("acceptance.md", "", "- AC-4: nobody tests this.\n")),
    (2, "covered", edit("openapi.yaml", "operationId: getPrice", "operationId: getStock")),
    (2, "smoke", edit(API, 'print(json.dumps', 'print(str')),
    (3, "types-python", edit(SERVICE, "return full\n", "return str(full)\n")),
    (3, "tests-python", edit(SERVICE, "full // 10", "full // 5")),
    (3, "tests-python", remove("tests/test_api.py")),
    (4, "lint-python", edit("src/shop/store.py", "PRICES =", "import os\n\nPRICES =")),
    (4, "layers", edit("src/shop/store.py", "PRICES =", "from shop import service\n\nPRICES =")),
    (4, "format-python", edit(SERVICE, "price * count", "price*count")),
    (5, "properties", edit(SERVICE, "full // 10", "full // 8")),
    (5, "api", edit(API, '{"error": "the count is 1 to 1000"}', '{"fault": "the count is 1 to 1000"}')),
    (6, "secrets", edit("src/shop/store.py", "PRICES =", 'AWS = "AKIAIOSFODNN7EXAMPLQ"\nPRICES =')),
    (6, "bandit", edit(API, "def main", "def shell() -> None:\n    os.popen(input())\n\n\ndef main")),
    (6, "semgrep", edit(API, "def main", "def shell() -> None:\n    eval(input())\n\n\ndef main")),
    (6, "container", edit("Dockerfile", "USER 1000\n", "")),
    (7, "version", edit("CHANGELOG.md", "## 1.2.0", "## 1.1.9")),
    (8, "golden", edit(SERVICE, "full // 10", "full // 5")),
]


@pytest.mark.parametrize(("number", "check", "break_it"), FAULTS, ids=[f"{number}-{check}-{index}" for index, (number, check, _) in enumerate(FAULTS)])
def test_each_stage_notices_its_fault(project: Path, quick: dict[str, str], number: int, check: str, break_it: Callable[[Path], None]) -> None:
    break_it(project)
    done = call(stage(number), project, CI_MUTATION_MAX="1", **({} if check == "semgrep" else quick))
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((project / ".omni-ci" / "out" / f"{NAMES[number - 1]}.json").read_text())
    failed = [one["name"] for one in report["checks"] if one["verdict"] == "fail"]
    assert check in failed, f"{failed}\n{done.stdout}"


def test_a_test_that_flickers_is_noticed(project: Path) -> None:
    flicker = "import os\n\n\ndef test_flickers() -> None:\n    seen = os.path.exists('seen')\n    open('seen', 'w').close()\n    assert not seen\n"
    (project / "tests" / "test_flicker.py").write_text(flicker)
    done = call(stage(8), project)
    assert done.returncode == 1 and "test_flickers" in done.stdout, done.stdout


def test_mutants_that_live_are_noticed(project: Path) -> None:
    (project / "tests" / "test_service.py").write_text("from shop import service\n\n\ndef test_ac_1_ac_2_ac_3_runs() -> None:\n    service.total('apple', 10)\n")
    (project / "tests" / "test_api.py").unlink()
    (project / "openapi.yaml").unlink()
    shutil.rmtree(project / "tests" / "property")
    done = call(stage(5), project, CI_MUTATION_MAX="3")
    report = json.loads((project / ".omni-ci" / "out" / "05-adversarial-review.json").read_text())
    assert done.returncode == 1 and "mutation" in [one["name"] for one in report["checks"] if one["verdict"] == "fail"], done.stdout


def test_a_missing_program_is_not_a_pass(project: Path, quick: dict[str, str]) -> None:
    done = call(stage(6), project, **{**quick, "CI_OPTIONAL": ""})
    assert done.returncode == 3 and "UNJUDGED" in done.stdout and "semgrep is not installed" in done.stdout, done.stdout
    allowed = call(stage(6), project, **quick)
    assert allowed.returncode == 0 and "CI_OPTIONAL allows that" in allowed.stdout, allowed.stdout


def test_wrong_use_and_wrong_settings(project: Path) -> None:
    assert call(stage(3), project, "--nonsense").returncode == 2
    assert call(stage(3), project, "--project", "/nowhere").returncode == 2
    settings = project / ".omni-ci" / "settings.env"
    for line, said in (("rm -rf something", "line 1: not NAME=value"), ("OMI_KEY=sk_hidden", "OMI_KEY is a secret")):
        settings.write_text(line + "\n")
        for script in (stage(3), CI / "scripts" / "keep.sh", CI / "scripts" / "notify.sh"):
            done = call(script, project)
            assert done.returncode == 3 and said in done.stderr and "sk_hidden" not in done.stderr, done.stderr


def test_the_environment_wins_over_the_settings_but_an_empty_value_does_not(project: Path) -> None:
    (project / ".omni-ci" / "settings.env").write_text("CI_COVERAGE_MIN=nothing\n")
    assert "CI_COVERAGE_MIN is nothing" in call(stage(3), project).stderr
    assert "CI_COVERAGE_MIN is nothing" in call(stage(3), project, CI_COVERAGE_MIN="").stderr
    assert "CI_COVERAGE_MIN is other" in call(stage(3), project, CI_COVERAGE_MIN="other").stderr


# --- rules of Semgrep ------------------------------------------------------------------------------------------------------

SAMPLES = {
    "python-eval": "eval(x)\n",
    "python-shell-from-data": "import subprocess\nsubprocess.run(x, shell=True)\n",
    "python-sql-from-data": 'cursor.execute(f"SELECT {x}")\n',
    "python-tls-not-checked": "import requests\nrequests.get(x, verify=False, timeout=1)\n",
    "python-pickle-from-outside": "import pickle\npickle.loads(x)\n",
    "python-no-timeout": "import requests\nrequests.get(x)\n",
    "python-secret-compared": "if token == x:\n    pass\n",
    "js-eval": "eval(x);\n",
    "js-shell-from-data": 'const child_process = require("child_process");\nchild_process.exec(x);\n',
    "js-tls-not-checked": "agent({rejectUnauthorized: false});\n",
    "js-html-from-data": "e.innerHTML = x;\n",
    "go-tls-not-checked": "package a\n\nvar c = tls.Config{MinVersion: 1, InsecureSkipVerify: true}\n",
}
CLEAN = {
    "clean.py": 'import ast\nimport hmac\nimport subprocess\n\nimport requests\n\nast.literal_eval(x)\nsubprocess.run(["ls", x])\ncursor.execute("SELECT %s", (x,))\nrequests.get(x, timeout=1)\nhmac.compare_digest(token, x)\nif token == "":\n    pass\n',
    "clean.js": 'child_process.execFile("ls", [x]);\ne.textContent = x;\ne.innerHTML = "<b></b>";\nagent({rejectUnauthorized: true});\n',
    "clean.go": "package a\n\nvar c = tls.Config{MinVersion: 1}\n",
}


def test_each_rule_of_semgrep_finds_its_sample_and_no_other(tmp_path: Path) -> None:
    rules = CI / "rules" / "semgrep.yml"
    assert set(SAMPLES) == {rule["id"] for rule in yaml.safe_load(rules.read_text())["rules"]}
    endings = {"python": "py", "js": "js", "go": "go"}
    for name, text in SAMPLES.items():
        (tmp_path / f"{name}.{endings[name.partition('-')[0]]}").write_text(text)
    for name, text in CLEAN.items():
        (tmp_path / name).write_text(text)
    command = [TOOLS / "semgrep", "scan", "--metrics", "off", "--disable-version-check", "--quiet", "--json", "--no-git-ignore", "--config", rules, "."]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=240, env=environment())
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["errors"] == []
    assert {(one["check_id"].rpartition(".")[2], Path(one["path"]).stem) for one in said["results"]} == {(name, name) for name in SAMPLES}


# --- release and evaluations: stand-ins for what cannot run here -----------------------------------------------------------

DIGEST = "sha256:" + "5e" * 32
BUILDAH = f"""\
#!/bin/sh
echo "$*" >>"$FAKE/calls"
case $1 in
  build) [ "$2" = --tag ] && [ -f "${{8}}/Dockerfile" ] && : >"$FAKE/built" ;;
  login) [ "$2 $3 $4" = "--username robot --password-stdin" ] && [ "$(cat)" = right ] ;;
  push) [ -e "$FAKE/built" ] && [ "$2" = --digestfile ] && printf {DIGEST} >"$3" ;;
  --version) echo buildah ;;
  *) exit 125 ;;
esac
"""
COSIGN = f"""\
#!/bin/sh
echo "cosign $*" >>"$FAKE/calls"
[ "$1 $2 $3 $4" = "sign --yes --key hashivault://ci" ] && case $5 in *@{DIGEST}) ;; *) exit 1 ;; esac
"""
PROMPTFOO = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
words = sys.argv[1:]
if words == ["--version"]:
    print("0"); sys.exit()
assert words[:4] == ["eval", "--config", "promptfooconfig.yaml", "--no-cache"] and words[4] == "--output", words
good, bad, wrong = map(int, pathlib.Path("stats").read_text().split())
pathlib.Path(words[5]).write_text(json.dumps({"results": {"stats": {"successes": good, "failures": bad, "errors": wrong}}}))
sys.exit(100 if bad + wrong else 0)
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in (("buildah", BUILDAH), ("cosign", COSIGN), ("promptfoo", PROMPTFOO)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "calls").touch()
    (folder / "password").write_text("right")
    return {"PATH": f"{folder}:{TOOLS}:{os.environ['PATH']}", "FAKE": str(folder)}


def release_of(project: Path, done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.stdout, done.stderr
    report = json.loads((project / ".omni-ci" / "out" / "07-release-engineering.json").read_text())
    return {one["name"]: one["verdict"] for one in report["checks"]}


def test_a_release_is_built_pushed_signed_deployed_by_digest(project: Path, stand_ins: dict[str, str]) -> None:
    told = project / "told"
    env = {**stand_ins, "CI_RELEASE": "true", "CI_TAG": "v1.2.0", "CI_REGISTRY": "registry.omni.test", "CI_IMAGE": "shop/api",
           "CI_REGISTRY_USER": "robot", "CI_REGISTRY_PASSWORD_FILE": stand_ins["FAKE"] + "/password", "CI_COSIGN_KEY": "hashivault://ci",
           "CI_DEPLOY": f'echo "$CI_IMAGE_REF $CI_VERSION" >{told}', "CI_VERIFY": f"test -s {told}"}
    done = call(stage(7), project, **env)
    verdicts = release_of(project, done)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: verdicts[name] for name in ("image", "push", "sign", "sbom", "record", "deploy", "verify")} == dict.fromkeys(("image", "push", "sign", "sbom", "record", "deploy", "verify"), "pass")
    assert told.read_text() == f"registry.omni.test/shop/api@{DIGEST} 1.2.0\n"
    assert "right" not in (Path(stand_ins["FAKE"]) / "calls").read_text()
    record = json.loads((project / ".omni-ci" / "out" / "release.json").read_text())
    assert record["version"] == "1.2.0" and record["digest"] == DIGEST and "sbom.json" in record["sha256"]


def test_a_release_that_does_not_work_is_taken_back(project: Path) -> None:
    env = {"CI_RELEASE": "true", "CI_DEPLOY": "echo deployed >>told", "CI_VERIFY": "false", "CI_VERIFY_SECONDS": "0", "CI_ROLLBACK": "echo back >>told"}
    done = call(stage(7), project, **env)
    verdicts = release_of(project, done)
    assert done.returncode == 1 and (verdicts["verify"], verdicts["rollback"]) == ("fail", "pass"), done.stdout
    assert (project / "told").read_text() == "deployed\nback\n"


def test_a_wrong_login_ends_before_anything_is_pushed(project: Path, stand_ins: dict[str, str]) -> None:
    (Path(stand_ins["FAKE"]) / "password").write_text("wrong")
    env = {**stand_ins, "CI_RELEASE": "true", "CI_REGISTRY": "registry.omni.test", "CI_IMAGE": "shop/api", "CI_REGISTRY_USER": "robot",
           "CI_REGISTRY_PASSWORD_FILE": stand_ins["FAKE"] + "/password", "CI_DEPLOY": "touch told"}
    done = call(stage(7), project, **env)
    assert done.returncode == 1 and "refuses user robot" in done.stdout and not (project / "told").exists(), done.stdout
    assert "push" not in (Path(stand_ins["FAKE"]) / "calls").read_text()


@pytest.mark.parametrize(("stats", "code"), [("9 1 0", 0), ("8 2 0", 1), ("8 1 1", 1), ("0 0 0", 1)])
def test_evaluations_of_prompts_are_a_gate(project: Path, stand_ins: dict[str, str], stats: str, code: int) -> None:
    for name in ("pyproject.toml", "requirements.txt"):
        (project / name).unlink()
    (project / "promptfooconfig.yaml").write_text("prompts: [x]\n")
    (project / "stats").write_text(stats)
    done = call(stage(8), project, **stand_ins)
    assert done.returncode == code and "evaluations passed" in done.stdout + (project / ".omni-ci/out/logs/08-eval.log").read_text(), done.stdout
    assert "promptfoo is not installed" in call(stage(8), project).stdout


def test_a_model_gives_advice_and_sees_no_secret(project: Path) -> None:
    """The stage's own step: it needs a change, asks as OpenAI's API wants it, and decides nothing."""

    def litellm(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        right = (method, path) == ("POST", "/v1/chat/completions") and {"model", "messages"} <= set(asked) <= {"model", "messages", "temperature"}
        if headers.get("authorization") != "Bearer sk-good":
            return 401, b'{"error": {"message": "no such key"}}'
        said = '```json\n{"findings": [{"file": "src/shop/store.py", "line": 4, "severity": "high", "what": "the price is wrong"}]}\n```'
        return (200, json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()) if right else (400, b"{}")

    edit("src/shop/store.py", '"apple": 40', '"apple": 41')(project)
    (project / "staging.env").write_text("TOKEN=hidden-one\n")
    (project / "secrets.yaml").write_text("token: hidden-two\n")
    shop.commit(project, "a change")
    review = CI / "stages" / "review.py"

    def ask(**env: str) -> subprocess.CompletedProcess[str]:
        command = [str(TOOLS / "python3"), str(review)]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, env=environment(CI_OUT=str(project), **env))

    with Fake(litellm) as fake:
        env = {"LITELLM_URL": fake.url, "CI_REVIEW_MODEL": "careful", "CI_BASE_REF": "HEAD~1"}
        done = ask(LITELLM_KEY="sk-good", **env)
        assert done.returncode == 1 and "1 remarks" in done.stdout, done.stdout + done.stderr
        assert "- high: src/shop/store.py:4: the price is wrong" in (project / "review.md").read_text()
        sent = fake.seen[0][3].decode()
        assert "careful" in sent and "apple" in sent and "hidden" not in sent
        refused = ask(LITELLM_KEY="sk-bad", **env)
        assert refused.returncode == 0 and "no advice to be had" in refused.stdout, "a model that is away decides nothing"
    (project / "review.md").unlink()
    assert ask(LITELLM_KEY="", LITELLM_URL="http://127.0.0.1:9", CI_BASE_REF="HEAD").returncode == 0
    assert not (project / "review.md").exists()


# --- workflows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", sorted((CI / "workflows").glob("*.yml"))), ("vendor.woodpecker-ci", sorted((CI / "woodpecker").glob("*.yaml")))],
    ids=["actions", "woodpecker"],
)
def test_workflows_hold_against_their_schemas(schema: str, files: list[Path], tmp_path: Path, run) -> None:
    assert files
    run([BIN / "check-jsonschema", "--builtin-schema", schema, *files])
    broken = tmp_path / files[-1].name
    broken.write_text(files[-1].read_text().replace("steps:", "stepps:"))
    run([BIN / "check-jsonschema", "--builtin-schema", schema, broken], code=1)


def test_both_pipelines_run_every_stage_in_order() -> None:
    (job,) = yaml.safe_load((CI / "workflows" / "pipeline.yml").read_text())["jobs"].values()
    scripts = [re.search(r"/opt/omni-ci/(?:stages|scripts)/(\S+)\.sh", step.get("run", "")) for step in job["steps"]]
    assert [script[1] for script in scripts if script] == [*NAMES, "keep", "notify"]
    # What tells people runs whatever came of it; a stage never runs after one that failed.
    assert [step.get("if") for step, script in zip(job["steps"], scripts, strict=True) if script] == [None] * 8 + ["always()"] * 2
    woodpecker = yaml.safe_load((CI / "woodpecker" / "pipeline.yaml").read_text())["steps"]
    assert [re.search(r"stages/(\S+)\.sh", json.dumps(step))[1] for step in woodpecker if "stages/" in json.dumps(step)] == NAMES
    assert [step.get("depends_on", [None])[0] for step in woodpecker] == [None, *[step["name"] for step in woodpecker[:-1]]]
    image = yaml.safe_load((CI / "docker-compose.yml").read_text())["services"]["ci-image"]["image"]
    assert {step["image"] for step in woodpecker} == {image}
    assert f"GITEA_RUNNER_LABELS=omni-ci:docker://{image}\n" in (CI / ".env.example").read_text()


def test_the_image_holds_what_the_pipelines_call() -> None:
    text = (CI / "image" / "Dockerfile").read_text()
    for script in set(re.findall(r"/opt/omni-ci/(scripts/\w+\.sh)", "".join(path.read_text() for folder in ("workflows", "woodpecker") for path in (CI / folder).iterdir()))):
        assert script in text and os.access(CI / script, os.X_OK), script
    assert "COPY stages " in text and "COPY rules " in text
    # Each source of a COPY passes the list of what the build may see, and nothing secret does.
    listed = [line for line in (CI / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {source for words in re.findall(r"^COPY (.+) \S+$", text, re.M) for source in words.split()}
    assert listed[0] == "*" and {line[1:] for line in listed if line.startswith("!")} == copied


# --- what happens around the stages ----------------------------------------------------------------------------------------


class Fake:
    """An HTTP server that answers what `reply` says, and records."""

    def __init__(self, reply) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = (self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                outer.seen.append(request)
                status, answer = reply(*request)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    (out / "logs").mkdir(parents=True)
    (out / "logs" / "03-tests.log").write_text("one failed\n")
    for number, name, verdict in (("01", "spec-lock", "pass"), ("03", "backend-correctness", "fail")):
        check = {"name": "tests-python", "tool": "pytest", "verdict": verdict, "seconds": 1, "detail": ""}
        report = {"stage": name, "number": number, "verdict": verdict, "commit": "0123456789abcdef", "checks": [check]}
        (out / f"{number}-{name}.json").write_text(json.dumps(report))
    return out


def test_reports_are_kept(reports: Path, tmp_path: Path) -> None:
    def s3(method: str, path: str, headers: dict[str, str], _: bytes) -> tuple[int, bytes]:
        signed = headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential=key/")
        return (200, b"") if method == "PUT" and signed and "x-amz-date" in headers else (403, b"")

    keep = CI / "scripts" / "keep.sh"
    with Fake(s3) as fake:
        env = {"CI_OUT": str(reports), "ARTIFACTS_URL": fake.url, "ARTIFACTS_PREFIX": "shop/0123", "ARTIFACTS_KEY": "key", "ARTIFACTS_SECRET": "hidden"}
        done = call(keep, tmp_path, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        paths = sorted(path for _, path, _, _ in fake.seen)
        assert paths == [f"/ci-artifacts/shop/0123/{name}" for name in ("01-spec-lock.json", "03-backend-correctness.json", "logs/03-tests.log")]
        assert "hidden" not in done.stdout + done.stderr
        assert call(keep, tmp_path, **{**env, "ARTIFACTS_KEY": "wrong"}).returncode == 1
        assert call(keep, tmp_path, **{**env, "ARTIFACTS_SECRET": ""}).returncode == 1
    assert call(keep, tmp_path, CI_OUT=str(reports)).returncode == 0


def test_people_are_told(reports: Path, tmp_path: Path) -> None:
    def people(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        url = urlsplit(path)
        if method != "POST":
            return 405, b"{}"
        if url.path == "/hooks/abc":
            message = json.loads(body)
            known = set(message) <= {"attachments", "channel"} and set(message["attachments"][0]) <= {"fallback", "color", "title", "title_link", "text"}
            return (200, b"ok") if known and headers["content-type"] == "application/json" and message.get("channel", "ci") == "ci" else (400, b'{"message":"unknown channel"}')
        query = parse_qs(url.query)
        if url.path != "/v2/integrations/app/notification" or body or headers.get("content-length") != "0" or set(query) != {"uid", "message"}:
            return 404, b"{}"
        return (200, b'{"status":"Ok"}') if headers.get("authorization") == "Bearer sk_good" else (403, b"{}")

    notify = CI / "scripts" / "notify.sh"
    with Fake(people) as fake:
        omi = {"OMI_URL": fake.url, "OMI_APP": "app", "OMI_USER": "u&1", "OMI_KEY": "sk_good"}
        env = {"CI_OUT": str(reports), "MATTERMOST_WEBHOOK": f"{fake.url}/hooks/abc", "CI_URL": "https://git.example.org/run/1", **omi}
        done = call(notify, tmp_path, **env)
        assert "Mattermost was told" in done.stdout and "Omi was told" in done.stdout, done.stdout + done.stderr
        text = json.loads(fake.seen[0][3])["attachments"][0]
        assert "fail" in text["title"] and "| 03 backend-correctness | fail | tests-python |" in text["text"] and text["title_link"] == env["CI_URL"]
        refused = call(notify, tmp_path, **{**env, "MATTERMOST_CHANNEL": "elsewhere", "OMI_KEY": "sk_bad"})
        assert refused.returncode == 0 and "did not take it" in refused.stdout and "Omi answered 403" in refused.stdout
        assert "sk_bad" not in refused.stdout + refused.stderr
        before = len(fake.seen)
        (reports / "03-backend-correctness.json").unlink()
        assert "Omi" not in call(notify, tmp_path, **env).stdout and len(fake.seen) == before + 1, "a run that passed is no alarm"


def test_init(tmp_path: Path) -> None:
    state = {"online": True}

    def forge(method: str, path: str, headers: dict[str, str], _: bytes) -> tuple[int, bytes]:
        if path == "/v2/":
            import base64

            return (200, b"{}") if headers.get("authorization") == "Basic " + base64.b64encode(b"omni:s3cret-word").decode() else (401, b"")
        if headers.get("authorization") != "token admin":
            return 403, b"{}"
        if (method, path) == ("POST", "/api/v1/admin/actions/runners/registration-token"):
            return 200, b'{"token":"registration"}'
        if (method, path) == ("GET", "/api/v1/admin/actions/runners"):
            return 200, json.dumps({"runners": [{"id": 1, "name": "omni-runner-1", "status": "online" if state["online"] else "offline"}], "total_count": 1}).encode()
        return 404, b"{}"

    init = CI / "scripts" / "init.sh"
    secrets = tmp_path / "secrets"
    with Fake(forge) as fake:
        env = {"CI_ENV_FILE": str(tmp_path / "none"), "GITEA_INSTANCE_URL": fake.url, "GITEA_ADMIN_TOKEN": "admin", "REGISTRY_PASSWORD": "s3cret-word",
               "SECRETS_DIR": str(secrets), "REGISTRY_URL": fake.url, "WAIT": "1"}
        assert call(init, tmp_path, "--check", **env).returncode == 1, "nothing is prepared yet"
        first = call(init, tmp_path, **env)
        assert first.returncode == 0, first.stdout + first.stderr
        assert (secrets / "gitea_runner_registration_token").read_text() == "registration"
        assert (secrets / "gitea_runner_registration_token").stat().st_mode & 0o777 == 0o600
        login = (secrets / "registry.htpasswd").read_text()
        assert login.startswith("omni:$2y$")
        second = call(init, tmp_path, **env)
        assert second.returncode == 0 and (secrets / "registry.htpasswd").read_text() == login, "a second run changes nothing"
        assert call(init, tmp_path, "--check", **env).returncode == 0
        for output in (first, second):
            assert "s3cret-word" not in output.stdout + output.stderr and "registration\n" not in output.stdout
        assert call(init, tmp_path, **{**env, "REGISTRY_PASSWORD": "another-word"}).returncode == 1, "the registry has the old one"
        state["online"] = False
        offline = call(init, tmp_path, "--check", **{**env, "REGISTRY_PASSWORD": "another-word"})
        assert offline.returncode == 1 and "docker logs omni-gitea-runner" in offline.stderr
        (secrets / "gitea_runner_registration_token").unlink()
        stranger = call(init, tmp_path, **{**env, "GITEA_ADMIN_TOKEN": "stranger"})
        assert stranger.returncode == 1 and "administrator" in stranger.stderr
    assert call(init, tmp_path, "--nonsense").returncode == 2
