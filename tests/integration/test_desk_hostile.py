"""Whatever stands in the database, no page of the desk runs it, even without its policy."""

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2
import pytest
from jinja2 import ChoiceLoader, DictLoader
from playwright.sync_api import Browser

from newsletter.web.desk import pages as desk_pages
from tests.furnished.house import House, Pages
from tests.furnished.poison import SIGN, hostile, poison
from tests.servers.driven_browser import Visitor, visiting

_LISTEN = "window.ran = (number) => { (window.runs ||= []).push(number); };"
_FOUND = f"""() => [
  ...(window.runs || []),
  ...[...document.querySelectorAll("[id^='{SIGN}'], [id^='hostile']")].map((it) => it.id),
  ...[...document.querySelectorAll("[href], [src], [action], [formaction]")].flatMap((it) =>
    ["href", "src", "action", "formaction"].map((name) => it.getAttribute(name) || "")
  ).filter((url) => /^\\s*javascript:/i.test(url)),
]"""
_ASKED = ("q", "segment", "next", "after", "before", "status", "list", "said", "kind", "day")


@pytest.fixture(scope="module")
def columns(house: House) -> list[str]:
    """Poisoned, by the numbers in the texts."""
    with house.runtime.sessions.writing() as session:
        return poison(session)


@pytest.fixture(scope="module")
def pages(house: House, columns: list[str]) -> Pages:
    return house.pages()


@pytest.fixture
def visitor(house: House, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, house.base, bypass_csp=True) as made:
        house.let_in(made.context)
        made.expects(".")
        made.context.add_init_script(_LISTEN)
        yield made


def test_nothing_runs_on_any_page(visitor: Visitor, pages: Pages, columns: list[str]) -> None:
    found = {}
    for path in [*pages.inside, *pages.mails, *pages.parts]:
        answer = visitor.go(path)
        assert answer
        broken = [] if answer.ok else [f"answered {answer.status}"]
        found[path] = [*broken, *visitor.page.evaluate(_FOUND)]
    named = {
        path: [columns[it] if isinstance(it, int) else it for it in ran]
        for path, ran in found.items()
        if ran
    }
    assert named == {}


def test_nothing_that_an_address_says_gets_into_a_page(house: House, pages: Pages) -> None:
    said = urlencode(dict.fromkeys(_ASKED, hostile(7)))
    cookies = {"desk": house.secret}
    with httpx2.Client(base_url=house.base, cookies=cookies, timeout=60) as client:
        got = {path: client.get(f"{path}?{said}") for path in [*pages.inside, *pages.parts]}
        got |= {f"stranger {path}": httpx2.get(f"{house.base}{path}?{said}") for path in ["/login"]}
    broken = {path: answer.status_code for path, answer in got.items() if answer.is_server_error}
    assert broken == {}
    marks = ("<img src=x", f"<p id={SIGN}", "<script>ran", 'href="javascript:')
    assert [path for path, answer in got.items() if any(m in answer.text for m in marks)] == []


def test_a_page_that_trusts_a_text_is_found(
    house: House, visitor: Visitor, columns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = desk_pages._environment
    ours = environment.loader
    assert ours
    layout, *_ = ours.get_source(environment, "layout.html")
    name = "editor.name or editor.email"
    trusting = layout.replace(name, f"({name})|safe")
    assert trusting != layout
    loader = ChoiceLoader([DictLoader({"layout.html": trusting}), ours])
    monkeypatch.setattr(environment, "loader", loader)
    monkeypatch.setattr(environment, "cache", None)
    visitor.go("/")
    visitor.page.wait_for_function("window.runs")
    assert columns.index("users.name") in visitor.page.evaluate(_FOUND)
