"""Entries change places as text: all other bytes stay."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.core.errors import InputError, NewsletterError, RefusedError
from newsletter.issues import arranging
from newsletter.issues.parsing import parse
from newsletter.issues.source import Entry, Prose
from tests import factories

HEAD = "---\ndate: 2026-06-17\n---\n"
BODY = st.sampled_from(
    [
        "Text.\n",
        "Ada · [Source](https://example.org/s)\nText with *stress*.\n",
        "```\n### not an entry\n```\n",
        "> For everybody.\n",
        "- one\n- two\n\n  deeper\n",
        "```\nleft open\n",
        "\n\n",
        "",
    ]
)
GAPS = st.sampled_from(["", "\n", "\n\n\n", "  \n"])


@st.composite
def issues(draw: st.DrawFn) -> str:
    """Sections of prose and of entries; some end without a line break, some have CRLF."""
    parts, number = [HEAD], 0
    for section in range(draw(st.integers(1, 3))):
        parts.append(f"## Section {section}\n{draw(BODY)}{draw(GAPS)}")
        for _ in range(draw(st.integers(0, 3))):
            number += 1
            parts.append(f"### [Entry {number}](https://example.org/{number})\n")
            parts.append(draw(BODY) + draw(GAPS))
    text = "".join(parts)
    text = text.rstrip("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def names(text: str) -> list[str]:
    return [entry.title for section in parse(text, "x").sections for entry in section.entries]


def by_section(text: str) -> list[list[str]]:
    return [[entry.title for entry in each.entries] for each in parse(text, "x").sections]


@settings(max_examples=60)
@given(issues(), st.integers(1, 8), st.integers(0, 2))
def test_an_entry_moves_to_another_section_whole(text: str, number: int, section: int) -> None:
    with suppress(InputError, RefusedError):
        moved = arranging.move_to(text, number, section)
        wanted, title = by_section(text), names(text)[number - 1]
        for each in wanted:
            if title in each:
                each.remove(title)
        wanted[section].append(title)
        assert by_section(moved) == wanted
        of = {entry.title: entry for each in parse(text, "x").sections for entry in each.entries}
        now = {entry.title: entry for each in parse(moved, "x").sections for entry in each.entries}
        assert {t: (e.url, e.author) for t, e in of.items()} == {
            t: (e.url, e.author) for t, e in now.items()
        }
        assert sorted(filter(str.strip, text.splitlines())) == sorted(
            filter(str.strip, moved.splitlines())
        )


def test_an_entry_that_would_swallow_the_sections_behind_it_stays() -> None:
    open_end = "### [B](https://example.org/b)\n```\nleft open\n"
    text = f"{HEAD}## One\n### [A](https://example.org/a)\nText.\n## Two\n## Three\n{open_end}"
    with pytest.raises(RefusedError, match="would say something else"):
        arranging.move_to(text, 2, 0)


def test_an_entry_goes_behind_the_last_of_its_new_section() -> None:
    text = f"{HEAD}## A\n### One\n1\n\n### Two\n2\n\n## B\n### Three\n3\n## C\nEnd."
    moved = arranging.move_to(text, 1, 1)
    assert moved == f"{HEAD}## A\n### Two\n2\n\n## B\n### Three\n3\n\n### One\n1\n## C\nEnd."
    assert arranging.move_to(text, 3, 0).startswith(
        f"{HEAD}## A\n### One\n1\n\n### Two\n2\n\n### Three\n3\n\n## B\n## C"
    )
    assert arranging.move_to(text, 2, 2).endswith("## C\nEnd.\n\n### Two\n2\n")
    for number, section in ((1, 0), (1, 3), (1, -1), (9, 1)):
        with pytest.raises(InputError):
            arranging.move_to(text, number, section)


@settings(max_examples=80)
@given(issues(), st.integers(1, 8), st.sampled_from([-1, 1]))
def test_a_move_there_and_back_is_the_same_text(text: str, number: int, by: int) -> None:
    with suppress(InputError, RefusedError):
        moved = arranging.move(text, number, by)
        wanted = names(text)
        wanted[number - 1], wanted[number - 1 + by] = wanted[number - 1 + by], wanted[number - 1]
        assert names(moved) == wanted
        assert sorted(moved) == sorted(text)
        with suppress(RefusedError):
            assert arranging.move(moved, number + by, -by) == text


@settings(max_examples=50)
@given(issues(), st.integers(1, 8))
def test_taking_one_away_leaves_the_others(text: str, number: int) -> None:
    with suppress(InputError, RefusedError):
        left = arranging.remove(text, number)
        expected = names(text)
        del expected[number - 1]
        assert names(left) == expected
        before = text[: len(text) - len(text.lstrip())]
        assert left.startswith(before)


@settings(max_examples=50)
@given(issues())
def test_adding_one_keeps_all_other_text(text: str) -> None:
    with suppress(RefusedError, InputError):
        entry = Entry("New [one]", 0, url="https://example.org/new", author="Ada")
        longer = arranging.add(text, entry)
        assert set(names(longer)) == {*names(text), "New [one]"}
        rest = iter(longer)
        assert all(character in rest for character in text)


def test_nothing_but_the_two_entries_moves() -> None:
    moved = arranging.move(factories.MARKDOWN, 2, -1)
    one = "### [One](https://example.org/one)\nFirst summary with [a link](https://example.org/inside).\n"
    two = "### [Two](https://example.org/two)\nSecond summary.\n"
    assert moved == factories.MARKDOWN.replace(f"{one}\n{two}", f"{two}\n{one}")


def test_an_open_code_block_does_not_swallow_the_next_entry() -> None:
    text = f"{HEAD}## A\n### One\nText.\n\n### Two\n```\nopen\n"
    with pytest.raises(RefusedError, match="something else"):
        arranging.move(text, 2, -1)


def test_an_entry_stays_in_its_section() -> None:
    text = f"{HEAD}## A\n### One\n1\n## B\n### Two\n2\n"
    with pytest.raises(InputError, match="no place to go"):
        arranging.move(text, 2, -1)


def test_an_entry_is_added_to_the_section_that_is_named() -> None:
    text = f"{HEAD}## A\n### One\n1\n\n\n## B\n### Two\n2"
    entry = Entry("New", 0, url="https://example.org/n", summary=Prose("Says.", 0, markdown=False))
    added = arranging.add(text, entry, "A")
    assert added == text.replace("1\n\n\n", "1\n\n### [New](https://example.org/n)\n\nSays.\n\n\n")
    assert arranging.add(text, entry).endswith("2\n\n### [New](https://example.org/n)\n\nSays.\n")


def test_the_first_entry_of_all_gets_a_section() -> None:
    added = arranging.add(f"{HEAD}## Big\nText.\n", Entry("New", 0))
    assert added == f"{HEAD}## Big\nText.\n\n## Reads\n\n### New\n"


def test_a_digest_is_not_arranged() -> None:
    digest = "Field Notes — 2026-06-17#\n\nReads#\n\nOne · Source Text.\n"
    with pytest.raises(RefusedError, match="Markdown"):
        arranging.move(digest, 1, 1)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_an_entry_that_is_not_there_is_named(number: int) -> None:
    with pytest.raises(NewsletterError):
        arranging.remove(factories.MARKDOWN, number)
