"""The files that ship beside the code: `templates/` and `compose/`, in a checkout and in the wheel alike."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def templates() -> Path:
    """The folder of the templates."""
    return _folder("templates")


def compose() -> Path:
    """The folder of the Compose fragments, the Dockerfile and `release.yml`."""
    return _folder("compose")


def _folder(name: str) -> Path:
    packaged = _PACKAGE / "_assets" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
