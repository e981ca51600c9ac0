"""An issue that can be sent from the desk, and the ways in which it is."""

from dataclasses import dataclass

from bs4 import BeautifulSoup
from httpx2 import Response
from sqlalchemy import func, select

from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.core.db import Sessions
from newsletter.issues import revisions
from newsletter.issues.models import Issue, Newsletter
from subscribers import subscriptions
from tests import factories
from tests.desk import Seat, text_of


@dataclass
class Ready:
    """An issue that can be sent to a list of three, one of whom has left."""

    seat: Seat
    issue_id: int
    list_id: int

    def order(self, **fields: object) -> dict[str, object]:
        known = {"lists": self.list_id, "when": "now", "stale_hours": "24", "request_key": "k1"}
        return {**known, **fields}

    def ask(self, seat: Seat | None = None, **fields: object) -> int:
        """The broadcast that the form makes."""
        answer = self.send(self.look(seat, **fields), seat)
        assert answer.status_code == 303, text_of(answer.text)
        return int(answer.headers["location"].rsplit("/", 1)[1])

    def look(self, seat: Seat | None = None, **fields: object) -> dict[str, object]:
        """What the last look sends along."""
        path, order = f"/broadcasts/new/{self.issue_id}/review", self.order(**fields)
        answer = (seat or self.seat).post(path, order)
        assert answer.status_code == 200, text_of(answer.text)
        return {**order, **hidden(answer.text, "#order")}

    def send(self, looked: dict[str, object], seat: Seat | None = None) -> Response:
        return (seat or self.seat).post(f"/broadcasts/new/{self.issue_id}", looked)

    def state(self, broadcast_id: int) -> BroadcastState:
        with self.seat.sessions.reading() as session:
            return session.get_one(Broadcast, broadcast_id).state


def ready_at(seat: Seat) -> Ready:
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, ["ada@example.org", "bob@example.org"])
        (left,) = factories.subscribed(session, readers, ["left@example.org"])
        subscriptions.end(session, left, factories.EVIDENCE)
        return Ready(seat, issue.id, readers.id)


def wants(sessions: Sessions, **changes: object) -> None:
    with sessions.writing() as session:
        newsletter = session.scalars(select(Newsletter)).one()
        for name, value in changes.items():
            setattr(newsletter, name, value)


def seen(seat: Seat, path: str) -> dict[str, object]:
    """What the button to approve on that page says was looked at."""
    return hidden(seat.page(path), "form[action$='/approve']")


def hidden(page: str, form: str) -> dict[str, object]:
    fields = BeautifulSoup(page, "html.parser").select(f"{form} [type=hidden]")
    return {str(field["name"]): str(field["value"]) for field in fields}


def change(ready: Ready) -> None:
    """Somebody else edits the issue."""
    with ready.seat.sessions.writing() as session:
        issue = session.get_one(Issue, ready.issue_id)
        text = issue.source.replace("First summary", "Another summary")
        revisions.replace(session, issue, text, revisions.COMMAND)


def broadcasts(sessions: Sessions) -> int:
    with sessions.reading() as session:
        return session.scalar(select(func.count(Broadcast.id))) or 0
