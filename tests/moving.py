"""Made-up exports of other systems, each with its traps, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

DATA = Path(__file__).parent / "data" / "moving"

Events = list[tuple[str, str, str]]
"""(change, when if the file says, IP address)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One person as they are to arrive.

    Attributes:
        subscribed: when, in seconds; empty: at the import.
        suppressed: the reason, if they are.
    """

    status: str
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    subscribed: str = ""
    suppressed: str = ""
    events: Events = field(default_factory=list)
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A system's files, by the names they have on its page, and everybody who comes of them.

    Attributes:
        bad: what is said about the rows that are refused.
    """

    files: tuple[str, ...]
    people: Mapping[str, Moved]
    bad: tuple[str, ...] = ()


def put(move: Move, folder: Path) -> None:
    """The files, where the commands of the page find them; a ZIP is made of those of its name."""
    for name in move.files:
        if not name.endswith(".zip"):
            (folder / name).write_bytes((DATA / name).read_bytes())
            continue
        with ZipFile(folder / name, "w", ZIP_DEFLATED) as packed:
            for member in sorted(DATA.glob("*_members_export_*.csv")):
                packed.write(member, member.name)


ACTIVE: Events = [("subscribed", "", "")]
LEFT: Events = [("unsubscribed", "", "")]

MOVES = {
    "listmonk": Move(
        ("listmonk.csv",),
        {
            "Ada@example.org": Moved(
                "active",
                "Ada Reader",
                {"plan": "pro", "city": {"name": "Zürich"}},
                "2024-03-01T08:30:00",
                events=ACTIVE,
            ),
            "bob@example.org": Moved(
                "unsubscribed", 'Bob "B" Reader', {}, "2024-03-02T09:00:00", events=LEFT
            ),
            "cyd@example.org": Moved("unsubscribed", "", {}, "2024-03-03T10:00:00", "manual", LEFT),
        },
        (
            "listmonk.csv:5: attributes: expected a JSON object",
            "csv:6: status: expected one of enabled, disabled, blocklisted, found 'paused'",
        ),
    ),
    "keila": Move(
        ("keila.csv",),
        {
            "ada@example.org": Moved(
                "active",
                "Ada Reader",
                {"plan": "pro", "tags": ["early", "beta"], "external_id": "crm-1"},
                events=ACTIVE,
            ),
            "bob@example.org": Moved("unsubscribed", "Bob", events=LEFT),
            "cyd@example.org": Moved("unsubscribed", "Cyd", suppressed="gone", events=LEFT),
        },
        ("keila.csv:5: data: expected a JSON object",),
    ),
    "ghost": Move(
        ("ghost.csv",),
        {
            "ada@example.org": Moved(
                "active",
                "Ada",
                {"note": "Met at the fair,\ntwice", "tags": ["vip", "berlin"], "tiers": "Free"},
                "2023-09-01T10:00:00",
                events=ACTIVE,
            ),
            "bob@example.org": Moved(
                "unsubscribed", "Bob", {"tiers": "Gold"}, "2023-09-02T10:00:00", events=LEFT
            ),
        },
        (
            "ghost.csv:5: deleted_at: expected a member who is still there",
            "ghost.csv:6: subscribed_to_emails: expected true or false, found ''",
        ),
    ),
    "mailchimp": Move(
        ("audience.zip",),
        {
            "ada@example.org": Moved(
                "active",
                "Ada Reader",
                {"favourite_colour": "=green", "tags": ["early", "beta"]},
                "2022-05-06T07:08:09",
                events=[
                    ("requested", "2022-05-06T07:08:09", "192.0.2.1"),
                    ("confirmed", "2022-05-06T07:10:00", "192.0.2.2"),
                ],
                time_zone="Europe/Berlin",
            ),
            "dee@example.org": Moved("active", events=ACTIVE),
            "bob@example.org": Moved(
                "unsubscribed",
                "Bob",
                {"unsub_reason": "NORMAL"},
                "2022-06-01T00:00:00",
                events=[
                    ("requested", "2022-06-01T00:00:00", "192.0.2.3"),
                    ("confirmed", "2022-06-01T00:01:00", "192.0.2.3"),
                    ("unsubscribed", "2023-02-03T04:05:06", ""),
                ],
            ),
            "cyd@example.org": Moved(
                "unsubscribed",
                "",
                {},
                "2022-07-01T00:00:00",
                "gone",
                [
                    ("requested", "2022-07-01T00:00:00", ""),
                    ("confirmed", "2022-07-01T00:00:00", "192.0.2.4"),
                    ("unsubscribed", "", ""),
                ],
            ),
        },
        ("cleaned_members_export_5d1f.csv:3: email_address: 'not-an-address'",),
    ),
    "substack": Move(
        ("substack.csv",),
        {
            "ada@example.org": Moved(
                "active", "", {"plan": "other"}, "2021-01-02T03:04:05", events=ACTIVE
            ),
            "bob@example.org": Moved(
                "unsubscribed",
                "",
                {"paid": True, "plan": "yearly"},
                "2021-02-02T03:04:05",
                events=LEFT,
            ),
            "cyd@example.org": Moved(
                "active", "", {"paid": True, "plan": "yearly"}, "2021-03-02T03:04:05", events=ACTIVE
            ),
        },
        ("substack.csv:5: active_subscription: expected true or false, found 'maybe'",),
    ),
    "kit": Move(
        ("kit.csv", "kit-confirmed.csv"),
        {
            "ada@example.org": Moved(
                "active",
                "Ada",
                {"tags": ["early", "beta"], "favourite_colour": "green"},
                "2020-01-02T03:04:05",
                events=ACTIVE,
            ),
            "bob@example.org": Moved("unsubscribed", "Bob", {}, "2020-02-02T03:04:05", events=LEFT),
            "cyd@example.org": Moved(
                "unsubscribed", "Cyd", {}, "2020-03-02T03:04:05", "gone", LEFT
            ),
            "dee@example.org": Moved(
                "pending", "Dee", {}, "2020-04-02T03:04:05", events=[("requested", "", "")]
            ),
            "eve@example.org": Moved(
                "unsubscribed", "Eve", {}, "2020-05-02T03:04:05", "complaint", LEFT
            ),
            "gus@example.org": Moved("active", "Gus", {}, "2020-06-02T03:04:05", events=ACTIVE),
        },
        ("kit.csv:7: state: expected one of active, confirmed, inactive",),
    ),
    "buttondown": Move(
        ("buttondown.csv",),
        {
            "ada@example.org": Moved(
                "active",
                "Ada",
                {"tags": ["early", "beta"], "plan": "pro", "name": "Ada", "source": "organic"},
                "2019-01-02T03:04:05",
                events=[("subscribed", "2019-01-02T03:04:05", "192.0.2.1")],
            ),
            "bob@example.org": Moved(
                "unsubscribed",
                "",
                {"notes": "said goodbye", "source": "import"},
                "2019-02-02T03:04:05",
                events=[
                    ("subscribed", "2019-02-02T03:04:05", ""),
                    ("unsubscribed", "2020-01-01T00:00:00", ""),
                ],
            ),
            "cyd@example.org": Moved(
                "unsubscribed",
                "",
                {"source": "api"},
                "2019-03-02T03:04:05",
                "gone",
                [("subscribed", "2019-03-02T03:04:05", ""), ("unsubscribed", "", "")],
            ),
            "dee@example.org": Moved(
                "pending",
                "",
                {"source": "embedded_form"},
                "2019-04-02T03:04:05",
                events=[("requested", "2019-04-02T03:04:05", "")],
            ),
            "eve@example.org": Moved(
                "unsubscribed",
                "",
                {"source": "organic"},
                "2019-05-02T03:04:05",
                "complaint",
                [("subscribed", "2019-05-02T03:04:05", ""), ("unsubscribed", "", "")],
            ),
        },
        ("buttondown.csv:7: type: expected one of regular, premium",),
    ),
}
