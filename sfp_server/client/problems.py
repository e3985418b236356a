"""What went wrong, in words: the server's problems (RFC 9457) and connections that failed become errors with a hint."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from sfp_server.errors import SfpError

HINTS: Final[Mapping[str | int, str]] = {
    "invalid-task": "What each type takes stands in the README, and on the server's own page: {url}/sfp/apidocs",
    "task-not-found": "See what there is: sfp server task list",
    "task-not-finished": "Follow it to its end: sfp server task logs ID --follow",
    401: "A token is read from SFP_SERVER_TOKEN or -t @FILE; an owner makes one: sfp server token create --name NAME",
    403: "The role of this token does not allow it; an owner makes another: sfp server token create --name NAME",
    429: "Too many requests: wait a moment, then try again.",
    502: "The server is starting or stopping: sfp server status",
    503: "The server is starting or stopping: sfp server status",
}
_BROKEN: Final = "The cause stands in its log: sfp server logs -s api"


class ApiError(SfpError):
    """The server refused. `status` is that of its answer, `type` names the problem (RFC 9457)."""

    def __init__(self, message: str, hint: str, status: int, type: str = "about:blank") -> None:
        super().__init__(message, hint)
        self.status = status
        self.type = type


class Unreachable(SfpError):
    """There was no answer."""


def refuse(response: httpx.Response) -> None:
    """Raise where an answer (its body read) is not a success."""
    if response.is_success:
        return
    problem = _problem(response)
    kind = str(problem.get("type") or "about:blank")
    hint = str(problem.get("hint") or _hint(response, kind.rpartition(":")[2]))
    raise ApiError(_message(response, problem), hint, response.status_code, kind)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Connections to `url` that fail in here raise `Unreachable`."""
    try:
        yield
    except httpx.InvalidURL as error:
        raise Unreachable(f'"{url}" is not an address: {error}.', "Write it as https://sfp.acme.com") from error
    except httpx.UnsupportedProtocol as error:
        raise Unreachable(f'"{url}" is not an address of the web.', "Write it as https://sfp.acme.com") from error
    except httpx.TimeoutException as error:
        raise Unreachable(f"{url} did not answer in time.", "Is it well? sfp server health") from error
    except httpx.TransportError as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: httpx.TransportError) -> Unreachable:
    if _caused_by(error, ssl.SSLError):
        return Unreachable(f"{url} cannot prove who it is: {error}.", "Check the address, or its certificate.")
    if _caused_by(error, ConnectionRefusedError) or "refused" in str(error):
        return Unreachable(f"nothing listens at {url}.", "Is it running? sfp server status; start it: sfp server start")
    return Unreachable(f"{url} cannot be reached: {error or type(error).__name__}.", "Is it running? sfp server status")


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _message(response: httpx.Response, problem: Mapping[str, Any]) -> str:
    if response.is_redirect:
        return f"{response.request.url} says that it moved to {response.headers.get('location', 'nowhere')}."
    title = str(problem.get("title") or _answered(response))
    details = _details(problem.get("errors"))
    if len(details) > 1:
        return "\n".join([f"{title}:", *(f"  {detail}" for detail in details)])
    return _sentence(f"{title}: {details[0]}" if details else str(problem.get("detail") or title))


def _answered(response: httpx.Response) -> str:
    return f"{response.request.url.host} answered {response.status_code} {response.reason_phrase}".rstrip()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def _details(errors: Any) -> list[str]:
    """Each with where in the request it is wrong."""
    return [_detail(error) for error in errors] if isinstance(errors, list) else []


def _detail(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    where = str(error.get("pointer") or error.get("parameter") or "").removeprefix("#").strip("/").replace("/", ".")
    what = str(error.get("detail") or error.get("message") or "is not accepted")
    return f"{where} {what}" if where and what.startswith(("is ", "must ")) else what


def _hint(response: httpx.Response, kind: str) -> str:
    if response.is_redirect:
        return "Name the address that it moved to: --sfp-server-url URL"
    if response.status_code == 429 and response.headers.get("retry-after", "").isdigit():
        return f"Too many requests: try again in {response.headers['retry-after']} s."
    hint = HINTS.get(kind) or HINTS.get(response.status_code) or (_BROKEN if response.is_server_error else "")
    return hint.format(url=str(response.request.url).partition("/sfp/")[0])
