"""Tasks over HTTP, from the submit to the result."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from sfp_server.server.auth.roles import permissions
from sfp_server.server.services import Services
from sfp_server.server.tasks.model import Claim, Entry, File, Outcome

pytestmark = pytest.mark.anyio

_NOBODY = "01932f3a-0000-7000-8000-000000000000"


@pytest.fixture
async def api(client: httpx.AsyncClient, owner: Mapping[str, str], services: Services) -> httpx.AsyncClient:
    """The owner at work on an instance with one worker a class."""
    client.headers.update(owner)
    await services.tasks.set_workers({"critical": 1, "normal": 1, "batch": 1})
    return client


@pytest.fixture
async def member(client: httpx.AsyncClient, owner: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of a member."""
    answer = await client.post("application-tokens", headers=owner, json={"name": "mina", "role": "member"})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def _submit(api: httpx.AsyncClient, **body: Any) -> str:
    answer = await api.post("tasks", json={"type": "ping", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["operationId"])


async def _claimed(services: Services, slot: str = "normal") -> Claim:
    claim = await services.tasks.claim("w", slot)
    assert claim is not None
    return claim


async def test_a_task_from_submit_to_result(api: httpx.AsyncClient, services: Services) -> None:
    answer = await api.post("tasks", json={"type": "ping", "data": {"echo": 1}})
    assert answer.status_code == 201
    id = answer.json()["operationId"]
    assert answer.json() == {"operationId": id, "type": "ping"}
    assert answer.headers["location"] == f"/sfp/api/tasks/{id}/status"
    claim = await _claimed(services)
    assert (claim.id, claim.data, claim.timeout) == (id, {"echo": 1}, 3600)
    await services.tasks.record(claim, [Entry("progress", {"progress": 40, "message": "half way"})])
    status = (await api.get(f"tasks/{id}/status")).json()
    assert (status["status"], status["progress"], status["message"], status["attempt"]) == ("active", 40, "half way", 1)
    await services.objects.put(f"tasks/{id}/1/a.txt", b"hello")
    file = File("a.txt", 5, "0" * 64, "text/plain", f"tasks/{id}/1/a.txt")
    await services.tasks.finish(claim, Outcome("completed", {"pong": True}, files=[file]))
    result = (await api.get(f"tasks/{id}/result")).json()
    assert (result["status"], result["result"], result["error"]) == ("completed", {"pong": True}, None)
    (shown,) = result["files"]
    assert (shown["name"], shown["size"], shown["contentType"]) == ("a.txt", 5, "text/plain")
    assert (await httpx_without_token(api, shown["url"])).text == "hello"


async def httpx_without_token(api: httpx.AsyncClient, url: str) -> httpx.Response:
    return await api.get(url, headers={"Authorization": ""})


async def test_the_published_form_of_data_is_accepted(api: httpx.AsyncClient, services: Services) -> None:
    id = await _submit(api, data={"value": {"echo": 2}, "description": "say it"}, scheduleType="immediate")
    assert (await api.get(f"tasks/{id}/status")).json()["description"] == "say it"
    assert (await _claimed(services)).data == {"echo": 2}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"type": "pong"}, "#/type"),
        ({"type": "ping", "priority": "low"}, "#/priority"),
        ({"type": "ping", "timeout": 0}, "#/timeout"),
        ({"type": "ping", "retryConfig": {"attempts": 11}}, "#/retryConfig/attempts"),
        ({"type": "ping", "scheduleType": "cron"}, "#/scheduleType"),
        ({"type": "ping", "lockDuration": 1}, "#"),
        ({"type": "ping", "data": {"ecko": 1}}, "#/data/ecko"),
        ({"type": "sf", "data": {"args": ["project"]}}, "#/data/repository"),
        ({}, "#"),
    ],
)
async def test_what_cannot_be_accepted_is_pointed_at(api: httpx.AsyncClient, body: Any, pointer: str) -> None:
    answer = await api.post("tasks", json=body)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


async def test_an_unknown_type_is_told_the_known_ones(api: httpx.AsyncClient) -> None:
    assert "known are command, ping, sf" in (await api.post("tasks", json={"type": "pong"})).text


async def test_a_repeated_submit_is_answered_with_the_same_task(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "build-7"}
    first = await api.post("tasks", headers=key, json={"type": "ping", "data": {"echo": 1}})
    again = await api.post("tasks", headers=key, json={"data": {"echo": 1}, "type": "ping"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.post("tasks", headers=key, json={"type": "ping"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:sfp:problem:idempotency-key-reused")
    bad = await api.post("tasks", headers={"Idempotency-Key": "x" * 300}, json={"type": "ping"})
    assert bad.status_code == 400


async def test_lists_are_newest_first_page_by_page_and_filtered(api: httpx.AsyncClient) -> None:
    ids = [await _submit(api, priority=priority) for priority in ("batch", "normal", "batch", "normal", "batch")]
    await api.delete(f"tasks/{ids[0]}")
    found, cursor = [], None
    while True:
        page = (await api.get("tasks", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        found += [task["operationId"] for task in page["items"]]
        if not (cursor := page["next"]):
            break
    assert found == ids[::-1]
    assert await _ids(api, priority="batch") == [ids[4], ids[2], ids[0]]
    assert await _ids(api, status="cancelled", type="ping") == [ids[0]]
    assert await _ids(api, type="sf") == []
    for bad in ({"status": "done"}, {"priority": "low"}, {"cursor": "!"}, {"limit": 0}, {"type": "\0"}):
        assert (await api.get("tasks", params=bad)).status_code == 400, bad


async def _ids(api: httpx.AsyncClient, **filters: str) -> list[str]:
    return [task["operationId"] for task in (await api.get("tasks", params=filters)).json()["items"]]


async def test_a_result_is_refused_while_there_is_none(api: httpx.AsyncClient) -> None:
    id = await _submit(api)
    answer = await api.get(f"tasks/{id}/result")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sfp:problem:task-not-finished")


async def test_cancel_waiting_running_and_finished(api: httpx.AsyncClient, services: Services) -> None:
    waiting = await _submit(api)
    answer = await api.delete(f"tasks/{waiting}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    running = await _submit(api)
    claim = await _claimed(services)
    for _ in range(2):  # asked twice is asked once
        answer = await api.delete(f"tasks/{running}")
        assert (answer.json()["status"], answer.json()["cancelling"]) == ("active", True)
    await services.tasks.finish(claim, Outcome("cancelled"))
    assert (await api.get(f"tasks/{running}/status")).json()["error"]["cause"] == "cancelled"
    for id in (waiting, running):
        answer = await api.delete(f"tasks/{id}")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:sfp:problem:task-finished")


async def test_failed_attempts_and_their_reasons_are_kept(api: httpx.AsyncClient, services: Services) -> None:
    id = await _submit(api, retryConfig={"attempts": 1})
    error = {"message": "no such repository", "hint": "check the address", "exitCode": 128}
    await services.tasks.finish(await _claimed(services), Outcome("failed", error=error, retry=True))
    status = (await api.get(f"tasks/{id}/status")).json()
    assert (status["status"], status["error"]) == (
        "failed",
        {"message": "no such repository", "hint": "check the address", "code": 128, "cause": "error"},
    )
    (attempt,) = (await api.get(f"tasks/{id}/attempts")).json()["items"]
    assert (attempt["attempt"], attempt["outcome"], attempt["cause"], attempt["worker"]) == (1, "failed", "error", "w")
    assert (await api.get(f"tasks/{id}/result")).json()["error"]["message"] == "no such repository"


async def test_logs_whole_by_page_by_time_and_from_the_end(api: httpx.AsyncClient, services: Services) -> None:
    id = await _submit(api)
    claim = await _claimed(services)
    await services.tasks.record(claim, [Entry("log", {"text": str(n), "stream": "err"}) for n in range(5)])
    everything = (await api.get(f"tasks/{id}/logs")).json()
    assert [line["text"] for line in everything["items"]] == ["0", "1", "2", "3", "4"]
    assert (everything["items"][0]["stream"], everything["items"][0]["attempt"], everything["next"]) == ("err", 1, None)
    first = (await api.get(f"logs/{id}", params={"limit": 3})).json()
    rest = (await api.get(f"logs/{id}", params={"limit": 3, "cursor": first["next"]})).json()
    assert [line["text"] for line in first["items"] + rest["items"]] == ["0", "1", "2", "3", "4"]
    tail = (await api.get(f"tasks/{id}/logs", params={"tail": 2})).json()
    assert [line["text"] for line in tail["items"]] == ["3", "4"]
    since = everything["items"][2]["at"]
    assert len((await api.get(f"tasks/{id}/logs", params={"from": since})).json()["items"]) == 3
    assert len((await api.get(f"tasks/{id}/logs", params={"to": since})).json()["items"]) == 3
    assert (await api.get(f"tasks/{id}/logs", params={"cursor": "zzz"})).status_code == 400
    assert (await api.get(f"tasks/{id}/logs", params={"from": "yesterday"})).status_code == 400


def _events(text: str) -> list[dict[str, str]]:
    frames = [frame for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]  # type: ignore[misc]


async def test_events_go_on_after_the_last_one_seen(api: httpx.AsyncClient, services: Services) -> None:
    id = await _submit(api)
    claim = await _claimed(services)
    following = asyncio.create_task(api.get(f"tasks/{id}/events"))
    await services.tasks.record(claim, [Entry("log", {"text": "working"})])
    await services.tasks.finish(claim, Outcome("completed"))
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = _events(answer.text)
    assert [event["event"] for event in events] == ["status", "status", "log", "status", "end"]
    assert events[-1]["data"] == '{"status":"completed"}'
    resumed = await api.get(f"tasks/{id}/events", headers={"Last-Event-ID": events[1]["id"]})
    assert _events(resumed.text) == events[2:]
    for bad in ("x", "-1", str(2**63)):
        assert (await api.get(f"tasks/{id}/events", headers={"Last-Event-ID": bad})).status_code == 400


async def test_what_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    for path in ("status", "result", "logs", "events", "attempts"):
        answer = await api.get(f"tasks/{_NOBODY}/{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:sfp:problem:task-not-found"), path
    assert (await api.delete(f"tasks/{_NOBODY}")).status_code == 404
    assert (await api.get("tasks/not-an-id/status")).status_code in (400, 404)


async def test_without_a_token_there_is_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.post("tasks", json={"type": "ping"})).status_code == 401
    assert (await client.get(f"tasks/{_NOBODY}/events")).status_code == 401


async def test_a_member_sees_all_and_cancels_its_own(api: httpx.AsyncClient, member: Mapping[str, str]) -> None:
    theirs = await _submit(api)
    assert (await api.get(f"tasks/{theirs}/status", headers=member)).status_code == 200
    assert (await api.delete(f"tasks/{theirs}", headers=member)).status_code == 403
    answer = await api.post("tasks", headers=member, json={"type": "ping", "priority": "critical"})
    assert answer.status_code == 201
    assert (await api.delete(f"tasks/{answer.json()['operationId']}", headers=member)).status_code == 200
    command = {"type": "command", "data": {"argv": ["true"]}}
    assert (await api.post("tasks", headers=member, json=command)).status_code == 403
    assert (await api.post("tasks", json=command)).status_code == 201


async def test_health_tells_the_queue_to_who_may_read_it(api: httpx.AsyncClient) -> None:
    await _submit(api, priority="batch")
    lanes = {lane["workerClass"]: lane for lane in (await api.get("health")).json()["queue"]}
    assert (lanes["batch"]["pending"], lanes["batch"]["slots"], lanes["critical"]["pending"]) == (1, 1, 0)


def test_no_role_may_work() -> None:
    for role in ("owner", "member", "application"):
        assert "task:work" not in permissions(role)
