"""`newsletter report`: what became of a broadcast."""

from typing import Annotated, Any

import typer

from newsletter.broadcasts import control
from newsletter.cli import output, state
from newsletter.core.runtime import Runtime
from newsletter.reports import figures
from newsletter.reports.figures import Report
from newsletter.tracking.classification import Reader
from newsletter.tracking.readership import Readers

_WHO_IS_IN_DOUBT = "nobody can know whether they got it; see `newsletter broadcasts show "


def report(
    broadcast_id: Annotated[int, typer.Argument(metavar="BROADCAST", help="Its number.")],
    *,
    as_json: output.AsJson = False,
) -> None:
    """Accounting, clicks, unsubscribes, and opens by who or what was behind them."""
    runtime = state.runtime()
    if as_json:
        output.print_json(_as_data(_figures(runtime, broadcast_id)))
    else:
        print_report(runtime, broadcast_id)


def print_report(runtime: Runtime, broadcast_id: int) -> None:
    """The report for people."""
    found = _figures(runtime, broadcast_id)
    output.say(f"Broadcast {found.broadcast_id} · {found.subject} · {found.state}")
    output.say(f"  {found.accounts.line()}")
    if found.accounts.in_doubt:
        output.say(f"  in doubt     {found.accounts.in_doubt}: {_WHO_IS_IN_DOUBT}{broadcast_id}`")
    output.say(f"  unsubscribed {found.unsubscribed}")
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
        "links": [
            {"url": line.link.url, **{r.value: line.clicks.get(r, 0) for r in Reader}}
            for line in found.links
        ],
    }
