"""Files of an instance on this machine, written whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sfp_server.errors import SfpError


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write beside the file and rename over it, so that a reader sees the old or the new. Its mode is set first.
    A link stays a link: the file that it names is replaced."""
    target = path.resolve()
    try:
        _replace(target, content, mode)
    except OSError as error:
        raise unwritten(target, error) from None


def make_folder(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Make a folder of this user's with these files (content and mode by path), all or nothing: it appears under its
    name when all is on the disk, and folders above that had to be made go again where that fails."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fill_and_rename(folder, files)
    except BaseException as error:
        for parent in missing:
            _remove_empty(parent)
        if isinstance(error, OSError):
            raise unwritten(folder, error) from None
        raise


def unwritten(path: Path, error: OSError) -> SfpError:
    """The error that says which file could not be written, and why."""
    hint = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = f"Make room on its disk (df -h {_existing(path)}), then do the same again."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "Choose a folder that you may write in: --base-dir DIR"
    return SfpError(f"cannot write {path}: {(error.strerror or str(error)).lower()}. Nothing was changed.", hint)


def _replace(path: Path, content: bytes, mode: int) -> None:
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        _fill(descriptor, content, mode)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    _settle(path.parent)


def _fill_and_rename(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, (content, mode) in files.items():
            (staged / name).parent.mkdir(exist_ok=True)
            _fill(os.open(staged / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), content, mode)
        _settle(staged)
        os.rename(staged, folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    _settle(folder.parent)


def _fill(descriptor: int, content: bytes, mode: int) -> None:
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _settle(folder: Path) -> None:
    """What was renamed in the folder survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody else put something there


def _existing(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())
