"""Name, language, time zone as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.core.errors import InputError
from subscribers import details


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        *(("", ""), ("en", "en"), ("EN", "en"), ("pt_br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW")),
        *(("de-1996", "de-1996"), ("es-419", "es-419"), (" sl-rozaj-biske ", "sl-rozaj-biske")),
    ],
)
def test_a_language_is_kept_in_its_usual_spelling(typed: str, kept: str) -> None:
    assert details.locale(typed) == kept


@pytest.mark.parametrize("typed", ["English", "e", "en-", "en US", "en-x-private", "x" * 40])
def test_what_is_no_language_is_refused(typed: str) -> None:
    with pytest.raises(InputError, match="expected a language"):
        details.locale(typed)


@given(st.text(max_size=300))
def test_whatever_is_typed_is_kept_whole_or_refused(text: str) -> None:
    try:
        name = details.name(text)
    except InputError:
        return
    assert len(name) <= 200
    assert name.split() == text.split()
    assert "\0" not in name
    assert name.encode().decode() == name


def test_names_keep_what_scripts_need() -> None:
    assert details.name("O\u2019Brien क्\u200dष") == "O\u2019Brien क्\u200dष"


def test_time_zones_are_those_with_a_place() -> None:
    zones = details.time_zones()
    assert "Europe/London" in zones["Europe"]
    assert not zones.keys() & {"Etc", "posix", "US"}
    for names in zones.values():
        for zone in names:
            assert details.time_zone(zone) == zone
    assert details.time_zone("UTC") == "UTC"
    assert details.time_zone("") == ""
