"""A registry on this machine: Debian's docker-registry in a container, on loopback.

It uses the machine's own network, so that it needs no bridge, no port forwarding, and no firewall rule of Docker's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from sfp_server.engine import reference
from sfp_server.engine.images import Images
from sfp_server.engine.reference import Reference
from sfp_server.engine.registry import Registry
from tests.e2e.machinery.docker import PREFIX, docker, exists, inspect, remove
from tests.waiting import eventually


@dataclass(frozen=True)
class LocalRegistry:
    """`address` is host and port, as in the names of its images; `container` and `volume` are Docker's names."""

    address: str
    container: str
    volume: str

    def reference(self, path: str) -> Reference:
        return reference.parse(f"{self.address}/{path}")

    def publish(self, local: str, path: str) -> str:
        """Push a local image as an index, as registries serve official images; the digest of the index."""
        target = self.reference(path)
        part = self.reference(f"{path}-linux-amd64")
        docker("tag", local, part)
        docker("push", "--quiet", part)
        docker("rmi", part)
        with Registry() as registry:
            Images().index(target, [part.at(registry.resolve(part).digest)])
            return registry.resolve(target).digest


def start(image: str, port: int, name: str = "registry", options: Mapping[str, str] | None = None) -> LocalRegistry:
    """The registry of this name, started where it does not run as the image says. `options` are environment and
    mounts of the container: `NAME: value`, `/path: file`. Its volume stays, so that what was pushed once is there."""
    container = f"{PREFIX}{name}"
    found = LocalRegistry(f"127.0.0.1:{port}", container, container)
    if not _runs(container, image, port):
        remove("container", container)
        docker("run", "--detach", *_arguments(found, port, options or {}), image)
    eventually(lambda: _answers(found), 20)
    return found


def stop(registry: LocalRegistry, data: bool = False) -> None:
    """Remove its container, and with `data` what was pushed."""
    remove("container", registry.container)
    if data:
        remove("volume", registry.volume)


def _arguments(registry: LocalRegistry, port: int, options: Mapping[str, str]) -> list[str]:
    mounts = [f"--volume={file}:{path}:ro" for path, file in options.items() if path.startswith("/")]
    settings = [f"--env={name}={value}" for name, value in options.items() if not name.startswith("/")]
    return [
        f"--name={registry.container}",
        "--restart=unless-stopped",
        "--network=host",
        f"--env=REGISTRY_HTTP_ADDR=127.0.0.1:{port}",
        f"--volume={registry.volume}:/var/lib/registry",
        *mounts,
        *settings,
    ]


def _runs(container: str, image: str, port: int) -> bool:
    if not exists("container", container):
        return False
    found = inspect("container", container)
    same = found["Image"] == inspect("image", image)["Id"]
    return same and found["State"]["Running"] and f"REGISTRY_HTTP_ADDR=127.0.0.1:{port}" in found["Config"]["Env"]


def _answers(registry: LocalRegistry) -> bool:
    try:
        return httpx.get(f"http://{registry.address}/v2/", trust_env=False).status_code in (200, 401)
    except httpx.TransportError:
        return False


def secret_file(folder: Path, user: str, password: str) -> Path:
    """A password file as the registry reads it."""
    import bcrypt

    file = folder / "htpasswd"
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    file.write_text(f"{user}:{hashed}\n")
    return file
