"""The driven browser hears every complaint; the editor works under the desk's policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.conftest import need
from tests.servers.axe import findings_in
from tests.servers.driven_browser import DESKTOP, visiting
from tests.servers.packages import NPM
from tests.servers.web import serving_app

STATIC = Path(__file__).parents[2] / "newsletter" / "web" / "static"
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'"
PAGE = """<!DOCTYPE html><html lang="en"><head><title>A page</title>
<link rel="icon" href="/static/public.css"></head><body><main><h1>A page</h1>{}</main></body></html>
"""
EDITOR = """<label for="text">Text</label><textarea id="text"># One

Two words
</textarea><script type="module" src="/editing.js"></script>"""
EDITING = """
import { edit } from "/static/vendor/codemirror/editor.js";
const editor = edit(document.getElementById("text"), { label: "Text" });
editor.setFindings([{ line: 3, severity: "error", text: "Only two words." }]);
"""
BAD = {
    "style": '<p style="color: red">x</p>',
    "script": "<script>1</script>",
    "answered 404": '<img src="/nothing.png" alt="">',
    "elsewhere": '<script src="http://elsewhere.example/x.js"></script>',
    "script: thrown": '<script src="/throwing.js"></script>',
    "console: said": '<script src="/saying.js"></script>',
}
"""By what is complained of."""
SCRIPTS = {
    "/editing.js": EDITING,
    "/throwing.js": 'throw new Error("thrown")',
    "/saying.js": 'console.error("said")',
}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    pages = {"/": "", "/editor": EDITOR, "/unnamed": "<input>"}
    pages |= {f"/bad/{number}": page for number, page in enumerate(BAD.values())}
    routes = [_route(path, PAGE.format(page), "text/html") for path, page in pages.items()]
    routes += [_route(path, text, "text/javascript") for path, text in SCRIPTS.items()]
    app = Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=STATIC))])
    with serving_app(app) as url:
        yield url


def _route(path: str, text: str, kind: str) -> Route:
    def answer(_: object) -> Response:
        return Response(text, media_type=kind, headers={"Content-Security-Policy": POLICY})

    return Route(path, answer)


def test_a_page_in_order_is_visited_in_peace(browser: Browser, base: str) -> None:
    with visiting(browser, base) as visitor:
        answer = visitor.go("/")
        assert answer is not None
        assert answer.status == 200
        assert visitor.complaints == []


@pytest.mark.parametrize(("number", "complaint"), list(enumerate(BAD)))
def test_every_complaint_is_heard(browser: Browser, base: str, number: int, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint), visiting(browser, base) as visitor:
        visitor.go(f"/bad/{number}")


def test_what_keeps_people_out_is_found_in_an_open_page(browser: Browser, base: str) -> None:
    need(NPM)
    with visiting(browser, base) as visitor:
        visitor.go("/unnamed")
        (found,) = findings_in(visitor.page)
        assert found.startswith("critical label")
        visitor.go("/")
        assert findings_in(visitor.page) == []


def test_the_editor_needs_no_more_than_the_policy_gives(browser: Browser, base: str) -> None:
    need(NPM)
    with visiting(browser, base, screen=DESKTOP) as visitor:
        page = visitor.page
        visitor.go("/editor")
        page.get_by_role("textbox", name="Text").click()
        page.keyboard.press("ControlOrMeta+End")
        page.keyboard.type("- three")
        page.keyboard.press("Enter")
        page.keyboard.type("four")
        assert page.locator("#text").input_value() == "# One\n\nTwo words\n- three\n- four"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        page.get_by_text("Only two words.").wait_for()
        gutter = page.locator(".cm-gutters").evaluate("(it) => getComputedStyle(it).display")
        assert gutter == "flex"
        assert findings_in(page) == []
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("Anew.")
        assert page.locator("#text").input_value() == "Anew."
