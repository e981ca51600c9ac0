"""Installations made ready once and copied for every run: people imported, an issue stored."""

import json
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.acceptance.installation import ISSUE, Installation, write_subscribers
from tests.faults.servers import Postgres, running

ISSUE_DATE = "2026-06-17"
LIST = "readers"
_SECRET = "0123456789abcdef" * 4

_IN_ONE_PROCESS = """
import json, sys
from newsletter.cli.app import app
for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
"""
"""What takes longest about a command is its start."""

_COMMON = {
    "NEWSLETTER_SENDER__ADDRESS": "editor@example.org",
    "NEWSLETTER_SENDER__POSTAL_ADDRESS": "1 Example Street, Springfield",
    "NEWSLETTER_SITE__BASE_URL": "https://news.example.org",
    "NEWSLETTER_SITE__SECRET_KEY": _SECRET,
    "NEWSLETTER_LOG__LEVEL": "info",
    # Short, so that what has to wait for a lease or a retry ends within seconds.
    "NEWSLETTER_DELIVERY__RETRY_AFTER_SECONDS": "[1, 2]",
    "NEWSLETTER_DELIVERY__LEASE_SECONDS": "5",
}


def people(number: int) -> list[str]:
    """The addresses on the list of an installation."""
    return [f"reader{n:05}@example.org" for n in range(number)]


def without_relay(folder: Path, database: str) -> Installation:
    """An installation that can do everything but send."""
    return Installation(folder, {**_COMMON, "NEWSLETTER_DATABASE__URL": database})


@dataclass
class Templates:
    """Everything that runs share; each part is made by the first run that needs it."""

    folder: Path
    _turns: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _shared: Postgres | None = None

    def embedded(self, recipients: int, folder: Path) -> Installation:
        """A copy with a SQLite database in `folder`."""
        template = self.folder / f"embedded-{recipients}"
        with self._turn(template.name):
            if not template.exists():
                _make_ready(without_relay(template, "sqlite:///newsletter.db"), recipients)
        shutil.copytree(template, folder, dirs_exist_ok=True)
        return without_relay(folder, "sqlite:///newsletter.db")

    def full(self, recipients: int, folder: Path) -> tuple[Installation, Postgres, str]:
        """A copy with a database of its own on the shared server, and that database's name."""
        server = self._server()
        template = f"ready_{recipients}"
        with self._turn(template):
            if not (self.folder / template).exists():
                server.sql(f"CREATE DATABASE {template}")
                url = server.plain_url(template)
                made = without_relay(self.folder / template, url)
                _make_ready(made, recipients)
            name = f"run_{next(self._numbers)}"
            server.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        shutil.copytree(self.folder / template, folder, dirs_exist_ok=True)
        return without_relay(folder, server.plain_url(name)), server, name

    @contextmanager
    def own_server(self, database: str, folder: Path) -> Iterator[Postgres]:
        """A server that is this run's alone, with `database` moved to it."""
        shared = self._server()
        own = Postgres(folder)
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        with self._turn("cluster"):
            empty = Postgres(self.folder / "cluster")
            own.copy(empty)
        with running(own):
            own.restore(database, shared.dump(database))
            yield own

    @classmethod
    @contextmanager
    def temporary(cls, where: Path | None) -> Iterator["Templates"]:
        """In a folder under `where` that goes with the block, and the shared server with it."""
        with tempfile.TemporaryDirectory(prefix="newsletter-faults-", dir=where) as folder:
            # PostgreSQL runs as another user than root, and has to come in.
            Path(folder).chmod(0o755)
            made = cls(Path(folder))
            try:
                yield made
            finally:
                made._close()

    def _close(self) -> None:
        if self._shared is not None:
            self._shared.stop(signal.SIGINT)

    def _server(self) -> Postgres:
        with self._turn("server"):
            if self._shared is None:
                empty = Postgres(self.folder / "cluster")
                empty.folder.mkdir(parents=True)
                empty.create()
                server = Postgres(self.folder / "shared")
                server.folder.mkdir()
                server.copy(empty)
                server.start()
                self._shared = server
            return self._shared

    def _turn(self, name: str) -> threading.Lock:
        with self._guard:
            return self._turns.setdefault(name, threading.Lock())


def _make_ready(installation: Installation, recipients: int) -> None:
    folder = installation.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "issue.md").write_text(ISSUE)
    write_subscribers(folder / "people.csv", people(recipients), [])
    commands = [
        ["db", "upgrade"],
        ["subscribers", "import", "people.csv", "--list", LIST],
        ["issues", "import", "issue.md"],
    ]
    with installation.process(sys.executable, "-c", _IN_ONE_PROCESS, json.dumps(commands)) as made:
        assert made.wait() == 0, [log.read_text() for log in folder.glob("*.log")]
