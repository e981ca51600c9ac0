"""What each role may do: one table, and nothing is allowed that does not stand in it."""

from enum import StrEnum


class Role(StrEnum):
    """What somebody does here; each may what the one before may."""

    AUTHOR = "author"
    SENDER = "sender"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a page or a command asks for before it does anything."""

    ACCOUNT = "account"
    """One's own account: whoever can log in."""
    READ = "read"
    """Issues, reports, how a sending goes."""
    WRITE = "write"
    """Issues and their pictures; a test mail to oneself."""
    SEND = "send"
    """Broadcasts: plan, approve, steer; count an audience."""
    PEOPLE = "people"
    """People, lists, segments, imports, the newsletter's own suppressions."""
    SETTINGS = "settings"
    """The newsletter's identity and look, its API tokens."""
    INSTALLATION = "installation"
    """Whatever concerns every newsletter: users, relays, the audit trail, new newsletters."""


_NOBODY_YET = frozenset({Permission.ACCOUNT})
_AUTHOR = _NOBODY_YET | {Permission.READ, Permission.WRITE}
_SENDER = _AUTHOR | {Permission.SEND}
_ADMIN = _SENDER | {Permission.PEOPLE, Permission.SETTINGS}

ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.AUTHOR: _AUTHOR,
    Role.SENDER: _SENDER,
    Role.ADMIN: _ADMIN,
}

ALLOWED_EVERYWHERE: dict[Role, frozenset[Permission]] = {
    **ALLOWED,
    Role.ADMIN: _ADMIN | {Permission.INSTALLATION},
}
"""For a role that holds in every newsletter, also those to come."""

_RANKS = tuple(Role)


def stronger(one: Role | None, other: Role | None) -> Role | None:
    """The role that counts of somebody who has both."""
    return max((role for role in (one, other) if role), key=_RANKS.index, default=None)


def permissions(everywhere: Role | None, here: Role | None) -> frozenset[Permission]:
    """What somebody may in a newsletter, by their role everywhere and their role in it."""
    allowed = ALLOWED_EVERYWHERE[everywhere] if everywhere else _NOBODY_YET
    return allowed | (ALLOWED[here] if here else frozenset())
