"""Pages of the desk for what goes wrong: a sentence, and where to go from here."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from newsletter.core.errors import (
    BusyError,
    ConfigurationError,
    InputError,
    NewsletterError,
    NotFoundError,
    RefusedError,
)
from newsletter.web.desk.pages import page
from newsletter.web.desk.text import _, translated

_RETRY_AFTER_SECONDS = 5


def of_status(request: Request, status: int) -> HTMLResponse:
    """The page for an HTTP status."""
    sentences = {
        403: _(
            "You may not do that here. If you came by a form, it may be too old: go back, load the "
            "page again and try once more. If not, ask an admin for the role it needs."
        ),
        404: _("This page is not there. What it showed may be gone."),
        405: _("That page only takes what a form sends. Go back to the form, or begin anew."),
        409: _(
            "This form was opened for another newsletter than the one that is chosen now, perhaps "
            "in another window. Choose that one in the head of the page, and try once more."
        ),
        413: _("That is more than is taken here."),
        422: _("That request was incomplete. Please go back and fill the form in again."),
    }
    sentence = sentences.get(status, _("Something is not right with this request."))
    return _page(request, status, sentence)


def of_error(request: Request, error: NewsletterError) -> HTMLResponse:
    """The page for what a page could not do and did not say itself."""
    status = _STATUS.get(type(error)) or next(
        (status for kind, status in _STATUS.items() if isinstance(error, kind)), 409
    )
    response = _page(request, status, capitalised(error.sentence))
    if isinstance(error, BusyError):
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return response


_STATUS: dict[type[NewsletterError], int] = {
    NotFoundError: 404,
    InputError: 422,
    RefusedError: 409,
    ConfigurationError: 409,
    BusyError: 503,
}


def capitalised(sentence: str) -> str:
    """What the domain says as a sentence on a page."""
    text = translated(sentence)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def without_place(error: NewsletterError) -> str:
    """For beside a field: what is wrong, not where."""
    return capitalised(error.problem if isinstance(error, InputError) else error.sentence)


def _page(request: Request, status: int, sentence: str) -> HTMLResponse:
    if request.headers.get("hx-request"):
        return page(request, "problem_part.html", status=status, code=status, sentence=sentence)
    return page(request, "problem.html", status=status, code=status, sentence=sentence)
