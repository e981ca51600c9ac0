"""A list with a public form, and a visitor who fills it in."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from typing import Any

import time_machine
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.runtime import Runtime
from newsletter.core.sections import SignUpSettings
from newsletter.core.tokens import TokenKeys
from newsletter.sending.models import SystemMail
from newsletter.web.app import create_app
from newsletter.web.public.sign_up_form import public_form
from subscribers.models import (
    ConsentEvent,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from tests import factories

OFFLINE = SignUpSettings(check_dns=False)
AT_EASE = SignUpSettings(
    check_dns=False,
    **{f"{kind}_{size}": 10_000 for kind in ("ip", "network") for size in ("soft", "hard")},
)
"""Limits that no test comes near."""
COMPANY = {"key": "company", "label": "Company", "required": True}
NAME = {"key": "name", "label": "Your name", "required": False}
ADA = "ada@example.org"
ACTIVE, PENDING, UNSUBSCRIBED = (
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.PENDING,
    SubscriptionStatus.UNSUBSCRIBED,
)
ERASURE_KEY = ErasureKey(b"an erasure key of the tests, long enough")


@dataclass
class Desk:
    """The public pages of one installation, and what came of a visit."""

    runtime: Runtime
    client: TestClient
    newsletter_id: int = 0
    list_id: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def page(self, path: str = "/s/mornings") -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, email: str = "ada@example.org", **fields: str) -> Any:
        """Open the page, fill it in at a person's pace, press the button."""
        moment = now()
        with time_machine.travel(moment, tick=False) as traveller:
            stamp = value_of("stamp", self.page())
            traveller.shift(5)
            return self.post({"stamp": stamp, "email": email, **fields})

    def post(self, fields: Mapping[str, str], path: str = "/s/mornings") -> Any:
        """With the wording that is in force, unless it says which it showed."""
        with self.runtime.sessions.reading() as session:
            form = public_form(session, path.split("/")[2])
        shown = {"edition": form.edition_in("en") if form else ""}
        return self.client.post(path, data={**shown, **fields}, headers=self.headers)

    def json(self, body: Mapping[str, Any]) -> Any:
        return self.client.post("/s/mornings", json=dict(body), headers=self.headers)

    def change(self, **settings: Any) -> None:
        """Of the list."""
        with self.runtime.sessions.writing() as session:
            to = session.get_one(SubscriberList, self.list_id)
            for name, value in settings.items():
                setattr(to, name, value)

    def mails(self) -> list[tuple[str, str]]:
        """(kind, address) of all in the outbox, in order."""
        with self.runtime.sessions.reading() as session:
            found = session.execute(
                select(SystemMail.kind, SystemMail.address).order_by(SystemMail.id)
            )
            return [(kind, address) for kind, address in found]

    def letter(self) -> EmailMessage:
        """The last in the outbox."""
        with self.runtime.sessions.reading() as session:
            wire = session.scalars(
                select(SystemMail.wire).order_by(SystemMail.id.desc()).limit(1)
            ).one()
        assert wire
        return message_from_bytes(wire, EmailMessage, policy=policy.default)

    def confirm_path(self) -> str:
        """Of the last letter's link."""
        return path_of("confirm", self.letter())

    def status(self, email: str = "ada@example.org") -> SubscriptionStatus | None:
        with self.runtime.sessions.reading() as session:
            return session.scalar(
                select(Subscription.status)
                .join(Subscriber)
                .where(Subscriber.address_key == email, Subscription.list_id == self.list_id)
            )

    def person(self, email: str = "ada@example.org") -> Subscriber:
        with self.runtime.sessions.reading() as session:
            return session.scalars(select(Subscriber).where(Subscriber.address_key == email)).one()

    def evidence(self) -> list[ConsentEvent]:
        with self.runtime.sessions.reading() as session:
            return list(session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)))


@contextmanager
def open_desk(
    sessions: Sessions, keys: TokenKeys, client: tuple[str, int] = ("192.0.2.7", 5), **sections: Any
) -> Iterator[Desk]:
    """With a newsletter and its public list `mornings`."""
    settings = factories.settings(**{"signup": OFFLINE, **sections})
    runtime = Runtime(settings, sessions, keys, ERASURE_KEY)
    with TestClient(
        create_app(runtime), follow_redirects=False, client=client, raise_server_exceptions=True
    ) as http:
        desk = Desk(runtime, http)
        with sessions.writing() as session:
            issue = factories.stored_issue(session)
            desk.newsletter_id = issue.newsletter_id
            desk.list_id = factories.a_list(session, issue=issue).id
        yield desk


def value_of(name: str, page: str) -> str:
    """What stands in a field of a page."""
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


def path_of(kind: str, mail: EmailMessage) -> str:
    """The path of a mail's link, such as `/confirm/…`."""
    text = mail.get_body(["plain"]).get_content()
    found = re.search(rf"https?://[^/\s]+(/{kind}/\S+)", text)
    assert found, text
    return found[1]
