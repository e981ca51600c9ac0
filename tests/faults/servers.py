"""PostgreSQL, Redis and the fault server as things to break: each stops, dies, and comes back.

They keep their port and their folder while they are away, as a server of an operator does.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis as redis_client

from tests.acceptance.installation import ROOT
from tests.faults.plans import Plan
from tests.servers.packages import INITDB, PG_DUMP, POSTGRES, PSQL, REDIS
from tests.servers.processes import free_port, unprivileged
from tests.waiting import wait_until

_PATIENCE_SECONDS = 60


@dataclass
class Server:
    """A server program on one port; `start` waits until it answers."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        owner = self.owner()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
                user=owner,
                group=owner,
                start_new_session=True,
            )
        wait_until(self.answers, f"{self.command()[0]} answers")

    def owner(self) -> int | None:
        """The user it runs as; None: ours."""
        return None

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal and wait for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(timeout=_PATIENCE_SECONDS)


@dataclass
class Redis(Server):
    """A Redis that keeps nothing on disk: killed, it forgets every ring."""

    def command(self) -> Sequence[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [str(REDIS.path()), *where, "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis_client.ConnectionError:
            return False

    def client(self) -> "redis_client.Redis":
        return redis_client.Redis(port=self.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass
class Postgres(Server):
    """A PostgreSQL cluster in `folder/data`."""

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # a process is killed here, never the kernel
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(POSTGRES.path()), "-D", str(self.data), "-p", str(self.port), *flags]

    def owner(self) -> int | None:
        owner = unprivileged()
        return owner.pw_uid if owner else None

    def answers(self) -> bool:
        try:
            psycopg.connect(self.plain_url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def sql(self, statement: str) -> None:
        """One statement, outside of a transaction."""
        with psycopg.connect(self.plain_url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def dump(self, database: str) -> bytes:
        """A database as it is this moment, whoever writes meanwhile."""
        command = [str(PG_DUMP.path()), self.plain_url(database)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def restore(self, database: str, dump: bytes) -> None:
        """The dump in the place of whatever is there."""
        self.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.sql(f"CREATE DATABASE {database}")
        quiet = ["--quiet", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null"]
        psql = [str(PSQL.path()), *quiet, self.plain_url(database)]
        subprocess.run(psql, input=dump, check=True)

    def plain_url(self, database: str) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def create(self) -> None:
        """A new cluster in the folder."""
        self._own()
        subprocess.run(
            [
                *(str(INITDB.path()), "-D", str(self.data), "-U", "tests"),
                *("-A", "trust", "-N", "-E", "UTF8", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            user=self.owner(),
            group=self.owner(),
        )

    def copy(self, other: "Postgres") -> None:
        """The cluster of a stopped server, as our own."""
        shutil.copytree(other.data, self.data)
        self._own()

    def _own(self) -> None:
        owner = self.owner()
        if owner is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner, owner)


@dataclass
class Referee(Server):
    """The fault server; its log is the truth."""

    plan: Plan = field(default_factory=Plan)

    @property
    def log(self) -> Path:
        return self.folder / "events.jsonl"

    def command(self) -> Sequence[str]:
        files = ["--plan", str(self.folder / "plan.json"), "--log", str(self.log)]
        return [sys.executable, "-m", "tests.faults.referee", *files, "--port", str(self.port)]

    def answers(self) -> bool:
        return self._listens()

    def start(self) -> None:
        self.plan.write(self.folder / "plan.json")
        super().start()

    def obey(self, plan: Plan) -> None:
        """Another plan from now on; every rule begins to count anew."""
        self.plan = plan
        plan.write(self.folder / "plan.json")
        if self.process is not None:
            self.send_signal(signal.SIGHUP)

    def accepted(self) -> int:
        """How many messages were taken so far; cheap enough to be polled."""
        return self.log.read_bytes().count(b'{"event": "accepted"') if self.log.exists() else 0

    def _listens(self) -> bool:
        """Asked of the kernel: a connection would be counted and use up a rule."""
        wanted = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return wanted in Path("/proc/net/tcp").read_text()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Started at the beginning of the block, whatever is left of it killed at the end."""
    server.folder.mkdir(parents=True, exist_ok=True)
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGINT if isinstance(server, Postgres) else signal.SIGKILL)
