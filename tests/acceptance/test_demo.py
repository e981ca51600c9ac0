"""`newsletter demo`, as somebody types it who has just arrived; twice."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation

ACCOUNTING = re.compile(
    r"candidates (\d+) = accepted (\d+) \+ failed (\d+) .*?skipped (\d+) .*?in doubt (\d+) "
    r"\+ excluded (\d+) \(([^)]+)\)"
)


@pytest.mark.timeout(120)
def test_the_demo_tells_the_whole_story_twice(tmp_path: Path) -> None:
    around = {
        "http_proxy": "http://127.0.0.1:9",
        "NEWSLETTER_TRACKING__DEFAULT_MODE": "off",
        "NEWSLETTER_LOG__LEVEL": "loud",
    }
    for env in ({}, around):
        installation = Installation(tmp_path, env, afresh=True)
        said = installation.run("demo")
        lines = ACCOUNTING.findall(said)
        for candidates, *parts, reasons in lines:
            assert int(candidates) == sum(map(int, parts))
            assert reasons
        assert [line[1] for line in lines] == ["14", "13", "14", "13"]
        assert lines[0][-1] == "1 unconfirmed, 1 unsubscribed"
        assert lines[1][-1] == "1 unconfirmed, 2 unsubscribed"
        assert re.search(r"clicks +human 3 by 3 known readers · machine 10 by 1", said)
        assert re.search(r"opens +human 5 by 3 known readers", said)
        assert "newsletter init" in said
        check_what_it_left(tmp_path / "var" / "demo", said)


def check_what_it_left(folder: Path, said: str) -> None:
    mails = sorted((folder / "mails").glob("*.eml"))
    assert len(mails) == 27
    recipients = [message_from_bytes(m.read_bytes(), policy=policy.default)["To"] for m in mails]
    (leaver,) = re.findall(r"(\S+@example\.org) left by", said)
    assert sum(leaver in to for to in recipients) == 1
    assert {f.name for f in (folder / "rendered").iterdir()} == {
        *("issue.html", "issue.txt", "issue.mjml", "message.eml"),
    }


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "var" / "demo" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    said = Installation(tmp_path).run("demo", expect=1)
    assert "no demo made" in said
    assert precious.read_text() == "mine"
