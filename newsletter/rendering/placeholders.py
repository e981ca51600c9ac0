"""The books kept while an issue is compiled: numbered links, merge fields, slots for bodies."""

import html
import re
from urllib.parse import urlsplit

from newsletter.core.sentences import Sentence, say
from newsletter.rendering import merge
from newsletter.rendering.compiled import (
    Link,
    MergeField,
    new_nonce,
    placeholder,
    placeholder_pattern,
)
from newsletter.rendering.findings import Finding, Severity


class Placeholders:
    """Everything in one compile that is filled in later, and the findings on the way.

    `base_url` is ours: what is wrong with it is said once, of the settings.
    """

    def __init__(self, base_url: str = "") -> None:
        self.base_url = base_url
        self.nonce = new_nonce()
        self.fields: list[MergeField] = []
        self.findings: list[Finding] = []
        self._links: dict[str, Link] = {}
        self._slots: dict[str, str] = {}
        self._hidden: list[str] = []

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(self._links.values())

    def name(self, name: str) -> str:
        """The placeholder of that name."""
        return placeholder(self.nonce, name)

    def link(self, url: str, title: str, line: int) -> str:
        """What stands in an href: a numbered link, or the URL itself when it is no web page.

        A malformed URL is a finding; the same URL always has the same number.
        """
        problem = _url_problem(url)
        if problem:
            text = say("%(problem)s: %(url)s", problem=problem, url=url[:200])
            self._find("link-malformed", Severity.ERROR, text, line)
            return "#"
        if urlsplit(url).scheme == "mailto":
            return url
        shown = self.resolved(title, as_html=False)
        link = self._links.setdefault(url, Link(len(self._links) + 1, url, shown))
        return self.name(f"link{link.number}")

    def fields_in(self, text: str, line: int) -> str:
        """The text with its merge fields as placeholders; an unknown field is a finding.

        So is a `{{` that begins none: a reader would see it.
        """
        pieces: list[str] = []
        end = 0
        for found in merge.find(text):
            pieces.append(text[end : found.start])
            end = found.end
            if found.problem:
                self._find("merge-field-unknown", Severity.ERROR, found.problem, line)
            if found.field:
                self.fields.append(found.field)
                pieces.append(self.name(f"field{len(self.fields)}"))
        filled = "".join([*pieces, text[end:]])
        if "{{" in filled:
            problem = say("a merge field begins with {{ and ends with }} in the same line")
            self._find("merge-field-unknown", Severity.ERROR, problem, line)
        return filled.replace("{{", "")

    def hide_fields(self, text: str) -> str:
        """The text with each `{{ … }}` as one word, so that Markdown sees nothing inside it."""

        def hidden(found: re.Match[str]) -> str:
            self._hidden.append(found[0])
            return self.name(f"raw{len(self._hidden)}")

        return merge.EXPRESSION.sub(hidden, text)

    def unhide_fields(self, text: str) -> str:
        """The text as it was before `hide_fields`."""
        pattern = re.compile(re.escape(self.nonce) + r"-raw(\d+)-")
        return pattern.sub(lambda found: self._hidden[int(found[1]) - 1], text)

    def slot(self, fragment: str) -> str:
        """A token that stands for finished HTML until MJML has compiled."""
        token = self.name(f"slot{len(self._slots) + 1}")
        self._slots[token] = fragment
        return token

    def fill_slots(self, page: str) -> str:
        """Put every finished fragment where its token stands."""
        pattern = re.compile(re.escape(self.nonce) + r"-slot\d+-")
        return pattern.sub(lambda found: self._slots[found[0]], page)

    def resolved(self, text: str, *, as_html: bool) -> str:
        """The text as anybody may read it: links lead straight on, fields show their defaults."""
        links = {f"link{link.number}": link.url for link in self._links.values()}
        defaults = {f"field{n}": field.default for n, field in enumerate(self.fields, 1)}
        public = links | defaults
        escape = html.escape if as_html else str
        pattern = placeholder_pattern(self.nonce)
        return pattern.sub(lambda found: escape(public.get(found[1], "")), text)

    def _find(self, code: str, severity: Severity, text: Sentence, line: int | None) -> None:
        self.findings.append(Finding(code, severity, text, line))


def _url_problem(url: str) -> Sentence | None:
    if "{{" in url or "%7B%7B" in url:
        return say("a merge field cannot stand in a link")
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return say("not a URL")
    if parts.scheme == "mailto" and "@" in parts.path:
        return None
    if parts.scheme not in ("http", "https"):
        return say("expected a link that begins with https://, http:// or mailto:")
    if not parts.hostname or not port_ok or any(c.isspace() for c in url):
        return say("not a URL")
    return None
