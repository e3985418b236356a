"""PgQueuer on the same PostgreSQL: `python pgqueuer_queue.py DSN LATENCY_JOBS DRAIN_JOBS` prints a JSON line."""

import asyncio
import json
import statistics
import sys
from time import perf_counter

import asyncpg
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.models import Job


async def main(dsn: str, latency_jobs: int, drain_jobs: int) -> None:
    producer = await asyncpg.connect(dsn)
    consumer = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(producer))
    await queries.install()
    pgq = PgQueuer(AsyncpgDriver(consumer))
    started: dict[bytes, float] = {}
    done = asyncio.Event()
    target = drain_jobs

    @pgq.entrypoint("ping")
    async def ping(job: Job) -> None:
        started[job.payload or b""] = perf_counter()
        if len(started) >= target:
            done.set()

    payloads = [b"drain-%d" % n for n in range(drain_jobs)]
    await queries.enqueue(["ping"] * drain_jobs, list(payloads), [0] * drain_jobs)
    began = perf_counter()
    worker = asyncio.create_task(pgq.run())
    await done.wait()
    drain = drain_jobs / (perf_counter() - began)

    target, sent = drain_jobs + latency_jobs, {}
    done.clear()
    for n in range(latency_jobs):
        payload = b"idle-%d" % n
        sent[payload] = perf_counter()
        await queries.enqueue("ping", payload)
        await asyncio.sleep(0.02)
    await done.wait()
    print(json.dumps({"p50_ms": statistics.median(started[p] - at for p, at in sent.items()) * 1000, "drain": drain}))
    pgq.shutdown.set()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
