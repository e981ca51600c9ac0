"""The relay misbehaves: it drops, is silent, drips, lies, limits, refuses, or dies."""

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newsletter.broadcasts.models import BroadcastState
from newsletter.core.config import RelaySettings
from tests.faults.cases import EMBEDDED, FULL, Injection, fault
from tests.faults.checks import beyond_rate
from tests.faults.plans import Act, Rule, Stage
from tests.faults.runs import CONNECTIONS, LEASE_SECONDS, Run
from tests.faults.servers import wait_until

_SOME = 0.02


def _with(*rules: Rule, **limits: object) -> Injection:
    def inject(run: Run) -> None:
        run.misbehave(*rules, **limits)
        run.send_in_the_foreground()

    return inject


def _misbehaving(
    name: str, *rules: Rule, quick: bool = False, short: bool = False, **limits: object
) -> None:
    fault(name, quick=EMBEDDED if quick else (), short=EMBEDDED if short else ())(
        _with(*rules, **limits)
    )


_TEN_KILOBYTES = "250-" + "x" * 10_000 + "\n250 2.0.0 Ok " + "y" * 10_000

_misbehaving(
    "accepts, then drops",
    Rule(Stage.DOT, Act.DROP, share=_SOME, accepts=True),
    quick=True,
    short=True,
)
_misbehaving("accepts, then resets", Rule(Stage.DOT, Act.RESET, share=_SOME, accepts=True))
_misbehaving("reads to the dot and drops", Rule(Stage.DOT, Act.DROP, share=_SOME))
_misbehaving("drops in the body", Rule(Stage.BODY, Act.DROP, share=_SOME), quick=True)
_misbehaving("resets in the body", Rule(Stage.BODY, Act.RESET, share=_SOME))
_misbehaving(
    "drops before the body",
    *(Rule(stage, Act.DROP, share=_SOME) for stage in (Stage.RCPT, Stage.DATA)),
    Rule(Stage.MAIL, Act.DROP, times=2),
    Rule(Stage.EHLO, Act.DROP, times=2),
    Rule(Stage.BANNER, Act.DROP, times=2),
)
_misbehaving(
    "resets before the body",
    *(Rule(stage, Act.RESET, share=_SOME) for stage in (Stage.RCPT, Stage.DATA)),
    Rule(Stage.MAIL, Act.RESET, times=2),
    Rule(Stage.BANNER, Act.RESET, times=2),
)
_misbehaving(
    "garbage before the body",
    *(Rule(stage, reply="?!#", share=_SOME) for stage in (Stage.RCPT, Stage.DATA)),
    Rule(Stage.MAIL, reply="HTTP/1.1 400 Bad Request", times=2),
    Rule(Stage.BANNER, reply="SSH-2.0-OpenSSH", times=2),
)
_misbehaving(
    "garbage after the dot",
    Rule(Stage.DOT, reply="\x01\x02?!#", share=_SOME, accepts=True),
)
_misbehaving(
    "multi-line and 10 kB reply lines",
    *(
        Rule(stage, reply=_TEN_KILOBYTES, share=0.2, accepts=stage is Stage.DOT)
        for stage in (Stage.RCPT, Stage.DOT)
    ),
    Rule(Stage.MAIL, reply=_TEN_KILOBYTES, share=0.2, times=20),
    Rule(Stage.BANNER, reply="220-" + "w" * 10_000 + "\n220 referee.test", times=0),
    quick=True,
)
_misbehaving("lies about PIPELINING", lies=True, quick=True)
_misbehaving("no extensions at all", extensions=())


def _for_a_while(
    name: str, stage: Stage, act: Act, *, accepts: bool = False, reply: str = ""
) -> None:
    """A relay that keeps one connection waiting for longer than a lease."""

    def inject(run: Run) -> None:
        seconds = LEASE_SECONDS + run.form.outage_seconds
        few = tuple(run.random.sample(run.recipients, 4))
        run.misbehave(Rule(stage, act, reply, recipients=few, seconds=seconds, accepts=accepts))
        run.start()

    fault(name)(inject)


_for_a_while("silence after the dot", Stage.DOT, Act.SILENCE)
_for_a_while("accepts in silence", Stage.DOT, Act.SILENCE, accepts=True)
_for_a_while("replies after the lease", Stage.DOT, Act.LATE, accepts=True)
_for_a_while("refuses after the lease", Stage.DOT, Act.LATE, reply="451 4.2.1 Try again")
_for_a_while("silence before the body", Stage.RCPT, Act.SILENCE)
_for_a_while("drips its reply to RCPT", Stage.RCPT, Act.DRIP)
_for_a_while("drips its last reply", Stage.DOT, Act.DRIP, accepts=True)
_for_a_while("drips, and takes it in the end", Stage.DOT, Act.DRIP, accepts=True, reply="250 Ok")
_for_a_while("stops reading", Stage.BODY, Act.DEAF)


# Limits.

_misbehaving(
    "50 messages per connection, then 452", messages_per_connection=50, quick=True, short=True
)
_misbehaving(
    "50 messages per connection, then 421",
    messages_per_connection=50,
    limit_reply="421 4.4.5 Too many messages on this connection",
)
_misbehaving("fewer connections than configured", connections=CONNECTIONS // 2)


@fault("14 messages per second, then 451 4.7.0", recipients=300)
def throttled(run: Run) -> None:
    """I8: the rate is learned; at most every second offer may be one too many."""
    run.misbehave(throttle_per_second=14)
    run.start()
    run.wait_until_ended()
    refused = sum(event["event"] == "refused" for event in run.events())
    if refused > len(run.recipients):
        run.broken.append(f"I8 {refused} offers above the rate for {len(run.recipients)} messages")


@fault("a rate of 50 per second over all workers", recipients=400, sending_seconds=1)
def rate_kept(run: Run) -> None:
    """I8: judged by the times at which the server took the messages."""
    if "rate" not in RelaySettings.model_fields:
        run.broken.append("I8 a relay's rate cannot be set")
        return
    run.set_relays(rate=50, burst=10)
    run.send_in_the_foreground()
    run.wait_until_ended()
    times = [float(event["at"]) for event in run.events() if event["event"] == "accepted"]
    if too_many := beyond_rate(times, per_second=50, burst=10):
        run.broken.append(f"I8 {too_many} messages beyond rate and burst")


# Replies: every row of the table, at every stage.


@dataclass(frozen=True, slots=True)
class _Answers:
    """One kind of reply: the ways it is said, and where its recipients must end."""

    state: str
    replies: Sequence[str]


_TEMPORARY = _Answers(
    "accepted",
    (
        "450 4.2.1 Mailbox busy",
        "452 4.2.2 Mailbox full for now",
        "451 4.7.1 Greylisted, come back later",
        "450 4.1.1 Cannot be looked up",
        "451 Local error in processing",
        "450 5.1.1 Contradicts itself",
        "451-4.2.1 Mailbox\n451 4.2.1 busy",
    ),
)
_FINAL = _Answers(
    "failed",
    (
        "550 5.1.1 User unknown",
        "550 5.1.2 Bad destination",
        "553 5.1.3 Bad address",
        "551 5.1.6 Moved",
        "550 5.1.10 Null MX",
        "550 5.2.1 Disabled",
        "552 5.2.2 Mailbox full",
        "554 5.7.1 Not wanted",
        "554 5.6.0 Cannot be read",
        "552 5.3.4 Too large",
        "550-5.1.1 User\n550 5.1.1 unknown",
        "550 no such user here",
    ),
)
_ABOUT_THE_RELAY = (
    "421 4.3.2 Shutting down",
    "421 Too busy",
    "451 4.3.2 Not now",
    "451 4.4.1 No route",
    "454 4.7.0 Temporary failure",
    "451 4.7.0 Try again",
    "451 Too many messages, slow down",
    "452 4.5.3 Too many recipients",
    "452 4.4.5 Enough for this connection",
)
_CONFIGURATION = (
    "530 5.7.0 Authentication required",
    "535 5.7.8 Not you",
    "550 5.1.8 Sender's domain does not exist",
    "550 5.7.26 Unauthenticated sender",
)
_PER_RECIPIENT_STAGES = (Stage.RCPT, Stage.DATA, Stage.DOT)


@fault("every reply about a recipient", quick=EMBEDDED, short=FULL, sending_seconds=3)
def replies_about_recipients(run: Run) -> None:
    expected: dict[str, str] = {}
    rules = []
    left = iter(run.random.sample(run.recipients, len(run.recipients)))
    for answers in (_TEMPORARY, _FINAL):
        for reply, stage in _everywhere(answers.replies):
            address = next(left)
            expected[address] = answers.state
            always = 0 if answers is _FINAL else 1
            rules.append(Rule(stage, reply=reply, recipients=(address,), times=always))
    run.misbehave(*rules)
    run.start()
    run.wait_until_ended()
    for row in run.ledger():
        if row.state != expected.get(row.address, "accepted"):
            run.broken.append(f"{row.address}: {row.state} ({row.reason})")


@fault("every reply about the relay")
def replies_about_the_relay(run: Run) -> None:
    """Nobody fails for it: each gets the mail once the relay takes it."""
    few = iter(run.random.sample(run.recipients, 60))
    rules = [
        Rule(stage, reply=reply, recipients=(next(few),))
        for reply, stage in _everywhere(_ABOUT_THE_RELAY)
    ]
    before = [Rule(stage, reply=_ABOUT_THE_RELAY[0]) for stage in (Stage.BANNER, Stage.MAIL)]
    run.misbehave(*rules, *before)
    run.start()
    run.wait_until_ended()
    if failed := [row.address for row in run.ledger() if row.state != "accepted"]:
        run.broken.append(f"not accepted after the relay's own trouble: {failed[:3]}")


def _refused_as_a_whole(name: str, reply: str, stage: Stage) -> None:
    """Everybody would fail: the broadcast pauses before the list is burnt, and then goes on."""

    def inject(run: Run) -> None:
        run.misbehave(Rule(stage, reply=reply, times=0))
        run.start()
        paused = f"paused by {reply[:10]}"
        wait_until(lambda: run.state() is BroadcastState.PAUSED, paused, run.patience)
        failed = sum(row.state == "failed" for row in run.ledger())
        if failed > len(run.recipients) // 2:
            run.broken.append(f"{failed} failed before the broadcast paused")
        run.behave()
        run.installation.run("broadcasts", "resume", str(run.broadcast_id))

    fault(name)(inject)


for _reply in _CONFIGURATION:
    _refused_as_a_whole(f"{_reply[:10]} for everybody", _reply, Stage.MAIL)
_refused_as_a_whole("554 5.7.1 content for everybody", "554 5.7.1 Spam", Stage.DOT)


def _everywhere(replies: Sequence[str]) -> Iterator[tuple[str, Stage]]:
    return ((reply, stage) for reply in replies for stage in _PER_RECIPIENT_STAGES)


# The relay dies.


@fault("relay killed, and back")
def relay_killed(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.2, 0.6))
    _kill_relay(run)
    time.sleep(run.form.outage_seconds)
    run.referee.start()


@fault("relay A dies while B lives")
def failover(run: Run) -> None:
    """Nothing that is in doubt at A may be offered to B."""
    other = run.second_relay()
    run.start()
    run.reach(run.random.uniform(0.2, 0.6))
    _kill_relay(run)
    run.wait_until_ended()
    if not other.accepted():
        run.broken.append("relay B was never used")


def _kill_relay(run: Run) -> None:
    """What it had read and not yet logged is not accepted; the client cannot know."""
    run.referee.stop(signal.SIGKILL)
    run.crashes += 1
