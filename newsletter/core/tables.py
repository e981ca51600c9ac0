"""What tables and statements are made of, alike on both databases."""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from newsletter.core import sentences

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite only counts up by itself when the column is called INTEGER."""

ONLY_ON = "only on"
"""In an index's `info`: the dialect of the one database that has it."""

Json = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """The one metadata; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored alike on both databases; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected an aware datetime, got a naive one")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_E = TypeVar("_E", bound=IntEnum)
_S = TypeVar("_S", bound=StrEnum)


class SmallEnum(TypeDecorator[_E]):
    """An IntEnum kept as a smallint: for tables with a row per recipient."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, enum: type[_E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: _E | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else int(self.enum(value))

    def process_result_value(self, value: int | None, dialect: Dialect) -> _E | None:
        del dialect
        return None if value is None else self.enum(value)


class Said(TypeDecorator[str]):
    """A sentence with its message and values, so that a page says it in its reader's language.

    What is longer than the column is kept as English text, cut off. Other text stays as it is.
    """

    impl: TypeEngine[str] | type[TypeEngine[str]] = Text
    cache_ok = True

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.impl = String(most) if most else Text()
        self.most = most

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None:
            return None
        text = sentences.to_text(value)
        return text if self.most is None or len(text) <= self.most else str(value)[: self.most]

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else sentences.from_text(value)


def text_enum(enum: type[_S], length: int = 20) -> Enum:
    """A StrEnum kept as its text, readable in any database client."""
    return Enum(
        enum,
        native_enum=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, or so many seconds later: machines need not agree on the time.

    Leases are given and judged by it: `database_now()` and `database_now(lease_seconds)`.
    """

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    later = [compiler.process(seconds, **options) for seconds in element.clauses]
    return "clock_timestamp()" + "".join(f" + make_interval(secs => {s})" for s in later)


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    later = [compiler.process(seconds, **options) for seconds in element.clauses]
    shifts = "".join(f", {s} || ' seconds'" for s in later)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{shifts})"


class position(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """Where a text has another one, from 1; 0 if nowhere. As in `position(column, part)`."""

    type = Integer()
    inherit_cache = True


@compiles(position, "postgresql")
def _postgresql_position(element: position, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


@compiles(position, "sqlite")
def _sqlite_position(element: position, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"
