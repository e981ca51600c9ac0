"""What a file says about people, read without a database: whoever left is never read as there."""

from pathlib import Path

import pytest

from newsletter.core.errors import InputError
from subscribers.imported import ImportedSubscriber
from subscribers.people_files import Bad, Good, Reading, opened


def people_of(file: Path, **reading: object) -> list[ImportedSubscriber]:
    """Everybody in a file without bad rows."""
    rows = _rows(file, **reading)
    assert all(isinstance(row, Good) for row in rows), rows
    return [person for row in rows if isinstance(row, Good) for person in row.people]


def problems_of(file: Path, **reading: object) -> list[str]:
    """What is said about the bad rows of a file."""
    return [str(row.problem) for row in _rows(file, **reading) if isinstance(row, Bad)]


def _rows(file: Path, **reading: object) -> list[Good | Bad]:
    with opened(file, Reading(**reading)) as people:  # type: ignore[arg-type]
        return list(people.rows())


def statuses_of(file: Path, **reading: object) -> list[str]:
    return [str(p.subscription and p.subscription.status) for p in people_of(file, **reading)]


@pytest.mark.parametrize("ours", ["suppressed", "tracking_consent", "history", "list"])
def test_our_own_columns_are_never_taken_for_another_systems(tmp_path: Path, ours: str) -> None:
    """`first_name,email,created_at,status` alone are Kit's."""
    columns = {
        "suppressed": "complaint",
        "tracking_consent": "denied",
        "history": '"[{""change"": ""unsubscribed"", ""at"": ""2025-01-02""}]"',
        "list": "readers",
    }
    file = tmp_path / "people.csv"
    file.write_text(
        f"first_name,email,created_at,status,{ours}\nAda,ada@example.org,,active,{columns[ours]}\n"
    )
    (ada,) = people_of(file)
    assert ada.attributes == {}
    assert ada.subscription
    assert {
        "suppressed": bool(ada.suppressions),
        "tracking_consent": ada.subscription.tracking_consent == "denied",
        "history": bool(ada.subscription.history),
        "list": ada.subscription.list_name == "readers",
    }[ours]


@pytest.mark.parametrize(
    "header",
    [
        "uuid,email,attributes,status",
        "email,subscribed_to_emails",
        "email,first_name,last_name,data,status",
        "email,active_subscription,email_disabled",
        "first_name,email,created_at,status",
        "email_address,type,creation_date",
        "email_address,optin_time,confirm_time,status",
    ],
)
def test_a_column_that_may_say_who_left_is_refused_in_every_systems_file(
    tmp_path: Path, header: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"{header},Opt-Out\n")
    with pytest.raises(InputError, match="column `opt_out` may say who left"):
        people_of(file)
    assert people_of(file, columns={"Opt-Out": "-"}) == []
