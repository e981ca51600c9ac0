"""`/issues/{id}/preview`: the mail as a response of its own, for a sandboxed frame.

Its links lead nowhere and it tells no open and no click. Who a real reader is, and what they
would get, is shown to those who may see people.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import count
from pathlib import Path

from fastapi import HTTPException, Request, Response
from fastapi.responses import PlainTextResponse

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import checking
from newsletter.broadcasts.checking import Checked
from newsletter.core.clock import now
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Issue
from newsletter.rendering.compiled import CompiledEmail, SenderIdentity
from newsletter.rendering.sample import SAMPLES, SampleMail, as_shown, sample_message
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues.desk import MOST_BYTES, opened, preview_choices, today
from newsletter.web.desk.pages import MAIL_POLICY, framed
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from subscribers.readers import reader_of
from subscribers.recipient import Recipient

router = desk_router()
_ARCHIVE_STYLE = Path(__file__).parents[2] / "static" / "archive.css"
_HEADINGS = re.compile(r'<h(?:2 class="kicker"|3 class="title")')
_DARK_ONLY = re.compile(r"@media\s*\(prefers-color-scheme:\s*dark\)")
_SCHEMES = re.compile(r'(<meta name="(?:supported-)?color-schemes?" content=")light dark')
_PLAIN = {"Content-Security-Policy": MAIL_POLICY, "Cache-Control": "no-store"}
_NOTE = """<!DOCTYPE html><html lang="en"><meta name="color-scheme" content="light dark">
<title>{title}</title><body style="margin:0;padding:32px;font:16px/24px sans-serif">
<p>{text}</p></body></html>"""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be shown: which shape of the mail, in which colours, as whom."""

    request: Request
    shape: str
    is_dark: bool
    recipient: Recipient


@router.get("/issues/{issue_id}/preview")
@needs(Permission.READ)
def of_what_is_stored(
    request: Request, issue_id: int, runtime: Running, editor: Seated
) -> Response:
    """The stored text, as a sample reader gets it."""
    with runtime.sessions.reading() as session:
        issue = opened(session, issue_id).issue
    choices = preview_choices(request)
    reader = SAMPLES[choices["reader"]]
    wish = _Wish(request, choices["shape"], choices["scheme"] == "dark", reader)
    return _shown(issue, issue.source, wish, runtime, editor)


@router.post("/issues/{issue_id}/preview")
@needs(Permission.READ, most_bytes=MOST_BYTES)
def of_what_is_written(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """A text that is being written, as a sample reader gets it, or as somebody real."""
    address = sent.one("address")
    if address and not editor.may(Permission.PEOPLE):
        raise HTTPException(403)
    with runtime.sessions.reading() as session:
        issue = opened(session, issue_id).issue
        reader = (
            reader_of(
                session,
                issue.newsletter_id,
                address,
                sees_all=editor.may(Permission.INSTALLATION),
            )
            if address
            else SAMPLES.get(sent.one("reader"), SAMPLES["named"])
        )
    if reader is None:
        return _note(request, _("Nobody with this address is on a list of this newsletter."))
    wish = _Wish(request, sent.one("shape"), sent.one("scheme") == "dark", reader)
    return _shown(issue, sent.text("text"), wish, runtime, editor)


def _shown(issue: Issue, text: str, wish: _Wish, runtime: Runtime, editor: Editor) -> Response:
    checked = checking.check(text, issue, runtime.settings, today=today(editor))
    if checked.email is None or checked.identity is None:
        return _unreadable(wish.request, checked)
    if wish.shape == "web":
        return _framed(_with_style(checked.email.webpage), wish)
    try:
        mail = _mail(checked.email, checked.identity, wish.recipient)
    except NewsletterError as error:
        return _note(wish.request, capitalised(error.sentence))
    if wish.shape == "text":
        return PlainTextResponse(mail.text, headers=_PLAIN)
    return _framed(mail.html, wish)


def _mail(email: CompiledEmail, identity: SenderIdentity, recipient: Recipient) -> SampleMail:
    return as_shown(sample_message(email, identity, recipient, now()))


def _unreadable(request: Request, checked: Checked) -> Response:
    finding = checked.findings[0]
    where = _("Line %(line)s: ", line=finding.line) if finding.line else ""
    said = capitalised(finding.text)
    return _note(request, _("There is nothing to show yet. %(said)s", said=where + said))


def _note(request: Request, text: str) -> Response:
    return framed(request, _NOTE.format(title=escape(_("Preview")), text=escape(text)))


def _framed(html: str, wish: _Wish) -> Response:
    """In the colours that were asked for, whatever the editor's own screen prefers."""
    scheme, applies = ("dark", "all") if wish.is_dark else ("light", "not all")
    coloured = _DARK_ONLY.sub(f"@media {applies}", _SCHEMES.sub(rf"\1{scheme}", html))
    return framed(wish.request, _numbered(coloured))


def _numbered(html: str) -> str:
    """Each section and entry gets a name, so that the frame opens where somebody writes."""
    numbers = count(1)
    return _HEADINGS.sub(lambda head: f'{head[0]} id="at-{next(numbers)}"', html)


def _with_style(webpage: str) -> str:
    """The web page with its style sheet in it: the frame has no origin to fetch one from."""
    link = '<link rel="stylesheet" href="/static/archive.css">'
    return webpage.replace(link, f"<style>{_archive_style()}</style>")


@cache
def _archive_style() -> str:
    return _ARCHIVE_STYLE.read_text(encoding="utf-8")
