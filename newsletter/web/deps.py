"""What routes ask for: the running system, and how the visitor came.

A transaction is not among them: a route opens `runtime.sessions` in its own body. One thread then
takes the database, works, commits and gives it back. A dependency would take it in one thread of
the pool and need a second to go on, and forty requests that wait for the database leave none. The
commit also comes before the answer, so no failed commit is ever answered with 200.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request

from newsletter.core.fetch import Fetcher
from newsletter.core.runtime import Runtime
from newsletter.tracking.links import Links
from newsletter.tracking.recorder import Recorder
from newsletter.tracking.recording import Visit
from newsletter.web.mail_domains import MailDomains


async def running(request: Request) -> Runtime:
    """The runtime the application was made for."""
    runtime: Runtime = request.app.state.runtime
    return runtime


Running = Annotated[Runtime, Depends(running)]


async def _recorder(request: Request) -> Recorder:
    recorder: Recorder = request.app.state.recorder
    return recorder


async def _links(request: Request) -> Links:
    links: Links = request.app.state.links
    return links


async def _mail_domains(request: Request) -> MailDomains:
    mail_domains: MailDomains = request.app.state.mail_domains
    return mail_domains


async def _fetcher(request: Request) -> Fetcher:
    fetcher: Fetcher = request.app.state.fetcher
    return fetcher


Recording = Annotated[Recorder, Depends(_recorder)]
Following = Annotated[Links, Depends(_links)]
Fetching = Annotated[Fetcher, Depends(_fetcher)]
Judging = Annotated[MailDomains, Depends(_mail_domains)]


async def visit(request: Request, runtime: Running) -> Visit:
    """How this request came."""
    headers = request.headers
    purpose = headers.get("purpose", "") + headers.get("sec-purpose", "") + headers.get("x-moz", "")
    return Visit(
        method=request.method,
        ip=_client_ip(request, runtime),
        user_agent=headers.get("user-agent", "").replace("\0", ""),
        is_prefetch="prefetch" in purpose.lower(),
    )


Visiting = Annotated[Visit, Depends(visit)]


def _client_ip(request: Request, runtime: Runtime) -> str:
    """The visitor's address: of the hops behind us the first that is no trusted proxy's.

    A proxy may add a line of its own instead of a word to the visitor's: all lines are one list.
    """
    visitor = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in (visitor, *(_without_port(hop.strip()) for hop in reversed(forwarded))):
        try:
            said = ip_address(hop)
        except ValueError:
            return visitor
        address = _unwrapped(said)
        visitor = str(address)
        if not any(
            address in network or said in network
            for network in runtime.settings.site.trusted_proxies
        ):
            return visitor
    return visitor


_WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9a-fA-F.]*:[0-9a-fA-F:.]*)\])(?::[0-9]{1,5})?")


def _without_port(hop: str) -> str:
    """Some proxies write the port beside it: `192.0.2.1:5678`, `[2001:db8::1]:443`."""
    found = _WITH_PORT.fullmatch(hop)
    return found[1] or found[2] if found else hop


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 as itself, also where a socket of IPv6 has taken it."""
    return getattr(address, "ipv4_mapped", None) or address
