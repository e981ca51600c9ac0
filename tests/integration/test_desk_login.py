"""Coming in and going out: passwords, guessers, cookies, forms of other sites."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta

import pyotp
import pytest
import time_machine
from argon2 import PasswordHasher
from httpx2 import Response
from pydantic import HttpUrl
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from newsletter.accounts import logins, passwords, second_factor, users
from newsletter.accounts.models import LoginFailure, User, UserSession
from newsletter.accounts.permissions import Role
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import BusyError, InputError, RefusedError
from newsletter.core.sections import SiteSettings
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.privacy import upkeep
from tests.desk import ORIGIN, PASSWORD, Seat, form_token, open_desk, stranger, text_of


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing dozens of times takes seconds with those that are in force."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64))


def log_in(client: TestClient, email: str, password: str = PASSWORD, **fields: str) -> Response:
    token = form_token(client.get("/login").text)
    sent = {"form_token": token, "email": email, "password": password, **fields}
    return client.post("/login", data=sent, headers={"Origin": ORIGIN})


def test_a_password_opens_the_desk_and_logging_out_closes_it(seat: Seat) -> None:
    with stranger(seat.runtime) as client:
        assert client.get("/").headers["location"] == "/login"
        answer = log_in(client, seat.email.upper())
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/").status_code == 200
        token = form_token(client.get("/").text)
        out = client.post("/logout", data={"form_token": token}, headers={"Origin": ORIGIN})
        assert out.headers["location"] == "/login"
        assert client.get("/").headers["location"] == "/login"


def test_the_wrong_password_and_no_account_get_the_same_answer(seat: Seat) -> None:
    with stranger(seat.runtime) as client:
        wrong = log_in(client, seat.email, "another password entirely")
        unknown = log_in(client, "nobody@example.org", "another password entirely")
    assert wrong.status_code == unknown.status_code == 422
    said = text_of(wrong.text).replace(seat.email, "")
    assert said == text_of(unknown.text).replace("nobody@example.org", "")
    assert "do not go together" in said


def test_guessing_closes_the_account_for_a_while(seat: Seat) -> None:
    with stranger(seat.runtime) as client, time_machine.travel(now(), tick=False) as traveller:
        for _ in range(logins.MOST_OF_ACCOUNT):
            assert log_in(client, seat.email, "wrong wrong wrong").status_code == 422
        closed = log_in(client, seat.email)
        assert closed.status_code == 429
        assert "try again in 15 minutes" in text_of(closed.text)
        traveller.shift(logins.WINDOW)
        assert log_in(client, seat.email).status_code == 303


def test_who_got_in_is_counted_from_nothing(seat: Seat) -> None:
    with stranger(seat.runtime) as client, time_machine.travel(now(), tick=False):
        for _ in range(2):
            for _ in range(logins.MOST_OF_ACCOUNT - 1):
                log_in(client, seat.email, "wrong wrong wrong")
            assert log_in(client, seat.email).status_code == 303


def test_a_login_gets_a_cookie_that_was_not_there_before(seat: Seat) -> None:
    before = seat.client.cookies["desk"]
    log_in(seat.client, seat.email)
    assert seat.client.cookies["desk"] != before
    with stranger(seat.runtime) as thief:
        thief.cookies.set("desk", before, domain="127.0.0.1")
        assert thief.get("/").status_code == 303, "the seat before is given up"


def test_a_stolen_cookie_dies_with_the_password(seat: Seat) -> None:
    with stranger(seat.runtime) as thief:
        thief.cookies.set("desk", seat.client.cookies["desk"], domain="127.0.0.1")
        assert thief.get("/").status_code == 200
        with seat.sessions.writing() as session:
            user = session.get_one(User, seat.editor_id)
            users.set_password(session, user, passwords.hashed("a wholly different sentence"))
        assert thief.get("/").status_code == 303


def test_seats_end_when_a_role_changes_or_somebody_is_switched_off(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    demoted, gone = seats(Role.SENDER), seats(Role.SENDER)
    with seat.sessions.writing() as session:
        users.set_role(session, session.get_one(User, demoted.editor_id), Role.AUTHOR)
        users.set_active(session, session.get_one(User, gone.editor_id), is_active=False)
    assert demoted.get("/").status_code == gone.get("/").status_code == 303
    assert seat.get("/").status_code == 200


def test_a_seat_ends_when_nobody_comes(seat: Seat) -> None:
    with time_machine.travel(now() + timedelta(days=4), tick=False):
        assert seat.get("/").headers["location"] == "/login"


def test_what_is_over_is_forgotten_by_the_house(seat: Seat) -> None:
    with stranger(seat.runtime) as client:
        log_in(client, seat.email, "wrong wrong wrong")
    with seat.sessions.reading() as session:
        assert (len(session.scalars(select(LoginFailure)).all()), count_seats(session)) == (2, 1)
    with time_machine.travel(now() + timedelta(days=4), tick=False):
        upkeep.forget_logins(seat.sessions)
    with seat.sessions.reading() as session:
        assert session.scalars(select(LoginFailure)).all() == []
        assert count_seats(session) == 0


def count_seats(session: Session) -> int:
    return len(session.scalars(select(UserSession)).all())


def test_the_last_admin_stays(seat: Seat) -> None:
    with (
        seat.sessions.writing() as session,
        pytest.raises(RefusedError, match="only admin of everything"),
    ):
        users.set_role(session, session.get_one(User, seat.editor_id), Role.SENDER)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {}],
)
def test_a_form_of_another_site_is_refused(seat: Seat, headers: dict[str, str]) -> None:
    data = {"form_token": seat.form_token()}
    assert seat.client.post("/logout", data=data, headers=headers).status_code == 403
    assert seat.get("/").status_code == 200, "still logged in"


def test_a_form_needs_the_token_of_this_browser(seat: Seat, seats: Callable[..., Seat]) -> None:
    other = seats(Role.ADMIN)
    for token in ("", "x", other.form_token()):
        assert seat.post("/logout", {"form_token": token}).status_code == 403
    assert seat.post("/logout").status_code == 303


@pytest.mark.parametrize(
    "where", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "x"]
)
def test_a_login_leads_nowhere_else(seat: Seat, where: str) -> None:
    with stranger(seat.runtime) as client:
        answer = log_in(client, seat.email, next=where)
    assert answer.headers["location"] == "/"


def test_a_login_leads_to_the_page_that_was_asked_for(seat: Seat) -> None:
    with stranger(seat.runtime) as client:
        asked = client.get("/login?next=/issues/3")
        assert 'value="/issues/3"' in asked.text
        assert log_in(client, seat.email, next="/issues/3").headers["location"] == "/issues/3"


def test_over_https_the_cookie_belongs_to_the_host_alone(
    sqlite_sessions: Sessions, keys: TokenKeys
) -> None:
    site = SiteSettings(base_url=HttpUrl("https://news.example.org"))
    with open_desk(sqlite_sessions, keys, site=site) as seat, stranger(seat.runtime) as client:
        client.base_url = "https://news.example.org"
        token = form_token(client.get("/login").text)
        sent = {"form_token": token, "email": seat.email, "password": PASSWORD}
        headers = {"Origin": "https://news.example.org"}
        answer = client.post("/login", data=sent, headers=headers)
    (cookie,) = [c for c in answer.headers.get_list("set-cookie") if "__Host-desk=" in c]
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"):
        assert part in cookie
    assert "Domain" not in cookie


def test_over_plain_http_from_elsewhere_nobody_logs_in(seat: Seat) -> None:
    with stranger(seat.runtime) as client:
        client.base_url = "http://192.0.2.7"
        page = client.get("/login")
    assert page.status_code == 403
    assert "over https" in page.text
    assert "<input" not in page.text


def test_a_second_factor_is_asked_for_and_works_once(seat: Seat) -> None:
    secret = pyotp.random_base32()
    with time_machine.travel(now(), tick=False) as traveller:
        with seat.sessions.writing() as session:
            user = session.get_one(User, seat.editor_id)
            second_factor.turn_on(session, user, secret, pyotp.TOTP(secret).at(now()))
        traveller.shift(60)
        code = pyotp.TOTP(secret).at(now())
        with stranger(seat.runtime) as client:
            asked = log_in(client, seat.email)
            assert "One more step" in asked.text
            assert client.get("/").status_code == 303, "the password alone opens nothing"
            step = asked.text.partition('name="step" value="')[2].partition('"')[0]
            sent = {"form_token": form_token(asked.text), "step": step, "code": "000000"}
            headers = {"Origin": ORIGIN}
            wrong = client.post("/login/second", data=sent, headers=headers)
            assert wrong.status_code == 422
            right = client.post("/login/second", data={**sent, "code": code}, headers=headers)
            assert right.status_code == 303
        with stranger(seat.runtime) as client:
            sent["form_token"] = form_token(log_in(client, seat.email).text)
            again = client.post("/login/second", data={**sent, "code": code}, headers=headers)
        assert again.status_code == 422, "a code that was used is used up"


def test_a_hash_of_old_is_made_anew_and_the_second_step_still_follows(seat: Seat) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=64).hash(PASSWORD)
    with seat.sessions.writing() as session:
        user = session.get_one(User, seat.editor_id)
        user.password_hash = old
    found = logins.check_password(seat.sessions, seat.runtime.keys, seat.email, PASSWORD, "")
    assert found.password_hash != old
    step = logins.second_step(seat.runtime.keys, found)
    with seat.sessions.reading() as session:
        assert logins.of_second_step(session, seat.runtime.keys, step) is not None


@pytest.mark.parametrize(
    "password",
    ["short", "aaaaaaaaaaaaaaaa", "passwordpassword", "ada.lovelace@example.org", "x" * 1_001],
)
def test_what_is_guessed_at_once_is_no_password(password: str) -> None:
    with pytest.raises(InputError, match="expected"):
        passwords.check(password, "ada.lovelace@example.org")
    passwords.check(PASSWORD, "ada.lovelace@example.org")


def test_pages_of_the_desk_carry_a_strict_policy(seat: Seat) -> None:
    answer = seat.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin", "else browsers send no Origin"


def test_of_many_guesses_at_once_no_more_are_looked_at(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    def wrong(password_hash: str, password: str) -> bool:
        looked_at.append(password)
        return password_hash == password

    monkeypatch.setattr(passwords, "matches", wrong)

    def guess(_: int) -> None:
        with suppress(logins.WrongLoginError, logins.TooManyFailuresError):
            logins.check_password(seat.sessions, seat.runtime.keys, seat.email, "guess", "")

    with time_machine.travel(now(), tick=False), ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(30)))
    assert len(looked_at) == logins.MOST_OF_ACCOUNT


def test_only_so_many_passwords_are_hashed_at_once() -> None:
    with ExitStack() as stack:
        for _ in range(passwords._MOST_WAITING):
            assert passwords._let_in.acquire(blocking=False)
            stack.callback(passwords._let_in.release)
        with pytest.raises(BusyError, match="too many people log in"):
            passwords.matches("", "whatever it is")
    assert not passwords.matches("", "whatever it is")


def test_an_account_that_is_not_there_costs_as_much_as_one_that_is() -> None:
    assert not PasswordHasher().check_needs_rehash(passwords._NOBODYS)


def test_who_was_checked_by_the_password_before_does_not_get_in(seat: Seat) -> None:
    checked = logins.check_password(seat.sessions, seat.runtime.keys, seat.email, PASSWORD, "")
    with seat.sessions.writing() as session:
        assert logins.is_as_checked(session, checked)
        users.set_password(session, session.get_one(User, checked.id), "another hash")
    with seat.sessions.writing() as session:
        assert not logins.is_as_checked(session, checked)


@pytest.mark.parametrize("language", ["en-CN", "en-XX99", "de-AT,de;q=0.9", "*", "x" * 5_000])
def test_whatever_language_a_browser_asks_for_it_gets_a_page(seat: Seat, language: str) -> None:
    answer = seat.get("/account", headers={"Accept-Language": language})
    assert answer.status_code == 200
    assert '<html lang="en">' in answer.text


def test_a_form_of_another_newsletter_than_the_one_chosen_is_refused(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="cooking", name="Cooking")).id
    page = seat.page("/lists/new")
    assert f'name="for_newsletter" value="{seat.newsletter_id}"' in page
    seat.post("/newsletter", {"newsletter_id": other})
    meant = {"for_newsletter": seat.newsletter_id, "name": "Mornings"}
    refused = seat.post("/lists/new", meant)
    assert refused.status_code == 409
    assert "opened for another newsletter" in text_of(refused.text)


@pytest.mark.parametrize(
    "path", ["/settings/users/99999999999999999999999", "/issues/3000000000", "/issues/%00"]
)
def test_an_id_that_cannot_be_is_not_there(seat: Seat, path: str) -> None:
    assert seat.get(path).status_code in {404, 422}
