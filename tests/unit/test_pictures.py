"""Pictures of a mail that are elsewhere, in every place where HTML names one."""

import pytest

from newsletter.rendering.pictures import addresses, moved

A = "https://example.org/a.png"


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (f'<img src="{A}" alt="a">', '<img src="/P" alt="a">'),
        (f"<IMG alt='>' SRC={A}>", "<IMG alt='>' SRC=\"/P\">"),
        ('<img src=" //example.org/a.png">', '<img src="/P">'),
        (f'<td background="{A}">', '<td background="/P">'),
        (f'<img srcset="{A} 1x, {A} 2x">', '<img srcset="/P 1x, /P 2x">'),
        (f'<p style="color:red;background:url({A})">', None),
        (f"<p style='background:URL( &quot;{A}&quot; )'>", None),
        (f"<style>a > b {{ background: url('{A}') }}</style>", None),
        (f"<!--[if mso]><v:fill src='{A}'><![endif]-->", None),
    ],
)
def test_pictures_are_found_wherever_they_are_named(page: str, shown: str | None) -> None:
    assert addresses(page) == [A]
    found = moved(page, lambda _: "/P")
    assert "example.org" not in found
    assert "/P" in found
    assert shown in (None, found)


def test_what_is_no_picture_from_elsewhere_stays_to_the_byte() -> None:
    page = (
        f"<a href='{A}'>x</a> <img src='/i/1.png'> &lt;img src='{A}'&gt; <p style='a:url(/b)'>"
        f"<img alt=' src=\"{A}\"' src='data:image/png;base64,AA'> <img srcset='/a 1x'>"
    )
    assert moved(page, lambda _: "/P") == page
    assert addresses('<img src="https://example.org/?a=1&amp;b=2">') == [
        "https://example.org/?a=1&b=2"
    ]
