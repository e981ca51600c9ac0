"""Which issues show a picture, and deleting one that none shows."""

from collections.abc import Sequence

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session, defer

from newsletter.broadcasts.models import Broadcast, Content
from newsletter.broadcasts.sent_issues import counts_as_sent
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.issues import images
from newsletter.issues.models import Image, Issue, Newsletter
from newsletter.rendering.templates import TemplateFolders


def shown_in(session: Session, image: Image) -> Sequence[Issue]:
    """Issues whose text shows it, or whose mail that is out or about to go; the newest first.

    Also those of other newsletters: an address of a picture can be copied anywhere. A mail may
    show one that no text names: the sign above the newsletter's name, as it was then.
    """
    path = images.path(image)
    frozen = (
        select(Broadcast.issue_id)
        .join(Content, Content.broadcast_id == Broadcast.id)
        .where(counts_as_sent(), cast(Content.compiled, Text).contains(path))
    )
    shown = or_(Issue.source.contains(path), Issue.id.in_(frozen))
    query = select(Issue).where(shown).order_by(Issue.date.desc(), Issue.id)
    return session.scalars(query.options(defer(Issue.source))).all()


def is_sign(session: Session, image: Image) -> bool:
    """It stands above a newsletter's name."""
    return any(
        logo.get("path") == images.path(image) for logo in session.scalars(select(Newsletter.logo))
    )


def in_templates(templates: TemplateFolders, image: Image) -> tuple[str, ...]:
    """The operator's files that name it: every mail that is made by them will show it."""
    return templates.with_text(images.path(image))


def delete(session: Session, image: Image, templates: TemplateFolders) -> None:
    """Take away a picture for good.

    Raises:
        RefusedError: somebody would miss it.
    """
    if shown_in(session, image):
        raise RefusedError(say("an issue shows this picture"))
    if is_sign(session, image):
        raise RefusedError(say("this picture is the sign above the newsletter's name"))
    if in_templates(templates, image):
        raise RefusedError(say("a template of the mail shows this picture"))
    session.delete(image)
