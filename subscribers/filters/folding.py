"""Letters from A to Z in lower case, in SQL and in Python alike."""

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class folded(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """The letters A to Z in lower case, all others as they are: what SQLite's `lower` does."""

    inherit_cache = True


@compiles(folded, "sqlite")
def _sqlite_folded(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(folded, "postgresql")
def _postgresql_folded(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


def fold(text: str) -> str:
    """As `folded` does in SQL."""
    return "".join(character.lower() if character.isascii() else character for character in text)
