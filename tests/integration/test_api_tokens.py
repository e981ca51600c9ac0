"""API tokens: as far as their maker may go, as long as they may, and not longer."""

from collections.abc import Collection
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.accounts import api_tokens, users
from newsletter.accounts.models import ApiToken, User
from newsletter.accounts.permissions import Permission, Role
from newsletter.accounts.random_keys import key_of
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.mail.address import Address
from tests import factories

READ = {Permission.READ}


def made(
    sessions: Sessions,
    role: Role | None = Role.ADMIN,
    scopes: Collection[Permission] = READ,
    *,
    here: Role | None = None,
    hours: int | None = 1,
) -> tuple[int, int, str]:
    """Maker, token, text."""
    with sessions.writing() as session:
        newsletter_id = factories.stored_issue(session).newsletter_id
        maker = users.add(session, Address.parse("ada@example.org"), "x", role)
        users.set_membership(session, maker, newsletter_id, here)
        until = now() + timedelta(hours=hours) if hours is not None else None
        token, text = api_tokens.make(
            session, maker, newsletter_id, name="Shop", scopes=scopes, expires_at=until
        )
        return maker.id, token.id, text


def standing(sessions: Sessions) -> str:
    with sessions.reading() as session:
        ((token, maker),) = api_tokens.of_newsletter(session, 1)
        return api_tokens.standing(token, maker)


def test_a_token_is_kept_as_a_hash_of_its_text(sessions: Sessions) -> None:
    _, token_id, text = made(sessions)
    assert text.startswith("nl_")
    with sessions.reading() as session:
        row = session.execute(select(ApiToken.__table__)).one()
    assert (row.id, row.scopes, row.key) == (token_id, ["read"], key_of(text))
    assert text not in str(row)
    assert text.startswith(row.hint)


@pytest.mark.parametrize("hours", [0, -1, 24 * 3651])
def test_a_token_ends_in_time_to_come(sqlite_sessions: Sessions, hours: int) -> None:
    with pytest.raises(InputError, match="to come"):
        made(sqlite_sessions, hours=hours)


def test_an_expired_or_revoked_token_lets_nobody_in(sqlite_sessions: Sessions) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        _, token_id, _ = made(sqlite_sessions)
        clock.shift(timedelta(minutes=59))
        assert standing(sqlite_sessions) == "active"
        clock.shift(timedelta(minutes=1))
        assert standing(sqlite_sessions) == "expired"
        clock.shift(timedelta(minutes=-1))
        with sqlite_sessions.writing() as session:
            api_tokens.revoke(session, token_id)
        assert standing(sqlite_sessions) == "revoked"
    with sqlite_sessions.writing() as session, pytest.raises(RefusedError, match="already"):
        api_tokens.revoke(session, token_id)
    with sqlite_sessions.writing() as session, pytest.raises(NotFoundError):
        api_tokens.revoke(session, token_id + 1)


@pytest.mark.parametrize(
    ("role", "here", "scope"),
    [
        (Role.AUTHOR, None, Permission.SEND),
        (Role.SENDER, Role.AUTHOR, Permission.PEOPLE),
        (None, Role.ADMIN, Permission.INSTALLATION),
        (Role.ADMIN, None, Permission.INSTALLATION),
        (None, None, Permission.READ),
    ],
)
def test_nobody_gives_more_than_they_have(
    sqlite_sessions: Sessions, role: Role | None, here: Role | None, scope: Permission
) -> None:
    with pytest.raises((RefusedError, InputError)):
        made(sqlite_sessions, role, {Permission.READ, scope}, here=here)


def test_a_token_needs_a_name_and_a_purpose(sqlite_sessions: Sessions) -> None:
    with pytest.raises(InputError, match="at least one"):
        made(sqlite_sessions, scopes=set())
    with sqlite_sessions.writing() as session:
        user = users.add(session, Address.parse("bob@example.org"), "x", Role.ADMIN)
        with pytest.raises(InputError, match="name"):
            api_tokens.make(session, user, 1, name=" ", scopes=READ, expires_at=None)


def test_a_token_does_not_outlive_its_makers_account_or_rights(sqlite_sessions: Sessions) -> None:
    scopes = {Permission.READ, Permission.PEOPLE}
    maker_id, _, _ = made(sqlite_sessions, None, scopes, here=Role.ADMIN)

    def with_maker(role: Role | None, *, is_active: bool) -> str:
        with sqlite_sessions.writing() as session:
            maker = session.get_one(User, maker_id)
            users.set_membership(session, maker, 1, role)
            users.set_active(session, maker, is_active=is_active)
        return standing(sqlite_sessions)

    assert with_maker(Role.ADMIN, is_active=True) == "active"
    assert with_maker(Role.ADMIN, is_active=False) == "without its maker"
    assert with_maker(Role.SENDER, is_active=True) == "without its maker"
    assert with_maker(None, is_active=True) == "without its maker"
    assert with_maker(Role.ADMIN, is_active=True) == "active"
