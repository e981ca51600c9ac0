"""Pictures of every page, on a telephone and at a desk, light and dark: `make screenshots`.

`python -m tests.screenshots issues reports` only of pages with such a word in their path;
`--docs` those of the documentation, small, into docs/pictures/desk; a picture that looks as before
stays the file that it was.
"""

import argparse
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import get_args

from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page

from newsletter.core.db import connect
from newsletter.migrations import schema
from tests.furnished.empty import EmptyHouse, empty
from tests.furnished.house import House, furnished
from tests.furnished.public import public_pages
from tests.screenshots.documentation import PICTURES
from tests.servers.driven_browser import DESKTOP, PHONE, Scheme, Visitor, chromium, visiting

_ROOT = Path(__file__).parents[2]
_BUILD = _ROOT / "build" / "screenshots"
_MOST_LOOKS, _BETWEEN_LOOKS_MS = 60, 500
_DOCS = _ROOT / "docs" / "pictures" / "desk"
_PORT = 8631
"""Some pages show their address: it is the same in every picture."""
_SEEN = 16
"""Of 255: a smaller difference is that of two palettes, or of an edge drawn twice."""


def main() -> None:
    wanted = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    wanted.add_argument("subjects", nargs="*", help="words in the path; none: every page")
    wanted.add_argument("--docs", action="store_true", help="the pictures of the documentation")
    chosen = wanted.parse_args()
    with chromium() as browser:
        if chosen.docs:
            with _database() as url, furnished(url, _listening()) as house:
                _for_documentation(house, browser)
            return
        with _database() as url, empty(url) as nobodys:
            number = _all(nobodys, browser, _wanted(nobodys.paths, chosen.subjects))
        with _database() as url, furnished(url, _listening()) as house:
            number += _all(house, browser, _wanted(_names(house), chosen.subjects))
        print(f"{number} pages, four pictures each, in {_BUILD.relative_to(_ROOT)}")


@contextmanager
def _database() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/newsletter.db"
        sessions = connect(url)
        schema.upgrade(sessions)
        sessions.engine.dispose()
        yield url


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", _PORT))


def _wanted(paths: Mapping[str, str], subjects: Sequence[str]) -> Mapping[str, str]:
    return {
        name: path
        for name, path in paths.items()
        if not subjects or any(word in path for word in subjects)
    }


def _names(house: House) -> Mapping[str, str]:
    """Every page by the name of its picture."""
    pages = house.pages()
    ours = [*pages.inside, *pages.outside, *pages.mails]
    named = {path.strip("/").replace("/", "-") or "today": path for path in ours}
    return {**named, **public_pages(house)}


def _all(house: House | EmptyHouse, browser: Browser, paths: Mapping[str, str]) -> int:
    """Returns how many pages."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    for screen in (PHONE, DESKTOP):
        with visiting(browser, house.base, screen=screen) as visitor:
            visitor.expects(".")
            if isinstance(house, House):
                house.let_in(visitor.context)
            for name, path in paths.items():
                visitor.go(path)
                for scheme in get_args(Scheme):
                    visitor.page.emulate_media(color_scheme=scheme)
                    file = _BUILD / f"{name}-{screen.name}-{scheme}.png"
                    visitor.page.screenshot(path=file, full_page=True)
            for said in visitor.complaints:
                print(said)
    return len(paths)


def _for_documentation(house: House, browser: Browser) -> None:
    _DOCS.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        with visiting(browser, house.base, screen=picture.screen, scheme=picture.scheme) as visitor:
            house.let_in(visitor.context)
            _go_when_counted(visitor, picture.path(house.things))
            visitor.page.locator(".htmx-request").first.wait_for(state="detached")
            _write_small(_of(visitor.page, picture.opens), _DOCS / f"{name}.png")


def _of(page: Page, opens: str) -> bytes:
    if not opens:
        return page.screenshot()
    unfolded = page.locator("details", has=page.get_by_text(opens, exact=True))
    unfolded.locator("summary").first.click()
    return unfolded.screenshot()


def _go_when_counted(visitor: Visitor, path: str) -> None:
    """Whoever opens the reports first finds that the readers of some issues are not counted yet."""
    visitor.go(path)
    again = visitor.page.get_by_role("link", name="Look again")
    for _ in range(_MOST_LOOKS):
        if not again.count():
            return
        visitor.page.wait_for_timeout(_BETWEEN_LOOKS_MS)
        visitor.go(path)


def _write_small(png: bytes, file: Path) -> None:
    """A page has few colours: a palette holds them all, in a third of the bytes."""
    with Image.open(BytesIO(png)) as picture:
        small = picture.convert("RGB").quantize(256)
    if not _looks_like(small, file):
        small.save(file, optimize=True)


def _looks_like(picture: Image.Image, file: Path) -> bool:
    """Nobody sees a difference to the file, if there is one."""
    if not file.exists():
        return False
    with Image.open(file) as before:
        if before.size != picture.size:
            return False
        difference = ImageChops.difference(before.convert("RGB"), picture.convert("RGB"))
    return max(difference.tobytes()) <= _SEEN


if __name__ == "__main__":
    main()
