"""The page of figures: a chapter measured by itself takes the place of the old one."""

from benchmarks.page import Chapter, page, with_chapters

OLD = page(
    [Chapter("Send", "Into a sink.", ["| old |"]), Chapter("Freeze", "Everybody.")], 5, "", "make"
)


def test_a_chapter_measured_anew_replaces_its_own_and_says_by_what() -> None:
    new = with_chapters(OLD, [Chapter("Send", "Again.", ["| new |"])], "the command")
    assert "| new |" in new
    assert "| old |" not in new
    assert "Measured by itself: `the command`." in new
    assert new.index("## Send") < new.index("## Freeze")
    assert "Everybody." in new


def test_a_new_chapter_comes_last_and_the_others_stay_as_they_are() -> None:
    new = with_chapters(OLD, [Chapter("People", "A million.")], "the command")
    assert new.startswith(OLD.rstrip("\n"))
    assert new.rstrip().endswith("Measured by itself: `the command`.")
