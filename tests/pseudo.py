"""A language in which everything that is in the catalogue stands between ⟦ and ⟧, and nothing else.

Values stand between two such pieces, so that words of ours inside a value show when they are not
translated themselves.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from bs4 import BeautifulSoup

from newsletter.web.desk import text
from tests.messages import collected

LANGUAGE = "de"
"""One whose months and numbers are known."""

_VALUE = re.compile(r"(%\(\w+\)[sr]|<[^>]*>)")
_OURS = re.compile(r"⟦[^⟧]*⟧")
_ENGLISH = re.compile(r"\b[A-Za-z][a-z]+ [a-z]+ [a-z]{2,}\b")
"""Three words that are not names."""
_UNREAD = ["script", "style", "template", "textarea", "code", "pre", "option"]
_SHOWN = ("title", "placeholder", "aria-label", "alt", "data-text")


def install(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The desk speaks it, to whoever asks for it, until the patch is taken back."""
    catalogue = Catalog(locale=LANGUAGE)
    for message in collected():
        if isinstance(message.id, str):
            catalogue.add(message.id, said(message.id))
        else:
            catalogue.add(message.id, tuple(map(said, message.id)))
    place = folder / LANGUAGE / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / f"{text.DOMAIN}.mo").open("wb") as file:
        write_mo(file, catalogue)
    patch.setattr(text, "LOCALES", folder)
    text.forget()


def said(message: str) -> str:
    """The message in this language."""
    pieces = _VALUE.split(message)
    return "".join(piece if n % 2 or not piece else f"⟦{piece}⟧" for n, piece in enumerate(pieces))


def untranslated(page: str) -> list[str]:
    """English of a page that is not in the catalogue."""
    return [text for text in _texts(page) if _ENGLISH.search(_OURS.sub("|", text))]


def _texts(page: str) -> Iterator[str]:
    soup = BeautifulSoup(page, "html.parser")
    for unread in soup(_UNREAD):
        unread.decompose()
    yield from (" ".join(node.split()) for node in soup.find_all(string=True))
    for tag in soup.find_all(True):
        yield from (str(tag[name]) for name in _SHOWN if tag.get(name))
