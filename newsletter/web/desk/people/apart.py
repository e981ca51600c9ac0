"""What stays apart: of people whom another newsletter knows too, what is kept once for all."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.people.asked import here
from subscribers.elsewhere import elsewhere


def told_to(editor: Editor) -> int | None:
    """The newsletter that the editor works for; None for who may see what all of them know."""
    return None if editor.may(Permission.INSTALLATION) else here(editor)


def private(session: Session, editor: Editor, subscriber_ids: Collection[int]) -> set[int]:
    """Those of some people of whom the editor sees the address and how they stand, no more."""
    newsletter_id = told_to(editor)
    return set() if newsletter_id is None else elsewhere(session, subscriber_ids, newsletter_id)
