"""`python -m tests.house.lengths`: how long functions and files are. A reading to look at, not a gate."""

import ast
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.house import tree

LONGEST = 5


class Length(NamedTuple):
    lines: int
    what: str


def main() -> None:
    """Print the table: code and tests apart."""
    print(f"{'':24}{'count':>8}{'median':>8}{'p90':>8}{'longest':>9}")
    for under in ("sfp_server", "tests"):
        paths = tree.files(".py", under)
        _print(f"{under} functions", [length for path in paths for length in functions(path)])
        _print(f"{under} files", [file(path) for path in paths])


def functions(path: Path) -> Iterator[Length]:
    """The body of every function: from its first statement to its last line, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield Length(lines, f"{_short(path)}:{node.lineno} {node.name}")


def file(path: Path) -> Length:
    return Length(len(path.read_text().splitlines()), _short(path))


def _print(title: str, lengths: Sequence[Length]) -> None:
    if not lengths:
        return
    lines = sorted(length.lines for length in lengths)
    p90 = lines[int(len(lines) * 0.9)]
    print(f"{title:24}{len(lines):>8}{statistics.median(lines):>8g}{p90:>8}{lines[-1]:>9}")
    for length in sorted(lengths, reverse=True)[:LONGEST]:
        print(f"    {length.lines:5}  {length.what}")


def _short(path: Path) -> str:
    return str(path.relative_to(tree.ROOT))


if __name__ == "__main__":
    main()
