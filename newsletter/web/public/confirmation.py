"""Confirming a subscription: a GET shows, a POST acts, so that no scanner subscribes anybody."""

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.rendering.mail_tokens import ConfirmToken
from newsletter.web.deps import Running, Visiting
from newsletter.web.pages import render
from subscribers import subscriptions
from subscribers.models import Subscription
from subscribers.subscriptions import Evidence

router = APIRouter()


@router.api_route("/confirm/{token}", methods=["GET", "HEAD"])
def ask(token: str, request: Request, runtime: Running) -> Response:
    """Which list it is, and one button."""
    with runtime.sessions.reading() as session:
        list_name = _subscription(token, runtime, session).list.name
    return render(request, "confirm.html", list_name=list_name, token=token)


@router.post("/confirm/{token}")
def confirm(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """The owner of the address said yes."""
    with runtime.sessions.writing() as session:
        subscription = _subscription(token, runtime, session)
        list_name = subscription.list.name
        evidence = Evidence(
            "confirmation",
            ip=visit.ip,
            user_agent=visit.user_agent,
            wording=f"Please confirm that you want to get {list_name} by e-mail.",
        )
        subscriptions.confirm(session, subscription, evidence)
    return render(request, "confirmed.html", list_name=list_name)


def _subscription(token: str, runtime: Running, session: Session) -> Subscription:
    read = ConfirmToken.read(runtime.keys, token)
    subscription = session.get(Subscription, read.subscription_id) if read else None
    if subscription is None:
        raise HTTPException(404)
    return subscription
