"""What each word of each system's status makes of a person: all of them, spelled out."""

from pathlib import Path

import pytest

from subscribers.files.people_files import Good, Reading, opened

ROWS = {
    "buttondown": "email_address,type,creation_date\n{}@example.org,{},2024-01-01",
    "ghost": "email,subscribed_to_emails\n{}@example.org,{}",
    "keila": "Email,First name,Last name,Data,Status\n{}@example.org,,,,{}",
    "kit": "first_name,email,created_at,status\n,{}@example.org,2024-01-01,{}",
    "kit, the other": "first_name,email_address,created_at,state\n,{}@example.org,2024-01-01,{}",
    "listmonk": "uuid,email,attributes,status\n1,{}@example.org,,{}",
    "mailchimp": "Email Address,OPTIN_TIME,CONFIRM_TIME,status\n{}@example.org,,,{}",
    "substack, paid": "email,active_subscription,email_disabled\n{}@example.org,true,{}",
    "substack, free": "email,active_subscription,email_disabled\n{}@example.org,false,{}",
}
ALL_WORDS = {
    "buttondown": {
        "active": "regular premium gifted trialed churning past_due churned unpaid paused",
        "pending": "unactivated",
        "unsubscribed": "unsubscribed removed spammy",
        "unsubscribed, gone": "undeliverable",
        "unsubscribed, complaint": "complained",
        "unsubscribed, manual": "blocked",
    },
    "ghost": {"active": "true", "unsubscribed": "false"},
    "keila": {
        "active": "active",
        "unsubscribed": "unsubscribed",
        "unsubscribed, gone": "unreachable",
    },
    "kit": {
        "active": "active confirmed",
        "pending": "inactive unconfirmed",
        "unsubscribed": "cancelled unsubscribed",
        "unsubscribed, gone": "bounced",
        "unsubscribed, complaint": "complained",
    },
    "listmonk": {
        "active": "enabled",
        "unsubscribed": "disabled",
        "unsubscribed, manual": "blocklisted",
    },
    "mailchimp": {
        "active": "subscribed",
        "unsubscribed": "unsubscribed nonsubscribed",
        "unsubscribed, gone": "cleaned",
    },
    "substack": {"active": "false", "unsubscribed": "true"},
}


@pytest.mark.parametrize("row", ROWS)
def test_every_word_means_what_the_systems_page_says(tmp_path: Path, row: str) -> None:
    expected = {
        word: standing
        for standing, words in ALL_WORDS[row.partition(",")[0]].items()
        for word in words.split()
    }
    assert {word: _standing(tmp_path, ROWS[row], word) for word in expected} == expected


def _standing(folder: Path, row: str, word: str) -> str:
    file = folder / "people.csv"
    file.write_text(row.format(word, word))
    with opened(file, Reading()) as people:
        (read,) = people.rows()
    assert isinstance(read, Good), read
    (person,) = read.people
    assert person.subscription
    reasons = (str(each.reason) for each in person.suppressions)
    return ", ".join([str(person.subscription.status), *reasons])
