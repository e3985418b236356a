"""A `docker` program that answers what a real one answered once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote


@dataclass(frozen=True)
class Answer:
    stdout: str = ""
    stderr: str = ""
    code: int = 0


def write(folder: Path, answers: Mapping[str, Answer]) -> Path:
    """Write it to a folder, to be put first on PATH. `answers` are by how the arguments begin; the first that fits is
    given, and 99 where none does."""
    cases = [f"{quote(start)}*) {_given(answer)};;" for start, answer in answers.items()]
    program = folder / "docker"
    program.write_text("\n".join(["#!/bin/sh", 'case "$*" in', *cases, "esac", "exit 99", ""]))
    program.chmod(0o755)
    return folder


def _given(answer: Answer) -> str:
    return f"printf %s {quote(answer.stdout)}; printf %s {quote(answer.stderr)} >&2; exit {answer.code}"
