"""A newsletter's colours: what may be chosen, what follows, what can be read."""

import re
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.core.errors import InputError
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.palette import (
    CHOSEN,
    DARK,
    LEAST_CONTRAST,
    LIGHT,
    Look,
    Palette,
    checked,
    contrast,
    nearest_readable,
)
from newsletter.rendering.system import compile_system_mail
from newsletter.rendering.templates import TemplateFolders
from tests import factories

FOLDERS = TemplateFolders.of()
COLOURS = st.from_regex(r"\A#[0-9a-f]{6}\Z")
OWN = Palette.of(
    checked(
        {
            "light": {"accent": "#00695c", "page": "#eeeeff"},
            "dark": {"accent": "#80cbc4", "card": "#111122"},
        }
    )
)


def compiled_in(look: Look) -> str:
    return compile_issue(factories.source(), factories.identity(look=look), FOLDERS).email.html


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("#767676", "#ffffff", 4.54)],
)
def test_contrast_is_that_of_wcag_either_way(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(other, one) == contrast(one, other)


def test_the_default_can_be_read_and_is_what_nothing_chosen_means() -> None:
    assert Palette().weaknesses() == ()
    same = {"light": {name: getattr(LIGHT, name).upper() for name in CHOSEN}}
    assert checked(same) == {}
    assert Palette.of({}) == Palette(LIGHT, DARK)


@pytest.mark.parametrize(
    "colour",
    [
        "red",
        "#12345",
        "#1234567",
        "rgb(0,0,0)",
        "#000;}body{",
        "url(x)",
        "#ggg",
        "#\uff11\uff12\uff13",
    ],
)
def test_a_colour_is_hexadecimal_digits_and_nothing_else(colour: str) -> None:
    with pytest.raises(InputError) as error:
        checked({"dark": {"accent": colour}})
    assert error.value.place == "dark.accent"


def test_short_and_unknown_colours() -> None:
    chosen = {"light": {"accent": " #0A7 ", "rule": "#123456"}, "sepia": {"page": "#000000"}}
    assert checked(chosen) == {"light": {"accent": "#00aa77"}}


@given(COLOURS, COLOURS)
def test_the_nearest_tone_can_be_read_where_one_can(colour: str, background: str) -> None:
    nearest = nearest_readable(colour, lambda _: [background])
    assert contrast(nearest, background) >= LEAST_CONTRAST
    if contrast(colour, background) >= LEAST_CONTRAST:
        assert nearest == colour


def test_backgrounds_that_differ_too_much_have_no_tone_in_common() -> None:
    assert nearest_readable("#808080", lambda _: ["#000000", "#555555", "#ffffff"]) == ""
    weak = Palette.of({"light": {"page": "#000000"}}).weaknesses()
    assert {(w.scheme, w.name) for w in weak} >= {("light", "ink"), ("light", "quiet")}


@given(COLOURS)
def test_the_words_of_a_button_can_always_be_read(accent: str) -> None:
    tones = Palette.of({"light": {"accent": accent}}).light
    assert contrast(tones.on_accent, tones.accent) >= LEAST_CONTRAST


def test_what_is_weak_is_named_with_what_mends_it() -> None:
    palette = Palette.of(checked({"light": {"accent": "#ffcc00"}}))
    (weak,) = palette.weaknesses()
    assert (weak.scheme, weak.name) == ("light", "accent")
    assert weak.contrast < LEAST_CONTRAST
    mended = Palette.of(palette.mended())
    assert mended.light.accent == weak.nearest
    assert mended.weaknesses() == ()


@pytest.mark.parametrize("template", ["digest", "letter"])
def test_every_template_shows_chosen_colours_and_none_of_the_defaults_they_replace(
    template: str,
) -> None:
    html = compiled_in(Look(template, OWN))
    for tones, default in ((OWN.light, LIGHT), (OWN.dark, DARK)):
        for name, colour in asdict(tones).items():
            standard = asdict(default)[name]
            if colour != standard and name not in {"on_accent", "tint", "edge"}:
                assert standard not in html, (template, name)
    assert OWN.light.accent in html
    assert OWN.dark.accent in html
    assert not re.search(r"\{\{|\{%", html)


def test_letters_to_one_person_wear_the_same_colours() -> None:
    about = {"invitation_url": "https://news.example.org/x", "days": 7, "is_new": True}
    own = factories.identity(look=Look(palette=OWN))
    mail = compile_system_mail("invitation", own, about, FOLDERS)
    assert LIGHT.accent not in mail.html
    assert OWN.light.accent in mail.html
    assert "invited to work on Field Notes" in mail.html
    assert "https://news.example.org/x" in mail.text


def test_a_changed_colour_changes_the_content_that_an_approval_is_bound_to() -> None:
    hashes = {
        compile_issue(
            factories.source(), factories.identity(look=look), FOLDERS
        ).email.content_hash()
        for look in (Look(), Look(palette=OWN), Look("letter"))
    }
    assert len(hashes) == 3


def test_the_look_is_frozen_in_the_mail_and_not_beside_it() -> None:
    own = factories.identity(look=Look("letter", OWN))
    assert "look" not in own.to_json()
    assert type(own).from_json(own.to_json()).look == Look()


def test_templates_that_can_be_chosen_have_both_parts() -> None:
    assert FOLDERS.of_issues() == ("digest", "letter")
