"""A registry for npm on loopback that knows one package: a stand-in for `@salesforce/cli`, one file big."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

NAME = "@salesforce/cli"
_RUN = "console.log(`@salesforce/cli/{version} linux-x64 node-${{process.version}}`)"


@contextmanager
def registry(version: str) -> Iterator[str]:
    """The address of a registry that has this version."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(version))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(version: str) -> type[BaseHTTPRequestHandler]:
    tarball = _tarball(version)

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            address = f"http://{self.headers['Host']}/cli.tgz"
            if path == "/cli.tgz":
                self._answer(200, tarball)
            elif path == f"/{NAME}":
                self._answer(200, json.dumps(_document(version, address, tarball)).encode())
            else:
                self._answer(404, b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Registry


def _document(version: str, address: str, tarball: bytes) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    release = {"name": NAME, "version": version, "dist": {"tarball": address, "integrity": f"sha512-{digest}"}}
    return {"name": NAME, "dist-tags": {"latest": version}, "versions": {version: release}}


def _tarball(version: str) -> bytes:
    files = {
        "package.json": json.dumps({"name": NAME, "version": version}),
        "bin/run.js": _RUN.format(version=version),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
