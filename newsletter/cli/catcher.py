"""A local SMTP catcher: takes every mail and writes it to a file, as received."""

import itertools
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller

_UNSAFE = re.compile(r"[^A-Za-z0-9@.+_-]")


class Catcher:
    """`with Catcher(folder) as catcher:` listens on `catcher.port` of 127.0.0.1 until the end.

    Each mail becomes `NUMBER-RECIPIENT.eml` in the folder, the bytes as they came.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._controller = Controller(
            _Keep(folder), hostname="127.0.0.1", port=0, enable_SMTPUTF8=True
        )

    def __enter__(self) -> "Catcher":
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        """The port it was given by the system."""
        port: int = self._controller.server.sockets[0].getsockname()[1]
        return port


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
