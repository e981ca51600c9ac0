"""The catalogues of what we say, from which translations are made: `make messages`.

`desk` is collected from the desk's Python and pages, and from the sentences of the rooms that its
pages show; `readers` from the public pages, the templates of mails, and what is said to readers in
them. The same text gives the same file on every machine and on every day.
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
LOCALES = ROOT / "newsletter" / "locale"
DESK = ROOT / "newsletter" / "web" / "desk"
PUBLIC = ROOT / "newsletter" / "web" / "public"
MAILS = ROOT / "templates" / "email"
DOMAINS = ("desk", "readers")
WORDS: tuple[type[StrEnum], ...] = (
    BroadcastState,
    ImportState,
    Permission,
    Scheme,
    SuppressionReason,
)
"""Enumerations whose words stand in sentences."""

_TO_READERS = (
    *("newsletter/web/public", "newsletter/web/problems.py", "newsletter/web/mail_domains.py"),
    *("newsletter/sending/owner_letters.py", "newsletter/sending/invitation_letters.py"),
    "newsletter/rendering/view.py",
    *("subscribers/preferences.py", "subscribers/reasons.py"),
)
"""What only readers are told."""
_TO_BOTH = (
    *("newsletter/sending/confirmation.py", "subscribers/days.py", "subscribers/details.py"),
    *("subscribers/sign_up.py", "subscribers/sign_up_fields.py"),
)
_SILENT = "newsletter/cli"
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
def collected(domain: str) -> Catalog:
    """Every text of `desk` or `readers`, with the files it is in."""
    catalogue = Catalog(
        project="newsletter",
        header_comment=f"# What is said in the pages of: {domain}. Made by `make messages`.",
    )
    for file in _files_of(domain):
        place = [(str(file.relative_to(ROOT)), 0)]
        for _line, message, comments, context in _found(file):
            catalogue.add(message, None, place, auto_comments=comments, context=context)
    for words in WORDS if domain == "desk" else ():
        for word in words:
            catalogue.add(word.value, None, [(words.__module__.replace(".", "/") + ".py", 0)])
    return catalogue


def domains_of(place: str) -> tuple[str, ...]:
    """The catalogues that have to have what the module at this path says."""
    if place.startswith(_SILENT):
        return ()
    if place.startswith(_TO_READERS):
        return ("readers",)
    return ("desk", "readers") if place in _TO_BOTH else ("desk",)


def _files_of(domain: str) -> tuple[Path, ...]:
    said = [file for file in modules() if domain in domains_of(str(file.relative_to(ROOT)))]
    folders = [DESK] if domain == "desk" else [PUBLIC, MAILS]
    pages = [
        file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.suffix in (".html", ".mjml", ".txt")
    ]
    return (*said, *pages)


def catalogue_of(domain: str) -> Path:
    """The file that `make messages` writes."""
    return LOCALES / f"{domain}.pot"


def _found(file: Path) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    """The texts of a file in their order."""
    method = "python" if file.suffix == ".py" else "jinja2"
    found = extract_from_file(
        method, file, _KEYWORDS, ["For translators:"], _OPTIONS, strip_comment_tags=True
    )
    yield from sorted(found, key=lambda text: text[0])


def written(domain: str) -> bytes:
    """The catalogue as a file, without when and with what it was made."""
    target = BytesIO()
    write_po(target, collected(domain), width=100, include_lineno=False)
    return b"".join(
        line for line in target.getvalue().splitlines(True) if not line.startswith(_CHURN)
    )


if __name__ == "__main__":
    for domain in DOMAINS:
        catalogue_of(domain).write_bytes(written(domain))
