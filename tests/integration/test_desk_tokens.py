"""API tokens at the desk: made, shown once, revoked; each newsletter's for itself."""

import re
from collections.abc import Callable

from newsletter.accounts import api_tokens
from newsletter.accounts.models import ApiToken
from newsletter.accounts.permissions import Role
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from tests.desk import Seat, text_of

SHOP = {"name": "Shop", "scope": ["read", "people"], "days": "30"}


def make(seat: Seat) -> str:
    answer = seat.post("/settings/tokens", SHOP)
    assert answer.status_code == 200, text_of(answer.text)
    assert "no-store" in answer.headers["cache-control"]
    return str(re.findall(r"\b(nl_[\w-]{40,})", answer.text)[0])


def token_of(seat: Seat, text: str) -> ApiToken | None:
    with seat.sessions.reading() as session:
        return api_tokens.whose(session, text)


def test_a_token_is_shown_once_and_revoked(seat: Seat) -> None:
    text = make(seat)
    token = token_of(seat, text)
    assert token is not None
    assert token.scopes == ["read", "people"]
    assert token.expires_at is not None
    page = seat.page("/settings/tokens")
    assert text not in page
    assert token.hint in page
    assert "Read issues and reports; People, lists, segments, suppressions" in text_of(page)
    assert "Shop lets nobody in any more." in seat.done(f"/settings/tokens/{token.id}/revoke")
    assert token_of(seat, text) is None
    assert seat.post(f"/settings/tokens/{token.id}/revoke").status_code == 409


def test_what_is_missing_is_said_and_what_was_typed_is_kept(seat: Seat) -> None:
    nothing = seat.post("/settings/tokens", {"name": "Shop <3", "days": "30"})
    assert nothing.status_code == 422
    assert "at least one thing" in text_of(nothing.text)
    assert "Shop &lt;3" in nothing.text
    for days in ("many", "0x10", "-3", "99999"):
        assert seat.post("/settings/tokens", SHOP | {"days": days}).status_code == 422
    endless = seat.post("/settings/tokens", SHOP | {"days": ""})
    assert endless.status_code == 200


def test_a_token_of_another_newsletter_is_not_there(seat: Seat, seats: Callable[..., Seat]) -> None:
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="second", name="Second Helping"))
    token = token_of(seat, make(seat))
    assert token is not None
    there = seats(Role.ADMIN, newsletter_id=other.id)
    assert "Shop" not in there.page("/settings/tokens")
    assert there.post(f"/settings/tokens/{token.id}/revoke").status_code == 404
    sender = seats(Role.SENDER, newsletter_id=seat.newsletter_id)
    assert sender.get("/settings/tokens").status_code == 403
    assert sender.post("/settings/tokens", SHOP).status_code == 403


def test_nothing_of_the_whole_installation_can_be_asked_for(seat: Seat) -> None:
    assert 'value="installation"' not in seat.page("/settings/tokens")
    answer = seat.post("/settings/tokens", SHOP | {"scope": ["installation"]})
    assert answer.status_code == 422
