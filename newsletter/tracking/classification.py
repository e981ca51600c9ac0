"""Human, machine or unknown: rules with names and a version, over plain values.

Nothing is stored: the class of every hit can be computed again when the rules get better.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
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
_AT_ONCE = timedelta(seconds=3)
"""A person needs longer than this from acceptance to a click."""


class Reader(StrEnum):
    """Who was behind a hit, as far as can be told."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Hit:
    """One fetch of a pixel or link.

    Attributes:
        reader_id: the delivery, or None when readers are not told apart.
        link: the link's number; None for a pixel.
        accepted_at: when the relay took the mail; None when not known.
    """

    reader_id: int | None
    at: datetime
    method: str
    user_agent: str
    link: int | None = None
    is_prefetch: bool = False
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a hit and the rule that decided."""

    reader: Reader
    rule: str


def classify(hit: Hit) -> Verdict:
    """The class of one hit by itself; `classify_all` also sees its neighbours."""
    if hit.method != "GET":
        return Verdict(Reader.MACHINE, "not-a-get")
    if hit.is_prefetch:
        return Verdict(Reader.MACHINE, "prefetch")
    if not hit.user_agent:
        return Verdict(Reader.MACHINE, "no-user-agent")
    if hit.user_agent.strip() == _PRIVACY_PROXY:
        return Verdict(Reader.UNKNOWN, "privacy-proxy")
    if _SCANNERS.search(hit.user_agent):
        return Verdict(Reader.MACHINE, "scanner")
    if hit.link is not None and hit.accepted_at and hit.at - hit.accepted_at < _AT_ONCE:
        return Verdict(Reader.MACHINE, "click-at-once")
    if _IMAGE_PROXY.search(hit.user_agent):
        return Verdict(Reader.HUMAN, "image-proxy")
    return Verdict(Reader.HUMAN, "mail-program")


def classify_all(hits: Iterable[Hit]) -> list[tuple[Hit, Verdict]]:
    """Every hit with its class: a reader who fetches three links within two seconds is none."""
    ordered = sorted(hits, key=lambda hit: (hit.reader_id or 0, hit.at))
    classified: list[tuple[Hit, Verdict]] = []
    for reader_id, group in groupby(ordered, key=lambda hit: hit.reader_id):
        of_reader = list(group)
        bursts = set() if reader_id is None else _in_bursts(of_reader)
        classified += [
            (hit, Verdict(Reader.MACHINE, "burst") if number in bursts else classify(hit))
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
