"""The rules of the queue."""

from collections.abc import AsyncIterator, Mapping, Sequence

from sfp_server.server.tasks.model import Beat, Claim, Entry, Outcome

__all__ = ["Beat", "Claim", "Entry", "Outcome", "Tasks"]


class Tasks:
    """Interface first; the rules follow. Every method may raise `Unavailable` while PostgreSQL is away: try again."""

    async def claim(self, worker: str, slot: str) -> Claim | None:
        """Take the next task for a free slot of this class, or nothing. `worker` is the name of the dispatcher."""
        raise NotImplementedError

    async def beat(self, claims: Sequence[Claim]) -> Beat:
        """Renew these leases for 10 s (call about every 3 s) and learn which are stale or to be cancelled."""
        raise NotImplementedError

    async def record(self, claim: Claim, entries: Sequence[Entry]) -> bool:
        """Keep what an attempt said, in this order; false: stale."""
        raise NotImplementedError

    async def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """End an attempt and free its slot; false: stale, and the outcome is dropped and audited."""
        raise NotImplementedError

    async def hand_back(self, claim: Claim, reason: str) -> bool:
        """Give a task back unfinished: pending at once, and the attempt does not count; false: stale."""
        raise NotImplementedError

    async def rescue(self) -> int:
        """End the attempts whose lease ran out and free their slots; how many there were."""
        raise NotImplementedError

    async def set_workers(self, counts: Mapping[str, int]) -> None:
        """How many attempts each class runs at once (0 to 10). What runs goes on; a slot too many is not filled again."""
        raise NotImplementedError

    async def wait_for_work(self, slot: str, timeout: float = 1.0) -> bool:
        """Until the doorbell rings for work that a slot of this class may take, at most `timeout` seconds."""
        raise NotImplementedError

    def cancellations(self) -> AsyncIterator[str]:
        """Ids of active tasks as they are asked to be cancelled. A hint for speed: `beat` says it for certain."""
        raise NotImplementedError
