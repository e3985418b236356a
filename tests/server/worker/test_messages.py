"""What a sandbox says is understood in pieces of any size, and nothing in it is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.server.worker.messages import (
    Failure,
    FileBegan,
    FileBytes,
    FileEnded,
    Messages,
    Progressed,
    Result,
    Said,
    Unreadable,
    storable,
)


def understood(*chunks: bytes) -> list[Any]:
    messages = Messages()
    return [message for chunk in chunks for message in messages.feed(chunk)]


def test_every_kind() -> None:
    stream = (
        b'{"log":"hi","stream":"err"}\n{"progress":250,"message":"m"}\n'
        b'{"file":"a/b.txt","size":5,"contentType":"text/plain"}\nab\nde{"file":"empty","size":0}\n'
        b'{"result":{"n":[1.5,null]}}\n{"error":{"message":"no","hint":"yes","retry":true,"exitCode":3}}\n'
    )
    assert understood(stream) == [
        Said("hi", "err"),
        Progressed(100, "m"),
        FileBegan("a/b.txt", 5, "text/plain"),
        FileBytes(b"ab\nde"),
        FileEnded(),
        FileBegan("empty", 0, "application/octet-stream"),
        FileEnded(),
        Result({"n": [1.5, None]}),
        Failure({"message": "no", "hint": "yes", "exitCode": 3}, True),
    ]


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=5), st.data())
def test_pieces_of_any_size_say_the_same(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = b"".join(
        json.dumps({"log": text}).encode()
        + b"\n"
        + json.dumps({"file": f"f{at}", "size": len(content)}).encode()
        + b"\n"
        + content
        for at, (text, content) in enumerate(files)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    said = understood(*pieces)
    assert [m.text for m in said if isinstance(m, Said)] == [storable(text) for text, _ in files]
    assert b"".join(m.content for m in said if isinstance(m, FileBytes)) == b"".join(content for _, content in files)
    assert sum(isinstance(m, FileEnded) for m in said) == len(files)


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[1]",
        b"{}",
        b"[" * 100_000,
        b'{"file":"../x","size":1}',
        b'{"file":"/x","size":1}',
        b'{"file":"a//x","size":1}',
        b'{"file":"a\\nb","size":1}',
        b'{"file":"x","size":-1}',
        b'{"file":"x","size":"1"}',
        b'{"error":"text"}',
    ],
)
def test_what_makes_no_sense_is_unreadable(line: bytes) -> None:
    with pytest.raises(Unreadable):
        understood(line + b"\n")


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    with pytest.raises(Unreadable):
        understood(*[b"x" * 65536] * 200)


def test_what_a_database_cannot_keep_is_replaced() -> None:
    (result,) = understood(b'{"result":{"a\\u0000":["\\ud800", NaN, 1e999, -Infinity, "\\ud83d\\ude00"]}}\n')
    assert result.value == {"a\ufffd": ["\ufffd", None, None, None, "\U0001f600"]}
    json.dumps(result.value, allow_nan=False).encode()
