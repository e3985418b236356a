"""What every host does. A new kind of host joins by a line in `HOSTS`."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sfp_server.cmd.base import Cmd, Secret, cmd
from sfp_server.errors import RemoteError
from sfp_server.host.base import Host, must
from sfp_server.host.local import LocalHost
from tests.waiting import eventually

HOSTS: dict[str, Callable[[], Host]] = {"local": lambda: LocalHost(grace=0.5)}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Host:
    return HOSTS[request.param]()


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def python(program: str, *arguments: object, **more: object) -> Cmd:
    return Cmd((sys.executable, "-c", program, *map(str, arguments)), **more)  # type: ignore[arg-type]


def test_both_streams_and_the_code_come_back(host: Host) -> None:
    result = host.run(cmd("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (result.code, result.stdout, result.stderr, result.ok) == (7, "out\n", "err\n", False)


def test_arguments_arrive_as_they_are(host: Host) -> None:
    given = ["two words", "$HOME", "it's", "; rm -rf /", "*", "", "ü\n"]
    assert host.run(cmd("printf", "%s|", *given)).stdout == "".join(f"{part}|" for part in given)


def test_more_output_than_a_pipe_holds_on_both_streams(host: Host) -> None:
    wrote = host.run(python("import sys; [(print('o' * 99), print('e' * 99, file=sys.stderr)) for _ in range(20000)]"))
    assert (len(wrote.stdout), len(wrote.stderr)) == (2_000_000, 2_000_000)


def test_what_is_not_text_does_not_break_it(host: Host) -> None:
    assert "�" in host.run(cmd("printf", r"\377")).stdout


def test_standard_input_arrives_and_is_empty_otherwise(host: Host) -> None:
    assert host.run(cmd("cat", stdin=Secret("hush"))).stdout == "hush"
    assert host.run(cmd("cat", stdin="x" * 1_000_000)).stdout == "x" * 1_000_000
    assert host.run(cmd("cat")).stdout == ""


def test_a_command_that_does_not_read_its_input_is_no_error(host: Host) -> None:
    assert host.run(cmd("true", stdin="x" * 1_000_000)).ok
    assert list(host.stream(cmd("true", stdin="x" * 1_000_000))) == []


def test_environment_is_added_to_the_hosts_own(host: Host) -> None:
    assert (
        host.run(Cmd(("sh", "-c", 'echo $GREETING; test -n "$PATH"'), env={"GREETING": "good day"})).stdout
        == "good day\n"
    )


def test_a_working_folder(host: Host, tmp_path: Path) -> None:
    assert host.run(Cmd(("pwd", "-P"), cwd=str(tmp_path))).stdout.strip() == str(tmp_path.resolve())


def test_a_signals_number_is_the_code_below_zero(host: Host) -> None:
    assert host.run(cmd("sh", "-c", "kill -TERM $$")).code == -15


def test_a_command_that_is_not_there(host: Host) -> None:
    with pytest.raises(RemoteError, match="no-such-program") as caught:
        host.run(cmd("no-such-program"))
    assert caught.value.exit_code == 4


def test_a_folder_that_is_not_there_is_named(host: Host, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="nowhere"):
        host.run(Cmd(("true",), cwd=str(tmp_path / "nowhere")))


def test_a_timeout_ends_the_command_and_its_children(host: Host, tmp_path: Path) -> None:
    child = tmp_path / "child"
    with pytest.raises(RemoteError, match=r"longer than 0\.5 s"):
        host.run(cmd("sh", "-c", f"sleep 60 & echo $! > {child}; wait", timeout=0.5))
    eventually(lambda: not _alive(int(child.read_text())), 5)


def test_a_command_that_ignores_being_asked_is_killed(host: Host) -> None:
    with pytest.raises(RemoteError, match="longer than"):
        host.run(cmd("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", timeout=0.3))


def test_must_speaks_the_commands_last_words(host: Host) -> None:
    with pytest.raises(RemoteError, match=r"sh failed \(3\) on .*: no luck") as caught:
        must(host, cmd("sh", "-c", "echo first >&2; echo no luck >&2; exit 3"), "Try again.")
    assert caught.value.hint == "Try again."


def test_lines_come_while_the_command_runs(host: Host, tmp_path: Path) -> None:
    go = tmp_path / "go"
    lines = host.stream(cmd("sh", "-c", f"echo one; echo two >&2; until test -e {go}; do sleep 0.01; done; echo three"))
    assert [next(lines), next(lines)] == ["one", "two"]
    go.touch()
    assert list(lines) == ["three"]


def test_a_stream_that_fails_says_so_at_its_end(host: Host) -> None:
    lines = host.stream(cmd("sh", "-c", "echo one; echo why; exit 2"))
    assert [next(lines), next(lines)] == ["one", "why"]
    with pytest.raises(RemoteError, match=r"sh failed \(2\).*why"):
        next(lines)


def test_closing_a_stream_ends_its_command(host: Host) -> None:
    lines = host.stream(cmd("sh", "-c", "echo $$; sleep 60 & echo $!; wait"))
    processes = [int(next(lines)), int(next(lines))]
    lines.close()  # type: ignore[attr-defined]
    eventually(lambda: not any(map(_alive, processes)), 5)


def test_a_stream_has_a_timeout_too(host: Host) -> None:
    with pytest.raises(RemoteError, match="longer than"):
        list(host.stream(cmd("sh", "-c", "echo one; sleep 60", timeout=0.3)))


def test_a_stream_reads_its_input(host: Host) -> None:
    assert list(host.stream(cmd("cat", stdin="a\nb\n"))) == ["a", "b"]


def test_a_file_is_written_and_read(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    host.put(str(path), b"\x00content", 0o640)
    assert host.get(str(path)) == b"\x00content"
    assert _mode(path) == 0o640
    assert [_mode(tmp_path / "a"), _mode(tmp_path / "a" / "b")] == [0o755, 0o755]


def test_folders_of_a_private_file_are_private(host: Host, tmp_path: Path) -> None:
    host.put(str(tmp_path / "secrets" / "api" / "key"), b"k", 0o400)
    assert _mode(tmp_path / "secrets") == _mode(tmp_path / "secrets" / "api") == 0o700
    assert _mode(tmp_path / "secrets" / "api" / "key") == 0o400


def test_a_file_is_replaced_with_its_mode_even_where_it_cannot_be_written(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "key"
    host.put(str(path), b"old", 0o400)
    host.put(str(path), b"new", 0o400)
    assert (host.get(str(path)), _mode(path)) == (b"new", 0o400)


def test_a_reader_of_the_old_file_keeps_the_old_content(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "file"
    host.put(str(path), b"old")
    with path.open("rb") as reader:
        host.put(str(path), b"new")
        assert reader.read() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RemoteError, match="cannot write"):
        host.put(str(tmp_path / "folder"), b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_no_file_is_nothing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert host.get(str(tmp_path / "none")) is None
    assert host.get(str(tmp_path / "file" / "below")) is None
    assert host.get(str(tmp_path / "file")) == b""


def test_a_folder_cannot_be_read_as_a_file(host: Host, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="cannot read"):
        host.get(str(tmp_path))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
