"""What a type of task is made of, and what it finds in the sandbox."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Problem(NamedTuple):
    """Something in a task's data that cannot be accepted. `pointer` is a JSON pointer (RFC 6901) into the data."""

    pointer: str
    message: str


class TaskError(Exception):
    """The attempt failed. `retry` says whether another attempt could end better; `code` is a command's exit code."""

    def __init__(self, message: str, hint: str = "", retry: bool = False, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry = retry
        self.code = code


class Ended(NamedTuple):
    """How a program ended: its exit code (minus the signal's number where one ended it), and what it wrote."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last line that says something, of the errors or else of the output; may be empty."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Context(Protocol):
    """The sandbox as a type sees it. `work` is an empty folder of its own; all of it dies with the attempt."""

    data: Mapping[str, Any]
    work: Path
    environment: Mapping[str, str]

    def log(self, text: str, stream: str = "out") -> None:
        """One line of the task's log; `stream` is out or err."""
        ...

    def progress(self, percent: int, message: str = "") -> None:
        """How far the attempt is, 0 to 100."""
        ...

    def file(self, path: Path, name: str) -> None:
        """Hand over a file as an output, under this name (relative, with slashes)."""
        ...

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        quiet: Sequence[str] = (),
    ) -> Ended:
        """Run a program to its end. Its lines go to the log as they come, but those of the streams named in `quiet`;
        all of them are in the answer, up to 16 MiB of each stream. `environment` is added to the sandbox's.
        A program that is not there is a `FileNotFoundError`. Nothing that it started outlives it."""
        ...


class TaskType(Protocol):
    """A type of task; each is a module of this package."""

    @property
    def OWNER_ONLY(self) -> bool: ...  # a constant of the module

    def validate(self, data: Any) -> list[Problem]:
        """What is wrong with the data of a task of this type; nothing is good. Pure."""
        ...

    def run(self, context: Context) -> Any:
        """Do it, inside a sandbox, and return the result: anything that JSON can say. Fails with a `TaskError`."""
        ...
