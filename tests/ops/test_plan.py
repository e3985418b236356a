"""Running a plan: order, undoing, the point of no return, interrupts, takeovers, a full disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from sfp_server.clock import SystemClock
from sfp_server.errors import LockedError, RemoteError, SfpError
from sfp_server.ops.plan import Plan, Step, rehearse, run
from tests.fakes.toy_site import Lines


@dataclass
class Record:
    """A journal in memory; a full one takes no more."""

    lines: list[str] = field(default_factory=list)
    room: int = 1000

    def begin(self, kind: str, what: str) -> "Record":
        self.record("", "begin", what)
        return self

    def record(self, step: str, state: str, what: str = "") -> None:
        if len(self.lines) >= self.room:
            raise SfpError("the disk is full")
        self.lines.append(f"{step} {state} {what}".strip())


@dataclass
class Fence:
    """A lock that is taken over after so many looks."""

    looks: int = 1000

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise LockedError("taken over")


@dataclass
class World:
    """What steps do to it, in order."""

    did: list[str] = field(default_factory=list)

    def step(
        self, name: str, error: BaseException | None = None, *, no_return: bool = False, stuck: Exception | None = None
    ) -> Step:
        def do() -> str:
            self.did.append(name)
            if error:
                raise error
            return f"did {name}"

        def undo() -> str:
            if stuck:
                raise stuck
            self.did.append(f"un{name}")
            return f"no {name}"

        return Step(name, do, undo, no_return)


def go(steps: Sequence[Step], record: Record | None = None, fence: Fence | None = None) -> tuple[list[str], list[str]]:
    record, lines = record or Record(), Lines()
    try:
        run(Plan("start", "x", steps, "not started", "Look."), record, fence or Fence(), lines, SystemClock())
    except (Exception, KeyboardInterrupt) as error:
        lines.lines.append(f"raised {type(error).__name__}: {error}")
    return record.lines, lines.lines


def test_steps_run_in_order_and_are_recorded() -> None:
    world = World()
    record, told = go([world.step("a"), world.step("b")])
    assert world.did == ["a", "b"]
    assert record == ["begin x", "a begin", "a done did a", "b begin", "b done did b", "done"]
    assert told == ["begin a", "done a: did a", "begin b", "done b: did b"]


def test_what_fails_is_undone_in_reverse_with_itself() -> None:
    world = World()
    record, told = go(
        [world.step("a"), world.step("b"), world.step("c", RemoteError("no luck\nc | why")), world.step("d")]
    )
    assert world.did == ["a", "b", "c", "unc", "unb", "una"]
    assert record[-5:] == ["c failed no luck", "c undone no c", "b undone no b", "a undone no a", "failed no luck"]
    assert told[-5:] == [
        "failed c: no luck", "note c | why", "begin back", "done back: no c, no b, no a",
        "raised RemoteError: not started: no luck",
    ]  # fmt: skip


def test_an_interrupt_is_undone_the_same() -> None:
    world = World()
    record, told = go([world.step("a"), world.step("b", KeyboardInterrupt())])
    assert world.did == ["a", "b", "unb", "una"]
    assert "b failed interrupted" in record
    assert told[-1] == "raised KeyboardInterrupt: "


def test_a_bug_is_undone_too_and_stays_what_it_is() -> None:
    world = World()
    _, told = go([world.step("a"), world.step("b", ZeroDivisionError("x"))])
    assert world.did[-2:] == ["unb", "una"]
    assert told[-1] == "raised ZeroDivisionError: x"


@pytest.mark.parametrize("error", [SfpError("no luck"), KeyboardInterrupt()])
def test_past_the_point_of_no_return_nothing_is_undone(error: BaseException) -> None:
    world = World()
    go([world.step("a"), world.step("b", no_return=True), world.step("c", error)])
    assert world.did == ["a", "b", "c"]


def test_the_step_without_return_is_behind_once_it_has_begun() -> None:
    world = World()
    go([world.step("a"), world.step("b", SfpError("x"), no_return=True)])
    assert world.did == ["a", "b"]


@pytest.mark.parametrize(("stuck", "why"), [(SfpError("stuck"), "stuck"), (OSError("odd"), "OSError: odd")])
def test_what_cannot_be_undone_stops_no_other(stuck: Exception, why: str) -> None:
    world = World()
    record, told = go([world.step("a"), world.step("b", stuck=stuck), world.step("c", SfpError("x"))])
    assert world.did[-2:] == ["unc", "una"]
    assert f"b failed undo: {why}" in record
    assert f"note b could not be undone: {why}" in told


def test_who_was_taken_over_touches_nothing_more() -> None:
    world = World()
    record, told = go([world.step("a"), world.step("b")], fence=Fence(looks=1))
    assert world.did == ["a"]
    assert record[-1] == "a done did a"
    assert told[-1] == "raised LockedError: taken over"


def test_a_full_disk_under_the_journal_undoes_what_was_done() -> None:
    world = World()
    _, told = go([world.step("a"), world.step("b")], Record(room=3))
    assert world.did == ["a", "unb", "una"]
    assert told[-1] == "raised SfpError: not started: the disk is full"


def test_nothing_is_begun_where_the_journal_cannot_be_written() -> None:
    world = World()
    _, told = go([world.step("a")], Record(room=0))
    assert (world.did, told) == ([], ["raised SfpError: the disk is full"])


def test_a_hint_of_the_error_comes_before_the_plans() -> None:
    for hint, shown in (("Own.", "Own."), ("", "Look.")):
        plan = Plan("start", "x", [World().step("a", SfpError("x", hint))], "not started", "Look.")
        with pytest.raises(SfpError) as caught:
            run(plan, Record(), Fence(), Lines(), SystemClock())
        assert caught.value.hint == shown


def test_a_rehearsal_lets_every_step_speak() -> None:
    world, lines = World(), Lines()
    rehearse(Plan("start", "x", [world.step("a"), world.step("b")]), lines)
    assert (world.did, lines.lines) == (["a", "b"], ["begin a", "begin b"])


def test_the_undoing_is_shielded() -> None:
    world = World()
    seen: list[str] = []
    shield: Callable[[], Shield] = lambda: Shield(seen)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        run(Plan("x", "x", [world.step("a", KeyboardInterrupt())]), Record(), Fence(), Lines(), SystemClock(), shield)
    assert seen == ["up", "down"]


@dataclass
class Shield:
    seen: list[str]

    def __enter__(self) -> None:
        self.seen.append("up")

    def __exit__(self, *_: object) -> None:
        self.seen.append("down")
