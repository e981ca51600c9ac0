"""Installations in both modes, and the SMTP server whose own log is the referee."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.installation import CELERY, Installation, Process

SMTP_SERVER = Path(__file__).parents[1] / "smtp_server.py"


@dataclass
class Referee:
    """A real SMTP server in a process of its own; its log is the truth."""

    port: int
    log: Path

    def entries(self) -> list[dict[str, str]]:
        """What it was offered, in order: `recipient` and `verdict` (accepted, refused, …)."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def accepted(self) -> list[str]:
        return [e["recipient"] for e in self.entries() if e["verdict"] == "accepted"]


StartReferee = Callable[..., Referee]


@pytest.fixture
def start_referee(tmp_path: Path) -> Iterator[StartReferee]:
    with ExitStack() as stack:

        def start(**options: Sequence[str]) -> Referee:
            return stack.enter_context(_referee(tmp_path, options))

        yield start


@contextmanager
def _referee(folder: Path, options: dict[str, Sequence[str]]) -> Iterator[Referee]:
    port_file, log = folder / "smtp-port", folder / "smtp-log"
    log.touch()
    command = [sys.executable, str(SMTP_SERVER), "--port-file", str(port_file), "--log", str(log)]
    for name, values in options.items():
        command += [f"--{name}", *values]
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + 20
        while not port_file.exists() or not port_file.read_text():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield Referee(int(port_file.read_text()), log)
    finally:
        process.terminate()
        process.wait(timeout=10)


def environment(referee: Referee) -> dict[str, str]:
    """What both modes share."""
    return {
        "NEWSLETTER_RELAYS": json.dumps(
            [{"name": "referee", "url": f"smtp://127.0.0.1:{referee.port}?tls=none"}]
        ),
        "NEWSLETTER_SENDER__ADDRESS": "editor@example.org",
        "NEWSLETTER_SENDER__POSTAL_ADDRESS": "1 Example Street, Springfield",
        "NEWSLETTER_SITE__BASE_URL": "https://news.example.org",
        "NEWSLETTER_DELIVERY__RETRY_AFTER_SECONDS": "[1]",
        "NEWSLETTER_DELIVERY__LEASE_SECONDS": "5",
    }


@dataclass
class FullMode:
    """Where the servers of the full mode are."""

    database: str
    broker: str

    def environment(self) -> dict[str, str]:
        return {
            "NEWSLETTER_DATABASE__URL": self.database,
            "NEWSLETTER_BROKER__URL": self.broker,
            "NEWSLETTER_SITE__SECRET_KEY": "0123456789abcdef" * 4,
            "NEWSLETTER_LOG__LEVEL": "info",
        }


@pytest.fixture
def full_mode(postgresql_with_tables: str, redis_url: str) -> FullMode:
    return FullMode(postgresql_with_tables, redis_url)


@contextmanager
def celery(installation: Installation, workers: int) -> Iterator[list[Process]]:
    """That many worker processes and one beat."""
    with ExitStack() as stack:
        worker = [str(CELERY), "-A", "worker", "worker", "--without-gossip", "--without-mingle"]
        processes = [
            stack.enter_context(installation.process(*worker, "-n", f"w{number}@%h"))
            for number in range(workers)
        ]
        stack.enter_context(installation.process(str(CELERY), "-A", "worker", "beat"))
        yield processes
