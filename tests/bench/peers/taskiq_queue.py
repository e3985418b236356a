"""taskiq-redis (streams) on the same Redis: `python taskiq_queue.py URL LATENCY_JOBS DRAIN_JOBS` prints a JSON line."""

import asyncio
import json
import statistics
import sys
from time import perf_counter

from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker


async def main(url: str, latency_jobs: int, drain_jobs: int) -> None:
    broker = RedisStreamBroker(url=url)
    started: dict[str, float] = {}
    done = asyncio.Event()
    target = drain_jobs

    @broker.task(task_name="ping")
    async def ping(name: str) -> None:
        started[name] = perf_counter()
        if len(started) >= target:
            done.set()

    broker.is_worker_process = True
    await broker.startup()
    for n in range(drain_jobs):
        await ping.kiq(f"drain-{n}")
    finish = asyncio.Event()
    began = perf_counter()
    worker = asyncio.create_task(Receiver(broker, max_async_tasks=16).listen(finish))
    await done.wait()
    drain = drain_jobs / (perf_counter() - began)

    target, sent = drain_jobs + latency_jobs, {}
    done.clear()
    for n in range(latency_jobs):
        sent[f"idle-{n}"] = perf_counter()
        await ping.kiq(f"idle-{n}")
        await asyncio.sleep(0.02)
    await done.wait()
    print(json.dumps({"p50_ms": statistics.median(started[p] - at for p, at in sent.items()) * 1000, "drain": drain}))
    finish.set()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await broker.shutdown()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
