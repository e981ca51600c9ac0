"""The catalogue of what the desk says, from which translations are made: `make messages`.

Collected from the desk's Python and pages, and from the sentences of the rooms that its pages show;
the same text gives the same file on every machine and on every day.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import write_po

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.models import BroadcastState
from newsletter.rendering.schemes import Scheme
from subscribers.imports.runs.models import ImportState
from subscribers.models import SuppressionReason

ROOT = Path(__file__).parents[1]
DESK = ROOT / "newsletter" / "web" / "desk"
CATALOGUE = ROOT / "newsletter" / "web" / "locale" / "desk.pot"
WORDS: tuple[type[StrEnum], ...] = (
    BroadcastState,
    ImportState,
    Permission,
    Scheme,
    SuppressionReason,
)
"""Enumerations whose words stand in sentences."""

_SILENT = ROOT / "newsletter" / "cli"
"""No page shows what only the command line says."""
_KEYWORDS = {"_": None, "n_": (1, 2), "say": None, "say_n": (1, 2), "NotFoundError": (1,)}
_OPTIONS = {"trimmed": "true", "silent": "false"}
_CHURN = (b'"POT-Creation-Date:', b'"Generated-By:')


@cache
def modules() -> tuple[Path, ...]:
    """All Python that says anything to people."""
    return tuple(
        sorted(
            file for room in ("newsletter", "subscribers") for file in ROOT.glob(f"{room}/**/*.py")
        )
    )


@cache
def collected() -> Catalog:
    """Every text, with the files it is in."""
    catalogue = Catalog(
        project="newsletter", header_comment="# What the desk says; made by `make messages`."
    )
    for file in (*modules(), *sorted(DESK.rglob("*.html"))):
        if not file.is_relative_to(_SILENT):
            place = [(str(file.relative_to(ROOT)), 0)]
            for _line, message, comments, context in _found(file):
                catalogue.add(message, None, place, auto_comments=comments, context=context)
    for words in WORDS:
        for word in words:
            catalogue.add(word.value, None, [(words.__module__.replace(".", "/") + ".py", 0)])
    return catalogue


def _found(file: Path) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    """The texts of a file in their order."""
    method = "jinja2" if file.suffix == ".html" else "python"
    found = extract_from_file(
        method, file, _KEYWORDS, ["For translators:"], _OPTIONS, strip_comment_tags=True
    )
    yield from sorted(found, key=lambda text: text[0])


def written() -> bytes:
    """The catalogue as a file, without when and with what it was made."""
    target = BytesIO()
    write_po(target, collected(), width=100, include_lineno=False)
    return b"".join(
        line for line in target.getvalue().splitlines(True) if not line.startswith(_CHURN)
    )


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_bytes(written())
