"""One installation of the system in a folder, driven as its operator would: by processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsletter.core import failpoints
from tests.acceptance.commands import Commands, Forked

ROOT = Path(__file__).parents[2]
NEWSLETTER = Path(sys.executable).with_name("newsletter")
CELERY = Path(sys.executable).with_name("celery")
_COMMANDS = Commands()
_TIMEOUT_SECONDS = 180

Process = subprocess.Popen[bytes] | Forked

ISSUE = """\
---
newsletter: field-notes
title: Field Notes
date: 2026-06-17
subject: "Measured twice"
preheader: What the ledger knows
---
## The Big Idea
A ledger is the only memory that survives a crash, {{ subscriber.name | default("reader") }}.

## Deep Reads
### [One](https://example.org/one)
First summary.

### [Two](https://example.org/two)
Second summary.
"""


@dataclass
class Installation:
    """A working folder and the environment its commands run in.

    Attributes:
        afresh: every process starts an interpreter, as a shell's does; else it is forked.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    afresh: bool = False

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run `newsletter …`; returns standard output, fails on another exit code."""
        done = self.try_run(*arguments)
        assert done.returncode == expect, f"{arguments}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `newsletter …`, whatever its exit code."""
        command, environment = [str(NEWSLETTER), *arguments], self._environment()
        if not self.afresh:
            return _COMMANDS.run(command, self.folder, environment, _TIMEOUT_SECONDS)
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run a reading command with `--json`."""
        return json.loads(self.run(*arguments, "--json"))

    @contextmanager
    def process(self, *command: str | Path) -> Iterator[Process]:
        """A process that stays while the block runs; ended by SIGTERM, its log in the folder."""
        log = self.folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
        with log.open("wb") as stream:
            started = self._start([str(word) for word in command], stream.fileno())
        try:
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
            try:
                started.wait(timeout=60)
            except subprocess.TimeoutExpired:
                started.kill()
                raise

    def _start(self, command: list[str], log: int) -> Process:
        environment = self._environment()
        # A failpoint is armed by an import.
        is_ours = Path(command[0]) in (NEWSLETTER, CELERY) and failpoints.VARIABLE not in self.env
        if is_ours and not self.afresh:
            return _COMMANDS.start(command, self.folder, environment, log, log)
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def logged(self) -> str:
        """All that its processes wrote, in lower case."""
        files = [
            file for name in ("newsletter", "celery") for file in self.folder.glob(f"{name}-*")
        ]
        assert files, "no process has run here"
        return "\n".join(file.read_text(errors="replace") for file in files).lower()

    def wait_until_ended(self, broadcast_id: int, seconds: float = 150) -> dict[str, Any]:
        """`broadcasts show` once the broadcast is done; fails when it does not get there."""
        end = time.monotonic() + seconds
        while True:
            shown: dict[str, Any] = self.json("broadcasts", "show", str(broadcast_id))
            if shown["state"] in ("done", "cancelled"):
                return shown
            assert time.monotonic() < end, shown
            time.sleep(0.5)

    def _environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("NEWSLETTER_")}
        # Compiled modules are kept: a command starts in half the time.
        return {**clean, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(ROOT), **self.env}


def write_subscribers(file: Path, addresses: Sequence[str], unsubscribed: Sequence[str]) -> None:
    """A file in the own import format."""
    gone = set(unsubscribed)
    lines = ["email,name,status"]
    lines += [f"{a},Reader,{'unsubscribed' if a in gone else 'active'}" for a in addresses]
    file.write_text("\n".join(lines) + "\n")
