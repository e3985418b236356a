"""As much of S3 over HTTP as the server uses: put (whole or in parts), get, head, list, delete. No signatures."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Bucket(ThreadingHTTPServer):
    """Objects by key, and the header fields that came with each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.objects: dict[str, bytes] = {}
        self.fields: dict[str, dict[str, str]] = {}
        self.parts: dict[int, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Bucket]:
    """A bucket that answers until the end of the block."""
    with Bucket() as bucket:
        thread = threading.Thread(target=bucket.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
            thread.join()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_PUT(self) -> None:
        content = self._body()
        if "partNumber" in self._query:
            self.server.parts[int(self._query["partNumber"])] = content
        else:
            self._keep(content)
        self._answer(200, b"", ETag='"1"')

    def do_POST(self) -> None:
        body = self._body()
        if "uploads" in self._query:
            self.server.parts.clear()
            self._note_fields()
            self._answer(200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
        elif "uploadId" in self._query:
            self.server.objects[self._key] = b"".join(part for _, part in sorted(self.server.parts.items()))
            self._answer(200, b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>")
        else:
            self._delete_listed(body.decode())

    def do_GET(self) -> None:
        if "list-type" in self._query:
            self._list(self._query.get("prefix", ""))
        elif self._key in self.server.objects:
            self._answer(200, self.server.objects[self._key], ETag='"1"', **_MODIFIED)
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def _list(self, prefix: str) -> None:
        found = [key for key in sorted(self.server.objects) if key.startswith(prefix)]
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>1</ETag>"
            f"<Size>{len(self.server.objects[key])}</Size></Contents>"
            for key in found
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())

    def _delete_listed(self, body: str) -> None:
        keys = [part.partition("</Key>")[0] for part in body.split("<Key>")[1:]]
        for key in keys:
            self.server.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _keep(self, content: bytes) -> None:
        self.server.objects[self._key] = content
        self._note_fields()

    def _note_fields(self) -> None:
        self.server.fields[self._key] = {name.lower(): value for name, value in self.headers.items()}

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket/")

    @property
    def _query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, True).items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def _answer(self, status: int, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_MODIFIED = {"Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
