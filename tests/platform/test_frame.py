"""The frame itself: programs are found or named, processes end, waiting gives up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Spawner, find_binary, wait_until


def gone(pid: int) -> bool:
    """No such process, or one that only waits to be collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_missing_program_fails_and_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match="apt-get install --no-install-recommends prometheus "):
        find_binary("promtool")
    with pytest.raises(pytest.fail.Exception, match="belongs to no package"):
        find_binary("no-such-program")


def test_ports_are_free_and_different(free_port) -> None:
    assert len({free_port() for _ in range(20)}) == 20


def test_a_process_ends_with_its_children(tmp_path: Path) -> None:
    spawner = Spawner(tmp_path)
    running = spawner("bash", "-c", "sleep 600 & echo $!; wait")
    child = int(wait_until("the child's number is printed", lambda: running.output().strip()))
    spawner.stop_all()
    assert running.process.poll() is not None
    wait_until("the child is gone", lambda: gone(child))


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spawner = Spawner(tmp_path)
    running = spawner(sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()")
    wait_until("it ignores the signal", lambda: "up" in running.output())
    wait = subprocess.Popen.wait
    # The first wait is the polite one; ten seconds of patience are not what is tested here.
    monkeypatch.setattr(subprocess.Popen, "wait", lambda self, timeout=None: wait(self, 0.2 if timeout and self.poll() is None and not killed() else timeout))
    sent: list[int] = []
    killpg = os.killpg
    monkeypatch.setattr(os, "killpg", lambda pid, number: (sent.append(number), killpg(pid, number))[1])

    def killed() -> bool:
        return signal.SIGKILL in sent

    assert running.stop() == -signal.SIGKILL
    assert sent == [signal.SIGTERM, signal.SIGKILL]


def test_a_process_that_ended_shows_its_log(tmp_path: Path) -> None:
    running = Spawner(tmp_path)("bash", "-c", "echo no config; exit 3")
    running.process.wait(10)
    with pytest.raises(pytest.fail.Exception, match=r"(?s)bash ended with 3:\nno config"):
        running.alive()


def test_waiting_gives_up_and_says_for_what() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"not within 0 s: the moon"):
        wait_until("the moon", lambda: False, deadline=0.1)


def test_a_command_that_fails_shows_its_output(run) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"(?s)ended with 4, not 0.*out.*err"):
        run(["bash", "-c", "echo out; echo err >&2; exit 4"])
