"""A server's API, typed: one method a route."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx

from sfp_server import __version__
from sfp_server.client import codec
from sfp_server.client.events import Position, decode
from sfp_server.client.model import Event, LogLine, NewToken, Page, Submitted, TaskResult, TaskStatus, Token
from sfp_server.client.problems import ApiError, Unreachable, reaching, refuse
from sfp_server.clock import Clock, SystemClock
from sfp_server.cmd.base import Secret
from sfp_server.errors import SfpError, UsageError

BASE: Final = "/sfp/api"
RECONNECTS: Final = 30
_ANSWER: Final = httpx.Timeout(30, connect=10)
_STREAM: Final = httpx.Timeout(30, connect=10, read=45)  # the server speaks every 15 s: longer silence is a break

T = TypeVar("T")


class Api:
    """A server at `url` (its public address), spoken to with an application token.

    `transport` and `clock` are seams for tests. Close it, or use it in a `with`.
    """

    def __init__(
        self,
        url: str,
        token: Secret | str | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix(BASE)
        self._clock = clock or SystemClock()
        with reaching(url):
            self._http = httpx.Client(
                base_url=self.url + BASE, headers=_headers(token), timeout=_ANSWER, transport=transport
            )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    # The server

    def ping(self) -> Mapping[str, Any]:
        """Whether it answers; needs no token."""
        return self._object("GET", "/ping")

    def health(self) -> Mapping[str, Any]:
        """How its parts are, and their versions. A server that is not well describes itself all the same."""
        with reaching(self.url):
            response = self._http.get("/health")
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            refuse(response)
        return _json_object(response)

    # Tasks

    def submit(
        self,
        type: str,
        data: Any,
        *,
        priority: str = "normal",
        timeout: float | None = None,
        attempts: int | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Ask for a task. `timeout` is in seconds, one attempt; the same `idempotency_key` again gives the same task.

        The server answers once the task is stored: a connection that breaks before leaves it open whether it was, and
        only with a key is it safe to ask again.
        """
        asked = {"type": type, "data": data, "priority": priority}
        asked |= {} if timeout is None else {"timeout": round(timeout * 1000)}
        asked |= {} if attempts is None else {"retryConfig": {"attempts": attempts}}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return codec.parse(Submitted, self._json("POST", "/tasks", json=asked, headers=headers))

    def tasks(
        self, *, status: str | None = None, type: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page[TaskStatus]:
        """The newest tasks first, `limit` at a time."""
        asked = {"status": status, "type": type, "limit": limit, "cursor": cursor}
        return codec.page(TaskStatus, self._json("GET", "/tasks", params=_given(asked)))

    def status(self, id: str) -> TaskStatus:
        """A task as it is now."""
        return codec.parse(TaskStatus, self._json("GET", f"/tasks/{_task(id)}/status"))

    def result(self, id: str) -> TaskResult:
        """What a task left; an `ApiError` of status 409 while it is not finished."""
        return codec.parse(TaskResult, self._json("GET", f"/tasks/{_task(id)}/result"))

    def cancel(self, id: str) -> TaskStatus:
        """End a task: one that waits at once, one that runs in a moment; one that has finished cannot be (409)."""
        return codec.parse(TaskStatus, self._json("DELETE", f"/tasks/{_task(id)}"))

    def logs(self, id: str) -> Iterator[LogLine]:
        """All that a task has written so far, in order."""
        cursor: str | None = None
        while True:
            page = codec.page(LogLine, self._json("GET", f"/tasks/{_task(id)}/logs", params=_given({"cursor": cursor})))
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    def follow(self, id: str, after: str | None = None) -> Iterator[Event]:
        """What happens to a task from its beginning (or after an event's id) until it has finished.

        A stream that breaks is taken up again after the last event seen; after 30 connections in a row that
        brought nothing it is given up.
        """
        position = Position(after)
        while True:
            try:
                for event in self._stream(f"/tasks/{_task(id)}/events", position):
                    yield event
                    if event.last:
                        return
            except (Unreachable, ApiError) as error:
                _give_up_where_hopeless(error)
                failed: SfpError | None = error
            else:
                failed = None
            self._pause(position, failed)

    def _pause(self, position: Position, failed: SfpError | None) -> None:
        position.failures += 1
        if position.failures > RECONNECTS:
            raise failed or Unreachable(f"{self.url} keeps closing the stream.", "Is it well? sfp server health")
        self._clock.sleep(position.wait)

    def _stream(self, path: str, position: Position) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", **position.headers}
        with reaching(self.url), self._http.stream("GET", path, headers=headers, timeout=_STREAM) as response:
            if not response.is_success:
                response.read()
            refuse(response)
            yield from decode(response.iter_bytes(), position)

    # Application tokens

    def create_token(self, name: str, *, days: int = 30, role: str = "application") -> NewToken:
        """Make a token that ends after so many days. Its text is in the answer and nowhere else."""
        asked = {"name": name, "expiresIn": days, "role": role}
        return codec.parse(NewToken, self._json("POST", "/application-tokens", json=asked))

    def tokens(self, *, cursor: str | None = None) -> Page[Token]:
        """The tokens that are not revoked, the newest first."""
        return codec.page(Token, self._json("GET", "/application-tokens", params=_given({"cursor": cursor})))

    def revoke_token(self, id: str) -> None:
        """End a token at once."""
        self._json("DELETE", f"/application-tokens/{_segment(id)}")

    # The one way out

    def _json(self, method: str, path: str, **options: Any) -> Any:
        with reaching(self.url):
            response = self._http.request(method, path, **options)
        refuse(response)
        return _body(response) if response.content else None

    def _object(self, method: str, path: str) -> Mapping[str, Any]:
        with reaching(self.url):
            response = self._http.request(method, path)
        refuse(response)
        return _json_object(response)


def _headers(token: Secret | str | None) -> dict[str, str]:
    text = token.reveal() if isinstance(token, Secret) else token
    if text is not None and not (text.isascii() and text.isprintable() and " " not in text):
        raise SfpError("the token has characters that no token has.", "Was it copied whole, without a line break?")
    agent = {"User-Agent": f"sfp-server/{__version__}", "Accept": "application/json"}
    return agent if text is None else {**agent, "Authorization": f"Bearer {text}"}


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _task(id: str) -> str:
    """A task's id, checked: anything else would be an address of something else."""
    try:
        return str(UUID(id))
    except ValueError:
        raise UsageError(f'"{id}" is not the id of a task.', "See what there is: sfp server task list") from None


def _segment(id: str) -> str:
    """An id as one part of a path: nothing in it leads elsewhere."""
    if not id.strip("."):
        raise UsageError(f'"{id}" is not an id.', "The lists show ids in full.")
    return quote(id, safe="")


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise SfpError(
            f"{response.request.url.host} answered with something that is not JSON.",
            "Is this the address of an sfp server? See --sfp-server-url.",
        ) from error


def _json_object(response: httpx.Response) -> Mapping[str, Any]:
    body = _body(response)
    return body if isinstance(body, dict) else {"value": body}


def _give_up_where_hopeless(error: SfpError) -> None:
    """An answer of our own making (4xx, but for too many requests) will be the same the next time."""
    if isinstance(error, ApiError) and error.status < 500 and error.status != httpx.codes.TOO_MANY_REQUESTS:
        raise error
