"""At the desk in a browser: two editors at once, a lost connection, no mouse."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select

from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.issues.models import Issue
from tests.desk import PASSWORD
from tests.faults.proxy import PostgresProxy
from tests.furnished.house import House
from tests.servers.driven_browser import DESKTOP, PATIENCE_MILLISECONDS, PHONE, Visitor, visiting

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture
def visitor(house: House, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, house.base, screen=DESKTOP) as made:
        house.let_in(made.context)
        yield made


def write_at_the_end(page: Page, text: str) -> None:
    page.locator(".cm-content").focus()
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.type(text)


def saved_text(house: House, issue_id: int | str) -> str:
    with house.runtime.sessions.reading() as session:
        return session.get_one(Issue, issue_id).source


def test_of_two_editors_at_once_nobody_overwrites_the_other(
    house: House, browser: Browser, visitor: Visitor
) -> None:
    issue = house.things["issue_id"][0]
    visitor.go(f"/issues/{issue}")
    with visiting(browser, house.base, screen=PHONE) as other:
        house.let_in(other.context)
        other.expects("answered 409")
        other.go(f"/issues/{issue}")
        write_at_the_end(visitor.page, "Written by the first.")
        visitor.page.keyboard.press("ControlOrMeta+s")
        expect(visitor.page.locator("#saved")).to_contain_text("Saved")
        write_at_the_end(other.page, "Written by the second.")
        other.page.get_by_role("button", name="Compare the two texts").click()
        expect(other.page.get_by_role("heading", level=1)).to_have_text("Two texts of one issue")
        assert "Written by the second." in other.page.get_by_label("Your text").input_value()
        assert "Written by the first." not in other.page.get_by_label("Your text").input_value()
        expect(other.page.locator("main")).to_contain_text("Written by the first.")
        assert "Written by the second." not in saved_text(house, issue)
        other.page.get_by_role("button", name="Save this text").click()
        expect(other.page.locator("#text")).to_have_value(re.compile("Written by the second."))
    assert "Written by the second." in saved_text(house, issue)
    visitor.go(f"/issues/{issue}/history")
    expect(visitor.page.locator("main")).to_contain_text("Grace Fields")


def test_what_is_typed_while_an_entry_is_added_stays(house: House, visitor: Visitor) -> None:
    page, issue = visitor.page, house.things["issue_id"][0]
    visitor.go(f"/issues/{issue}")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/entries", hold)
    page.locator("#entries > summary").click()
    page.get_by_label("Add a page from the web").fill("https://example.org/meanwhile")
    with page.expect_request("**/entries"):
        page.get_by_role("button", name="Add the link alone").click()
    write_at_the_end(page, "Typed meanwhile.")
    held.pop().continue_()
    page.unroute("**/entries")
    expect(page.locator("#arranged")).to_contain_text("what you typed is kept")
    expect(page.locator("#text")).to_have_value(re.compile("Typed meanwhile."))
    page.keyboard.press("ControlOrMeta+s")
    expect(page.locator("#saved")).to_contain_text("Saved")
    assert "Typed meanwhile." in saved_text(house, issue)
    page.get_by_role("button", name="Add the link alone").click()
    expect(page.locator("#text")).to_have_value(re.compile("example.org/meanwhile"))
    expect(page.locator("#text")).to_have_value(re.compile("Typed meanwhile."))


def test_the_preview_asks_us_for_pictures_says_what_is_missing_and_stays_in_sight(
    house: House, visitor: Visitor
) -> None:
    page = visitor.page
    visitor.go(f"/issues/{house.things['issue_id'][0]}")
    write_at_the_end(page, "\n\n![A sundial](https://example.org/sundial.png)")
    expect(page.locator("#findings")).to_contain_text("sundial.png: there is no such server")
    shown = page.frame_locator("#frame iframe").get_by_alt_text("A sundial")
    expect(shown).to_have_js_property("naturalWidth", 320)
    for summary in page.locator(".panel > summary").all():
        summary.click()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#findings")).not_to_be_in_viewport()
    expect(page.locator("#frame"), "the mail stays in sight").to_be_in_viewport(ratio=1)


def test_whoever_watches_a_sending_sees_the_truth_again_once_the_connection_is_back(
    house: House, browser: Browser
) -> None:
    broadcast = house.things["broadcast_id"][0]
    before = _accepted(house, broadcast)
    with (
        PostgresProxy(urlsplit(house.base).port or 0) as between,
        visiting(browser, f"http://127.0.0.1:{between.port}") as visitor,
    ):
        house.let_in(visitor.context)
        visitor.expects("stream", "INCOMPLETE_CHUNKED", "DISCONNECTED", r"\[object Event\]")
        visitor.go(f"/broadcasts/{broadcast}")
        accounting = visitor.page.locator(".accounting")
        expect(accounting).to_contain_text(f"{before} accepted")
        _accept_one(house, broadcast)
        expect(accounting).to_contain_text(f"{before + 1} accepted")
        lost = visitor.page.get_by_text("The connection is lost.")
        visitor.context.set_offline(True)
        between.cut()
        expect(lost).to_be_visible()
        _accept_one(house, broadcast)
        visitor.context.set_offline(False)
        expect(lost).to_be_hidden()
        expect(accounting).to_contain_text(f"{before + 2} accepted")


def test_the_desk_is_used_without_a_mouse(house: House, browser: Browser) -> None:
    """From the login over the shortcuts to a saved text."""
    issue = house.things["issue_id"][0]
    with visiting(browser, house.base, screen=DESKTOP) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        visitor.go(f"/login?next=/issues/{issue}")
        _tab_to(page, "E-mail address")
        keys.type("grace@news.example.org")
        _tab_to(page, "Password")
        keys.type(PASSWORD)
        keys.press("Enter")
        expect(page.locator(".cm-content")).to_be_visible()
        keys.press("?")
        sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(sheet).to_be_visible()
        expect(sheet).to_contain_text("History")
        keys.press("Escape")
        expect(sheet).to_be_hidden()
        _tab_to(page, "Text of the issue, in Markdown")
        keys.press("ControlOrMeta+End")
        keys.type("By keys alone.")
        _tab_away(page)
        keys.press("ControlOrMeta+s")
        expect(page.locator("#saved")).to_contain_text("Saved")
        expect(page.locator("#saved")).not_to_contain_text("Not saved")
        assert "By keys alone." in saved_text(house, issue)
        keys.press("g")
        keys.press("b")
        expect(page.get_by_role("heading", level=1)).to_have_text("Broadcasts")
        _turn_shortcuts_off(visitor)


def _turn_shortcuts_off(visitor: Visitor) -> None:
    """In a field they did nothing before."""
    page, keys = visitor.page, visitor.page.keyboard
    visitor.go("/account")
    page.get_by_label("Name", exact=True).focus()
    keys.type("?gi")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_label("Shortcuts of single keys").uncheck()
    page.locator("form[action='/account']").get_by_role("button").click()
    expect(page.locator("#said")).to_have_text("Saved.")
    keys.type("?gi")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.get_by_role("dialog")).to_contain_text("You have turned them off")
    page.get_by_role("link", name="Turn them on").click()
    page.get_by_label("Shortcuts of single keys").check()
    with page.expect_navigation():  # the page before may say the same
        page.locator("form[action='/account']").get_by_role("button").click()
    expect(page.locator("#said")).to_have_text("Saved.")
    keys.type("gi")
    expect(page.get_by_role("heading", level=1)).to_have_text("Issues")


def _tab_to(page: Page, name: str) -> None:
    """As often as it takes; what has this name is never out of reach."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(_NAME) == name:
            return
    raise AssertionError(f"Tab never comes to {name!r}")


_NAME = """() => {
  const it = document.activeElement;
  return it.getAttribute("aria-label") || it.labels?.[0]?.textContent.trim() || it.textContent;
}"""


def _tab_away(page: Page) -> None:
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.cm-content')")


def _accepted(house: House, broadcast_id: int | str) -> int:
    with house.runtime.sessions.reading() as session:
        rows = select(Delivery.id).where(Delivery.broadcast_id == broadcast_id)
        return len(session.scalars(rows.where(Delivery.state == DeliveryState.ACCEPTED)).all())


def _accept_one(house: House, broadcast_id: int | str) -> None:
    with house.runtime.sessions.writing() as session:
        waiting = session.scalars(
            select(Delivery)
            .where(Delivery.broadcast_id == broadcast_id)
            .where(Delivery.state == DeliveryState.PENDING)
            .limit(1)
        ).one()
        waiting.state = DeliveryState.ACCEPTED
