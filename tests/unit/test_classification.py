"""Human, machine or unknown: each rule by its name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from newsletter.tracking.classification import Hit, Reader, classify, classify_all

NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Safari/605.1.15"


def hit(seconds: float = 0, **changes: Any) -> Hit:
    known: dict[str, Any] = {
        "reader_id": 1,
        "at": NOON + timedelta(seconds=seconds),
        "method": "GET",
        "user_agent": BROWSER,
        "accepted_at": NOON - timedelta(hours=1),
    }
    return Hit(**{**known, **changes})


@pytest.mark.parametrize(
    ("changes", "reader", "rule"),
    [
        ({}, Reader.HUMAN, "mail-program"),
        ({"link": 1}, Reader.HUMAN, "mail-program"),
        ({"method": "HEAD"}, Reader.MACHINE, "not-a-get"),
        ({"is_prefetch": True}, Reader.MACHINE, "prefetch"),
        ({"user_agent": ""}, Reader.MACHINE, "no-user-agent"),
        ({"user_agent": "Mozilla/5.0"}, Reader.UNKNOWN, "privacy-proxy"),
        ({"user_agent": "Barracuda Sentinel"}, Reader.MACHINE, "scanner"),
        ({"user_agent": "python-requests/2.32"}, Reader.MACHINE, "scanner"),
        (
            {"user_agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"},
            Reader.HUMAN,
            "image-proxy",
        ),
        ({"link": 1, "accepted_at": NOON - timedelta(seconds=2)}, Reader.MACHINE, "click-at-once"),
        ({"accepted_at": NOON - timedelta(seconds=2)}, Reader.HUMAN, "mail-program"),
        ({"link": 1, "accepted_at": None}, Reader.HUMAN, "mail-program"),
    ],
)
def test_a_rule(changes: dict[str, Any], reader: Reader, rule: str) -> None:
    verdict = classify(hit(**changes))
    assert (verdict.reader, verdict.rule) == (reader, rule)


def test_three_links_within_two_seconds_are_a_machines() -> None:
    burst = [hit(n * 0.5, link=n) for n in range(3)]
    later = hit(60, link=9)
    verdicts = {h.link: v.rule for h, v in classify_all([later, *burst])}
    assert verdicts == {0: "burst", 1: "burst", 2: "burst", 9: "mail-program"}


def test_three_clicks_on_one_link_or_by_three_people_are_no_burst() -> None:
    same = [hit(n * 0.5, link=1) for n in range(3)]
    people = [hit(n * 0.5, link=n, reader_id=n + 10) for n in range(3)]
    unknown = [hit(n * 0.5, link=n, reader_id=None) for n in range(3)]
    rules = {v.rule for _, v in classify_all([*same, *people, *unknown])}
    assert rules == {"mail-program"}
