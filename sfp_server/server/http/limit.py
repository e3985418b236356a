"""The layer that turns requests away: by token where one is presented, else by address; harder for failed sign-ins."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sfp_server.server import problems
from sfp_server.server.auth import token
from sfp_server.server.http.asgi import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    client_address,
    header,
    request_id,
    with_headers,
)  # fmt: skip
from sfp_server.server.http.limiter import Policy, Verdict

_MOST_TRUSTED = 4096


class Limits(Protocol):
    """Where buckets are kept."""

    async def take(self, bucket: str, policy: Policy, cost: int = 1) -> Verdict: ...


@dataclass(frozen=True)
class Policies:
    """Who may ask how often: a token, an address without one, an address whose tokens do not hold."""

    token: Policy
    address: Policy
    failures: Policy


def policies(rate: int) -> Policies:
    """`rate` requests a second for a token, a tenth of it without one; ten failures, then one every six seconds."""
    return Policies(
        token=Policy("token", rate * 5, 1 / rate),
        address=Policy("address", max(60, rate), 10 / rate),
        failures=Policy("failures", 10, 6.0),
    )


class RateLimit:
    """`RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers-11), 429 with `Retry-After`.

    Guessing tokens is limited by address, and so is a token until it was found good. One that was good lately in this
    process is not held up by what others behind the same address do.
    """

    def __init__(self, app: App, limits: Limits, policies: Policies) -> None:
        self._app = app
        self._limits = limits
        self._policies = policies
        self._good: dict[str, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address, presented = client_address(scope), _presented(scope)
        verdict = await self._verdict(address, presented)
        sending = with_headers(send, lambda _: _fields(verdict))
        if not verdict.allowed:
            await answer(sending, problems.rate_limited(max(1, verdict.retry_after)), request_id(scope))
            return
        status = await _status_of(self._app, scope, receive, sending)
        if presented:
            await self._learn(address, presented, status, scope.get("user") is not None)

    async def _verdict(self, address: str, presented: str) -> Verdict:
        if presented not in self._good and presented:
            failures = await self._limits.take(address, self._policies.failures, 0)
            if failures.remaining < 1:
                return Verdict(failures.policy, False, failures.used)
            unknown = await self._limits.take(address, self._policies.address)
            if not unknown.allowed:
                return unknown
        if presented:
            return await self._limits.take(presented, self._policies.token)
        return await self._limits.take(address, self._policies.address)

    async def _learn(self, address: str, presented: str, status: int, verified: bool) -> None:
        """`verified`: somebody looked at the token, and it holds. (Where no route is, nobody looks.)"""
        if status == 401:
            self._good.pop(presented, None)
            await self._limits.take(address, self._policies.failures)
        elif verified and presented not in self._good:
            self._good[presented] = None
            if len(self._good) > _MOST_TRUSTED:
                del self._good[next(iter(self._good))]


def _presented(scope: Scope) -> str:
    """A name for the credential that came with the request, which is not the credential."""
    authorization = header(scope, b"authorization")
    if not authorization:
        return ""
    credential = token.bearer(authorization)
    return hashlib.sha256((credential or "unreadable").encode()).hexdigest()[:32]


async def _status_of(app: App, scope: Scope, receive: Receive, send: Send) -> int:
    status = 0

    async def sending(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await app(scope, receive, sending)
    return status


def _fields(verdict: Verdict) -> Iterable[tuple[str, str]]:
    policy = verdict.policy
    yield "ratelimit-policy", f'"{policy.name}";q={policy.burst};w={max(1, round(policy.window))}'
    yield "ratelimit", f'"{policy.name}";r={max(0, verdict.remaining)};t={verdict.reset}'
