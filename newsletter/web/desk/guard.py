"""The guard: no route of the desk answers before it knows who asks, and whether they may.

Denied is whatever is not allowed in so many words: a route without `@needs` cannot be registered,
nor one with a part in its path of which nobody said whose it is (`things`).

In order: a seat, else to the login page; the permission, in the newsletter concerned; for what
changes something the Origin and the token of our forms. A thing of newsletters that the user does
not work for is not there.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from newsletter.accounts import seats
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.web.desk import cookies, forms, problems, text
from newsletter.web.desk.editor import Editor, editor_of
from newsletter.web.desk.things import NEWSLETTERS_OF, OF_NO_NEWSLETTER, PARTS

_F = TypeVar("_F", bound=Callable[..., Any])
_RULE = "_newsletter_desk_rule"
_READS = frozenset({"GET", "HEAD"})
_LARGEST_ID = 2**31 - 1
_TOKEN_FIELD = "form_token"  # noqa: S105 - its name
_NEWSLETTER_FIELD = "for_newsletter"
_TOKEN_HEADER = "x-form-token"  # noqa: S105 - its name


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks for."""

    permission: Permission | None
    """None: of strangers too, such as the login page."""
    most_bytes: int = forms.MOST_BYTES


def needs(permission: Permission, *, most_bytes: int = forms.MOST_BYTES) -> Callable[[_F], _F]:
    """The page is for whoever has this permission in the newsletter concerned.

    `most_bytes` is how long the body of a form may be.
    """
    return _ruled(Rule(permission, most_bytes))


def for_strangers(endpoint: _F) -> _F:
    """The page is for anybody: nobody is logged in there."""
    return _ruled(Rule(None))(endpoint)


def _ruled(rule: Rule) -> Callable[[_F], _F]:
    def marked(endpoint: _F) -> _F:
        setattr(endpoint, _RULE, rule)
        return endpoint

    return marked


def rule_of(endpoint: Callable[..., Any]) -> Rule:
    """What this route asks for.

    Raises:
        TypeError: nobody said.
    """
    rule = getattr(endpoint, _RULE, None)
    if not isinstance(rule, Rule):
        raise TypeError(f"{endpoint.__module__}.{endpoint.__name__} does not say what it needs")
    return rule


class DeskRoute(APIRoute):
    """A route behind the guard."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.rule = rule_of(endpoint)
        for name in self.param_convertors:
            if name not in (*NEWSLETTERS_OF, *OF_NO_NEWSLETTER, *PARTS):
                raise TypeError(f"{path}: nobody said whose {name!r} is: see things.py")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, once the guard has let the request pass."""
        answer = super().get_route_handler()
        rule = rule_of(self.endpoint)

        async def guarded(request: Request) -> Response:
            text.speak(request.headers.get("accept-language", ""))
            try:
                turned_away = await _turned_away(request, rule)
                response = turned_away or await answer(request)
            except HTTPException as error:
                return await not_so(request, error.status_code)
            except NewsletterError as error:
                return problems.of_error(request, error)
            finally:
                await _close_files(request)
            _settle_cookies(request, response)
            return response

        return guarded


def desk_router() -> APIRouter:
    """A router whose routes are all behind the guard."""
    return APIRouter(route_class=DeskRoute)


async def _turned_away(request: Request, rule: Rule) -> Response | None:
    """Where somebody is sent instead; None: they may go on.

    Raises:
        HTTPException: 403, 404 or 413.
    """
    _check_path(request)
    if rule.permission is not None:
        editor = await run_in_threadpool(_seated, request)
        if editor is None:
            return _to_login(request)
        request.state.editor = editor
        _check_permission(request, rule.permission)
    if request.method not in _READS:
        await _check_form(request, rule)
    return None


def _check_path(request: Request) -> None:
    """No id is that large, and no database keeps NUL."""
    for name, value in request.path_params.items():
        is_number = name.endswith("_id") or name == "number"
        if (is_number and not _id(str(value))) or "\0" in str(value):
            raise HTTPException(404)


def _seated(request: Request) -> Editor | None:
    runtime: Runtime = request.app.state.runtime
    secret = cookies.read(request, cookies.SEAT)
    if not secret:
        return None
    with runtime.sessions.reading() as session:
        concerned: list[int | None] | None = None
        for name, newsletters_of in NEWSLETTERS_OF.items():
            if name in request.path_params:
                thing = _id(request.path_params[name])
                concerned = list(session.scalars(newsletters_of(thing)))
        editor = editor_of(session, secret, concerned)
        request.state.concerned = concerned
    if editor is not None and editor.seat_is_stale:
        with runtime.sessions.writing() as session:
            seats.touch(session, editor.seat_key)
    return editor


async def still_allowed(request: Request, permission: Permission) -> bool:
    """Asked again by an answer that goes on for long: whether they may still read it."""
    editor = await run_in_threadpool(_seated, request)
    if editor is None:
        return False
    request.state.editor = editor
    try:
        _check_permission(request, permission)
    except HTTPException:
        return False
    return True


async def not_so(request: Request, status: int) -> Response:
    """The page for an HTTP status, with the head of the desk for whoever is logged in."""
    if getattr(request.state, "editor", None) is None or request.state.editor.newsletter_id is None:
        request.state.editor = await run_in_threadpool(_anywhere, request)
    text.speak(request.headers.get("accept-language", ""))
    return problems.of_status(request, status)


def _anywhere(request: Request) -> Editor | None:
    """Who sits there, whatever the path is about: what it names may not be there."""
    runtime: Runtime = request.app.state.runtime
    with runtime.sessions.reading() as session:
        return editor_of(session, cookies.read(request, cookies.SEAT))


def _id(value: str) -> int:
    """What no id can be finds nothing."""
    digits = value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST_ID))
    return int(value) if digits and int(value) <= _LARGEST_ID else 0


async def _check_form(request: Request, rule: Rule) -> None:
    if not cookies.comes_from_us(request):
        raise HTTPException(403)
    request.state.form = await forms.read(request, rule.most_bytes)
    token = request.headers.get(_TOKEN_HEADER) or request.state.form.one(_TOKEN_FIELD)
    if not cookies.is_our_form(request, token):
        raise HTTPException(403)
    if rule.permission is not None and not _is_for_this_newsletter(request):
        raise HTTPException(409)


def _is_for_this_newsletter(request: Request) -> bool:
    """Two windows, and another newsletter chosen in one: the form in the other is for the first."""
    meant = request.state.form.one(_NEWSLETTER_FIELD)
    is_thing = request.state.concerned is not None
    return is_thing or meant in ("", str(request.state.editor.newsletter_id))


def _check_permission(request: Request, permission: Permission) -> None:
    editor: Editor = request.state.editor
    concerned: list[int | None] | None = request.state.concerned
    if concerned is not None and not _works_for_one(editor, concerned):
        raise HTTPException(404)
    if not editor.may(permission):
        raise HTTPException(403)


def _works_for_one(editor: Editor, concerned: list[int | None]) -> bool:
    if editor.may(Permission.INSTALLATION) and concerned:
        return True
    return editor.newsletter_id is not None and editor.newsletter_id in concerned


def _to_login(request: Request) -> Response:
    """A page to come back to, if it was one that can be asked for again."""
    again = request.url.path if request.method in _READS else "/"
    where = f"/login?next={quote(again, safe='/')}" if again != "/" else "/login"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": where})
    response = RedirectResponse(where, status_code=303)
    cookies.take_away(request, response, cookies.SEAT)
    return response


def _settle_cookies(request: Request, response: Response) -> None:
    """A stranger whose page has a form gets the cookie it is bound to; what was said is said."""
    stranger = getattr(request.state, "new_stranger", "")
    if stranger:
        cookies.give(request, response, cookies.STRANGER, stranger)
    if getattr(request.state, "was_said", False):
        cookies.take_away(request, response, cookies.SAID)


async def _close_files(request: Request) -> None:
    """Whoever wants to keep what was sent has kept it."""
    form: forms.Form | None = getattr(request.state, "form", None)
    for file in chain.from_iterable(form.files.values()) if form else ():
        await file.close()


async def _editor(request: Request) -> Editor:
    editor: Editor = request.state.editor
    return editor


Seated = Annotated[Editor, Depends(_editor)]
"""Who asks; the guard has found out."""
