"""A language in which all that is in the catalogues stands between ⟦ and ⟧, and nothing else.

Values stand between two such pieces, so that words of ours inside a value show when they are not
translated themselves.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from bs4 import BeautifulSoup, Comment

from newsletter.core import catalogues
from tests.messages import DOMAINS, collected

LANGUAGE = "de"
"""One whose months and numbers are known."""

_VALUE = re.compile(r"(%\(\w+\)[sr]|<[^>]*>)")
_OURS = re.compile(r"⟦[^⟧]*⟧")
_ENGLISH = re.compile(r"\b[A-Za-z][a-z]+ [a-z]+ [a-z]{2,}\b")
"""Three words that are not names."""
_UNREAD = ["script", "style", "template", "textarea", "code", "pre", "option"]
_SHOWN = ("title", "placeholder", "aria-label", "alt", "data-text")


def install(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """All pages speak it, to whoever asks for it, until the patch is taken back."""
    place = folder / LANGUAGE / "LC_MESSAGES"
    place.mkdir(parents=True)
    for domain in DOMAINS:
        with (place / f"{domain}.po").open("wb") as file:
            write_po(file, _spoken(domain))
    patch.setattr(catalogues, "LOCALES", folder)
    catalogues.forget()


def _spoken(domain: str) -> Catalog:
    catalogue = Catalog(locale=LANGUAGE)
    for message in collected(domain):
        if isinstance(message.id, str):
            catalogue.add(message.id, said(message.id))
        else:
            catalogue.add(message.id, tuple(map(said, message.id)))
    return catalogue


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
    shown = (node for node in soup.find_all(string=True) if not isinstance(node, Comment))
    yield from (" ".join(node.split()) for node in shown)
    for tag in soup.find_all(True):
        yield from (str(tag[name]) for name in _SHOWN if tag.get(name))
