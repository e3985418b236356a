"""The OpenAPI document of the whole API, from an application whose services are never asked for anything."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sfp_server.server.app import create_app
from sfp_server.server.http.openapi import describe
from sfp_server.server.services import Services
from sfp_server.server.settings import Settings


def document() -> Mapping[str, Any]:
    """What the server publishes at `/sfp/apidocs-json`."""
    nothing: dict[str, Any] = {field.name: None for field in fields(Services)}
    return describe(create_app(Services(**{**nothing, "settings": Settings()})))
