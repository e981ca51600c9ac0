"""Test sends from the desk: to oneself, and by senders to whoever they name."""

from fastapi import Request, Response

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.sending import trial_copies
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import trials, words
from newsletter.web.desk.broadcasts.ask_pages import Asking
from newsletter.web.desk.broadcasts.checking import check
from newsletter.web.desk.broadcasts.orders import Problems
from newsletter.web.desk.broadcasts.watching import all_paused_by
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, part
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _, n_

router = desk_router()
MOST_ADDRESSES = 10


@router.post("/broadcasts/new/{issue_id}/test")
@needs(Permission.WRITE)
def send_test(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Put test mails of the issue as it is now into the outbox."""
    try:
        to = _addresses(editor, sent.one("to"))
    except InputError as error:
        problems = Problems({"to": capitalised(error.problem)})
        return Asking(request, runtime, editor, issue_id).new_form(problems)
    back = f"/broadcasts/new/{issue_id}"
    plan = check(runtime, editor, issue_id).plan
    if plan is None:
        return go(request, back, said=_("Nothing was sent: the errors below come first."))
    copies = trial_copies.trial_copies(runtime, plan, to)
    with runtime.sessions.writing() as session:
        trial_copies.post(session, copies)
        audit.record(session, editor.actor, "issue.tested", issue=issue_id, copies=len(copies))
        paused_by = all_paused_by(session, runtime)
    said = n_(
        "A test is on its way to %(to)s.",
        "Tests are on their way to %(n)s addresses.",
        len(to),
        to=to[0].typed,
    )
    if not runtime.settings.relays:
        said = _("The test waits: no relay is configured.")
    elif paused_by:
        said = " ".join((_("The test waits."), words.relays_paused_text(paused_by)))
    return go(request, back, said=said)


@router.get("/broadcasts/new/{issue_id}/tests")
@needs(Permission.WRITE)
def tests(request: Request, issue_id: int, runtime: Running, editor: Seated) -> Response:
    """What became of the last tests: a part of the send page."""
    with runtime.sessions.reading() as session:
        found = trials.latest(session, editor, issue_id)
        paused_by = all_paused_by(session, runtime)
    return part(
        request,
        "broadcasts/tests.html",
        issue_id=issue_id,
        tests=found,
        has_waiting_tests=trials.any_waits(found),
        relays_paused_by=paused_by,
        words=words,
    )


def _addresses(editor: Editor, text: str) -> list[Address]:
    """Those named, each once; authors write to themselves alone."""
    if not editor.may(Permission.SEND) or not text:
        return [Address.parse(editor.email)]
    named = [part for part in text.replace(";", ",").split(",") if part.strip()]
    if len(named) > MOST_ADDRESSES:
        raise InputError("to", say("expected at most %(n)s addresses", n=MOST_ADDRESSES))
    each: dict[str, Address] = {}
    for one in named:
        address = Address.parse(one.strip(), place="to")
        each.setdefault(address.key, address)
    return list(each.values())
