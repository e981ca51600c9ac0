"""`newsletter demo`: the whole journey in one process, with a local SMTP catcher, in seconds."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import typer
from pydantic import HttpUrl, SecretStr

from newsletter.cli import following, output
from newsletter.cli.catcher import Catcher
from newsletter.cli.issues import render_to
from newsletter.cli.report import print_report
from newsletter.cli.send import schedule_issue
from newsletter.cli.serve import listen_locally, serving
from newsletter.core.config import FixedSettings, Settings
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.core.sections import DatabaseSettings, RelaySettings, SenderSettings, SiteSettings
from newsletter.core.sentences import say
from newsletter.jobs.embedded import sending
from newsletter.migrations import schema
from newsletter.sending.smtp_transport import transports_for
from newsletter.tracking.classification import AT_ONCE
from subscribers import lists
from subscribers.imports import importing

_MARK = ".made-by-newsletter-demo"
_OPENS, _CLICKS = 5, 3
_MAIL_PROGRAM = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0"
_SCANNER = "Example-Gateway link scanner"


@dataclass(frozen=True, slots=True)
class _Stage:
    """The running demo: a system on loopback, and the folder where caught mail lands."""

    folder: Path
    runtime: Runtime

    @property
    def mails(self) -> list[Path]:
        return sorted((self.folder / "mails").glob("*.eml"))


def demo(
    folder: Annotated[
        Path, typer.Option("--dir", help="Made anew; everything the demo writes is in it.")
    ] = Path("var/demo"),
) -> None:
    """Send two sample issues to sample subscribers through a local SMTP catcher, and account."""
    first_issue, second_issue = sorted((_examples() / "issues").iterdir())
    _make_anew(folder)
    with _stage(folder) as stage:
        _headline("1 · Import the sample subscribers")
        _import_readers(stage)
        _headline("2 · Check the first issue, freeze it, send it by SMTP")
        first = _send(stage, first_issue)
        _headline("3 · Readers open and click; one leaves with one click")
        _act_as_readers(stage)
        _headline("4 · The second issue: whoever left is excluded")
        second = _send(stage, second_issue)
        _headline("5 · The reports")
        print_report(stage.runtime, first)
        print_report(stage.runtime, second)
        render_to(first_issue, folder / "rendered", stage.runtime.settings)
        _where_to_look(stage)


def _make_anew(folder: Path) -> None:
    """Empty the folder if an earlier demo made it; never touch anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise RefusedError(
                say(
                    "%(folder)s holds something that no demo made; choose another --dir",
                    folder=folder,
                )
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


@contextmanager
def _stage(folder: Path) -> Iterator[_Stage]:
    """Catcher, web application and sender, all on 127.0.0.1 and in this process."""
    listening = listen_locally()
    with Catcher(folder / "mails") as catcher:
        runtime = open_runtime(_settings(folder, catcher.port, listening.getsockname()[1]))
        schema.prepare(runtime.sessions)
        transports = transports_for(runtime.settings.relays)
        with serving(runtime, listening), sending(runtime, transports):
            yield _Stage(folder, runtime)


def _settings(folder: Path, smtp_port: int, web_port: int) -> Settings:
    """Nothing of the surrounding installation: the demo mails nobody but its own catcher."""
    relay = SecretStr(f"smtp://127.0.0.1:{smtp_port}?tls=none")
    return FixedSettings(
        database=DatabaseSettings(url=SecretStr(f"sqlite:///{folder / 'newsletter.db'}")),
        site=SiteSettings(base_url=HttpUrl(f"http://127.0.0.1:{web_port}")),
        relays=(RelaySettings(name="catcher", url=relay),),
        sender=SenderSettings(
            address="editor@example.org", postal_address="1 Example Street, Springfield"
        ),
    )


def _import_readers(stage: _Stage) -> None:
    report = importing.import_file(
        stage.runtime.sessions,
        _examples() / "subscribers.csv",
        lambda session: lists.create_list(session, "Readers").id,
    )
    output.say(report.line())


def _send(stage: _Stage, issue: Path) -> int:
    broadcast_id = schedule_issue(stage.runtime, str(issue), [], None)
    assert broadcast_id is not None
    following.follow(stage.runtime, broadcast_id)
    following.conclude(stage.runtime, broadcast_id)
    return broadcast_id


def _act_as_readers(stage: _Stage) -> None:
    """What mail programs, a link scanner and people would do, over HTTP."""
    mails = [_Mail.read(file) for file in stage.mails]
    scanned = next(mail for mail in mails if mail.links)
    for link in scanned.links:
        _get(link, _SCANNER)
    output.say(f"A scanner followed {len(scanned.links)} links in the mail to {scanned.to}.")
    output.say(f"People read; a click within {AT_ONCE.seconds} s would count as a machine's …")
    time.sleep(AT_ONCE.total_seconds())
    opened = [mail for mail in mails if mail.pixel][:_OPENS]
    for mail in opened:
        _get(mail.pixel, _MAIL_PROGRAM)
    clicked = [mail for mail in opened if mail.links][:_CLICKS]
    for number, mail in enumerate(clicked):
        _get(mail.links[number], _MAIL_PROGRAM)
    output.say(f"{len(opened)} opened the mail, {len(clicked)} of them clicked.")
    leaving = mails[-1]
    status = _leave(leaving)
    output.say(f"{leaving.to} left by the mail program's button (HTTP {status}).")


def _leave(mail: "_Mail") -> int:
    """One-click unsubscribe as RFC 8058 has it: a POST, no cookie, no page."""
    body = b"List-Unsubscribe=One-Click"
    request = Request(mail.one_click, data=body, method="POST")  # noqa: S310 - our own URL
    with _OPENER.open(request) as answer:
        return int(answer.status)


@dataclass(frozen=True, slots=True)
class _Mail:
    """What a mail program finds in one caught mail."""

    to: str
    one_click: str
    pixel: str
    links: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> "_Mail":
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        assert isinstance(message, EmailMessage)
        html = message.get_body(["html"])
        text = html.get_content() if html else ""
        pixel = re.search(r'src="(http[^"]+/o/[^"]+\.gif)"', text)
        return cls(
            to=str(message["To"]),
            one_click=str(message["List-Unsubscribe"]).strip("<>"),
            pixel=pixel[1] if pixel else "",
            links=tuple(dict.fromkeys(re.findall(r'href="(http[^"]+/c/[^"]+)"', text))),
        )


class _StayHere(HTTPRedirectHandler):
    """Links are followed as far as our own application, never to the network."""

    def redirect_request(self, *arguments: object, **options: object) -> None:
        del arguments, options


_OPENER = build_opener(_StayHere, ProxyHandler({}))
"""No proxy of the surroundings either: it could not reach us."""


def _get(url: str, user_agent: str) -> int:
    """The answer's status; a redirect is not followed."""
    request = Request(url, headers={"User-Agent": user_agent})  # noqa: S310 - our own URL
    try:
        with _OPENER.open(request) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def _examples() -> Path:
    """The sample issues and subscribers: beside the packages in a checkout, inside them else."""
    package = Path(__file__).parents[1]
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"


def _headline(text: str) -> None:
    output.out.print(f"\n{text}", style="bold", markup=False)


def _where_to_look(stage: _Stage) -> None:
    folder = stage.folder
    _headline("Look at it")
    output.say(f"mails     {folder / 'mails'}/ ({len(stage.mails)} .eml files, as received)")
    output.say(f"rendered  {folder / 'rendered'}/ (issue.html, issue.txt, issue.mjml, message.eml)")
    output.say(f"database  {folder / 'newsletter.db'}")
    output.say("\nNext: `.venv/bin/newsletter init` makes an installation of your own.")
