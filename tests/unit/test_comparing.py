"""Two texts compared: the rows say what each of them was."""

from hypothesis import given
from hypothesis import strategies as st

from newsletter.issues.comparing import Change, compare, count

TEXTS = st.lists(st.sampled_from(["one", "two words", "", "three"]), max_size=12).map("\n".join)


def test_equal_texts_have_nothing_to_show() -> None:
    assert compare("a\nb", "a\nb") == []


def test_a_changed_line_shows_which_words_changed() -> None:
    (stretch,) = compare("same\nthe old word", "same\nthe new word")
    row = stretch.rows[-1]
    assert row.change is Change.OTHER
    assert row.before is not None
    assert row.after is not None
    assert [piece.text for piece in row.before.pieces if piece.differs] == ["old"]
    assert [piece.text for piece in row.after.pieces if piece.differs] == ["new"]


def test_far_changes_are_two_stretches() -> None:
    lines = [str(number) for number in range(30)]
    changed = ["x", *lines[1:-1], "y"]
    assert len(compare("\n".join(lines), "\n".join(changed))) == 2


@given(TEXTS, TEXTS)
def test_the_rows_are_lines_of_the_two_texts(before: str, after: str) -> None:
    old, new = before.split("\n"), after.split("\n")
    stretches = compare(before, after)
    for row in (row for stretch in stretches for row in stretch.rows):
        if row.before:
            assert old[row.before.number - 1] == row.before.text
        if row.after:
            assert new[row.after.number - 1] == row.after.text
    came, gone = count(stretches)
    assert len(new) - len(old) == came - gone
    assert bool(stretches) == (before != after)
