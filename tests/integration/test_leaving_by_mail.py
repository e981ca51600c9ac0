"""Unsubscribing by mail: the address written to decides; quotes, replies and forgeries do not."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import delete, select

from newsletter.bounces.leaving_by_mail import Verdict, ingest
from newsletter.broadcasts import planning
from newsletter.broadcasts.models import Delivery
from newsletter.broadcasts.planning import frozen_content
from newsletter.core.db import Sessions
from newsletter.core.sections import BounceSettings
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.mail_tokens import MailToken
from newsletter.rendering.message import personalise, prepare
from newsletter.tracking.models import Event, EventKind
from subscribers.models import ConsentEvent, Subscription
from subscribers.recipient import Recipient
from tests import factories
from tests.dkim_keys import BOTH, verified

BOUNCES = BounceSettings(
    domain="bounces.example.org", mailbox=SecretStr("imaps://ada:a-password@mail.example.org")
)


@pytest.fixture
def delivery(sessions: Sessions) -> Delivery:
    """Ada's, of a broadcast to two."""
    broadcast_id = factories.sending(sessions, ["ada@example.org", "bob@example.org"])
    return factories.deliveries(sessions, broadcast_id)["ada@example.org"]


def address(keys: TokenKeys, delivery: Delivery) -> str:
    token = MailToken(1, delivery.subscriber_id, delivery.id).mint(keys)
    return f"{token}@bounces.example.org"


def say(sessions: Sessions, keys: TokenKeys, *lines: str) -> Verdict:
    with sessions.writing() as session:
        return ingest(session, keys, "\r\n".join([*lines, "", "Body.", ""]).encode())


def statuses(sessions: Sessions) -> list[str]:
    with sessions.reading() as session:
        found = session.scalars(select(Subscription).order_by(Subscription.id))
        return [subscription.status.value for subscription in found]


def test_writing_to_the_address_unsubscribes_with_evidence(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery
) -> None:
    to = address(keys, delivery)
    said = say(sessions, keys, "From: Ada <ada@example.org>", f"To: <{to}>")
    assert said == Verdict(delivery.subscriber_id, 1)
    assert statuses(sessions) == ["unsubscribed", "active"]
    assert say(sessions, keys, f"To: {to}") == Verdict(delivery.subscriber_id, 0), "twice is once"
    with sessions.reading() as session:
        last = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
        event = session.scalars(select(Event)).first()
    assert last
    assert (last.change, last.method) == ("unsubscribed", "mail")
    assert (last.form, last.source) == ("leave: mail", f"delivery {delivery.id}")
    assert event
    assert (event.kind, event.delivery_id) == (EventKind.UNSUBSCRIBE, delivery.id)


@pytest.mark.parametrize(
    "line",
    [
        "To: {}",
        "To: {upper}",
        'To: editor@example.org, "Leave" <{}>',
        "To: news+{}",
        "Cc: <{}>",
        "Delivered-To: {}",
        "X-Original-To: {}",
        "Subject: unsubscribe {token}",
        "To: a@example.org,\r\n {}",
    ],
)
def test_the_address_may_stand_wherever_mail_systems_put_it(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery, line: str
) -> None:
    to = address(keys, delivery)
    said = say(sessions, keys, line.format(to, upper=to.upper(), token=to.partition("@")[0]))
    assert said.subscriber_id == delivery.subscriber_id


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["To: {}", "Auto-Submitted: auto-replied (vacation)"], "automatic"),
        (["To: {}", "X-Autoreply: yes"], "automatic"),
        (["To: {}", "Return-Path: <>"], "automatic"),
        (["To: {}", "Content-Type: multipart/report; boundary=x"], "automatic"),
        (["To: editor@example.org", "", "List-Unsubscribe: <mailto:{}>"], "not written to"),
        (["List-Unsubscribe: <mailto:{}>"], "not written to"),
        (["In-Reply-To: <{}>", "To: editor@example.org"], "not written to"),
        (["Subject: unsubscribe"], "not written to"),
        ([], "not written to"),
    ],
)
def test_quotes_and_automatic_answers_have_no_effect(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery, lines: list[str], why: str
) -> None:
    to = address(keys, delivery)
    said = say(sessions, keys, *(line.format(to) for line in lines))
    assert said.subscriber_id is None
    assert why in said.why_not
    assert statuses(sessions) == ["active", "active"]


def test_what_a_program_sent_because_somebody_pressed_a_button_counts(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery
) -> None:
    generated = "Auto-Submitted: auto-generated"
    assert say(sessions, keys, f"To: {address(keys, delivery)}", generated).ended == 1


def test_a_forged_address_has_no_effect(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery
) -> None:
    to = address(keys, delivery)
    for place in range(1, 46):
        other = "a" if to[place] != "a" else "b"
        said = say(sessions, keys, f"To: {to[:place]}{other}{to[place + 1 :]}")
        assert said.why_not == "the address to leave by is not one of ours"
    stranger = TokenKeys.from_secrets("another secret of somebody else")
    assert say(sessions, keys, f"To: {address(stranger, delivery)}").subscriber_id is None
    assert statuses(sessions) == ["active", "active"]


def test_it_works_when_the_ledger_is_pruned_and_not_for_who_is_gone(
    sessions: Sessions, keys: TokenKeys, delivery: Delivery
) -> None:
    to = address(keys, delivery)
    with sessions.writing() as session:
        session.execute(delete(Delivery))
    assert say(sessions, keys, f"To: {to}").ended == 1
    nobody = MailToken(1, 999, 1).mint(keys)
    assert "nobody is kept" in say(sessions, keys, f"To: {nobody}@x.example.org").why_not


@pytest.mark.parametrize("prefix", ["", "news+", "sixteen-letters-+"])
def test_the_header_has_page_and_address_and_is_signed(
    sessions: Sessions, keys: TokenKeys, prefix: str
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        plan = planning.prepare(
            issue,
            factories.settings(bounces=BOUNCES.model_copy(update={"prefix": prefix})),
            today=factories.DAY,
        )
    frozen = factories.frozen(plan.email, leave_mailbox=plan.identity.leave_mailbox)
    person = Recipient(3, "ada@example.org", "ada@example.org")
    wire = personalise(prepare(frozen, WireForm.NONE, BOTH), person, 42, keys)
    parsed = message_from_bytes(wire, EmailMessage, policy=policy.default)
    page, mailto = str(parsed["List-Unsubscribe"]).replace(" ", "").split(",")
    assert page.startswith("<https://news.example.org/u/")
    local, _, rest = mailto.removeprefix("<mailto:").partition("@")
    assert rest == "bounces.example.org?subject=unsubscribe>"
    assert local.startswith(prefix)
    assert len(local) <= 64
    assert local == local.lower()
    assert MailToken.read(keys, local.removeprefix(prefix)) == MailToken(1, 3, 42)
    assert verified(wire) == [True, True]
    assert verified(wire.replace(local.encode(), b"u" * len(local), 1)) == [False, False]
    assert all(len(line) < 998 for line in wire.split(b"\r\n"))


def test_without_a_mailbox_there_is_no_address(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    with sessions.reading() as session:
        assert frozen_content(session, broadcast_id).identity.leave_mailbox is None


def test_no_mail_is_too_strange(sessions: Sessions, keys: TokenKeys) -> None:
    names = st.sampled_from(["To", "Subject", "Content-Type", "Auto-Submitted", "Return-Path", ""])
    token = MailToken(1, 999, 1).mint(TokenKeys.from_secrets("another secret"))
    values = st.one_of(st.binary(max_size=80), st.just(token.encode()), st.just(b"=?x?q?=FF?="))
    fields = st.lists(st.tuples(names, st.sampled_from([":", ": ", "", ":\n "]), values))

    with sessions.reading() as session:

        @given(fields)
        def ingested(lines: list[tuple[str, str, bytes]]) -> None:
            mail = b"\r\n".join(f"{name}{colon}".encode() + v for name, colon, v in lines)
            assert ingest(session, keys, mail).subscriber_id is None

        ingested()
