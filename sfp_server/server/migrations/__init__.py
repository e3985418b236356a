"""The migrations of this package: `NNNN_pre_name.sql` runs before the new code, `NNNN_post_name.sql` after it.

Each file opens with `-- compatible: yes` or `no`: whether the previous release still works on its result. One with the
line `-- no transaction` is for statements that cannot run in one; it has to be safe to repeat, its statements end with
a semicolon at the end of a line, and nothing else in it does.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from sfp_server.errors import SfpError

_FILE = re.compile(r"^(\d{4})_(pre|post)_([a-z0-9_]+)\.sql$")
_COMPATIBLE = re.compile(r"^-- compatible: (yes|no)$", re.MULTILINE)
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One step of the schema. `checksum` is the SHA-256 of the file."""

    number: int
    phase: str
    name: str
    compatible: bool
    transactional: bool
    text: str
    checksum: str

    @property
    def statements(self) -> list[str]:
        """What is sent at once: all of it, or one statement after the other where there is no transaction."""
        if self.transactional:
            return [self.text]
        return [part for part in _STATEMENT_END.split(self.text) if _has_sql(part)]


def packaged() -> tuple[Migration, ...]:
    """Every migration of this package, in order. A gap or a double number is an error."""
    files = resources.files(__name__)
    names = sorted(entry.name for entry in files.iterdir() if entry.name.endswith(".sql"))
    found = tuple(parse(name, files.joinpath(name).read_bytes()) for name in names)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise SfpError(f"migrations are not numbered one by one from 0001: {numbers}")
    return found


def parse(file_name: str, content: bytes) -> Migration:
    """A migration from its file."""
    match, text = _FILE.match(file_name), content.decode()
    declared = _COMPATIBLE.search(text)
    if not match or not declared:
        raise SfpError(f"{file_name}: a migration is NNNN_pre|post_name.sql and has a line -- compatible: yes|no")
    return Migration(
        number=int(match[1]),
        phase=match[2],
        name=file_name.removesuffix(".sql"),
        compatible=declared[1] == "yes",
        transactional="\n-- no transaction\n" not in f"\n{text}",
        text=text,
        checksum=hashlib.sha256(content).hexdigest(),
    )


def _has_sql(part: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in part.splitlines())
