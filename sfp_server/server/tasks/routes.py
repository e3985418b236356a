"""Tasks over HTTP: submit, look, follow, cancel."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from sfp_server.server.http import pages
from sfp_server.server.http.given import ThePrincipal, TheServices
from sfp_server.server.http.pages import Page
from sfp_server.server.tasks import wire
from sfp_server.server.tasks.model import Status, WorkerClass
from sfp_server.server.tasks.service import Filters, Lines
from sfp_server.server.tasks.stream import server_sent
from sfp_server.server.tasks.submission import SubmitTask

_LINK = 3600  # seconds that a link to a file is good for
_LONGEST_LOG = 10_000
_LAST_EVENT = 2**63 - 1

Id: TypeAlias = FromPath[UUID]
Limit = Annotated[int, QueryParameter(ge=1, le=pages.LARGEST)]
TypeName = Annotated[str | None, QueryParameter(name="type", pattern="^[a-z][a-z0-9-]{0,63}$")]
Since = Annotated[datetime | None, QueryParameter(name="from", description="Lines said at this time or later.")]
Until = Annotated[datetime | None, QueryParameter(name="to", description="Lines said at this time or earlier.")]
Tail = Annotated[int | None, QueryParameter(ge=1, le=_LONGEST_LOG, description="Only the last lines, so many of them.")]
Lengths = Annotated[int, QueryParameter(ge=1, le=_LONGEST_LOG)]
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", description="Same key, same task, for 24 h.")]
LastEvent = Annotated[int, HeaderParameter(name="Last-Event-ID", ge=0, le=_LAST_EVENT, description="Go on after it.")]


class TaskRoutes(Controller):
    """Work for the workers: each task runs in a sandbox of its own, at least once, and ends exactly once."""

    path = "/tasks"
    tags = ("tasks",)
    opt = {"permission": "task:read"}  # noqa: RUF012  the framework declares it so

    @post(opt={"permission": "task:submit"}, operation_id="submitTask", summary="Submit a task")
    async def submit(
        self, services: TheServices, principal: ThePrincipal, data: JSONBody[SubmitTask], idempotency_key: Key = None
    ) -> Response[wire.SubmittedTask]:
        """Repeated with the same Idempotency-Key and body it answers with the same task, for 24 hours."""
        made = await services.tasks.submit(principal, data, idempotency_key)
        headers = {"Location": f"/sfp/api/tasks/{made.id}/status"}
        if made.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(wire.SubmittedTask(made.id, made.type), status_code=201, headers=headers)

    @get(operation_id="listTasks", summary="Tasks, newest first")
    async def list_tasks(
        self,
        services: TheServices,
        principal: ThePrincipal,
        status: FromQuery[Status | None] = None,
        type_name: TypeName = None,
        priority: FromQuery[WorkerClass | None] = None,
        limit: Limit = pages.USUAL,
        cursor: FromQuery[str | None] = None,
    ) -> Page[wire.TaskStatus]:
        filters = Filters(status, type_name, priority)
        found = await services.tasks.listed(principal, filters, pages.after(cursor), limit + 1)
        return pages.page([wire.status_of(task) for task in found], limit, lambda task: task.operation_id)

    @get("/{operation_id:uuid}/status", operation_id="getTaskStatus", summary="A task as it is now")
    async def status(self, services: TheServices, principal: ThePrincipal, operation_id: Id) -> wire.TaskStatus:
        return wire.status_of(await services.tasks.task(principal, str(operation_id)))

    @get("/{operation_id:uuid}/result", operation_id="getTaskResult", summary="What a finished task brought")
    async def result(self, services: TheServices, principal: ThePrincipal, operation_id: Id) -> wire.TaskResult:
        """409 while it is not finished."""
        brought = await services.tasks.result(principal, str(operation_id))
        urls = [await services.objects.link(file.key, _LINK) for file in brought.files]
        return wire.result_of(brought, urls)

    @get("/{operation_id:uuid}/attempts", operation_id="getTaskAttempts", summary="The tries at a task, in order")
    async def attempts(
        self, services: TheServices, principal: ThePrincipal, operation_id: Id
    ) -> Page[wire.TaskAttempt]:
        """With the reason for each that did not complete. One that was handed back does not count."""
        found = await services.tasks.attempts(principal, str(operation_id))
        return Page([wire.attempt_of(attempt) for attempt in found], None)

    @delete(
        "/{operation_id:uuid}",
        opt={"permission": "task:cancel"},
        status_code=200,
        operation_id="cancelTask",
        summary="Cancel a task",
    )
    async def cancel(self, services: TheServices, principal: ThePrincipal, operation_id: Id) -> wire.TaskStatus:
        """A waiting task is cancelled at once; a running one is asked to end (`cancelling`); 409 when it is finished.
        Your own, or any as an owner."""
        return wire.status_of(await services.tasks.cancel(principal, str(operation_id)))

    @get(
        "/{operation_id:uuid}/events",
        media_type="text/event-stream",
        operation_id="followTask",
        summary="What happens to a task, as it happens",
    )
    async def events(
        self, services: TheServices, principal: ThePrincipal, operation_id: Id, last_event_id: LastEvent = 0
    ) -> Stream:
        """Server-sent events `status`, `progress` and `log`, and `end` after the last. With the header Last-Event-ID
        the stream goes on where it broke off: nothing is missed, nothing comes twice."""
        id = str(operation_id)
        await services.tasks.task(principal, id)
        happening = services.tasks.events(principal, id, last_event_id)
        frames = server_sent(happening, services.stopping)
        return Stream(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _log_operation(handler: HTTPRouteHandler, method: object, path: Sequence[object]) -> str:
    """The same log stands at two paths, and every operation has an id of its own."""
    return "getTaskLogs" if path[-1] == "logs" else "getLogs"


@get(
    ["/tasks/{operation_id:uuid}/logs", "/logs/{operation_id:uuid}"],
    opt={"permission": "task:read"},
    tags=["tasks"],
    operation_id=_log_operation,
    summary="What a task said, oldest first",
)
async def task_logs(
    services: TheServices,
    principal: ThePrincipal,
    operation_id: Id,
    since: Since = None,
    until: Until = None,
    tail: Tail = None,
    limit: Lengths = 1000,
    cursor: FromQuery[str | None] = None,
) -> wire.LogLines:
    """All of it page by page, or with `tail` only the end."""
    if tail is not None:
        said = await services.tasks.logs(principal, str(operation_id), Lines(since, until, 0, tail, last=True))
        return wire.lines_of(said, tail)
    lines = Lines(since, until, wire.after(cursor), limit + 1)
    return wire.lines_of(await services.tasks.logs(principal, str(operation_id), lines), limit)
