"""The relay misbehaves: it drops, is silent, drips, lies, limits, or dies."""

import signal
import time
from dataclasses import replace

from newsletter.sending.rights import GRANT
from tests.faults.cases import EMBEDDED, Injection, fault
from tests.faults.checks import beyond_rate
from tests.faults.plans import Act, Rule, Stage
from tests.faults.runs import CONNECTIONS, LEASE_SECONDS, Run

_SOME = 0.02
_BEARS_PER_SECOND = 14
_MANY = 25
"""Of so many faults the breaker has opened; each of its openings costs half a minute more."""


def _with(*rules: Rule, **limits: object) -> Injection:
    def inject(run: Run) -> None:
        some = [rule for rule in rules if rule.share == _SOME]
        share = min(_SOME, _MANY / len(run.recipients) / max(1, len(some)))
        fewer = (replace(rule, share=share) if rule in some else rule for rule in rules)
        run.misbehave(*fewer, **limits)
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
        seconds = LEASE_SECONDS + min(run.form.outage_seconds, 2 * LEASE_SECONDS)
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
    """I8: the rate is learned; at most every second offer may be one too many.

    Learned too low it would be kept as well, and the last would get yesterday's news. All are of
    one domain, whose postponed rows wait for sweeps: a tenth of what the relay bears is enough.
    """
    run.misbehave(throttle_per_second=_BEARS_PER_SECOND)
    run.start()
    run.wait_until_ended()
    refused = sum(event["event"] == "refused" for event in run.events())
    if refused > len(run.recipients):
        run.broken.append(f"I8 {refused} offers above the rate for {len(run.recipients)} messages")
    times = [float(event["at"]) for event in run.events() if event["event"] == "accepted"]
    rate = len(times) / (times[-1] - times[0])
    if rate < _BEARS_PER_SECOND / 10:
        run.broken.append(f"I8 {rate:.1f} messages a second, the relay bears {_BEARS_PER_SECOND}")


@fault("a rate of 50 per second over all workers", recipients=400, sending_seconds=1)
def rate_kept(run: Run) -> None:
    run.set_relays(rate=50, burst=10)
    run.send_in_the_foreground()
    run.wait_until_ended()
    judge_rate(run, per_second=50, burst=10)


def judge_rate(run: Run, *, per_second: float, burst: int) -> None:
    """I8, by the times at which the server took the messages.

    A bucket knows when it grants, not when the grant is used up: a grant in each worker's hands
    and one message on each connection may come late, and then at once. On a machine with nothing
    to spare they do.
    """
    late = min(GRANT, burst) * len(run.workers) + CONNECTIONS
    times = [float(event["at"]) for event in run.events() if event["event"] == "accepted"]
    if too_many := beyond_rate(times, per_second=per_second, burst=burst + late):
        run.broken.append(f"I8 {too_many} messages beyond rate and burst")


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
