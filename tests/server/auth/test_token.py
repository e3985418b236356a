"""The form of a token."""

import string

from hypothesis import given
from hypothesis import strategies as st

from sfp_server.server.auth import token

BASE62 = string.digits + string.ascii_letters


def test_new_tokens_are_tokens_and_never_the_same() -> None:
    made = {token.new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(token.is_token(text) and len(text) == 44 for text in made)


def test_the_checksum_is_crc32_in_base62() -> None:
    assert token.checksum("123456789") == "3jZRME"  # 0xCBF43926, the published check value of CRC-32


@given(st.text(alphabet=BASE62, min_size=30, max_size=30), st.integers(8, 43), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed(random: str, place: int, other: str) -> None:
    good = token.PREFIX + random + token.checksum(random)
    bad = good[:place] + other + good[place + 1 :]
    assert token.is_token(good)
    assert token.is_token(bad) == (bad == good)


@given(st.text())
def test_other_texts_are_no_tokens(text: str) -> None:
    assert not token.is_token(text)
    assert not token.is_token(token.PREFIX + text) or len(text) == 36
