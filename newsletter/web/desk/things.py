"""Which newsletter a thing in a path concerns: whose people may come near it.

The guard asks before a page does anything. A path parameter that is not known here cannot be part
of a route of the desk.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, select

from newsletter.accounts.models import ApiToken
from newsletter.broadcasts.models import Broadcast
from newsletter.issues.models import Issue, Newsletter
from subscribers.imports.runs.models import ImportRun
from subscribers.models import Segment, Subscriber, SubscriberList, Subscription, Suppression

ConcernedBy = Callable[[int], Select[Any]]


def _of_issue(issue_id: int) -> Select[Any]:
    return select(Issue.newsletter_id).where(Issue.id == issue_id)


def _of_broadcast(broadcast_id: int) -> Select[Any]:
    of_issue = select(Issue.newsletter_id).join(Broadcast, Broadcast.issue_id == Issue.id)
    return of_issue.where(Broadcast.id == broadcast_id)


def _of_list(list_id: int) -> Select[Any]:
    return select(SubscriberList.newsletter_id).where(SubscriberList.id == list_id)


def _of_segment(segment_id: int) -> Select[Any]:
    of_list = select(SubscriberList.newsletter_id).join(
        Segment, Segment.list_id == SubscriberList.id
    )
    return of_list.where(Segment.id == segment_id)


def _of_person(subscriber_id: int) -> Select[Any]:
    """Every newsletter whose lists they are on; of somebody on none, nobody's: NULL."""
    return (
        select(SubscriberList.newsletter_id)
        .select_from(Subscriber)
        .outerjoin(Subscription, Subscription.subscriber_id == Subscriber.id)
        .outerjoin(SubscriberList, SubscriberList.id == Subscription.list_id)
        .where(Subscriber.id == subscriber_id)
        .distinct()
    )


def _of_import(import_id: int) -> Select[Any]:
    of_list = select(SubscriberList.newsletter_id).join(
        ImportRun, ImportRun.list_id == SubscriberList.id
    )
    return of_list.where(ImportRun.id == import_id)


def _of_suppression(suppression_id: int) -> Select[Any]:
    """Its list's newsletter; one that holds everywhere is nobody's: NULL."""
    return (
        select(SubscriberList.newsletter_id)
        .select_from(Suppression)
        .outerjoin(SubscriberList, SubscriberList.id == Suppression.list_id)
        .where(Suppression.id == suppression_id)
    )


def _itself(newsletter_id: int) -> Select[Any]:
    return select(Newsletter.id).where(Newsletter.id == newsletter_id)


def _of_token(token_id: int) -> Select[Any]:
    return select(ApiToken.newsletter_id).where(ApiToken.id == token_id)


NEWSLETTERS_OF: dict[str, ConcernedBy] = {
    "newsletter_id": _itself,
    "token_id": _of_token,
    "issue_id": _of_issue,
    "broadcast_id": _of_broadcast,
    "list_id": _of_list,
    "segment_id": _of_segment,
    "subscriber_id": _of_person,
    "import_id": _of_import,
    "suppression_id": _of_suppression,
}
"""Path parameter -> the ids of the newsletters its thing concerns; no row: there is no such thing.

NULL stands for nobody's: only who may do with the whole installation comes near it.
"""

OF_NO_NEWSLETTER = frozenset({"user_id", "relay"})
"""For routes that ask for what concerns the whole installation."""

PARTS = frozenset({"number", "name", "kind", "token"})
"""Say which part of the thing named before them; the page asks for it within that thing."""
