"""A YAML file that people write: read with the line of every key, and changed in place so that its comments stay.

The YAML is the safe and small part: no tags that build objects, no aliases, no key twice, and of the plain words only
`true`, `false`, `null` and decimal numbers mean more than their text (YAML 1.2), so `off` is "off". JSON is YAML.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from sfp_server.errors import CheckError, SfpError

Path = tuple[str, ...]

_TAG = "tag:yaml.org,2002:"
_WORDS = (
    (_TAG + "bool", re.compile(r"(?:true|false)$")),
    (_TAG + "null", re.compile(r"(?:~|null|)$")),
    (_TAG + "int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})$")),
    (_TAG + "float", re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,3})?$")),
)
_PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./@:+-]*(?<!:)")
_COMMENT = re.compile(r"[ \t]*#")


def text_of(values: Mapping[str, Any]) -> str:
    """Values as YAML, in their order."""
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {None: list(_WORDS)}  # noqa: RUF012  # as its base declares it

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not used here", problem_mark=alias.start_mark)
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class Document:
    """What a file says, and the line of each key by its path. The first line is 1."""

    data: dict[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """The line of a key, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read(text: str, name: str) -> Document:
    """The document in a text; `name` is how errors call the file."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, MappingNode):
            raise CheckError(f"{name} holds no settings.", "It is made of keys and values: tenant: acme")
        lines = dict(_lines(root, ()))
        return Document(loader.construct_document(root), lines)
    except yaml.YAMLError as error:
        raise _not_yaml(error, name) from None
    except (RecursionError, ValueError):
        raise CheckError(f"{name} is not the YAML that is read here: a value is odd, or nested too deep.") from None


def flow(value: Any, quoted: bool = False) -> str:
    """A value on one line; `quoted` keeps it JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key, quoted)}: {flow(item, quoted)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item, quoted) for item in value) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str):
        return json.dumps(value)
    return value if not quoted and _plain(value) else json.dumps(value, ensure_ascii=not value.isprintable())


def typed(text: str) -> Any:
    """What a person typed as a value: `4` is a number, `{url: …}` a mapping, `null` nothing, and the rest text."""
    try:
        value = read(f"value: {text}", "").data["value"]
    except CheckError:
        return text
    return text if isinstance(value, str) or (value is None and text not in ("null", "~")) else value


def with_value(text: str, path: Path, value: Any) -> str:
    """The text with one key set, everything else as it was, comments too."""
    wanted = _put(read(text, "the file").data, path, value)
    return _first(_settings(text, path, value), wanted, path)


def without(text: str, path: Path) -> str:
    """The text without one key of its outermost mapping."""
    wanted = {key: value for key, value in read(text, "the file").data.items() if (key,) != path}
    return _first(iter([_cut(text, _root(text), path[0])]), wanted, path)


def _first(candidates: Iterator[str], wanted: dict[str, Any], path: Path) -> str:
    """The first text that says what is wanted: an edit of text is believed only when it reads back."""
    for candidate in candidates:
        try:
            if read(candidate, "the file").data == wanted:
                return candidate
        except CheckError:
            continue
    raise SfpError(f"{'.'.join(path)} cannot be changed where it stands in the file.", "Change it with an editor.")


def _lines(node: Node, path: Path) -> Iterator[tuple[Path, int]]:
    for key, value in _entries(node):
        here = (*path, str(key.value))
        yield here, key.start_mark.line + 1
        yield from _lines(value, here)


def _entries(node: Node) -> list[tuple[Node, Node]]:
    if isinstance(node, SequenceNode):
        return [(ScalarNode(_TAG + "int", str(at), item.start_mark), item) for at, item in enumerate(node.value)]
    pairs: list[tuple[Node, Node]] = node.value if isinstance(node, MappingNode) else []
    seen: set[str] = set()
    for key, _ in pairs:
        if not isinstance(key, ScalarNode) or key.value in seen:
            what = f'"{key.value}" stands twice' if isinstance(key, ScalarNode) else "a key must be a text"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
        key.tag = _TAG + "str"
        seen.add(key.value)
    return pairs


def _not_yaml(error: yaml.YAMLError, name: str) -> CheckError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    return CheckError(f"{name}{f' line {mark.line + 1}' if mark else ''}: not the YAML that is read here: {what}.")


def _plain(value: str) -> bool:
    if not _PLAIN.fullmatch(value):
        return False
    return not any(pattern.match(value) for _, pattern in _WORDS)


def _root(text: str) -> MappingNode:
    root = yaml.compose(text, _Loader)
    assert isinstance(root, MappingNode)  # the text was read before
    return root


def _put(data: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    inner = data.get(path[0])
    deeper = _put(inner if isinstance(inner, dict) else {}, path[1:], value) if path[1:] else value
    return {**data, path[0]: deeper}


def _settings(text: str, path: Path, value: Any) -> Iterator[str]:
    """Texts with the key set: the value alone is replaced where it stands, else the key is added."""
    root = _root(text)
    quoted = bool(root.flow_style and root.value and root.value[0][0].style == '"')
    node: Node = root
    rest = path
    key: Node | None = None
    while rest and isinstance(node, MappingNode) and (found := _entry(node, rest[0])):
        (key, node), rest = found, rest[1:]
    if isinstance(node, MappingNode) and rest:
        yield from _added(text, node, flow(rest[0], quoted), flow(_nested(rest[1:], value), quoted))
    elif key is not None:
        yield _replaced(text, key, node, flow(_nested(rest, value), quoted))


def _entry(mapping: MappingNode, name: str) -> tuple[Node, Node] | None:
    return next(((key, value) for key, value in mapping.value if key.value == name), None)


def _nested(path: Path, value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value


def _replaced(text: str, key: Node, node: Node, value: str) -> str:
    start, end = node.start_mark.index, _end(node)
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return f"{text[:start]}{value}\n{text[node.end_mark.index :]}"
    if start == node.end_mark.index or _is_block(node):
        colon = text.index(":", key.end_mark.index) + 1
        return f"{text[:colon]} {value}{_comments(text[colon:end])}{text[end:]}"
    return text[:start] + value + text[end:]


def _comments(block: str) -> str:
    """What stays of a block that one value replaces: the comment on its first line, and lines that are comments."""
    head, *lines = block.split("\n")
    return "\n".join([head, *(line for line in lines if _COMMENT.match(line))])


def _added(text: str, mapping: MappingNode, key: str, value: str) -> Iterator[str]:
    if mapping.flow_style:
        yield _added_in_flow(text, mapping, f"{key}: {value}")
        return
    line = f"{' ' * mapping.start_mark.column}{key}: {value}\n"
    places = [_after_comment(text, mapping, key), _next_line(text, _end(mapping))]
    for place in places:
        if place is not None:
            yield text[:place] + ("" if text[:place].endswith("\n") else "\n") + line + text[place:]


def _added_in_flow(text: str, mapping: MappingNode, entry: str) -> str:
    if not mapping.value:
        place = mapping.start_mark.index + 1
        return text[:place] + entry + text[place:]
    last, place = mapping.value[-1][0].start_mark, _end(mapping.value[-1][1])
    own_line = text[last.index - last.column : last.index].isspace()
    between = f",\n{' ' * last.column}" if own_line else ", "
    return text[:place] + between + entry + text[place:]


def _after_comment(text: str, mapping: MappingNode, key: str) -> int | None:
    """The place after the line where the key stands as a comment, as settings that are not set do in the starter."""
    pattern = re.compile(rf"^{' ' * mapping.start_mark.column}# ?{re.escape(key)}:.*\n", re.MULTILINE)
    found = pattern.search(text, mapping.start_mark.index - mapping.start_mark.column)
    return found.end() if found else None


def _end(node: Node) -> int:
    """Where a value ends. A block ends with its last value: PyYAML's own mark stands after the comments that follow."""
    if not _is_block(node):
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _is_block(node: Node) -> bool:
    """Whether a collection stands on lines of its own, without brackets."""
    return isinstance(node, CollectionNode) and not node.flow_style


def _next_line(text: str, place: int) -> int:
    if text[:place].endswith("\n"):
        return place
    newline = text.find("\n", place)
    return len(text) if newline < 0 else newline + 1


def _cut(text: str, root: MappingNode, name: str) -> str:
    found = _entry(root, name)
    assert found is not None
    start, end = found[0].start_mark.index, _end(found[1])
    if not root.flow_style:
        return text[:start] + text[_next_line(text, end) :]
    after = re.compile(r"\s*,\s*").match(text, end)
    if after:
        return text[:start] + text[after.end() :]
    return re.sub(r",\s*$", "", text[:start]) + text[end:]
