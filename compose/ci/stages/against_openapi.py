"""Starts the application and lets Schemathesis hold it to its OpenAPI document.

    against_openapi.py DOCUMENT EXAMPLES     CI_APP is the command; it serves on 127.0.0.1:$CI_APP_PORT
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time


def main(document: str, examples: str) -> int:
    if not shutil.which("schemathesis"):
        print("schemathesis is not installed")
        return 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = subprocess.Popen(["bash", "-c", os.environ["CI_APP"]], env={**os.environ, "CI_APP_PORT": str(port)}, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            if app.poll() is not None:
                print(f"CI_APP ended with {app.returncode} before it served anything")
                return 1
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    print("CI_APP does not listen on $CI_APP_PORT of 127.0.0.1 within 60 s")
                    return 1
                time.sleep(0.1)
        command = ["schemathesis", "run", document, "--url", f"http://127.0.0.1:{port}", "--max-examples", examples, "--seed", os.environ.get("CI_SEED", "1"), "--no-color"]
        done = subprocess.run(command, timeout=900)
        return 0 if done.returncode == 0 else 1
    finally:
        if app.poll() is None:
            os.killpg(app.pid, signal.SIGTERM)
            try:
                app.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(app.pid, signal.SIGKILL)
                app.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
