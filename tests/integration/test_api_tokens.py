"""API tokens: as far as their maker may go, as long as they may, and not longer."""

from collections.abc import Collection
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.accounts import api_tokens, users
from newsletter.accounts.models import ApiToken, User
from newsletter.accounts.permissions import Permission, Role
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


def is_good(sessions: Sessions, text: str) -> bool:
    with sessions.reading() as session:
        return api_tokens.whose(session, text) is not None


def test_a_token_is_known_by_its_text_which_is_not_kept(sessions: Sessions) -> None:
    _, token_id, text = made(sessions)
    assert text.startswith("nl_")
    with sessions.reading() as session:
        found = api_tokens.whose(session, text)
        row = session.execute(select(ApiToken.__table__)).one()
    assert found is not None
    assert (found.id, found.scopes) == (token_id, ["read"])
    assert text not in str(row)
    for wrong in ("", "nl_", text[:-1], text[3:], text.upper(), row.key, f"nl_{row.key}"):
        assert not is_good(sessions, wrong)


@pytest.mark.parametrize("hours", [0, -1, 24 * 3651])
def test_a_token_ends_in_time_to_come(sqlite_sessions: Sessions, hours: int) -> None:
    with pytest.raises(InputError, match="to come"):
        made(sqlite_sessions, hours=hours)


def test_an_expired_or_revoked_token_lets_nobody_in(sqlite_sessions: Sessions) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        _, token_id, text = made(sqlite_sessions)
        clock.shift(timedelta(minutes=59))
        assert is_good(sqlite_sessions, text)
        clock.shift(timedelta(minutes=1))
        assert not is_good(sqlite_sessions, text)
        clock.shift(timedelta(minutes=-1))
        with sqlite_sessions.writing() as session:
            api_tokens.revoke(session, token_id)
        assert not is_good(sqlite_sessions, text)
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
    maker_id, _, text = made(sqlite_sessions, None, scopes, here=Role.ADMIN)

    def with_maker(role: Role | None, *, is_active: bool) -> tuple[bool, str]:
        with sqlite_sessions.writing() as session:
            maker = session.get_one(User, maker_id)
            users.set_membership(session, maker, 1, role)
            users.set_active(session, maker, is_active=is_active)
        with sqlite_sessions.reading() as session:
            ((token, found),) = api_tokens.of_newsletter(session, 1)
            return is_good(sqlite_sessions, text), api_tokens.standing(token, found)

    assert with_maker(Role.ADMIN, is_active=True) == (True, "active")
    assert with_maker(Role.ADMIN, is_active=False) == (False, "without its maker")
    assert with_maker(Role.SENDER, is_active=True) == (False, "without its maker")
    assert with_maker(None, is_active=True) == (False, "without its maker")
    assert with_maker(Role.ADMIN, is_active=True) == (True, "active")


def test_its_use_is_noted_once_a_minute(sqlite_sessions: Sessions) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        _, token_id, text = made(sqlite_sessions)

        def used() -> tuple[bool, float]:
            """Whether it is known by now, and how long ago it says it was."""
            with sqlite_sessions.reading() as session:
                token = api_tokens.whose(session, text)
                assert token
                noted = api_tokens.is_use_noted(token)
            with sqlite_sessions.writing() as session:
                api_tokens.note_use(session, token_id)
            with sqlite_sessions.reading() as session:
                at = session.get_one(ApiToken, token_id).used_at
                assert at
                return noted, (now() - at).total_seconds()

        assert used() == (False, 0)
        clock.shift(timedelta(seconds=59))
        assert used() == (True, 59)
        clock.shift(timedelta(seconds=1))
        assert used() == (False, 0)
