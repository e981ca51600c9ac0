"""The audit trail: who did what, page by page."""

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from fastapi import Request, Response

from newsletter.accounts import audit
from newsletter.accounts.audit import Wanted
from newsletter.accounts.permissions import Permission
from newsletter.web.deps import Running
from newsletter.web.desk import audit_words
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page
from newsletter.web.desk.text import _

router = desk_router()

_ROWS = 50


@router.get("/settings/audit")
@needs(Permission.INSTALLATION)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """What was done, the latest first; by whom, what, on which days."""
    query = request.query_params
    asked = {name: query.get(name, "").replace("\0", "").strip() for name in _FILTERS}
    wanted, problems = _wanted(asked, editor)
    behind = audit.parse_place(query.get("after", ""))
    with runtime.sessions.reading() as session:
        found = audit.page(session, wanted, behind=behind, most=_ROWS)
        actors, actions = audit.known(session)
    said = audit_words.sentences()
    given = {name: value for name, value in asked.items() if value}
    after = f"?{urlencode({**given, 'after': found.next})}" if found.next else ""
    first = f"?{urlencode(given)}" if behind and given else "/settings/audit" if behind else ""
    return page(
        request,
        "settings/audit.html",
        events=[(event, audit_words.told(event)) for event in found.events],
        who=audit_words.who,
        asked=asked,
        problems=problems,
        actors=[(actor, audit_words.who(actor).text) for actor in actors],
        actions=[(action, said.get(action, action)) for action in actions],
        after=after,
        first=first,
    )


_FILTERS = ("actor", "action", "since", "until")


def _wanted(asked: dict[str, str], editor: Editor) -> tuple[Wanted, dict[str, str]]:
    """What was asked for; a day that is none is named and left out."""
    problems = {}
    moments: dict[str, datetime | None] = {}
    for name, later in (("since", 0), ("until", 1)):
        try:
            day = date.fromisoformat(asked[name]) if asked[name] else None
            moments[name] = _begins(day, later, editor) if day else None
        except (ValueError, OverflowError):
            moments[name] = None
            problems[name] = _("Expected a day such as 2026-06-17.")
    wanted = Wanted(asked["actor"], asked["action"], moments["since"], moments["until"])
    return wanted, problems


def _begins(day: date, later: int, editor: Editor) -> datetime:
    """Where that day, or one later, begins for the editor."""
    local = datetime.combine(day + timedelta(days=later), time(), editor.zone)
    return local.astimezone(UTC)
