"""The API of a server for Python programs.

    from sfp_server.client import Api

    with Api("https://sfp.acme.com", token) as api:
        task = api.submit("ping", {"echo": "hello"})
        for event in api.follow(task.operation_id):
            print(event.kind, event.data)
        print(api.result(task.operation_id).result)

Everything that fails is an `SfpError` with a hint; what the server refuses is an `ApiError`, which also has the status
of its answer. The token appears in no text that this package makes.
"""

from sfp_server.client.api import Api
from sfp_server.client.download import save
from sfp_server.client.model import (
    Event,
    LogLine,
    NewToken,
    Page,
    ResultFile,
    Submitted,
    TaskResult,
    TaskStatus,
    Token,
)
from sfp_server.client.problems import ApiError, Unreachable

__all__ = [
    "Api",
    "ApiError",
    "Event",
    "LogLine",
    "NewToken",
    "Page",
    "ResultFile",
    "Submitted",
    "TaskResult",
    "TaskStatus",
    "Token",
    "Unreachable",
    "save",
]
