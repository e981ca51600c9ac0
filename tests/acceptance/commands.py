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
        request = {"command": command, "folder": str(folder), "environment": dict(environment)}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            status, reporting = os.pipe()
            try:
                socket.send_fds(
                    self._started(),
                    [json.dumps(request).encode()],
                    [out.fileno(), err.fileno(), reporting],
                )
            finally:
                os.close(reporting)
            with os.fdopen(status, "rb", buffering=0) as reports:
                code = _ended(command, reports.fileno(), timeout_seconds)
            said = [_said(stream.fileno()) for stream in (out, err)]
        return subprocess.CompletedProcess(command, code, *said)

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


def _ended(command: Sequence[str], reports: int, timeout_seconds: float) -> int:
    """The exit code; a command that takes too long is killed."""
    pid = _next_number(reports)
    if not select.select([reports], [], [], timeout_seconds)[0]:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(command, timeout_seconds)
    return _next_number(reports)


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
    from newsletter.cli.app import app, main

    dict(typer.main.get_group(app).commands)  # each is imported when it is asked for
    for later in (
        "newsletter.jobs.celery",
        "newsletter.rendering.css",
        "sqlalchemy.dialects.postgresql.psycopg",
    ):
        import_module(later)  # what some commands import only when they need it
    configure_mappers()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    main()
