"""In which sizes people get addresses, and what a domain and a stamp are worth."""

import pytest

from subscribers.sign_up_limits import Origin, Passage


@pytest.mark.parametrize(
    ("ip", "host", "network"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("testclient", "testclient", "testclient"),
        ("", "", ""),
    ],
)
def test_an_address_has_a_host_and_a_network(ip: str, host: str, network: str) -> None:
    assert Origin.of(ip) == Origin(host, network)


def test_the_strictest_passage_is_the_last() -> None:
    assert list(Passage) == [Passage.FREE, Passage.PROOF, Passage.CLOSED]
