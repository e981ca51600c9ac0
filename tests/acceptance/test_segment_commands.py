"""Segments as an editor types them: tried out, saved, sent to, exported."""

from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import FullMode, StartReferee, celery, environment
from tests.acceptance.installation import ISSUE, Installation
from tests.waiting import wait_until

PRO = 'attributes.plan = "pro"'
LIST = ("--list", "readers")
PEOPLE = """\
email,name,attributes,status
ada@example.org,Ada,"{""plan"": ""pro""}",active
bob@example.org,Bob,"{""plan"": ""pro""}",unsubscribed
cyd@example.org,Cyd,,active
"""


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    (tmp_path / "people.csv").write_text(PEOPLE)
    made.run("subscribers", "import", "people.csv", *LIST)
    return made


def test_a_filter_is_tried_out_saved_and_deleted(here: Installation) -> None:
    counted = here.json("segments", "count", PRO, *LIST)
    assert counted == {
        "list": "readers",
        "filter": PRO,
        "people": 2,
        "active": 1,
        "unsubscribed": 1,
    }
    assert "Would save segment 'paying'" in here.run(
        "segments", "create", "Paying", PRO, *LIST, "--dry-run"
    )
    assert here.json("segments", "list") == []
    assert "Saved segment 'paying'" in here.run("segments", "create", "Paying", PRO, *LIST)
    (saved,) = here.json("segments", "list", *LIST)
    assert (saved["segment"], saved["filter"]) == ("paying", PRO)
    shown = here.json("segments", "show", "paying", *LIST)
    assert shown["tree"]["filter"]["values"] == ["pro"]
    assert PRO in here.run("segments", "show", "Paying", *LIST)
    assert "2 of 'readers' inside: 1 active, 1 unsubscribed" in here.run(
        "segments", "count", "paying", *LIST
    )
    sampled = here.json("segments", "sample", f"status = active and {PRO}", *LIST)
    assert [row["email"] for row in sampled] == ["ada@example.org"]
    assert "Would delete" in here.run("segments", "delete", "paying", *LIST, "--dry-run")
    here.run("segments", "delete", "paying", *LIST)
    assert here.json("segments", "list") == []
    assert "no segment 'paying'" in here.run("segments", "count", "paying", *LIST, expect=1)


def test_a_mistake_is_pointed_at(here: Installation) -> None:
    said = here.run("segments", "count", "status = active and plan = 1", *LIST, expect=1)
    line, shown, mark = said.rstrip("\n").split("\n")
    assert line.startswith("error: segment:1:21: expected a field")
    assert shown[mark.index("^") :].startswith("plan = 1")
    assert "no list 'nowhere'" in here.run("segments", "count", 'on("nowhere")', *LIST, expect=1)


def test_an_issue_goes_to_a_segment_and_every_figure_says_so(
    here: Installation, start_referee: StartReferee
) -> None:
    referee = start_referee()
    here.env.update(environment(referee))
    here.run("issues", "import", "issue.md")
    said = here.run("send", "issue.md", *LIST, "--segment", "plan = 1", expect=1)
    assert "expected a field" in said
    said = here.run("send", "issue.md", *LIST, "--segment", 'on("nowhere")', expect=1)
    assert "there is no list 'nowhere'" in said
    assert here.json("broadcasts", "list") == []
    here.run("segments", "create", "Paying", PRO, *LIST)
    said = here.run("send", "issue.md", *LIST, "--segment", "paying", "--dry-run")
    assert f"those with {PRO}: 1 recipients, excluded 1 outside the segment" in said
    said = here.run("send", "issue.md", *LIST, "--segment", "paying")
    assert "candidates 3 = accepted 1 +" in said
    assert referee.accepted() == ["ada@example.org"]
    here.run("segments", "delete", "paying", *LIST)
    shown = here.json("broadcasts", "show", "1")
    assert shown["segment"] == PRO
    excluded = {"outside the segment": 1, "unsubscribed": 1}
    assert shown["excluded"] == here.json("report", "1")["excluded"] == excluded
    assert "1 outside the segment" in here.run("report", "1")


def test_a_segment_is_exported(here: Installation) -> None:
    options = (*LIST, "--segment", PRO, "--out", "pro.csv")
    assert "Would write 2 rows" in here.run("subscribers", "export", *options, "--dry-run")
    here.run("subscribers", "export", *options)
    rows = (here.folder / "pro.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["ada@example.org", "bob@example.org"]


def test_people_are_shown_page_by_page(here: Installation) -> None:
    first = here.json("subscribers", "list", "--limit", "2")
    assert [person["email"] for person in first["people"]] == ["ada@example.org", "bob@example.org"]
    after = ("--after", str(first["next_after"]))
    rest = here.json("subscribers", "list", "--limit", "2", *after)
    assert [person["email"] for person in rest["people"]] == ["cyd@example.org"]
    assert rest["next_after"] is None
    assert f"More: {' '.join(after)}" in here.run("subscribers", "list", "--limit", "2")
    chosen = (*LIST, "--status", "active", "--segment", PRO, "--search", "AD")
    found = here.json("subscribers", "list", *chosen)["people"]
    assert [person["email"] for person in found] == ["ada@example.org"]
    assert "Nobody." in here.run("subscribers", "list", "--search", "zoe")
    said = here.run("subscribers", "list", "--segment", PRO, expect=1)
    assert "--segment: expected --list with it" in said


def test_a_worker_makes_an_index_of_whom_a_saved_segment_is_about(
    tmp_path: Path, full_mode: FullMode
) -> None:
    here = Installation(tmp_path, full_mode.environment())
    here.run("lists", "create", "Readers")
    with psycopg.connect(full_mode.database.replace("+psycopg", ""), autocommit=True) as database:

        def indexes() -> list[str]:
            found = "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'segment%'"
            return [made for (made,) in database.execute(found)]

        # So many that it is worth it, as PostgreSQL counts when it next looks.
        database.execute("UPDATE pg_class SET reltuples = 1e6 WHERE relname = 'subscribers'")
        with celery(here, 1):
            here.run("segments", "create", "Paying", PRO, *LIST)
            wait_until(lambda: len(indexes()) == 1)
            assert "pro" in indexes()[0]
            here.run("segments", "delete", "paying", *LIST)
            wait_until(lambda: not indexes())
    assert "its tables agree" in here.run("db", "check")


def test_engagement_is_rebuilt_by_a_command(here: Installation) -> None:
    said = here.run("db", "rebuild-engagement", "--dry-run")
    assert "Would go through 0 opens and clicks" in said
    assert "Went through 0 opens and clicks" in here.run("db", "rebuild-engagement")
