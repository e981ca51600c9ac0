"""What a page on the web says about itself: title, author, description, site. Pure.

Asked in this order: JSON-LD, OpenGraph, plain meta elements, the title element.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

from lxml import etree, html

from newsletter.issues.source import Entry, Prose

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE
)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_HEAD_BYTES = 4_096
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffd]+")
_LONGEST = {"title": 200, "author": 120, "description": 600, "site": 120}
_ARTICLES = ("article", "blogposting", "posting", "report", "scholarly", "webpage", "video")
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHARSETS = (
    "utf-8",
    "utf-16",
    "iso",
    "cp",
    "koi8",
    "shift_jis",
    "euc",
    "gb",
    "big5",
    "mac",
    "ascii",
)
"""How the names of codecs begin that pages are written in; Python knows others that are none."""


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What an entry may be begun with; empty where the page says nothing. Plain text.

    Attributes:
        url: the page's own opinion of its address, when it is on the same host; else where it
            was found.
    """

    url: str
    title: str = ""
    author: str = ""
    description: str = ""
    site: str = ""

    def entry(self) -> Entry:
        """An entry of an issue, for its editor to go on with."""
        summary = Prose(self.description, 0, markdown=False) if self.description else None
        return Entry(
            title=self.title or self.site or urlsplit(self.url).hostname or self.url,
            line=0,
            url=self.url,
            author=self.author or self.site,
            source_name="Source",
            source_url=self.url,
            summary=summary,
        )


def read_page(data: bytes, content_type: str, url: str) -> LinkPage:
    """Whatever a page says; of what is no HTML only where it is.

    `content_type` is the HTTP header. Damaged pages are read as far as they go.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("", "text/html", "application/xhtml+xml"):
        return LinkPage(url)
    tree = _tree(_decoded(data, content_type))
    if tree is None:
        return LinkPage(url)
    said = _metas(tree)
    article = _article(tree)
    return LinkPage(
        url=_own_url(tree, said, url),
        title=_first(
            "title",
            article.get("headline"),
            said.get("og:title"),
            said.get("twitter:title"),
            *(element.text_content() for element in tree.iter("title")),
        ),
        author=_first(
            "author",
            _names(article.get("author")),
            said.get("author"),
            _unless_url(said.get("article:author")),
            said.get("twitter:creator"),
        ),
        description=_first(
            "description",
            said.get("og:description"),
            said.get("description"),
            article.get("description"),
            said.get("twitter:description"),
        ),
        site=_first("site", said.get("og:site_name"), said.get("application-name")),
    )


def _decoded(data: bytes, content_type: str) -> str:
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    header = _HEADER_CHARSET.search(content_type)
    meta = _CHARSET.search(data[:_HEAD_BYTES])
    for name in (header[1] if header else "", meta[1].decode() if meta else ""):
        with suppress(LookupError):
            codec = codecs.lookup(name).name
            if codec.startswith(_CHARSETS):
                return data.decode(codec, errors="replace")
    return data.decode("utf-8", errors="replace")


def _tree(text: str) -> Any:
    """The page's elements; None when there are none."""
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True)
    try:
        clean = text.replace("\0", "").encode(errors="replace")
        return html.document_fromstring(clean, parser=parser)
    except (etree.LxmlError, ValueError):
        return None


def _metas(tree: Any) -> Mapping[str, str]:
    """The first content of each meta element, by its name or property in lower case."""
    found: dict[str, str] = {}
    for element in tree.iter("meta"):
        name = (element.get("property") or element.get("name") or "").strip().lower()
        content = (element.get("content") or "").strip()
        if name and content:
            found.setdefault(name, content)
    return found


def _article(tree: Any) -> Mapping[str, Any]:
    """The first thing of JSON-LD that is something to read."""
    for element in tree.iter("script"):
        if (element.get("type") or "").strip().lower() == "application/ld+json":
            with suppress(ValueError, RecursionError):
                for thing in _things(json.loads(element.text or "")):
                    if _is_article(thing.get("@type")):
                        return thing
    return {}


def _is_article(said: object) -> bool:
    kinds = said if isinstance(said, list) else [said]
    named = " ".join(kind.lower() for kind in kinds if isinstance(kind, str))
    return any(kind in named for kind in _ARTICLES)


def _things(said: object) -> Iterator[Mapping[str, Any]]:
    for thing in said if isinstance(said, list) else [said]:
        if isinstance(thing, dict):
            yield thing
            graph = thing.get("@graph")
            if isinstance(graph, list):
                yield from (each for each in graph if isinstance(each, dict))


def _names(said: object) -> str:
    """One author or several, as text, as a thing with a name, or a list of these."""
    names = []
    for each in said if isinstance(said, list) else [said]:
        name = each.get("name") if isinstance(each, dict) else each
        if isinstance(name, str) and name.strip():
            names.append(name.strip())
    return ", ".join(names)


def _unless_url(text: str | None) -> str:
    return "" if text is None or "://" in text else text


def _first(what: str, *texts: object) -> str:
    """The first that says anything, in one line of plain text, not too long."""
    for text in texts:
        if isinstance(text, str):
            line = " ".join(_CONTROL.sub(" ", unescape(text)).split())
            if line:
                return _shortened(line, _LONGEST[what])
    return ""


def _shortened(line: str, most: int) -> str:
    return line if len(line) <= most else line[: most - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def _own_url(tree: Any, said: Mapping[str, str], found_at: str) -> str:
    """Without what a share button added; another host's word for it is not taken."""
    for element in tree.iter("link"):
        if "canonical" in (element.get("rel") or "").lower().split():
            own = urljoin(found_at, (element.get("href") or "").strip())
            return own if _same_host(own, found_at) else found_at
    own = said.get("og:url", "")
    return own if _same_host(own, found_at) else found_at


def _same_host(url: str, other: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname == urlsplit(other).hostname
    except ValueError:
        return False
