"""The docker command, as the tests use it. Everything made here is named `sfp-test-…`."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

PREFIX = "sfp-test-"


def docker(*arguments: object, given: bytes | None = None) -> str:
    """Run a docker command to its end; what it wrote to standard output. Its errors are the test's."""
    done = subprocess.run(["docker", *map(str, arguments)], input=given, capture_output=True)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")
        raise RuntimeError(f"docker {' '.join(map(str, arguments[:3]))} … failed ({done.returncode}):\n{said[-4000:]}")
    return done.stdout.decode(errors="replace").strip()


def require() -> None:
    """A missing engine is a failure, never a skip."""
    if shutil.which("docker") is None:
        raise RuntimeError("these tests need a Docker Engine: .ci/docker-engine installs and starts one")
    docker("version", "--format", "{{.Server.Version}}")
    docker("buildx", "version")


def exists(kind: str, name: str) -> bool:
    """Whether an `image`, `container`, `volume` or `network` of this name is there."""
    return subprocess.run(["docker", kind, "inspect", name], capture_output=True).returncode == 0


def inspect(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker(kind, "inspect", name))[0]
    return found


def remove(kind: str, name: str) -> None:
    """Remove it where it is there, by force."""
    if exists(kind, name):
        docker(kind, "rm", "--force", name)


def build(context: Path, target: str, tag: str, *arguments: str) -> None:
    """Build one target. RUN steps use the network as this machine does, so they see its mirrors of packages."""
    named = ("--file", context / "Dockerfile", "--target", target, "--tag", tag)
    docker("build", "--quiet", "--network", "host", *named, *arguments, context)
