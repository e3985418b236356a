"""The client against answers made here: what it sends, what it makes of them, and the words of what went wrong."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sfp_server.client import Api, ApiError, Unreachable, codec
from sfp_server.client.model import TaskStatus
from sfp_server.errors import SfpError, UsageError

TOKEN = "sfp_app_" + "0" * 36
ID = "01920000-0000-7000-8000-000000000001"


def api(answer: Callable[[httpx.Request], httpx.Response]) -> Api:
    return Api("https://sfp.example/", TOKEN, transport=httpx.MockTransport(answer))


def answering(status: int, body: Any = None, **options: Any) -> Api:
    return api(lambda request: httpx.Response(status, json=body, **options))


def problem(status: int, **body: Any) -> SfpError:
    with pytest.raises(SfpError) as raised:
        answering(status, body).status(ID)
    return raised.value


def test_submit_sends_the_published_fields_and_the_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"operationId": ID, "type": "ping"})

    task = api(answer).submit("ping", {"echo": 1}, priority="batch", timeout=1.5, attempts=2, idempotency_key="k")

    assert task.operation_id == ID
    assert str(seen[0].url) == "https://sfp.example/sfp/api/tasks"
    assert seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert seen[0].headers["idempotency-key"] == "k"
    assert json.loads(seen[0].content) == {
        "type": "ping", "data": {"echo": 1}, "priority": "batch", "timeout": 1500, "retryConfig": {"attempts": 2},
    }  # fmt: skip


def test_an_address_with_the_base_path_is_the_same_server() -> None:
    assert Api("https://sfp.example/sfp/api/").url == "https://sfp.example"


def test_a_status_is_a_value_and_its_json_is_the_servers() -> None:
    sent = {
        "operationId": ID, "type": "ping", "status": "failed", "priority": "normal", "progress": 40, "message": None,
        "attempt": 3, "cancelling": False, "description": None, "createdAt": "2026-11-23T08:15:00.123Z",
        "createdBy": "owner", "startedAt": None, "finishedAt": None, "error": {"message": "no"},
    }  # fmt: skip
    status = answering(200, {**sent, "fromTheFuture": 1}).status(ID)

    assert status.created_at == datetime(2026, 11, 23, 8, 15, 0, 123000, tzinfo=UTC)
    assert status.finished
    assert codec.body(status) == sent


def test_a_result_has_its_files() -> None:
    file = {"name": "a/b.xml", "size": 1, "sha256": "0", "contentType": "text/xml", "url": "https://x/y"}
    result = answering(200, {"operationId": ID, "status": "completed", "result": [1], "files": [file]}).result(ID)

    assert result.files[0].content_type == "text/xml"
    assert codec.body(result)["files"] == [file]


def test_logs_are_read_to_the_last_page() -> None:
    pages = {None: ([{"text": "a"}], "2"), "2": ([{"text": "b", "stream": "err"}], None)}

    def answer(request: httpx.Request) -> httpx.Response:
        items, following = pages[request.url.params.get("cursor")]
        return httpx.Response(200, json={"items": items, "next": following})

    assert [(line.text, line.stream) for line in api(answer).logs(ID)] == [("a", "out"), ("b", "err")]


def test_an_id_is_one_part_of_the_path() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(204)

    api(answer).revoke_token("../tasks/x?y")
    assert seen == ["/sfp/api/application-tokens/..%2Ftasks%2Fx%3Fy"]
    with pytest.raises(UsageError, match="is not an id"):
        api(answer).revoke_token("..")


@pytest.mark.parametrize("id", ["", "latest", "../x", "0192", ID + "0"])
def test_what_is_no_task_is_said_before_it_is_asked(id: str) -> None:
    with pytest.raises(UsageError, match="is not the id of a task"):
        answering(200, {}).status(id)


def test_a_problem_with_many_errors_is_a_list() -> None:
    errors = [{"pointer": "#/data/args", "detail": "must be a list"}, {"parameter": "limit", "detail": "is too high"}]
    error = problem(422, title="The task cannot be accepted", detail="must be a list", errors=errors)
    assert error.message == "The task cannot be accepted:\n  data.args must be a list\n  limit is too high"


def test_a_problem_with_one_error_is_one_line() -> None:
    errors = [{"pointer": "#/type", "detail": "'fly' is not a type of task; known are ping, sf"}]
    error = problem(422, type="urn:sfp:problem:invalid-task", title="The task cannot be accepted", errors=errors)
    assert error.message == "The task cannot be accepted: 'fly' is not a type of task; known are ping, sf."
    assert error.hint.endswith("https://sfp.example/sfp/apidocs")


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "SFP_SERVER_TOKEN"), (403, "role"), (404, "task list"), (503, "status"), (500, "logs -s api")],
)
def test_each_refusal_has_a_hint(status: int, hint: str) -> None:
    error = problem(status, type="urn:sfp:problem:task-not-found" if status == 404 else "about:blank", title="No")
    assert isinstance(error, ApiError)
    assert error.status == status
    assert hint in error.hint


def test_the_servers_own_hint_comes_first() -> None:
    assert problem(403, title="No", hint="Do this").hint == "Do this"


def test_too_many_requests_says_when_to_come_back() -> None:
    with pytest.raises(ApiError) as raised:
        answering(429, {"title": "Slow down"}, headers={"Retry-After": "7"}).status(ID)
    assert raised.value.hint == "Too many requests: try again in 7 s."


def test_an_answer_without_words_is_named_by_its_status() -> None:
    with pytest.raises(ApiError, match=r"^sfp\.example answered 502 Bad Gateway\.$"):
        api(lambda _: httpx.Response(502, text="<html>")).status(ID)


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with pytest.raises(ApiError, match=r"moved to https://elsewhere\.example"):
        api(lambda _: httpx.Response(301, headers={"Location": "https://elsewhere.example"})).status(ID)


def test_an_answer_of_another_program_is_an_error() -> None:
    with pytest.raises(SfpError, match="not JSON"):
        api(lambda _: httpx.Response(200, text="<html>")).status(ID)
    with pytest.raises(SfpError, match="TaskStatus without operationId, type, status, priority"):
        answering(200, {}).status(ID)
    with pytest.raises(SfpError, match="a list without items"):
        answering(200, []).tasks()


def test_a_refused_connection_says_what_to_type() -> None:
    with pytest.raises(Unreachable) as raised, Api("http://127.0.0.1:9") as nobody:
        nobody.ping()
    assert raised.value.message == "nothing listens at http://127.0.0.1:9."
    assert "sfp server start" in raised.value.hint


@pytest.mark.parametrize("url", ["sfp.example", "ftp://sfp.example", "http://x:y"])
def test_what_is_no_address_is_said_so(url: str) -> None:
    with pytest.raises(Unreachable, match="is not an address"), Api(url) as nowhere:
        nowhere.ping()


@pytest.mark.parametrize("token", ["two\nlines", "späce", "a b"])
def test_a_token_that_cannot_be_one_is_refused_unseen(token: str) -> None:
    with pytest.raises(SfpError) as raised:
        Api("https://sfp.example", token)
    assert token not in raised.value.message


def test_a_new_token_stays_out_of_every_text() -> None:
    made = answering(201, {"id": "1", "name": "ci", "token": TOKEN}).create_token("ci")
    assert made.token.reveal() == TOKEN
    assert TOKEN not in repr(made) + str(codec.body(made))


def test_tokens_have_a_state() -> None:
    items = [
        {"id": "1", "name": "a", "role": "member"},
        {"id": "2", "name": "b", "role": "member", "expiresAt": "2026-01-01T00:00:00Z"},
    ]
    page = answering(200, {"items": items, "next": None}).tokens()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [token.state(now) for token in page.items] == ["active", "expired"]


def test_a_sick_server_still_describes_itself() -> None:
    assert answering(503, {"status": "unhealthy"}).health() == {"status": "unhealthy"}


def test_what_a_newer_server_leaves_out_takes_its_default() -> None:
    status = codec.parse(TaskStatus, {"operationId": ID, "type": "ping", "status": "pending", "priority": "normal"})
    assert (status.progress, status.error) == (0, None)
