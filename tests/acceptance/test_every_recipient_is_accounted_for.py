"""2,000 subscribers over two lists, in both modes; the SMTP server's own log is the referee."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import FullMode, Referee, StartReferee, celery, environment
from tests.acceptance.installation import ISSUE, NEWSLETTER, Installation, write_subscribers

EVERYBODY = [f"reader{number:04}@example.org" for number in range(2000)]
UNSUBSCRIBED = EVERYBODY[:40]
SUPPRESSED = EVERYBODY[40:50]
UNKNOWN = EVERYBODY[50:52]
REFUSED = EVERYBODY[52:55]
GREYLISTED = EVERYBODY[55:75]
MAILED = EVERYBODY[50:]


pytestmark = pytest.mark.long


def _set_up(installation: Installation) -> None:
    """Two lists that share 200 addresses."""
    (installation.folder / "issue.md").write_text(ISSUE)
    for name, people in (("mornings", EVERYBODY[:1200]), ("evenings", EVERYBODY[1000:])):
        file = installation.folder / f"{name}.csv"
        write_subscribers(file, people, UNSUBSCRIBED)
        installation.run("subscribers", "import", file.name, "--list", name)
    for address in SUPPRESSED:
        installation.run("suppressions", "add", address)
    installation.run("issues", "import", "issue.md")


def _check_first_sending(shown: dict[str, object], referee: Referee) -> None:
    assert shown["state"] == "done"
    assert shown["candidates"] == 2000
    assert shown["excluded"] == {"unsubscribed": 40, "suppressed": 10}
    assert (shown["accepted"], shown["failed"], shown["skipped"]) == (1945, 5, 0)
    assert (shown["in_doubt"], shown["open"], shown["gap"]) == (0, 0, 0)
    accepted = Counter(referee.accepted())
    assert set(accepted) == set(MAILED) - {*UNKNOWN, *REFUSED}
    assert max(accepted.values()) == 1
    verdicts = Counter(e["verdict"] for e in referee.entries() if e["recipient"] in set(GREYLISTED))
    assert verdicts == {"greylisted": 20, "accepted": 20}
    failed = {row["address"]: row["reply"] for row in shown["recipients"]}  # type: ignore[attr-defined]
    assert set(failed) == {*UNKNOWN, *REFUSED}
    assert all("550" in reply for reply in failed.values())


def _check_only_the_failed_are_retried(
    before: int, referee: Referee, shown: dict[str, object]
) -> None:
    """Who is gone for certain was suppressed meanwhile, and is not offered again."""
    later = referee.entries()[before:]
    assert sorted(e["recipient"] for e in later) == REFUSED
    assert (shown["accepted"], shown["failed"], shown["skipped"]) == (1945, 5, 0)
    assert shown["gap"] == 0


@pytest.mark.timeout(300)
def test_embedded_every_recipient_is_accounted_for(
    tmp_path: Path, start_referee: StartReferee
) -> None:
    referee = start_referee(unknown=UNKNOWN, refuse=REFUSED, greylist=GREYLISTED)
    installation = Installation(tmp_path, environment(referee))
    _set_up(installation)
    said = installation.run("send", "issue.md", "--list", "mornings", "--list", "evenings")
    assert "candidates 2000 = accepted 1945 + failed 5" in said
    _check_first_sending(installation.json("broadcasts", "show", "1"), referee)

    refusal = installation.run("send", "issue.md", "--list", "evenings", expect=1)
    assert "already sent" in refusal
    forced = installation.run("send", "issue.md", "--list", "evenings", "--force", "--dry-run")
    assert "Would send" in forced

    before = len(referee.entries())
    installation.run("broadcasts", "retry-failed", "1")
    with installation.process(NEWSLETTER, "worker"):
        shown = installation.wait_until_ended(1)
    _check_only_the_failed_are_retried(before, referee, shown)
    _check_nobody_is_in_the_logs(installation)


def _check_nobody_is_in_the_logs(installation: Installation) -> None:
    """Whoever is erased needs not be looked for there: relays' words name people, logs do not."""
    logged = installation.logged()
    assert [address for address in EVERYBODY if address in logged] == []


@contextmanager
def _full(
    folder: Path, referee: Referee, mode: FullMode, workers: int, *, afresh: bool = False
) -> Iterator[tuple[Installation, list[object]]]:
    installation = Installation(folder, {**environment(referee), **mode.environment()})
    _set_up(installation)
    with celery(replace(installation, afresh=afresh), workers) as processes:
        yield installation, list(processes)


def _upgrade(installation: Installation) -> None:
    """A database that is empty: nobody but the operator changes it."""
    refusal = installation.run("lists", "list", expect=2)
    assert "newsletter db upgrade" in refusal
    installation.run("db", "upgrade")


@pytest.mark.timeout(300)
def test_two_celery_workers_account_for_every_recipient(
    tmp_path: Path, start_referee: StartReferee, postgresql_database: str, redis_url: str
) -> None:
    referee = start_referee(unknown=UNKNOWN, refuse=REFUSED, greylist=GREYLISTED)
    full_mode = FullMode(postgresql_database, redis_url)
    _upgrade(Installation(tmp_path, full_mode.environment()))
    with _full(tmp_path, referee, full_mode, workers=2, afresh=True) as (installation, _):
        said = installation.run("send", "issue.md", "--list", "mornings", "--list", "evenings")
        assert "broadcasts watch 1" in said
        installation.wait_until_ended(1)
        _check_first_sending(installation.json("broadcasts", "show", "1"), referee)

        refusal = installation.run("send", "issue.md", "--list", "mornings", expect=1)
        assert "already sent" in refusal
        before = len(referee.entries())
        installation.run("broadcasts", "retry-failed", "1")
        shown = installation.wait_until_ended(1)
        _check_only_the_failed_are_retried(before, referee, shown)
    _check_nobody_is_in_the_logs(installation)


@pytest.mark.timeout(300)
def test_a_killed_worker_doubles_nobody_and_forgets_nobody(
    tmp_path: Path, start_referee: StartReferee, full_mode: FullMode
) -> None:
    connections = 4
    referee = start_referee()
    with _full(tmp_path, referee, full_mode, workers=2) as (installation, processes):
        installation.run("send", "issue.md", "--list", "mornings", "--list", "evenings")
        while len(referee.accepted()) < 300:
            time.sleep(0.01)
        processes[0].kill()  # type: ignore[attr-defined]
        shown = installation.wait_until_ended(1)

    accepted = Counter(referee.accepted())
    assert max(accepted.values()) == 1
    doubtful = {row["address"] for row in shown["recipients"] if row["state"] == "in_doubt"}
    assert len(doubtful) == shown["in_doubt"] <= connections
    assert set(accepted) | doubtful == set(MAILED)
    assert shown["accepted"] + shown["in_doubt"] == len(MAILED)
    assert shown["gap"] == 0
