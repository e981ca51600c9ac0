"""The evidence in our own files, line by line."""

import json
from datetime import datetime

from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.evidence import Evidence
from subscribers.imports.imported import Cells, ImportedEvent
from subscribers.imports.presets import cells as of
from subscribers.leavers import LEAVINGS
from subscribers.models import (
    MAX_REMARK_CHARACTERS,
    ConsentChange,
    ConsentMethod,
    LeaveReason,
    SubscriptionStatus,
)


def history_in(text: str) -> tuple[ImportedEvent, ...]:
    return tuple(_event(each) for each in objects("history", text)) if text else ()


def ends_with(history: tuple[ImportedEvent, ...]) -> ConsentChange | None:
    """The last change after which a subscription stands otherwise than before."""
    return next((e.change for e in reversed(history) if e.change in _STANDINGS), None)


def borne_out(
    history: tuple[ImportedEvent, ...],
    status: SubscriptionStatus,
    left_at: datetime | None,
) -> tuple[ImportedEvent, ...]:
    """The history; it has to bear out who may be mailed, while whoever left needs none for it.

    Raises:
        InputError: it says otherwise.
    """
    last = ends_with(history)
    if last is None or status in _STANDINGS[last]:
        return history
    if status is not SubscriptionStatus.UNSUBSCRIBED:
        raise InputError(
            "history",
            say(
                "expected evidence that they are %(status)s, it ends with `%(last)s`",
                status=status,
                last=last,
            ),
        )
    said = Evidence(ConsentMethod.IMPORT, wording="The file says that they left.")
    return (*history, ImportedEvent(ConsentChange.UNSUBSCRIBED, left_at or now(), said))


_OPEN = frozenset((SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE))
_LEFT = frozenset((SubscriptionStatus.UNSUBSCRIBED,))
_STANDINGS = {
    ConsentChange.REQUESTED: frozenset((SubscriptionStatus.PENDING,)),
    **dict.fromkeys(
        (ConsentChange.SUBSCRIBED, ConsentChange.CONFIRMED, ConsentChange.RESUMED), _OPEN
    ),
    **dict.fromkeys(LEAVINGS, _LEFT),
}
"""Where a subscription can stand after a change, as the last of its kind."""


def _event(row: Cells) -> ImportedEvent:
    words = ("method", "source", "wording", "form", "ip", "user_agent")
    try:
        change = ConsentChange(row.get("change", ""))
    except ValueError:
        known = ", ".join(ConsentChange)
        raise InputError("history", say("expected a `change` of %(known)s", known=known)) from None
    return ImportedEvent(
        change,
        of.moment("history", row.get("at", "")),
        Evidence(**{word: row.get(word, "")[:_LONGEST] for word in words}),
        _leave_reason(row.get("reason", "")),
        row.get("remark", "")[:MAX_REMARK_CHARACTERS],
    )


def _leave_reason(text: str) -> LeaveReason | None:
    try:
        return LeaveReason(text) if text else None
    except ValueError:
        known = ", ".join(LeaveReason)
        raise InputError("history", say("expected a `reason` of %(known)s", known=known)) from None


_LONGEST = 100_000


def objects(column: str, text: str) -> list[dict[str, str]]:
    """A JSON list of objects, their members as text."""
    value = of.json_value(text)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(column, say("expected a JSON list of objects"))
    return [{name: as_text(name, member) for name, member in each.items()} for each in value]


def as_text(name: str, value: object) -> str:
    """A member of a JSON object, word for word."""
    if value is None:
        return ""
    if isinstance(value, str):
        if "\0" in value:
            raise InputError(name, say("a NUL character: this is not text"))
        return value
    return json.dumps(value)
