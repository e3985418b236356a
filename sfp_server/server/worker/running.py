"""A started program whose end is known at once, whoever still holds its streams or is slow to read them."""

import asyncio
import asyncio.subprocess
import contextlib
from collections.abc import Mapping, Sequence

_PIPE = asyncio.subprocess.PIPE
_BUFFER = 128 * 1024  # bytes of one stream; when they are not read, the program waits


class Running(asyncio.subprocess.SubprocessStreamProtocol):
    """`Process.wait()` of some Python versions waits for the ends of the streams; this protocol's `exited` does not."""

    pid: int
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    stdin: asyncio.StreamWriter

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_BUFFER, loop)
        self.exited: asyncio.Future[int] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport_ = transport
        self.pid = transport.get_pid() or 0

    def process_exited(self) -> None:
        super().process_exited()
        if not self.exited.done():
            self.exited.set_result(self._transport_.get_returncode() or 0)

    def close(self) -> None:
        """Let go of its streams, read or not."""
        self._transport_.close()

    async def feed(self, document: bytes) -> None:
        """Give it its input; one that ended before it read shows in how it ended."""
        with contextlib.suppress(ConnectionError):
            self.stdin.write(document)
            await self.stdin.drain()
        self.stdin.close()


async def start(argv: Sequence[str], environment: Mapping[str, str], inherited: int) -> Running:
    """Start a program with an environment of its own, in a session of its own, with one more descriptor."""
    _, running = await asyncio.get_running_loop().subprocess_exec(
        Running, *argv, env=dict(environment), cwd="/", stdin=_PIPE, stdout=_PIPE, stderr=_PIPE,
        pass_fds=(inherited,), start_new_session=True,
    )  # fmt: skip
    return running
