"""The project as files: what is in it, whether it is a checkout or an unpacked archive."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOT_OURS = {".git", ".venv", ".venv-bench", "dist", "build", "__pycache__"}


def files(suffix: str = "", under: str = ".") -> list[Path]:
    """The project's files, sorted; those that git would ignore are not among them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", under],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = (ROOT / name for name in listed.stdout.splitlines()) if listed.returncode == 0 else _walk(ROOT / under)
    return sorted(path for path in found if path.name.endswith(suffix) and path.is_file())


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not _NOT_OURS & set(path.relative_to(ROOT).parts))
