"""How many sign-ups an IP address, a network and a recipient domain may make in an hour."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import SignUpSettings
from newsletter.core.tokens import TokenKeys
from subscribers.sign_up_counts import count, count_key

_HOST_BITS_V6, _NETWORK_BITS_V4, _NETWORK_BITS_V6 = 64, 24, 48


class Passage(StrEnum):
    """Whether somebody gets through."""

    FREE = "free"
    PROOF = "proof"
    """Over a soft limit: with a proof of work."""
    CLOSED = "closed"
    """Over a hard limit: not before the hour is over."""


_STRICTNESS = list(Passage)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-up comes from, in the sizes in which people get addresses.

    Attributes:
        host: one IPv4 address, or the /64 of IPv6 that one machine has to itself.
        network: /24 or /48.
    """

    host: str
    network: str

    @classmethod
    def of(cls, ip: str) -> "Origin":
        """Of a visitor's address; text that is none stands for itself."""
        try:
            address = ip_address(ip.partition("%")[0])
        except ValueError:
            return cls(ip, ip)
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is None:
                return cls(_around(ip, _HOST_BITS_V6), _around(ip, _NETWORK_BITS_V6))
            address = address.ipv4_mapped
        return cls(str(address), _around(str(address), _NETWORK_BITS_V4))


@dataclass(frozen=True, slots=True)
class _Limit:
    kind: str
    thing: str
    soft: int
    hard: int

    def judge(self, so_many: int) -> Passage:
        if so_many > self.hard:
            return Passage.CLOSED
        return Passage.PROOF if so_many > self.soft else Passage.FREE


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who gets through, and when the hour is over."""

    passage: Passage
    seconds_left: int


def judge(
    sessions: Sessions,
    keys: TokenKeys,
    limits: SignUpSettings,
    origin: Origin,
    domain: str,
    is_proved: Callable[[], bool],
) -> Judgement:
    """Count one more sign-up and say what follows; never PROOF for who has given it.

    What others share is counted only for those who got so far: who is stopped by their own address
    does not close its network, and who has proved nothing closes no domain.
    """
    moment = now()
    until = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    seconds_left = int((until - moment).total_seconds()) + 1
    host = _Limit("ip", origin.host, limits.ip_soft, limits.ip_hard)
    network = _Limit("network", origin.network, limits.network_soft, limits.network_hard)
    to = _Limit("domain", domain, limits.domain_hard, limits.domain_hard)
    passage = _passage(sessions, keys, host, until)
    if passage is not Passage.CLOSED:
        passage = max(passage, _passage(sessions, keys, network, until), key=_STRICTNESS.index)
    if passage is Passage.PROOF and is_proved():
        passage = Passage.FREE
    if passage is Passage.FREE:
        passage = _passage(sessions, keys, to, until)
    return Judgement(passage, seconds_left)


def _passage(sessions: Sessions, keys: TokenKeys, limit: _Limit, until: datetime) -> Passage:
    """One more, in a transaction of its own: nobody waits for a second count with the first."""
    key = count_key(keys, limit.kind, limit.thing)
    with sessions.at_once() as connection:
        return limit.judge(count(connection, [key], until)[key])


def _around(ip: str, bits: int) -> str:
    return str(ip_network(f"{ip.partition('%')[0]}/{bits}", strict=False))
