"""One's own account: name, zone, password, browsers, second factor."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import time_machine
from argon2 import PasswordHasher

from newsletter.accounts import invitations, logins, passwords
from newsletter.accounts import seats as browsers
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from tests.desk import ORIGIN, PASSWORD, Seat, text_of

AT = datetime(2026, 6, 17, 8, 0, 10, tzinfo=UTC)
NEW = "nine paper boats drift by"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64))


def me(seat: Seat) -> User:
    with seat.sessions.reading() as session:
        return session.get_one(User, seat.editor_id)


def another_browser(seat: Seat) -> str:
    with seat.sessions.writing() as session:
        return browsers.take(session, session.get_one(User, seat.editor_id))


def is_logged_in(seat: Seat, secret: str) -> bool:
    with seat.sessions.reading() as session:
        return browsers.seat_of(session, secret) is not None


def test_name_and_zone_are_ones_own_and_times_are_shown_in_it(seat: Seat) -> None:
    said = seat.done("/account", {"name": " Ada <3 ", "time_zone": "Asia/Tokyo"})
    assert "Saved." in said
    assert "Ada <3" in said
    assert (me(seat).name, me(seat).time_zone) == ("Ada <3", "Asia/Tokyo")
    wrong = seat.post("/account", {"name": "Ada", "time_zone": "Mars/Olympus"})
    assert wrong.status_code == 422
    assert seat.post("/account", {"name": "x" * 201, "time_zone": "UTC"}).status_code == 422
    assert me(seat).time_zone == "Asia/Tokyo"


def test_a_zone_that_is_not_offered_stays_until_another_is_chosen(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        session.get_one(User, seat.editor_id).time_zone = "Etc/GMT+5"
    assert '<option value="Etc/GMT+5" selected>' in seat.page("/account")
    seat.done("/account", {"name": "Ada", "time_zone": "Etc/GMT+5"})
    assert (me(seat).name, me(seat).time_zone) == ("Ada", "Etc/GMT+5")


def test_a_new_password_ends_a_stolen_cookie_and_open_links_and_not_this_browser(
    seat: Seat,
) -> None:
    stolen = another_browser(seat)
    with seat.sessions.writing() as session:
        link = invitations.for_new_password(session, session.get_one(User, seat.editor_id))
    wrong = seat.post("/account/password", {"current": "not this one", "new": NEW})
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    weak = seat.post("/account/password", {"current": PASSWORD, "new": "passwordpassword"})
    assert "hard to guess" in text_of(weak.text)
    assert is_logged_in(seat, stolen)
    said = seat.done("/account/password", {"current": PASSWORD, "new": NEW})
    assert "Your password is changed." in said
    assert not is_logged_in(seat, stolen)
    assert passwords.matches(me(seat).password_hash, NEW)
    with seat.sessions.reading() as session:
        assert invitations.find(session, link) is None


def test_whoever_sits_here_cannot_guess_the_password(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        session.get_one(User, seat.editor_id).password_hash = passwords.hashed(PASSWORD)
    with time_machine.travel(AT, tick=False):
        cookie = another_browser(seat)
        seat.client.cookies.set("desk", cookie, domain="127.0.0.1")
        guess = {"form_token": seat.form_token(), "current": "a guess at it", "new": NEW}
        for _ in range(logins.MOST_OF_ACCOUNT):
            seat.client.post("/account/password", data=guess, headers={"Origin": ORIGIN})
        answer = seat.post("/account/password", {"current": PASSWORD, "new": NEW})
    assert "too many wrong" in text_of(answer.text).lower()


def test_other_browsers_are_logged_out_one_by_one_or_all(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    mine, also_mine = another_browser(seat), another_browser(seat)
    other = seats(Role.AUTHOR)
    keys = re.findall(r'name="key" value="([^"]+)"', seat.page("/account"))
    assert len(keys) == 2
    theirs = re.findall(r'name="key" value="([^"]+)"', other.page("/account"))
    assert theirs == []
    other.done("/account/browsers", {"key": keys[0]})
    assert is_logged_in(seat, mine)
    assert is_logged_in(seat, also_mine), "nobody logs somebody else out"
    seat.done("/account/browsers", {"key": keys[0]})
    assert [is_logged_in(seat, mine), is_logged_in(seat, also_mine)].count(True) == 1
    seat.done("/account/browsers")
    assert not is_logged_in(seat, mine)
    assert not is_logged_in(seat, also_mine)
    assert seat.get("/account").status_code == 200


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(AT, tick=False) as traveller:
        yield traveller


def turn_on(seat: Seat) -> tuple[str, list[str]]:
    page = seat.page("/account/second-factor")
    offer = re.findall(r'name="offer" value="([^"]+)"', page)[0]
    secret = re.findall(r'<code class="key">([^<]+)', page)[0].replace(" ", "")
    assert 'src="data:image/svg+xml' in page
    fields = {"offer": offer, "code": "000000", "password": PASSWORD}
    wrong = seat.post("/account/second-factor/on", fields)
    assert wrong.status_code == 422
    assert offer in wrong.text, "the app keeps the secret it has scanned"
    code = pyotp.TOTP(secret).at(AT)
    wrong = seat.post("/account/second-factor/on", fields | {"code": code, "password": "x"})
    assert "This is not your password." in wrong.text
    answer = seat.post("/account/second-factor/on", fields | {"code": code})
    assert answer.status_code == 200, text_of(answer.text)
    return secret, re.findall(r"<li><code>([^<]+)", answer.text)


def test_the_second_factor_goes_on_and_off(seat: Seat, clock: time_machine.Traveller) -> None:
    fresh = another_browser(seat)
    seat.client.cookies.set("desk", fresh, domain="127.0.0.1")
    stolen = another_browser(seat)
    secret, codes = turn_on(seat)
    assert len(codes) == 10
    assert not is_logged_in(seat, stolen)
    assert "10 recovery codes are left." in seat.read("/account/second-factor")
    for wrong in (
        {"password": PASSWORD, "code": pyotp.TOTP(secret).at(AT)},
        {"password": "x", "code": codes[0]},
        {"password": PASSWORD},
    ):
        assert seat.post("/account/second-factor/off", wrong).status_code == 422
    assert me(seat).totp_secret == secret
    clock.shift(timedelta(seconds=30))
    code = pyotp.TOTP(secret).at(AT + timedelta(seconds=30))
    said = seat.done("/account/second-factor/off", {"password": PASSWORD, "code": code})
    assert "The second factor is off" in said
    assert me(seat).totp_secret == ""


def test_recovery_codes_are_made_anew_by_one_of_the_old(
    seat: Seat, clock: time_machine.Traveller
) -> None:
    del clock
    seat.client.cookies.set("desk", another_browser(seat), domain="127.0.0.1")
    _, codes = turn_on(seat)
    fields = {"password": PASSWORD, "code": codes[3]}
    anew = seat.post("/account/second-factor/recovery-codes", fields)
    assert anew.status_code == 200
    shown = re.findall(r"<li><code>([^<]+)", anew.text)
    assert len(shown) == 10
    assert not set(shown) & set(codes)
    assert seat.post("/account/second-factor/recovery-codes", fields).status_code == 422
