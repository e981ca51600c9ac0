"""Named points: they end a process by its own hand, and cost nothing when nobody asked."""

import os
import signal
import subprocess
import sys

import pytest

from newsletter.core.failpoints import NAMES, VARIABLE
from tests.acceptance.installation import ROOT

_PASSES_TWICE = """
from newsletter.core.failpoints import failpoint
for _ in range(2):
    failpoint("after_dot")
    print("passed", flush=True)
"""


def _passed(point: str) -> tuple[int, int]:
    """The exit code, and how many passages the process survived."""
    env = {**os.environ, VARIABLE: point, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _PASSES_TWICE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.count("passed")


@pytest.mark.parametrize(
    ("point", "code", "passages"),
    [
        ("", 0, 2),
        ("after_250", 0, 2),
        ("after_dot", -signal.SIGKILL, 0),
        ("after_dot:2", -signal.SIGKILL, 1),
        ("after_dot:3", 0, 2),
        ("nowhere", 1, 0),
        ("after_dot:second", 1, 0),
    ],
)
def test_a_process_dies_where_it_was_told_to(point: str, code: int, passages: int) -> None:
    assert _passed(point) == (code, passages)


def test_a_process_stops_where_it_was_told_to_and_goes_on() -> None:
    env = {**os.environ, VARIABLE: "after_dot:2:stop", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _PASSES_TWICE]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=20)
    assert (process.returncode, said.count("passed")) == (0, 2)


def test_every_point_is_passed_somewhere() -> None:
    sources = [file.read_text() for file in (ROOT / "newsletter").rglob("*.py")]
    for name in NAMES:
        assert any(f'failpoint("{name}")' in source for source in sources), name
