"""Relays: what is set, how they are, try one out, leave one alone."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response

from newsletter.accounts import audit
from newsletter.accounts.models import AuditEvent
from newsletter.accounts.permissions import Permission
from newsletter.core.clock import now
from newsletter.core.errors import ConfigurationError, NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import Sentence, say
from newsletter.mail.smtp_fault import SmtpFault
from newsletter.sending import relays
from newsletter.sending.breaker import BreakerState
from newsletter.sending.relay_check import RelayCheckError, check
from newsletter.sending.relay_rates import throttled_rates
from newsletter.sending.relay_url import RelayUrl, server_of
from newsletter.sending.relays import RelayStatus
from newsletter.web.deps import Running
from newsletter.web.desk import audit_words
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page, part
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()

_LONGEST_REASON = 200
_PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class RelayView:
    """A relay as the page shows it: no credentials.

    Attributes:
        rate_now: messages per second that it is held back to; None: not held back, or not known
            outside of the sender.
        tone: of its state.
        paused_by: who paused it, as the audit trail knows, and when.
    """

    name: str
    server: str
    security: str
    has_login: bool
    connections: int
    connections_now: int
    messages: int | None
    messages_now: int | None
    pipelines: bool
    rate: float | None
    rate_now: float | None
    state: str
    is_paused: bool
    tone: str
    paused_by: str
    paused_at: datetime | None
    reason: str
    until: datetime | None


@router.get("/settings/relays")
@needs(Permission.INSTALLATION)
def index(request: Request, runtime: Running) -> Response:
    """All relays in the order they are used in."""
    return page(request, "settings/relays.html", relays=_views(runtime), tried={})


@router.get("/settings/relays/state")
@needs(Permission.INSTALLATION)
def state(request: Request, runtime: Running) -> Response:
    """The same list alone, for the page that is there already and asks now and then."""
    return part(request, "settings/relay_list.html", relays=_views(runtime), tried={})


@router.post("/settings/relays/{relay}/test")
@needs(Permission.INSTALLATION)
def try_out(request: Request, runtime: Running, relay: str) -> Response:
    """Connect, secure, log in; say what came of it. Nothing is sent."""
    tried = {relay: tried_out(runtime, relay)}
    return page(request, "settings/relays.html", relays=_views(runtime), tried=tried)


@router.post("/settings/relays/{relay}/pause")
@needs(Permission.INSTALLATION)
def pause(request: Request, runtime: Running, editor: Seated, relay: str, sent: Sent) -> Response:
    """Offer it nothing until it is resumed."""
    relays.find_relay(runtime.settings.relays, relay)
    reason = sent.one("reason")[:_LONGEST_REASON] or _unsaid(editor.email)
    with runtime.sessions.writing() as session:
        relays.pause(session, relay, reason, now())
        audit.record(session, editor.actor, "relay.paused", relay=relay)
    return go(request, "/settings/relays", said=_("%(name)s is paused.", name=relay))


@router.post("/settings/relays/{relay}/resume")
@needs(Permission.INSTALLATION)
def resume(request: Request, runtime: Running, editor: Seated, relay: str) -> Response:
    """Use it again, with a closed breaker and the limits that are set."""
    relays.find_relay(runtime.settings.relays, relay)
    with runtime.sessions.writing() as session:
        relays.resume(session, relay, now())
        audit.record(session, editor.actor, "relay.resumed", relay=relay)
    return go(request, "/settings/relays", said=_("%(name)s is in use.", name=relay))


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying a relay out.

    Attributes:
        sentence: in plain words; what to do, if it does not work.
        detail: what the machine said.
    """

    works: bool
    sentence: str
    detail: str = ""


def tried_out(runtime: Runtime, name: str) -> Tried:
    """Connect as the send loop would, in this thread; no transaction is open meanwhile.

    Raises:
        NotFoundError: no such relay.
    """
    relay = relays.find_relay(runtime.settings.relays, name)
    try:
        checked = check(relay)
    except RelayCheckError as error:
        return Tried(works=False, sentence=_advice(error.fault), detail=error.fault.sentence)
    except NewsletterError as error:
        return Tried(works=False, sentence=capitalised(error.sentence))
    secured = checked.tls or _("no encryption at all")
    said = _("It answers and lets us in, over %(tls)s.", tls=secured)
    if not RelayUrl.parse(relay.url.get_secret_value(), place=f"relays.{name}.url").user:
        said = _("It answers, over %(tls)s; no user name is set, so none was used.", tls=secured)
    offers = _("It offers: %(extensions)s", extensions=", ".join(checked.extensions))
    return Tried(works=True, sentence=said, detail=offers if checked.extensions else "")


def _advice(fault: SmtpFault) -> str:
    """What to look at, by what kind of fault it is."""
    if fault.lacks_tls:
        return _(
            "It offers no encryption, so nothing was said to it. Put ?tls=none behind the URL for "
            "a relay on this machine; for any other compare host and port with what the provider "
            "says."
        )
    if fault.is_configuration:
        return _(
            "It does not let us in. Compare user name, password and the kind of encryption with "
            "what the provider says; a password's special characters are written as %%XX."
        )
    if fault.reply is not None:
        return _(
            "It answers, but does not want us now. What it said is for the provider to explain."
        )
    return _(
        "No mail server can be reached there. Look at host and port, and whether a firewall lets "
        "this machine out: many hosts close port 25."
    )


def _views(runtime: Runtime) -> list[RelayView]:
    rates = asyncio.run(throttled_rates(runtime.settings))
    with runtime.sessions.reading() as session:
        found = relays.list_relays(session, runtime.settings.relays, now())
        pauses = {
            status.relay.name: audit.last(session, "relay.paused", relay=status.relay.name)
            for status in found
            if status.state == _PAUSED
        }
    return [
        _view(status, rates.get(status.relay.name), pauses.get(status.relay.name))
        for status in found
    ]


def _unsaid(who: str) -> Sentence:
    """The reason of a pause for which nobody gave one."""
    return say("paused by %(who)s", who=who)


def _view(status: RelayStatus, rate_now: float | None, pause: AuditEvent | None) -> RelayView:
    relay, limits = status.relay, status.limits
    server, security, has_login = _way(relay)
    paused_by = audit_words.who(pause.actor).text if pause else ""
    states = {
        _PAUSED: (_("paused"), "busy"),
        BreakerState.CLOSED: (_("in use"), "good"),
        BreakerState.OPEN: (_("left alone for a while"), "wrong"),
        BreakerState.HALF_OPEN: (_("to be tried again"), "busy"),
        BreakerState.PROBING: (_("being tried again"), "busy"),
    }
    said, tone = states.get(status.state, (str(status.state), "busy"))
    return RelayView(
        name=relay.name,
        server=server,
        security=security,
        has_login=has_login,
        connections=relay.connections,
        connections_now=limits.connections,
        messages=relay.messages_per_connection,
        messages_now=limits.messages_per_connection,
        pipelines=limits.may_pipeline,
        rate=relay.rate,
        rate_now=rate_now,
        state=said,
        is_paused=status.state == _PAUSED,
        tone=tone,
        paused_by=paused_by,
        paused_at=pause.at if pause else None,
        reason="" if paused_by and status.reason == _unsaid(paused_by) else status.reason,
        until=status.until,
    )


def _way(relay: RelaySettings) -> tuple[str, str, bool]:
    """Where it is, how the way is secured, whether a user name is set."""
    try:
        url = RelayUrl.parse(relay.url.get_secret_value(), place=f"relays.{relay.name}.url")
    except ConfigurationError as error:
        return capitalised(error.sentence), "", False
    if url.without_tls:
        return server_of(relay), _("no encryption"), bool(url.user)
    kind = _("TLS from the first byte") if url.implicit_tls else _("STARTTLS")
    return server_of(relay), kind, bool(url.user)
