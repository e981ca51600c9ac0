"""A process that is told to end finishes the message on the wire and gives everything back."""

import json
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from newsletter.broadcasts.models import DeliveryState
from tests.acceptance.conftest import FullMode, StartReferee, celery, environment
from tests.acceptance.installation import ISSUE, NEWSLETTER, Installation, write_subscribers

S = DeliveryState
EVERYBODY = [f"reader{number}@example.org" for number in range(3000)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "command",
    [("serve", "--port", "0"), ("worker",), ("send", "issue.md", "--list", "a")],
    ids=lambda command: command[0],
)
def test_a_signal_in_the_middle_of_a_broadcast_strands_nothing(
    tmp_path: Path, start_referee: StartReferee, command: tuple[str, ...], number: signal.Signals
) -> None:
    referee = start_referee()
    installation = Installation(tmp_path, environment(referee))
    (tmp_path / "issue.md").write_text(ISSUE)
    write_subscribers(tmp_path / "a.csv", EVERYBODY, [])
    installation.run("subscribers", "import", "a.csv", "--list", "a")
    if command[0] != "send":
        installation.run("send", "issue.md", "--list", "a", "--detach")
    with installation.process(NEWSLETTER, *command) as process:
        end = time.monotonic() + 60
        while len(referee.accepted()) < 50:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(30) == 0

    with sqlite3.connect(tmp_path / "var" / "newsletter.db") as ledger:
        states = dict(ledger.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))
        assert ledger.execute("SELECT name FROM leases").fetchall() == []
    accepted = Counter(referee.accepted())
    assert states == {S.ACCEPTED: len(accepted), S.PENDING: len(EVERYBODY) - len(accepted)}
    assert 50 <= len(accepted) < len(EVERYBODY), json.dumps(states)
    if command[0] == "send":
        (log,) = tmp_path.glob("newsletter-*.log")
        said = log.read_text()
        assert "Broadcast 1 is sending." in said
        assert f"accepted {len(accepted)} " in said
        assert "goes on with it" in said


def test_a_celery_worker_ends_once_its_connections_are_closed(
    tmp_path: Path, start_referee: StartReferee, full_mode: FullMode
) -> None:
    """Nothing is at work when it is told to go, but its relay is slow to say goodbye."""
    referee = start_referee(**{"bye-seconds": ["2"]})
    installation = Installation(tmp_path, environment(referee) | full_mode.environment())
    (tmp_path / "issue.md").write_text(ISSUE)
    write_subscribers(tmp_path / "a.csv", EVERYBODY[:3], [])
    installation.run("subscribers", "import", "a.csv", "--list", "a")
    with celery(installation, workers=1) as (worker,):
        installation.run("send", "issue.md", "--list", "a", "--detach")
        installation.wait_until_ended(1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert "Traceback" not in "".join(log.read_text() for log in tmp_path.glob("celery-*.log"))
