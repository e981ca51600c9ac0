"""System mails to one person: compiled, signed and put into the outbox, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from newsletter.broadcasts.planning import sender_identity
from newsletter.core.catalogues import READERS
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import Sentence
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.rendering.message import system_message
from newsletter.rendering.system import compile_system_mail
from newsletter.rendering.templates import TemplateFolders
from newsletter.sending import system_mail
from newsletter.sending.signing import keyring_of
from subscribers.models import Subscriber


@dataclass(frozen=True, slots=True)
class Letter:
    """One system mail, before it is compiled.

    Attributes:
        kind: the name of its files in `templates/email/system/`.
        key: its idempotency key: a second letter with the same is not sent.
        variables: what its files show besides the newsletter; nothing that a visitor typed.
        asked_in: the language of whoever caused it, for who told us none.
    """

    kind: str
    key: str
    subject: Sentence
    variables: Mapping[str, Any] = field(default_factory=dict)
    asked_in: str = ""


def post(
    session: Session, runtime: Runtime, newsletter: Newsletter, to: Subscriber, letter: Letter
) -> bool:
    """Put the letter into the outbox, in their language; False when one with its key was there.

    Raises:
        ConfigurationError: the newsletter has no sender address.
    """
    address = Address.stored(to.email, to.address_key)
    return post_to(session, runtime, newsletter, address, letter, to.locale)


def post_to(
    session: Session,
    runtime: Runtime,
    newsletter: Newsletter,
    address: Address,
    letter: Letter,
    locale: str = "",
) -> bool:
    """The same to somebody who need not be a subscriber."""
    identity = sender_identity(newsletter, now().date(), runtime.settings)
    templates = TemplateFolders.of(runtime.settings.templates.dir)
    lang = READERS.first(locale, letter.asked_in)
    body = compile_system_mail(letter.kind, identity, letter.variables, templates, lang)
    return system_mail.enqueue(
        session,
        key=letter.key,
        kind=letter.kind,
        sender=identity.sender_address,
        to=address.typed,
        wire=system_message(
            identity,
            address,
            str(READERS.translated(lang, letter.subject)),
            (body.text, body.html),
            date=now(),
            signers=keyring_of(runtime.settings).signers(identity),
        ),
    )
