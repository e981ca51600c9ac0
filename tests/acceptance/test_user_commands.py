"""Users, tokens and newsletters by commands."""

import subprocess
from pathlib import Path

import pytest

from newsletter.accounts import passwords, users
from newsletter.accounts.permissions import Role
from newsletter.core.db import connect
from newsletter.mail.address import Address
from tests.acceptance.installation import NEWSLETTER, Installation

PASSWORD = "seven green lanterns hum"
ADA, BOB, DAN = "ada@example.org", "bob@example.org", "dan@example.org"


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """Ada is an admin of everything, Bob an author; there is one newsletter, Field Notes."""
    made = Installation(tmp_path)
    made.run("newsletters", "create", "Field Notes", "--sender-address", "editor@example.org")
    with connect(f"sqlite:///{tmp_path / 'var' / 'newsletter.db'}").writing() as session:
        users.add(session, Address.parse(ADA), "no password", Role.ADMIN, "Ada")
        users.add(session, Address.parse(BOB), "no password", Role.AUTHOR)
    return made


def typed(here: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that reads a password; started as a shell does, with something to read."""
    return subprocess.run(
        [str(NEWSLETTER), *arguments],
        cwd=here.folder,
        env=here._environment(),
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_users_are_added_invited_given_roles_and_switched_off(here: Installation) -> None:
    assert here.json("users", "list")[0] == {
        "user": ADA,
        "name": "Ada",
        "roles": {"everywhere": "admin"},
        "second_factor": False,
        "active": True,
    }
    invite = ("users", "invite", DAN, "--role", "author")
    assert "Would invite dan@example.org as author" in here.run(*invite, "--dry-run")
    said = here.run(*invite, "--newsletter", "field-notes")
    assert "/invitation/" in said
    assert "outbox" not in said, "there is no relay"
    assert "expected one of author" in here.run(*invite[:-1], "emperor", expect=1)
    assert "no newsletter 'x'" in here.run(*invite, "--newsletter", "x", expect=1)

    assert "only admin of everything" in here.run("users", "role", ADA, "none", expect=1)
    assert "only admin of everything" in here.run("users", "deactivate", ADA, expect=1)
    role = ("users", "role", ADA, "sender", "--newsletter", "field-notes")
    assert "would be sender in 'field-notes'" in here.run(*role, "--dry-run")
    assert "is sender in 'field-notes'" in here.run(*role)
    assert here.json("users", "list")[0]["roles"]["field-notes"] == "sender"
    assert "admin everywhere" in here.run("users", "list")

    assert "Would make a link" in here.run("users", "password", ADA, "--link", "--dry-run")
    assert "/invitation/" in here.run("users", "password", ADA, "--link")
    assert "there is no user" in here.run("users", "password", DAN, "--link", expect=1)
    assert "at least 12 characters" in here.run("users", "password", ADA, expect=1), "no input"
    assert "somebody works here already" in here.run("users", "set-up-code", expect=1)


def test_an_account_goes_off_and_its_tokens_with_it(here: Installation) -> None:
    create = ("tokens", "create", "Shop", "--user", BOB, "--scope", "read")
    assert "Would make token 'Shop' for read." in here.run(*create, "--dry-run")
    assert here.json("tokens", "list") == []
    text = here.run(*create).splitlines()[-1]
    assert text.startswith("nl_")
    (token,) = here.json("tokens", "list", "--newsletter", "field-notes")
    assert (token["user"], token["state"], token["begins"]) == (BOB, "active", text[:8])
    assert "not more: send" in here.run(*create, "--scope", "send", expect=1)
    assert "expected one of read" in here.run(*create, "--scope", "everything", expect=1)

    assert "would be switched off" in here.run("users", "deactivate", BOB, "--dry-run")
    here.run("users", "deactivate", BOB)
    assert here.json("tokens", "list")[0]["state"] == "without its maker"
    assert "is switched off" in here.run("users", "password", BOB, "--link", expect=1)
    here.run("users", "deactivate", BOB, "--undo")
    assert here.json("tokens", "list")[0]["state"] == "active"
    assert "'Shop' would be revoked" in here.run("tokens", "revoke", "1", "--dry-run")
    here.run("tokens", "revoke", "1")
    assert here.json("tokens", "list")[0]["state"] == "revoked"
    assert "revoked already" in here.run("tokens", "revoke", "1", expect=1)


def test_newsletters_are_made_and_changed(here: Installation) -> None:
    create = ("newsletters", "create")
    assert "Would make newsletter 'more'" in here.run(*create, "More", "--dry-run")
    assert [row["newsletter"] for row in here.json("newsletters", "list")] == ["field-notes"]
    assert "already" in here.run(*create, "Field Notes", expect=1)
    change = ("newsletters", "set", "field-notes")
    assert "nothing to change" in here.run(*change, expect=1)
    assert "expected one of digest, letter" in here.run(*change, "--template", "x", expect=1)
    assert "light.accent=#00695c" in here.run(*change, "--colour", "accent=#000000", expect=1)
    look = ("--template", "letter", "--colour", "light.accent=#ffcc00")
    assert "Would change" in here.run(*change, *look, "--dry-run")
    done = here.try_run(*change, *look, "--tracking", "off", "--postal-address", "1 Street")
    assert done.returncode == 0
    assert "light.accent is hard to read" in done.stderr
    shown = here.json("newsletters", "show", "field-notes")
    assert (shown["template"], shown["tracking_mode"]) == ("letter", "off")
    assert shown["palette"] == {"light": {"accent": "#ffcc00"}}
    assert "#ffcc00" in here.run("newsletters", "show", "field-notes")
    assert "wants approval, hold minutes" in here.run(*change, "--approval", "--hold", "15")
    said = here.run("newsletters", "show", "field-notes").splitlines()
    assert [line.split()[-1] for line in said if "approval" in line or "hold" in line] == [
        "yes",
        "15",
    ]
    assert "at most 1440 minutes" in here.run(*change, "--hold", "9000", expect=1)
    here.run(*change, "--no-approval", "--hold", "0")
    shown = here.json("newsletters", "show", "field-notes")
    assert (shown["wants_approval"], shown["hold_minutes"]) == (False, 0)
    here.run(*change, "--colour", "light.accent=")
    assert here.json("newsletters", "show", "field-notes")["palette"] == {}


def test_the_first_admin_types_a_good_password(tmp_path: Path) -> None:
    made = Installation(tmp_path)
    assert "at least 12 characters" in made.run("users", "add", ADA, "--admin", expect=1)
    assert "expected one of author" in made.run("users", "add", ADA, expect=1)
    said = typed(made, "users", "add", ADA, "--admin")
    assert said.stdout == f"Added {ADA} as admin everywhere.\n", said.stderr
    assert PASSWORD not in said.stdout + said.stderr
    with connect(f"sqlite:///{tmp_path / 'var' / 'newsletter.db'}").reading() as session:
        assert passwords.matches(users.find(session, ADA).password_hash, PASSWORD)
