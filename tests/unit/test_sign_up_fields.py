"""What a list's form asks, as a command names it and as people answer."""

import pytest

from newsletter.core.errors import InputError
from subscribers.sign_up_fields import SignUpField, read_fields


def test_a_field_is_a_key_and_a_label() -> None:
    fields = read_fields(["company=Your company:required", "name=Your name = how we call you"])
    assert fields == (
        SignUpField("company", "Your company", required=True),
        SignUpField("name", "Your name = how we call you"),
    )
    assert [SignUpField.from_json(one.to_json()) for one in fields] == list(fields)
    assert [one.most_characters for one in fields] == [500, 200]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["company"], "expected KEY=LABEL"),
        (["company="], "expected KEY=LABEL"),
        (["company=:required"], "expected KEY=LABEL"),
        (["Company=x"], "expected a key of a-z"),
        (["=x"], "expected a key of a-z"),
        (["email=x"], "expected a key of a-z"),
        (["a b=x"], "expected a key of a-z"),
        (["a=" + "x" * 101], "at most 100 characters"),
        (["a=x\0"], "at most 100 characters"),
        (["a=x", "a=y"], "expected different keys, found 'a' twice"),
        ([f"f{n}=x" for n in range(21)], "at most 20 fields"),
    ],
)
def test_what_is_wrong_with_a_field_is_named(texts: list[str], expected: str) -> None:
    with pytest.raises(InputError, match=expected) as raised:
        read_fields(texts)
    assert raised.value.place == "--field"


def test_an_answer_is_tidied_or_refused() -> None:
    field = SignUpField("company", "Company", required=True)
    assert field.answer("  Analytical\0 Engines \x07") == "Analytical Engines"
    for typed, expected in (("", "fill in"), (" \0 ", "fill in"), ("x" * 501, "at most 500")):
        with pytest.raises(InputError, match=expected):
            field.answer(typed)
    assert SignUpField("note", "Note").answer("") == ""
