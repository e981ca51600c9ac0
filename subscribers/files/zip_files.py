"""The CSV files in a ZIP, read in place: nothing is extracted, and a bomb does not go off."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from newsletter.core.errors import InputError
from newsletter.core.sentences import Count, say
from subscribers.files.csv_files import ByteLines

MAX_ENTRIES = 100
MAX_BYTES = 4 * 2**30
"""Of all entries, unpacked."""
MAX_RATIO = 200
"""Unpacked to packed; a list of addresses is seldom over 20."""
_ALLOWED_BYTES = 2**20
"""Whatever the ratio: a few hundred rows of one column may well be packed to nothing."""
_END = b"PK\x05\x06"
_END_BYTES, _LONGEST_COMMENT_BYTES, _LOCATOR_BYTES = 22, 65_535, 20
_LOCATOR_64 = b"PK\x06\x07"
_OF_SPREADSHEETS = ("[Content_Types].xml", "content.xml")
SPREADSHEET = say("expected CSV, found a spreadsheet: save it as `CSV UTF-8` and take that file")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def is_zip(start: bytes) -> bool:
    """A file that begins so is a ZIP."""
    return start.startswith((b"PK\x03\x04", _END))


class ZipOfTables:
    """An open ZIP that holds CSV files, with or without folders.

    Raises:
        InputError: names the entry and what is wrong with it: a bomb, a ZIP inside, a password,
            something that is no CSV file.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        _check_end(stream, name)
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise InputError(name, say("expected a ZIP: %(error)s", error=error)) from None
        size = stream.seek(0, os.SEEK_END)
        if any(each.filename in _OF_SPREADSHEETS for each in self._zip.infolist()):
            raise InputError(name, SPREADSHEET)
        self.entries = [each for each in self._zip.infolist() if not _is_aside(each)]
        for entry in self.entries:
            _check_entry(entry, f"{name}/{entry.filename}")
        unpacked = sum(entry.file_size for entry in self.entries)
        if unpacked > MAX_BYTES or unpacked > max(_ALLOWED_BYTES, size * MAX_RATIO):
            raise InputError(
                name,
                say(
                    "expected a ZIP that unpacks to less, found %(unpacked)s bytes in %(size)s",
                    unpacked=Count(unpacked),
                    size=Count(size),
                ),
            )
        if not self.entries:
            raise InputError(name, say("expected CSV files in the ZIP, found none"))

    def files(self) -> Iterator[tuple[ByteLines, str]]:
        """(stream, name) of each, unpacked as it is read; never more than it says it holds."""
        for entry in self.entries:
            name = f"{self.name}/{entry.filename}"
            try:
                with self._zip.open(entry) as stream:
                    yield _Unpacked(stream, name), name
            except zipfile.BadZipFile as error:
                raise InputError(name, say("cannot be unpacked: %(error)s", error=error)) from None


class _Unpacked:
    """Lines of an entry; what is broken in it is named."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name

    def readline(self, size: int, /) -> bytes:
        try:
            return self._stream.readline(size)
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise InputError(
                self._name, say("cannot be unpacked: %(error)s", error=error)
            ) from None


def _check_end(stream: IO[bytes], name: str) -> None:
    """Before the list of entries is read into memory: it may be as long as the file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT_BYTES - _LOCATOR_BYTES))
    tail = stream.read()
    stream.seek(0)
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        raise InputError(name, say("expected a ZIP, found the beginning of one: it is not whole"))
    if tail[max(0, end - _LOCATOR_BYTES) :].startswith(_LOCATOR_64):
        raise InputError(
            name, say("expected a ZIP of at most %(most)s entries and 4 GiB", most=MAX_ENTRIES)
        )
    entries = int.from_bytes(tail[end + 10 : end + 12], "little")
    list_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    if entries > MAX_ENTRIES or list_bytes > MAX_ENTRIES * _LONGEST_COMMENT_BYTES:
        raise InputError(
            name,
            say(
                "expected a ZIP of at most %(most)s entries, found %(entries)s",
                most=MAX_ENTRIES,
                entries=entries,
            ),
        )


def _is_aside(entry: zipfile.ZipInfo) -> bool:
    """Folders, and what macOS puts beside each file."""
    return entry.is_dir() or entry.filename.startswith("__MACOSX/")


def _check_entry(entry: zipfile.ZipInfo, place: str) -> None:
    suffix = entry.filename.rpartition(".")[2].lower()
    if suffix == "zip":
        raise InputError(place, say("a ZIP inside a ZIP: unpack it and import the files"))
    if suffix not in ("csv", "tsv", "txt"):
        raise InputError(place, say("expected CSV files only: unpack the ZIP and import those"))
    if entry.flag_bits & _ENCRYPTED:
        raise InputError(place, say("expected a ZIP without a password"))
    if entry.compress_type not in _METHODS:
        raise InputError(place, say("expected an entry that is stored or deflated"))
    if entry.file_size > max(_ALLOWED_BYTES, entry.compress_size * MAX_RATIO):
        raise InputError(
            place,
            say(
                "expected less than %(most)s times its %(packed)s packed bytes, found %(found)s",
                most=MAX_RATIO,
                packed=Count(entry.compress_size),
                found=Count(entry.file_size),
            ),
        )
