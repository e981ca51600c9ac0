"""Links by which somebody chooses a password: whose they are, how long, how often."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import invitations, seats, users
from newsletter.accounts.models import Invitation, User
from newsletter.accounts.permissions import Role
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sections import RelaySettings
from newsletter.core.tokens import TokenKeys
from newsletter.issues import identity
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.sending.invitation_letters import mail_invitation
from newsletter.sending.models import SystemMail
from tests import factories

DAN = Address.parse("Dan@example.org")


def invited(sessions: Sessions, role: Role = Role.AUTHOR, newsletter_id: int | None = None) -> str:
    with sessions.writing() as session:
        return invitations.invite(session, DAN, role, newsletter_id)


def take(sessions: Sessions, secret: str) -> User:
    with sessions.writing() as session:
        user = invitations.take(session, secret, "a hash", "Dan")
        assert user.memberships is not None
        return user


def two_newsletters(sessions: Sessions) -> tuple[int, int]:
    other = factories.MARKDOWN.replace("field-notes", "second-helping")
    with sessions.writing() as session:
        here = factories.stored_issue(session).newsletter_id
        return here, factories.stored_issue(session, other).newsletter_id


def test_a_link_makes_one_user_and_is_used_up(sessions: Sessions) -> None:
    secret = invited(sessions, Role.SENDER)
    with sessions.reading() as session:
        assert secret not in str(session.scalars(select(Invitation.key)).all()), "a hash is kept"
    dan = take(sessions, secret)
    assert (dan.email, dan.name, dan.role) == ("Dan@example.org", "Dan", Role.SENDER)
    with pytest.raises(invitations.EndedLinkError):
        take(sessions, secret)


def test_a_link_is_good_for_a_week(sqlite_sessions: Sessions) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        secret = invited(sqlite_sessions)
        clock.shift(invitations.GOOD_FOR - timedelta(seconds=1))
        with sqlite_sessions.reading() as session:
            assert invitations.find(session, secret)
        clock.shift(timedelta(seconds=1))
        with pytest.raises(invitations.EndedLinkError):
            take(sqlite_sessions, secret)
        with sqlite_sessions.writing() as session:
            invitations.forget_ended(session)
            assert session.scalars(select(Invitation)).all() == []


def test_asked_again_the_old_link_ends(sqlite_sessions: Sessions) -> None:
    first, second = invited(sqlite_sessions), invited(sqlite_sessions, Role.ADMIN)
    with pytest.raises(invitations.EndedLinkError):
        take(sqlite_sessions, first)
    assert take(sqlite_sessions, second).role is Role.ADMIN


def test_who_is_invited_to_several_newsletters_gets_them_all(sqlite_sessions: Sessions) -> None:
    here, there = two_newsletters(sqlite_sessions)
    one = invited(sqlite_sessions, Role.AUTHOR, here)
    other = invited(sqlite_sessions, Role.SENDER, there)
    dan = take(sqlite_sessions, one)
    with sqlite_sessions.reading() as session:
        dan = session.get_one(User, dan.id)
        roles = {held.newsletter_id: held.role for held in dan.memberships}
    assert (dan.role, roles) == (None, {here: Role.AUTHOR, there: Role.SENDER})
    with pytest.raises(invitations.EndedLinkError):
        take(sqlite_sessions, other)


def test_who_is_here_is_not_invited(sqlite_sessions: Sessions) -> None:
    secret = invited(sqlite_sessions)
    with sqlite_sessions.writing() as session:
        users.add(session, Address.parse("dan@EXAMPLE.org"), "x", None)
    with pytest.raises(RefusedError, match="account already"):
        invited(sqlite_sessions)
    with pytest.raises(RefusedError, match="account already"):
        take(sqlite_sessions, secret)


def test_a_new_password_ends_every_browser_and_a_newer_link_the_older(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        user = users.add(session, DAN, "old", Role.AUTHOR)
        cookie = seats.take(session, user)
        first = invitations.for_new_password(session, user)
        second = invitations.for_new_password(session, user)
    with pytest.raises(invitations.EndedLinkError):
        take(sqlite_sessions, first)
    with sqlite_sessions.reading() as session:
        assert seats.seat_of(session, cookie), "looking for a link changes nothing"
    assert take(sqlite_sessions, second).password_hash == "a hash"
    with sqlite_sessions.reading() as session:
        assert seats.seat_of(session, cookie) is None


def test_an_account_that_is_off_has_no_links(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        user = users.add(session, DAN, "old", Role.AUTHOR)
        secret = invitations.for_new_password(session, user)
        users.set_active(session, user, is_active=False)
        with pytest.raises(RefusedError, match="switched off"):
            invitations.for_new_password(session, user)
    with sqlite_sessions.reading() as session:
        assert invitations.find(session, secret) is None


def test_the_letter_goes_out_where_mail_can(sqlite_sessions: Sessions, keys: TokenKeys) -> None:
    relay = RelaySettings(name="main", url="smtp://127.0.0.1:1?tls=none")
    without = factories.runtime(sqlite_sessions, keys)
    with_relay = factories.runtime(sqlite_sessions, keys, relays=(relay,))
    secret = invited(sqlite_sessions)
    with sqlite_sessions.writing() as session:
        assert not mail_invitation(session, with_relay, DAN, secret), "no newsletter to come from"
    two_newsletters(sqlite_sessions)
    with sqlite_sessions.writing() as session:
        assert not mail_invitation(session, without, DAN, secret), "no relay"
        assert mail_invitation(session, with_relay, DAN, secret)
    with sqlite_sessions.reading() as session:
        mail = session.scalars(select(SystemMail)).one()
    assert mail.address == DAN.typed
    assert f"/invitation/{secret}".encode() in (mail.wire or b"").replace(b"=\r\n", b"")


def test_of_two_who_make_the_same_account_at_once_one_is_told(postgresql: Sessions) -> None:
    """Both have looked, and neither saw the other."""
    faster, slower = Session(postgresql.engine), Session(postgresql.engine)
    with faster, slower:
        slower.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        assert slower.scalars(select(User)).all() == []
        users.add(faster, DAN, "x", Role.AUTHOR)
        faster.commit()
        with pytest.raises(RefusedError, match="account already"):
            users.add(slower, DAN, "x", Role.AUTHOR)


def test_of_two_who_begin_the_same_newsletter_at_once_one_is_told(postgresql: Sessions) -> None:
    typed = {"name": "Field Notes"}
    faster, slower = Session(postgresql.engine), Session(postgresql.engine)
    with faster, slower:
        slower.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        assert slower.scalars(select(Newsletter)).all() == []
        identity.create(faster, typed, factories.settings())
        faster.commit()
        with pytest.raises(InputError, match="already"):
            identity.create(slower, typed, factories.settings())
