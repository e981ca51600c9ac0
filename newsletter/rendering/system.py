"""System mails: compiled from `templates/email/system/`, one person at a time."""

from dataclasses import dataclass

from newsletter.rendering.compiled import SenderIdentity
from newsletter.rendering.compiler import finish_html, tidy
from newsletter.rendering.placeholders import Placeholders
from newsletter.rendering.templates import TemplateFolders


@dataclass(frozen=True, slots=True)
class SystemText:
    """A system mail's subject and both bodies."""

    subject: str
    text: str
    html: str


def compile_confirmation(
    identity: SenderIdentity, list_name: str, confirm_url: str, templates: TemplateFolders
) -> SystemText:
    """The mail that asks to confirm a subscription; nothing in it was typed by a visitor."""
    variables = {
        "lang": "en",
        "dir": "ltr",
        "title": identity.newsletter_name,
        "preheader": "",
        "newsletter_name": identity.newsletter_name,
        "postal_address": identity.postal_address,
        "list_name": list_name,
        "confirm_url": confirm_url,
    }
    name = "system/confirmation.mjml"
    html = finish_html(templates.render(name, variables), name, Placeholders(), templates)
    text = tidy(templates.render("system/confirmation.txt", variables))
    return SystemText(f"Please confirm: {identity.newsletter_name}", text, html)
