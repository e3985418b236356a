"""The queue as a pure program: what the tables and statements of the real one must do, without either.

Time is a number of seconds that moves only forward, a very little with every act and by leaps when it is told to."""

from collections.abc import Iterator
from dataclasses import dataclass, field

WEIGHTS = {"critical": 0.0, "normal": 60.0, "batch": 600.0}
CLASSES = tuple(WEIGHTS)
LEASE = 10.0
TICK = 1e-6


@dataclass
class PureTask:
    id: str
    priority: str
    attempts: int
    ready_at: float
    status: str = "pending"
    lease: int = 0
    lease_until: float = 0.0
    attempt: int = 0
    cancelling: bool = False

    def seen(self) -> tuple[str, int, int, bool]:
        return self.status, self.lease, self.attempt, self.cancelling


@dataclass
class PureSlot:
    priority: str
    number: int
    enabled: bool = False
    task: str | None = None

    @property
    def free(self) -> bool:
        return self.enabled and self.task is None


def _all_slots() -> list[PureSlot]:
    return [PureSlot(priority, number) for priority in CLASSES for number in range(1, 11)]


@dataclass
class PureQueue:
    tasks: dict[str, PureTask] = field(default_factory=dict)
    slots: list[PureSlot] = field(default_factory=_all_slots)
    now: float = 0.0

    def leap(self, seconds: float) -> None:
        self.now += seconds

    def _tick(self) -> None:
        self.now += TICK

    def set_workers(self, counts: dict[str, int]) -> None:
        for slot in self.slots:
            slot.enabled = slot.number <= counts[slot.priority]

    def submit(self, id: str, priority: str, attempts: int) -> None:
        self._tick()
        self.tasks[id] = PureTask(id, priority, attempts, self.now)

    def claim(self, priority: str) -> tuple[str, int, int, int] | None:
        """Id, lease, attempt and slot number of what is taken."""
        self._tick()
        heads = list(self._heads(priority))
        free = [slot for slot in self.slots if slot.priority == priority and slot.free]
        slot = next((slot for slot in free if any(self._may(slot, head) for head in heads)), None)
        if slot is None:
            return None
        task = next(head for head in heads if self._may(slot, head))
        slot.task, task.status, task.lease_until = task.id, "active", self.now + LEASE
        task.lease, task.attempt = task.lease + 1, task.attempt + 1
        return task.id, task.lease, task.attempt, slot.number

    def _heads(self, priority: str) -> Iterator[PureTask]:
        """The first ready task of each class that slots of this class may run now, in the order of preference."""
        lower = CLASSES[CLASSES.index(priority) :]
        heads = [head for name in lower if (head := self._head(name)) and self._lendable(priority, head)]
        return iter(sorted(heads, key=lambda head: self._preference(priority, head)))

    def _head(self, priority: str) -> PureTask | None:
        ready = [task for task in self.tasks.values() if task.priority == priority and task.status == "pending"]
        ready = [task for task in ready if task.ready_at <= self.now]
        return min(ready, key=lambda task: (task.ready_at, task.id), default=None)

    def _lendable(self, priority: str, head: PureTask) -> bool:
        own = [slot for slot in self.slots if slot.priority == head.priority]
        return head.priority == priority or not any(slot.free for slot in own) or head.ready_at < self.now - 2

    def _preference(self, priority: str, head: PureTask) -> tuple[bool, float]:
        has_slots = any(slot.enabled for slot in self.slots if slot.priority == head.priority)
        return head.priority != priority and has_slots, head.ready_at + WEIGHTS[head.priority]

    def _may(self, slot: PureSlot, head: PureTask) -> bool:
        return slot.number > 1 or head.priority == slot.priority

    def live(self, id: str, lease: int) -> bool:
        task = self.tasks[id]
        return task.status == "active" and task.lease == lease

    def beat(self, id: str, lease: int) -> tuple[bool, bool]:
        """Whether it lives, and whether it is to be cancelled."""
        self._tick()
        if not self.live(id, lease):
            return False, False
        self.tasks[id].lease_until = self.now + LEASE
        return True, self.tasks[id].cancelling

    def end(self, id: str, lease: int, outcome: str, retry: bool, rest: float) -> bool:
        self._tick()
        if not self.live(id, lease):
            return False
        task = self.tasks[id]
        next(slot for slot in self.slots if slot.task == id).task = None
        if task.cancelling and outcome != "completed":
            outcome = "cancelled"
        again = outcome == "failed" and retry and task.attempt < task.attempts
        task.status = "pending" if again or outcome == "handed back" else outcome
        task.attempt -= outcome == "handed back"
        task.ready_at = self.now + rest if outcome == "failed" else task.ready_at
        task.cancelling = False
        return True

    def rescue(self) -> int:
        self._tick()
        lost = [task for task in self.tasks.values() if task.status == "active" and task.lease_until < self.now]
        for task in sorted(lost, key=lambda task: (task.lease_until, task.id)):
            self.end(task.id, task.lease, "failed", True, 0.0)
        return len(lost)

    def cancel(self, id: str) -> None:
        self._tick()
        task = self.tasks[id]
        if task.status == "active":
            task.cancelling = True
        elif task.status == "pending":
            task.status = "cancelled"
