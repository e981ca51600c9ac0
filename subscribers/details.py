"""What people say about themselves: name, language, time zone; as typed in, checked."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.models import MAX_NAME_CHARACTERS, Subscriber

_LANGUAGE = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?((?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*)",
    re.IGNORECASE,
)
"""Language, script, region, variants (RFC 5646 section 2.1); what nobody reads mail in is out."""

_LONGEST_LANGUAGE = 35
BREAKING = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that break a line or are none."""

_NO_PLACES = ("Etc/", "SystemV/", "posix/", "right/", "US/")


@dataclass(frozen=True, slots=True)
class Details:
    """As `name`, `locale` and `time_zone` gave them."""

    name: str
    locale: str
    time_zone: str


def describe(person: Subscriber, details: Details) -> list[str]:
    """Keep what the person says; returns the names of what is different now."""
    different = []
    for key in ("name", "locale", "time_zone"):
        if getattr(person, key) != getattr(details, key):
            setattr(person, key, getattr(details, key))
            different.append(key)
    return different


def name(text: str) -> str:
    """A name with single spaces; empty for none.

    Raises:
        InputError: it is too long, or has characters that no name has.
    """
    shown = " ".join(text.split())
    if len(shown) > MAX_NAME_CHARACTERS:
        raise InputError(
            "name", say("expected at most %(most)s characters", most=MAX_NAME_CHARACTERS)
        )
    if any(unicodedata.category(character) in BREAKING for character in shown):
        raise InputError("name", say("expected letters, not control characters"))
    return shown


def locale(text: str) -> str:
    """A language tag (BCP 47) in its usual spelling, such as `pt-BR`; empty for none.

    Raises:
        InputError: it is no such tag.
    """
    tag = text.strip().replace("_", "-")
    found = _LANGUAGE.fullmatch(tag)
    if tag and (found is None or len(tag) > _LONGEST_LANGUAGE):
        raise InputError("locale", say("expected a language such as en, pt-BR or zh-Hant"))
    if found is None:
        return ""
    language, script, region, variants = found.groups()
    subtags = [language.lower(), (script or "").title(), (region or "").upper()]
    return "-".join(filter(None, subtags)) + variants.lower()


def time_zone(text: str) -> str:
    """A time zone's name (IANA), such as `Europe/London`; empty for none.

    Raises:
        InputError: there is no such time zone.
    """
    zone = text.strip()
    if zone and zone not in available_timezones():
        raise InputError("time_zone", say("expected a time zone such as Europe/London"))
    return zone


@cache
def time_zones() -> dict[str, tuple[str, ...]]:
    """What to choose from, by part of the world: `Europe` -> `Europe/Amsterdam`, ….

    Any other that `time_zone` takes may be kept too; these are those with a place in them.
    """
    parts: dict[str, tuple[str, ...]] = {}
    for zone in sorted(available_timezones()):
        if "/" in zone and not zone.startswith(_NO_PLACES):
            part = zone.partition("/")[0]
            parts[part] = (*parts.get(part, ()), zone)
    return parts
