"""Signing up as people do: over HTTP to `newsletter serve`, the mails read where they came."""

import http.client
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup

from newsletter.accounts import audit
from newsletter.accounts.models import AuditEvent
from newsletter.core.db import connect
from tests.acceptance.conftest import FullMode, celery
from tests.acceptance.installation import ISSUE, NEWSLETTER, Installation
from tests.servers.processes import free_port
from tests.smtp_server import SmtpServer

_PATIENCE_SECONDS = 40
ADA = "ada@example.org"


@dataclass
class Site:
    """A served installation, and the mailbox that its relay fills."""

    here: Installation
    port: int
    relay: SmtpServer

    def ask(self, method: str, path: str, **fields: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if fields else {}
        connection.request(method, path, urlencode(fields) if fields else None, kind)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def until_taken(self, path: str, **fields: str) -> str:
        """Send a form until its time has come: no clock but the real one decides that here."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            status, said = self.ask("POST", path, **fields)
            if status == 200:
                return said
            assert status == 422
            assert time.monotonic() < end
            time.sleep(0.2)

    def mails(self, so_many: int) -> list[EmailMessage]:
        """Once there are that many."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while len(self.relay.accepted) < so_many:
            assert time.monotonic() < end, f"{len(self.relay.accepted)} of {so_many} mails came"
            time.sleep(0.05)
        assert len(self.relay.accepted) == so_many
        assert {to for to, _ in self.relay.accepted} == {ADA}
        return [
            message_from_bytes(wire, EmailMessage, policy=policy.default)
            for _, wire in self.relay.accepted
        ]

    def standing(self) -> Any:
        return self.here.json("subscribers", "show", ADA)

    def wait_until_up(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                status, _ = self.ask("GET", "/readyz")
            except OSError:
                status = 0
            if status == 200:
                return
            assert time.monotonic() < end
            time.sleep(0.05)


@contextmanager
def served(folder: Path, environment: dict[str, str]) -> Iterator[Site]:
    with SmtpServer() as relay:
        port = free_port()
        here = Installation(
            folder,
            {
                "NEWSLETTER_RELAYS": json.dumps(
                    [{"name": "r", "url": f"smtp://127.0.0.1:{relay.port}?tls=none"}]
                ),
                "NEWSLETTER_SENDER__ADDRESS": "editor@example.org",
                "NEWSLETTER_SENDER__POSTAL_ADDRESS": "1 Street",
                "NEWSLETTER_SITE__PORT": str(port),
                "NEWSLETTER_SIGNUP__CHECK_DNS": "false",
                **environment,
            },
        )
        (folder / "issue.md").write_text(ISSUE)
        here.run("issues", "import", "issue.md")
        here.run("lists", "create", "Readers")
        here.run("lists", "set", "readers", "--field", "company=Company:required")
        with here.process(NEWSLETTER, "serve"):
            site = Site(here, port, relay)
            site.wait_until_up()
            yield site


def links(mail: EmailMessage) -> list[str]:
    """Paths of everything of ours in a mail, as a scanner finds it."""
    html, text = (mail.get_body([kind]).get_content() for kind in ("html", "plain"))
    soup = BeautifulSoup(html, "html.parser")
    found = [str(tag[name]) for name in ("href", "src") for tag in soup.select(f"[{name}]")]
    found += re.findall(r"https?://[^\s<>)]+", text)
    return sorted({urlsplit(url).path for url in found if "127.0.0.1" in url})


def journey(site: Site) -> list[str]:
    """From the form to the list and, by the welcome mail, off it again; what consent was told."""
    status, page = site.ask("GET", "/s/readers")
    assert status == 200
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page))
    fields = {**hidden, "email": ADA, "field_company": "Engines"}
    assert site.ask("POST", "/s/readers", **fields)[0] == 422, "faster than a person"
    said = site.until_taken("/s/readers", **fields)
    assert "look into your mailbox" in said
    (asked,) = site.mails(1)
    assert asked["Subject"] == "Please confirm: Field Notes"
    assert "Engines" not in asked.as_string()
    scanned(site, asked, "pending")
    (path,) = [path for path in links(asked) if path.startswith("/confirm/")]
    assert site.ask("POST", path)[0] == 200
    _, welcome = site.mails(2)
    assert welcome["Subject"] == "Welcome to Field Notes"
    scanned(site, welcome, "active")
    assert {path.split("/")[1] for path in links(welcome)} == {"archive", "p", "u"}
    shown = site.standing()
    assert shown["attributes"] == {"company": "Engines"}
    assert [line["change"] for line in shown["consent"]] == ["requested", "confirmed"]
    (came, _) = shown["consent"]
    assert (came["form"], came["ip"]) == ("readers: page", "127.0.0.1")
    (leave,) = [path for path in links(welcome) if path.startswith("/u/")]
    assert site.ask("POST", leave)[0] == 200
    assert site.standing()["subscriptions"][0]["status"] == "unsubscribed"
    assert site.ask("POST", path)[0] == 410, "an old link brings nobody back"
    return [line["change"] for line in site.standing()["consent"]]


def scanned(site: Site, mail: EmailMessage, status: str) -> None:
    """A scanner opens everything in the mail; nobody is more, or less, subscribed by it."""
    before = site.standing()
    for path in links(mail):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert site.ask(method, path)[0] < 500
    assert site.standing() == before
    assert before["subscriptions"][0]["status"] == status


def test_from_the_form_to_the_list(tmp_path: Path) -> None:
    with served(tmp_path, {}) as site:
        assert journey(site) == ["requested", "confirmed", "unsubscribed"]


def test_from_the_form_to_the_list_with_celery(tmp_path: Path, full_mode: FullMode) -> None:
    with served(tmp_path, full_mode.environment()) as site, celery(site.here, 1):
        assert journey(site) == ["requested", "confirmed", "unsubscribed"]


def trail(here: Installation) -> Sequence[AuditEvent]:
    with connect(f"sqlite:///{here.folder / 'var' / 'newsletter.db'}").reading() as session:
        return audit.trail(session)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    made.run("lists", "create", "Readers")
    return made


def test_a_lists_form_is_set_and_shown(installation: Installation) -> None:
    here = installation
    assert here.json("lists", "show", "readers")["form"] is None, "nobody would send its mail"
    here.run("issues", "import", "issue.md")
    before = here.json("lists", "show", "readers")
    assert (before["public"], before["confirm"], before["welcome"]) == (True, True, True)
    assert before["form"] == "http://127.0.0.1:8000/s/readers"
    german = here.json("lists", "show", "readers", "--language", "de-AT")
    assert german["wording"].startswith("Ich möchte")
    assert f'value="{german["edition"]}"' in german["embed"]
    wrong = here.run("lists", "show", "readers", "--language", "xx", expect=1)
    assert "expected one of en, de" in wrong
    change = ("--no-confirm", "--wording", "I want it all.", "--field", "company=Company:required")
    said = here.run("lists", "set", "readers", *change, "--dry-run")
    assert "Would change list 'readers': confirms no" in said
    assert here.json("lists", "show", "readers") == before
    here.run("lists", "set", "readers", *change)
    assert [(line.action, line.details["list"]) for line in trail(here)] == [
        ("list.changed", "readers")
    ]
    shown = here.json("lists", "show", "readers")
    assert (shown["confirm"], shown["wording"]) == (False, "I want it all.")
    assert shown["fields"] == [{"key": "company", "label": "Company", "required": True}]
    assert 'name="field_company"' in shown["embed"]
    for part in ("Company (company, required)", "I want it all.", "<form method=", "/s/readers"):
        assert part in here.run("lists", "show", "readers")
    here.run("lists", "set", "readers", "--no-fields", "--wording", "", "--private")
    shown = here.json("lists", "show", "readers")
    assert (shown["fields"], shown["form"], shown["embed"]) == ([], None, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to change"),
        (["--field", "x"], "--field: expected KEY=LABEL"),
        (["--field", "x=y", "--no-fields"], "either --field or --no-fields"),
        (["--wording", "one\ntwo"], "--wording: expected one line"),
        (["--wording", "x" * 1_001], "--wording: expected one line"),
    ],
)
def test_what_is_wrong_with_a_setting_is_named(
    installation: Installation, options: list[str], said: str
) -> None:
    assert said in installation.run("lists", "set", "readers", *options, expect=1)


def test_a_list_that_is_not_there_is_named(installation: Installation) -> None:
    for command in (["set", "writers", "--private"], ["show", "writers"]):
        assert "there are: readers" in installation.run("lists", *command, expect=1)


def test_prune_says_how_many_requests_it_forgets(installation: Installation) -> None:
    said = installation.run("db", "prune", "--dry-run")
    assert "Would forget 0 requests that nobody confirmed within 30 days" in said
    assert "Forgot 0 requests" in installation.run("db", "prune")
