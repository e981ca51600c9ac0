"""What a newsletter of a million has behind it: 300 issues, each sent, and who works there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO

from PIL import Image as Picture
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from benchmarks import traces
from benchmarks.million import Lists
from newsletter.accounts import invitations, seats, users
from newsletter.accounts.models import ApiToken, Membership, User
from newsletter.accounts.permissions import Permission, Role
from newsletter.broadcasts.models import Broadcast, BroadcastList, BroadcastState, Content
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.issues import images
from newsletter.issues.models import Issue, IssueRevision
from newsletter.mail.address import Address
from newsletter.reports import growth, snapshots
from newsletter.tracking.models import EventKind
from subscribers import segments
from subscribers.imports.runs.models import ImportRun, ImportState
from subscribers.models import Suppression
from tests import factories
from tests.desk import hashed_password

EDITORS = 20
_LEFT_OUT_EVERY = 25
_TEXT = factories.EXAMPLES / "issues" / "2026-06-17-load-bearing.md"
_SEGMENTS = {"Paying": 'status = active and attributes.plan = "pro"', "Tenth": "sample(10%)"}


@dataclass(frozen=True, slots=True)
class History:
    """What came of it.

    Attributes:
        things: ids by path parameter, the one to look at first.
        under_way: a broadcast that is being sent, one mail of it in doubt.
        secret: of an admin's seat, for the cookie.
    """

    things: Mapping[str, Sequence[int | str]]
    under_way: int
    secret: str


def history(sessions: Sessions, lists: Lists, people: int, broadcasts: int) -> History:
    """An issue a day, each sent to few, the latest to a fifth of all; today's is under way.

    What is counted beside requests is counted, as the daily work of a running system does.
    """
    with sessions.writing() as session:
        if sessions.dialect == "postgresql":
            # The rows belong together: no need to look each of them up.
            session.execute(text("SET LOCAL session_replication_role = replica"))
        issues = _issues(session, lists, broadcasts + 1)
        sent = _broadcasts(session, lists, issues, people)
        for place, broadcast in enumerate(sent):
            _sent(session, broadcast, place, people)
        traces.evidence(session)
        traces.suppressed(session, lists)
        traces.audited(session, traces.AUDITED_A_DAY * 365 * people // 1_000_000)
        secret, things = _workers(session, lists)
        things |= _rooms(session, lists)
    with sessions.writing() as session:
        session.execute(text("ANALYZE"))
    with sessions.reading() as session:
        due = snapshots.due(session)
    snapshots.refresh(sessions, due)
    growth.refresh(sessions)
    under_way, large, *_others = (broadcast.id for broadcast in sent)
    things |= {
        "issue_id": [issues[1].id, issues[0].id],
        "broadcast_id": [large, under_way],
        "subscriber_id": [people // 2 // 10 * 10],
    }
    return History(things, under_way, secret)


def _issues(session: Session, lists: Lists, number: int) -> list[Issue]:
    """The latest first, each with a text of some kilobytes, and one that it had before."""
    written = _TEXT.read_text(encoding="utf-8").replace("load-bearing", "field-notes")
    days = [now().date() - timedelta(days=back) for back in range(number + 1)]
    days = [day for day in days if day != factories.DAY]
    issues = [_issue(written, lists, day) for day in days[:number]]
    session.add_all(issues)
    session.flush()
    session.add_all(
        IssueRevision(issue_id=each.id, number=1, source=each.source) for each in issues
    )
    return issues


def _issue(written: str, lists: Lists, day: date) -> Issue:
    assert lists.weekly.newsletter_id
    return Issue(
        newsletter_id=lists.weekly.newsletter_id,
        date=day,
        subject=f"What {day:%A} brought",
        source=written.replace(f"{factories.DAY}", f"{day}"),
        source_name=f"{day}.md",
        revision=2,
    )


def _broadcasts(
    session: Session, lists: Lists, issues: Sequence[Issue], people: int
) -> list[Broadcast]:
    """Of each issue one, the latest first; all with the content of the first."""
    to, began = session.merge(lists.weekly), now()
    first = factories.scheduled(session, issues[0], [to], start_at=began)
    first.state, first.frozen_at = BroadcastState.SENDING, began
    others = [
        _done(issue, began - timedelta(days=place)) for place, issue in enumerate(issues) if place
    ]
    session.add_all(others)
    session.flush()
    for each in others:
        each.lists.append(BroadcastList(list_id=to.id, position=0))
    session.flush()
    for place, each in enumerate([first, *others]):
        left_out = _rows(place, people) // _LEFT_OUT_EVERY
        each.candidates = _rows(place, people) + left_out
        each.exclusions = {"unsubscribed": left_out}
    columns = ["content_hash", "compiled", "identity"]
    content = (
        select(Broadcast.id, *(getattr(Content, name) for name in columns))
        .join(Content, Content.broadcast_id == first.id)
        .where(Broadcast.id != first.id)
    )
    session.execute(insert(Content).from_select(["broadcast_id", *columns], content))
    return [first, *others]


def _done(issue: Issue, start_at: datetime) -> Broadcast:
    return Broadcast(
        issue_id=issue.id,
        state=BroadcastState.DONE,
        start_at=start_at,
        not_after=start_at + timedelta(days=1),
        frozen_at=start_at,
        finished_at=start_at + timedelta(minutes=40),
        created_at=start_at,
    )


def _rows(place: int, people: int) -> int:
    """Of the one under way and the latest: a fifth of all."""
    return people // 5 if place <= 1 else people // 500


def _sent(session: Session, broadcast: Broadcast, place: int, people: int) -> None:
    rows = _rows(place, people)
    behind = place * 7919 % max(people - rows, 1)
    traces.deliveries(session, broadcast, behind, rows, 0 if place else rows // 2)
    traces.hits(session, broadcast, EventKind.OPEN, traces.OPENED_EVERY)
    traces.hits(session, broadcast, EventKind.CLICK, traces.CLICKED_EVERY)


def _workers(session: Session, lists: Lists) -> tuple[str, dict[str, Sequence[int | str]]]:
    here = lists.weekly.newsletter_id
    assert here
    made = [_user(session, number) for number in range(EDITORS)]
    admin, *others = made
    admin.role = Role.ADMIN
    session.add_all(Membership(user_id=u.id, newsletter_id=here, role=Role.SENDER) for u in others)
    token = ApiToken(key="1" * 64, hint="nl_1f9c", name="Website", newsletter_id=here)
    token.user_id, token.scopes = admin.id, [Permission.READ]
    session.add(token)
    session.flush()
    things: dict[str, Sequence[int | str]] = {
        "user_id": [others[0].id],
        "token_id": [token.id],
        "newsletter_id": [here],
        "relay": ["main"],
        "number": [1],
        "token": [invitations.invite(session, Address.parse("new@example.org"), Role.AUTHOR)],
    }
    return seats.take(session, admin, here), things


def _user(session: Session, number: int) -> User:
    address = Address.parse(f"editor{number}@example.org")
    return users.add(session, address, hashed_password(), None, f"Editor {number}")


def _rooms(session: Session, lists: Lists) -> dict[str, Sequence[int | str]]:
    to = session.merge(lists.weekly)
    saved = [segments.save(session, to, name, said) for name, said in _SEGMENTS.items()]
    run = ImportRun(list_id=to.id, actor="user 1: editor0@example.org", state=ImportState.DONE)
    run.file_name, run.file_bytes = "people.csv", 1_000_000
    session.add(run)
    session.flush()
    own = session.scalars(select(Suppression.id).where(Suppression.list_id == to.id)).first()
    return {
        "list_id": [to.id, lists.monthly.id],
        "segment_id": [segment.id for segment in saved],
        "import_id": [run.id],
        "suppression_id": [own] if own else [],
        "/issues/{issue_id}/images/{number} number": [_picture(session, lists)],
    }


def _picture(session: Session, lists: Lists) -> int:
    """The id of one that every issue of the newsletter could show."""
    assert lists.weekly.newsletter_id
    file = BytesIO()
    Picture.new("RGB", (1200, 420), "#2d4a5e").save(file, "PNG")
    made = images.make(file.getvalue())
    return images.add(
        session, lists.weekly.newsletter_id, made, alt="Blue", name="blue.png", uploaded_by=None
    ).id
