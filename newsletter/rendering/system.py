"""System mails: compiled from `templates/email/system/`, one person at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newsletter.core.catalogues import ENGLISH
from newsletter.rendering import speaking
from newsletter.rendering.compiled import SenderIdentity
from newsletter.rendering.compiler import finish_html, tidy
from newsletter.rendering.placeholders import Placeholders
from newsletter.rendering.templates import TemplateFolders
from newsletter.rendering.view import colours


@dataclass(frozen=True, slots=True)
class SystemText:
    """A system mail's two bodies."""

    text: str
    html: str


def compile_system_mail(
    kind: str,
    identity: SenderIdentity,
    variables: Mapping[str, Any],
    templates: TemplateFolders,
    lang: str = ENGLISH,
) -> SystemText:
    """The mail that `system/{kind}.mjml` and `.txt` make; nothing in it was typed by a visitor."""
    filled = {
        "lang": lang,
        "dir": speaking.direction(lang),
        "title": identity.newsletter_name,
        "preheader": "",
        "newsletter_name": identity.newsletter_name,
        "postal_address": identity.postal_address,
        "logo": identity.look.logo,
        **colours(identity.look.palette),
        **variables,
    }
    name = f"system/{kind}.mjml"
    mjml = templates.render(name, filled)
    html = finish_html(mjml, name, Placeholders(), templates, identity.look.palette)
    return SystemText(tidy(templates.render(f"system/{kind}.txt", filled)), html)
