"""Steps as values, and what it means to run them: journaled, undone in reverse where one fails, resumable.

`do` is idempotent and says in a few words what it came to. `undo` needs nothing that `do` kept in memory: a run that
was killed is resumed by running the plan again, whose steps converge on what they find.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from sfp_server.clock import Clock
from sfp_server.errors import LockedError, SfpError


@dataclass(frozen=True)
class Step:
    """One part of a plan.

    `undo` puts back what `do` did, in whole or in part, and says how it now is, if that is worth a word. With
    `no_return` nothing is undone once the step has begun: from there it only goes forward, by running the plan again.
    """

    name: str
    do: Callable[[], str]
    undo: Callable[[], str] | None = None
    no_return: bool = False


@dataclass(frozen=True)
class Plan:
    """What will happen. `kind` is the operation (`start`), `about` what the journal says of it; `otherwise` begins the
    error where it does not come to its end (`demo was not started`), and `hint` ends it."""

    kind: str
    about: str
    steps: Sequence[Step]
    otherwise: str = "not done"
    hint: str = ""


class Record(Protocol):
    """Where a step's fate is written down: the journal's operation."""

    def record(self, step: str, state: str, what: str = "") -> None: ...


class Log(Protocol):
    """The journal, as far as a plan needs it."""

    def begin(self, kind: str, what: str) -> Record: ...


class Fence(Protocol):
    """The lock, as far as a plan needs it."""

    def check(self) -> None: ...


class Reporter(Protocol):
    """Where progress is shown."""

    def begin(self, step: str) -> None: ...
    def done(self, step: str, text: str, seconds: float) -> None: ...
    def failed(self, step: str, text: str) -> None: ...
    def note(self, text: str) -> None: ...


def run(
    plan: Plan,
    journal: Log,
    lock: Fence,
    reporter: Reporter,
    clock: Clock,
    shield: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Do the steps in order. Where one fails or is interrupted, undo it and those before it, the last one first, unless
    the point of no return is behind; then the error goes on, as the plan's own. `shield` keeps further interrupts away
    from the undoing."""
    _Run(plan, journal.begin(plan.kind, plan.about), lock, reporter, clock).through(shield)


def rehearse(plan: Plan, reporter: Reporter) -> None:
    """Let every step say what it would do: its host and engine are dry ones."""
    for step in plan.steps:
        reporter.begin(step.name)
        step.do()


class _Run:
    def __init__(self, plan: Plan, record: Record, lock: Fence, reporter: Reporter, clock: Clock) -> None:
        self._plan = plan
        self._record = record
        self._lock = lock
        self._reporter = reporter
        self._clock = clock
        self._begun: list[Step] = []

    def through(self, shield: Callable[[], AbstractContextManager[None]]) -> None:
        try:
            for step in self._plan.steps:
                self._do(step)
            self._record.record("", "done")
        except LockedError:
            raise  # it is another's now, and so is what was begun
        except (Exception, KeyboardInterrupt) as error:
            with shield():
                self._back(error)
            raise _told(error, self._plan) from error

    def _do(self, step: Step) -> None:
        self._lock.check()
        self._reporter.begin(step.name)
        self._begun.append(step)
        self._record.record(step.name, "begin")
        began = self._clock.monotonic()
        text = step.do()
        self._record.record(step.name, "done", text)
        self._reporter.done(step.name, text, self._clock.monotonic() - began)

    def _back(self, error: BaseException) -> None:
        first, *rest = _lines(error)
        if self._begun:
            self._reporter.failed(self._begun[-1].name, first)
            self._try_to_record(self._begun[-1].name, "failed", first)
        for line in rest:
            self._reporter.note(line)
        if not any(step.no_return for step in self._begun):
            self._undo([step for step in reversed(self._begun) if step.undo])
        self._try_to_record("", "failed", first)

    def _undo(self, steps: Sequence[Step]) -> None:
        """One line says how it now is; one more where a step could not be undone, which stops none of the others."""
        if not steps:
            return
        self._reporter.begin("back")
        began = self._clock.monotonic()
        told = [text for text in map(self._undone, steps) if text]
        self._reporter.done("back", ", ".join(told) or "nothing had been started", self._clock.monotonic() - began)

    def _undone(self, step: Step) -> str:
        self._lock.check()
        try:
            text = step.undo() if step.undo else ""
        except Exception as error:  # a bug in one must not keep the others from being undone
            self._reporter.note(f"{step.name} could not be undone: {_lines(error)[0]}")
            self._try_to_record(step.name, "failed", f"undo: {_lines(error)[0]}")
            return ""
        self._try_to_record(step.name, "undone", text)
        return text

    def _try_to_record(self, step: str, state: str, what: str) -> None:
        """What is put back must not stay so because the disk is full."""
        try:
            self._record.record(step, state, what)
        except SfpError as error:
            self._reporter.note(error.message)


def _lines(error: BaseException) -> list[str]:
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted"]
    text = error.message if isinstance(error, SfpError) else f"{type(error).__name__}: {error}"
    return [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]


def _told(error: BaseException, plan: Plan) -> BaseException:
    """The error as it is shown at the edge: its first line, for the rest stands under the step that failed."""
    if not isinstance(error, SfpError):
        return error
    return type(error)(f"{plan.otherwise}: {_lines(error)[0]}", error.hint or plan.hint)
