"""Pictures of mails from elsewhere, for the frames in which the desk shows a mail.

The browser asks us, and we ask whoever has the picture, by the guarded fetcher: nothing of the
editor goes out. An address of ours is signed, so nobody has anything else fetched by us.
docs/decisions/0038.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

from newsletter.core.clock import now
from newsletter.core.fetch import LONGEST_URL, Fetcher, FetchError
from newsletter.core.sentences import Sentence, say
from newsletter.core.tokens import TokenKeys, sign, verify

MAX_BYTES = 4_000_000
"""Of one picture; it is in a hurry who shows a larger one by mail."""

KEPT_BYTES = 32_000_000
"""Of all that are remembered, in each process that serves."""

MOST_UNDER_WAY, MOST_OF_A_HOST = 100, 40
"""Pictures that are fetched or wait for it; a slow server keeps room for the others'."""

NOT_SHOWN = "/static/desk/no-picture.svg"
_KEPT_FOR, _REFUSED_FOR = timedelta(minutes=10), timedelta(minutes=1)
_PATIENCE_SECONDS = 6.0
_THREADS, _THREADS_OF_A_HOST = 8, 2
_PURPOSE = "outside picture"
_DAY_BYTES = 3
_SIGNS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_WEBP_BYTES = 12


@dataclass(frozen=True, slots=True)
class OutsidePicture:
    """A picture as it came, or, without data, why there is none.

    Attributes:
        is_late: there is too much to do; the next who asks may get it.
    """

    data: bytes = b""
    mime: str = ""
    problem: Sentence | None = None
    is_late: bool = False


LATE = OutsidePicture(problem=say("too many pictures are on their way"), is_late=True)
"""What whoever asks gets while there is too much to do; it is not remembered."""


@dataclass(frozen=True, slots=True)
class _Kept:
    picture: OutsidePicture
    until: datetime
    size: int


@dataclass(slots=True)
class _Wanted:
    """A picture on its way, and how many wait for it."""

    host: str
    slots: asyncio.Semaphore
    waiting: int = 0
    has_begun: bool = False


class OutsidePictures:
    """Fetches each picture once in a while, in threads of its own, and remembers some."""

    def __init__(self, base_url: str, keys: TokenKeys, fetcher: Fetcher) -> None:
        self._own = f"{base_url}/i/"
        self._base_url = base_url
        self._keys = keys
        self._fetcher = replace(
            fetcher,
            patience_seconds=_PATIENCE_SECONDS,
            max_bytes=MAX_BYTES,
            accept="image/png,image/jpeg,image/gif,image/webp",
        )
        self._threads = CapacityLimiter(_THREADS)  # slow servers keep no page of ours waiting
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._under_way: dict[str, tuple[_Wanted, asyncio.Task[OutsidePicture]]] = {}
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def address(self, url: str) -> str:
        """Our own address for the picture at `url`, as a path; good today and tomorrow.

        Pictures of our own are asked for where the page came from, whatever readers call it.
        """
        if url.startswith(self._own):
            return quote(url.removeprefix(self._base_url))
        if len(url) > LONGEST_URL:
            return NOT_SHOWN
        token = sign(self._keys, _PURPOSE, _today() + _digest(url))
        return f"/pictures/{token}?of={quote(url, safe='', errors='replace')}"

    def is_ours(self, token: str, url: str) -> bool:
        """Whether `address` made this lately, for this very picture."""
        payload = verify(self._keys, _PURPOSE, token)
        if payload is None or payload[_DAY_BYTES:] != _digest(url):
            return False
        age = int.from_bytes(_today()) - int.from_bytes(payload[:_DAY_BYTES])
        return 0 <= age <= 1

    async def picture(self, url: str) -> OutsidePicture:
        """The picture; whoever asks for one that is on its way waits for the same.

        One that nobody waits for any more is not begun.
        """
        kept = self._still_kept(url)
        if kept is not None:
            return kept
        host = _host(url)
        if url not in self._under_way and self._is_too_much(host):
            return LATE
        wanted, task = self._under_way.get(url) or self._begun(url, host)
        wanted.waiting += 1
        try:
            return await asyncio.shield(task)
        finally:
            wanted.waiting -= 1
            if not (wanted.waiting or wanted.has_begun):
                self._forget(url, wanted)
                task.cancel()

    def _is_too_much(self, host: str) -> bool:
        of_host = sum(wanted.host == host for wanted, _ in self._under_way.values())
        return len(self._under_way) >= MOST_UNDER_WAY or of_host >= MOST_OF_A_HOST

    def _begun(self, url: str, host: str) -> tuple[_Wanted, asyncio.Task[OutsidePicture]]:
        slots = self._hosts.setdefault(host, asyncio.Semaphore(_THREADS_OF_A_HOST))
        wanted = _Wanted(host, slots)
        task = asyncio.create_task(self._fetched(url, wanted))
        task.add_done_callback(lambda _: self._forget(url, wanted))
        self._under_way[url] = wanted, task
        return wanted, task

    def _forget(self, url: str, wanted: _Wanted) -> None:
        """Somebody may have asked anew in between: that one goes on."""
        under_way = self._under_way.get(url)
        if under_way is not None and under_way[0] is wanted:
            del self._under_way[url]

    def problem(self, url: str) -> Sentence | None:
        """Why this picture was not to be had a moment ago; None: it was, or nobody asked."""
        kept = self._still_kept(url)
        return kept.problem if kept else None

    def _still_kept(self, url: str) -> OutsidePicture | None:
        kept = self._kept.get(url)
        return kept.picture if kept and now() < kept.until else None

    async def _fetched(self, url: str, wanted: _Wanted) -> OutsidePicture:
        async with wanted.slots:
            picture = await to_thread.run_sync(self._fetch, url, wanted, limiter=self._threads)
        until = now() + (_REFUSED_FOR if picture.problem else _KEPT_FOR)
        self._keep(url, _Kept(picture, until, len(picture.data) + 4 * len(url) + 500))
        return picture

    def _fetch(self, url: str, wanted: _Wanted) -> OutsidePicture:
        wanted.has_begun = True
        try:
            data = self._fetcher.fetch(url).data
        except FetchError as error:
            return OutsidePicture(problem=error.problem)
        mime = _mime(data)
        if mime is None:
            return OutsidePicture(
                problem=say("it is no JPEG, PNG, GIF or WebP, which mail can show")
            )
        return OutsidePicture(data, mime)

    def _keep(self, url: str, kept: _Kept) -> None:
        """The oldest go first."""
        self._kept.pop(url, None)
        self._kept[url] = kept
        size = sum(each.size for each in self._kept.values())
        while size > KEPT_BYTES:
            size -= self._kept.popitem(last=False)[1].size


def _mime(data: bytes) -> str | None:
    """By its first bytes: what a server says of it may lead a browser to run it."""
    if data[:4] == b"RIFF" and data[8:_WEBP_BYTES] == b"WEBP":
        return "image/webp"
    return next((mime for sign, mime in _SIGNS.items() if data.startswith(sign)), None)


def _host(url: str) -> str:
    """Whose server it is, as far as the address says so."""
    with suppress(ValueError):
        return (urlsplit(url).hostname or "").rstrip(".")
    return ""


def _today() -> bytes:
    return now().toordinal().to_bytes(_DAY_BYTES)


def _digest(url: str) -> bytes:
    return sha256(url.encode(errors="replace")).digest()
