"""`newsletter relays`: the SMTP providers, how they are, and who may use them."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.core.config import Settings
from newsletter.core.errors import ConfigurationError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.sending import relays
from newsletter.sending.breaker import BreakerState
from newsletter.sending.ratelimit import Limit
from newsletter.sending.relay_check import SampleMail, check
from newsletter.sending.relay_rates import throttled_rates
from newsletter.sending.relay_url import server_of
from newsletter.sending.relays import RelayStatus

app = typer.Typer(help="The SMTP providers: limits, health, pause.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="RELAY", help="Its name in the settings.")]


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All relays with their limits, configured and learned, and whether they are used."""
    runtime = state.runtime()
    with runtime.sessions.reading() as session:
        found = relays.list_relays(session, runtime.settings.relays, now())
    throttled = asyncio.run(throttled_rates(runtime.settings))
    rows = [_facts(status, throttled.get(status.relay.name)) for status in found]
    shown = rows if as_json else [_shown(row) for row in rows]
    output.print_table(shown, as_json=as_json, empty="No relay is configured.")
    if not as_json:
        for remark in (remark for row in rows for remark in _remarks(row)):
            output.say(remark)


@app.command("test")
def try_out(
    name: Name,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Also hand over one test mail for it.")
    ] = None,
) -> None:
    """Connect to a relay, log in, and show what it offers; a paused one too."""
    settings = state.settings()
    relay = relays.find_relay(settings.relays, name)
    mail = _sample_mail(settings, to) if to else None
    checked = check(relay, mail)
    output.say(f"Relay {name} at {server_of(relay)} lets us in.")
    output.say(f"tls         {checked.tls or 'none'}")
    output.say(f"extensions  {', '.join(checked.extensions) or 'none'}")
    if mail and checked.reply:
        _judge(name, mail.to, checked.reply)


@app.command()
def pause(
    name: Name,
    *,
    reason: Annotated[str, typer.Option(help="Shown by `relays list`.")] = "operator",
    dry_run: output.DryRun = False,
) -> None:
    """Offer a relay nothing until it is resumed."""
    runtime = state.runtime()
    relays.find_relay(runtime.settings.relays, name)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        relays.pause(session, name, reason, now())
        audit.record(session, audit.at_the_command_line(), "relay.paused", relay=name)
    output.say(f"Relay {name} {'would be' if dry_run else 'is'} paused.")


@app.command()
def resume(name: Name, *, dry_run: output.DryRun = False) -> None:
    """Use a relay again: closes its breaker and forgets what was learned about its limits."""
    runtime = state.runtime()
    relays.find_relay(runtime.settings.relays, name)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        relays.resume(session, name, now())
        audit.record(session, audit.at_the_command_line(), "relay.resumed", relay=name)
    output.say(f"Relay {name} {'would be' if dry_run else 'is'} in use.")


def _facts(status: RelayStatus, throttled_to: float | None) -> dict[str, Any]:
    relay, limits = status.relay, status.limits
    return {
        "name": relay.name,
        "server": server_of(relay),
        "connections": relay.connections,
        "connections_now": limits.connections,
        "messages_per_connection": relay.messages_per_connection,
        "messages_per_connection_now": limits.messages_per_connection,
        "pipelining": limits.may_pipeline,
        "rate": relay.rate,
        "burst": Limit.of(relay).burst if relay.rate else None,
        "throttled_to": throttled_to,
        "state": status.state,
        "until": status.until,
        "reason": status.reason,
    }


def _shown(facts: Mapping[str, Any]) -> dict[str, str]:
    """The same for a person: what is learned stands beside what is configured."""
    slowed = facts["throttled_to"]
    return {
        "name": facts["name"],
        "server": facts["server"],
        "connections": _learned(facts, "connections"),
        "messages each": _learned(facts, "messages_per_connection"),
        "rate": _rate(facts["rate"]) + (f", now {slowed:.3g}/s" if slowed else ""),
        "state": "in use" if facts["state"] == BreakerState.CLOSED else facts["state"],
    }


def _remarks(facts: Mapping[str, Any]) -> Iterator[str]:
    """What is too long for a table: why a relay is not simply in use."""
    until = f" until {facts['until'].astimezone():%H:%M:%S}" if facts["until"] else ""
    if facts["reason"]:
        yield f"{facts['name']} is {facts['state']}{until}: {facts['reason']}"
    if not facts["pipelining"]:
        yield f"{facts['name']} offers PIPELINING and breaks it: it gets one command at a time"


def _learned(facts: Mapping[str, Any], name: str) -> str:
    configured, present = facts[name], facts[f"{name}_now"]
    said = "any" if configured is None else str(configured)
    return said if present == configured else f"{said}, learned {present}"


def _rate(per_second: float | None) -> str:
    return "any" if per_second is None else f"{per_second:g}/s"


def _sample_mail(settings: Settings, to: str) -> SampleMail:
    if not settings.sender.address:
        raise ConfigurationError(say("sender.address is not set: a test mail comes from it"))
    sender = Address.parse(settings.sender.address, place="sender.address")
    return SampleMail(sender, Address.parse(to, place="--to"))


def _judge(name: str, to: Address, reply: Reply) -> None:
    said = " ".join(str(part) for part in (reply.code, reply.enhanced, reply.text) if part)
    if classify(reply) is not ReplyClass.ACCEPTED:
        raise RefusedError(
            say("relay %(name)s did not accept the test mail: %(said)s", name=name, said=said)
        )
    output.say(f"It accepted a test mail for {to.typed}: {said}")
