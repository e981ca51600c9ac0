"""Approval and hold at the command line, where an account of the system is a person."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.acceptance.installation import ISSUE, Installation


def test_the_account_that_asked_does_not_approve_and_a_hold_is_taken_back(
    tmp_path: Path,
) -> None:
    here = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    here.env["NEWSLETTER_RELAYS"] = '[{"name": "main", "url": "smtp://127.0.0.1:1?tls=none"}]'
    here.env |= {
        "NEWSLETTER_SENDER__ADDRESS": "editor@example.org",
        "NEWSLETTER_SENDER__POSTAL_ADDRESS": "1 Street",
    }
    here.run("lists", "create", "Readers")
    here.run("issues", "import", "issue.md")
    newsletter(here, "wants_approval = 1")
    said = here.run("send", "issue.md", "--list", "readers")
    assert "waits for a second person" in said
    assert here.json("broadcasts", "show", "1")["state"] == "awaiting approval"
    assert "a second person has to approve it" in here.run("broadcasts", "approve", "1", expect=1)
    with database(here) as connection, connection:
        connection.execute("UPDATE broadcasts SET asked_by = 'user 1: ada@example.org'")
    here.run("broadcasts", "approve", "1", "--dry-run")
    assert "is approved" in here.run("broadcasts", "approve", "1")
    shown = here.json("broadcasts", "show", "1")
    assert (shown["state"], shown["approved_by"][:7]) == ("scheduled", "command")
    here.run("broadcasts", "cancel", "1")
    newsletter(here, "wants_approval = 0, hold_minutes = 30")
    said = here.run("send", "issue.md", "--list", "readers")
    assert "`newsletter broadcasts cancel 2` takes it back" in said
    here.run("broadcasts", "cancel", "2")
    assert here.json("issues", "list")[0]["sent"] is False


def newsletter(here: Installation, change: str) -> None:
    with database(here) as connection, connection:
        connection.execute(f"UPDATE newsletters SET {change}")


def database(here: Installation) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(here.folder / "var" / "newsletter.db"))
