"""What lies on the desk of a furnished installation: a draft that was changed, and a picture."""

from io import BytesIO

from PIL import Image as Picture
from PIL import ImageDraw
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.issues import images, revising
from newsletter.issues.models import Image, Issue
from newsletter.issues.revisions import Writer
from tests.furnished import issues
from tests.furnished.people import days_ago


def draft(sessions: Sessions, base: str, author_id: int, admin_id: int) -> int:
    """Of next week, in its third revision; its last entry has no text yet. Its id."""
    _, text = issues.weekly(issues.DRAFT)
    with days_ago(2), sessions.writing() as session:
        made = issues.store(session, text)
        shown = images.markdown(_picture(session, made.newsletter_id, admin_id), base)
    with_picture = text.replace("> A log is", f"{shown}\n\n> A log is")
    _saved(sessions, made, with_picture, Writer(author_id, "Ines Author"), days=1.2)
    unfinished = f"{with_picture}\n### [Not yet read](https://example.org/later)\n"
    _saved(sessions, made, unfinished, Writer(admin_id, "Grace Fields"), days=0.1)
    return made.id


def _saved(sessions: Sessions, issue: Issue, text: str, writer: Writer, *, days: float) -> None:
    with days_ago(days), sessions.writing() as session:
        expected = session.get_one(Issue, issue.id).revision
        revising.save(
            session, issue.id, text, writer=writer, expected=expected, is_sent=lambda _: False
        )


def _picture(session: Session, newsletter_id: int, user_id: int) -> Image:
    drawn = Picture.new("RGB", (1200, 420), "#2d4a5e")
    draw = ImageDraw.Draw(drawn)
    for ring in range(9):
        left = 90 + 120 * ring
        draw.ellipse(
            (left, 60 + 12 * ring, left + 180, 240 + 12 * ring), outline="#ff9a6b", width=6
        )
    file = BytesIO()
    drawn.save(file, "PNG")
    return images.add(
        session,
        newsletter_id,
        images.make(file.getvalue()),
        alt="Nine rings that slowly sink to the right",
        name="rings.png",
        uploaded_by=user_id,
    )
