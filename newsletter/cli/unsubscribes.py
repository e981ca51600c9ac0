"""`newsletter unsubscribes`: leaving by mail, from standard input or a mailbox; reasons."""

import sys
from typing import Annotated

import typer

from newsletter.bounces import leaving_by_mail
from newsletter.bounces.mailbox import HEAD_BYTES
from newsletter.cli import output, state
from subscribers import reasons

app = typer.Typer(help="Unsubscribes by mail, and why people leave.", no_args_is_help=True)


@app.command()
def ingest(*, dry_run: output.DryRun = False) -> None:
    """Take one mail from standard input; exit code 1 when it unsubscribes nobody."""
    runtime = state.runtime()
    mail = _first_bytes()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        verdict = leaving_by_mail.ingest(session, runtime.keys, mail)
    if verdict.subscriber_id is None:
        output.problem(f"Nobody was unsubscribed: {verdict.why_not}.")
        raise typer.Exit(1)
    if verdict.ended:
        verb = "would be" if dry_run else "is"
        output.say(f"Subscriber {verdict.subscriber_id} {verb} unsubscribed.")
    else:
        output.say(f"Subscriber {verdict.subscriber_id} was unsubscribed before.")


@app.command("reasons")
def show_reasons(
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many, the latest first.")
    ] = 100,
    as_json: output.AsJson = False,
) -> None:
    """Why people left, of those who said so; nobody is named."""
    with state.runtime().sessions.reading() as session:
        rows = [
            {
                "at": leaving.at,
                "list": slug,
                "reason": leaving.reason.value if leaving.reason else "",
                "remark": leaving.remark,
            }
            for leaving, slug in reasons.said(session, limit)
        ]
    output.print_table(rows, as_json=as_json, empty="Nobody has said why they left.")


@app.command()
def poll(*, dry_run: output.DryRun = False) -> None:
    """Look through the mailbox of the settings now; serve and the workers do so by themselves.

    What is understood is deleted there, everything else stays as it is.
    """
    found = leaving_by_mail.poll(state.runtime(), rehearse=dry_run)
    output.say(
        f"New mails: {found.looked_at}. Unsubscribes among them"
        f"{', to be done and deleted' if dry_run else ', done and deleted'}: {found.understood}. "
        f"Left alone: {found.left_alone}."
    )


def _first_bytes() -> bytes:
    """The header; the rest is read too, so that whoever writes it gets no broken pipe."""
    mail = sys.stdin.buffer.read(HEAD_BYTES)
    while sys.stdin.buffer.read(HEAD_BYTES):
        pass
    return mail
