"""Any process of a working instance is killed: no acknowledged task is lost, none ends twice, no sandbox stays.

The long run: `SFP_FAULT_ROUNDS=50 make faults`.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sfp_server.client.api import Api
from sfp_server.client.problems import ApiError, Unreachable
from sfp_server.errors import SfpError
from sfp_server.ops import secrets
from sfp_server.ops.instance import Instance
from tests.fault.instance import TENANT, Trial
from tests.waiting import eventually

pytestmark = pytest.mark.fault

VICTIMS = ["api", "normal-worker", "launcher", "redis", "postgres", "supervisor"]
ROUNDS = int(os.environ.get("SFP_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("SFP_FAULT_SEED", "20261123"))
TASKS = 20
TERMINAL = {"completed", "failed", "cancelled"}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(tmp_path_factory.mktemp("base"))
    trial.create(workers="1,4,1")
    yield trial
    trial.destroy()
    assert trial.sandboxes() == []


@pytest.fixture
def api(trial: Trial) -> Iterator[Api]:
    with Api(trial.status()["url"], secrets.load(_instance(trial))["owner-token"]) as api:
        yield api


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("victim", VICTIMS)
def test_every_acknowledged_task_ends_once(trial: Trial, api: Api, victim: str, round: int) -> None:
    chance = random.Random(f"{SEED}/{victim}/{round}")
    killed_after = chance.randrange(1, TASKS)
    acknowledged = []
    for number in range(TASKS):
        acknowledged.append(_submit(api, f"{victim}-{round}-{number}"))
        if number == killed_after:
            eventually(lambda: trial.sandboxes(), timeout=30)
            trial.kill(_pids(trial, victim))
    _wait_for(api, acknowledged, timeout=150)
    _check_history(trial, acknowledged)
    eventually(lambda: trial.sandboxes() == [], timeout=15)
    eventually(lambda: trial.status()["status"] == "running", timeout=60)


def test_one_sandbox_for_each_of_two_hundred_attempts(trial: Trial, api: Api) -> None:
    tasks = [api.submit("ping", {"echo": number}).operation_id for number in range(200)]
    _wait_for(api, tasks, timeout=180)
    attempts = _rows(
        trial, "SELECT task_id::text || '/' || lease FROM sfp.attempt WHERE task_id = ANY($1::uuid[])", tasks
    )
    launched = [line for line in trial.launched() if line.split("/")[0] in tasks]
    assert sorted(launched) == sorted(row[0] for row in attempts)
    assert len(set(launched)) == len(launched)


def _submit(api: Api, key: str) -> str:
    """Submit as a careful client does: again with the same key until it is acknowledged."""
    accepted: list[str] = []

    def once() -> bool:
        try:
            accepted.append(api.submit("command", {"argv": ["sleep", "1"]}, idempotency_key=key).operation_id)
        except SfpError:
            return False
        return True

    eventually(once, timeout=60)
    return accepted[0]


def _wait_for(api: Api, tasks: list[str], timeout: float) -> None:
    """Until each has ended. One that has is not asked for again: more would meet the rate limit, and wait for that."""
    left = list(tasks)

    def none_left() -> bool:
        while left and _ended(api, left[0]):
            left.pop(0)
        return not left

    eventually(none_left, timeout)


def _ended(api: Api, task: str) -> bool:
    """An API that is away is asked again; one that does not know an acknowledged task has lost it."""
    try:
        return api.status(task).status in TERMINAL
    except Unreachable:
        return False
    except ApiError as error:
        if error.status < 500:
            raise
        return False


def _check_history(trial: Trial, tasks: list[str]) -> None:
    ends = _rows(
        trial,
        """SELECT task.id::text, task.status,
                  (SELECT count(*) FROM sfp.attempt WHERE task_id = task.id AND outcome = 'completed') AS accepted,
                  (SELECT count(*) FROM sfp.task_event WHERE task_id = task.id AND kind = 'status'
                   AND data ->> 'status' IN ('completed', 'failed', 'cancelled')) AS ends,
                  (SELECT count(*) FROM sfp.attempt WHERE task_id = task.id AND finished_at IS NULL) AS open
           FROM sfp.task WHERE id = ANY($1::uuid[])""",
        tasks,
    )
    assert len(ends) == len(tasks)
    for task, status, accepted, ended, still_open in ends:
        assert (status, accepted, ended, still_open) == ("completed", 1, 1, 0), task


def _rows(trial: Trial, query: str, *arguments: Any) -> list[Any]:
    async def fetch() -> list[Any]:
        password = secrets.load(_instance(trial))["database-admin-password"].reveal()
        run = str(_instance(trial).run)
        connection = await asyncpg.connect(host=run, user="postgres", password=password, database="sfp")
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _instance(trial: Trial) -> Instance:
    return Instance(Path(trial.base), TENANT)


def _pids(trial: Trial, victim: str) -> list[int]:
    pids = trial.supervisors() if victim == "supervisor" else trial.processes(victim)
    assert pids, f"no process of {victim}"
    return pids
