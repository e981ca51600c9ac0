"""Asking to send: choose lists and time, see whom it reaches, look once more, and say so."""

from fastapi import HTTPException, Request, Response
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import basis, planning, sent_issues
from newsletter.broadcasts.basis import ChangedError
from newsletter.broadcasts.models import Broadcast
from newsletter.broadcasts.planning import Plan
from newsletter.broadcasts.sent_issues import AlreadySentError
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Issue
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import orders, words
from newsletter.web.desk.broadcasts.ask_pages import FIELDS, Asking, changed_since
from newsletter.web.desk.broadcasts.checking import check
from newsletter.web.desk.broadcasts.orders import Order, Problems
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page, part
from newsletter.web.desk.text import _
from subscribers.models import SubscriberList

router = desk_router()
_ISSUES_TO_CHOOSE = 30


@router.get("/broadcasts/new")
@needs(Permission.WRITE)
def choose_issue(request: Request, runtime: Running, editor: Seated) -> Response:
    """Which issue? `?issue=` knows already."""
    issue = request.query_params.get("issue", "")
    if issue.isascii() and issue.isdecimal():
        return go(request, f"/broadcasts/new/{issue}")
    with runtime.sessions.reading() as session:
        latest = select(Issue).where(Issue.newsletter_id == editor.newsletter_id)
        latest = latest.order_by(Issue.date.desc()).limit(_ISSUES_TO_CHOOSE)
        issues = [
            (found, sent_issues.was_sent(session, found)) for found in session.scalars(latest)
        ]
    return page(request, "broadcasts/choose.html", issues=issues)


@router.get("/broadcasts/new/{issue_id}")
@needs(Permission.WRITE)
def new(request: Request, issue_id: int, runtime: Running, editor: Seated) -> Response:
    """The form."""
    return Asking(request, runtime, editor, issue_id).new_form()


@router.post("/broadcasts/new/{issue_id}/audience")
@needs(Permission.SEND)
def audience(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """How many the lists and the filter hold now: a part of the form."""
    del issue_id
    counted, wrong, picture = None, "", ""
    with runtime.sessions.reading() as session:
        lists = orders.chosen_lists(session, editor, sent)
        try:
            tree = orders.read_segment(session, editor, lists, sent.one("segment"))
            counted = orders.count_those(session, editor, lists, tree) if lists else None
        except NewsletterError as error:
            wrong, picture = orders.said_of(error), getattr(error, "picture", "")
    return part(
        request,
        "broadcasts/audience.html",
        counted=counted,
        wrong=wrong,
        picture=picture,
        words=words,
    )


@router.post("/broadcasts/new/{issue_id}/review")
@needs(Permission.SEND)
def review(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """What would happen, before it does."""
    asking = Asking(request, runtime, editor, issue_id)
    with runtime.sessions.reading() as session:
        order = orders.read_order(session, editor, sent)
    if isinstance(order, Problems):
        return asking.form(_fields(sent), set(sent.numbers("lists")), order)
    return asking.review(_fields(sent), order, is_counted="count" in sent)


@router.post("/broadcasts/new/{issue_id}/summary")
@needs(Permission.SEND)
def summary(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Whom it reaches: counted once the last look is there already."""
    with runtime.sessions.reading() as session:
        order = orders.read_order(session, editor, sent)
    if isinstance(order, Problems):
        raise HTTPException(422)
    return Asking(request, runtime, editor, issue_id).summary(order)


@router.post("/broadcasts/new/{issue_id}")
@needs(Permission.SEND)
def ask(request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Schedule it, or ask for approval; the same form twice makes one broadcast."""
    asking = Asking(request, runtime, editor, issue_id)
    with runtime.sessions.reading() as session:
        order = orders.read_order(session, editor, sent)
    if isinstance(order, Problems):
        return asking.form(_fields(sent), set(sent.numbers("lists")), order)
    checked = check(runtime, editor, issue_id)
    if checked.plan is None:
        return asking.review(_fields(sent), order, checked)
    if problem := changed_since(sent, checked.plan, order):
        return asking.review(_fields(sent), order, checked, problem=problem)
    try:
        broadcast_id = _schedule(runtime, editor, checked.plan, order)
    except AlreadySentError:
        problem = _("Tick the box if everybody on these lists is to get it once more.")
        return asking.review(_fields(sent), order, checked, problem=problem)
    except ChangedError:
        problem = _("The issue was changed this moment. Look at it once more.")
        return asking.review(_fields(sent), order, problem=problem)
    return go(request, f"/broadcasts/{broadcast_id}")


def _fields(sent: Form) -> dict[str, str]:
    return {name: sent.one(name) for name in FIELDS}


def _schedule(runtime: Runtime, editor: Editor, plan: Plan, order: Order) -> int:
    used = select(Broadcast.id).where(Broadcast.request_key == order.request_key)
    with runtime.sessions.writing() as session:
        lists = [session.get_one(SubscriberList, found.id) for found in order.lists]
        basis.locked_issue(session, plan.issue.id)  # of two clicks the second finds the first's
        known = session.scalars(used).all()
        broadcast = planning.schedule(
            session,
            plan,
            lists,
            start_at=order.start_at,
            stale_after=order.stale_after,
            on_in_doubt=runtime.settings.delivery.on_in_doubt,
            segment=order.segment,
            force=order.again,
            asked_by=editor.actor,
            request_key=order.request_key,
        )
        if broadcast.id not in known:
            audit.record(
                session,
                editor.actor,
                "broadcast.planned",
                broadcast=broadcast.id,
                lists=[found.slug for found in lists],
                again=order.again,
            )
        return broadcast.id
