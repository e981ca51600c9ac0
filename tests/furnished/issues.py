"""Issues of a furnished installation, from the first one to the draft on the desk."""

from datetime import date, timedelta

from sqlalchemy.orm import Session

from newsletter.issues import editing
from newsletter.issues.models import Issue
from newsletter.issues.parsing import parse
from tests import factories
from tests.furnished.people import TODAY

_SUBJECTS = (
    "A clock is a promise",
    "What the index knows",
    "Names outlive their owners",
    "The cheapest byte is the one not sent",
    "Measured twice",
    "Every queue is a decision",
    "Retry is a promise somebody else has to keep",
    "Silence is an answer too",
    "What a signature is for",
)
"""One a week; the last three are of today and of the weeks to come."""
_READS = (
    ("Duplicate messages and SMTP", "https://www.rfc-editor.org/rfc/rfc1047", "RFC 1047"),
    ("Time, clocks and the ordering of events", "https://example.org/clocks", "Leslie Lamport"),
    ("On the criteria for decomposing systems", "https://example.org/criteria", "David Parnas"),
    ("The protection of information", "https://example.org/protection", "Saltzer and Schroeder"),
)
_TEXT = """\
---
newsletter: {newsletter}
title: {title}
date: {day}
subject: "{subject}"
preheader: Four reads on what a system owes to whoever waits for it
---
## The Big Idea

Good morning, {{{{ subscriber.name | default("dear reader") }}}}. Whoever writes something down
before doing it can be interrupted at any moment and still say what happened. *{subject}* is
that idea, seen from four sides: a message, a clock, a module and a lock.

> A log is not what happened. It is what somebody was willing to remember.

## Deep Reads

{reads}
## Until next week

Answer this mail: a person reads every reply.
"""
_READ = """\
### [{title}]({url})
{author}

A short text with one long thought. The **first page** says what the problem is, and the last
one says what it would cost to be wrong about it. [Notes](https://example.org/notes).

"""


def text_of(newsletter: str, title: str, subject: str, day: date) -> str:
    reads = "".join(_READ.format(title=t, url=url, author=author) for t, url, author in _READS)
    return _TEXT.format(newsletter=newsletter, title=title, day=day, subject=subject, reads=reads)


def store(session: Session, text: str) -> Issue:
    """Into its newsletter, which it makes if need be."""
    stored = editing.store(
        session,
        parse(text, "issue.md"),
        text,
        is_sent=lambda _: False,
        settings=factories.settings(),
    )
    session.flush()
    return stored.issue


def weekly(number: int) -> tuple[date, str]:
    """Day and text of the issue with this number, from 0; number 6 is today's."""
    day = TODAY.date() + timedelta(days=7 * (number - 6))
    return day, text_of("field-notes", "Field Notes", _SUBJECTS[number], day)


DRAFT, ASKED_FOR = 7, 8
"""Numbers of the issues to come: on the desk, and waiting for a second person."""
