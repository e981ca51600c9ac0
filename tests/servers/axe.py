"""axe-core in a real browser: what in our pages keeps people out."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.servers.browser import opened

_ROOT = Path(__file__).parents[2]
_WANTED = _ROOT / "tests" / "vendor" / "axe"
_CACHE = _ROOT / ".cache" / "axe"
_PATIENCE_SECONDS = 60
_FRAME = '<iframe src="{path}" width="375" height="900" title="{path}"></iframe>'
_FRAMES = """<!DOCTYPE html><html lang="en"><title>all</title><body>{frames}
<pre id="found"></pre><img src="/held" alt=""><script>
const found = {{}};
function report(path, violations) {{
  found[path] = violations;
  if (Object.keys(found).length < {number}) return;
  document.getElementById("found").textContent = JSON.stringify(found);
  new Image().src = "/found";
}}
</script></body></html>"""
_ASK = """(options) => axe.run(document, options).then(({violations}) => violations.map(
  ({id, impact, nodes}) => [impact, id, nodes.map(({html}) => html).join(" · ")]))"""
_RUN = """<script src="/axe.js"></script><script>
addEventListener("load", () => axe.run().then(({violations}) => parent.report(
  location.pathname,
  violations.map(({id, impact, nodes}) => [impact, id, nodes[0].html]))));
</script></head>"""


def findings(pages: Mapping[str, str], files: Mapping[str, bytes], *, dark: bool) -> list[str]:
    """One line for each serious or critical finding; `pages` by path, `files` they refer to.

    As on a telephone. The pages' own policies allow no script of ours, so they are left out here.
    """
    served = {path: page.replace("</head>", _RUN).encode() for path, page in pages.items()}
    frames = "\n".join(_FRAME.format(path=path) for path in pages)
    served["/all"] = _FRAMES.format(frames=frames, number=len(pages)).encode()
    served["/axe.js"] = script().encode()
    with _serving({**served, **files}) as port:
        shown = opened(f"http://127.0.0.1:{port}/all", dark=dark)
    _, _, text = shown.partition('<pre id="found">')
    found = json.loads(unescape(text.partition("</pre>")[0]))
    assert set(found) == set(pages)
    return [
        f"{path}: {sentence}" for path, violations in found.items() for sentence in _bad(violations)
    ]


def findings_in(page: Page, *, colours_only: bool = False) -> list[str]:
    """One line for each serious or critical finding of the page as it is open now.

    `colours_only` for a page that was looked at and then changed its scheme. What is in frames is
    not looked into: mails are, by themselves.
    """
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(script())
    rules = {"runOnly": ["color-contrast"]} if colours_only else {}
    options = {"iframes": False, "resultTypes": ["violations"], **rules}
    return _bad(page.evaluate(_ASK, options))


def _bad(violations: Sequence[Any]) -> list[str]:
    return [
        f"{impact} {rule}: {html}"
        for impact, rule, html in violations
        if impact in {"serious", "critical"}
    ]


@cache
def script() -> str:
    """axe-core, fetched once into `.cache` in the locked version."""
    return (_installed() / "axe.min.js").read_text()


def _installed() -> Path:
    package = _CACHE / "node_modules" / "axe-core"
    _CACHE.mkdir(parents=True, exist_ok=True)
    for file in _WANTED.iterdir():
        shutil.copy(file, _CACHE)
    if not (_CACHE / "node_modules" / ".package-lock.json").exists():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(install, cwd=_CACHE, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return package


@contextmanager
def _serving(contents: Mapping[str, bytes]) -> Iterator[int]:
    """Files from memory; `/held` is answered once `/found` is asked for."""
    found = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/held":
                found.wait(_PATIENCE_SECONDS)
            if self.path == "/found":
                found.set()
            body = contents.get(self.path)
            self.send_response(404 if body is None else 200)
            kinds = {"css": "text/css", "js": "text/javascript"}
            kind = kinds.get(self.path.rpartition(".")[2], "text/html; charset=utf-8")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        found.set()
        server.shutdown()
        thread.join()
        server.server_close()
