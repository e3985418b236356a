"""Boundaries that need a look at the code itself; the others stand in `importlinter.toml`."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

OURS_AT_THE_TOP = re.compile(r"sfp_server$|sfp_server\.(cli|errors)(\.|$)")
A_STORE = re.compile(r"sfp_server\.server\.(\w+)\.store$")
CLI = tree.files(".py", "sfp_server/cli")
COMPOSITION_ROOT = "services.py"
SERVER = [path for path in tree.files(".py", "sfp_server/server") if path.name != COMPOSITION_ROOT]


def imported(nodes: list[ast.stmt]) -> Iterator[str]:
    """The modules that these statements import; `from a import b` counts as both `a` and `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def short(path: Path) -> str:
    return str(path.relative_to(tree.ROOT))


@pytest.mark.parametrize("path", CLI, ids=short)
def test_a_command_loads_only_typer_and_the_standard_library(path: Path) -> None:
    heavy = [
        name
        for name in imported(ast.parse(path.read_text()).body)
        if not (OURS_AT_THE_TOP.match(name) or name.split(".")[0] in {*sys.stdlib_module_names, "typer"})
    ]
    assert heavy == []


@pytest.mark.parametrize("path", SERVER, ids=short)
def test_a_store_is_used_by_its_own_capability_only(path: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)]
    own = path.relative_to(tree.ROOT / "sfp_server" / "server").parts[0]
    foreign = [name for name in imported(nodes) if (found := A_STORE.match(name)) and found[1] != own]
    assert foreign == []


def test_nothing_is_registered_by_being_imported() -> None:
    """A call at the top of a module, other than to define something, would be an effect of importing it."""
    found = [
        f"{short(path)}:{node.lineno}"
        for path in tree.files(".py", "sfp_server")
        if path.name != "__main__.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert found == []
