"""The relay refuses: every row of the table of replies, at every stage, for one and for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newsletter.broadcasts.models import BroadcastState
from tests.faults.cases import EMBEDDED, FULL, fault
from tests.faults.plans import Rule, Stage
from tests.faults.runs import Run
from tests.waiting import wait_until


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


def _about_the_relay(stage: Stage) -> None:
    """A run for each stage.

    The breaker opens after five of these, and waits longer each time that its probe meets another.
    """

    def inject(run: Run) -> None:
        """Nobody fails for it: each gets the mail once the relay takes it."""
        few = run.random.sample(run.recipients, len(_ABOUT_THE_RELAY))
        rules = [
            Rule(stage, reply=reply, recipients=(who,))
            for who, reply in zip(few, _ABOUT_THE_RELAY, strict=True)
        ]
        run.misbehave(*rules, Rule(Stage.BANNER, reply=_ABOUT_THE_RELAY[0]))
        run.start()
        run.wait_until_ended()
        if failed := [row.address for row in run.ledger() if row.state != "accepted"]:
            run.broken.append(f"not accepted after the relay's own trouble: {failed[:3]}")

    fault(f"every reply about the relay, at {stage}")(inject)


for _stage in _PER_RECIPIENT_STAGES:
    _about_the_relay(_stage)


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
_refused_as_a_whole("a daily quota used up", "452 4.5.3 Daily sending quota exceeded", Stage.MAIL)
_refused_as_a_whole("554 5.7.1 content for everybody", "554 5.7.1 Spam", Stage.DOT)


def _everywhere(replies: Sequence[str]) -> Iterator[tuple[str, Stage]]:
    return ((reply, stage) for reply in replies for stage in _PER_RECIPIENT_STAGES)
