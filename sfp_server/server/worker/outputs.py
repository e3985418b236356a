"""An attempt's output files on their way from the sandbox to the object store, never whole in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

from sfp_server.server.tasks.model import File
from sfp_server.server.worker.messages import FileBegan
from sfp_server.server.worker.types.outputs import LARGEST, MOST_FILES

_AHEAD: Final = 8  # pieces that may wait for the store


class Store(Protocol):
    """As much of the object store as outputs need."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], /) -> object: ...

    async def delete_prefix(self, prefix: str, /) -> object: ...


class OutputTrouble(Exception):
    """The outputs cannot be kept. `retry`: another time they might be."""

    def __init__(self, message: str, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class Upload:
    """One file that is being stored."""

    def __init__(self, began: FileBegan, key: str, store: Store) -> None:
        self._began = began
        self._key = key
        self._digest = hashlib.sha256()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)
        self._storing = asyncio.ensure_future(store.put(key, self._chunks()))

    async def write(self, content: bytes) -> None:
        """A piece; waits where the store is slower than the sandbox."""
        self._digest.update(content)
        await self._pass_on(content)

    async def end(self) -> File:
        """The file, when it is stored."""
        await self._pass_on(b"")
        await asyncio.wait({self._storing})
        self._check()
        began = self._began
        return File(began.name, began.size, self._digest.hexdigest(), began.content_type, self._key)

    def abandon(self) -> None:
        self._storing.cancel()

    async def _pass_on(self, content: bytes) -> None:
        passing = asyncio.ensure_future(self._pieces.put(content))
        await asyncio.wait({passing, self._storing}, return_when=asyncio.FIRST_COMPLETED)
        if not passing.done():
            passing.cancel()
        self._check()

    def _check(self) -> None:
        if self._storing.done() and (error := self._storing.exception()):
            raise OutputTrouble(f"the object store did not take {self._began.name} ({type(error).__name__})", True)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while content := await self._pieces.get():
            yield content


class Outputs:
    """The files of one attempt, below one prefix of the store."""

    def __init__(self, prefix: str, store: Store) -> None:
        self.files: list[File] = []
        self._prefix = prefix
        self._store = store
        self._names: set[str] = set()
        self._upload: Upload | None = None

    def begin(self, began: FileBegan) -> None:
        if began.name in self._names:
            raise OutputTrouble(f"there are two outputs of the name {began.name}", False)
        if len(self._names) >= MOST_FILES:
            raise OutputTrouble(f"there are more than {MOST_FILES} output files", False)
        if began.size > LARGEST:
            raise OutputTrouble(f"the output {began.name} is larger than 1 GiB", False)
        self._names.add(began.name)
        self._upload = Upload(began, f"{self._prefix}/{began.name}", self._store)

    async def write(self, content: bytes) -> None:
        assert self._upload
        await self._upload.write(content)

    async def end(self) -> None:
        assert self._upload
        self.files.append(await self._upload.end())
        self._upload = None

    async def discard(self) -> None:
        """Leave nothing in the store; where that fails it costs space and nothing else."""
        if self._upload:
            self._upload.abandon()
        if self._names:
            await asyncio.gather(self._store.delete_prefix(f"{self._prefix}/"), return_exceptions=True)
