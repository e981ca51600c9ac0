"""Suppressions at the desk: found, added, lifted, as files; each within what one may."""

from collections.abc import Callable
from io import BytesIO

import pytest
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.accounts.permissions import Role
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from subscribers import lists, suppressions
from subscribers.models import EVERYWHERE, Suppression, SuppressionReason
from tests.desk import Seat


@pytest.fixture
def readers(seat: Seat) -> int:
    with seat.sessions.writing() as session:
        return lists.create_list(session, "Readers", seat.newsletter_id).id


@pytest.fixture
def foreign(seat: Seat) -> int:
    """A list of another newsletter."""
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="other", name="Other"))
        session.flush()
        return lists.create_list(session, "Foreign", other.id).id


def suppress(
    seat: Seat,
    key: str,
    list_id: int = EVERYWHERE,
    reason: SuppressionReason = SuppressionReason.MANUAL,
) -> int:
    with seat.sessions.writing() as session:
        suppressions.suppress(session, key, reason=reason, source="test", list_id=list_id)
        found = suppressions.find(session, key, list_id)
        assert found
        return found.id


def kept(seat: Seat) -> set[tuple[str, int]]:
    with seat.sessions.reading() as session:
        return {(row.key, row.list_id) for row in session.scalars(select(Suppression))}


def test_somebody_is_suppressed_found_and_let_in_again(seat: Seat, readers: int) -> None:
    assert "Nobody is suppressed" in seat.read("/suppressions")
    fields = {"address": "Ada@Example.org", "scope": str(readers), "reason": "manual"}
    assert "ada@example.org is suppressed." in seat.done("/suppressions", fields)
    assert "was already" in seat.done("/suppressions", fields)
    assert kept(seat) == {("ada@example.org", readers)}
    seat.done("/suppressions", {"address": "@bücher.org", "scope": "everywhere", "reason": "gone"})
    assert ("@xn--bcher-kva.org", EVERYWHERE) in kept(seat)
    assert "ada@example.org" in seat.read("/suppressions?q=ADA")
    assert "everybody at xn--bcher-kva.org" in seat.read("/suppressions?q=@bücher.org")
    assert "Nothing found" in seat.read("/suppressions?q=eve")
    said = seat.read("/suppressions?q=eve@xn--bcher-kva.org")
    assert "everybody at" in said, "what covers an address is found by it"
    assert "ada@example.org" not in seat.read("/suppressions?scope=everywhere")
    assert "ada@example.org" not in seat.read("/suppressions?reason=gone")
    with seat.sessions.reading() as session:
        found = suppressions.find(session, "ada@example.org", readers)
    assert found
    said = seat.read(f"/suppressions/{found.id}/lift")
    assert "Nobody is subscribed by this." in said
    assert "may get mail again" in seat.done(f"/suppressions/{found.id}/lift")
    assert ("ada@example.org", readers) not in kept(seat)
    with seat.sessions.reading() as session:
        trail = audit.trail(session)
    assert [event.action for event in trail] == [
        *("suppression.lifted", "suppression.added", "suppression.added")
    ]
    assert not any("example.org" in str(event.details) for event in trail)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "nobody"}, "nobody"),
        ({"address": "#" + "0" * 64}, "Expected an address, or @ and a domain."),
        ({"reason": "erased"}, "Expected one of manual, gone, complaint."),
        ({"scope": "999"}, "Choose what it is for."),
        ({"scope": ""}, "Choose what it is for."),
    ],
)
def test_a_form_that_is_wrong_is_shown_again(
    seat: Seat, readers: int, fields: dict[str, str], sentence: str
) -> None:
    sent = {"address": "ada@example.org", "scope": str(readers), "reason": "manual", **fields}
    answer = seat.post("/suppressions", sent)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert kept(seat) == set()


def test_who_complained_is_let_in_by_their_word_and_who_was_erased_never(seat: Seat) -> None:
    number = suppress(seat, "ada@example.org", reason=SuppressionReason.COMPLAINT)
    answer = seat.post(f"/suppressions/{number}/lift")
    assert answer.status_code == 409
    assert "This person complained" in answer.text
    seat.done(f"/suppressions/{number}/lift", {"sure": "1"})
    assert seat.runtime.erasure_key
    key = suppressions.erased_suppression(seat.runtime.erasure_key, "bob@example.org")
    number = suppress(seat, key, reason=SuppressionReason.ERASED)
    page = seat.page("/suppressions?q=bob@example.org")
    assert "an erased person" in page
    assert key not in page
    assert seat.post(f"/suppressions/{number}/lift", {"sure": "1"}).status_code == 409
    assert kept(seat) == {(key, EVERYWHERE)}
    again = {"address": "bob@example.org", "scope": "everywhere", "reason": "manual"}
    answer = seat.post("/suppressions", again)
    assert answer.status_code == 422
    assert "was erased" in answer.text


def test_an_admin_of_one_newsletter_sees_and_changes_its_own(
    seat: Seat, seats: Callable[..., Seat], readers: int, foreign: int
) -> None:
    admin = seats(Role.ADMIN, newsletter_id=seat.newsletter_id)
    ours = suppress(seat, "ours@example.org", readers)
    theirs = suppress(seat, "theirs@example.org", foreign)
    whole = suppress(seat, "whole@example.org")
    said = admin.read("/suppressions")
    assert "ours@example.org" in said
    assert "theirs@example.org" not in said + seat.read("/suppressions")
    assert "whole@example.org" not in said
    assert "whole@example.org" in seat.read("/suppressions")
    for number, status in ((theirs, 404), (whole, 404), (ours, 200)):
        assert admin.get(f"/suppressions/{number}/lift").status_code == status
        if status == 404:
            assert admin.post(f"/suppressions/{number}/lift").status_code == 404
    for scope in ("everywhere", str(foreign)):
        fields = {"address": "x@example.org", "scope": scope, "reason": "manual"}
        assert admin.post("/suppressions", fields).status_code == 422
    exported = admin.post("/suppressions/export", {"scope": "everywhere"}).text
    assert [line.split(",")[0] for line in exported.splitlines()] == ["key", "ours@example.org"]
    assert seats(Role.SENDER).get("/suppressions").status_code == 403


def test_a_page_goes_on_behind_the_last_one(seat: Seat, readers: int) -> None:
    with seat.sessions.writing() as session:
        for number in range(51):
            suppressions.suppress(
                session,
                f"r{number:02}@example.org",
                reason=SuppressionReason.GONE,
                source="=cmd()",
                list_id=readers,
            )
    page = seat.page("/suppressions?reason=gone")
    assert "r01@example.org" in page
    assert "r00@example.org" not in page
    older = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "r00@example.org" in seat.page(older)
    assert "r01@example.org" not in seat.page(older)
    exported = seat.post("/suppressions/export", {"reason": "gone"}).text.splitlines()
    assert len(exported) == 52
    assert exported[1].startswith("r00@example.org,readers,gone,'=cmd(),")


def test_a_blocklist_is_taken_for_ones_own_lists(
    seat: Seat, seats: Callable[..., Seat], readers: int, foreign: int
) -> None:
    admin = seats(Role.ADMIN, newsletter_id=seat.newsletter_id)
    text = (
        "address,reason,list\nada@example.org,spam,\nbob@example.org,,foreign\n"
        f"nobody,,\n#{'0' * 64},erased,\n@example.net,,readers\n"
    )
    files = {"file": ("theirs.csv", BytesIO(text.encode()))}
    answer = admin.post("/suppressions/import", {"scope": str(readers)}, files=files)
    assert answer.status_code == 200
    assert "theirs.csv:3: list: there is no list &#39;foreign&#39;" in answer.text
    assert kept(seat) == {("ada@example.org", readers), ("@example.net", readers)}
    everywhere = {"scope": "everywhere"}
    files = {"file": ("theirs.csv", BytesIO(b"eve@example.org\n"))}
    assert admin.post("/suppressions/import", everywhere, files=files).status_code == 422
    assert seat.post("/suppressions/import", everywhere, files=files).status_code == 200
    assert ("eve@example.org", EVERYWHERE) in kept(seat)
    answer = seat.post("/suppressions/import", everywhere)
    assert (answer.status_code, "Choose the file" in answer.text) == (422, True)


def test_no_file_says_that_somebody_was_erased_by_their_address(seat: Seat, readers: int) -> None:
    """Nobody could lift that; erasing leaves a hash, and nothing else means it."""
    text = f"address,reason\nada@example.org,erased\n@example.net,erased\n#{'0' * 64},erased\n"
    files = {"file": ("theirs.csv", BytesIO(text.encode()))}
    answer = seat.post("/suppressions/import", {"scope": "everywhere"}, files=files)
    assert (answer.status_code, "theirs.csv:2: reason" in answer.text) == (200, True)
    assert kept(seat) == {("#" + "0" * 64, EVERYWHERE)}
