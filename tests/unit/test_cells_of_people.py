"""What cells and members of a file become: attributes, times, tags, names, languages."""

from pathlib import Path

import pytest

from subscribers.imports.presets import cells
from tests.files_of_people import people_of, problems_of


def _nested(levels: int) -> str:
    return '{"a": ' * (levels - 1) + '{"[": "{[{[\\"{["}' + "}" * (levels - 1)


@pytest.mark.parametrize("levels", [51, 600, 5_000, 50_000])
def test_attributes_nested_deeper_than_can_be_exported_are_a_bad_row(
    tmp_path: Path, levels: int
) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(f'{{"email": "ada@example.org", "attributes": {_nested(levels)}}}')
    (problem,) = problems_of(file)
    assert problem.startswith(("attributes: expected a JSON", "line: expected a JSON"))
    file.write_text(f'{{"email": "ada@example.org", "attributes": {_nested(50)}}}')
    assert len(people_of(file)) == 1
    cell = _nested(levels).replace('"', '""')
    file = tmp_path / "people.csv"
    file.write_text(f'email,attributes\nada@example.org,"{cell}"\n')
    assert problems_of(file) == [
        'attributes: expected a JSON object of at most 50 levels, such as {"plan": "pro"}'
    ]


@pytest.mark.parametrize("year", ["0001", "1899", "2200", "9999"])
def test_a_time_that_nobody_can_mean_is_a_bad_row(tmp_path: Path, year: str) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email,paused_until\nada@example.org,{year}-06-17\n")
    (problem,) = problems_of(file)
    assert problem.startswith("paused_until: expected a time such as 2026-06-17T08:00:00+00:00")
    assert problem.endswith(f"in the years 1900 to 2199, found '{year}-06-17'")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("uuid,email,attributes,status", "u,ada@example.org,,enabled"),
        ("email,subscribed_to_emails", "ada@example.org,true"),
        ("email,first_name,last_name,data,status", "ada@example.org,,,,active"),
        ("email,active_subscription,email_disabled", "ada@example.org,false,false"),
        ("first_name,email,created_at,status", ",ada@example.org,,active"),
        ("email_address,type,creation_date", "ada@example.org,regular,"),
        ("email_address,optin_time,confirm_time,status", "ada@example.org,,,subscribed"),
        ("email", "ada@example.org"),
    ],
)
def test_why_a_row_was_bad_is_no_attribute_of_its_person(
    tmp_path: Path, header: str, row: str
) -> None:
    file = tmp_path / "people.csv.bad.csv"
    file.write_text(f"{header},error\n{row},status: expected one of these\n")
    (ada,) = people_of(file)
    assert ada.attributes == {}


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ('"early", "Berlin, Germany","a ""b"" c"', ["early", "Berlin, Germany", 'a "b" c']),
        ("a, b,,a", ["a", "b"]),
        ('"b",c\nd', ["b", "c", "d"]),
        ('"open, b', ["open, b"]),
        ('["a,b", {"name": "c"}]', ["a,b", "c"]),
        (",", []),
    ],
)
def test_tags_are_words_between_commas_or_in_quotes(cell: str, tags: list[str]) -> None:
    assert cells.tags(cell) == tags


def test_a_tag_of_any_length_is_read() -> None:
    """How long a cell of a CSV file may be is set only once such a file is opened."""
    (tag,) = cells.tags('"' + "x" * 200_000)
    assert tag.strip('"') == "x" * 200_000


def test_members_of_json_that_nobody_knows_keep_their_type(tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(
        '\n {"email": "ada@example.org", "age": 5, "vip": false, "pets": ["cat"], "city": " Rom ",'
        ' "none": null, "error": "was bad", "attributes": {"vip": true}}\n'
    )
    (ada,) = people_of(file)
    assert ada.attributes == {"age": 5, "vip": True, "pets": ["cat"], "city": "Rom"}
    file.write_text(f'{{"email": "ada@example.org", "deep": {_nested(51)}}}')
    assert problems_of(file) == ["deep: expected a JSON value of at most 50 levels"]


def test_names_are_tidied_and_languages_and_time_zones_are_spelt_as_usual(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "email,name,locale,time_zone\n"
        'ada@example.org,"Ada\r\n\x07 Reader\u2028",pt_br,europe/london\n'
        f"bob@example.org,{'x' * 199} y,,\n"
    )
    ada, bob = people_of(file)
    assert (ada.name, ada.locale, ada.time_zone) == ("Ada Reader", "pt-BR", "Europe/London")
    assert bob.name == "x" * 199


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("locale", "locale: expected a language such as en, pt-BR or zh-Hant"),
        ("time_zone", "time_zone: expected a time zone such as Europe/London"),
    ],
)
def test_a_language_or_time_zone_that_is_none_is_a_bad_row(
    tmp_path: Path, column: str, expected: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email,{column}\nada@example.org,The Moon\n")
    assert problems_of(file) == [expected]
