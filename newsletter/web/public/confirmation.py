"""Confirming a subscription: a GET shows, a POST acts, so that no scanner subscribes anybody."""

from dataclasses import dataclass
from typing import Self

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.catalogues import READERS
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import Sentence, say
from newsletter.rendering.mail_tokens import ConfirmToken
from newsletter.sending import confirmation
from newsletter.tracking.recording import Visit
from newsletter.web.deps import Running, Visiting
from newsletter.web.pages import language_of, render
from newsletter.web.public.sign_up_form import Door
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentMethod,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from subscribers.subscriptions import find_subscription

router = APIRouter()


@router.api_route("/confirm/{token}", methods=["GET", "HEAD"])
def ask(token: str, request: Request, runtime: Running) -> Response:
    """Which list it is, and one button."""
    read = _read(token, runtime)
    with runtime.sessions.reading() as session:
        about = _About.of(session, read)
        found = find_subscription(session, read.subscriber_id, read.list_id)
    return _page(request, token, read, about, found) or about.show(
        request, "confirm.html", token=token
    )


@router.post("/confirm/{token}")
def confirm(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """The owner of the address said yes."""
    read = _read(token, runtime)
    with runtime.sessions.writing() as session:
        about = _About.of(session, read)
        language = language_of(request, about.locale)
        evidence = _evidence(runtime, about, visit, READERS.translated(language, about.question))
        found = confirmation.confirm(session, runtime, read, evidence, language)
    shown = _page(request, token, read, about, found)
    assert shown, "a link that is not over has confirmed"
    return shown


@router.post("/confirm/{token}/again")
def again(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """A new link for an old one; the same answer whatever became of it."""
    read = _read(token, runtime)
    with runtime.sessions.writing() as session:
        about = _About.of(session, read)
        language = language_of(request, about.locale)
        evidence = _evidence(runtime, about, visit, READERS.translated(language, about.offer))
        confirmation.ask_again(session, runtime, read, evidence, language)
    return about.show(request, "asked_again.html")


@dataclass(frozen=True, slots=True)
class _About:
    """The list that a link is about, and the language of whom it was mailed to, or none."""

    list_name: str
    slug: str
    is_open: bool
    """Anybody may sign up to it."""
    locale: str

    @classmethod
    def of(cls, session: Session, token: ConfirmToken) -> Self:
        found = session.scalar(select(SubscriberList).where(SubscriberList.id == token.list_id))
        if found is None:
            raise HTTPException(404)
        is_open = found.is_public and found.newsletter_id is not None
        person = session.get(Subscriber, token.subscriber_id)
        return cls(found.name, found.slug, is_open, person.locale if person else "")

    @property
    def question(self) -> Sentence:
        """What they are asked; kept as evidence in the words that were shown."""
        return say("Please confirm that you want to get %(list)s by e-mail.", list=self.list_name)

    @property
    def offer(self) -> Sentence:
        """What the page of an old link says above its button; kept likewise."""
        return say(
            "You are not subscribed yet. If you still want to get %(list)s by e-mail, "
            "we send you a new link.",
            list=self.list_name,
        )

    def show(self, request: Request, page: str, *, status: int = 200, token: str = "") -> Response:
        return render(request, page, status=status, locale=self.locale, about=self, token=token)


def _page(
    request: Request, token: str, read: ConfirmToken, about: _About, found: Subscription | None
) -> Response | None:
    """What is so already or not any more; None while it waits to be confirmed."""
    if found and found.status is SubscriptionStatus.ACTIVE:
        return about.show(request, "confirmed.html")
    if found is None or found.status is SubscriptionStatus.UNSUBSCRIBED:
        return about.show(request, "withdrawn.html", status=410)
    if confirmation.is_over(read, found):
        return about.show(request, "confirm_too_late.html", status=410, token=token)
    return None


def _evidence(runtime: Runtime, about: _About, visit: Visit, wording: str) -> Evidence:
    return Evidence(
        ConsentMethod.CONFIRMATION,
        source=f"{runtime.settings.site.public_url}/confirm",  # the rest of the address is a key
        wording=wording,
        form=f"{about.slug}: {Door.CONFIRMATION}",
        ip=visit.ip,
        user_agent=visit.user_agent,
    )


def _read(token: str, runtime: Running) -> ConfirmToken:
    read = ConfirmToken.read(runtime.keys, token)
    if read is None:
        raise HTTPException(404)
    return read
