"""Commands in processes of their own, forked from one that has already imported the program.

Starting the interpreter and importing takes a command ten times as long as its work. Everything
else is as when a shell starts it: arguments, folder, environment, output, exit code, and its end.

Run as a script, this is the process that they are forked from.
"""

import atexit
import gc
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import typer
from sqlalchemy.orm import configure_mappers

_NUMBER = struct.Struct("i")
_LONGEST_REQUEST_BYTES = 1_000_000


class Commands:
    """Starts the process that commands are forked from with the first command."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._requests: socket.socket | None = None

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        timeout_seconds: float,
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run(command, capture_output=True, text=True, …)`."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = self.start(command, folder, environment, out.fileno(), err.fileno())
            try:
                code = started.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                started.send_signal(signal.SIGKILL)
                raise
            said = [_said(stream.fileno()) for stream in (out, err)]
        return subprocess.CompletedProcess(command, code, *said)

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        out: int,
        err: int,
    ) -> "Forked":
        """A process that goes on; it writes to these two open files."""
        request = {"command": command, "folder": str(folder), "environment": dict(environment)}
        status, reporting = os.pipe()
        try:
            data = [json.dumps(request).encode()]
            socket.send_fds(self._started(), data, [out, err, reporting])
        finally:
            os.close(reporting)
        return Forked(command, status)

    def _started(self) -> socket.socket:
        with self._starting:
            if self._requests is None:
                self._requests = self._start()
        return self._requests

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST_BYTES)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

        def end() -> None:
            ours.close()
            process.wait()

        atexit.register(end)
        return ours


class Forked:
    """What tests ask of a `Popen`, of a process that was forked."""

    def __init__(self, command: Sequence[str], reports: int) -> None:
        self.returncode: int | None = None
        self._command = command
        self._reports = reports
        self.pid = _next_number(reports)

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        if self.returncode is None and select.select([self._reports], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        if self.returncode is None:
            if not select.select([self._reports], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
            self.returncode = _next_number(self._reports)
            os.close(self._reports)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


def _next_number(reports: int) -> int:
    data = os.read(reports, _NUMBER.size)
    if not data:
        raise RuntimeError("the process that commands are forked from has ended")
    number: int = _NUMBER.unpack(data)[0]
    return number


def _said(stream: int) -> str:
    with os.fdopen(os.dup(stream), encoding="utf-8") as file:
        file.seek(0)
        return file.read()


def _serve(requests: socket.socket) -> None:
    """Fork for every request until nobody asks any more; returns in the command's process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, streams, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST_BYTES, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            _keep(request, *streams)
            return
        for stream in streams:
            os.close(stream)


def _keep(request: bytes, out: int, err: int, status: int) -> None:
    """Wait for the command and report its end, in a process between; returns in the command's."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(json.loads(request), out, err)
        return
    os.write(status, _NUMBER.pack(pid))
    _, ended = os.waitpid(pid, 0)
    os.write(status, _NUMBER.pack(os.waitstatus_to_exitcode(ended)))
    os._exit(0)


def _become(asked: Mapping[str, object], out: int, err: int) -> None:
    folder, environment, command = asked["folder"], asked["environment"], asked["command"]
    assert isinstance(folder, str)
    assert isinstance(environment, dict)
    assert isinstance(command, list)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    random.seed()
    for stream, number in ((out, 1), (err, 2)):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = command


if __name__ == "__main__":
    from celery.__main__ import main as celery

    from newsletter.cli.app import app
    from newsletter.cli.app import main as newsletter

    dict(typer.main.get_group(app).commands)  # each is imported when it is asked for
    for later in (
        *("celery.apps.beat", "celery.apps.worker", "celery.bin.celery", "celery.worker.consumer"),
        *("celery.concurrency.thread", "kombu.transport.redis"),
        "newsletter.jobs.celery",
        "newsletter.rendering.css",
        "newsletter.web.app",
        "sqlalchemy.dialects.postgresql.psycopg",
    ):
        import_module(later)  # what some commands import only when they need it
    configure_mappers()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    (celery if Path(sys.argv[0]).name == "celery" else newsletter)()
