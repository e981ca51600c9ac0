"""The one guarded fetcher: for every URL that somebody typed, and nothing else goes out by it.

Whoever may type a URL must not reach what only this machine reaches. A name is looked up once, the
addresses are judged, and the connection goes to the very address that was judged: a second answer
of the nameserver changes nothing. The same for each hop of a redirect. docs/decisions/0029.
"""

import http.client
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import Count, Sentence, say

MAX_BYTES = 2_000_000
PATIENCE_SECONDS = 10.0
MAX_REDIRECTS = 5
_CHUNK_BYTES = 16_384
LONGEST_URL = 2_000
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
_OK = 200
_EMBEDDING = (IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16"))
"""NAT64 and 6to4: an address of IPv4 is inside, and is where the packets go."""

_HEADERS = {
    "User-Agent": "newsletter (link preview)",
    "Accept-Encoding": "identity",
    "Connection": "close",
}

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


class FetchError(NewsletterError):
    """A page could not be had, or was not asked for: says which URL and why."""

    def __init__(self, url: str, problem: Sentence) -> None:
        super().__init__(say("%(url)s: %(problem)s", url=url[:200], problem=problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page: where it was found in the end, its type as the server said, its bytes."""

    url: str
    content_type: str
    data: bytes


def is_public(address: Address) -> bool:
    """Whether packets to this address leave for the open internet, whatever it is wrapped in."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    refused = address.is_multicast or address.is_reserved or address.is_unspecified
    local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not refused and not local


def _embedded(address: Address) -> Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    nat64, six_to_four = _EMBEDDING
    if address in nat64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF) if address in six_to_four else None


def _looked_up(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found]


@dataclass(frozen=True)
class Fetcher:
    """Fetches pages for people who typed their URLs.

    What is given here is given by the program alone: no setting loosens it.

    Attributes:
        is_allowed: judges an address before anything is connected to it.
        ports: None: only the usual one of each scheme.
        tls: checks certificates as a browser does.
        accept: what is looked for there, as a header says it.
    """

    is_allowed: Callable[[Address], bool] = is_public
    resolve: Resolve = _looked_up
    ports: frozenset[int] | None = None
    patience_seconds: float = PATIENCE_SECONDS
    max_bytes: int = MAX_BYTES
    tls: ssl.SSLContext | None = None
    accept: str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"

    def fetch(self, url: str) -> Fetched:
        """The page, after at most five redirects; no cookies, no credentials, nothing cached.

        Raises:
            FetchError: in one sentence, why not.
        """
        deadline = time.monotonic() + self.patience_seconds
        for _ in range(MAX_REDIRECTS + 1):
            parts = self._checked(url)
            with self._asked(parts, url, deadline) as response:
                if response.status not in _REDIRECTS:
                    return self._read(response, url)
                target = response.headers.get("Location", "")
            if not target:
                raise FetchError(url, say("the server sends us on, but not where"))
            url = _joined(url, target)
        raise FetchError(url, say("more than %(most)s redirects", most=MAX_REDIRECTS))

    def _checked(self, url: str) -> SplitResult:
        """The URL's parts, if it is one that may be asked for."""
        try:
            parts = urlsplit(_spelt_out(url))
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise FetchError(url, say("not a URL")) from None
        if parts.scheme not in _PORTS:
            raise FetchError(url, say("expected a URL that begins with https:// or http://"))
        if not parts.hostname or len(url) > LONGEST_URL:
            raise FetchError(url, say("not a URL"))
        if parts.username is not None or parts.password is not None:
            raise FetchError(
                url.rpartition("@")[2], say("a URL with a name or password is not fetched")
            )
        allowed = self.ports if self.ports is not None else {_PORTS[parts.scheme]}
        if port not in allowed:
            raise FetchError(
                url, say("port %(port)s is not one that web pages are fetched from", port=port)
            )
        return parts

    @contextmanager
    def _asked(
        self, parts: SplitResult, url: str, deadline: float
    ) -> Iterator[http.client.HTTPResponse]:
        """The server's answer, its body not read yet; whatever goes wrong is a FetchError."""
        host = _ascii_host(parts, url)
        port = parts.port or _PORTS[parts.scheme]
        addresses = self._addresses(host, port, url, deadline)
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        timed_out = threading.Event()
        try:
            connection = self._connected(parts.scheme, host, port, addresses, deadline)
            with _cut_off(connection, deadline, timed_out):
                connection.request("GET", path, headers={**_HEADERS, "Accept": self.accept})
                with connection.getresponse() as response:
                    yield response
                if timed_out.is_set():  # a connection that ends looks like the end of the page
                    raise TimeoutError
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            if timed_out.is_set() or isinstance(error, TimeoutError):
                raise FetchError(url, say("the server took too long")) from None
            raise FetchError(url, _said(error)) from None

    def _addresses(self, host: str, port: int, url: str, deadline: float) -> Sequence[str]:
        """The addresses of the host, when all of them may be connected to."""
        found = self._resolved(host, port, url, deadline)
        for text in found:
            try:
                fits = self.is_allowed(ip_address(text))
            except ValueError:
                fits = False
            if not fits:
                raise FetchError(url, say("its address is not on the public internet"))
        if not found:
            raise FetchError(url, say("there is no such server"))
        return found

    def _resolved(self, host: str, port: int, url: str, deadline: float) -> Sequence[str]:
        """A nameserver that does not answer keeps a thread, not us."""
        threads = ThreadPoolExecutor(1, "resolve")
        try:
            asked = threads.submit(self.resolve, host, port)
            return asked.result(timeout=_left(deadline))
        except OutOfTime:
            raise FetchError(url, say("the nameserver took too long")) from None
        except (OSError, UnicodeError):
            raise FetchError(url, say("there is no such server")) from None
        finally:
            threads.shutdown(wait=False)

    def _connected(
        self, scheme: str, host: str, port: int, addresses: Sequence[str], deadline: float
    ) -> http.client.HTTPConnection:
        """A connection to one of these addresses and no other; TLS is for the name."""
        connection = http.client.HTTPConnection(host, port, timeout=_left(deadline))
        connected = _connected_to_one(addresses, port, deadline)
        if scheme == "https":
            context = self.tls or ssl.create_default_context()
            try:
                connected = context.wrap_socket(connected, server_hostname=host)
            except (OSError, ValueError):
                connected.close()
                raise
        connection.sock = connected
        return connection

    def _read(self, response: http.client.HTTPResponse, url: str) -> Fetched:
        if response.status != _OK:
            raise FetchError(url, say("the server answered %(status)s", status=response.status))
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "deflate", ""):
            raise FetchError(
                url, say("sent as %(encoding)s, which we did not ask for", encoding=encoding[:20])
            )
        opened = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
        data = b""
        while chunk := response.read1(_CHUNK_BYTES):
            # Never more at once than still fits: a few compressed bytes may stand for gigabytes.
            room = self.max_bytes + 1 - len(data)
            data += opened.decompress(chunk, room) if opened else chunk
            if len(data) > self.max_bytes:
                raise FetchError(url, say("more than %(most)s bytes", most=Count(self.max_bytes)))
        return Fetched(url, response.headers.get("Content-Type", ""), data)


def _connected_to_one(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    *others, last = addresses
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, port), timeout=_left(deadline))
    return socket.create_connection((last, port), timeout=_left(deadline))


def _left(deadline: float) -> float:
    """Seconds until the deadline; never 0, which would mean not to wait at all."""
    return max(0.01, deadline - time.monotonic())


@contextmanager
def _cut_off(
    connection: http.client.HTTPConnection, deadline: float, timed_out: threading.Event
) -> Iterator[None]:
    """At the deadline the connection ends, however little at a time the server sends."""
    taken: socket.socket = connection.sock

    def end() -> None:
        timed_out.set()
        with suppress(OSError):
            taken.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(deadline), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()
        taken.close()


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, _spelt_out(target))
    except ValueError:
        raise FetchError(target, say("not a URL")) from None


def _ascii_host(parts: SplitResult, url: str) -> str:
    host = parts.hostname or ""
    try:
        return host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise FetchError(url, say("not a URL")) from None


def _spelt_out(url: str) -> str:
    """Without white space around; characters that stand in no request line as percent signs."""
    return quote(url.strip(), safe="!#$%&'()*+,/:;=?@[]~", encoding="utf-8", errors="replace")


def _said(error: Exception) -> Sentence:
    if isinstance(error, ssl.SSLError):
        return say("its certificate is not one that we trust, or it speaks no TLS that we know")
    if isinstance(error, OSError):
        return say("the server cannot be reached")
    return say("the server's answer is not one that we can read")
