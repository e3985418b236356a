"""An instance's status from its services."""

import pytest

from sfp_server.engine.base import Service
from sfp_server.ops.state import overall


def service(text: str) -> Service:
    state, _, health = text.partition("/")
    return Service("x", state, health or "none", "x 1")


@pytest.mark.parametrize(
    ("services", "status"),
    [
        ("", "stopped"),
        ("running/healthy running/none", "running"),
        ("running/healthy running/starting", "partial"),
        ("running/healthy exited", "partial"),
        ("running/unhealthy exited", "error"),
        ("starting/starting absent", "error"),
        ("exited absent", "stopped"),
    ],
)
def test_status(services: str, status: str) -> None:
    assert overall([service(text) for text in services.split()]) == status
