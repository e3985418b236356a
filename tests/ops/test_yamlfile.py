"""The YAML that is read, and changes in place: everything but the value asked for stays, comments above all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.errors import CheckError
from sfp_server.ops import yamlfile

KEYS = st.text("abcdefgh", min_size=1, max_size=4)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("äß→"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS | st.sampled_from(["off", "1:30", "010"])
VALUES = SCALARS | st.dictionaries(KEYS, SCALARS, max_size=3) | st.lists(SCALARS, max_size=3)
SETTINGS = st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, min_size=1, max_size=3), min_size=1)


def written(data: dict[str, Any], indent: int = 0) -> str:
    """The settings as a person writes them: a comment above each key, and one behind each value."""
    lines = []
    for key, value in data.items():
        lines.append(f"{' ' * indent}# about {key}\n")
        if isinstance(value, dict):
            lines.append(f"{' ' * indent}{key}:\n{written(value, indent + 2)}")
        else:
            lines.append(f"{' ' * indent}{key}: {yamlfile.flow(value)}  # so\n")
    return "".join(lines)


def comments(text: str) -> list[str]:
    """What stands above a key; a comment from beside a value that was replaced may have joined it."""
    return [line.strip().split("  #")[0] for line in text.splitlines() if line.lstrip().startswith("# about")]


@given(VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    for quoted in (False, True):
        assert yamlfile.read(f"key: {yamlfile.flow(value, quoted)}", "f").data == {"key": value}


@given(SETTINGS, KEYS, st.none() | KEYS, SCALARS)
def test_setting_a_value_keeps_everything_else_and_every_comment(
    data: dict[str, Any], key: str, inner: str | None, value: Any
) -> None:
    path = (key,) if inner is None else (key, inner)
    text = written(data)
    after = yamlfile.with_value(text, path, value)
    below: Any = yamlfile.read(after, "f").data
    for part in path:
        below = below[part]
    assert below == value
    assert comments(after) == comments(text)
    assert {k: v for k, v in yamlfile.read(after, "f").data.items() if k != key} == {
        k: v for k, v in data.items() if k != key
    }


@given(SETTINGS, KEYS, SCALARS, st.sampled_from([None, 2]))
def test_json_stays_json(data: dict[str, Any], key: str, value: Any, indent: int | None) -> None:
    after = yamlfile.with_value(json.dumps(data, indent=indent), (key,), value)
    assert json.loads(after) == {**data, key: value}


@given(SETTINGS, st.booleans())
def test_a_key_can_be_taken_away(data: dict[str, Any], as_json: bool) -> None:
    text = json.dumps(data) if as_json else written(data)
    key = next(iter(data))
    if len(data) > 1:
        after = yamlfile.without(text, (key,))
        assert yamlfile.read(after, "f").data == {k: v for k, v in data.items() if k != key}


@pytest.mark.parametrize(
    ("text", "path", "value", "after"),
    [
        ("a: 1  # one\nb: 2\n", "a", 5, "a: 5  # one\nb: 2\n"),
        ("a:\n  b: x # why\n# end\n", "a.b", "y", "a:\n  b: y # why\n# end\n"),
        ("a:\n  b: x # why\n# end\n", "a.c", "y", "a:\n  b: x # why\n  c: y\n# end\n"),
        ("a:   # where\n  # old\n  b: x\nc: 1\n", "a", "bundled", "a: bundled   # where\n  # old\nc: 1\n"),
        ("a: bundled # here\n", "a.url", "http://x/", "a: {url: http://x/} # here\n"),
        ("a: {b: 1} # c", "a.d", 2, "a: {b: 1, d: 2} # c"),
        ("a: {}\n", "a.d", 2, "a: {d: 2}\n"),
        ("a:\nb: 1\n", "a", "x", "a: x\nb: 1\n"),
        ("a: 1\n# b: example\nc: 2\n", "b", "x", "a: 1\n# b: example\nb: x\nc: 2\n"),
        ("a: 1", "b.c", True, "a: 1\nb: {c: true}\n"),
        ("a: |\n  x\n  y\nb: 1\n", "a", "z", "a: z\nb: 1\n"),
        ("t:\n  m: x\n# b: 1\n  n: y\n", "b", 2, "t:\n  m: x\n# b: 1\n  n: y\nb: 2\n"),
        ("a: 1\r\nb: 2\r\n", "a", 3, "a: 3\r\nb: 2\r\n"),
        ('{\n  "a": 1\n}\n', "b.c", "x", '{\n  "a": 1,\n  "b": {"c": "x"}\n}\n'),
    ],
)
def test_a_change_touches_only_its_place(text: str, path: str, value: Any, after: str) -> None:
    assert yamlfile.with_value(text, tuple(path.split(".")), value) == after


def test_keys_have_lines() -> None:
    document = yamlfile.read("# head\na: 1\nb:\n  c: 2\n", "f")
    assert (document.line(("a",)), document.line(("b", "c")), document.line(("b", "x")), document.line(("x",))) == (
        2, 4, 3, None,
    )  # fmt: skip


def test_plain_words_are_text_but_for_true_false_null_and_numbers() -> None:
    text = "a: off\nb: yes\nc: 1:30\nd: 010\ne: true\nf: null\ng: 7\nh: 2026-11-23\ni: 0.5\nj: 1e3\n"
    assert yamlfile.read(text, "f").data == {
        "a": "off", "b": "yes", "c": "1:30", "d": "010", "e": True, "f": None, "g": 7, "h": "2026-11-23", "i": 0.5,
        "j": "1e3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1\n", "f line 3: not the YAML"),
        ("a: &x 1\nb: *x\n", "f line 2: not the YAML that is read here: aliases"),
        ("a: 1\na: 2\n", 'f line 2: not the YAML that is read here: "a" stands twice'),
        ("b:\n  a: 1\n  a: 2\n", "f line 3"),
        ("a: !!python/object/apply:os.system [x]\n", "could not determine a constructor"),
        ("? [a]\n: 1\n", "a key must be a text"),
        ("- 1\n", "f holds no settings"),
        ("", "f holds no settings"),
        ("a: 1\n---\nb: 1\n", "found another document"),
        ("a: \0", "special characters"),
        ("a: " + "[" * 1500, "nested too deep"),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(CheckError) as caught:
        yamlfile.read(text, "f")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("4", 4), ("off", "off"), ("true", True), ("null", None), ("", ""), ("a: b", "a: b"), ("x #y", "x #y"),
        ("#x", "#x"), ("{url: x}", {"url": "x"}), ("[1", "[1"), ("sfp.acme.com", "sfp.acme.com"),
    ],
)  # fmt: skip
def test_what_a_person_types_is_a_value(typed: str, value: Any) -> None:
    assert yamlfile.typed(typed) == value
