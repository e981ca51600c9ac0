"""When refusals stop a broadcast: early when everybody refuses, never for the usual few."""

import random

from newsletter.mail.replies import Reply, parse_reply
from newsletter.sending.refusals import Window, should_pause

OK = parse_reply(250, "2.0.0 Ok")
REFUSED = parse_reply(554, "5.7.1 Message contains a link on a blocklist")
GONE = parse_reply(550, "5.1.1 User unknown")
FULL = parse_reply(552, "5.2.2 full")
LATER = parse_reply(451, "4.7.1 Greylisted")
RATE = parse_reply(454, "4.7.0 slow down")


def offers_until_paused(replies: list[Reply]) -> int | None:
    """After how many offers the broadcast is paused; None when it is not."""
    window = Window()
    for number, reply in enumerate(replies, start=1):
        window.add(reply)
        if should_pause(window):
            return number
    return None


def test_when_everybody_refuses_twenty_are_burnt() -> None:
    assert offers_until_paused([REFUSED] * 5000) == 20


def test_one_large_provider_that_refuses_is_seen_within_a_hundred() -> None:
    assert offers_until_paused([REFUSED, OK, OK, OK] * 100) == 77


def test_the_reason_says_how_many_and_quotes_the_last_reply() -> None:
    window = Window()
    for reply in [OK, *[REFUSED] * 20]:
        window.add(reply)
    assert should_pause(window) == (
        "20 of the last 21 recipients refused the mail: "
        "554 5.7.1 Message contains a link on a blocklist"
    )


def test_the_usual_few_refusals_never_stop_a_broadcast() -> None:
    dice = random.Random(20260617)
    replies = [REFUSED if dice.random() < 0.05 else OK for _ in range(100_000)]
    assert offers_until_paused(replies) is None


def test_refusals_long_ago_are_forgotten() -> None:
    assert offers_until_paused([*[REFUSED] * 19, *[OK] * 100, *[REFUSED] * 19]) is None


def test_only_refusals_of_the_mail_count() -> None:
    assert offers_until_paused([GONE, FULL, LATER, RATE] * 200) is None


def test_what_is_about_the_relay_does_not_push_refusals_out() -> None:
    assert offers_until_paused([*[REFUSED] * 19, *[RATE] * 500, REFUSED]) == 520


def test_workers_that_do_not_know_each_other_burn_at_most_twenty_each() -> None:
    windows = [Window() for _ in range(4)]
    offered = 0
    while not any(should_pause(window) for window in windows):
        windows[offered % 4].add(REFUSED)
        offered += 1
    assert offered <= 4 * 20
