"""Chromium driven by Playwright: what a person does with pages, and what these complain of."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)

from tests.servers.packages import CHROMIUM

Scheme = Literal["light", "dark"]
PATIENCE_MILLISECONDS = 60_000
"""How long a driven page is waited for; it ends only tests that would never end."""
LOCALE, ZONE = "en-GB", "Europe/Berlin"
_ABORTED = "net::ERR_ABORTED"
_OF_A_STATUS = "Failed to load resource: the server responded with a status of"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    f"--lang={LOCALE}",
    # Nothing is looked up: a page that asks another host fails, here as on an island.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@dataclass(frozen=True, slots=True)
class Screen:
    """What somebody looks at."""

    name: str
    width: int
    height: int
    is_phone: bool


PHONE = Screen("phone", 375, 812, is_phone=True)
DESKTOP = Screen("desktop", 1280, 900, is_phone=False)


@dataclass
class Visitor:
    """Somebody with a browser, and everything that went wrong in it.

    Attributes:
        base: where the pages are; a request to anywhere else is a complaint.
        expected: patterns of complaints that the test provokes.
    """

    context: BrowserContext
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def go(self, path: str) -> Response | None:
        return self.page.goto(self.base + path)

    def another(self) -> Page:
        """A second window of the same person."""
        page = self.context.new_page()
        _listen(self, page)
        return page

    def expects(self, *patterns: str) -> None:
        self.expected += patterns

    def unexpected(self) -> list[str]:
        return [c for c in self.complaints if not any(re.search(e, c) for e in self.expected)]

    def complain(self, sentence: str) -> None:
        self.complaints.append(f"{self.page.url}: {sentence}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's own. Playwright keeps an event loop running in this thread until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM.path()), args=_ARGUMENTS, timeout=PATIENCE_MILLISECONDS
        )
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Browser,
    base: str,
    *,
    screen: Screen = PHONE,
    scheme: Scheme = "light",
    bypass_csp: bool = False,
) -> Iterator[Visitor]:
    """A browser without memories; fails at the end if a page complained.

    Complaints are what the console calls an error, the content security policy among it, scripts'
    errors, requests that fail or are refused (but the page itself: its test looks at that), and
    requests to elsewhere.
    """
    context = browser.new_context(
        viewport=ViewportSize(width=screen.width, height=screen.height),
        is_mobile=screen.is_phone,
        has_touch=screen.is_phone,
        color_scheme=scheme,
        reduced_motion="reduce",
        locale=LOCALE,
        timezone_id=ZONE,
        bypass_csp=bypass_csp,
        service_workers="block",
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    visitor = Visitor(context, context.new_page(), base)
    _listen(visitor, visitor.page)
    try:
        yield visitor
        complaints = visitor.unexpected()
        assert not complaints, "\n".join(complaints)
    finally:
        context.close()


def _listen(visitor: Visitor, page: Page) -> None:
    page.on("console", lambda message: _console(visitor, message))
    page.on("pageerror", lambda error: visitor.complain(f"script: {error}"))
    page.on("requestfailed", lambda request: _failed(visitor, request))
    page.on("request", lambda request: _asked(visitor, request))
    page.on("response", lambda response: _answered(visitor, response))


def _console(visitor: Visitor, message: ConsoleMessage) -> None:
    if message.type == "error" and not message.text.startswith(_OF_A_STATUS):
        visitor.complain(f"console: {message.text}")


def _failed(visitor: Visitor, request: Request) -> None:
    """What is under way when a person goes on to another page is broken off, and well so."""
    if request.failure != _ABORTED:
        visitor.complain(f"failed: {request.url} {request.failure}")


def _asked(visitor: Visitor, request: Request) -> None:
    if not request.url.startswith((f"{visitor.base}/", "data:", "blob:", "about:")):
        visitor.complain(f"elsewhere: {request.url}")


def _answered(visitor: Visitor, response: Response) -> None:
    if response.status >= 400 and not response.request.is_navigation_request():
        visitor.complain(f"answered {response.status}: {response.url}")
