"""The sample project: a repository that any git can clone, while it is offered and not longer."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sfp_server.errors import SfpError
from sfp_server.ops import sample


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


def test_the_repository_can_be_cloned_while_it_is_offered(tmp_path: Path) -> None:
    with sample.offered() as url:
        assert git("clone", "--quiet", url, str(tmp_path / "copy")).returncode == 0
    project = json.loads((tmp_path / "copy" / "sfdx-project.json").read_text())
    assert (tmp_path / "copy" / project["packageDirectories"][0]["path"] / "main/default/classes").is_dir()
    assert urlsplit(url).hostname == "127.0.0.1"
    assert git("clone", "--quiet", url, str(tmp_path / "late")).returncode != 0


def test_its_commit_is_always_the_same_whatever_git_is_told_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    sample.make_repository(tmp_path / "one")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    sample.make_repository(tmp_path / "two")
    monkeypatch.delenv("GIT_DIR")
    heads = {git("-C", str(tmp_path / name), "rev-parse", "HEAD").stdout for name in ("one", "two")}
    assert len(heads) == 1


def test_without_git_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SfpError, match="git is not installed"), sample.offered():
        raise AssertionError("never offered")


def test_without_its_daemon_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_EXEC_PATH", str(tmp_path))
    with pytest.raises(SfpError, match="its `git daemon` is not"), sample.offered():
        raise AssertionError("never offered")
