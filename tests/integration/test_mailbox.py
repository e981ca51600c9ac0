"""Mailboxes on a real Dovecot, by IMAP and POP3: each mail once, deleted only when understood."""

import time
from collections.abc import Sequence

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.bounces import leaving_by_mail
from newsletter.bounces.collecting import Collected, collect
from newsletter.bounces.mailbox import HEAD_BYTES, MailboxError, open_mailbox
from newsletter.bounces.mailbox_url import MailboxUrl
from newsletter.bounces.models import MailSeen
from newsletter.core.db import Sessions
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime
from newsletter.core.sections import BounceSettings
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import polling
from newsletter.rendering.mail_tokens import MailToken
from subscribers import subscriptions
from subscribers.models import Subscription
from tests import factories
from tests.servers.dovecot import Dovecot

PROTOCOLS = ["imap", "pop3"]


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runtime(sessions: Sessions, keys: TokenKeys, mail_server: Dovecot, protocol: str) -> Runtime:
    bounces = BounceSettings(
        domain="bounces.example.org", mailbox=SecretStr(mail_server.url(protocol))
    )
    return factories.runtime(sessions, keys, bounces=bounces)


def to_leave(runtime: Runtime, subscriber_id: int, newsletter_id: int = 1) -> bytes:
    token = MailToken(newsletter_id, subscriber_id, 0).mint(runtime.keys)
    return f"To: {token}@bounces.example.org\r\nSubject: unsubscribe\r\n\r\n".encode()


def two_readers(runtime: Runtime) -> list[int]:
    with runtime.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        people = factories.subscribed(session, readers, ["ada@example.org", "bob@example.org"])
        return [subscription.subscriber_id for subscription in people]


def statuses(sessions: Sessions) -> list[str]:
    with sessions.reading() as session:
        found = session.scalars(select(Subscription).order_by(Subscription.id))
        return [subscription.status.value for subscription in found]


def seen(sessions: Sessions) -> list[bool]:
    with sessions.reading() as session:
        return list(session.scalars(select(MailSeen.is_done)))


def test_who_wrote_has_left_and_the_rest_of_the_mailbox_is_as_it_was(
    runtime: Runtime, mail_server: Dovecot
) -> None:
    ada, _ = two_readers(runtime)
    mail_server.deliver("leaves", to_leave(runtime, ada))
    mail_server.deliver("talks", b"To: editor@example.org\r\n\r\nHow are you?\r\n")
    assert leaving_by_mail.poll(runtime) == Collected(2, 1)
    assert statuses(runtime.sessions) == ["unsubscribed", "active"]
    assert mail_server.mails() == {"talks": ""}, "not even marked as read"
    assert leaving_by_mail.poll(runtime) == Collected(0, 0), "what was not understood is known"
    assert seen(runtime.sessions) == [False], "and what is gone is forgotten"


def test_a_rehearsal_changes_nothing_here_or_there(runtime: Runtime, mail_server: Dovecot) -> None:
    ada, _ = two_readers(runtime)
    mail_server.deliver("leaves", to_leave(runtime, ada))
    for _ in range(2):
        assert leaving_by_mail.poll(runtime, rehearse=True) == Collected(1, 1)
    assert statuses(runtime.sessions) == ["active", "active"]
    assert (mail_server.mails(), seen(runtime.sessions)) == ({"leaves": ""}, [])


def test_a_crash_between_commit_and_deleting_repeats_nothing(
    runtime: Runtime, mail_server: Dovecot, protocol: str
) -> None:
    """Whoever came back meanwhile stays: the old mail is deleted, and not read again."""
    ada, _ = two_readers(runtime)
    mail_server.deliver("leaves", to_leave(runtime, ada))
    url = MailboxUrl.parse(mail_server.url(protocol))

    def handle(session: Session, head: bytes) -> bool:
        return leaving_by_mail.ingest(session, runtime.keys, head).ended > 0

    with open_mailbox(url, read_only=True) as mailbox:

        class Dying:
            uids, head = mailbox.uids, mailbox.head

            def delete(self, uids: object) -> None:
                raise KeyboardInterrupt(uids)

        with pytest.raises(KeyboardInterrupt):
            collect(runtime.sessions, Dying(), url.key, handle)
    assert statuses(runtime.sessions) == ["unsubscribed", "active"]
    with runtime.sessions.writing() as session:
        left = session.scalars(select(func.max(Subscription.unsubscribed_at))).first()
        assert left
        subscriptions.undo_leave(session, ada, 1, left, factories.EVIDENCE)
    assert leaving_by_mail.poll(runtime) == Collected(0, 0)
    assert statuses(runtime.sessions) == ["active", "active"]
    assert mail_server.mails() == {}


def test_of_two_who_look_at_a_mail_at_once_one_gets_it(
    runtime: Runtime, mail_server: Dovecot, protocol: str
) -> None:
    two_readers(runtime)
    mail_server.deliver("one", b"Subject: x\r\n\r\n")
    url, handled = MailboxUrl.parse(mail_server.url(protocol)), []

    def handle(session: Session, head: bytes) -> bool:
        handled.append(head)
        return False

    class Slow:
        def uids(self) -> list[str]:
            return ["1"]

        def head(self, uid: str) -> bytes:
            """Meanwhile somebody else goes through the same mailbox."""
            collect(runtime.sessions, Quick(), url.key, handle)
            return uid.encode()

        def delete(self, uids: Sequence[str]) -> None:
            assert not uids

    class Quick(Slow):
        def head(self, uid: str) -> bytes:
            return uid.encode()

    assert collect(runtime.sessions, Slow(), url.key, handle) == Collected(1, 0)
    assert handled == [b"1"]


def test_a_huge_or_broken_mail_stops_nobody(runtime: Runtime, mail_server: Dovecot) -> None:
    ada, bob = two_readers(runtime)
    mail_server.deliver("a-long-line", b"Subject: " + b"x" * 100_000 + b"\r\n\r\n")
    mail_server.deliver("b-long-head", b"X-A: b\r\n" * 100_000 + to_leave(runtime, ada))
    mail_server.deliver("c-nonsense", bytes(range(256)) * 40)
    mail_server.deliver("d-leaves", to_leave(runtime, bob))
    leaving_by_mail.poll(runtime)
    assert statuses(runtime.sessions) == ["active", "unsubscribed"]
    assert mail_server.mails().keys() == {"a-long-line", "b-long-head", "c-nonsense"}
    assert leaving_by_mail.poll(runtime).looked_at == 0
    assert HEAD_BYTES < 800_000


@pytest.mark.parametrize("scheme", ["imap", "imaps", "pop3", "pop3s"])
def test_the_way_is_secured_and_the_server_checked(mail_server: Dovecot, scheme: str) -> None:
    mail_server.deliver("one", b"Subject: x\r\n\r\n")
    trusting = MailboxUrl.parse(mail_server.url(scheme, options=f"ca={mail_server.authority}"))
    with open_mailbox(trusting) as mailbox:
        (uid,) = mailbox.uids()
        assert mailbox.head(uid).startswith(b"Subject: x\r\n")
    stranger = MailboxUrl.parse(mail_server.url(scheme, options=""))
    with pytest.raises(MailboxError, match=r"127\.0\.0\.1: .*certificate"), open_mailbox(stranger):
        pass


def test_what_is_wrong_is_said_without_the_password(mail_server: Dovecot, protocol: str) -> None:
    wrong = MailboxUrl.parse(mail_server.url(protocol, password="canary-canary"))
    with pytest.raises(MailboxError) as raised, open_mailbox(wrong):
        pass
    assert "canary" not in str(raised.value)
    assert "uth" in str(raised.value)
    gone = MailboxUrl.parse(f"{protocol}://ada:canary-canary@127.0.0.1:9?tls=none")
    with pytest.raises(MailboxError, match="refused") as raised, open_mailbox(gone):
        pass
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("imaps://host", "imaps://ada@host", "imaps://ada:p@", "http://ada:p@host"),
        *("pop3s://ada:p@host/Folder", "imaps://ada:p@host?tls=none", "imap://ada:p@host?x=1"),
        *("imaps://ada:p@host:x/", "imaps://ada:p#w@host"),
    ],
)
def test_a_wrong_url_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^bounces\.mailbox: ") as raised:
        MailboxUrl.parse(url)
    assert "ada" not in str(raised.value)


def test_it_is_polled_in_the_background(
    runtime: Runtime, mail_server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.polling.PERIOD_SECONDS", 0.1)
    ada, _ = two_readers(runtime)
    with polling.polling(runtime):
        mail_server.deliver("leaves", to_leave(runtime, ada))
        end = time.monotonic() + 30
        while mail_server.mails() and time.monotonic() < end:
            time.sleep(0.05)
    assert statuses(runtime.sessions) == ["unsubscribed", "active"]
