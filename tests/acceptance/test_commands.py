"""Commands as an editor and an operator type them: what they say, their exit codes, their JSON."""

import json
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from newsletter.core.db import connect
from newsletter.core.erasure_key import ErasureKey
from subscribers.models import SuppressionReason
from subscribers.suppressions import erased_suppression, suppress
from tests.acceptance.conftest import StartReferee, environment
from tests.acceptance.installation import ISSUE, NEWSLETTER, Installation
from tests.smtp_server import REFUSED, SmtpServer


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    (tmp_path / "people.csv").write_text("email,name\nada@example.org,Ada\nbob@example.org,Bob\n")
    return made


@pytest.mark.long
def test_from_nothing_to_a_sent_issue_as_the_quickstart_says(
    tmp_path: Path, start_referee: StartReferee
) -> None:
    referee = start_referee()
    here = Installation(tmp_path, afresh=True)
    relay = f"smtp://127.0.0.1:{referee.port}?tls=none"
    answers = ("--name", "Field Notes", "--address", "editor@example.org")
    said = here.run("init", *answers, "--postal-address", "1 Street", "--relay", relay)
    assert "Next:" in said
    assert (tmp_path / "newsletter.toml").stat().st_mode & 0o777 == 0o600
    assert "is there already" in here.run("init", *answers, "--postal-address", "x", expect=1)
    here.run("lists", "create", "Readers")
    here.run("subscribers", "add", "ada@example.org", "--list", "readers", "--name", "Ada")
    here.run("issues", "new", "issue.md")
    assert "is there already" in here.run("issues", "new", "issue.md", expect=1)
    assert "0 errors" in here.run("issues", "check", "issue.md")
    said = here.run("send", "issue.md", "--test", "editor@example.org")
    assert "to editor@example.org was accepted." in said
    assert referee.accepted() == ["editor@example.org"]
    assert "Would send" in here.run("send", "issue.md", "--dry-run")
    said = here.run("send", "issue.md")
    assert "candidates 1 = accepted 1 +" in said
    assert referee.accepted() == ["editor@example.org", "ada@example.org"]
    assert here.json("report", "1")["accepted"] == 1
    assert "candidates 1 = accepted 1" in here.json("broadcasts", "watch", "1")["accounting"]
    assert [issue["newsletter"] for issue in here.json("issues", "list")] == ["field-notes"]
    assert here.json("issues", "list")[0]["sent"] is True
    assert "accepted 1" in here.run("report", "1")
    (line,) = here.json("report")
    assert (line["broadcast"], line["accepted"], line["clicks_by_people"]) == (1, 1, 0)
    assert "0 · 0 · 0" in here.run("report")


def test_render_needs_no_database_and_no_network(installation: Installation) -> None:
    installation.run("issues", "render", "issue.md", "--out", "out")
    out = installation.folder / "out"
    assert sorted(f.name for f in out.iterdir()) == [
        *("issue.html", "issue.mjml", "issue.txt", "message.eml"),
    ]
    assert not (installation.folder / "var").exists()
    message = message_from_bytes((out / "message.eml").read_bytes(), policy=policy.default)
    assert not message.defects
    assert message["Subject"] == "Measured twice"


def test_check_names_what_is_wrong_with_its_line(installation: Installation) -> None:
    broken = ISSUE.replace("https://example.org/one", "ftp://example.org/one")
    (installation.folder / "broken.md").write_text(broken)
    said = installation.run("issues", "check", "broken.md", expect=1)
    assert "broken.md:12: error link-malformed" in said
    (installation.folder / "not-an-issue.md").write_text("hello")
    said = installation.run("issues", "check", "not-an-issue.md", expect=1)
    assert said.startswith("error: not-an-issue.md:1: expected")
    assert "cannot be read" in installation.run("issues", "check", "nowhere.md", expect=1)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ("lists drop", 2, "No such command"),
        ("broadcasts show 7", 1, "there is no broadcast '7'"),
        ("broadcasts pause 7", 1, "there is no broadcast '7'"),
        ("broadcasts resolve 7 --accept", 1, "there is no broadcast '7'"),
        ("report 7", 1, "there is no broadcast '7'"),
        ("issues show 2020-01-01", 1, "there is no issue"),
        ("send issue.md", 2, "no relay is configured"),
        ("subscribers add nonsense --list x", 1, "is not an e-mail address"),
        ("subscribers add a@example.org --list x", 1, "there is no list 'x'"),
        ("subscribers import nowhere.csv --list x", 1, "nowhere.csv: cannot be read"),
        ("subscribers show a@example.org", 1, "there is no subscriber"),
        ("--config nowhere.toml lists list", 2, "nowhere.toml: cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(
    installation: Installation, arguments: str, code: int, expected: str
) -> None:
    assert expected in installation.run(*arguments.split(), expect=code)


def test_wrong_settings_are_named(installation: Installation) -> None:
    installation.env["NEWSLETTER_SITE__PORT"] = "many"
    assert "site.port" in installation.run("lists", "list", expect=2)


def test_rehearsals_change_nothing(installation: Installation) -> None:
    here = installation
    here.run("lists", "create", "Readers", "--dry-run")
    here.run("issues", "import", "issue.md", "--dry-run")
    assert here.json("lists", "list") == []
    assert here.json("issues", "list") == []
    said = here.run("subscribers", "import", "people.csv", "--list", "Readers", "--dry-run")
    assert "Would make list 'readers'.\n2 rows: 2 added. Nothing was changed." in said
    assert here.json("lists", "list") == []
    here.run("lists", "create", "Readers")
    here.run("subscribers", "import", "people.csv", "--list", "readers", "--dry-run")
    here.run("subscribers", "add", "cyd@example.org", "--list", "readers", "--dry-run")
    here.run("suppressions", "add", "cyd@example.org", "--dry-run")
    assert here.json("suppressions", "list") == []
    assert here.json("lists", "list")[0]["active"] == 0


def test_json_is_json(installation: Installation) -> None:
    here = installation
    here.run("subscribers", "import", "people.csv", "--list", "Readers")
    here.run("issues", "import", "issue.md")
    assert here.json("lists", "list") == [
        {"list": "readers", "name": "Readers", "pending": 0, "active": 2, "unsubscribed": 0}
    ]
    assert here.json("subscribers", "show", "ADA@example.org")["email"] == "ada@example.org"
    assert here.json("issues", "show", "2026-06-17")["source"] == ISSUE
    assert here.json("broadcasts", "list") == []
    assert here.json("db", "check")["current"] is True
    assert here.json("config", "show")["site"]["port"] == 8000
    imported = json.loads(
        here.run("subscribers", "import", "people.csv", "--list", "readers", "--json")
    )
    counts = {"rows": 2, "dry_run": False, "present": 2}
    nothing: dict[str, object] = {"added_as": {}, "examples": {}}
    assert imported == {**counts, **nothing, "first_problems": [], "bad_rows": None}
    (here.folder / "bad.csv").write_text("email\nnonsense\n")
    refused = json.loads(
        here.run("subscribers", "import", "bad.csv", "--list", "readers", "--json")
    )
    assert refused["bad_rows"] == "bad.csv.bad.csv"
    assert "bad.csv:2: email: 'nonsense'" in refused["first_problems"][0]


def test_a_sent_issue_does_not_change(tmp_path: Path, start_referee: StartReferee) -> None:
    here = Installation(tmp_path, environment(start_referee()))
    (tmp_path / "issue.md").write_text(ISSUE)
    here.run("lists", "create", "Readers")
    here.run("subscribers", "add", "ada@example.org", "--list", "readers")
    here.run("issues", "import", "issue.md")
    here.run("send", "issue.md")
    (tmp_path / "issue.md").write_text(ISSUE.replace("First", "Another"))
    assert "sent" in here.run("issues", "import", "issue.md", expect=1)


def test_who_is_in_doubt_is_named_and_resolved_by_hand(
    tmp_path: Path, start_referee: StartReferee
) -> None:
    """The relay takes both mails and hangs up before its reply; one is resent, one believed."""
    ada, bob = "ada@example.org", "bob@example.org"
    referee = start_referee(silent=[ada, bob])
    here = Installation(tmp_path, environment(referee))
    (tmp_path / "issue.md").write_text(ISSUE)
    here.run("lists", "create", "Readers")
    for address, name in ((ada, "Ada"), (bob, "Bob"), ("cyd@example.org", "Cyd")):
        here.run("subscribers", "add", address, "--list", "readers", "--name", name)
    here.run("issues", "import", "issue.md")
    said = here.run("send", "issue.md")
    assert "candidates 3 = accepted 1 + failed 0 + skipped 0 + in doubt 2" in said
    assert "broadcasts resolve 1 --accept" in said

    shown = here.json("broadcasts", "show", "1")
    named = shown["in_doubt_recipients"]
    assert [(row["name"], row["address"], row["relay"]) for row in named] == [
        ("Ada", ada, "referee"),
        ("Bob", bob, "referee"),
    ]
    assert all(datetime.fromisoformat(row["since"]).tzinfo for row in named)
    assert shown["on_in_doubt"] == "hold"
    said = here.run("broadcasts", "show", "1")
    assert "nobody can know what came of it" in said
    assert "--resend" in said
    assert "in doubt     2: nobody can know" in here.run("report", "1")

    resolve = ("broadcasts", "resolve", "1")
    assert "one of --accept and --resend" in here.run(*resolve, expect=1)
    assert "one of --accept and --resend" in here.run(*resolve, "--accept", "--resend", expect=1)
    one = ("--address", "CYD@example.org")
    assert "not in doubt: cyd@example.org" in here.run(*resolve, "--accept", *one, expect=1)
    assert "2 recipients of broadcast 1 would be" in here.run(*resolve, "--accept", "--dry-run")
    assert here.json("broadcasts", "show", "1")["in_doubt"] == 2

    assert "1 recipients" in here.run(*resolve, "--resend", "--address", ada)
    with here.process(NEWSLETTER, "worker"):
        shown = here.wait_until_ended(1)
    assert (shown["accepted"], shown["in_doubt"]) == (2, 1)
    assert "are accepted" in here.run(*resolve, "--accept")
    shown = here.json("broadcasts", "show", "1")
    assert (shown["state"], shown["accepted"], shown["in_doubt"], shown["gap"]) == ("done", 3, 0, 0)
    assert "has nobody in doubt" in here.run(*resolve, "--resend", expect=1)
    assert sorted(referee.accepted()) == [ada, ada, bob, "cyd@example.org"]


def test_a_broadcast_keeps_what_becomes_of_its_doubts(
    tmp_path: Path, start_referee: StartReferee
) -> None:
    here = Installation(tmp_path, environment(start_referee()))
    here.env["NEWSLETTER_DELIVERY__ON_IN_DOUBT"] = "assume_accepted"
    (tmp_path / "issue.md").write_text(ISSUE)
    here.run("lists", "create", "Readers")
    here.run("subscribers", "add", "ada@example.org", "--list", "readers")
    here.run("send", "issue.md")
    here.run("send", "issue.md", "--force", "--on-in-doubt", "resend")
    kept = [here.json("broadcasts", "show", number)["on_in_doubt"] for number in ("1", "2")]
    assert kept == ["assume_accepted", "resend"]
    assert "is not one of" in here.run("send", "issue.md", "--on-in-doubt", "guess", expect=2)


def test_export_reads_back(installation: Installation) -> None:
    here = installation
    here.run("subscribers", "import", "people.csv", "--list", "Readers")
    export = ("subscribers", "export", "--list", "readers", "--out", "o.csv")
    assert "Would write 2 rows" in here.run(*export, "--dry-run")
    assert not (here.folder / "o.csv").exists()
    said = here.run(*export)
    assert "Wrote 2 rows" in said
    said = here.run("subscribers", "import", "o.csv", "--list", "readers")
    assert "2 already there" in said


def test_everybody_travels_with_the_names_of_their_lists(
    tmp_path: Path, installation: Installation
) -> None:
    here = installation
    for name in ("Readers", "Evenings"):
        here.run("subscribers", "import", "people.csv", "--list", name)
    export = ("subscribers", "export", "--all", "--out")
    assert "Wrote 4 rows" in here.run(*export, "all.csv")
    assert "Wrote 4 rows" in here.run(*export, "all.jsonl", "--format", "jsonl")
    assert "one of --list NAME and --all" in here.run(*export, "x", "--list", "readers", expect=1)
    assert "one of --list NAME and --all" in here.run(
        "subscribers", "export", "--out", "x", expect=1
    )
    for name in ("all.csv", "all.jsonl"):
        (tmp_path / name[4:]).mkdir()
        there = Installation(tmp_path / name[4:])
        said = there.run("subscribers", "import", f"../{name}")
        assert "Made list 'readers'.\nMade list 'evenings'.\n4 rows: 4 added." in said
        assert [row["active"] for row in there.json("lists", "list")] == [2, 2]
    assert "list: expected --list NAME" in here.run("subscribers", "import", "people.csv", expect=1)


def test_a_rehearsed_import_says_what_would_happen_by_count_and_example(
    installation: Installation,
) -> None:
    here = installation
    (here.folder / "p.csv").write_text(
        "E-Mail,Vorname,Gehalt\nada@example.org,Ada,1\nbob@example.org,Bob,2\nnonsense,,\n"
    )
    import_ = ("subscribers", "import", "p.csv", "--list", "Readers")
    assert "name yours, such as --map 'E-Mail=email'" in here.run(*import_, expect=1)
    mapped = (*import_, "--map", "E-Mail=email,Vorname=name", "--map", "Gehalt=-")
    said = here.run(*mapped, "--dry-run")
    assert "3 rows: 2 added, 1 bad. Nothing was changed." in said
    assert "added, such as:\n  p.csv:2 ada@example.org\n  p.csv:3 bob@example.org\n" in said
    assert here.json("lists", "list") == []
    assert "expected COLUMN=FIELD, found 'x'" in here.run(*import_, "--map", "x", expect=1)
    assert "'buttondown'" in here.run(*import_, "--preset", "x", expect=2)
    here.run(*mapped)
    ada = here.json("subscribers", "show", "ada@example.org")
    assert (ada["name"], ada["attributes"]) == ("Ada", {})


def test_who_was_erased_is_neither_imported_nor_added(installation: Installation) -> None:
    here = installation
    here.run("lists", "create", "Readers")
    key = (here.folder / "var" / "erasure_key").read_text().strip()
    hashed = erased_suppression(ErasureKey(key.encode()), "ada@example.org")
    with connect(f"sqlite:///{here.folder / 'var' / 'newsletter.db'}").writing() as session:
        suppress(session, hashed, reason=SuppressionReason.ERASED, source="command")
    refused = here.run("subscribers", "add", "ADA@example.org", "--list", "readers", expect=1)
    assert "asked to be forgotten" in refused
    refused = here.run("suppressions", "add", "ADA@example.org", expect=1)
    assert "suppressed by its hash" in refused
    said = here.run("subscribers", "import", "people.csv", "--list", "readers")
    assert "2 rows: 1 added, 1 kept erased." in said


def test_a_scheduled_broadcast_is_sent_by_serve_at_its_time_and_confirmed_by_mail(
    tmp_path: Path,
) -> None:
    """`serve` runs web, sending and schedule in one process, and ends on SIGTERM."""
    with SmtpServer() as server:
        here = Installation(
            tmp_path,
            {
                "NEWSLETTER_RELAYS": json.dumps(
                    [{"name": "r", "url": f"smtp://127.0.0.1:{server.port}?tls=none"}]
                ),
                "NEWSLETTER_SENDER__ADDRESS": "editor@example.org",
                "NEWSLETTER_SENDER__POSTAL_ADDRESS": "1 Street",
            },
        )
        (tmp_path / "issue.md").write_text(ISSUE)
        here.run("subscribers", "import", _people(tmp_path), "--list", "Readers")
        here.run("issues", "import", "issue.md")
        soon = here.run("send", "issue.md", "--at", _in_seconds(4))
        assert "broadcasts watch 1" in soon
        with here.process(NEWSLETTER, "serve", "--port", "0"):
            shown = here.wait_until_ended(1, 40)
        assert shown["accepted"] == 2
        assert {to for to, _ in server.accepted} == {"ada@example.org", "bob@example.org"}


def _people(folder: Path) -> str:
    (folder / "people.csv").write_text("email\nada@example.org\nbob@example.org\n")
    return "people.csv"


def _in_seconds(seconds: int) -> str:
    moment = datetime.now() + timedelta(seconds=seconds)  # noqa: DTZ005 - as a person types it
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def test_a_test_mail_says_what_became_of_it(installation: Installation) -> None:
    here = installation
    with SmtpServer() as server:
        server.always("cyd@example.org", REFUSED)
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        here.env["NEWSLETTER_RELAYS"] = json.dumps([{"name": "main", "url": url}])
        here.env["NEWSLETTER_SENDER__ADDRESS"] = "editor@example.org"
        here.env["NEWSLETTER_SENDER__POSTAL_ADDRESS"] = "1 Street"
        refused = here.run("send", "issue.md", "--test", "cyd@example.org", expect=1)
        assert "to cyd@example.org is failed: 5" in refused
        here.run("relays", "pause", "main")
        assert "waits in the outbox" in here.run("send", "issue.md", "--test", "ada@example.org")
        assert server.accepted == []
