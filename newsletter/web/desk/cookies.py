"""The cookies of the desk, and the token in every form that proves it is ours.

Over https they are called `__Host-…` and Secure: no other host, subdomain or path can set them.
Over http on this machine they are the same without both; over http from elsewhere there are none,
and nobody can log in.
"""

import hmac
from hashlib import sha256
from urllib.parse import quote, unquote, urlsplit

from fastapi import Request, Response

from newsletter.accounts.random_keys import new_secret
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import sign, verify

SEAT = "desk"
STRANGER = "desk-visit"
SAID = "desk-said"
_PURPOSE = "form of the desk"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LONGEST_SAYING = 2_000


def is_safe(request: Request, runtime: Runtime) -> bool:
    """Passwords and cookies may cross this connection: https, or it never leaves the machine."""
    return _is_https(runtime) or request.url.hostname in _LOOPBACK


def _is_https(runtime: Runtime) -> bool:
    return runtime.settings.site.public_url.startswith("https://")


def name_of(cookie: str, runtime: Runtime) -> str:
    """What the cookie is called on the wire."""
    return f"__Host-{cookie}" if _is_https(runtime) else cookie


def read(request: Request, cookie: str) -> str:
    """What the browser sent; empty when it has none."""
    return request.cookies.get(name_of(cookie, request.app.state.runtime), "")


def give(
    request: Request, response: Response, cookie: str, value: str, seconds: int | None = None
) -> None:
    """Set it; without `seconds` until the browser is closed."""
    runtime = request.app.state.runtime
    response.set_cookie(
        name_of(cookie, runtime),
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        secure=_is_https(runtime),
        samesite="lax",
    )


def take_away(request: Request, response: Response, cookie: str) -> None:
    """The browser forgets it."""
    runtime = request.app.state.runtime
    response.delete_cookie(
        name_of(cookie, runtime),
        path="/",
        httponly=True,
        secure=_is_https(runtime),
        samesite="lax",
    )


def say(request: Request, response: Response, sentence: str) -> None:
    """A sentence for the next page to show, once."""
    give(request, response, SAID, quote(sentence[:_LONGEST_SAYING]), seconds=60)


def said(request: Request) -> str:
    """The sentence that the page before left for this one."""
    return unquote(read(request, SAID))


def form_token(request: Request) -> str:
    """For the forms on this page: bound to the browser's cookie, of a seat or of a stranger.

    A stranger without a cookie gets one: `request.state.new_stranger` is then its value.
    """
    secret = read(request, SEAT) or read(request, STRANGER)
    if not secret:
        secret = getattr(request.state, "new_stranger", "") or new_secret()
        request.state.new_stranger = secret
    return sign(request.app.state.runtime.keys, _PURPOSE, _digest(secret))


def is_our_form(request: Request, token: str) -> bool:
    """The token was made for this browser."""
    secret = read(request, SEAT) or read(request, STRANGER)
    payload = verify(request.app.state.runtime.keys, _PURPOSE, token)
    return bool(secret) and payload is not None and hmac.compare_digest(payload, _digest(secret))


def comes_from_us(request: Request) -> bool:
    """By Origin, else by Sec-Fetch-Site: the form stood on a page of ours (Fetch, RFC 6454)."""
    origin = request.headers.get("origin", "")
    if not origin:
        return request.headers.get("sec-fetch-site", "") == "same-origin"
    return origin in _our_origins(request)


def _our_origins(request: Request) -> set[str]:
    ours = {_origin(request.app.state.runtime.settings.site.public_url)}
    if request.url.hostname in _LOOPBACK:
        ours.add(_origin(str(request.base_url)))
    return ours


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()[:16]
