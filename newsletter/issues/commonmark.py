"""The Markdown of issues: CommonMark without HTML, parsed so that nothing of a text is lost."""

from markdown_it import MarkdownIt

MAX_DEPTH = 50
"""Levels of quotes and lists that a text may have."""


class CommonMark(MarkdownIt):
    """Every link is a link, good or bad: a bad one is to be named, not shown as its source.

    Text nested deeper than `maxNesting` is dropped by the parser without a word, so the limit
    stands well above what we let through.
    """

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False, "maxNesting": 2 * MAX_DEPTH})
        self.enable(["table", "strikethrough"])

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the name the library calls
        """Judged later, by `newsletter.rendering.placeholders`."""
        del url
        return True
