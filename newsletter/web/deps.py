"""What routes ask for: the running system, a transaction, how the visitor came."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from newsletter.core.runtime import Runtime
from newsletter.tracking.recording import Visit


def running(request: Request) -> Runtime:
    """The runtime the application was made for."""
    runtime: Runtime = request.app.state.runtime
    return runtime


Running = Annotated[Runtime, Depends(running)]


def _reading(runtime: Running) -> Iterator[Session]:
    with runtime.sessions.reading() as session:
        yield session


def _writing(runtime: Running) -> Iterator[Session]:
    with runtime.sessions.writing() as session:
        yield session


# scope="function": the commit happens before the answer goes out, so no failed commit is a 200.
Reading = Annotated[Session, Depends(_reading, scope="function")]
Writing = Annotated[Session, Depends(_writing, scope="function")]


def visit(request: Request, runtime: Running) -> Visit:
    """How this request came."""
    headers = request.headers
    purpose = headers.get("purpose", "") + headers.get("sec-purpose", "") + headers.get("x-moz", "")
    return Visit(
        method=request.method,
        ip=_client_ip(request, runtime),
        user_agent=headers.get("user-agent", ""),
        is_prefetch="prefetch" in purpose.lower(),
    )


Visiting = Annotated[Visit, Depends(visit)]


def _client_ip(request: Request, runtime: Runtime) -> str:
    """The visitor's address: of the hops behind us the first that is no trusted proxy's."""
    visitor = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "").split(",")
    for hop in (visitor, *(hop.strip() for hop in reversed(forwarded))):
        try:
            address = ip_address(hop)
        except ValueError:
            return visitor
        visitor = hop
        if not any(address in network for network in runtime.settings.site.trusted_proxies):
            return visitor
    return visitor
