"""A compiled mail as everybody may look at it, in the scheme that somebody wants to see."""

import html
from enum import StrEnum

from newsletter.rendering.compiled import CompiledEmail, placeholder_pattern

_ASKS = "@media (prefers-color-scheme: dark)"
_DECLARES = '<meta name="color-scheme" content="light dark">'


class Scheme(StrEnum):
    """What a mail program asks for."""

    LIGHT = "light"
    DARK = "dark"


def shown_in(page: str, scheme: Scheme) -> str:
    """The mail's HTML as a mail program in this scheme shows it, whatever the browser is in."""
    always = "@media all" if scheme is Scheme.DARK else "@media not all"
    declared = f'<meta name="color-scheme" content="{scheme}">'
    return page.replace(_ASKS, always).replace(_DECLARES, declared)


def nobodys(email: CompiledEmail) -> str:
    """The HTML without a recipient: fields show their defaults, links lead nowhere."""
    known = {f"field{number}": merge.default for number, merge in enumerate(email.fields, 1)}
    known |= {"email": "reader@example.org", "unsubscribe": "#", "preferences": "#"}
    pattern = placeholder_pattern(email.nonce)
    links = {f"link{link.number}": "#" for link in email.links}
    return pattern.sub(lambda found: html.escape((known | links).get(found[1], "")), email.html)
