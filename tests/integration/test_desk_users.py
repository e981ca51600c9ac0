"""Users at the desk: invited, given roles, switched off; and their way in by a link."""

import re
from collections.abc import Callable

import pytest
from httpx2 import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.accounts import second_factor, users
from newsletter.accounts.models import AuditEvent, Invitation, User
from newsletter.accounts.permissions import Role
from newsletter.mail.address import Address
from tests.desk import ORIGIN, PASSWORD, Seat, form_token, stranger, text_of

ANOTHER = "nine paper boats drift by"
DAN = {"email": "dan@example.org", "role": "author", "newsletter_id": ""}


def link_in(answer: Response) -> str:
    assert answer.status_code == 200, text_of(answer.text)
    (path,) = re.findall(r"http://127.0.0.1:8000(/invitation/[\w-]+)", answer.text)
    return str(path)


ZONE = "Europe/Vienna"


def follow(client: TestClient, link: str, password: str = ANOTHER, name: str = "Dan") -> Response:
    token = form_token(client.get("/login").text)
    fields = {"form_token": token, "password": password, "name": name, "time_zone": ZONE}
    return client.post(link, data=fields, headers={"Origin": ORIGIN})


def user_of(seat: Seat, email: str) -> User:
    with seat.sessions.reading() as session:
        found = users.find(session, email)
        assert found.memberships is not None
        return found


def test_somebody_is_invited_and_comes_in_once(seat: Seat) -> None:
    here = DAN | {"newsletter_id": str(seat.newsletter_id)}
    link = link_in(seat.post("/settings/users/invite", here))
    assert "dan@example.org" in seat.read("/settings/users")
    with stranger(seat.runtime) as client:
        asked = client.get(link)
        assert asked.status_code == 200
        assert "no-store" in asked.headers["cache-control"]
        short = follow(client, link, "short")
        assert short.status_code == 422
        assert '<option value="Europe/Vienna" selected>' in short.text
        assert "at least 12 characters" in text_of(short.text)
        assert client.get(link).status_code == 200, "looking and failing take nothing"
        assert follow(client, link).headers["location"] == "/login"
        assert client.get(link).status_code == 410
        assert follow(client, link).status_code == 410
    dan = user_of(seat, "dan@example.org")
    assert (dan.name, dan.role, dan.time_zone) == ("Dan", None, ZONE)
    assert [held.role for held in dan.memberships] == [Role.AUTHOR]
    with seat.sessions.reading() as session:
        events = [(e.action, e.details) for e in session.scalars(select(AuditEvent))]
    assert [action for action, _ in events] == ["user.invited", "user.joined"]
    assert "dan@" not in str([details for _, details in events])


def test_an_invitation_is_withdrawn_and_a_wrong_one_is_mended(seat: Seat) -> None:
    link = link_in(seat.post("/settings/users/invite", DAN))
    with seat.sessions.reading() as session:
        key = session.scalars(select(Invitation.key)).one()
    said = seat.done("/settings/users/invitations/withdraw", {"key": key})
    assert "The invitation is withdrawn." in said
    with stranger(seat.runtime) as client:
        assert client.get(link).status_code == 410
        assert client.get("/invitation/nonsense").status_code == 410
    wrong = seat.post("/settings/users/invite", DAN | {"email": "dan at example"})
    assert wrong.status_code == 422
    assert "dan at example" in wrong.text
    taken = seat.post("/settings/users/invite", DAN | {"email": seat.email})
    assert "has an account already" in text_of(taken.text)
    for odd in ({"role": "owner"}, {"role": ""}, {"newsletter_id": "99"}):
        assert seat.post("/settings/users/invite", DAN | odd).status_code == 422


def test_roles_change_and_every_browser_is_logged_out(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    author = seats(Role.AUTHOR, newsletter_id=seat.newsletter_id)
    field = f"newsletter-{seat.newsletter_id}"
    path = f"/settings/users/{author.editor_id}"
    assert author.get("/account").status_code == 200
    assert "Saved." in seat.done(path, {"everywhere": "", field: "author"})
    assert author.get("/account").status_code == 200, "nothing was changed"
    seat.done(path, {"everywhere": "", field: "sender"})
    assert author.get("/account").headers["location"].startswith("/login")
    held = user_of(seat, author.email).memberships
    assert [here.role for here in held] == [Role.SENDER]
    seat.done(path, {"everywhere": "sender", field: ""})
    changed = user_of(seat, author.email)
    assert (changed.role, list(changed.memberships)) == (Role.SENDER, [])
    assert seat.post(path, {"everywhere": "emperor"}).status_code == 422


def test_the_last_admin_stays(seat: Seat, seats: Callable[..., Seat]) -> None:
    seats(Role.ADMIN, newsletter_id=seat.newsletter_id)
    path = f"/settings/users/{seat.editor_id}"
    refused = seat.post(path, {"everywhere": "sender"})
    assert refused.status_code == 409
    assert "only admin of everything" in text_of(refused.text)
    assert seat.post(f"{path}/active", {"active": "0"}).status_code == 409
    assert user_of(seat, seat.email).role is Role.ADMIN
    second = seats(Role.ADMIN)
    assert seat.post(f"/settings/users/{second.editor_id}/active", {"active": "0"})
    assert seat.post(path, {"everywhere": "sender"}).status_code == 409, "the other one is off"
    seat.done(f"/settings/users/{second.editor_id}/active", {"active": "1"})
    assert seat.post(path, {"everywhere": "sender"}).status_code == 303


def test_an_account_goes_off_with_its_browsers_and_links_and_on_again(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    other = seats(Role.SENDER)
    path = f"/settings/users/{other.editor_id}"
    link = link_in(seat.post(f"{path}/link"))
    assert "The account is off." in seat.done(f"{path}/active", {"active": "0"})
    assert other.get("/account").headers["location"].startswith("/login")
    with stranger(seat.runtime) as client:
        assert client.get(link).status_code == 410
    assert seat.post(f"{path}/link").status_code == 409
    assert "The account is on again." in seat.done(f"{path}/active", {"active": "1"})


def test_a_forgotten_password_is_replaced_and_the_second_factor_stays(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    other = seats(Role.AUTHOR)
    with seat.sessions.writing() as session:
        session.get_one(User, other.editor_id).totp_secret = "JBSWY3DPEHPK3PXP"
    link = link_in(seat.post(f"/settings/users/{other.editor_id}/link"))
    assert other.get("/account").status_code == 200, "the old password is good until then"
    with stranger(seat.runtime) as client:
        answer = follow(client, link)
        assert answer.headers["location"] == "/login", "not a seat: there is a second factor"
        assert "desk=" not in answer.headers["set-cookie"].replace('desk=""', "")
        assert other.get("/account").headers["location"].startswith("/login")
        fields = {"form_token": form_token(client.get("/login").text), "email": other.email}
        old = client.post("/login", data=fields | {"password": PASSWORD}, headers=_ours())
        assert old.status_code == 422
        new = client.post("/login", data=fields | {"password": ANOTHER}, headers=_ours())
        assert 'action="/login/second"' in new.text


def test_a_lost_second_factor_is_taken_off(seat: Seat, seats: Callable[..., Seat]) -> None:
    other = seats(Role.AUTHOR)
    with seat.sessions.writing() as session:
        user = session.get_one(User, other.editor_id)
        user.totp_secret = "JBSWY3DPEHPK3PXP"
        second_factor.new_recovery_codes(session, user)
    said = seat.done(f"/settings/users/{other.editor_id}/second-factor")
    assert "The password is enough again." in said
    own = seat.post(f"/settings/users/{seat.editor_id}/second-factor")
    assert own.headers["location"] == "/account/second-factor", "that takes password and code"
    with seat.sessions.reading() as session:
        assert second_factor.recovery_codes_left(session, other.editor_id) == 0


@pytest.mark.parametrize("role", [Role.AUTHOR, Role.SENDER, Role.ADMIN])
def test_who_works_for_one_newsletter_sees_no_users(
    seat: Seat, seats: Callable[..., Seat], role: Role
) -> None:
    other = seats(role, newsletter_id=seat.newsletter_id)
    for path in ("/settings/users", f"/settings/users/{seat.editor_id}", "/settings/audit"):
        assert other.get(path).status_code == 403
    assert other.post("/settings/users/invite", DAN).status_code == 403
    assert seat.get("/settings/users/9999").status_code == 404


def test_names_are_escaped_wherever_they_stand(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        to = Address.parse("eve@example.org")
        eve = users.add(session, to, "x", Role.AUTHOR, "<script>x</script>")
    for path in ("/settings/users", f"/settings/users/{eve.id}"):
        assert "<script>x" not in seat.page(path)


def _ours() -> dict[str, str]:
    return {"Origin": ORIGIN}
