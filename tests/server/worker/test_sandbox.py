"""What a sandbox promises: nothing seen, nothing left, nothing above its limits."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sfp_server import __version__
from sfp_server.errors import SfpError
from sfp_server.server.worker import isolation, process
from sfp_server.server.worker.bubblewrap import MARK, ProcessSandboxes
from sfp_server.server.worker.launch import LauncherClient
from sfp_server.server.worker.sandbox import Limits
from tests.server.worker.stand import ROOMY, Stand, soon, standing

# What the machine's root may write without any capability.
MACHINE = ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"]

pytestmark = pytest.mark.anyio

# A tree of processes that do all to be forgotten: sessions of their own, parents that end, a cleared environment.
ESCAPE = """
import os, signal, sys
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.close(1), os.close(2)
        os.execve(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"], {})
signal.pause()
"""


async def test_a_ping_comes_back(stand: Stand) -> None:
    heard = await stand.run("ping", {"echo": ["a", 1]})
    assert heard.result == {"pong": True, "echo": ["a", 1]}
    assert (heard.end.code, heard.end.reason) == (0, "exited")


async def test_output_files_come_out(stand: Stand) -> None:
    heard = await stand.shell(
        "mkdir -p a; printf one > a/1.txt; printf '' > empty; ln -s /etc/passwd link", outputs=["**/*"]
    )
    assert heard.files == {"a/1.txt": b"one", "empty": b""}


async def test_nothing_of_our_environment_is_inside(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "tweet")
    heard = await stand.shell("env; cat /proc/$PPID/environ | tr '\\0' '\\n'")
    assert not [
        line
        for line in heard.lines
        if "CANARY" in line or "PYTHONPATH" in line or "PYTEST" in line or "VIRTUAL_ENV" in line
    ]
    assert {"HOME", "PATH", "TMPDIR"} <= {line.partition("=")[0] for line in heard.lines}


async def test_the_tenants_folder_is_not_visible(strict: Stand, tmp_path: Path) -> None:
    secret = tmp_path / "secrets.yml"
    secret.write_text("canary")
    heard = await strict.shell(f"cat {secret}; ls {tmp_path} / /root /home /run /var /srv; ls {strict.folder}; true")
    assert "canary" not in str(heard.messages)
    assert "secrets.yml" not in heard.lines
    assert strict.isolation == "docker" or not {"run", "var", "srv", "home"} & set(heard.lines)  # an image has its own


async def test_no_other_process_is_visible(strict: Stand) -> None:
    heard = await strict.shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done; kill -9 -1")
    told = "\n".join(heard.lines)
    assert "child.py" in told
    assert "pytest" not in told
    assert process.descendants(os.getppid())  # we, at least, were not killed


@pytest.mark.parametrize("path", ["/x", "/usr/x", "/etc/x", "/opt/sfp/x", "/dev/sda", *MACHINE])
async def test_the_machine_cannot_be_changed(strict: Stand, path: str) -> None:
    """Opened for writing, and nothing written: were this test to fail, the machine would be as before."""
    if strict.isolation == "docker" and path == "/proc/1/oom_score_adj":
        pytest.skip("the first process there is its own")
    heard = await strict.shell(f": >> {path}")
    assert heard.error["exitCode"] == 2 or path == "/dev/sda"
    assert path in MACHINE or not Path(path).exists()


async def test_it_has_no_power(strict: Stand) -> None:
    heard = await strict.shell("id -u; grep -E 'CapEff|CapPrm|NoNewPrivs' /proc/self/status; ls -l /proc/1/root")
    assert heard.lines[0] != "0"
    assert heard.lines[1:4] == ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root has the choice")
async def test_a_toolchain_for_root_alone_is_used_without_roots_power(tmp_path: Path) -> None:
    (tmp_path / "toolchain/bin").mkdir(parents=True)
    (tmp_path / "toolchain").chmod(0o700)
    async with standing(tmp_path, toolchain=tmp_path / "toolchain") as stand:
        if stand.isolation == "plain":
            pytest.skip("bubblewrap is missing or not allowed here")
        assert stand.isolation == "namespaces"
        heard = await stand.shell(f"id -u; ls {tmp_path}; grep CapEff /proc/self/status")
        opened = [await stand.shell(f": >> {path}") for path in MACHINE]
        nested = await stand.shell("unshare -Urm sh -c 'mount -o remount,rw /proc; mount -t proc proc /sandbox/task'")
    assert heard.lines == ["1000", "toolchain", "CapEff:\t0000000000000000"]
    assert [attempt.error["exitCode"] for attempt in opened] == [2] * len(MACHINE)
    assert nested.error["exitCode"] != 0


async def test_lines_are_clean_and_of_a_bearable_length(strict: Stand) -> None:
    script = (
        "head -c 70000 /dev/zero | tr '\\0' x; echo; printf '\\033[31mred\\033[0m \\377 \\001end\\r\\n'; printf last"
    )
    heard = await strict.shell(script)
    assert heard.lines == ["x" * 65536 + " …", "red \ufffd end", "last"]


async def test_nothing_is_left_after_it(stand: Stand) -> None:
    heard = await stand.shell("echo a > $HOME/a; echo b > $TMPDIR/b; mkdir d; touch d/x; chmod 0 d; echo $HOME")
    assert heard.end.code == 0
    assert (stand.left(), stand.alive()) == ([], [])
    assert not Path(heard.lines[0]).exists()


async def test_what_runs_on_in_the_background_ends_with_it(stand: Stand) -> None:
    script = ESCAPE.removesuffix("signal.pause()\n")
    heard = await stand.run("command", _python(script, stand.isolation)["data"])
    assert heard.end.reason == "exited"
    assert stand.alive() == []


@pytest.mark.parametrize("grace", [0, 5])
async def test_a_kill_takes_the_whole_tree(stand: Stand, grace: float) -> None:
    before = set(stand.processes())
    async with stand.client.launch("t", 1, _python(ESCAPE, stand.isolation), ROOMY):
        await soon(lambda: len(set(stand.processes()) - before) >= 5)
        tree = set(stand.processes()) - before
        assert await stand.client.kill("t", 1, grace)
        assert not [pid for pid in tree if _lives(pid)]
    assert (stand.left(), stand.alive()) == ([], [])


async def test_it_may_end_by_itself_when_asked(stand: Stand) -> None:
    script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    async with stand.client.launch("t", 1, _shell(script), ROOMY) as launched:
        said = b""
        async for frame in launched.frames():
            said += frame.payload
            if b"ready" in said:
                break
        await stand.client.kill("t", 1, 10)
        said += b"".join([frame.payload async for frame in launched.frames()])
    assert b"asked" in said
    assert b'"reason": "killed"' in said


async def test_a_closed_connection_kills(stand: Stand) -> None:
    async with stand.client.launch("t", 1, _shell("sleep 300"), ROOMY):
        await stand.busy()
    await soon(lambda: not stand.alive() and not stand.left())


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        ("sleep 60", Limits(1 << 30, 100, 0.5), "timeout"),
        ("x=$(head -c 500M /dev/zero | tr '\\0' x); sleep 60", Limits(200 << 20, 100, 60), "memory"),
        ("for i in $(seq 60); do sleep 60 & done; sleep 60", Limits(1 << 30, 40, 60), "pids"),
    ],
)
async def test_limits(stand: Stand, script: str, limits: Limits, reason: str) -> None:
    heard = await stand.shell(script, limits)
    if stand.isolation == "docker" and reason == "pids":  # there the kernel refuses what is above, and nothing ends
        assert heard.error["exitCode"]
    else:
        assert heard.end.reason == reason
    assert (stand.left(), stand.alive()) == ([], [])


async def test_a_fork_bomb_goes_off_inside(strict: Stand) -> None:
    if strict.isolation != "user":
        pytest.skip("only a user of its own can have a limit that is faster than us")
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    heard = await strict.run("command", _python(bomb, strict.isolation)["data"], Limits(1 << 30, 40, 60))
    assert heard.end.reason == "pids"
    assert strict.alive() == []


async def test_files_in_memory_count_as_memory(strict: Stand) -> None:
    heard = await strict.shell("head -c 300M /dev/zero > x; sleep 60", Limits(200 << 20, 100, 60))
    assert heard.end.reason == "memory"


async def test_two_launchers_do_not_share_a_folder(tmp_path: Path) -> None:
    async with standing(tmp_path, plain=True) as stand:
        second = ProcessSandboxes("stand", stand.folder, isolation.programs(None), lambda text: None)
        with pytest.raises(SfpError, match="another launcher"):
            async with second.opened():
                raise AssertionError


async def test_plain_processes_are_warned_of_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    programs = isolation.Programs(isolation.programs(None).python, Path(sys.base_prefix), None, None)
    async with ProcessSandboxes("stand", tmp_path / "s", programs, warnings.append).opened() as mode:
        assert mode == "plain"
    assert len(warnings) == 1


async def test_bubblewrap_that_does_not_work_is_as_good_as_none(tmp_path: Path) -> None:
    programs = isolation.Programs(isolation.programs(None).python, Path(sys.base_prefix), None, "/bin/false")
    async with ProcessSandboxes("stand", tmp_path / "s", programs, lambda text: None).opened() as mode:
        assert mode == "plain"


@pytest.mark.parametrize("kind", ["strict", "plain"])
async def test_a_killed_launcher_leaves_no_process(tmp_path: Path, kind: str) -> None:
    launcher = _program(tmp_path, kind)
    client = LauncherClient(tmp_path / "launcher.sock", __version__)
    await soon((tmp_path / "launcher.sock").exists)
    async with client.launch("t", 1, _python(ESCAPE), ROOMY):
        await soon(lambda: len(process.descendants(launcher.pid)) >= 5)
        tree = process.descendants(launcher.pid)
        launcher.kill()
        launcher.wait()
        await soon(lambda: not [pid for pid in tree if _lives(pid)])


async def test_the_next_launcher_removes_what_is_left(tmp_path: Path) -> None:
    """Even of a plain sandbox whose child was stopped, so that it could not clean up."""
    launcher = _program(tmp_path, "plain")
    client = LauncherClient(tmp_path / "launcher.sock", __version__)
    await soon((tmp_path / "launcher.sock").exists)
    async with client.launch("t", 1, _shell("echo x > file; sleep 300"), ROOMY):
        await soon(lambda: len(process.descendants(launcher.pid)) >= 3)
        tree = process.descendants(launcher.pid)
        process.send(tree[:1], signal.SIGSTOP)
        launcher.kill()
        launcher.wait()
    assert list((tmp_path / "sandboxes").glob("t-1/work/*"))
    mark = ProcessSandboxes("program", tmp_path / "sandboxes", isolation.programs(None), print).mark
    assert process.marked(MARK, mark)
    launcher = _program(tmp_path, "plain")
    await soon(lambda: not process.marked(MARK, mark) and not (tmp_path / "sandboxes/t-1").exists())
    launcher.terminate()
    launcher.wait()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_an_ordinary_user_has_sandboxes_too(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if python is None or shutil.which("bwrap") is None:
        pytest.skip("needs a Python that an ordinary user can read, and bubblewrap")
    home = Path("/tmp") / f"sfp-test-{os.getpid()}"
    package = Path(isolation.__file__).parents[2]
    shutil.copytree(package, home / "sfp_server")
    (home / "run").mkdir()
    for path in (home, home / "run"):
        os.chown(path, 65534, 65534)
    program = (
        "import asyncio, json, pathlib\n"
        "from sfp_server.server.worker import isolation\n"
        "from sfp_server.server.worker.bubblewrap import *\n"
        "async def main():\n"
        "    boxes = ProcessSandboxes('u', pathlib.Path('run/s'), isolation.programs(None), print)\n"
        "    async with boxes.opened() as mode:\n"
        "        document = json.dumps({'type': 'command', 'data': {'argv': ['id', '-u']}}).encode()\n"
        "        box = await boxes.launch(Order('t', 1, document, Limits(1 << 30, 100, 20)))\n"
        "        print(mode, await box.stdout.read(), await box.ended())\n"
        "asyncio.run(main())\n"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [python, "-B", "-c", program], cwd=home, user=65534, group=65534, extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    shutil.rmtree(home)
    assert ran.stdout.startswith("namespaces"), ran.stderr
    assert '"log":"1000"' in ran.stdout
    assert "reason='exited'" in ran.stdout


def _program(folder: Path, kind: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("launcher_program.py")), str(folder), kind],
        stdout=subprocess.DEVNULL,
    )


def _python(script: str, kind: str = "") -> dict[str, object]:
    interpreter = "python3" if kind == "docker" else str(isolation.programs(None).python)
    return {"type": "command", "data": {"argv": [interpreter, "-c", script]}}


def _shell(script: str) -> dict[str, object]:
    return {"type": "command", "data": {"argv": ["sh", "-c", script]}}


def _lives(pid: int) -> bool:
    return pid in {child for children in process.children().values() for child in children}


async def test_the_end_of_one_lease_is_not_that_of_another(stand: Stand) -> None:
    """Lease 10 is not a part of lease 1, though its number begins so."""
    async with stand.client.launch("t", 10, _shell("sleep 1; echo still here"), ROOMY) as later:
        frames = later.frames()
        assert (await anext(frames)).kind == "o"
        async with stand.client.launch("t", 1, _shell("true"), ROOMY) as first:
            assert [frame async for frame in first.frames()][-1].kind == "x"
        said = b"".join([frame.payload async for frame in frames])
    assert b"still here" in said


async def test_a_sandbox_that_does_not_end_keeps_no_other_above_its_limits(tmp_path: Path) -> None:
    asked: list[str] = []

    class Held:
        def __init__(self, name: str) -> None:
            self.name = name

        def exceeded(self, family: object) -> str:
            return "memory"

        async def kill(self, grace: float, reason: str) -> None:
            asked.append(self.name)
            await asyncio.Event().wait()

    sandboxes = ProcessSandboxes("demo", tmp_path, isolation.programs(None), print)
    sandboxes.running = {(name, 1): Held(name) for name in "ab"}  # type: ignore[misc]
    watching = asyncio.ensure_future(sandboxes._watch())
    await soon(lambda: asked == ["a", "b"])
    watching.cancel()
