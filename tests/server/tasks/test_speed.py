"""The claim stays one look into an index, however much waits."""

import json
from typing import Any

import pytest

from sfp_server.server.sql import load
from tests.server.tasks.harness import Queue

pytestmark = pytest.mark.anyio

_FILL = """
    INSERT INTO sfp.task (id, type, class, data, timeout, max_attempts, created_by)
    SELECT gen_random_uuid(), 'ping', CASE WHEN n % 20 = 0 THEN 'normal' ELSE 'batch' END, '{}', 3600, 3, 'mina'
    FROM generate_series(1, 100000) AS n
"""
_WORKER = '{"sub": "w", "kind": "system", "permissions": ["task:work", "task:read"]}'


async def test_no_claim_reads_the_whole_table(queue: Queue) -> None:
    await queue.admin.execute(_FILL)
    await queue.admin.execute("VACUUM ANALYZE sfp.task")
    await queue.tasks.set_workers({"critical": 2, "normal": 0})
    for slot in ("critical", "normal", "batch"):
        plan = await _plan(queue, slot)
        assert "Seq Scan on task" not in _scans(plan)
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 500


async def _plan(queue: Queue, slot: str) -> dict[str, Any]:
    claim = load("tasks/store.sql")["claim"].replace("$1", f"'{slot}'").replace("$2", "'w'").replace("$3", "10")
    async with queue.admin.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE sfp_api")
        await connection.execute(f"SELECT set_config('request.jwt.claims', '{_WORKER}', true)")
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}")
    return json.loads(plan)[0]["Plan"]  # type: ignore[no-any-return]


def _scans(node: dict[str, Any]) -> set[str]:
    own = {f"{node['Node Type']} on {node.get('Relation Name')}"}
    return own.union(*(_scans(child) for child in node.get("Plans", [])))
