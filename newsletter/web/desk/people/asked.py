"""Which people a page is about: what stands in its address, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, NewsletterError
from newsletter.core.numbers import MOST, MOST_BIG, read_number
from newsletter.core.sentences import say
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.problems import without_place
from newsletter.web.desk.text import _
from subscribers import directory, lists, segment_indexes, segments
from subscribers.browsing import Place
from subscribers.directory import Search
from subscribers.filters.tokens import SegmentError
from subscribers.models import SubscriberList, SubscriptionStatus

_ON_NONE = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as it was typed.

    Attributes:
        list_id: a list's number, empty, or `none`: those on no list at all.
        segment: a filter, or the name of one the list has.
    """

    part: str = ""
    list_id: str = ""
    status: str = ""
    segment: str = ""

    def query(self, **more: object) -> str:
        """Of the address of a page that asks the same."""
        named = {"q": self.part, "list": self.list_id, "status": self.status}
        said = {**named, "segment": self.segment, **more}
        return urlencode({key: value for key, value in said.items() if value not in ("", None)})

    @property
    def is_narrow(self) -> bool:
        """It is about some of all."""
        return bool(self.part or self.list_id or self.status or self.segment)


@dataclass(frozen=True, slots=True)
class Understood:
    """What was asked, as far as it can be answered.

    Attributes:
        search: None when something is wrong with it.
        problems: what, by field.
        picture: where the segment's text stops making sense, drawn below it.
    """

    lists: Sequence[SubscriberList]
    search: Search | None
    problems: dict[str, str] = field(default_factory=dict)
    picture: str = ""


def asked(request: Request) -> Asked:
    """What the address of the page says."""
    query = request.query_params
    return read(*(query.get(name, "") for name in ("q", "list", "status", "segment")))


def read(part: str, list_id: str, status: str, segment: str) -> Asked:
    """Without what no database takes; a query comes past `forms`."""
    tidied = (text.replace("\0", "").strip() for text in (part, list_id, status, segment))
    return Asked(*(text.encode("utf-8", "replace").decode() for text in tidied))


def place(request: Request) -> Place:
    """Which page of them."""
    older, newer = (number(request, name, MOST_BIG) for name in ("older", "newer"))
    return Place(older_than=older) if newer is None else Place(newer_than=newer)


def here(editor: Editor) -> int:
    """The newsletter that the page is about.

    Raises:
        HTTPException: 404, there is none yet.
    """
    if editor.newsletter_id is None:
        raise HTTPException(404)
    return editor.newsletter_id


def our_list(session: Session, editor: Editor, list_id: int | None) -> SubscriberList:
    """A list by the number that a form says.

    Raises:
        HTTPException: 404, there is none; of another newsletter's nothing is said.
    """
    found = session.get(SubscriberList, list_id or 0)
    if found is None or found.newsletter_id != editor.newsletter_id:
        raise HTTPException(404)
    return found


def number(request: Request, name: str, most: int = MOST) -> int | None:
    """An id in the address of a page, up to the largest of its kind; None: there is none.

    Raises:
        HTTPException: 404, what no id can be finds nothing.
    """
    text = request.query_params.get(name, "")
    if not text:
        return None
    found = read_number(text, most)
    if found is None:
        raise HTTPException(404)
    return found


def understood(session: Session, editor: Editor, wanted: Asked) -> Understood:
    """Among the people of the newsletter concerned; of no other's, whatever was typed."""
    ours = lists.of_newsletter(session, here(editor))
    among = tuple(each.id for each in ours)
    try:
        status = _status(wanted)
        if wanted.list_id == _ON_NONE and editor.may(Permission.INSTALLATION):
            return _narrowed(session, ours, Search(part=wanted.part, on_none=True))
        on = _list(ours, wanted)
        search = Search(on.id if on else None, status, part=wanted.part, among=among)
        if wanted.segment:
            search = _inside(session, on, wanted.segment, search)
    except SegmentError as error:
        said = _("Expected %(what)s.", what=error.expected)
        return Understood(ours, None, {"segment": said}, error.picture)
    except NewsletterError as error:
        at = error.place if isinstance(error, InputError) else "segment"
        return Understood(ours, None, {_FIELDS.get(at, "segment"): without_place(error)})
    return _narrowed(session, ours, search)


_FIELDS = {"search": "q", "list": "list", "status": "status"}


def _narrowed(session: Session, ours: Sequence[SubscriberList], search: Search) -> Understood:
    if not search.part:
        return Understood(ours, search)
    return Understood(ours, directory.narrowed(session, search))


def _status(wanted: Asked) -> SubscriptionStatus | None:
    if not wanted.status:
        return None
    if wanted.status not in set(SubscriptionStatus):
        raise InputError("status", say("expected one of the statuses that there are"))
    return SubscriptionStatus(wanted.status)


def _list(ours: Sequence[SubscriberList], wanted: Asked) -> SubscriberList | None:
    """A segment is about one list; where there is only one it need not be said."""
    if not wanted.list_id:
        return ours[0] if wanted.segment and len(ours) == 1 else None
    found = next((each for each in ours if str(each.id) == wanted.list_id), None)
    if found is None:
        raise InputError("list", say("this newsletter has no such list"))
    return found


def _inside(session: Session, on: SubscriberList | None, segment: str, search: Search) -> Search:
    if on is None:
        raise InputError("list", say("choose the list that the segment is about"))
    tree = segments.read(session, [on], segment)
    inside = segments.condition(session, tree, on.newsletter_id)
    return replace(search, inside=inside, is_at_hand=segment_indexes.has_one(session, tree))
