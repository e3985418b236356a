"""The rules of the house that a program can check."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sfp_server import __version__
from tests.house import lengths, tree


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=tree.ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]])
def test_ruff_finds_nothing(arguments: list[str]) -> None:
    result = ran("-m", "ruff", *arguments, ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_hold() -> None:
    result = ran("-m", "mypy")
    assert result.returncode == 0, result.stdout + result.stderr


def test_nobody_imports_what_is_not_theirs() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = ran("-c", program, "--config", "tests/house/importlinter.toml", "--no-logo")
    assert result.returncode == 0, result.stdout + result.stderr


# Written in pieces, so that this file does not hold what it looks for.
NOT_IN_TESTS = [r"unittest(\.| import )m" + "ock", r"monkeypatch\.seta" + r"ttr"]
NOT_IN_THE_TREE = {
    "the path of a machine": r"/wo"
    + r"rk/(wt|main|notes|shared|venv|tools)\b|(?<![\w.<>{}])/(ro"
    + r"ot|ho"
    + r"me/\w+)/\w",
    "the host of a package index": r"pypi\.o" + r"rg|pythonhos" + r"ted\.org|registry\.npm" + r"js\.org",
}


@pytest.mark.parametrize("path", tree.files(".py", "tests"), ids=lambda path: str(path.relative_to(tree.ROOT)))
def test_tests_patch_nothing_and_sleep_never(path: Path) -> None:
    text = path.read_text()
    assert [pattern for pattern in NOT_IN_TESTS if re.search(pattern, text)] == []
    assert [ast.unparse(node) for node in ast.walk(ast.parse(text)) if _sleeps(node)] == []


def _sleeps(node: ast.AST) -> bool:
    """`time.sleep(…)`, also `from time import sleep`; a program that a test hands to somebody else is a text."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" and any(alias.name == "sleep" for alias in node.names)
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"


@pytest.mark.parametrize("what", NOT_IN_THE_TREE)
def test_the_tree_holds_nothing_of_where_it_was_made(what: str) -> None:
    found = [
        f"{path.relative_to(tree.ROOT)}:{number}: {line.strip()[:100]}"
        for path in tree.files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(NOT_IN_THE_TREE[what], line)
    ]
    assert found == []


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (tree.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_names_say_what_a_file_is_about() -> None:
    vague = re.compile(r"utils?\.py$|helpers?\.py$|managers?\.py$|class \w*(Manager|Helper|Handler)\b")
    found = [
        str(path.relative_to(tree.ROOT))
        for path in tree.files(".py", "sfp_server")
        if vague.search(path.name) or vague.search(path.read_text())
    ]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(tree.ROOT))
        for path in tree.files(".py", "sfp_server")
        if not path.read_text().startswith(('"""', 'r"""', "#!"))
    ]
    assert silent == []


def test_lengths_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    lengths.main()
    assert "sfp_server functions" in capsys.readouterr().out
