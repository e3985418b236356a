"""What a request can meet (RFC 9457): a problem has a status, a type for programs to test, and words for people."""

from collections.abc import Mapping, Sequence

from sfp_server.errors import SfpError


class Problem(SfpError):
    """A request that is not fulfilled. `type` is a short stable word such as `task-not-found`; `errors` are details,
    each with `detail` and a JSON `pointer` into the body or the name of a `parameter`."""

    def __init__(
        self,
        status: int,
        type: str,
        title: str,
        detail: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def document(self, request_id: str) -> dict[str, object]:
        """The body of the answer. Pointers are fragments, as in the RFC's own examples."""
        body: dict[str, object] = {"type": f"urn:sfp:problem:{self.type}", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        if self.errors:
            body["errors"] = [_fragment(error) for error in self.errors]
        return body | {"requestId": request_id}


def _fragment(error: Mapping[str, str]) -> dict[str, str]:
    pointer = error.get("pointer")
    return dict(error) if pointer is None else {**error, "pointer": f"#{pointer.removeprefix('#')}"}


def unauthenticated(detail: str, presented: bool) -> Problem:
    """401, in the words of RFC 6750: no credentials, or ones that do not hold."""
    challenge = 'Bearer realm="sfp"' + (', error="invalid_token"' if presented else "")
    return Problem(401, "unauthenticated", "Sign in", detail, headers={"WWW-Authenticate": challenge})


def forbidden(permission: str) -> Problem:
    """403: the principal is known and lacks the permission."""
    return Problem(403, "forbidden", "Not permitted", f"this needs the permission {permission}")


def not_found(what: str) -> Problem:
    """404: no such thing, or not for this principal to see."""
    return Problem(404, "not-found", "Not found", f"there is no {what}")


def rate_limited(seconds: int) -> Problem:
    """429: `seconds` is when the next request is welcome."""
    detail = f"try again in {seconds} s"
    return Problem(429, "rate-limited", "Too many requests", detail, headers={"Retry-After": str(seconds)})


def unavailable() -> Problem:
    """503: a part that this needs does not answer just now."""
    detail = "the database does not answer; try again in a few seconds"
    return Problem(503, "unavailable", "Not available just now", detail, headers={"Retry-After": "2"})


def internal() -> Problem:
    """500: ours to mend. The request id leads to the line in the log; the answer says nothing more."""
    return Problem(500, "internal", "Something went wrong here", "the log says more under this request id")
