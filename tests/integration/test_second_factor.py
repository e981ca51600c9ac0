"""The second factor: what lets somebody in, and that nothing does so twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import time_machine

from newsletter.accounts import second_factor, users
from newsletter.accounts.models import User
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address

AT = datetime(2026, 6, 17, 8, 0, 10, tzinfo=UTC)
"""Ten seconds into a step."""
STEP = timedelta(seconds=second_factor.STEP_SECONDS)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(AT, tick=False) as traveller:
        yield traveller


def code(at: datetime = AT) -> str:
    return pyotp.TOTP(SECRET).at(at)


def a_user(sessions: Sessions, address: str = "ada@example.org") -> int:
    with sessions.writing() as session:
        return users.add(session, Address.parse(address), "x", None).id


def turned_on(sessions: Sessions) -> tuple[int, list[str]]:
    user_id = a_user(sessions)
    with sessions.writing() as session:
        user = session.get_one(User, user_id)
        codes = second_factor.turn_on(session, user, SECRET, code(AT - STEP))
    return user_id, codes


def accepts(sessions: Sessions, user_id: int, typed: str) -> bool:
    with sessions.writing() as session:
        return second_factor.accepts(session, session.get_one(User, user_id), typed)


def test_a_code_is_good_for_its_step_and_the_ones_beside_it_and_once(sessions: Sessions) -> None:
    user_id, _ = turned_on(sessions)
    assert not accepts(sessions, user_id, code(AT - STEP)), "it was used to turn it on"
    assert not accepts(sessions, user_id, code(AT + 2 * STEP)), "too far ahead"
    assert accepts(sessions, user_id, f" {code()[:3]} {code()[3:]} ")
    assert not accepts(sessions, user_id, code()), "taken already"
    assert accepts(sessions, user_id, code(AT + STEP))
    assert not accepts(sessions, user_id, code()), "older than one that was taken"


def test_of_two_who_read_the_same_row_one_gets_in(sqlite_sessions: Sessions) -> None:
    user_id, _ = turned_on(sqlite_sessions)
    with sqlite_sessions.reading() as session:
        stale = session.get_one(User, user_id)
    assert accepts(sqlite_sessions, user_id, code())
    with sqlite_sessions.writing() as session:
        assert not second_factor.accepts(session, stale, code())


def test_a_recovery_code_stands_in_once_for_its_own_user(sessions: Sessions) -> None:
    user_id, codes = turned_on(sessions)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    other_id = a_user(sessions, "bob@example.org")
    with sessions.writing() as session:
        session.get_one(User, other_id).totp_secret = SECRET
    assert not accepts(sessions, other_id, codes[0])
    assert accepts(sessions, user_id, codes[0].upper().replace("-", " "))
    assert not accepts(sessions, user_id, codes[0])
    assert accepts(sessions, user_id, codes[1])
    with sessions.reading() as session:
        assert second_factor.recovery_codes_left(session, user_id) == len(codes) - 2


def test_new_recovery_codes_end_the_old_ones_and_off_ends_all(sqlite_sessions: Sessions) -> None:
    user_id, old = turned_on(sqlite_sessions)
    with sqlite_sessions.writing() as session:
        new = second_factor.new_recovery_codes(session, session.get_one(User, user_id))
    assert not accepts(sqlite_sessions, user_id, old[0])
    assert accepts(sqlite_sessions, user_id, new[0])
    with sqlite_sessions.writing() as session:
        second_factor.turn_off(session, session.get_one(User, user_id))
    assert not accepts(sqlite_sessions, user_id, new[1])
    assert not accepts(sqlite_sessions, user_id, code())


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "a" * 16, "-" * 500])
def test_anything_else_is_no_code(sqlite_sessions: Sessions, typed: str) -> None:
    user_id, _ = turned_on(sqlite_sessions)
    assert not accepts(sqlite_sessions, user_id, typed)


def test_it_goes_on_with_a_right_code_alone_and_not_twice(sqlite_sessions: Sessions) -> None:
    user_id = a_user(sqlite_sessions)
    with sqlite_sessions.writing() as session, pytest.raises(InputError, match="six digits"):
        second_factor.turn_on(session, session.get_one(User, user_id), SECRET, "000000")
    user_id = a_user(sqlite_sessions, "bob@example.org")
    with sqlite_sessions.writing() as session:
        user = session.get_one(User, user_id)
        second_factor.turn_on(session, user, SECRET, code())
        with pytest.raises(RefusedError, match="on already"):
            second_factor.turn_on(session, user, SECRET, code(AT + STEP))


def test_an_offered_secret_is_one_users_and_for_half_an_hour(
    sqlite_sessions: Sessions, keys: TokenKeys, clock: time_machine.Traveller
) -> None:
    ids = a_user(sqlite_sessions), a_user(sqlite_sessions, "bob@example.org")
    with sqlite_sessions.reading() as session:
        ada, bob = (session.get_one(User, user_id) for user_id in ids)
    token = second_factor.offer(keys, ada)
    secret = second_factor.offered(keys, ada, token)
    assert len(secret) == 32
    assert secret in second_factor.setup_url(secret, ada, "Field Notes")
    with pytest.raises(InputError, match="too long"):
        second_factor.offered(keys, bob, token)
    clock.shift(timedelta(minutes=31))
    with pytest.raises(InputError, match="too long"):
        second_factor.offered(keys, ada, token)
