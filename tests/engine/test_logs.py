"""Logs: whole lines with their times, rotated by size, read back and followed without a gap."""

import re
from contextlib import closing
from pathlib import Path

from sfp_server.engine.supervisor.logs import FILES, LogFile, Reader, follow, merged, tail

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def said(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


def test_every_line_has_its_time_however_it_came(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "db.log")) as log:
        for chunk in (b"one\ntw", b"o\n", b"\n", b"three"):
            log.feed(chunk)
    lines = (tmp_path / "db.log").read_text().splitlines()
    assert all(re.match(STAMP, line) for line in lines)
    assert said(tmp_path / "db.log") == ["one", "two", "", "three"]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "db.log")) as log:
        log.feed(b"x" * 70_000)
        assert len(said(tmp_path / "db.log")[0]) == 70_000


def test_rotation_keeps_three_files(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "db.log", limit=1000)) as log:
        for number in range(200):
            log.feed(b"line %d\n" % number)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["db.log", "db.log.1", "db.log.2"]
    assert len(files) == FILES
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert tail(tmp_path, "db", 40) == [f"line {number}" for number in range(160, 200)]


def test_a_full_disk_loses_lines_and_not_the_writer() -> None:
    with closing(LogFile(Path("/dev/full"))) as log:
        log.feed(b"lost\n")


def test_the_end_is_found_from_the_back(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "db.log")) as log:
        log.feed(b"".join(b"line %d of many that fill several blocks\n" % number for number in range(20_000)))
    assert [line.split()[1] for line in tail(tmp_path, "db", 3)] == ["19997", "19998", "19999"]
    assert tail(tmp_path, "db", 0) == []
    assert tail(tmp_path, "none", 5) == []


def test_services_are_merged_by_time(tmp_path: Path) -> None:
    for name, stamps in {"db": (1, 3), "api": (2, 4)}.items():
        lines = "".join(f"2026-11-23T08:15:00.00{n}Z {n}\n" for n in stamps)
        (tmp_path / f"{name}.log").write_text(lines)
    assert [line.split(" | ")[0] for line in merged(tmp_path, ["db", "api"], 10)] == ["db", "api", "db", "api"]


def test_following_survives_rotation_and_loses_nothing(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "db.log")
    with closing(reader), closing(LogFile(tmp_path / "db.log", limit=2000)) as log:
        seen = []
        for number in range(300):
            log.feed(b"line %d\n" % number)
            if number % 20 == 0:
                seen += reader.new()
        seen += reader.new()
    assert [line.split()[2] for line in seen] == [str(number) for number in range(300)]


def test_what_comes_while_following_follows_the_last_lines(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "db.log")) as log:
        log.feed(b"old\nlast\n")

        def more(_: float) -> None:
            log.feed(b"new\n")

        with closing(follow(tmp_path, ["db"], 1, pause=more)) as lines:
            assert [next(lines).rsplit(" ", 1)[1] for _ in range(3)] == ["last", "new", "new"]
