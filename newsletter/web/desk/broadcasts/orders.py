"""What the send form asks for, read and checked field by field."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import say
from newsletter.web.desk.broadcasts.moments import MomentError, moment
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from subscribers import segments
from subscribers.audience import AudienceCount, count_audience
from subscribers.filters.language import parse
from subscribers.filters.tokens import SegmentError
from subscribers.filters.tree import Filter, On, leaves
from subscribers.lists import of_newsletter
from subscribers.models import SubscriberList

_MOST_HOURS = 24 * 365
_KEY_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Order:
    """A send form that can be carried out.

    Attributes:
        start_at: None: at once.
        again: lists that have the issue get it once more.
        request_key: the form's own; sent twice, it makes one broadcast.
    """

    lists: Sequence[SubscriberList]
    segment: Filter | None
    start_at: datetime | None
    stale_after: timedelta
    again: bool
    request_key: str


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong, by field; `picture` shows where in the segment."""

    fields: dict[str, str]
    picture: str = ""


def chosen_lists(session: Session, editor: Editor, sent: Form) -> list[SubscriberList]:
    """Those ticked, of the newsletter concerned and of no other."""
    ticked = set(sent.numbers("lists"))
    return [found for found in of_newsletter(session, editor.newsletter) if found.id in ticked]


def read_order(session: Session, editor: Editor, sent: Form) -> Order | Problems:
    """The order, or what is wrong with it."""
    problems: dict[str, str] = {}
    lists = chosen_lists(session, editor, sent)
    if not lists:
        problems["lists"] = _("Choose at least one list.")
    segment, picture = None, ""
    try:
        segment = read_segment(session, editor, lists, sent.one("segment")) if lists else None
    except NewsletterError as error:
        problems["segment"], picture = said_of(error), getattr(error, "picture", "")
    start_at = _start(editor, sent, problems)
    hours = _hours(sent, problems)
    if problems:
        return Problems(problems, picture)
    key = sent.one("request_key")[:_KEY_CHARACTERS] or secrets.token_hex(16)
    return Order(lists, segment, start_at, timedelta(hours=hours), "again" in sent, key)


def read_segment(
    session: Session, editor: Editor, lists: Sequence[SubscriberList], text: str
) -> Filter | None:
    """A filter, or the name of a saved one of these lists; None: everybody.

    Raises:
        SegmentError: it cannot be read.
        NewsletterError: it names what is not there, or what is another newsletter's.
    """
    if not text:
        return None
    try:
        tree = parse(text)
    except SegmentError:
        tree = segments.read(session, lists, text)
    _own_lists_only(session, editor.newsletter, tree)
    return tree


def _own_lists_only(session: Session, newsletter_id: int, tree: Filter) -> None:
    """Whoever may count here may not count the readers of another newsletter by a filter."""
    own = {found.slug for found in of_newsletter(session, newsletter_id)}
    for term in leaves(tree):
        if isinstance(term, On) and term.slug not in own:
            raise NewsletterError(say("There is no list %(name)s here.", name=repr(term.slug)))


def count(session: Session, editor: Editor, order: Order) -> AudienceCount:
    """Whom it would reach now, and why the others are left out."""
    return count_those(session, editor, order.lists, order.segment)


def count_those(
    session: Session, editor: Editor, lists: Sequence[SubscriberList], tree: Filter | None
) -> AudienceCount:
    """As `count`, of lists and a filter; a million people take a second."""
    inside = segments.condition(session, tree, editor.newsletter_id) if tree else None
    return count_audience(session, [found.id for found in lists], inside)


def said_of(error: NewsletterError) -> str:
    """What is wrong with a segment, in a sentence; where it is, the picture shows."""
    if not isinstance(error, SegmentError):
        return capitalised(error.sentence)
    return _(
        "Line %(line)s, character %(column)s: expected %(expected)s.",
        line=error.line,
        column=error.column,
        expected=error.expected,
    )


def _start(editor: Editor, sent: Form, problems: dict[str, str]) -> datetime | None:
    if sent.one("when") != "at":
        return None
    try:
        return moment(sent.one("at"), editor.zone)
    except MomentError as error:
        problems["at"] = str(error)
        return None


def _hours(sent: Form, problems: dict[str, str]) -> float:
    text = sent.one("stale_hours")
    try:
        hours = float(text)
    except ValueError:
        hours = 0
    if not 0 < hours <= _MOST_HOURS:
        problems["stale_hours"] = _("Expected a number of hours, such as 24.")
    return hours
