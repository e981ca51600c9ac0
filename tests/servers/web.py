"""A web application on a free port of 127.0.0.1, in a thread of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from newsletter.cli.serve import listen_locally


@contextmanager
def serving_app(app: Any, listening: socket.socket | None = None) -> Iterator[str]:
    """Yields its address, while the block runs; `app` is any ASGI application."""
    listening = listening or listen_locally()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    # Who watches a page that goes on for ever does not keep the server.
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(target=server.run, args=([listening],), name="web")
    thread.start()
    try:
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def address_of(listening: socket.socket) -> str:
    """Where the pages are that are served on it."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"
