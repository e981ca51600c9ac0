"""Hostile text in every column of a furnished installation that can hold text."""

import json
from typing import Any

from sqlalchemy import JSON, Column, Enum, String, Table, UniqueConstraint, select, update
from sqlalchemy.orm import Session

from newsletter.core.tables import Base
from newsletter.issues.models import Issue
from newsletter.migrations import tables

assert tables

SIGN = "hostile-"
"""What the ids of elements begin with that somebody got into a page."""
_SHORTEST = 12

READ_BY_THE_SYSTEM = {
    "api_tokens.scopes": "permissions",
    "broadcast_contents.compiled": "made from the issue, checked when it was frozen",
    "broadcast_contents.identity": "made from the newsletter",
    "broadcast_totals.outcomes": "states and counts",
    "broadcast_totals.readership": "classes and counts",
    "broadcasts.exclusions": "reasons of a known kind, and counts",
    "events.reader": "classes",
    "events.rule": "rules and their version",
    "images.mime": "one of those that we make",
    "images.sha256": "of the picture",
    "newsletters.sender_address": "an address, or no page has a sender",
    "newsletters.reply_to": "an address",
    "outbox.wire": "bytes",
    "users.password_hash": "of a known form",
    "users.time_zone": "one that is known",
    "users.totp_secret": "a secret",
}
"""Columns that only this system writes, in a form it depends on, and why."""


def poison(session: Session) -> list[str]:
    """Fill every column but these; the columns, by the numbers in what stands there now."""
    poisoned: list[str] = []
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if not _may_be_hostile(table, column):
                continue
            value = _value(f"{table.name}.{column.name}", column, len(poisoned))
            if value is not None:
                session.execute(update(table).values({column.name: value}))
                poisoned.append(f"{table.name}.{column.name}")
    for issue in session.scalars(select(Issue)):
        issue.source = _issue(issue, len(poisoned))
    return [*poisoned, "issues.source, in the words of an issue"]


def _may_be_hostile(table: Table, column: Column[Any]) -> bool:
    """Keys of all sorts are the system's own."""
    name = f"{table.name}.{column.name}"
    together = {
        c for it in table.constraints if isinstance(it, UniqueConstraint) for c in it.columns
    }
    if column.primary_key or column.unique or column in together or column.foreign_keys:
        return False
    if name in READ_BY_THE_SYSTEM or name == "issues.source":
        return False
    return not column.name.endswith(("_key", "_hash", "slug", "token"))


def _value(name: str, column: Column[Any], number: int) -> Any:
    if isinstance(column.type, JSON):
        return _json(name, number)
    if not isinstance(column.type, String) or isinstance(column.type, Enum):
        return None
    if name in ("broadcasts.segment", "segments.text"):
        return f"name = {json.dumps(hostile(number))}"
    room = column.type.length
    return hostile(number, room) if room is None or room >= _SHORTEST else None


def _json(name: str, number: int) -> Any:
    text = hostile(number)
    if name == "subscriber_lists.fields":
        return [{"key": "company", "label": text[:80], "required": False}]
    return {text: text, "tags": [text]}


def hostile(number: int, room: int | None = None) -> str:
    """As much of an attack as there is room for; it runs `ran(number)` or leaves an element."""
    tag = f'"><img src=x id={SIGN}{number} onerror=ran({number})>'
    longest = f"javascript:ran({number})//'{tag}{{{{ 7*7 }}}}<script>ran({number})</script>"
    shortest = f'"><p id={SIGN}{number}>'
    fits = (text for text in (longest, tag, shortest) if room is None or len(text) <= room)
    return next(fits, f"<p id={SIGN}{number}>"[:room])


def _issue(issue: Issue, number: int) -> str:
    text = hostile(number).replace("\n", " ")
    return f"""---
newsletter: {issue.newsletter.slug}
title: {json.dumps(text)}
date: {issue.date}
subject: {json.dumps(text)}
preheader: {json.dumps(text)}
---
## {text}
{text}

### [{text.replace("[", "").replace("]", "")}](https://example.org/a?b="><img%20src=x>)
{text}

{text} ![{text}](https://example.org/a.png "{text}")
"""
