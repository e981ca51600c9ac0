"""The lint before MJML: what the compiler would drop in silence is an error with its place."""

import pytest

from newsletter.rendering.mjml import compile_mjml
from newsletter.rendering.templates import TemplateError

PAGE = (
    "<mjml>\n<mj-body>\n<mj-section>\n<mj-column>\n{}\n</mj-column>\n</mj-section>\n"
    "</mj-body>\n</mjml>"
)


def test_a_right_template_compiles_without_outside_fonts_or_comments() -> None:
    page = compile_mjml(PAGE.format("<!-- secret --><mj-text>Hello</mj-text>"), "x.mjml")
    assert "Hello" in page
    assert "secret" not in page
    assert "fonts.googleapis" not in page


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("<mj-txt>x</mj-txt>", r"x\.mjml:5: <mj-txt> is not a tag"),
        ("<mj-include path='/etc/passwd'/>", r"x\.mjml:5: <mj-include> is not a tag"),
        (
            '<mj-text colour="#112233">x</mj-text>',
            "mjml:5: <mj-text> has no attribute 'colour'",
        ),
        ('<mj-text padding="0 10px">x</mj-text>', r"x\.mjml:5: .*write 0px, not 0"),
        ('<mj-text color="#fff">x</mj-text>', r"x\.mjml:5: .*six hex digits"),
        ('<mj-text mj-class="a b">x</mj-text>', r"x\.mjml:5: .*expected one mj-class"),
        (
            "<mj-text color='#112233'>x</mj-text>",
            r'mjml:5: .*attributes as name="value"',
        ),
        ("<mj-text>x", r"x\.mjml"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(part: str, expected: str) -> None:
    with pytest.raises(TemplateError, match=expected):
        compile_mjml(PAGE.format(part), "x.mjml")
