"""What Docker and Compose say when they refuse, in one line, with what to do.

The patterns are those of Engine 24 to 29 with both image stores, and of Compose 2.20 to 5; `tests/` holds what was
recorded from real ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sfp_server.errors import SfpError


@dataclass(frozen=True)
class Refusal:
    """`text` and `hint` are filled in from the named groups of the pattern, and `about`: what was asked for."""

    pattern: re.Pattern[str]
    text: str
    hint: str


def _refusal(pattern: str, text: str, hint: str) -> Refusal:
    return Refusal(re.compile(pattern, re.IGNORECASE | re.DOTALL), text, hint)


ANY: Final = (
    _refusal(
        r"permission denied while trying to connect to the docker",
        "this user may not use Docker",
        "Let it: sudo usermod -aG docker USER, then sign in anew.",
    ),
    _refusal(
        r"cannot connect to the docker daemon|failed to connect to the docker api|is the docker daemon running",
        "Docker does not run",
        "Start it: sudo systemctl start docker",
    ),
    _refusal(
        r"no space left on device|disk quota exceeded",
        "the disk is full: {about}",
        "Make room where Docker keeps its data, then try again: docker system df; df -h /var/lib/docker",
    ),
)

PULL: Final = (  # the first that is found counts: from the special to the general
    *ANY,
    _refusal(
        r"manifest verification failed for digest|unexpected commit digest|layer verification failed for digest",
        "what the registry sent for {about} is not what its digest says",
        "Do not use this image; find out who changed it, or what on the way there does.",
    ),
    _refusal(
        r"no matching manifest for (?P<platform>[\w/]+)",
        "{about} is not made for this machine ({platform})",
        "Use a release that is, or a machine that fits.",
    ),
    _refusal(
        r"no match for platform in manifest|image with reference .* was found but does not (?:match|provide)",
        "{about} is not made for this machine's architecture",
        "Use a release that is, or a machine that fits.",
    ),
    _refusal(
        r"toomanyrequests|too many requests",
        "the registry limits how often it is asked: {about}",
        "Sign in (docker login), or try again later.",
    ),
    _refusal(
        r"no basic auth credentials|unauthorized|authentication required|authorization failed|incorrect username"
        r"|access to the resource is denied|access denied|denied: ",
        "the registry wants a sign-in: {about}",
        "Sign in on that machine, then try again: docker login {registry}",
    ),
    _refusal(
        r"manifest unknown|name unknown|manifest for \S+ not found|failed to resolve reference .*: not found",
        "{about} is not in its registry",
        "Check the release's manifest, and that its images were pushed: sfp server release verify",
    ),
    _refusal(
        r"x509: |tls: ",
        "the registry's certificate is not trusted: {about}",
        "Let Docker trust it: /etc/docker/certs.d/{registry}/ca.crt",
    ),
    _refusal(
        r"pulling fs layer.*(?:connection refused|connection reset|no such host|timeout|EOF|deadline exceeded)"
        r"|failed to copy: ",
        "the registry went away in the middle of the pull of {about}",
        "Try again: what came already is kept.",
    ),
    _refusal(
        r"connection refused|connection reset|no such host|timeout|network is unreachable|no route to host|\bEOF\b"
        r"|deadline exceeded|request canceled|server misbehaving|temporary failure in name resolution",
        "the registry does not answer: {about}",
        "Check its address, and the way there (DNS, proxy, firewall).",
    ),
)

START: Final = (
    *ANY,
    _refusal(
        r"(?:bind for|failed to bind host port(?: for)?|listen \w+) (?P<host>\S*?):(?P<port>\d+)\b.*?"
        r"(?:already allocated|already in use)",
        "port {port} is taken",
        "Stop what listens there: sudo ss -ltnp 'sport = :{port}'",
    ),
    _refusal(
        r"no such image: (?P<image>\S+)|image (?P<other>\S+) (?:not found|is missing) locally",
        "an image of this release is not on this machine: {image}{other}",
        "Bring it: sfp server start",
    ),
    _refusal(
        r"bind source path does not exist: (?P<path>\S+)|env file (?P<file>\S+) not found",
        "a file of this release is not there: {path}{file}",
        "Write it again: sfp server start",
    ),
    _refusal(
        r"non-overlapping ipv4 address pool",
        "Docker has no addresses left for another network",
        "Remove networks that nobody uses: docker network prune",
    ),
    _refusal(
        r"start_interval as feature require",
        "this Docker Engine is too old: 25 or newer is needed",
        "Update Docker: https://docs.docker.com/engine/install/",
    ),
    _refusal(
        r"exec format error",
        "an image of this release is not made for this machine's architecture",
        "Use a release that is, or a machine that fits.",
    ),
)


def explain(said: str, about: str, known: Sequence[Refusal] = START) -> SfpError | None:
    """Why Docker refused, where that is known. `about` is the image, or what was done."""
    for refusal in known:
        if found := refusal.pattern.search(said):
            named = {name: value or "" for name, value in found.groupdict().items()}
            words = {**named, "about": about, "registry": about.partition("/")[0]}
            return SfpError(f"{refusal.text.format(**words)}.", refusal.hint.format(**words))
    return None


def refused(said: str, about: str, known: Sequence[Refusal] = START) -> SfpError:
    """Why Docker refused; its own last words where it says something new."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1].removeprefix("Error response from daemon: ") if lines else "Docker said nothing"
    return explain(said, about, known) or SfpError(f"{about} failed: {last}")
