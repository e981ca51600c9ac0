"""Human, machine or unknown: rules with names and a version, over plain values.

Nothing is stored while a hit has its evidence: its class can be computed again when the rules get
better. A hit whose IP and user agent were emptied keeps the class that it had until then.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

VERSION = 1

_SCANNERS = re.compile(
    r"bot\b|crawl|spider|scan|barracuda|proofpoint|mimecast|ironport|symantec|trend ?micro"
    r"|safelinks|urldefense|fortinet|sophos|curl/|wget/|python-|go-http-client|headless",
    re.IGNORECASE,
)
_PRIVACY_PROXY = "Mozilla/5.0"
"""Apple Mail Privacy Protection fetches every image whether the mail is read or not."""
_IMAGE_PROXY = re.compile(r"GoogleImageProxy|YahooMailProxy", re.IGNORECASE)
_BURST = timedelta(seconds=2)
_BURST_LINKS = 3
AT_ONCE = timedelta(seconds=3)
"""A person needs longer than this from acceptance to a click."""


class Reader(StrEnum):
    """Who was behind a hit, as far as can be told."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a hit and the rule that decided."""

    reader: Reader
    rule: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One fetch of a pixel or link.

    Attributes:
        reader_id: the delivery, or None when readers are not told apart.
        link: the link's number; None for a pixel.
        accepted_at: when the relay took the mail; None when not known.
        settled: what was found while there was evidence; None while there is.
    """

    reader_id: int | None
    at: datetime
    method: str
    user_agent: str
    link: int | None = None
    is_prefetch: bool = False
    accepted_at: datetime | None = None
    settled: Verdict | None = None


def classify(hit: Hit) -> Verdict:
    """The class of one hit by itself; `classify_all` also sees its neighbours."""
    if hit.settled:
        return hit.settled
    return next(Verdict(reader, name) for name, reader, holds in _RULES if holds(hit))


@lru_cache(maxsize=4_096)
def _names_a_scanner(user_agent: str) -> bool:
    """Few differ: a million hits come from some thousand kinds of programs."""
    return _SCANNERS.search(user_agent) is not None


def _clicked_at_once(hit: Hit) -> bool:
    return (
        hit.link is not None and hit.accepted_at is not None and hit.at - hit.accepted_at < AT_ONCE
    )


_RULES: tuple[tuple[str, Reader, Callable[[Hit], bool]], ...] = (
    ("not-a-get", Reader.MACHINE, lambda hit: hit.method != "GET"),
    ("prefetch", Reader.MACHINE, lambda hit: hit.is_prefetch),
    ("no-user-agent", Reader.MACHINE, lambda hit: not hit.user_agent),
    ("privacy-proxy", Reader.UNKNOWN, lambda hit: hit.user_agent.strip() == _PRIVACY_PROXY),
    ("scanner", Reader.MACHINE, lambda hit: _names_a_scanner(hit.user_agent)),
    ("click-at-once", Reader.MACHINE, _clicked_at_once),
    ("image-proxy", Reader.HUMAN, lambda hit: _IMAGE_PROXY.search(hit.user_agent) is not None),
    ("mail-program", Reader.HUMAN, lambda _hit: True),
)
"""The first that holds decides."""


_BURST_VERDICT = Verdict(Reader.MACHINE, "burst")


def classify_all(hits: Iterable[Hit]) -> list[tuple[Hit, Verdict]]:
    """Every hit with its class: a reader who fetches three links within two seconds is none."""
    ordered = sorted(hits, key=lambda hit: (hit.reader_id or 0, hit.at))
    classified: list[tuple[Hit, Verdict]] = []
    for reader_id, group in groupby(ordered, key=lambda hit: hit.reader_id):
        of_reader = list(group)
        bursts = set() if reader_id is None else _in_bursts(of_reader)
        classified += [
            (hit, _BURST_VERDICT if number in bursts and not hit.settled else classify(hit))
            for number, hit in enumerate(of_reader)
        ]
    return classified


def _in_bursts(hits: Sequence[Hit]) -> set[int]:
    """Places of the clicks that belong to three different links within two seconds."""
    clicks = [(number, hit) for number, hit in enumerate(hits) if hit.link is not None]
    found: set[int] = set()
    for start, (_, first) in enumerate(clicks):
        window = [(n, hit) for n, hit in clicks[start:] if hit.at - first.at <= _BURST]
        if len({hit.link for _, hit in window}) >= _BURST_LINKS:
            found |= {number for number, _ in window}
    return found
