"""Which files of the work folder are an attempt's outputs: plain files below the folder, and nothing through a link."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sfp_server.server.worker.types.base import Context, TaskError

MOST_FILES = 1_000
LARGEST = 1 << 30  # bytes of one file

# State that tools keep in the working copy; some of it holds credentials.
_PRIVATE = frozenset({".git", ".sf", ".sfdx", "node_modules"})


def matching(root: Path, start: Path, globs: Sequence[str]) -> list[Path]:
    """The files below `root` that the globs name, seen from `start`; a folder means all that is in it."""
    found = [path for pattern in globs for path in _expanded(start, pattern)]
    return sorted({path for path in found if allowed(path, root)})


def allowed(path: Path, root: Path) -> bool:
    """Whether this is a plain file that belongs to the work: no link, nothing reached by one, no tool's state."""
    if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        return False
    return not _PRIVATE.intersection(path.relative_to(root).parts)


def send(context: Context, paths: Sequence[Path], root: Path) -> None:
    """Hand the files over, named by their path below `root`."""
    if len(paths) > MOST_FILES:
        raise TaskError(f"{len(paths)} output files are too many", f"At most {MOST_FILES}; narrow it down by outputs.")
    for path in paths:
        if path.stat().st_size > LARGEST:
            raise TaskError(
                f"the output file {path.relative_to(root)} is larger than 1 GiB", "Leave it out by outputs."
            )
    for path in paths:
        context.file(path, path.relative_to(root).as_posix())


def _expanded(start: Path, pattern: str) -> Iterable[Path]:
    for path in start.glob(pattern):
        yield from path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
