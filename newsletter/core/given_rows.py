"""Statements over a small group of rows of a large table, on both databases."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    FromClause,
    Select,
    String,
    bindparam,
    column,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine


def given_rows(dialect: str, name: str, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Rows handed over as one JSON parameter called `name`, a list of objects keyed by column.

    So a statement over a group is the same, and prepared once, whatever the group's size. Times
    are handed over as `json_time` writes them.
    """
    typed = [column(key, kind) for key, kind in columns.items()]
    if dialect == "postgresql":
        rows = func.jsonb_to_recordset(bindparam(name, type_=JSONB)).table_valued(*typed, name=name)
        return rows.render_derived(with_types=True)
    each = func.json_each(bindparam(name, type_=JSON)).table_valued("value", name=f"{name}_each")
    return select(
        *(
            type_coerce(func.json_extract(each.c.value, literal_column(f"'$.{key}'")), kind).label(
                key
            )
            for key, kind in columns.items()
        )
    ).subquery(name)


def given_values(name: str) -> Select[Any]:
    """For SQLite: values handed over as one parameter, the text of a JSON array."""
    return select(func.json_each(bindparam(name, type_=String)).table_valued("value").c.value)


def any_of(dialect: str, name: str, kind: TypeEngine[Any]) -> FromClause:
    """Values handed over as one parameter called `name`, a list, as the column `value`."""
    if dialect == "postgresql":
        values = func.unnest(bindparam(name, type_=ARRAY(kind)))
        return select(values.label("value")).subquery(f"{name}_given")
    each = func.json_each(bindparam(name, type_=JSON)).table_valued("value", name=f"{name}_each")
    return select(type_coerce(each.c.value, kind).label("value")).subquery(f"{name}_given")


def as_one_value(rows: FromClause, *columns: ColumnElement[Any]) -> Select[Any]:
    """All rows as one JSON array, of arrays when there are several columns: on SQLite one step.

    Each row that is fetched gives the interpreter away and waits to get it back.
    """
    each = columns[0] if len(columns) == 1 else func.json_array(*columns)
    return select(func.json_group_array(each)).select_from(rows)


def json_time(moment: datetime | None) -> str | None:
    """A time as both databases read it from JSON and SQLite keeps it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if moment else None


def asked_per_row(
    of: type[DeclarativeBase], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """An EXISTS over the table `of` that is asked for each row of the statement around it.

    Without the OFFSET, PostgreSQL would turn it into a join, and begin that at whichever end its
    statistics like: right for a report, ruinous for a group of twelve rows of ten million.
    """
    asked: Select[Any] = select(literal_column("1")).select_from(of).where(*conditions)
    alone = asked.correlate_except(of)  # every other table is that of a statement around it
    return alone.limit(literal_column("1")).offset(literal_column("0")).exists()
