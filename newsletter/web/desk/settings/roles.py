"""Roles as pages name them."""

from fastapi import HTTPException

from newsletter.accounts.permissions import Role
from newsletter.web.desk.text import _

NOBODY = ""
"""The value of a form's choice that means: no role."""


def role_names() -> dict[Role | None, str]:
    """What each role is called."""
    return {
        Role.AUTHOR: _("Author"),
        Role.SENDER: _("Sender"),
        Role.ADMIN: _("Admin"),
        None: _("Nobody"),
    }


def role_choices() -> list[tuple[str, str]]:
    """For a choice in a form: each role with what it may do."""
    return [
        (NOBODY, _("No role")),
        (Role.AUTHOR.value, _("Author: writes issues")),
        (Role.SENDER.value, _("Sender: writes, approves and sends")),
        (Role.ADMIN.value, _("Admin: all of that, people and settings")),
    ]


def parse_role(text: str) -> Role | None:
    """The role that a form sent.

    Raises:
        HTTPException: it is no choice of ours.
    """
    if text == NOBODY:
        return None
    try:
        return Role(text)
    except ValueError:
        raise HTTPException(422) from None
