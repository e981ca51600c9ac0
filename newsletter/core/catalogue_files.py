"""A file of translations, read as it is; what in it would break a page or a mail is left out."""

import re
from collections import Counter
from collections.abc import Iterable
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.core import logs

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

_VALUE, _TAG = re.compile(r"%\(\w+\)[rs]"), re.compile(r"<[^>]*>")
_STRAY = re.compile(r"[%<\x00-\x1f\x7f]")
_COUNTED = range(200)
"""Any more are counted like some of these, in every language."""

log = logs.get(__name__)


def read(file: Path) -> GNUTranslations:
    """Nothing has to be compiled before: a process reads each language once.

    Raises:
        ArithmeticError, LookupError, OSError, ValueError: it cannot be read, or counts strangely.
    """
    from babel.messages.mofile import write_mo  # no process that sends needs it
    from babel.messages.pofile import read_po

    with file.open("rb") as texts:
        catalogue = read_po(texts)
    for message in _unfit(catalogue):
        log.error("translation.unfit", file=str(file), message=message.id)
        catalogue.delete(message.id, message.context)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    translations = GNUTranslations(compiled)
    for n in _COUNTED:
        translations.ngettext("", "", n)  # that its rule for plurals can be worked out
    return translations


def _unfit(catalogue: "Catalog") -> list["Message"]:
    """What would break the page or the mail that it stands in."""
    return [message for message in catalogue if message.id and not fits(message)]


def fits(message: "Message") -> bool:
    """It takes no values but those that are given, and has the tags of what it translates.

    Nor has it lines where that has none: it may be a subject.
    """
    sources = _shapes(message.id)
    values, strays = (set().union(*map(found, sources)) for found in (_VALUE.findall, _strays))
    tags = Counter(_TAG.findall(sources[-1]))
    return all(
        values.issuperset(_VALUE.findall(shape))
        and strays.issuperset(_strays(shape))
        and Counter(_TAG.findall(shape)) == tags
        for shape in _shapes(message.string)
        if shape
    )


def _strays(shape: str) -> list[str]:
    """What is no value, no tag and no text."""
    return _STRAY.findall(_TAG.sub("", _VALUE.sub("", shape.replace("%%", ""))))


def _shapes(texts: str | Iterable[str] | None) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts or ())
