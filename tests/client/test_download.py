"""Files from a task: whole and checked, and only where they belong."""

from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from sfp_server.client import ApiError, ResultFile, save
from sfp_server.errors import SfpError

CONTENT = b"<Package/>"


def file(
    name: str = "deploy/package.xml", digest: str = sha256(CONTENT).hexdigest(), url: str = "/files/x"
) -> ResultFile:
    return ResultFile(name, len(CONTENT), digest, url=url)


def storing(status: int = 200, seen: list[httpx.Request] | None = None) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, content=CONTENT)

    return httpx.MockTransport(answer)


def test_a_file_lands_under_its_name_and_is_asked_for_without_a_token(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []
    path = save(file(), tmp_path, base="https://sfp.example", transport=storing(seen=seen))
    assert path == tmp_path / "deploy" / "package.xml"
    assert path.read_bytes() == CONTENT
    assert str(seen[0].url) == "https://sfp.example/files/x"
    assert "authorization" not in seen[0].headers


def test_a_damaged_file_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "package.xml").write_text("old")
    with pytest.raises(SfpError, match="arrived damaged"):
        save(file(digest="0" * 64), tmp_path, base="https://sfp.example", transport=storing())
    assert [path.name for path in (tmp_path / "deploy").iterdir()] == ["package.xml"]
    assert (tmp_path / "deploy" / "package.xml").read_text() == "old"


def test_a_link_that_ran_out_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        save(file(), tmp_path, base="https://sfp.example", transport=storing(403))
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a/..", ".", "a//b", "a\\..\\b", "a\x00b", "a\nb", "a/"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SfpError, match="not safe"):
        save(file(name), tmp_path, transport=storing())
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deploy").symlink_to(tmp_path)
    with pytest.raises(SfpError, match="by a link"):
        save(file(), tmp_path / "out", base="https://sfp.example", transport=storing())


def test_a_link_in_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "package.xml").symlink_to(tmp_path / "elsewhere")
    save(file("package.xml"), tmp_path, base="https://sfp.example", transport=storing())
    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert (tmp_path / "package.xml").read_bytes() == CONTENT
