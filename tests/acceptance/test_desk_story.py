"""One morning on a telephone: set up, write, try, bring people in, send, watch, report."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.conftest import FullMode, celery
from tests.acceptance.installation import NEWSLETTER, Installation
from tests.servers.driven_browser import PATIENCE_MILLISECONDS, PHONE, visiting
from tests.servers.processes import free_port
from tests.smtp_server import GREYLISTED, SmtpServer

expect.set_options(timeout=PATIENCE_MILLISECONDS)

EDITOR, PASSWORD = "editor@example.org", "seven green lanterns hum"
READERS = [f"reader{number}@example.org" for number in range(1, 8)]
LATE = READERS[-1]
TEXT = """## The Big Idea
A ledger is the only memory that survives a crash.

## Deep Reads
### [One](https://example.org/one)
First summary.

### [Two](https://example.org/two)
Second summary.
"""


pytestmark = pytest.mark.long


@dataclass
class Stage:
    """A running installation that nobody has set up, and where its mail goes."""

    here: Installation
    base: str
    server: SmtpServer

    def mails(self, to: str) -> list[EmailMessage]:
        return [
            message_from_bytes(wire, EmailMessage, policy=policy.default)
            for recipient, wire in self.server.accepted
            if recipient == to
        ]


@pytest.fixture(params=["embedded", "full"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """SQLite and one process, or PostgreSQL, Redis and Celery."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with SmtpServer() as server, ExitStack() as stack:
        here = Installation(tmp_path, _environment(server, base))
        if request.param == "full":
            full_mode: FullMode = request.getfixturevalue("full_mode")
            here.env.update(full_mode.environment())
            stack.enter_context(celery(here, workers=1))
        stack.enter_context(here.process(NEWSLETTER, "serve", "--port", str(port)))
        yield Stage(here, base, server)


def _environment(server: SmtpServer, base: str) -> dict[str, str]:
    relay = {"name": "main", "url": f"smtp://127.0.0.1:{server.port}?tls=none"}
    return {
        "NEWSLETTER_RELAYS": json.dumps([relay]),
        "NEWSLETTER_SITE__BASE_URL": base,
        "NEWSLETTER_DELIVERY__RETRY_AFTER_SECONDS": json.dumps([1] * 30 + [5] * 100),
    }


def test_from_the_first_visit_to_the_first_report(
    stage: Stage, browser: Browser, tmp_path: Path
) -> None:
    stage.server.always(LATE, GREYLISTED)
    with visiting(browser, stage.base, screen=PHONE) as visitor:
        page = visitor.page
        _answered(stage)
        page.goto(_link_that_serve_prints(stage))
        _set_up(page)
        _write(page)
        issue = page.url
        _bring_people(page, stage.base, tmp_path)
        page.goto(issue)
        _try_out(page)
        _until(page, lambda: bool(stage.mails(EDITOR)))
        assert str(stage.mails(EDITOR)[0]["Subject"]).startswith("[Test]")
        _send(page)
        _watch(page, lambda: stage.server.script(LATE))
        for reader in READERS:
            assert len(stage.mails(reader)) == 1
        _click_a_link(stage.mails(READERS[0])[0])
        _report(page)


def _answered(stage: Stage) -> None:
    """The process listens."""
    transport = httpx2.HTTPTransport(retries=100)
    with httpx2.Client(base_url=stage.base, transport=transport, timeout=30) as client:
        assert client.get("/").is_redirect


def _link_that_serve_prints(stage: Stage) -> str:
    said = "".join(log.read_text() for log in stage.here.folder.glob("newsletter-*.log"))
    (link,) = re.findall(r"begin at (\S+)", said)
    assert stage.here.run("users", "set-up-code").splitlines()[0] == link
    return str(link)


def _set_up(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome")
    page.get_by_role("button", name="Test it").click()
    expect(page.locator(".notice.good")).to_be_visible()
    page.get_by_label("E-mail address").fill(EDITOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Name", exact=True).fill("Field Notes")
    page.get_by_label("Sender's address").fill(EDITOR)
    page.get_by_label("Postal address").fill("1 Example Street, Springfield")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("link", name="Write today's issue")).to_be_visible()


def _write(page: Page) -> None:
    page.get_by_role("link", name="Write today's issue").click()
    page.get_by_role("button", name="Begin").click()
    page.locator(".cm-content").click()
    front_matter = page.locator("#text").input_value().split("\n---", 1)[0]
    head = re.sub(r"(?m)^subject:.*$", 'subject: "Measured twice"', front_matter)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(f"{head}\n---\n{TEXT}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#saved")).to_have_text(re.compile("^Saved"))
    page.get_by_role("tab", name="Preview").click()
    mail = page.frame_locator("iframe[title='Preview of the mail']:not(.coming)")
    expect(mail.get_by_text("First summary.")).to_be_visible()


def _bring_people(page: Page, base: str, folder: Path) -> None:
    file = folder / "readers.csv"
    file.write_text("\n".join(["email", *READERS, "nobody"]))
    page.goto(f"{base}/lists/new")
    page.get_by_label("Name").fill("Readers")
    page.get_by_role("button", name="Make it").click()
    page.goto(f"{base}/imports/new")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("1 row cannot be read and would be left out")).to_be_visible()
    page.get_by_role("button", name="Import 7 people").click()
    expect(page.get_by_text("7 people joined and get the next issue")).to_be_visible()


def _try_out(page: Page) -> None:
    page.get_by_role("link", name="Send …").click()
    expect(page.get_by_label("Send the test to")).to_have_value(EDITOR)
    page.get_by_role("button", name="Send test").click()
    expect(page.locator("#said")).to_contain_text(EDITOR)


def _send(page: Page) -> None:
    page.get_by_role("checkbox", name="Readers").check()
    expect(page.locator("#audience")).to_contain_text("7")
    page.get_by_role("button", name="Look at it once more").click()
    expect(page.locator(".summary")).to_contain_text("7")
    page.get_by_role("button", name="Send it").click()


def _watch(page: Page, release: Callable[[], None]) -> None:
    """One is put off by their mail system: there is time to stop and go on."""
    accounting = page.locator(".accounting")
    expect(accounting).to_contain_text("7 candidates = 6 accepted")
    expect(accounting).to_contain_text("1 still open")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    release()
    expect(accounting).to_contain_text("7 candidates = 7 accepted")
    expect(page.get_by_text("It ended:")).to_be_visible()


def _click_a_link(mail: EmailMessage) -> None:
    html = mail.get_body(["html"]).get_content()
    (link, *_) = re.findall(r'href="(http://127[^"]+/c/[^"]+)"', html)
    assert httpx2.get(link, headers={"User-Agent": "Mozilla/5.0 Firefox/140"}).is_redirect


def _report(page: Page) -> None:
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("link", name="Measured twice").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Measured twice")
    expect(page.locator("dl.figures").first).to_contain_text("7")
    page.get_by_role("link", name="Click map").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("https://example.org/one")


def _until(page: Page, done: Callable[[], bool]) -> None:
    """What goes out by mail has no page to wait on."""
    end = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while not done():
        assert time.monotonic() < end
        page.wait_for_timeout(50)
