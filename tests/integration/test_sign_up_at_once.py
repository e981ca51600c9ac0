"""Two sign-ups, or two confirmations, at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select

from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from subscribers.models import SignUpCount, Subscriber, SubscriptionStatus
from subscribers.sign_up_limits import Origin, judge
from tests.sign_up import AT_EASE, open_desk

AT_ONCE = 8


@pytest.mark.parametrize("confirms", [True, False])
def test_sign_ups_for_one_new_address_at_once_are_one_person_and_one_mail(
    sessions: Sessions, keys: TokenKeys, confirms: bool
) -> None:
    with open_desk(sessions, keys, signup=AT_EASE) as desk:
        desk.change(confirms=confirms)
        start = Barrier(AT_ONCE)

        def one(_: int) -> int:
            start.wait()
            return int(desk.json({"email": "ada@example.org"}).status_code)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert list(pool.map(one, range(AT_ONCE))) == [202] * AT_ONCE
        assert len(desk.evidence()) == 1
        kinds = [kind for kind, _ in desk.mails()]
        assert kinds == (["confirmation"] if confirms else ["welcome", "known"])
    with sessions.reading() as session:
        assert session.scalar(select(func.count(Subscriber.id))) == 1


def test_a_confirmation_pressed_twice_at_once_is_one(sessions: Sessions, keys: TokenKeys) -> None:
    with open_desk(sessions, keys, signup=AT_EASE) as desk:
        desk.json({"email": "ada@example.org"})
        path = desk.confirm_path()
        start = Barrier(AT_ONCE)

        def one(_: int) -> int:
            start.wait()
            return int(desk.client.post(path).status_code)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert list(pool.map(one, range(AT_ONCE))) == [200] * AT_ONCE
        assert [event.change for event in desk.evidence()] == ["requested", "confirmed"]
        assert [kind for kind, _ in desk.mails()] == ["confirmation", "welcome"]
        assert desk.status() is SubscriptionStatus.ACTIVE


def test_counting_at_once_loses_nothing(sessions: Sessions, keys: TokenKeys) -> None:
    """And nobody blocks anybody: the same three rows, by everybody."""
    start = Barrier(AT_ONCE)

    def many(number: int) -> None:
        start.wait()
        for _ in range(20):
            origin = Origin.of(f"198.51.100.{number % 2}")
            judge(sessions, keys, AT_EASE, origin, "example.org", lambda: False)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(many, range(AT_ONCE)))
    with sessions.reading() as session:
        counts = sorted(session.scalars(select(SignUpCount.count)))
    assert sum(counts) == 3 * AT_ONCE * 20, "also when an hour ends meanwhile"
