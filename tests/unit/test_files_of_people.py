"""What a file says about people, read without a database: whoever left is never read as there."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from newsletter.core.errors import InputError
from subscribers.files.csv_files import normalised
from subscribers.files.people_files import Bad, Good, Reading, opened
from subscribers.imports.imported import ImportedEvent
from subscribers.imports.presets.doubtful import is_doubtful
from tests.files_of_people import people_of, problems_of, statuses_of


@pytest.mark.parametrize("ours", ["suppressed", "tracking_consent", "history", "list"])
def test_our_own_columns_are_never_taken_for_another_systems(tmp_path: Path, ours: str) -> None:
    """`first_name,email,created_at,status` alone are Kit's."""
    columns = {
        "suppressed": "complaint",
        "tracking_consent": "denied",
        "history": '"[{""change"": ""confirmed"", ""at"": ""2025-01-02""}]"',
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


def test_nobody_is_read_as_there_against_the_evidence_that_comes_along(tmp_path: Path) -> None:
    file, at = tmp_path / "people.jsonl", "2025-01-02"
    changes = ("requested", "confirmed", "unsubscribed", "tracking_denied", "left_again", "resumed")
    read = {}
    for status in ("active", "pending", "unsubscribed"):
        for number, _ in enumerate(changes, 1):
            history = [{"change": change, "at": at} for change in changes[:number]]
            member = {"email": "a@example.org", "status": status, "history": history}
            file.write_text(json.dumps(member))
            read[status, number] = problems_of(file) or [str(e.change) for e in _history_in(file)]
    refused = "history: expected evidence that they are {}, it ends with `{}`"
    for (status, number), found in read.items():
        last = changes[2] if number == 4 else changes[number - 1]
        fits = {"requested": ["pending"], "unsubscribed": [], "left_again": []}
        if status in fits.get(last, ["pending", "active"]):
            assert found == list(changes[:number])
        elif status != "unsubscribed":
            assert found == [refused.format(status, last)]
        else:
            left = [] if last in ("unsubscribed", "left_again") else ["unsubscribed"]
            assert found == [*changes[:number], *left], "an opt-out counts without evidence"


def _history_in(file: Path) -> Sequence[ImportedEvent]:
    (person,) = people_of(file)
    assert person.subscription
    return person.subscription.history


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


def test_columns_that_may_have_been_meant_are_named(tmp_path: Path) -> None:
    """None that says the opposite, or something else about consent."""
    file = tmp_path / "people.csv"
    for column, meant in (
        ("opt_in_time", "opt_in_at, opt_in_ip"),
        ("Unsubscribed on", "unsubscribed_at"),
        ("suppression", "suppressed"),
        ("opt_out_at", ""),
        ("marketing_consent", ""),
    ):
        file.write_text(f"email,{column}\n")
        with pytest.raises(InputError, match="may say who left") as refused:
            people_of(file)
        assert str(refused.value).partition("=-'")[2] == (
            f"; known columns that begin so: {meant}" if meant else ""
        )


def test_however_it_is_called_what_may_say_who_left_is_no_attribute() -> None:
    told = (
        "unsubscribed, is_unsubscribed, unsubscribe, Unsubscribed?, unsubscribed_date, Opt-Out, "
        "Email Opt Out, HasOptedOutOfEmail, Unsubscribed from all email, Opted-In, emailOptIn, "
        "Email Marketing Consent, Accepts Marketing, Accepts Email Marketing, Subscription Status, "
        "subscribed, is-subscribed, Email Status, state, Stop Status, do_not_email, doNotContact, "
        "bounce, Bounced, hard_bounces, spam_complaint, complained, blocklisted, blacklist, "
        "blocked, is_suppressed, Abmeldung, abgemeldet_am, Abbestellt, Einwilligung, désabonné, "
        "desinscrit, disiscritto, dado de baja, deleted_at, list_status, Contact Status, "
        "email_opt_status, Email Permission Status, no_mail, No e-mail, noMail, DNC, is_dnc, "
        "can_email, allow_email, Allows E-Mail, wants email, mailable, active, inactive, removed, "
        "newsletter, Newsletter subscription, is_subscriber, Mailing, marketing, Permission, "
        "Email-Enabled, abonniert, Abonné, inscrit"
    )
    harmless = (
        "first_name, plan, tags, company, options, adopted, adopting, bus_stop, donations, "
        "city, state_of_mind, notes, source, subscription_plan, statement, top_interest, "
        "turno_mail, american_email, adnc, lead_status, checklist, contact_state, activity, "
        "newsletter_source, mailing_address, marketing_channel, permissions_of_use"
    )
    assert [name for name in told.split(", ") if not is_doubtful(normalised(name))] == []
    assert [name for name in harmless.split(", ") if is_doubtful(normalised(name))] == []


def test_a_field_of_the_operators_does_not_speak_for_kits_status(tmp_path: Path) -> None:
    file = tmp_path / "kit.csv"
    for header, own in (
        ("first_name,email,created_at,status,state", "state"),
        ("first_name,email_address,created_at,state,status", "status"),
    ):
        file.write_text(f"{header}\nA,a@x.example,,cancelled,active\nB,b@x.example,,active,Texas\n")
        assert statuses_of(file) == ["unsubscribed", "active"]
        assert [person.attributes for person in people_of(file)] == [
            {own: "active"},
            {own: "Texas"},
        ]


@pytest.mark.parametrize(
    "line",
    [
        '{"email": "ada@example.org", "unsubscribed": true}',
        '{"email": "ada@example.org", "optedOut": true}',
        '{"email": "ada@example.org", "Opt-Out": "yes", "subscriptions": []}',
        '{"email": "ada@example.org", "subscriptions": [{"list": "one", "bounced": 1}]}',
        '{"email": "ada@example.org", "opt_in_time": "2026-01-01"}',
    ],
)
def test_a_member_of_json_that_may_say_who_left_is_a_bad_row(tmp_path: Path, line: str) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(line)
    (problem,) = problems_of(file)
    assert "may say who left: say it as `status`" in problem


def test_members_of_json_are_called_as_columns_are(tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(
        '{"Email": "ada@example.org", "First Name": "Ada", "STATUS": "unsubscribed"}\n'
        '{"email": "bob@example.org", "Subscriptions": [{"List": "a", "Status": "pending"}]}\n'
    )
    ada, bob = people_of(file)
    assert (ada.name, statuses_of(file)) == ("Ada", ["unsubscribed", "pending"])
    assert bob.subscription
    assert bob.subscription.list_name == "a"
    file.write_text('{"Email": "ada@example.org", "status": "active", "Status": "unsubscribed"}\n')
    assert problems_of(file) == ["line: `status` stands there twice"]
    with opened(file, Reading()) as people:
        (bad,) = people.rows()
    assert isinstance(bad, Bad)
    assert bad.address
    assert bad.address.key == "ada@example.org"


MAILCHIMP = "Email Address,OPTIN_TIME,CONFIRM_TIME"


@pytest.mark.parametrize(
    "name",
    [
        "non-subscribed.csv",
        "un-subscribed_members.csv",
        "not_subscribed.csv",
        "No longer subscribed.csv",
        "subscribed_and_unsubscribed.csv",
        "cleaned (subscribed).csv",
        "2024unsubscribed_subscribed.csv",
    ],
)
def test_a_file_whose_name_can_be_read_in_two_ways_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(f"{MAILCHIMP}\nada@example.org,,\n")
    with pytest.raises(InputError, match=r"\.csv: expected a file name with one of subscribed, un"):
        people_of(file)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("subscribed_members_export_5d1f.csv", "active"),
        ("Subscribed_Members_export (1).csv", "active"),
        ("un/subscribed_members_export.csv", "active"),
        ("unsubscribed_members_export_ab12.csv", "unsubscribed"),
        ("nonsubscribed.csv", "unsubscribed"),
        ("unsubscribed_unsubscribed.csv", "unsubscribed"),
    ],
)
def test_a_file_whose_name_says_one_thing_is_read_so(
    tmp_path: Path, name: str, status: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{MAILCHIMP}\nada@example.org,,\n")
    assert statuses_of(file) == [status]


def test_a_column_status_that_contradicts_the_files_name_is_a_bad_row(tmp_path: Path) -> None:
    file = tmp_path / "unsubscribed_members_export.csv"
    file.write_text(
        f"{MAILCHIMP},Status\n"
        "ada@example.org,,,subscribed\n"
        "bob@example.org,,,Unsubscribed\n"
        "cyd@example.org,,,\n"
    )
    with opened(file, Reading()) as people:
        bad, *good = people.rows()
    assert isinstance(bad, Bad)
    assert str(bad.problem) == "status: 'subscribed', but the file's name says unsubscribed"
    assert [row.line for row in good if isinstance(row, Good)] == [3, 4]
    file.write_text(f"{MAILCHIMP},Status\nada@example.org,,,VIP\n")
    assert statuses_of(file, columns={"Status": "rank"}) == ["unsubscribed"]


@pytest.mark.parametrize(
    "column",
    [
        *("subscribed_to_emails", "deleted_at", "UNSUB_TIME", "UNSUB_REASON", "CLEAN_TIME"),
        *("unsubscription_date", "Unsubscribe Date", "Unsubscribed on", "Is subscribed"),
        *("is_active", "active_subscription", "blocklist", "email_marketing", "Accepts Marketing"),
    ],
)
def test_another_systems_file_read_as_ours_makes_nobody_active_who_left(
    tmp_path: Path, column: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"Mail,{column}\nada@example.org,x\n")
    with pytest.raises(InputError, match="may say who left"):
        people_of(file, columns={"Mail": "email"}, preset="own")
    assert statuses_of(file, columns={"Mail": "email", column: "-"}) == ["active"]


@pytest.mark.parametrize("word", ["unsubscribed", "cleaned", "nonsubscribed", "non-subscribed"])
def test_a_file_whose_name_says_that_they_left_is_not_read_as_active(
    tmp_path: Path, word: str
) -> None:
    file = tmp_path / f"{word}_members_export.csv"
    file.write_text("Email Address,Notes\nada@example.org,\n")
    with pytest.raises(InputError, match=r"expected a .*name"):
        people_of(file, columns={"Email Address": "email"}, preset="own")
    file.write_text("email,status\nada@example.org,unsubscribed\n")
    assert statuses_of(file) == ["unsubscribed"]


@pytest.mark.parametrize(("email", "status"), [("email", "status"), ("email_address", "state")])
def test_whose_bad_row_it_is_is_known_for_both_of_kits_headers(
    tmp_path: Path, email: str, status: str
) -> None:
    """Of whom was erased no bad row is kept."""
    file = tmp_path / "people.csv"
    file.write_text(f"first_name,{email},created_at,{status}\nAda,ada@example.org,,nonsense\n")
    with opened(file, Reading()) as people:
        (bad,) = people.rows()
    assert isinstance(bad, Bad)
    assert bad.address
    assert bad.address.key == "ada@example.org"
