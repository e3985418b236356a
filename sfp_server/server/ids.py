"""Identifiers: UUIDs of version 7, which sort by the time they were made."""

import os
import time
import uuid

_SUBMILLISECOND_STEPS = 4096


def new_id() -> str:
    """A UUIDv7 in its text form (RFC 9562, section 5.7; the 12 bits of `rand_a` carry the fraction of the
    millisecond, method 3 of section 6.2, so that ids made in one process come out in order)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * _SUBMILLISECOND_STEPS // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """Whether a text is an id as we write it: a UUID in lower case with hyphens."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
