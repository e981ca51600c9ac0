"""The sign-up form as plain HTML for other sites: no script, no style, no frame."""

from newsletter.core.catalogues import ENGLISH
from newsletter.web.pages import fragment
from newsletter.web.public.sign_up_form import TRAP, Form


def snippet(form: Form, base_url: str, language: str = ENGLISH) -> str:
    """To be pasted into any page; it posts to us, and our page answers."""
    edition = form.edition_in(language)
    return fragment(
        "embed.html", language, form=form, base_url=base_url, trap=TRAP, edition=edition
    )
