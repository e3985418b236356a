"""All that a release needs where no registry can be reached: base images, others' images, a registry to push to."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.machinery import registry, standins
from tests.e2e.machinery.base import base
from tests.e2e.machinery.docker import require
from tests.e2e.machinery.registry import LocalRegistry
from tests.e2e.machinery.stages import Stages

PORT = int(os.environ.get("SFP_TEST_REGISTRY_PORT", "5061"))


@dataclass(frozen=True)
class Prepared:
    """`upstream` is the file for `release build --upstream`; `bases` are local images by what they stand for."""

    registry: LocalRegistry
    upstream: Path
    bases: dict[str, str]

    @property
    def prefix(self) -> str:
        """Where the images of a release go."""
        return f"{self.registry.address}/sfp"

    def build_options(self) -> list[str]:
        """The arguments of `release build` that make it work here."""
        arguments = [f"--build-arg={name.upper()}={image}" for name, image in self.bases.items()]
        return ["--registry", self.prefix, "--upstream", str(self.upstream), "--network", "host", *arguments]


def prepare(folder: Path, stages: Stages) -> Prepared:
    """Make what is missing. What an earlier run made is found, so a second one takes seconds."""
    require()
    with stages.stage("base image"):
        bare = base()
    with stages.stage("registry"):
        local = registry.start(standins.stand_in(bare, "registry"), PORT)
    with stages.stage("base images of ours"):
        bases = {name: standins.stand_in(bare, name) for name in standins.BASES}
    with stages.stage("stand-ins"):
        images = {name: standins.stand_in(bare, name) for name in standins.UPSTREAM}
    with stages.stage("stand-ins pushed"):
        upstream = _published(local, images, folder)
    return Prepared(local, upstream, bases)


def _published(local: LocalRegistry, images: dict[str, str], folder: Path) -> Path:
    """The pins of what was pushed, in the form of `compose/release.yml`."""
    lines = ["schema: sfp.upstream/1", "min_upgrade_from: 0.1.0", "min_cli: 0.1.0", "images:"]
    for service, (name, tag) in standins.UPSTREAM.items():
        path = f"upstream/{name}"
        digest = local.publish(images[service], f"{path}:{tag}")
        lines.append(f'  {service}: {{name: "{local.address}/{path}", tag: "{tag}", digest: "{digest}"}}')
    file = folder / "upstream.yml"
    file.write_text("\n".join(lines) + "\n")
    return file
