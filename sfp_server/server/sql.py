"""Statements stand in named, commented files beside the code that sends them.

-- name: claim
-- The next task for a free slot.
SELECT …
"""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from sfp_server.errors import SfpError

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(package_file: str) -> Mapping[str, str]:
    """The statements of a file of this package by their names: `load("auth/store.sql")`."""
    text = resources.files("sfp_server.server").joinpath(package_file).read_text(encoding="utf-8")
    return parse(text, package_file)


def parse(text: str, source: str) -> Mapping[str, str]:
    """The statements of a text by their names. A name twice, or a statement without its sentence, is an error."""
    parts = _NAME.split(text)[1:]
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise SfpError(f"{source}: {name} stands there twice")
        statements[name] = _statement(body.strip(), f"{source}: {name}")
    return MappingProxyType(statements)


def _statement(body: str, source: str) -> str:
    if not body.startswith("-- "):
        raise SfpError(f"{source} has no sentence that says what it does")
    if all(line.startswith("--") for line in body.splitlines()):
        raise SfpError(f"{source} has no statement")
    return body.rstrip(";")
