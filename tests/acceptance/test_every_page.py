"""Every page of the desk in a browser: whole on a telephone, in order, and open to everybody."""

import pytest
from playwright.sync_api import Browser, Page

from newsletter.issues.models import Issue
from tests.furnished.house import House, Pages
from tests.furnished.public import public_pages
from tests.servers.axe import findings_in
from tests.servers.driven_browser import PHONE, Visitor, visiting

pytestmark = pytest.mark.long

_TOO_WIDE = """() => [...document.body.querySelectorAll("*")]
  .filter((it) => it.getBoundingClientRect().right > innerWidth + 1
    && !it.parentElement.closest("[tabindex='0'], .scroll, .cm-editor, .unseen, dialog"))
  .map((it) => it.outerHTML.slice(0, 120)).slice(0, 2)"""

_TOO_SMALL = """() => {
  for (const it of document.querySelectorAll("details")) it.open = true;
  for (const it of document.querySelectorAll("[data-side]")) it.removeAttribute("data-side");
  const isInText = (it) => {
    if (it.localName !== "a" || getComputedStyle(it).display !== "inline") return false;
    let block = it.parentElement;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    const rest = block.cloneNode(true);
    rest.querySelectorAll("a, button, label, .unseen").forEach((each) => each.remove());
    return rest.textContent.trim() !== "";
  };
  const found = [];
  for (const it of document.querySelectorAll("a[href], button, summary, input, select, textarea")) {
    const isHidden = !it.checkVisibility() || it.closest(".unseen, .skip, [aria-hidden]");
    if (isHidden || isInText(it)) continue;
    const { width, height } = (it.closest("label") ?? it).getBoundingClientRect();
    const isMain = it.matches("button, .button") && !it.matches(".quiet, .danger, .link, [role]");
    if (Math.min(width, height) >= 24 && (!isMain || height >= 44)) continue;
    found.push(`${width}x${height} px: ${it.outerHTML.slice(0, 120)}`);
  }
  return found.slice(0, 3);
}"""
"""WCAG 2.2, 2.5.8: what is pressed is 24 px each way, links in text excepted; what a page is for
has 44 px on a telephone. Whatever is folded up or on the other side is looked at too."""


@pytest.fixture(scope="module")
def pages(house: House) -> Pages:
    return house.pages()


def test_every_page_is_in_order(house: House, browser: Browser, pages: Pages) -> None:
    assert pages.inside
    with visiting(browser, house.base) as visitor:
        house.let_in(visitor.context)
        assert _wrong(visitor, pages.inside) == {}


def test_every_page_for_strangers_is_in_order(house: House, browser: Browser, pages: Pages) -> None:
    assert pages.outside
    with visiting(browser, house.base) as visitor:
        assert _wrong(visitor, [*pages.outside, *public_pages(house).values()]) == {}


def test_every_mail_keeps_nobody_out(house: House, browser: Browser, pages: Pages) -> None:
    with visiting(browser, house.base, bypass_csp=True) as visitor:
        house.let_in(visitor.context)
        _show_a_picture_from_elsewhere(house)
        found, asked = {}, []
        visitor.page.on("request", lambda request: asked.append(request.url))
        for path in pages.mails:
            visitor.go(path)
            found[path] = _findings(visitor.page)
        assert {path: said for path, said in found.items() if said} == {}
        # Of this origin alone, or the visitor has complained: without a policy that forbids more.
        assert any("/pictures/" in url and "sundial" in url for url in asked)


def _show_a_picture_from_elsewhere(house: House) -> None:
    with house.runtime.sessions.writing() as session:
        issue = session.get_one(Issue, house.things["issue_id"][0])
        issue.source += "\n![A sundial](https://example.org/sundial.png)\n"


def _wrong(visitor: Visitor, paths: list[str]) -> dict[str, list[str]]:
    """By page, what is wrong with it."""
    return {path: said for path in paths if (said := _wrong_with(visitor, path))}


def _wrong_with(visitor: Visitor, path: str) -> list[str]:
    page, before = visitor.page, len(visitor.complaints)
    answer = visitor.go(path)
    assert answer
    said = [] if answer.ok else [f"answered {answer.status}"]
    headings = page.locator("h1").count()
    if headings != 1:
        said.append(f"{headings} h1")
    if not page.title().strip(" ·"):
        said.append("no title")
    if not page.locator("html").get_attribute("lang"):
        said.append("no language")
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > PHONE.width:
        said.append(f"{width} px wide: {page.evaluate(_TOO_WIDE)}")
    said += _findings(page)
    return [*said, *page.evaluate(_TOO_SMALL), *visitor.complaints[before:]]


def _findings(page: Page) -> list[str]:
    """In both schemes; all that changes between them is colours."""
    page.emulate_media(color_scheme="light")
    light = findings_in(page)
    page.emulate_media(color_scheme="dark")
    return [*light, *(f"dark: {said}" for said in findings_in(page, colours_only=True))]
