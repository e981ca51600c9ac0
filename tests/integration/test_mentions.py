"""Filters that may still name who is erased: by a part of the address, or by the name."""

from newsletter.broadcasts.models import Broadcast
from newsletter.core.db import Sessions
from newsletter.mail.address import Address
from newsletter.privacy.mentions import find_mentions
from subscribers import segments
from tests import factories
from tests.erased import ADA, ADA_KEY, NAME

TOLD = (
    *('email starts_with "ADA.lov"', 'email contains "lovelace@ex"', 'name = "ada king"'),
    *('name contains "King"', 'name in ("Bob", "Augusta")'),
)
HARMLESS = (
    f'email = "{ADA_KEY}"',  # erasing replaces it
    *('email contains "@example.org"', 'email contains "a"', 'domain = "example.org"'),
    *('name contains "in"', 'name = "Bob"', "status = active", 'email contains "lace@example.net"'),
)


def test_who_erases_is_told_of_filters_that_may_still_name_them(sqlite_sessions: Sessions) -> None:
    broadcast_id = factories.sending(sqlite_sessions, ["bob@example.org"])
    address, text = Address.parse(ADA), " or ".join((*TOLD, *HARMLESS))
    with sqlite_sessions.writing() as session:
        elsewhere = factories.a_list(session, "Of no newsletter")
        saved = segments.save(session, elsewhere, "By name", text)
        broadcast = session.get_one(Broadcast, broadcast_id)
        broadcast.segment = saved.text
        ours = broadcast.issue.newsletter_id
        found = find_mentions(session, address, NAME)
        assert [(one.segment_id, one.name, one.term) for one in found if one.segment_id] == [
            (saved.id, "By name", term) for term in TOLD
        ]
        only_ours = find_mentions(session, address, NAME, ours)
        assert [(one.broadcast_id, one.term) for one in only_ours] == [
            (broadcast_id, term) for term in TOLD
        ]
        assert [one for one in found if one.broadcast_id] == only_ours
        terms = [one.term for one in find_mentions(session, address, "", ours)]
        assert terms == list(TOLD[:2]), "nobody is called nothing"
        broadcast.segment = "of an earlier version ("
        assert find_mentions(session, address, NAME, ours) == []
