"""A local SMTP catcher: takes every mail and writes it to a file, as received."""

import itertools
import re
import socket
from pathlib import Path
from typing import Any, Self

from aiosmtpd.controller import Controller

_UNSAFE = re.compile(r"[^A-Za-z0-9@.+_-]")


class Catcher:
    """`with Catcher(folder) as catcher:` listens on `catcher.port` of 127.0.0.1 until the end.

    Each mail becomes `NUMBER-RECIPIENT.eml` in the folder, the bytes as they came.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._controller = _OnSocket(_Keep(folder), self._socket)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._controller.stop()


class _OnSocket(Controller):
    """The library's server on a socket that is bound already: no port is guessed."""

    def __init__(self, handler: object, bound: socket.socket) -> None:
        host, port = bound.getsockname()
        super().__init__(handler, hostname=host, port=port, enable_SMTPUTF8=True)
        self._bound = bound

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._bound)


class _Keep:
    """aiosmtpd's handler."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    async def handle_DATA(  # noqa: N802 - the name the library calls
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        del server, session
        recipient = _UNSAFE.sub("_", envelope.rcpt_tos[0])[:80]
        file = self._folder / f"{next(self._numbers):03}-{recipient}.eml"
        file.write_bytes(envelope.original_content)
        return "250 2.0.0 Ok: caught"
