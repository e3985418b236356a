"""A bare Debian as an image, where no registry can be reached: debootstrap, then `docker import`.

What this machine needs to reach packages goes into it from this machine's own settings (sources of apt, certificates,
indexes of pip and npm), so that a Dockerfile built on it has to name none of that.
"""

import configparser
import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.machinery.docker import PREFIX, exists

_INCLUDED = "ca-certificates"
_UNREAD = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"  # packages start none while an image is built
_CLEAN = """DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
_SLIM = "".join(f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "info", "locale", "man"))
_RECIPE = 1  # raised when what is done with all this changes


def base() -> str:
    """The name of the image, made where it is not there for just these settings."""
    settings, release = _settings(), _release()
    name = f"{PREFIX}base:{_key(settings, release)}"
    if not exists("image", name):
        _make(name, settings, release)
    return name


def _make(name: str, settings: Mapping[str, str], release: str) -> None:
    if shutil.which("debootstrap") is None:
        raise RuntimeError("a base image needs debootstrap: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        root = Path(folder) / "root"
        _run("debootstrap", "--variant=minbase", f"--include={_INCLUDED}", release, root, _mirror())
        for path, text in settings.items():
            _write(root / path, text)
        _run("chroot", root, "update-ca-certificates")
        for path in _UNREAD:
            _run("find", root / path, "-mindepth", "1", "-delete")
        (root / "var/lib/apt/lists/partial").mkdir()
        _import(root, name)


def _import(root: Path, name: str) -> None:
    packed = ["tar", "--directory", str(root), "--numeric-owner", "--create", "."]
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
        command = ["docker", "import", "--change", f"LABEL sfp.test.stands-for=debian:{_release()}", "-", name]
        subprocess.run(command, stdin=tar.stdout, check=True, capture_output=True)
    if tar.returncode:
        raise RuntimeError(f"the files of {name} could not be packed")


def _settings() -> dict[str, str]:
    """Files of the image that come from this machine, by their path."""
    found = {path[1:]: _read(Path(path)) for path in _SOURCES}
    for path in sorted(Path("/usr/local/share/ca-certificates").glob("*.crt")):
        found[str(path)[1:]] = path.read_text()
    return {
        **found,
        "etc/apt/apt.conf.d/90machine": _apt_proxy(),
        "etc/apt/apt.conf.d/docker-clean": _CLEAN,  # this and the next as the official images have them
        "etc/dpkg/dpkg.cfg.d/docker": _SLIM,
        "etc/pip.conf": _pip(),
        "usr/local/etc/npmrc": "cafile=/etc/ssl/certs/ca-certificates.crt\n" + _npm(),
        "usr/sbin/policy-rc.d": _NO_SERVICES,
    }


def _release() -> str:
    return re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)[1]  # type: ignore[index]


def _mirror() -> str:
    """Where this machine takes Debian from: the first address among its sources."""
    text = "\n".join(_read(Path(path)) for path in _SOURCES)
    found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+)", text, re.MULTILINE)
    if found is None:
        raise RuntimeError("this machine names no source of Debian packages")
    return found[1]


def _apt_proxy() -> str:
    lines = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True).stdout
    return "".join(f"{line}\n" for line in lines.splitlines() if re.match(r"Acquire::https?::(Proxy|CaInfo) ", line))


def _pip() -> str:
    """This machine's index, where it has one of its own, behind this machine's certificates."""
    said = subprocess.run(["pip", "config", "list"], capture_output=True, text=True).stdout
    address = re.search(r"^(?:global|:env:)\.index-url='(.+)'$", said, re.MULTILINE)
    parser = configparser.ConfigParser(interpolation=None)
    parser["global"] = {"cert": "/etc/ssl/certs/ca-certificates.crt", **({"index-url": address[1]} if address else {})}
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()


def _npm() -> str:
    settings = _read(Path.home() / ".npmrc") + _read(Path("/etc/npmrc"))
    found = re.search(r"^registry\s*=\s*(\S+)$", settings, re.MULTILINE)
    address = os.environ.get("NPM_CONFIG_REGISTRY") or (found[1] if found else "")
    return f"registry={address}\n" if address else ""


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _key(settings: Mapping[str, str], release: str) -> str:
    """What the image is made of, in twelve digits."""
    parts = [str(_RECIPE), _INCLUDED, release, _mirror(), *(f"{path}\0{text}" for path, text in settings.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if text.startswith("#!"):
        path.chmod(0o755)


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-4000:]}")
