"""`/`: the work of the day; and which newsletter the pages are about."""

from dataclasses import replace
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response

from newsletter.accounts import seats
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.issue_states import sendings
from newsletter.broadcasts.today import today
from newsletter.core.clock import now
from newsletter.reports import over_time
from newsletter.tracking.classification import Reader
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import words
from newsletter.web.desk.broadcasts.watching import all_paused_by
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page

router = desk_router()


@router.get("/")
@needs(Permission.ACCOUNT)
def show(request: Request, runtime: Running, editor: Seated) -> Response:
    """What is to be done today; before the first newsletter, how to begin."""
    if editor.newsletter_id is None:
        return page(request, "home/nothing.html")
    day = now().astimezone(editor.zone).date()
    with runtime.sessions.reading() as session:
        work = today(session, editor.newsletter_id, day)
        standing = sendings(session, [work.issue.id] if work.issue else [])
        latest = over_time.latest_over(session, editor.newsletter_id)
        relays_paused_by = all_paused_by(session, runtime)
    if relays_paused_by:  # what goes out stands still, and somebody has to see to it
        work = replace(work, attention=[*work.attention, *work.under_way], under_way=())
    return page(
        request,
        "home/today.html",
        work=work,
        sending=standing.get(work.issue.id) if work.issue else None,
        latest=latest,
        relays_paused_by=relays_paused_by,
        words=words,
        Reader=Reader,
    )


@router.post("/newsletter")
@needs(Permission.ACCOUNT)
def choose(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """From now on the pages are about another newsletter."""
    chosen = sent.number("newsletter_id")
    if chosen not in [newsletter.id for newsletter in editor.newsletters]:
        raise HTTPException(404)
    with runtime.sessions.writing() as session:
        seats.choose(session, editor.seat_key, chosen)
    return go(request, _room(request.headers.get("referer", "")))


def _room(url: str) -> str:
    """The room that the page was in: its thing may be another newsletter's."""
    noun = urlsplit(url).path.split("/")[1:2]
    return f"/{noun[0]}" if noun and noun[0] in _ROOMS else "/"


_ROOMS = frozenset(
    {
        *("issues", "broadcasts", "reports", "subscribers", "lists", "settings"),
        *("imports", "suppressions"),
    }
)
