"""A newsletter's identity: what its mail says of itself, read from what somebody typed."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter.core.config import Settings
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sections import TrackingMode
from newsletter.core.sentences import Sentence, say
from newsletter.core.slug import slugify
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.mail.address import Address

MOST_HOLD_MINUTES = 1440
_MOST_CHARACTERS = {"name": 200, "sender_name": 200, "postal_address": 400}


def read(typed: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a newsletter that these texts mean, by the same names.

    Raises:
        InputError: its place is the name of the text.
    """
    return {name: _READERS[name](name, text) for name, text in typed.items()}


def problems(typed: Mapping[str, str]) -> dict[str, Sentence]:
    """What is wrong with these texts, by name: all at once, for a form that is shown again."""
    wrong = {}
    for name, text in typed.items():
        try:
            _READERS[name](name, text)
        except InputError as error:
            wrong[name] = error.problem
    return wrong


def create(session: Session, typed: Mapping[str, str], settings: Settings) -> Newsletter:
    """A new newsletter with this identity; its short name is made of its name, for good.

    Raises:
        InputError: as `read`, or the name is missing or taken.
    """
    known = read({"name": "", **typed})
    slug = slugify(known["name"])
    if session.scalar(select(Newsletter.id).where(Newsletter.slug == slug)):
        raise InputError("name", say("there is a newsletter %(slug)r already", slug=slug))
    known.setdefault("tracking_mode", settings.tracking.default_mode)
    try:
        return add_newsletter(session, Newsletter(slug=slug, **known))
    except IntegrityError:  # a second click, in a transaction that was not seen above
        raise InputError("name", say("there is a newsletter %(slug)r already", slug=slug)) from None


def change(newsletter: Newsletter, typed: Mapping[str, str]) -> dict[str, str]:
    """Change what these texts mean; returns the names of what is another now, and its text.

    Mail that is on its way keeps the identity that was frozen with its broadcast.

    Raises:
        InputError: as `read`.
        RefusedError: there would be no sender address although mail was sent from one.
    """
    known = read(typed)
    if known.get("sender_address") == "" and newsletter.list_id and newsletter.sender_address:
        raise RefusedError(
            say("%(name)s has sent mail: it keeps a sender address", name=newsletter.name)
        )
    changed = {}
    for name, value in known.items():
        if getattr(newsletter, name) != value:
            setattr(newsletter, name, value)
            changed[name] = str(value)
    return changed


def _line(name: str, text: str) -> str:
    """One line, its white space single; a postal address may have been typed in several."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    joined = ", ".join(line.rstrip(",") for line in lines if line)
    if not joined.isprintable():
        raise InputError(name, say("expected text without control characters"))
    if len(joined) > _MOST_CHARACTERS[name]:
        raise InputError(
            name, say("expected at most %(most)s characters", most=_MOST_CHARACTERS[name])
        )
    return joined


def _name(name: str, text: str) -> str:
    if not text.strip():
        raise InputError(name, say("expected a name"))
    slugify(text, place=name)
    return _line(name, text)


def _address(name: str, text: str) -> str:
    return Address.parse(text, place=name).typed if text.strip() else ""


def _tracking(name: str, text: str) -> TrackingMode:
    try:
        return TrackingMode(text)
    except ValueError:
        raise InputError(
            name, say("expected one of %(modes)s", modes=", ".join(TrackingMode))
        ) from None


def _yes_or_no(name: str, text: str) -> bool:
    if text not in {"", "0", "1", "yes", "no"}:
        raise InputError(name, say("expected yes or no"))
    return text in {"1", "yes"}


def _minutes(name: str, text: str) -> int:
    text = text.strip() or "0"
    if not (text.isascii() and text.isdigit() and len(text) < len(str(MOST_HOLD_MINUTES)) + 1):
        raise InputError(name, say("expected a number of minutes"))
    if int(text) > MOST_HOLD_MINUTES:
        raise InputError(name, say("expected at most %(most)s minutes", most=MOST_HOLD_MINUTES))
    return int(text)


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "name": _name,
    "sender_name": _line,
    "sender_address": _address,
    "reply_to": _address,
    "postal_address": _line,
    "tracking_mode": _tracking,
    "wants_approval": _yes_or_no,
    "hold_minutes": _minutes,
}
FIELDS = tuple(_READERS)
