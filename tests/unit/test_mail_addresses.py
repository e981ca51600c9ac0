"""The token in an address to leave by: short, in lower case, and nobody else can make one."""

from base64 import b32encode, urlsafe_b64decode
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from newsletter.core.tokens import TokenKeys, from_base32, sign, to_base32
from newsletter.rendering.mail_tokens import (
    MAIL_TOKEN_CHARACTERS,
    MailToken,
    OwnerToken,
    PreferencesToken,
    UndoToken,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
KEYS = TokenKeys.from_secrets("the current secret", ["an older secret"])
_numbers = st.integers(0, 2**24 - 1), st.integers(0, 2**40 - 1), st.integers(0, 2**48 - 1)


@given(*_numbers)
def test_it_reads_back_whatever_happened_to_its_letters(
    newsletter: int, person: int, delivery: int
) -> None:
    token = MailToken(newsletter, person, delivery)
    text = token.mint(KEYS)
    assert len(text) == MAIL_TOKEN_CHARACTERS
    assert text == text.lower()
    assert text.isalnum()
    assert MailToken.read(KEYS, text) == MailToken.read(KEYS, text.upper()) == token


@given(st.data())
def test_another_letter_is_noticed(data: st.DataObject) -> None:
    text = MailToken(1, 2, 3).mint(KEYS)
    place = data.draw(st.integers(1, len(text) - 2))
    other = data.draw(st.sampled_from(LETTERS.replace(text[place], "")))
    assert MailToken.read(KEYS, text[:place] + other + text[place + 1 :]) is None


@given(st.text(max_size=100))
def test_nonsense_is_no_token(text: str) -> None:
    assert MailToken.read(KEYS, text) is None


@given(st.binary(max_size=60))
def test_base32_gives_the_token_back(payload: bytes) -> None:
    token = sign(KEYS, "mail", payload)
    assert from_base32(to_base32(token)) == token
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert to_base32(token) == b32encode(raw).decode().rstrip("=").lower(), "as RFC 4648 has it"


def test_it_is_bound_to_its_key_and_purpose() -> None:
    strangers = TokenKeys.from_secrets("another secret")
    assert MailToken.read(strangers, MailToken(1, 2, 3).mint(KEYS)) is None
    old = TokenKeys.from_secrets("an older secret")
    assert MailToken.read(KEYS, MailToken(1, 2, 3).mint(old)) == MailToken(1, 2, 3)
    preferences, owner = PreferencesToken(1, 2), OwnerToken(1, 2, 3)
    undo = UndoToken(1, 2, 3, 4, datetime(2026, 6, 17, 8, 0, 0, 999_999, UTC))
    for each in (undo, replace(undo, is_owners=True)):
        assert UndoToken.read(KEYS, each.mint(KEYS)) == each
    assert UndoToken.read(KEYS, owner.mint(KEYS)) is None
    assert PreferencesToken.read(KEYS, preferences.mint(KEYS)) == preferences
    assert OwnerToken.read(KEYS, owner.mint(KEYS)) == owner
    assert OwnerToken.read(KEYS, preferences.mint(KEYS)) is None
    assert PreferencesToken.read(KEYS, owner.mint(KEYS)) is None
    assert MailToken.read(KEYS, "u" + to_base32(preferences.mint(KEYS))) is None
