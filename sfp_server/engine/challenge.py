"""What a registry wants before it answers, and what to send it: Basic, or a token from the realm that it names.

RFC 9110, section 11, and https://distribution.github.io/distribution/spec/auth/token/.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sfp_server.cmd.base import Secret
from sfp_server.errors import SfpError

IDENTITY: Final = "<token>"  # the user's name where the secret is an identity token; so say Docker's credential helpers

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_CLIENT = "sfp-server"


@dataclass(frozen=True)
class Credentials:
    """Who signs in."""

    user: str
    secret: Secret


@dataclass(frozen=True)
class Challenge:
    """The way in that a registry names. `scheme` is basic or bearer."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True)
class TokenRequest:
    """How a token is asked for: with a form it is a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


def read(headers: Iterable[str]) -> Challenge | None:
    """The challenge of a 401, or nothing where none is understood. A token is taken before a password."""
    found = [_challenge(header) for header in headers]
    known = [challenge for challenge in found if challenge.scheme in ("basic", "bearer")]
    return max(known, key=lambda challenge: challenge.scheme == "bearer", default=None)


def basic(credentials: Credentials) -> str:
    """The Authorization of RFC 7617."""
    pair = f"{credentials.user}:{credentials.secret.reveal()}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def token_request(wanted: Challenge, scope: str, credentials: Credentials | None, loopback: bool) -> TokenRequest:
    """What to send to the realm. Nothing is sent to one without TLS, unless the registry is on this machine."""
    realm = urlsplit(wanted.realm)
    if realm.scheme != "https" and not (loopback and realm.scheme == "http"):
        raise SfpError(f"the registry sends for a token to {wanted.realm!r}, which is no https address.")
    asked = {name: value for name, value in (("service", wanted.service), ("scope", scope)) if value}
    if credentials and credentials.user == IDENTITY:
        grant = {"grant_type": "refresh_token", "refresh_token": credentials.secret.reveal(), "client_id": _CLIENT}
        return TokenRequest(wanted.realm, form={**grant, **asked})
    query = urlencode([*parse_qsl(realm.query), *asked.items()])
    headers = {"Authorization": basic(credentials)} if credentials else {}
    return TokenRequest(urlunsplit(realm._replace(query=query)), headers)


def _challenge(header: str) -> Challenge:
    scheme, _, rest = header.strip().partition(" ")
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), *(parameters.get(name, "") for name in ("realm", "service", "scope")))
