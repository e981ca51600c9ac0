"""The plain digest form: nothing of it is lost, and what is wrong is named with its line."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.issues.digest_form import sentences
from newsletter.issues.parsing import parse, read_text
from newsletter.issues.source import SourceError, SourceForm

DIGEST = """\
Engineering Reads — 2026-06-17#

The Big Idea#

Judgment stays.

It is the bottleneck.

Deep Reads#

One Title · Ada Reader · Source Opens here. Goes on, e.g. like this. Says more. Everybody should.

Two Title · Source Only one sentence.

Connecting Thread#

All of it connects.

Categories: Blogs, Notes
"""


def test_the_sample_reads_as_it_was_meant(shared: Path) -> None:
    file = shared / "samples" / "engineering-reads-2026-06-17.txt"
    issue = parse(read_text(file), file.name)
    assert issue.date == date(2026, 6, 17)
    assert issue.categories == ("Blogs",)
    big_idea, reads, thread = issue.sections
    assert [s.title for s in issue.sections] == ["The Big Idea", "Deep Reads", "Connecting Thread"]
    assert big_idea.body
    assert thread.body
    assert not big_idea.entries
    assert not thread.entries
    assert [e.author for e in reads.entries] == ["Kenneth Reitz"] * 4 + ["Sebastian Raschka"] * 8
    assert all(e.title and e.lead and e.summary and e.audience for e in reads.entries)
    assert reads.entries[0].title == "Conducting Between Roller Coasters"


def test_an_entry_is_lead_middle_and_audience() -> None:
    issue = parse(DIGEST, "digest.txt")
    assert (issue.form, issue.newsletter) == (SourceForm.DIGEST, "engineering-reads")
    assert issue.categories == ("Blogs", "Notes")
    one, two = issue.sections[1].entries
    assert (one.title, one.author, one.lead) == ("One Title", "Ada Reader", "Opens here.")
    assert one.summary
    assert one.summary.text == "Goes on, e.g. like this. Says more."
    assert one.audience
    assert one.audience.text == "Everybody should."
    assert (two.author, two.lead, two.audience) == ("", "", None)
    assert issue.sections[0].body
    assert issue.sections[0].body.text == "Judgment stays.\n\nIt is the bottleneck."


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("Hello\n", "f.txt:1", "expected `---` and front matter, or a first line"),
        ("", "f.txt:1", "expected `---`"),
        ("Reads — 2026-13-45#\n\nA#\n\nx\n", "f.txt:1", "expected a day"),
        ("Reads — 2026-06-17#\n\nstray\n", "f.txt:3", "expected a heading"),
        ("Reads — 2026-06-17#\n", "f.txt:1", "at least one heading"),
        (DIGEST.replace("Two Title · Source Only", "Two Title. Only"), "f.txt:13", "an entry like"),
        ("Reads — 2026-06-17#\n\nA#\n\nx\x07y\n", "f.txt:5", "control character U\\+0007"),
        ("日本 — 2026-06-17#\n\nA#\n\nx\n", "f.txt:1", "the Markdown form can name one"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, place: str, expected: str) -> None:
    with pytest.raises(SourceError, match=expected) as raised:
        parse(text, "f.txt")
    assert str(raised.value).startswith(f"{place}:")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400))
def test_any_text_is_an_issue_or_an_error_with_a_line(text: str) -> None:
    assert _is_issue_or_names_a_line(text)
    assert _is_issue_or_names_a_line(f"Reads — 2026-06-17#\n\n{text}")


def _is_issue_or_names_a_line(text: str) -> bool:
    try:
        return bool(parse(text, "f.txt").sections)
    except SourceError as error:
        return re.match(r"f\.txt:\d+: expected", str(error)) is not None


_words = st.text(alphabet="abc XYZ.!?\"'(),0123é", max_size=200)


@given(_words)
def test_sentences_joined_are_the_text_again(text: str) -> None:
    assert " ".join(sentences(text)).split() == text.split()


_word = st.text(alphabet="abcdefgé", min_size=1, max_size=8)
_sentence = st.lists(_word, min_size=1, max_size=6).map(lambda words: " ".join(words).capitalize())
_entries = st.lists(
    st.tuples(_sentence, _sentence, st.lists(_sentence, min_size=1, max_size=5)), min_size=1
)


@given(_entries)
def test_every_word_of_a_digest_is_in_the_issue(
    entries: list[tuple[str, str, list[str]]],
) -> None:
    body = "\n\n".join(f"{t} · {a} · Source {'. '.join(s)}." for t, a, s in entries)
    read = parse(f"Reads — 2026-06-17#\n\nAll#\n\n{body}\n", "f.txt").sections[0].entries
    for entry, (title, author, said) in zip(read, entries, strict=True):
        prose = [p.text for p in (entry.summary, entry.audience) if p]
        assert (entry.title, entry.author) == (title, author)
        assert " ".join([entry.lead, *prose]).split() == f"{'. '.join(said)}.".split()
