"""The fault server does what its plan says, and its log has it before the client hears of it."""

import smtplib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.faults.checks import read_events
from tests.faults.plans import Act, Plan, Rule, Stage
from tests.faults.servers import Referee, running

StartReferee = Callable[[Plan], Referee]
_MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartReferee]:
    with ExitStack() as stack:

        def started(plan: Plan) -> Referee:
            made = Referee(tmp_path / "referee", plan=plan)
            stack.enter_context(running(made))
            return made

        yield started


def _client(referee: Referee) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", referee.port, timeout=5)


def _offer(referee: Referee) -> None:
    with closing(_client(referee)) as client:
        client.sendmail("a@example.org", "b@example.org", _MESSAGE)


def _events(referee: Referee) -> Counter[str]:
    return Counter(event["event"] for event in read_events(referee.log))


def test_what_it_takes_is_in_its_log(start: StartReferee) -> None:
    referee = start(Plan())
    with _client(referee) as client:
        client.sendmail("a@example.org", "Ada@Example.org", _MESSAGE)
        assert [e["to"] for e in read_events(referee.log) if e["event"] == "accepted"] == [
            "ada@example.org"
        ]


def test_taken_and_dropped_is_taken(start: StartReferee) -> None:
    referee = start(Plan((Rule(Stage.DOT, Act.DROP, accepts=True),)))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        _offer(referee)
    assert (_events(referee)["accepted"], _events(referee)["unanswered"]) == (1, 1)


@pytest.mark.parametrize("act", [Act.DROP, Act.RESET])
@pytest.mark.parametrize(
    ("stage", "event"),
    [(Stage.RCPT, "dropped"), (Stage.DATA, "dropped"), (Stage.BODY, "unanswered")],
)
def test_dropped_before_the_dot_is_not_taken(
    start: StartReferee, act: Act, stage: Stage, event: str
) -> None:
    """Whether the client may have sent the dot by then is what the event tells."""
    referee = start(Plan((Rule(stage, act),)))
    with pytest.raises((smtplib.SMTPException, OSError)):
        _offer(referee)
    assert (_events(referee)["accepted"], _events(referee)[event]) == (0, 1)
    _offer(referee)
    assert _events(referee)["accepted"] == 1


def test_a_client_that_dies_after_the_dot_has_sent_the_message(start: StartReferee) -> None:
    referee = start(Plan(per_second=5))
    dialogue = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" + _MESSAGE + b".\r\n"
    with socket.create_connection(("127.0.0.1", referee.port)) as client:
        client.sendall(dialogue)
        while b"354" not in client.recv(1000):
            pass
    end = time.monotonic() + 5
    while not referee.accepted() and time.monotonic() < end:
        time.sleep(0.02)
    assert referee.accepted() == 1


def test_another_plan_is_obeyed_at_once(start: StartReferee) -> None:
    referee = start(Plan((Rule(Stage.RCPT, reply="550 5.1.1 Unknown", times=0),)))
    with _client(referee) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("a@example.org", "b@example.org", _MESSAGE)
    referee.obey(Plan())
    with _client(referee) as client:
        client.sendmail("a@example.org", "b@example.org", _MESSAGE)
    assert _events(referee)["accepted"] == 1


def test_a_liar_answers_the_first_of_several_commands_alone(start: StartReferee) -> None:
    referee = start(Plan(lies=True))
    with socket.create_connection(("127.0.0.1", referee.port), timeout=1) as client:
        client.recv(1000)
        client.sendall(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n")
        assert client.recv(1000) == b"250 2.1.0 Ok\r\n"
        with pytest.raises(TimeoutError):
            client.recv(1000)


def test_limits_are_kept(start: StartReferee) -> None:
    referee = start(Plan(messages_per_connection=2, connections=1))
    with _client(referee) as client:
        for _ in range(2):
            client.sendmail("a@example.org", "b@example.org", _MESSAGE)
        with pytest.raises(smtplib.SMTPSenderRefused, match="Too many messages"):
            client.sendmail("a@example.org", "b@example.org", _MESSAGE)
        with pytest.raises(smtplib.SMTPConnectError):
            _client(referee)
    assert _events(referee)["accepted"] == 2
