"""Application tokens: `sfp_app_`, 30 random letters and digits, and 6 that are their checksum.

The checksum (CRC-32 of the 30, in base 62) lets a mistyped or invented token be refused without asking the database,
and lets scanners for leaked secrets be sure. Stored is only the SHA-256 of the whole text.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "sfp_app_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 30, 6


def new_token() -> str:
    """A token: 178 bits of chance."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + random + checksum(random)


def is_token(text: str) -> bool:
    """Whether a text can be one of our tokens: form and checksum."""
    random, check = text[len(PREFIX) : -_CHECK], text[-_CHECK:]
    whole = len(text) == len(PREFIX) + _RANDOM + _CHECK and text.startswith(PREFIX) and text.isascii()
    return whole and check == checksum(random)


def checksum(random: str) -> str:
    """The CRC-32 in base 62, most significant digit first, six digits."""
    rest, digits = zlib.crc32(random.encode()), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def digest(text: str) -> str:
    """What is stored of a token: hex SHA-256. (No slow hash: there is nothing to guess in 178 bits.)"""
    return hashlib.sha256(text.encode()).hexdigest()


def bearer(authorization: str) -> str:
    """The credential of an Authorization field of the scheme Bearer (RFC 6750), or nothing."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
