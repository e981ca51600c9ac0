"""Whoever is erased is in no file of people that waits, and in no row that is kept of one."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.mail.address import Address
from newsletter.privacy import erasure
from subscribers.imports.fates import Fate
from subscribers.imports.runs import lines, uploading, waiting_files
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.models import ImportLine, ImportPart, ImportRun, ImportState
from tests.erased import KEY
from tests.uploads import Uploads, uploads_to_a_list

ON_ONE = pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)
"""Where no statement differs."""


@pytest.fixture
def uploads(sessions: Sessions, tmp_path: Path) -> Uploads:
    return uploads_to_a_list(sessions, tmp_path)


def test_whoever_is_erased_is_in_no_row_that_is_kept(uploads: Uploads) -> None:
    bad = uploads.whole("email,status\nAda@example.org,gone\nbob@example.org,\n")
    address = Address.parse("ada@example.org")
    with uploads.sessions.writing() as session:
        erasure.erase_address(session, address, KEY, "test")
    with uploads.sessions.reading() as session:
        assert lines.lines_of(session, bad, Fate.BAD) == []
        assert session.get_one(ImportRun, bad).glance == {}
    run_id = uploads.send("email\nada@example.org\n")
    run = uploads.check(run_id)
    assert Counts.from_json(run.expected).fates == {Fate.KEPT_ERASED: 1}
    with uploads.sessions.reading() as session:
        quoted = session.scalars(select(ImportLine).where(ImportLine.run_id == run_id)).all()
    assert quoted == []


def _zipped(text: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as file:
        file.writestr("people.csv", text)
    return packed.getvalue()


@ON_ONE
def test_a_waiting_file_that_names_who_is_erased_is_deleted(uploads: Uploads) -> None:
    others = "email,friend\nan-ada@example.org,ada@example.org.uk\n"
    long = "email,note\n" + "x@example.org,\n" * 69_000 + "x@example.org,"
    long += "n" * (2**20 - len(f"{long}\nada@")) + "\nada@example.org\n"
    naming = [
        uploads.send("email,friend\neve@example.org,friend of ADA@example.org\n"),
        uploads.send(_zipped("email\nada@example.org\n"), "people.zip"),
        uploads.send(long),  # half of the address in each of two pieces
    ]
    uploads.check(naming[0])
    kept = [uploads.send(others), uploads.send(_zipped(others), "others.zip")]
    address = Address.parse("ada@example.org")
    searched = waiting_files.search(uploads.sessions, address)
    assert searched.naming == set(naming)
    kept.append(uploads.send(others))
    naming.append(uploads.send('{"email": "ada@example.org"}\n'))  # since
    with uploads.sessions.writing() as session:
        erasure.erase_address(session, address, KEY, "test", searched)
    for run_id in naming:
        run = uploads.run(run_id)
        assert (run.state, run.glance) == (ImportState.CANCELLED, {})
        assert "somebody in it was erased" in run.problem
    assert {uploads.run(run_id).state for run_id in kept} == {ImportState.UPLOADED}
    with uploads.sessions.reading() as session:
        assert set(session.scalars(select(ImportPart.run_id))) == set(kept)
        audited = audit.trail(session)[0]
    assert audited.details["imports_ended"] == naming


@ON_ONE
def test_a_file_that_comes_in_while_somebody_is_erased_is_sent_again(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(file: Path) -> Iterator[bytes]:
        with uploads.sessions.writing() as session:
            erasure.erase_address(session, Address.parse("ada@example.org"), KEY, "test")
        return parts(file)

    parts = uploading._parts
    monkeypatch.setattr(uploading, "_parts", meanwhile)
    with pytest.raises(RefusedError, match="somebody in it was erased"):
        uploads.send("email\nada@example.org\n")
    uploads.work()
    assert uploads.parts() == 0
