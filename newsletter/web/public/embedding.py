"""The sign-up form as plain HTML for other sites: no script, no style, no frame."""

from newsletter.web.pages import fragment
from newsletter.web.public.sign_up_form import TRAP, Form


def snippet(form: Form, base_url: str) -> str:
    """To be pasted into any page; it posts to us, and our page answers."""
    return fragment("embed.html", form=form, base_url=base_url, trap=TRAP)
