"""A reader who said no: what their mail tells about them is what delivery itself needs."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from bs4 import BeautifulSoup
from pydantic import SecretStr
from sqlalchemy import select

from newsletter.broadcasts import freezing, planning
from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import BounceSettings, RelaySettings, TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.mail_tokens import (
    Door,
    LeaveToken,
    MailToken,
    PreferencesToken,
    TrackingToken,
)
from newsletter.sending.feed import prepared_mail
from newsletter.sending.smtp_transport import SmtpTransport
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers import subscriptions
from subscribers.models import Subscriber, Subscription, TrackingConsent
from tests import factories
from tests.ledger_moves import claim
from tests.smtp_server import SmtpServer

DENIED = ["ada@example.org", "bob@example.org"]
GRANTED = "cyd@example.org"
BOUNCES = BounceSettings(
    domain="example.org", prefix="news+", mailbox=SecretStr("imaps://a:a-password@example.org")
)


@pytest.fixture
def wires(sessions: Sessions, keys: TokenKeys) -> dict[str, bytes]:
    """What the server got for each, of one broadcast in the mode `individual`."""
    prepared_mail.cache_clear()
    runtime = factories.runtime(sessions, keys, bounces=BOUNCES)
    broadcast_id = frozen(runtime)
    with SmtpServer() as server:
        url = SecretStr(f"smtp://127.0.0.1:{server.port}?tls=none")
        relay = SmtpTransport(RelaySettings(name="main", url=url))
        factories.deliver(runtime, relay, broadcast_id)
    return dict(server.accepted)


def frozen(runtime: Runtime) -> int:
    with runtime.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, DENIED, TrackingConsent.DENIED)
        factories.subscribed(session, readers, [GRANTED], TrackingConsent.GRANTED)
        elsewhere = factories.a_list(session, "Of another newsletter")
        factories.subscribed(session, elsewhere, [GRANTED], TrackingConsent.DENIED)
        plan = planning.prepare(issue, runtime.settings, today=factories.DAY)
        broadcast = factories.scheduled(session, issue, [readers], plan=plan)
        broadcast.state = BroadcastState.FREEZING
    freezing.freeze(runtime.sessions, broadcast.id, TrackingMode.AGGREGATE)
    return broadcast.id


def read(wire: bytes) -> EmailMessage:
    return message_from_bytes(wire, EmailMessage, policy=policy.default)


def test_there_is_no_pixel_and_no_redirect_link(wires: dict[str, bytes]) -> None:
    mail = read(wires[DENIED[0]])
    page, text = (mail.get_body([kind]).get_content() for kind in ("html", "plain"))
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select("img") == []
    ours = "http://127.0.0.1:8000/"
    links = [str(tag["href"]) for tag in soup.select("a[href]")]
    kinds = {link.removeprefix(ours).split("/")[0] for link in links if link.startswith(ours)}
    assert kinds == {"archive", "u", "p"}
    assert {"https://example.org/one", "https://example.org/inside"} <= set(links)
    assert set(re.findall(rf"{ours}(\w+)/", text)) == {"archive", "u", "p"}
    tracked = read(wires[GRANTED]).get_body(["html"]).get_content()
    assert "/o/" in tracked
    assert "/c/" in tracked


def test_two_of_them_get_the_same_mail_but_for_what_delivery_needs(
    wires: dict[str, bytes], keys: TokenKeys
) -> None:
    """Every difference is named here; a further one would be an identifier."""
    first, second = (_without_what_is_needed(wires[address], address, keys) for address in DENIED)
    assert first == second


@pytest.mark.parametrize("by", ["the same list", "another of the newsletter"])
def test_who_refuses_once_it_is_frozen_is_not_measured_either(
    sessions: Sessions, keys: TokenKeys, by: str
) -> None:
    broadcast_id = frozen(factories.runtime(sessions, keys))
    with sessions.writing() as session:
        standing = session.scalars(
            select(Subscription)
            .join(Subscriber)
            .where(
                Subscriber.email == GRANTED,
                Subscription.tracking_consent == TrackingConsent.GRANTED,
            )
        ).one()
        if by != "the same list":
            issue = session.get_one(Broadcast, broadcast_id).issue
            (standing,) = factories.subscribed(
                session, factories.a_list(session, "Evenings", issue), [GRANTED]
            )
        denied = TrackingConsent.DENIED
        subscriptions.set_tracking_consent(session, standing, denied, factories.EVIDENCE)
    assert [row.wire_form for row in claim(sessions, broadcast_id).rows] == [WireForm.NONE] * 3
    kept = factories.deliveries(sessions, broadcast_id)[GRANTED]
    assert kept.wire_form is WireForm.NONE, "what the person's own data says of it"
    older = TrackingToken(broadcast_id, kept.id)  # of a copy that was on its way before
    with sessions.writing() as session:
        record(session, [Fetch(EventKind.OPEN, older, Visit())])
        assert session.scalars(select(Event)).all() == []


def _without_what_is_needed(wire: bytes, address: str, keys: TokenKeys) -> str:
    mail = read(wire)
    needed = {"To", "Message-ID", "List-Unsubscribe", "X-Delivery-Id"}
    (mailto,) = re.findall(r"<mailto:news\+(\w+)@", str(mail["List-Unsubscribe"]))
    assert MailToken.read(keys, mailto)
    (clicked,) = re.findall(r"/u/([\w-]+)>", str(mail["List-Unsubscribe"]))
    header = LeaveToken.read(keys, clicked)
    assert header
    assert header.door is Door.HEADER
    rest = [f"{name}: {value}" for name, value in mail.items() if name not in needed]
    for kind in ("plain", "html"):
        body = mail.get_body([kind]).get_content()
        (leave,), (preferences,) = (set(re.findall(rf"/{k}/([\w-]+)", body)) for k in "up")
        read_leave = LeaveToken.read(keys, leave)
        assert read_leave
        assert read_leave.door is Door.BODY
        assert PreferencesToken.read(keys, preferences)
        for one in (leave, preferences, address):
            body = body.replace(one, "…")
        rest.append(body)
    return re.sub(r'boundary="[^"]+"', "", "\n".join(rest))
