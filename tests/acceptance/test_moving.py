"""Moving here from each system, by the commands of its page and a file with its traps."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import ROOT, Installation
from tests.moving import MOVES, Move, Moved, put

PAGES = ROOT / "docs" / "moving"


@pytest.mark.parametrize("system", MOVES)
def test_the_commands_of_the_page_bring_everybody_as_it_says(tmp_path: Path, system: str) -> None:
    move = MOVES[system]
    here = Installation(tmp_path)
    put(move, tmp_path)
    began = datetime.now(UTC)
    said = "".join(_said(here, command) for command in _commands(system))
    assert "Nothing was changed." in said
    assert _arrived(here, began) == move.people
    assert _consents(here) == _expected_consents(move)


@pytest.mark.parametrize("system", MOVES)
def test_rows_that_cannot_be_understood_are_named_and_the_others_come(
    tmp_path: Path, system: str
) -> None:
    move = MOVES[system]
    here = Installation(tmp_path)
    put(move, tmp_path)
    problems: list[str] = []
    for name in move.files:
        imported = _import(here, name)
        problems += imported["first_problems"]
    assert len(problems) == len(move.bad)
    for problem, expected in zip(problems, move.bad, strict=True):
        assert expected in problem


@pytest.mark.parametrize("system", MOVES)
def test_a_file_imported_twice_is_as_imported_once(tmp_path: Path, system: str) -> None:
    move = MOVES[system]
    here = Installation(tmp_path)
    put(move, tmp_path)
    for name in move.files:
        _import(here, name)
    once = _exported(here)
    again: Counter[str] = Counter()
    for name in move.files:
        again += Counter({k: n for k, n in _import(here, name).items() if isinstance(n, int)})
    assert _exported(here) == once
    assert again["present"] == len(move.people)
    assert again["rows"] == len(move.people) + len(move.bad)


@pytest.mark.parametrize("system", MOVES)
def test_the_bad_rows_of_a_file_import_once_mended(tmp_path: Path, system: str) -> None:
    here = Installation(tmp_path)
    put(MOVES[system], tmp_path)
    for name in MOVES[system].files:
        _import(here, name, "--bad-rows", "bad.csv")
    before = len(_exported(here))
    text = (tmp_path / "bad.csv").read_text()
    for broken, mended in (
        ("not json", "{}"),
        ("paused", "enabled"),
        ('"[1, 2]"', "{}"),
        ("2024-01-01T00:00:00.000Z,,,", ",,,"),
        ("dee@example.org,,,,,,", "dee@example.org,,,false,,,"),
        ("not-an-address", "fay@example.org"),
        ("maybe", "false"),
        ("cold", "cancelled"),
        ("fay@example.org,,,,,2019", "fay@example.org,regular,,,,2019"),
    ):
        text = text.replace(broken, mended)
    (tmp_path / "mended.csv").write_text(text)
    imported = _import(here, "mended.csv")
    assert imported.get("added", 0) + imported.get("suppressed", 0) == len(MOVES[system].bad)
    assert len(_exported(here)) == before + len(MOVES[system].bad)


def _commands(system: str) -> list[str]:
    text = (PAGES / f"{system}.md").read_text()
    found = re.findall(r"^newsletter (subscribers import .+)$", text, re.MULTILINE)
    assert any("--dry-run" in command for command in found)
    return found


def _said(here: Installation, command: str) -> str:
    return here.run(*command.split())


def _import(here: Installation, name: str, *options: str) -> Any:
    command = ("subscribers", "import", name, "--list", "Readers", *options, "--json")
    return json.loads(here.run(*command))


def _exported(here: Installation) -> list[Any]:
    here.run("subscribers", "export", "--all", "--format", "jsonl", "--out", "all.jsonl")
    lines = (here.folder / "all.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _arrived(here: Installation, began: datetime) -> Mapping[str, Moved]:
    """Everybody there is; times since the beginning are those of the import itself."""

    def moment(text: str) -> str:
        found = datetime.fromisoformat(text)
        return "" if found >= began else found.strftime("%Y-%m-%dT%H:%M:%S")

    people = {}
    for person in _exported(here):
        (subscription,) = person["subscriptions"]
        assert subscription["list"] == "readers"
        people[person["email"]] = Moved(
            subscription["status"],
            person["name"],
            person["attributes"],
            moment(subscription["subscribed_at"]),
            "".join(each["reason"] for each in person["suppressed"]),
            [
                (event["change"], moment(event["at"]), event.get("ip", ""))
                for event in subscription["history"]
            ],
            person["time_zone"],
        )
    return people


def _consents(here: Installation) -> Mapping[str, int]:
    (readers,) = here.json("lists", "list")
    return {status: readers[status] for status in ("pending", "active", "unsubscribed")}


def _expected_consents(move: Move) -> Mapping[str, int]:
    counts = Counter(person.status for person in move.people.values())
    return {status: counts[status] for status in ("pending", "active", "unsubscribed")}
