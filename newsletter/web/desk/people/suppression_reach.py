"""How far somebody reaches among the suppressions, and what they ask for there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.text import _
from subscribers.lists import of_newsletter
from subscribers.models import EVERYWHERE, SubscriberList

OURS, ALL = "ours", "everywhere"


@dataclass(frozen=True, slots=True)
class Reach:
    """The lists whose suppressions somebody sees and changes.

    Attributes:
        everywhere: also those that hold for every list.
    """

    lists: Sequence[SubscriberList]
    everywhere: bool

    @property
    def ids(self) -> list[int]:
        """For a search: EVERYWHERE among them, where they may."""
        ours = [each.id for each in self.lists]
        return [EVERYWHERE, *ours] if self.everywhere else ours

    def chosen(self, text: str) -> list[int]:
        """The list ids that a form names.

        Raises:
            InputError: it names others.
        """
        if text == ALL and self.everywhere:
            return [EVERYWHERE]
        ours = [each.id for each in self.lists]
        if text == OURS and ours:
            return ours
        if text.isascii() and text.isdecimal() and int(text[:12]) in ours:
            return [int(text)]
        raise InputError("scope", say("Choose what it is for."))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a search asks for, as it was typed."""

    part: str = ""
    scope: str = ""
    reason: str = ""

    @classmethod
    def of(cls, said: Mapping[str, str]) -> "Asked":
        """From the address of a page, or a form."""
        words = (said.get(name, "").replace("\0", "").strip() for name in ("q", "scope", "reason"))
        part, scope, reason = words
        return cls(part[:320], scope, reason)

    @property
    def is_narrow(self) -> bool:
        return self != Asked()

    def query(self, **more: object) -> str:
        """Of the address of a page that asks the same."""
        said = {"q": self.part, "scope": self.scope, "reason": self.reason, **more}
        return urlencode({name: value for name, value in said.items() if value})


def reach_of(session: Session, editor: Editor) -> Reach:
    """What this editor sees and changes."""
    ours = of_newsletter(session, editor.newsletter_id) if editor.newsletter_id else []
    return Reach(ours, editor.may(Permission.INSTALLATION))


def scopes(reach: Reach) -> list[tuple[str, str]]:
    """What a suppression can be for, as options of a form."""
    offered = [(str(each.id), each.name) for each in reach.lists]
    if len(offered) > 1:
        offered.insert(0, (OURS, _("All lists of this newsletter")))
    return [(ALL, _("Everywhere")), *offered] if reach.everywhere else offered


def names(reach: Reach) -> dict[int, str]:
    """What the lists of a search are called, by their ids."""
    return {EVERYWHERE: _("everywhere"), **{each.id: each.name for each in reach.lists}}
