"""`newsletter report`: what became of a broadcast, or of all of them beside each other."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from newsletter.broadcasts import control
from newsletter.cli import output, state
from newsletter.core.runtime import Runtime
from newsletter.reports import figures, tables
from newsletter.reports.figures import Report
from newsletter.tracking.classification import Reader
from newsletter.tracking.readership import Readers

_WHO_IS_IN_DOUBT = "nobody can know whether they got it; see `newsletter broadcasts show "
_NOTHING = "nothing was sent yet; `newsletter send` sends an issue"
_BY = ("by_people", "by_machines", "unknown")
_EACH = "clicks and opens: by people · by machines · unknown; `newsletter report ID` has more"


def report(
    broadcast_id: Annotated[
        int | None,
        typer.Argument(
            metavar="BROADCAST", max=output.HIGHEST_ID, help="Its number. Default: all, in a table."
        ),
    ] = None,
    *,
    as_json: output.AsJson = False,
) -> None:
    """Accounting, clicks, unsubscribes, and opens by who or what was behind them."""
    runtime = state.runtime()
    if broadcast_id is None:
        _print_all(runtime, as_json=as_json)
    elif as_json:
        output.print_json(_as_data(_figures(runtime, broadcast_id)))
    else:
        print_report(runtime, broadcast_id)


def _print_all(runtime: Runtime, *, as_json: bool) -> None:
    table = tables.broadcasts(runtime.sessions, None)
    rows = (dict(zip(table.columns, cells, strict=True)) for cells in table.rows)
    shown = rows if as_json else (_in_short(row) for row in rows)
    output.print_stream(shown, empty=_NOTHING, as_json=as_json)
    if not as_json:
        output.say(_EACH)


def _in_short(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What fits into a terminal."""
    read = {
        what: " · ".join(_known(row[f"{what}_{by}"]) for by in _BY) for what in ("clicks", "opens")
    }
    return {
        "id": row["broadcast"],
        "subject": row["subject"],
        **{name: row[name] for name in ("accepted", "failed")},
        "unsubscribed": _known(row["unsubscribed"]),
        **read,
    }


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def print_report(runtime: Runtime, broadcast_id: int) -> None:
    """The report for people."""
    found = _figures(runtime, broadcast_id)
    output.say(f"Broadcast {found.broadcast_id} · {found.subject} · {found.state}")
    output.say(f"  {found.accounts.line()}")
    if found.accounts.in_doubt:
        output.say(f"  in doubt     {found.accounts.in_doubt}: {_WHO_IS_IN_DOUBT}{broadcast_id}`")
    output.say(f"  unsubscribed {found.unsubscribed}")
    for reason, count in sorted(found.details.reasons.items()) if found.details else ():
        output.say(f"    {reason.replace('_', ' '):12} {count}")
    output.say(f"  clicks       {_shown(found.clicks)}")
    output.say(f"  opens        {_shown(found.opens)}")
    for line in found.links:
        if line.clicks:
            people, machines = (line.clicks.get(r, 0) for r in (Reader.HUMAN, Reader.MACHINE))
            output.say(f"    human {people:3} · machine {machines:3} · {line.link.url}")


def _figures(runtime: Runtime, broadcast_id: int) -> Report:
    with runtime.sessions.reading() as session:
        return figures.report(session, control.find_broadcast(session, broadcast_id))


def _shown(found: Readers) -> str:
    """`human 5 by 3 readers · machine 0 · unknown 0`; aggregate hits have no known reader."""
    return " · ".join(
        f"{kind.value} {found.hits.get(kind, 0)}{_by(found.readers.get(kind, 0))}"
        for kind in Reader
    )


def _by(readers: int) -> str:
    return f" by {readers} known reader{'s' if readers > 1 else ''}" if readers else ""


def _as_data(found: Report) -> dict[str, Any]:
    accounts = found.accounts
    return {
        "broadcast": found.broadcast_id,
        "subject": found.subject,
        "state": found.state,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "candidates": accounts.candidates,
        "accepted": accounts.accepted,
        "failed": accounts.failed,
        "skipped": accounts.skipped,
        "in_doubt": accounts.in_doubt,
        "excluded": dict(accounts.excluded),
        "accounting": accounts.line(),
        "unsubscribed": found.unsubscribed,
        "opens": {reader.value: found.opens.hits.get(reader, 0) for reader in Reader},
        "clicks": {reader.value: found.clicks.hits.get(reader, 0) for reader in Reader},
        "unsubscribe_reasons": dict(found.details.reasons) if found.details else None,
        "domains": [asdict(line) for line in found.details.domains] if found.details else None,
        "links": [
            {"url": line.link.url, **{r.value: line.clicks.get(r, 0) for r in Reader}}
            for line in found.links
        ],
    }
