"""The one tree of errors that a person may see.

    SfpError            1   it failed
    ├── UsageError      2   asked for in a wrong way
    ├── CheckError      3   a check found problems, or a plan has changes
    ├── RemoteError     4   a command on the host failed
    └── LockedError     5   somebody else is at work on this instance

An error says what happened and why; its hint says what to do next. It is raised where it is known and shown once,
at the edge. Secrets never enter either text.
"""

INTERRUPTED = 130


class SfpError(Exception):
    """It failed. `message` is one line, or more where a list says more; `hint` is what to do next, or empty."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SfpError):
    """Asked for in a wrong way."""

    exit_code = 2


class CheckError(SfpError):
    """A check found problems, or a plan has changes."""

    exit_code = 3


class RemoteError(SfpError):
    """A command on the host failed."""

    exit_code = 4


class LockedError(SfpError):
    """Somebody else is at work on this instance."""

    exit_code = 5
