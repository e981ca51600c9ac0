"""The catalogue of what the desk says, from which translations are made: `make messages`.

Collected from the desk's Python and pages alone, so that the same text gives the same file on
every machine and on every day.
"""

from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

ROOT = Path(__file__).parents[1]
DESK = ROOT / "newsletter" / "web" / "desk"
CATALOGUE = ROOT / "newsletter" / "web" / "locale" / "desk.pot"
_METHODS = [("**.py", "python"), ("**.html", "jinja2")]
_OPTIONS = {"**.html": {"trimmed": "true", "silent": "false"}}
_KEYWORDS = {"_": None, "n_": (1, 2)}
_CHURN = (b'"POT-Creation-Date:', b'"Generated-By:')


def collected() -> Catalog:
    """Every text, with the files it is in."""
    catalogue = Catalog(
        project="newsletter", header_comment="# What the desk says; made by `make messages`."
    )
    found = extract_from_dir(
        DESK,
        _METHODS,
        _OPTIONS,
        keywords=_KEYWORDS,
        comment_tags=["For translators:"],
        strip_comment_tags=True,
    )
    for file, _line, message, comments, context in sorted(found, key=_by_place):
        catalogue.add(message, None, [(f"desk/{file}", 0)], auto_comments=comments, context=context)
    return catalogue


def _by_place(found: tuple[str, int, object, list[str], str | None]) -> tuple[str, int]:
    file, line, *_ = found
    return file, line


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
