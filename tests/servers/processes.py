"""Real servers on free ports of 127.0.0.1, each in a folder of its own, ended with the block."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis as redis_client

from tests.servers.packages import INITDB, POSTGRES, REDIS, SMTP_SINK

_PATIENCE_SECONDS = 30
_TRIES = 5


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[str]:
    """A PostgreSQL cluster; yields the URL of its `postgres` database.

    Tests do without waiting for the disk; `durable` is as an operator runs it.
    """
    with _folder() as folder:
        owner = unprivileged()
        data = folder / "data"
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [str(INITDB.path()), "-D", data, "-U", "tests", "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if durable else "off",
            "max_connections": "200",
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

        def command(port: int) -> list[str]:
            return [str(POSTGRES.path()), "-D", str(data), "-p", str(port), *flags]

        with _onfree_port(command, _speaks_sql, folder, owner) as port:
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/postgres"


@contextmanager
def redis() -> Iterator[str]:
    """A Redis server that keeps nothing; yields its URL."""
    with _folder() as folder:

        def command(port: int) -> list[str]:
            quiet = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
            return [str(REDIS.path()), "--bind", "127.0.0.1", "--port", str(port), *quiet]

        with _onfree_port(command, _answers_ping, folder) as port:
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Postfix's mail sink, which takes everything; yields its port."""
    with _folder() as folder:

        def command(port: int) -> list[str]:
            own_user = ["-u", "nobody"] if os.geteuid() == 0 else []
            return [str(SMTP_SINK.path()), *own_user, *options, f"127.0.0.1:{port}", "500"]

        with _onfree_port(command, _takes_connections, folder) as port:
            yield port


@contextmanager
def _onfree_port(
    command: Callable[[int], Sequence[str]],
    is_up: Callable[[int], bool],
    folder: Path,
    owner: pwd.struct_passwd | None = None,
) -> Iterator[int]:
    """Start a server on a port that was free a moment ago; if somebody took it, on another."""
    for _ in range(_TRIES):
        port = free_port()
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command(port),
                cwd=folder,
                stdout=log,
                stderr=log,
                user=owner.pw_uid if owner else None,
                group=owner.pw_gid if owner else None,
            )
        try:
            if _came_up(server, port, is_up):
                yield port
                return
        finally:
            server.terminate()
            server.wait(timeout=_PATIENCE_SECONDS)
    raise RuntimeError(f"{command(0)[0]} does not start: {(folder / 'log').read_text()}")


def _came_up(server: subprocess.Popen[bytes], port: int, is_up: Callable[[int], bool]) -> bool:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        if is_up(port):
            return server.poll() is None
        time.sleep(0.05)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _speaks_sql(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://tests@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _answers_ping(port: int) -> bool:
    try:
        with redis_client.Redis(port=port) as client:
            return bool(client.ping())
    except redis_client.ConnectionError:
        return False


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: the package's own user, or nobody."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


@contextmanager
def _folder() -> Iterator[Path]:
    """Not under pytest's own temporary folders, which other users cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix="newsletter-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
