"""A registry on loopback with one small image, that goes wrong in one way: what Docker then says is real.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md, the part that a pull uses.
"""

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_ERRORS = "application/json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """An image in an index. `documents` are manifests by digest, `blobs` the rest."""

    documents: dict[str, tuple[str, bytes]]
    blobs: dict[str, bytes]
    digest: str


def image(architecture: str = "amd64", size: int = 1000) -> Image:
    """An image of one layer with a file of so many bytes that do not pack."""
    unpacked = _layer(size)
    layer = gzip.compress(unpacked, mtime=0)
    config = _json({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/file"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(unpacked)]},
    })  # fmt: skip
    manifest = _json({
        "schemaVersion": 2, "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, config), "layers": [_descriptor(_LAYER, layer)],
    })  # fmt: skip
    platform = {"architecture": architecture, "os": "linux"}
    listed = [{**_descriptor(_MANIFEST, manifest), "platform": platform}]
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": listed})
    documents = {_digest(manifest): (_MANIFEST, manifest), _digest(index): (_INDEX, index)}
    return Image(documents, {_digest(config): config, _digest(layer): layer}, _digest(index))


class _Way(BaseHTTPRequestHandler):
    """How a request is answered; `way` is what goes wrong."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # a client that tries TLS first gets an answer that it knows as HTTP
    way = ""
    served: Image

    def do_GET(self) -> None:
        kind, _, digest = self.path.rpartition("/")
        if self.way == "sign-in":
            self._answer(401, _ERRORS, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        elif kind.endswith("manifests"):
            self._manifest(digest)
        elif kind.endswith("blobs"):
            self._blob(self.served.blobs.get(digest))
        else:
            self._answer(200, "application/json", b"{}")

    do_HEAD = do_GET

    def _manifest(self, digest: str) -> None:
        if self.way == "unknown" or digest not in self.served.documents:
            self._answer(404, _ERRORS, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
            return
        kind, content = self.served.documents[digest]
        self._answer(200, kind, content + b" " if self.way == "other" else content)

    def _blob(self, content: bytes | None) -> None:
        if content is None:
            self._answer(404, _ERRORS, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
            return
        if self.way == "gone" and len(content) > 1000:
            self.server.shutdown_request(self.request)  # type: ignore[arg-type]
            threading.Thread(target=self.server.shutdown).start()
            self.server.server_close()
            return
        self._answer(200, "application/octet-stream", content)

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def registry(served: Image, way: str = "") -> Iterator[str]:
    """The pinned reference of the image at the registry. `way` is sign-in, unknown, other (content), or gone (it goes
    away in the middle of a layer)."""
    answers = type("Answers", (_Way,), {"way": way, "served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}/toy:1@{served.digest}"
        finally:
            server.shutdown()


def _layer(size: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = size
        tar.addfile(entry, io.BytesIO(Random(size).randbytes(size)))
    return written.getvalue()


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
