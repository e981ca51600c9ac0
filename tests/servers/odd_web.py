"""A web server that answers whatever it is told to, and a fetcher that may ask it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

from newsletter.core.fetch import Fetcher

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
Answer = Callable[[socket.socket, bytes], None]


def says(reply: bytes) -> Answer:
    return lambda connection, _: connection.sendall(reply)


def redirects(target: str) -> Answer:
    return says(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())


@contextmanager
def server(answer: Answer) -> Iterator[tuple[int, list[bytes]]]:
    """A server on loopback; its port, and the requests that it got."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(65_536))
                try:
                    answer(connection, asked[-1])
                except OSError:
                    continue  # cut off, as it should be

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def to_loopback(port: int, **changes: object) -> Fetcher:
    """As in use, except that every name is this machine and this port is a usual one."""

    fetcher = Fetcher(
        is_allowed=lambda address: address == ip_address("127.0.0.1"),
        resolve=lambda *_: ["127.0.0.1"],
        ports=frozenset({port}),
    )
    return replace(fetcher, **changes)  # type: ignore[arg-type]
