"""What a registry serves under a name, by the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md and, for tokens,
https://distribution.github.io/distribution/spec/auth/token/. The hash of the bytes that came is the truth: a digest in
a header is only compared with it.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self

import httpx

from sfp_server.engine import challenge
from sfp_server.engine.challenge import Credentials
from sfp_server.engine.reference import HUB, Reference, is_digest
from sfp_server.errors import SfpError

INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = {"Accept": ", ".join([*INDEXES, *MANIFESTS])}  # without the indexes a registry hands out one platform's
_HUB_API = "registry-1.docker.io"
_LARGEST = 4 << 20  # bytes; what registries take for a manifest at most
_TIMEOUT = httpx.Timeout(30, connect=10)
_LOOPBACK = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))  # no proxy on the way to oneself


@dataclass(frozen=True)
class Resolved:
    """What a name stands for now. `platforms` are as in `linux/arm64`, in the index's order; an image that is no
    `index` has the one it was built for."""

    digest: str
    index: bool
    platforms: tuple[str, ...]


class Registry:
    """Registries, as far as an image is looked up there. `credentials` are asked for by the registry's host, and only
    where it wants them. Close it, or use it in a `with`."""

    def __init__(
        self,
        credentials: Callable[[str], Credentials | None] = lambda host: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials = credentials
        self._client = httpx.Client(
            transport=transport,
            mounts={} if transport else _LOOPBACK,
            verify=ssl.create_default_context(),
            follow_redirects=True,  # to another host it leaves the authorization behind
            timeout=_TIMEOUT,
        )
        self._passes: dict[str, str] = {}

    def resolve(self, image: Reference) -> Resolved:
        """What the tag stands for; with a digest, whether the registry still serves just that."""
        response, digest = self._content(image, f"manifests/{image.digest or image.tag or 'latest'}", _ACCEPT)
        if image.digest:
            _require(image, digest, image.digest)
        document = _document(image, response.content)
        if _is_index(document, response):
            return Resolved(digest, True, tuple(filter(None, map(_platform, document["manifests"]))))
        return Resolved(digest, False, (self._built_for(image, document),))

    def has(self, image: Reference) -> bool:
        """Whether there is something under the digest, or the tag where there is none."""
        what = f"manifests/{image.digest or image.tag or 'latest'}"
        response = self._get(image, what, _ACCEPT)
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        _refuse(image, response)
        return True

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _built_for(self, image: Reference, manifest: Mapping[str, Any]) -> str:
        """The platform of a single manifest stands in its configuration."""
        wanted = str(manifest.get("config", {}).get("digest", ""))
        if not is_digest(wanted):
            raise SfpError(
                f"{image} has a manifest of a kind that is not understood.", "Push it again, with a newer tool."
            )
        response, digest = self._content(image, f"blobs/{wanted}", {})
        _require(image, digest, wanted)
        return _platform({"platform": _document(image, response.content)}) or "unknown"

    def _content(self, image: Reference, what: str, headers: Mapping[str, str]) -> tuple[httpx.Response, str]:
        """A document and the digest of its bytes, which the header has to agree with where there is one."""
        response = self._get(image, what, headers)
        _refuse(image, response)
        digest = f"sha256:{sha256(response.content).hexdigest()}"
        said = response.headers.get("Docker-Content-Digest", "")
        if is_digest(said):
            _require(image, digest, said)
        return response, digest

    def _get(self, image: Reference, what: str, headers: Mapping[str, str]) -> httpx.Response:
        """Ask, and where a sign-in is wanted sign in and ask again."""
        response = self._ask(image, what, headers)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._passes.pop(image.name, None)
            wanted = challenge.read(response.headers.get_list("WWW-Authenticate"))
            if wanted and (found := self._sign_in(image, wanted)):
                self._passes[image.name] = found
                response = self._ask(image, what, headers)
        return response

    def _ask(self, image: Reference, what: str, headers: Mapping[str, str]) -> httpx.Response:
        scheme = "http" if image.loopback else "https"
        host = _HUB_API if image.registry == HUB else image.registry
        known = self._passes.get(image.name)
        allowed = {"Authorization": known} if known else {}
        return self._fetch(image, f"{scheme}://{host}/v2/{image.repository}/{what}", {**headers, **allowed})

    def _sign_in(self, image: Reference, wanted: challenge.Challenge) -> str:
        """The Authorization that the challenge wants; empty where there is nothing to offer."""
        credentials = self._credentials(image.registry)
        if wanted.scheme == "basic":
            return challenge.basic(credentials) if credentials else ""
        scope = wanted.scope or f"repository:{image.repository}:pull"
        request = challenge.token_request(wanted, scope, credentials, image.loopback)
        response = self._fetch(image, request.url, request.headers, request.form)
        _refuse(image, response)
        document = _document(image, response.content)
        token = document.get("token") or document.get("access_token")
        return f"Bearer {token}" if token else ""

    def _fetch(
        self, image: Reference, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> httpx.Response:
        try:
            with self._client.stream("POST" if form else "GET", url, headers=headers, data=form or None) as response:
                return _limited(image, response)
        except (httpx.TransportError, httpx.InvalidURL, httpx.TooManyRedirects) as error:
            raise SfpError(
                f"registry {image.registry} does not answer: {str(error) or type(error).__name__}.",
                "Check its address, and the way there (DNS, proxy, firewall).",
            ) from None


def _limited(image: Reference, response: httpx.Response) -> httpx.Response:
    """The response with its body, unless that is too large to be what was asked for."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST:
            raise SfpError(f"registry {image.registry} sent more than {_LARGEST >> 20} MiB for {image}.")
    unpacked = [(key, value) for key, value in response.headers.multi_items() if key != "content-encoding"]
    return httpx.Response(response.status_code, headers=unpacked, content=bytes(body), request=response.request)


def _refuse(image: Reference, response: httpx.Response) -> None:
    """An error for every answer but the one that was asked for."""
    status, registry = response.status_code, f"registry {image.registry}"
    if status == httpx.codes.OK:
        return
    if status == httpx.codes.UNAUTHORIZED:
        raise SfpError(f"{registry} wants a sign-in for {image.repository}.", _sign_in_hint(image))
    if status == httpx.codes.FORBIDDEN:
        raise SfpError(f"{registry} does not let this user read {image.repository}.", _sign_in_hint(image))
    if status == httpx.codes.NOT_FOUND:
        raise SfpError(f"{image} is not in its registry.", "Check its name and tag, and that it was pushed.")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        after = response.headers.get("Retry-After", "")
        when = f"in {after} s" if after.isdecimal() else "later"
        raise SfpError(f"{registry} limits how often it is asked. Try again {when}.", _sign_in_hint(image))
    raise SfpError(f"{registry} answered {status} for {image}.", "Try again later.")


def _sign_in_hint(image: Reference) -> str:
    return "Sign in: docker login" if image.registry == HUB else f"Sign in: docker login {image.registry}"


def _require(image: Reference, found: str, wanted: str) -> None:
    if found != wanted:
        raise SfpError(
            f"{image}: the registry served {found} where it should be {wanted}.",
            "Do not use this image; find out who changed it, or what on the way there does.",
        )


def _document(image: Reference, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SfpError(f"registry {image.registry} answered for {image} with something that is no JSON object.")
    return document


def _is_index(document: Mapping[str, Any], response: httpx.Response) -> bool:
    kind = document.get("mediaType") or response.headers.get("Content-Type", "").partition(";")[0]
    return kind in INDEXES or (kind not in MANIFESTS and isinstance(document.get("manifests"), list))


def _platform(descriptor: Mapping[str, Any]) -> str:
    """`linux/arm64`, `linux/arm/v7`; empty for what is no image, as attestations are."""
    platform = descriptor.get("platform") or {}
    parts = [platform.get("os"), platform.get("architecture"), platform.get("variant")]
    known = "/".join(str(part) for part in parts if part)
    return "" if "/" not in known or "unknown" in known else known.removesuffix("/v8")  # every arm64 is v8
