"""`newsletter serve` and `newsletter worker`: the processes that stay."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import typer

from newsletter.accounts import first_run, users
from newsletter.cli import output, state
from newsletter.cli.ending import SIGNALS, told_to_end
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.jobs.bell import attach_bell
from newsletter.jobs.embedded import sending
from newsletter.jobs.imports import importing
from newsletter.jobs.polling import polling
from newsletter.sending.signing import ready_to_sign
from newsletter.sending.smtp_transport import transports_for

_LAST_ANSWERS_SECONDS = 10


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Default: site.host, 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: site.port, 8000.")
    ] = None,
) -> None:
    """Run the web pages; without a broker also the sending and the schedule, in one process."""
    import uvicorn

    from newsletter.web.app import create_app

    runtime = state.runtime()
    ready_to_sign(runtime.settings)
    attach_bell(runtime)
    site = runtime.settings.site
    host, port = host or site.host, site.port if port is None else port
    app = create_app(runtime)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        )
    )
    app.state.is_ending = lambda: server.should_exit  # a live page's answer would never end
    # Ours stay in force when the server has ended: it raises the signal once more for whoever
    # started it, and by default that kills the sender in the middle of a message.
    for number in SIGNALS:
        signal.signal(number, server.handle_exit)
    with background(runtime), _mailbox(runtime), _imports(runtime):
        bound = f"http://{_in_url(host)}:{port}"
        output.say(f"Serving on {bound} · Ctrl-C ends it")
        _say_how_to_begin(runtime, bound)
        server.run()


def _in_url(host: str) -> str:
    """Colons of an IPv6 address stand in brackets there."""
    return f"[{host}]" if ":" in host else host


def _say_how_to_begin(runtime: Runtime, bound: str) -> None:
    """Before there is a user: the link that makes the first one, and the code in it by itself.

    That is where we listen, as `--port` may differ from the settings, unless readers have a URL.
    """
    with runtime.sessions.reading() as session:
        if users.anybody(session):
            return
    site = runtime.settings.site
    url = site.public_url if site.base_url else bound
    output.say(
        f"Nobody works here yet: begin at {url}{first_run.set_up_path(runtime.keys)}\n"
        f"From elsewhere: the page /set-up there, set-up code {first_run.set_up_code(runtime.keys)}"
    )


def worker() -> None:
    """Send without Celery: the background of `serve`, alone. Ends on SIGTERM or Ctrl-C."""
    runtime = state.runtime()
    if not runtime.settings.embedded:
        raise ConfigurationError(
            say("broker.url is set: Celery does the sending, start it by `celery -A worker worker`")
        )
    ready_to_sign(runtime.settings)
    sender = sending(runtime, transports_for(runtime.settings.relays))
    with told_to_end() as ending, sender, polling(runtime), importing(runtime):
        output.say("Sending what is due · Ctrl-C ends it")
        ending.wait()


def background(runtime: Runtime) -> AbstractContextManager[None]:
    """The embedded sender, unless Celery sends or there is no relay to send through."""
    if not runtime.settings.embedded:
        return nullcontext()
    if not runtime.settings.relays:
        output.problem("No relay is configured: pages are served, nothing is sent.")
        return nullcontext()
    return sending(runtime, transports_for(runtime.settings.relays))


def _mailbox(runtime: Runtime) -> AbstractContextManager[None]:
    """Polled here unless Celery's beat does it."""
    return polling(runtime) if runtime.settings.embedded else nullcontext()


def _imports(runtime: Runtime) -> AbstractContextManager[None]:
    """Worked on here unless Celery does it."""
    return importing(runtime) if runtime.settings.embedded else nullcontext()


@contextmanager
def serving(runtime: Runtime, listening: socket.socket) -> Iterator[None]:
    """The web application on a socket that already listens, while the block runs."""
    import uvicorn

    from newsletter.web.app import create_app

    app = create_app(runtime)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    app.state.is_ending = lambda: server.should_exit
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
