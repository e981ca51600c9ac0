"""Commands about people and whom not to mail: what they say, what they keep, what they log."""

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import FullMode
from tests.acceptance.installation import ISSUE, Installation

SECRETS = ("ada", "augusta", "example.org")


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, {"NEWSLETTER_LOG__LEVEL": "debug"})
    (tmp_path / "issue.md").write_text(ISSUE)
    made.run("lists", "create", "Readers")
    made.run("subscribers", "add", "ada@example.org", "--list", "readers", "--name", "Augusta")
    return made


def errors(here: Installation, *arguments: str) -> str:
    """What a command that works says on standard error, where logs go."""
    done = here.try_run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr.lower()


def test_a_person_is_shown_exported_and_erased(here: Installation) -> None:
    shown = here.json("subscribers", "show", "ADA@example.org")
    assert (shown["deliveries"], shown["suppressions"]) == (0, [])
    assert [line["action"] for line in shown["audit"]] == ["subscriber.added"]
    assert "subscriber.added" in here.run("subscribers", "show", "ada@example.org")
    here.run("subscribers", "export-person", "ada@example.org", "--out", "ada.json")
    file = here.folder / "ada.json"
    assert file.stat().st_mode & 0o777 == 0o600
    document = json.loads(file.read_text())
    assert (document["format"], document["subscriber"]["name"]) == (1, "Augusta")
    assert [line["action"] for line in document["audit"]] == [
        *("subscriber.added", "subscriber.exported")
    ]
    here.run("segments", "create", "Her", 'name = "Augusta"', "--list", "readers")
    said = here.run("subscribers", "erase", "ada@example.org", "--dry-run")
    assert "The filter of segment 'Her' may still name them: name = \"Augusta\"." in said
    here.run("segments", "delete", "Her", "--list", "readers")
    assert "Would erase subscriber 1: 1 subscriptions, 1 consent events." in said
    assert here.json("subscribers", "show", "ada@example.org")["name"] == "Augusta"
    here.run("subscribers", "erase", "ada@example.org", expect=1)  # nobody there to say yes
    assert here.json("subscribers", "show", "ada@example.org")["name"] == "Augusta"
    logged = errors(here, "subscribers", "erase", "ada@example.org", "--yes")
    logged += errors(here, "audit", "list") + errors(here, "suppressions", "list")
    assert [secret for secret in SECRETS if secret in logged] == []
    assert "was erased already" in here.run("subscribers", "show", "ada@example.org", expect=1)


def test_the_erased_stay_away_until_they_come_themselves(here: Installation) -> None:
    here.run("subscribers", "erase", "ada@example.org", "--yes")
    (kept,) = here.json("suppressions", "list")
    assert (kept["key"][0], kept["reason"], len(kept["key"])) == ("#", "erased", 65)
    again = ("subscribers", "erase", "ada@example.org", "--yes")
    assert "was erased already" in here.run(*again, expect=1)
    add = ("subscribers", "add", "Ada@Example.org", "--list", "readers")
    assert "asked to be forgotten" in here.run(*add, expect=1)
    assert "asked to be forgotten" in here.run(*add, "--confirm", expect=1)
    unknown = ("subscribers", "erase", "bob@example.org", "--yes")
    assert "nothing is kept about this address" in here.run(*unknown, expect=1)
    lift = ("suppressions", "lift", "ada@example.org")
    assert "asked to be forgotten" in here.run(*lift, expect=1)
    assert "nobody is subscribed by this" in here.run(*lift, "--force")
    here.run(*add)
    trail = [(line["action"], line["subscriber"]) for line in here.json("audit", "list")]
    assert trail[:3] == [
        *(("subscriber.added", 2), ("suppression.lifted", None), ("subscriber.erased", 1))
    ]
    assert [line["action"] for line in here.json("audit", "list", "--subscriber", "1")] == [
        *("subscriber.erased", "subscriber.added")
    ]


def test_files_of_people_that_come_and_go_are_in_the_trail(here: Installation) -> None:
    (here.folder / "people.csv").write_text("email\nbob@example.org\nada@example.org\n")
    for more in (("--dry-run",), ()):
        here.run("subscribers", "import", "people.csv", "--list", "Readers", *more)
        here.run("subscribers", "export", "--list", "readers", "--out", "out.csv", *more)
        here.run("subscribers", "export", "--all", "--out", "all.csv", *more)
        here.run("suppressions", "export", "--out", "blocked.csv", *more)
    trail = [(line["action"], line["details"]) for line in here.json("audit", "list")]
    assert trail[:4] == [
        ("suppression.exported", {"rows": 0}),
        ("subscribers.exported", {"list": "", "rows": 2}),
        ("subscribers.exported", {"list": "readers", "rows": 2}),
        ("subscribers.imported", {"list": "readers", "added": 1, "present": 1}),
    ]
    assert trail[4][0] == "subscriber.added"


def test_an_address_that_is_only_suppressed_can_be_exported_and_erased(here: Installation) -> None:
    here.run("suppressions", "add", "@example.org")
    unknown = ("subscribers", "export-person", "bob@example.org")
    assert "nothing is kept about this address" in here.run(*unknown, expect=1)
    here.run("suppressions", "add", "bob@example.org", "--reason", "gone")
    document = json.loads(here.run("subscribers", "export-person", "Bob@example.org"))
    assert document["subscriber"] == {"id": None, "email": "Bob@example.org"}
    assert [row["reason"] for row in document["suppressions"]] == ["manual", "gone"]
    shown = here.run("subscribers", "show", "bob@example.org")
    assert "An address of nobody who is subscribed." in shown
    here.run("suppressions", "lift", "@example.org")
    said = here.run("subscribers", "erase", "bob@example.org", "--yes")
    assert "an address of nobody who is subscribed: 1 suppressions" in said
    assert [row["reason"] for row in here.json("suppressions", "list")] == ["erased"]


def test_with_postgresql_erasing_needs_a_key_that_is_configured(
    tmp_path: Path, full_mode: FullMode
) -> None:
    here = Installation(tmp_path, full_mode.environment())
    said = here.run("subscribers", "erase", "ada@example.org", "--yes", expect=2)
    assert "site.erasure_key is not set" in said
    assert "NEWSLETTER_SITE__ERASURE_KEY" in said


def test_suppressions_are_added_listed_and_lifted(here: Installation) -> None:
    add = ("suppressions", "add")
    assert "would be suppressed" in here.run(*add, "@bücher.org", "--dry-run")
    assert here.json("suppressions", "list") == []
    assert "@xn--bcher-kva.org is suppressed." in here.run(*add, "@bücher.org")
    here.run(*add, "ADA@example.org", "--list", "readers", "--reason", "complaint")
    assert "suppressed already for the list" in here.run(
        *add, "ada@example.org", "--list", "readers"
    )
    rows = [(row["key"], row["list"], row["reason"]) for row in here.json("suppressions", "list")]
    assert rows == [
        ("@xn--bcher-kva.org", "", "manual"),
        ("ada@example.org", "readers", "complaint"),
    ]
    assert len(here.json("suppressions", "list", "--list", "readers")) == 1
    assert "ada@example.org" in here.run("suppressions", "list")
    (shown,) = here.json("subscribers", "show", "ada@example.org")["suppressions"]
    assert (shown["list"], shown["reason"], bool(shown["since"])) == ("readers", "complaint", True)
    lift = ("suppressions", "lift", "ada@example.org")
    assert "no suppression" in here.run(*lift, expect=1)
    assert "complained" in here.run(*lift, "--list", "readers", expect=1)
    assert "would be not suppressed" in here.run(*lift, "--list", "readers", "--force", "--dry-run")
    assert "any more for the list 'readers'" in here.run(*lift, "--list", "readers", "--force")
    here.run("suppressions", "lift", "@Bücher.org")
    erased = ("suppressions", "add", "a@example.org", "--reason", "erased")
    assert "'complaint'" in here.run(*erased, expect=2)
    assert here.json("suppressions", "list") == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("add", "nobody"), "address: 'nobody' is not an e-mail address"),
        (("add", "@nowhere"), "address: '@nowhere' is not a domain, such as @example.org"),
        (("add", "@"), "is not a domain"),
        (("add", "#12"), "expected `#` and 64 hexadecimal digits"),
        (("add", "a@example.org", "--list", "nix"), "there is no list 'nix'"),
        (("import", "missing.csv"), "missing.csv: cannot be read"),
        (("export", "--out", "no/where.csv"), "cannot be written"),
    ],
)
def test_a_mistake_about_suppressions_is_one_clear_sentence(
    here: Installation, arguments: tuple[str, ...], problem: str
) -> None:
    assert problem in here.run("suppressions", *arguments, expect=1)


def test_a_blocklist_is_imported_and_exported(here: Installation) -> None:
    (here.folder / "theirs.csv").write_text(
        "Email,Reason\nADA@example.org,spam\nnobody,spam\n@example.net,\n"
    )
    said = here.run("suppressions", "import", "theirs.csv", "--dry-run")
    assert "3 rows: 2 added, 1 bad. Nothing was changed." in said
    imported = here.json("suppressions", "import", "theirs.csv")
    assert (imported["added"], imported["known"], imported["bad"]) == (2, 0, 1)
    assert imported["problems"][0].startswith("theirs.csv:3: email: 'nobody' is not")
    assert "Would write 2 rows" in here.run("suppressions", "export", "--out", "o.csv", "--dry-run")
    own = ("suppressions", "export", "--list", "readers", "--out", "own.csv")
    assert "Would write 0 rows" in here.run(*own, "--dry-run")
    assert "Wrote 0 rows" in here.run(*own)
    here.run("suppressions", "export", "--out", "out.csv")
    assert "2 suppressed already" in here.run("suppressions", "import", "out.csv")
    done = here.json("audit", "list", "--limit", "4")
    assert [(line["action"].rpartition(".")[2], line["details"].get("list")) for line in done] == [
        *(("imported", None), ("exported", None), ("exported", "readers"), ("imported", None))
    ]


def test_pruning_and_compacting_say_what_they_do(here: Installation) -> None:
    said = here.run("db", "prune", "--dry-run")
    assert "Would empty the IP addresses and user agents of 0 events" in said
    assert "cut 0 lines of the audit trail older than 1095 days" in here.run("db", "prune")
    assert "Would write the database anew" in here.run("db", "compact", "--dry-run")
    assert "The database has" in here.run("db", "compact")
