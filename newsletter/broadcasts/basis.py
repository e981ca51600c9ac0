"""What an issue is compiled from, and that it is still that when somebody acts on it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.issues.models import Issue, Newsletter

_SAYS_NOTHING = ("list_id", "created_at")
"""The List-Id is compared by itself: empty, it becomes what was proposed."""


class ChangedError(RefusedError):
    """The issue or its newsletter is not what was compiled any more."""


def basis_of(issue: Issue) -> dict[str, Any]:
    """Whatever of the issue and its newsletter may show in the mail."""
    newsletter = issue.newsletter
    columns = inspect(Newsletter).columns.keys()
    return {
        "issue": (issue.id, issue.date, issue.source),
        **{name: getattr(newsletter, name) for name in columns if name not in _SAYS_NOTHING},
    }


def locked_issue(session: Session, issue_id: int) -> Issue:
    """The issue's row, and its newsletter's, as they are now and until this transaction ends.

    Two clicks on send at once, or one on send and one on save: the lock lets one of them win.
    """
    session.flush()
    issue = session.get_one(Issue, issue_id, with_for_update=True, populate_existing=True)
    session.get_one(
        Newsletter, issue.newsletter_id, with_for_update={"key_share": True}, populate_existing=True
    )
    return issue


def refuse_if_changed(issue: Issue, basis: Mapping[str, Any], list_id: str) -> None:
    """Of two texts never the one that nobody looked at; `list_id` is what was compiled.

    Raises:
        ChangedError: the issue or its newsletter was changed since.
    """
    if basis_of(issue) != basis or issue.newsletter.list_id not in ("", list_id):
        raise ChangedError(
            say(
                "issue %(date)s or its newsletter was changed this moment; look at it once more",
                date=issue.date.isoformat(),
            )
        )
