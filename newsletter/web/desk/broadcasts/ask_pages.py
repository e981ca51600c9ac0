"""The two pages of asking to send: the form, and the last look before it is sent."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy import select

from newsletter.broadcasts import sent_issues
from newsletter.broadcasts.planning import Plan
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Issue, Newsletter
from newsletter.web.desk.broadcasts import orders, trials, words
from newsletter.web.desk.broadcasts.checking import Check, check
from newsletter.web.desk.broadcasts.moments import comes_twice
from newsletter.web.desk.broadcasts.orders import Order, Problems
from newsletter.web.desk.broadcasts.watching import all_paused_by
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form
from newsletter.web.desk.pages import page, part
from newsletter.web.desk.text import _
from subscribers.filters.writing import written
from subscribers.lists import of_newsletter
from subscribers.models import Segment

FIELDS = ("segment", "when", "at", "stale_hours", "request_key")
"""Of the form, besides lists: what the last look sends along."""

SEEN = ("seen", "seen_segment", "seen_steps")
"""Of the last look alone: the hash of what it showed, the filter written out, and what comes
between the click and the first mail."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Somebody asks to send an issue."""

    request: Request
    runtime: Runtime
    editor: Editor
    issue_id: int

    def new_form(self, problems: Problems | None = None) -> Response:
        """The form as nobody has filled it in yet."""
        fields = {
            **dict.fromkeys(FIELDS, ""),
            "when": "now",
            "stale_hours": f"{self.runtime.settings.delivery.stale_after_hours:g}",
            "request_key": secrets.token_hex(16),
        }
        return self.form(fields, problems=problems)

    def form(
        self,
        fields: Mapping[str, str],
        ticked: set[int] | None = None,
        problems: Problems | None = None,
    ) -> Response:
        """The form; without `ticked` the newsletter's only list is chosen."""
        problems = problems or Problems({})
        with self.runtime.sessions.reading() as session:
            issue = session.get_one(Issue, self.issue_id)
            lists = of_newsletter(session, self.editor.newsletter)
            ids = [found.id for found in lists]
            of_lists = select(Segment).where(Segment.list_id.in_(ids))
            saved = session.scalars(of_lists.order_by(Segment.name)).all()
            relays_paused_by = all_paused_by(session, self.runtime)
            tests = trials.latest(session, self.editor, self.issue_id)
            has_it = {found.id for _, found in sent_issues.sent_before(session, self.issue_id, ids)}
        if ticked is None:
            ticked = set(ids) if len(ids) == 1 else set()
        return page(
            self.request,
            "broadcasts/new.html",
            status=422 if problems.fields else 200,
            issue=issue,
            relays_paused_by=relays_paused_by,
            tests=tests,
            has_waiting_tests=trials.any_waits(tests),
            words=words,
            lists=lists,
            has_it=has_it,
            saved={segment.name: segment.text for segment in saved},
            ticked=ticked,
            fields=fields,
            problems=problems.fields,
            picture=problems.picture,
            checked=check(self.runtime, self.editor, self.issue_id),
        )

    def review(
        self,
        fields: Mapping[str, str],
        order: Order,
        checked: Check | None = None,
        *,
        problem: str = "",
        is_counted: bool = False,
    ) -> Response:
        """What would happen; `is_counted`: with the number of people, which may take a second."""
        checked = checked or check(self.runtime, self.editor, self.issue_id)
        with self.runtime.sessions.reading() as session:
            issue = session.get_one(Issue, self.issue_id)
            newsletter = issue.newsletter
            ids = [found.id for found in order.lists]
            earlier = sent_issues.sent_before(session, self.issue_id, ids)
            counted = orders.count(session, self.editor, order) if is_counted else None
            relays_paused_by = all_paused_by(session, self.runtime)
        return page(
            self.request,
            "broadcasts/review.html",
            status=409 if problem else 200,
            issue=issue,
            newsletter=newsletter,
            order=order,
            segment=_filter(order),
            fields=fields,
            seen=looked_at(checked.plan, order) if checked.plan else {},
            earlier=earlier,
            counted=counted,
            words=words,
            checked=checked,
            is_ambiguous=order.start_at is not None
            and comes_twice(order.start_at, self.editor.zone),
            problem=problem,
            relays_paused_by=relays_paused_by,
            has_relay=bool(self.runtime.settings.relays),
        )

    def summary(self, order: Order) -> Response:
        """Whom it would reach and when, in a sentence: a part of the last look."""
        with self.runtime.sessions.reading() as session:
            newsletter = session.get_one(Newsletter, self.editor.newsletter)
            counted = orders.count(session, self.editor, order)
        return part(
            self.request,
            "broadcasts/summary.html",
            newsletter=newsletter,
            order=order,
            segment=_filter(order),
            counted=counted,
            words=words,
        )


def looked_at(plan: Plan, order: Order) -> dict[str, str]:
    """What a last look shows, for the form to say it again."""
    shown = (plan.content_hash(), _filter(order), _steps(plan, order))
    return dict(zip(SEEN, shown, strict=True))


def changed_since(sent: Form, plan: Plan, order: Order) -> str:
    """What is not as the last look showed it, in a sentence; empty: all is."""
    text, segment, steps = (sent.one(name) == now for name, now in looked_at(plan, order).items())
    if not text:
        return _("The issue or its newsletter was changed since you looked. Look at it once more.")
    if not segment:
        return _("The saved filter was changed since you looked. Look at it once more.")
    if not steps:
        return _(
            "Whether a second person has to approve, or how long it is held, was changed since "
            "you looked. Look at it once more."
        )
    return ""


def _steps(plan: Plan, order: Order) -> str:
    """Somebody's yes, or the minutes of the hold, which what has its own time does not wait for."""
    if plan.basis["wants_approval"]:
        return "approval"
    return "" if order.start_at else f"hold {plan.basis['hold_minutes']}"


def _filter(order: Order) -> str:
    return written(order.segment) if order.segment else ""
