"""`/issues/{id}/entries`: entries come, go and change places, as text."""

from collections.abc import Callable

from fastapi import Response

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.fetch import FetchError
from newsletter.core.sentences import say
from newsletter.issues import arranging
from newsletter.issues.beginning import as_markdown
from newsletter.issues.link_pages import LinkPage, read_page
from newsletter.issues.parsing import parse
from newsletter.web.deps import Fetching
from newsletter.web.desk.guard import desk_router, needs
from newsletter.web.desk.issues.desk import MOST_BYTES
from newsletter.web.desk.issues.saving import Asked, Asking, keep
from newsletter.web.desk.text import _

router = desk_router()


@router.post("/issues/{issue_id}/entries")
@needs(Permission.WRITE, most_bytes=MOST_BYTES)
def arrange(asked: Asking, fetcher: Fetching) -> Response:
    """Do with the text what the button says, `up 3` or `add`, and save it."""
    verb, _space, number = asked.sent.one("do").partition(" ")
    if verb in ("add", "bare"):
        return _add(asked, lambda url: _page(url, fetcher) if verb == "add" else LinkPage(url))
    if verb == "section":
        moved, to = asked.sent.number("moved") or 0, asked.sent.number("target")
        return keep(
            asked,
            lambda text: arranging.move_to(text, moved, -1 if to is None else to),
            _("Moved to the end of the other section."),
        )
    if verb == "markdown":
        return keep(asked, lambda text: _turned(text, asked), _("The text is Markdown now."))
    change, said = _change(verb, int(number) if number.isdecimal() and len(number) < 6 else 0)  # noqa: PLR2004
    return keep(asked, change, said)


def _change(verb: str, number: int) -> tuple[Callable[[str], str], str]:
    if verb == "remove":
        said = _("The entry is taken out; the text before is in the history.")
        return lambda text: arranging.remove(text, number), said
    if verb in ("up", "down"):
        by = -1 if verb == "up" else 1
        return lambda text: arranging.move(text, number, by), _("Moved.")
    raise InputError("do", say("there is no %(verb)r to be done with entries", verb=verb[:20]))


def _add(asked: Asked, page_of: Callable[[str], LinkPage]) -> Response:
    """The page is fetched before anything is locked: that may take seconds."""
    url, section = asked.sent.one("url"), asked.sent.one("section")

    def added(text: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise InputError("url", say("expected a link such as https://example.org/post"))
        parse(text, "text")
        return arranging.add(text, page_of(url).entry(), section)

    return keep(asked, added, _("The entry is added. Look it through."))


def _page(url: str, fetcher: Fetching) -> LinkPage:
    try:
        fetched = fetcher.fetch(url)
    except FetchError as error:
        raise InputError(
            "url",
            say("the page was not read: %(why)s. You can add the link alone", why=error.problem),
        ) from None
    return read_page(fetched.data, fetched.content_type, fetched.url)


def _turned(text: str, asked: Asked) -> str:
    return as_markdown(parse(text, "text"), asked.editor.newsletter_name) or text
