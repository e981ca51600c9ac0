"""What the benchmarks rest on: the worker process, the delaying proxy, mails of a size."""

from email import message_from_bytes, policy

import pytest

from benchmarks import mails
from benchmarks.delay import delayed, round_trip
from benchmarks.desk import serving
from benchmarks.desk_pages import asked_in_turn
from benchmarks.engine import Audience, drain, on_sqlite, worker
from benchmarks.watching import Race, desk
from newsletter.rendering.compiled import WireForm
from tests.servers import processes

SIZE = 4096
PEOPLE = 30


def test_a_worker_process_drains_one_broadcast_after_the_other_and_tells_what_it_took() -> None:
    made = mails.of_size(SIZE)
    with (
        processes.smtp_sink() as sink,
        on_sqlite() as database,
        worker(database, sink, connections=2) as one,
    ):
        audience = Audience(database, PEOPLE)
        for _ in range(2):
            sample = drain([one], audience, audience.broadcast(made))
            assert sample.wall > 0
            assert 0 < sample.cpu * PEOPLE < 60
            assert sample.rss_mb > 10


def test_a_round_trip_through_the_proxy_takes_as_long_as_told() -> None:
    with processes.smtp_sink() as sink, delayed(sink, 0.03) as far:
        assert 0.029 < round_trip(far) < 1


@pytest.mark.parametrize("size", [SIZE, 10 * SIZE])
def test_a_made_mail_is_about_as_long_as_asked_for(size: int) -> None:
    made = mails.of_size(size)
    assert 0.9 * size < made.size <= size
    read = message_from_bytes(mails.wire(made.frozen, WireForm.INDIVIDUAL), policy=policy.default)
    assert not read.defects
    assert "/c/" in str(read)


def test_every_page_of_the_desk_is_asked_beside_a_history() -> None:
    with on_sqlite() as database, serving(database, people=1_000, broadcasts=2) as (browser, asked):
        found = asked_in_turn(database.sessions, browser, [*asked.pages, *asked.parts], rounds=1)
    paths = {question.path for question in asked.pages}
    assert {"/", "/reports/1", "/subscribers", "/settings/audit"} <= paths
    assert not asked.left_out
    assert all(answered.rounds and answered.statements for answered in found.values())


def test_a_broadcast_is_watched_from_before_the_first_mail_to_the_end() -> None:
    with (
        processes.smtp_sink() as sink,
        on_sqlite() as database,
        worker(database, sink, connections=2) as sender,
    ):
        audience = Audience(database, PEOPLE)
        with desk(database) as (base, runtime, secret):
            race = Race(audience, sender, mails.of_size(SIZE), base, runtime, secret, watchers=3)
            race.watched()
    (watched,) = race.found
    assert len(watched.opening) > len(watched.looking) > 0
    assert watched.share > 0
