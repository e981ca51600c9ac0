"""The key under which people were erased: with none or another, no door takes anybody in."""

from pathlib import Path

import pytest

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import RefusedError
from newsletter.mail.address import Address
from newsletter.privacy import erasure
from subscribers import by_hand, erased, suppressions
from subscribers.blocklists import import_blocklist
from subscribers.imports.fates import Fate
from subscribers.sign_up import Standing, Wish, sign_up
from tests import factories
from tests.erased import KEY
from tests.imports import Desk

ADA, CYD = Address.parse("ada@example.org"), Address.parse("cyd@example.org")
OTHER = ErasureKey(b"made anew where the old one was lost")


@pytest.fixture
def desk(sqlite_sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sqlite_sessions, tmp_path)


def test_under_another_key_or_none_nobody_is_taken_in(desk: Desk) -> None:
    text, only = f"email\n{ADA.key}\n", "only the key under which they were erased"
    assert desk.run(text, rehearse=True).counts == {Fate.ADDED: 1}, "nobody was erased"
    with desk.sessions.writing() as session:
        erasure.erase_address(session, ADA, KEY, "test")
    for key in (None, OTHER):
        for rehearse in (True, False):
            with pytest.raises(RefusedError, match=only):
                desk.run(text, erased=key, rehearse=rehearse)
        with pytest.raises(RefusedError, match=only):
            import_blocklist(desk.sessions, desk.folder / "people.csv", erased=key)
        with desk.sessions.writing(rehearse=True) as session:
            readers = factories.a_list(session, "Single opt-in")
            readers.confirms = False
            with pytest.raises(RefusedError, match=only):
                by_hand.may_join(session, ADA, readers, key)
            taken = sign_up(session, readers, Wish(ADA, factories.EVIDENCE), key)
            assert taken
            assert taken[1] is Standing.ASKED, "they come by their own word alone"
    with desk.sessions.writing() as session, pytest.raises(RefusedError, match="another one now"):
        erasure.erase_address(session, CYD, OTHER, "test")
    assert desk.run(text, erased=KEY).counts == {Fate.KEPT_ERASED: 1}


def test_the_key_is_another_once_nobody_is_left_whom_the_lost_one_knew(desk: Desk) -> None:
    with desk.sessions.writing() as session:
        erasure.erase_address(session, ADA, KEY, "test")
        suppressions.lift(session, suppressions.erased_suppression(KEY, ADA.key))
        erasure.erase_address(session, CYD, OTHER, "test")
    with desk.sessions.reading() as session:
        assert [erased.fits(session, key) for key in (KEY, OTHER, None)] == [False, True, False]


def test_hashes_that_were_brought_here_are_taken_for_this_keys(desk: Desk) -> None:
    file = desk.folder / "suppressions.csv"
    hashed = suppressions.erased_suppression(KEY, ADA.key)
    file.write_text(f"address,reason\n{hashed},erased\n")
    import_blocklist(desk.sessions, file, erased=KEY)
    with desk.sessions.reading() as session:
        assert [erased.fits(session, key) for key in (KEY, OTHER, None)] == [True, False, False]
