"""The type `sf` on real git repositories, served by `git daemon` on this machine.

The program `sf` here is a stand-in of a few lines, placed where the toolchain has the real one: it writes files, prints
JSON and fails like it. The real one is tried elsewhere, for it takes minutes to install.
"""

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server.worker.stand import Heard, Stand, standing
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

STAND_IN = r"""#!/bin/sh
case "$1 $2" in
  "project convert")
    mkdir metadataPackage_17 .sf
    cp force-app/a.cls metadataPackage_17/
    echo '<Package/>' > metadataPackage_17/package.xml
    echo secret > .sf/config.json
    echo cache > ignored.log
    echo "Source was successfully converted." ;;
  "show json") printf 'a warning\n{"status": 0, "result": {"telemetry": "%s"}}\n' "$SF_DISABLE_TELEMETRY" ;;
  "fail json") echo '{"status": 1, "message": "No org found"}'; exit 1 ;;
  "fail plain") echo "Error (1): it went wrong" >&2; exit 2 ;;
  "network down") echo "FetchError: request failed, ECONNRESET" >&2; exit 1 ;;
  "where am") pwd; git config --get core.hooksPath; git log --oneline | wc -l ;;
  *) echo "change" >> force-app/a.cls; echo "$@" > said.txt ;;
esac
"""


@dataclass(frozen=True)
class Remote:
    """A repository at crm.git with two commits, a tag, a branch, a hook and a submodule that must not be followed."""

    url: str
    first: str
    second: str


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("git")
    work = folder / "work"
    (work / "force-app").mkdir(parents=True)
    _git(work, "init", "-q", "-b", "main")
    (work / "force-app/a.cls").write_text("one\n")
    (work / ".gitignore").write_text("*.log\n")
    (work / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = file:///etc\n')
    first = _commit(work, "first")
    _git(work, "tag", "v1")
    (work / "force-app/a.cls").write_text("two\n")
    second = _commit(work, "second")
    _git(work, "branch", "feature/x")
    _git(folder, "clone", "-q", "--bare", str(work), "crm.git")
    _git(folder, "init", "-q", "--bare", "empty.git")
    port = _free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", f"--base-path={folder}", "--listen=127.0.0.1", f"--port={port}"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"git://127.0.0.1:{port}"
    _until_it_serves(f"{url}/crm.git")
    yield Remote(url, first, second)
    os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait()


@pytest.fixture
async def crm(tmp_path: Path) -> AsyncIterator[Stand]:
    """A launcher whose toolchain holds the stand-in."""
    program = tmp_path / "toolchain/bin/sf"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    async with standing(tmp_path, toolchain=tmp_path / "toolchain") as stand:
        yield stand


async def ran(stand: Stand, url: str, *args: str, **more: Any) -> Heard:
    return await stand.run("sf", {"repository": url, "args": list(args), **more})


async def test_what_a_conversion_makes_is_the_output(crm: Stand, remote: Remote) -> None:
    heard = await ran(crm, f"{remote.url}/crm.git", "project", "convert", "source", ref="main")
    assert heard.result == {"value": None, "commit": remote.second, "exitCode": 0}
    assert heard.files == {
        "metadataPackage_17/a.cls": b"two\n",
        "metadataPackage_17/package.xml": b"<Package/>\n",
        "ignored.log": b"cache\n",
    }
    assert heard.lines == [f"Cloning crm at main ({remote.second[:7]})", "Source was successfully converted."]
    assert [message["progress"] for message in heard.messages if "progress" in message] == [0, 30, 90]


async def test_changed_files_are_outputs_too(crm: Stand, remote: Remote) -> None:
    heard = await ran(crm, f"{remote.url}/crm.git", "do", "something")
    assert heard.files == {"force-app/a.cls": b"two\nchange\n", "said.txt": b"do something\n"}


@pytest.mark.parametrize("ref", ["main", "feature/x", "v1", "first", "short", None])
async def test_any_ref(crm: Stand, remote: Remote, ref: str | None) -> None:
    wanted = {"first": remote.first, "short": remote.first[:8]}.get(ref or "", ref)
    commit = remote.first if ref in ("v1", "first", "short") else remote.second
    heard = await ran(crm, f"{remote.url}/crm.git", "where", "am", **({"ref": wanted} if wanted else {}))
    assert heard.result["commit"] == commit, heard.error


async def test_no_hook_and_no_more_history_than_needed(crm: Stand, remote: Remote) -> None:
    heard = await ran(crm, f"{remote.url}/crm.git", "where", "am", directory="force-app")
    assert heard.lines[1:] == ["/sandbox/task/repository/force-app", "/dev/null", "1"] or crm.isolation == "plain"


async def test_json_becomes_the_value(crm: Stand, remote: Remote) -> None:
    heard = await ran(crm, f"{remote.url}/crm.git", "show", "json", "--json")
    assert heard.result["value"]["result"]["telemetry"] == "true"
    assert len(heard.lines) == 1


async def test_outputs_by_glob(crm: Stand, remote: Remote) -> None:
    heard = await ran(
        crm, f"{remote.url}/crm.git", "project", "convert", "source", outputs=["metadata*/*.xml", ".sf/**"]
    )
    assert list(heard.files) == ["metadataPackage_17/package.xml"]


@pytest.mark.parametrize(
    ("args", "message", "code", "retry"),
    [
        (["fail", "json", "--json"], "sf ended with exit code 1: No org found", 1, False),
        (["fail", "plain"], "sf ended with exit code 2: Error (1): it went wrong", 2, False),
        (["network", "down"], "sf ended with exit code 1: FetchError: request failed, ECONNRESET", 1, True),
    ],
)
async def test_a_command_that_fails(
    crm: Stand, remote: Remote, args: list[str], message: str, code: int, retry: bool
) -> None:
    error = (await ran(crm, f"{remote.url}/crm.git", *args)).error
    assert (error["message"], error["exitCode"], error["retry"]) == (message, code, retry)


@pytest.mark.parametrize(
    ("path", "ref", "message", "retry"),
    [
        ("/none.git", None, "the repository none does not exist or cannot be read", False),
        ("/crm.git", "nowhere", "crm has no branch, tag or commit nowhere", False),
        ("/crm.git", "0123456789abcdef0123456789abcdef01234567", "crm has no branch, tag or commit 0123456789", False),
        ("/crm.git", "abcdef12", "crm has no branch, tag or commit abcdef12", False),
        ("/empty.git", None, "empty is empty", False),
    ],
)
async def test_what_cannot_be_fetched(
    crm: Stand, remote: Remote, path: str, ref: str | None, message: str, retry: bool
) -> None:
    error = (await ran(crm, f"{remote.url}{path}", "x", **({"ref": ref} if ref else {}))).error
    assert error["message"].startswith(message)
    assert error["retry"] is retry
    assert "\n" not in error["message"]


async def test_a_server_that_does_not_answer_is_tried_again(crm: Stand) -> None:
    error = (await ran(crm, f"git://127.0.0.1:{_free_port()}/crm.git", "x")).error
    assert error["message"].startswith("could not fetch crm: ")
    assert error["retry"] is True


@pytest.mark.parametrize("url", ["file:///etc", "ext::sh -c id"])
async def test_git_itself_refuses_other_protocols(crm: Stand, url: str) -> None:
    """Validation refuses them first; this is the second fence."""
    assert (await ran(crm, url, "x")).error["retry"] is False


async def test_a_folder_that_is_not_there(crm: Stand, remote: Remote) -> None:
    error = (await ran(crm, f"{remote.url}/crm.git", "x", directory="packages/none")).error
    assert error["message"] == "crm has no folder packages/none"


async def test_no_cli(strict: Stand, remote: Remote) -> None:
    if strict.isolation == "docker":
        pytest.skip("the image has it")
    error = (await ran(strict, f"{remote.url}/crm.git", "x")).error
    assert (error["message"], error["retry"]) == ("the Salesforce CLI (sf) is not installed where tasks run", False)
    assert "toolchain" in error["hint"]


async def test_no_node(crm: Stand, remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "toolchain/bin/sf").write_text("#!/usr/bin/env node-of-no-machine\n")
    error = (await ran(crm, f"{remote.url}/crm.git", "x")).error
    assert error["message"].startswith("Node.js, which the Salesforce CLI needs,") or "sf" in error["message"]


def _git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def _commit(folder: Path, message: str) -> str:
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", message)
    return _git(folder, "rev-parse", "HEAD")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_serves(url: str) -> None:
    eventually(lambda: subprocess.run(["git", "ls-remote", url], capture_output=True).returncode == 0, timeout=15)
