"""Whether a file that waits names somebody who is erased, however it spells them."""

from collections.abc import Iterable

import pytest

from newsletter.mail.address import Address
from subscribers.imports.runs.waiting_files import _is_in


def is_in(typed: str, text: str, cuts: Iterable[int] = ()) -> bool:
    data, pieces, begin = text.encode(), [], 0
    for cut in (*cuts, len(data)):
        pieces.append(data[begin:cut])
        begin = cut
    return _is_in(Address.parse(typed), pieces[0], iter(pieces[1:]))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("jörg@example.org", "JÖRG@Example.ORG"),
        ("jörg@example.org", "Jo\u0308rg@example.org"),
        ("jo\u0308rg@example.org", "JÖRG@example.org"),
        ("ana@bücher.com", "ana@BÜCHER.com"),
        ("ana@xn--bcher-kva.com", "Ana@Bücher.com"),
        ("ana@bücher.com", "ANA@XN--BCHER-KVA.com"),
        ("jörg@example.org", r'{"e": "J\u00D6RG@example.org"}'),
        ("jörg@example.org", r"jo\u0308rg\u0040example.org"),
        ("a/b@example.org", r'{"e": "a\/b@example.org"}'),
        ("ana@example.org", "ana@\uff45\uff58ample.org"),
        ("ana@example.org", "…ana@example.org…"),
        ("ana@example.org", "联系ana@example.org请"),
    ],
)
def test_all_that_is_one_address_is_found(typed: str, text: str) -> None:
    assert is_in(typed, f"email\n{text}\n")
    cuts = range(4, len(text.encode()) + 7, 3)
    assert is_in(typed, f"email\n{text}\n", cuts)


@pytest.mark.parametrize("text", ["an-ana@example.org", "ana@example.org.uk", "ana@example.orgy"])
def test_a_longer_address_is_another(text: str) -> None:
    assert not is_in("ana@example.org", text)
    assert not is_in("ana@example.org", f"{'x' * 9000}\n{text}", (9000,))
