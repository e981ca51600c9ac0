"""`newsletter serve` and `newsletter worker`: the processes that stay."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import typer

from newsletter.cli import output, state
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime
from newsletter.jobs.bell import attach_bell
from newsletter.jobs.embedded import sending
from newsletter.sending.signing import ready_to_sign
from newsletter.sending.smtp_transport import transports_for


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Default: site.host, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: site.port, 8000.")] = None,
) -> None:
    """Run the web pages; without a broker also the sending and the schedule, in one process."""
    import uvicorn

    from newsletter.web.app import create_app

    runtime = state.runtime()
    ready_to_sign(runtime.settings)
    attach_bell(runtime)
    site = runtime.settings.site
    host, port = host or site.host, site.port if port is None else port
    with background(runtime):
        output.say(f"Serving on http://{host}:{port} · Ctrl-C ends it")
        uvicorn.run(
            create_app(runtime),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )


def worker() -> None:
    """Send without Celery: the background of `serve`, alone. Ends on SIGTERM or Ctrl-C."""
    runtime = state.runtime()
    if not runtime.settings.embedded:
        raise ConfigurationError(
            "broker.url is set: Celery does the sending, start it by `celery -A worker worker`"
        )
    ready_to_sign(runtime.settings)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with sending(runtime, transports_for(runtime.settings.relays)):
        output.say("Sending what is due · Ctrl-C ends it")
        ended.wait()


def background(runtime: Runtime) -> AbstractContextManager[None]:
    """The embedded sender, unless Celery sends or there is no relay to send through."""
    if not runtime.settings.embedded:
        return nullcontext()
    if not runtime.settings.relays:
        output.problem("No relay is configured: pages are served, nothing is sent.")
        return nullcontext()
    return sending(runtime, transports_for(runtime.settings.relays))


@contextmanager
def serving(runtime: Runtime, listening: socket.socket) -> Iterator[None]:
    """The web application on a socket that already listens, while the block runs."""
    import uvicorn

    from newsletter.web.app import create_app

    config = uvicorn.Config(create_app(runtime), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="web")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def listen_locally() -> socket.socket:
    """A socket on a free port of 127.0.0.1; connections wait in it until somebody serves."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening
