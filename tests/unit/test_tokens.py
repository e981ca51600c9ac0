"""Tokens: nobody can make, change or repurpose one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.core.tokens import TokenKeys, sign, verify
from newsletter.rendering.mail_tokens import ConfirmToken, Door, LeaveToken, TrackingToken

KEYS = TokenKeys.from_secrets("the current secret", ["an older secret"])
LEAVE = LeaveToken(Door.HEADER, 1, 2, 3, 4)


@given(st.binary(max_size=100), st.text(max_size=20))
def test_a_token_gives_its_payload_back_for_its_purpose_alone(payload: bytes, other: str) -> None:
    token = sign(KEYS, "leave", payload)
    assert verify(KEYS, "leave", token) == payload
    if other != "leave":
        assert verify(KEYS, other, token) is None


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    token = LEAVE.mint(KEYS)
    raw = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert LeaveToken.read(KEYS, urlsafe_b64encode(raw).rstrip(b"=").decode()) is None


@given(st.text(max_size=300))
def test_nonsense_is_no_token(text: str) -> None:
    assert verify(KEYS, "leave", text) is None


@pytest.mark.parametrize("change", ["{}=", "{} ", "{}\n", " {}", "{}A", "+{}", "{}é"])
def test_only_the_canonical_spelling_counts(change: str) -> None:
    token = LEAVE.mint(KEYS)
    assert LeaveToken.read(KEYS, token) == LEAVE
    assert LeaveToken.read(KEYS, change.format(token)) is None


def test_an_older_key_still_verifies_and_never_signs() -> None:
    before = TokenKeys.from_secrets("an older secret")
    after_removal = TokenKeys.from_secrets("the current secret")
    old = LEAVE.mint(before)
    assert LeaveToken.read(KEYS, old) == LEAVE
    assert LeaveToken.read(after_removal, old) is None
    assert LeaveToken.read(after_removal, LEAVE.mint(KEYS)) == LEAVE


def test_no_token_reads_as_one_of_another_kind() -> None:
    tracking, confirm = TrackingToken(3, 4).mint(KEYS), ConfirmToken(5, 6, 7).mint(KEYS)
    assert LeaveToken.read(KEYS, tracking) is None
    assert TrackingToken.read(KEYS, confirm) is None
    assert ConfirmToken.read(KEYS, LEAVE.mint(KEYS)) is None


def test_an_aggregate_token_names_nobody() -> None:
    token = TrackingToken(3, None).mint(KEYS)
    assert TrackingToken.read(KEYS, token) == TrackingToken(3, None)
    assert TrackingToken(3, None).mint(KEYS) == token


def test_keys_are_in_no_representation() -> None:
    assert str(KEYS.current) not in repr(KEYS)
    assert repr(KEYS) == "TokenKeys()"
