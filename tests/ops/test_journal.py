"""The journal: whole lines or none, whatever the power does."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.errors import SfpError
from sfp_server.ops.journal import Journal, operation_id


class Still:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 8, 15, 0, 123000, UTC)

    def monotonic(self) -> float:
        return 0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


def journal(path: Path) -> Journal:
    return Journal(path, "ann@laptop", Still())


def test_a_line_says_all(tmp_path: Path) -> None:
    operation = journal(tmp_path / "journal.jsonl").begin("start", "1.0.0-abc")
    operation.record("migrate", "done", "23 migrations")
    line = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[1])
    assert line == {
        "version": 1, "operation": operation.id, "kind": "start", "step": "migrate", "state": "done",
        "at": "2026-11-23T08:15:00.123Z", "who": "ann@laptop", "what": "23 migrations",
    }  # fmt: skip
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_none_is_empty(tmp_path: Path) -> None:
    assert journal(tmp_path / "none").entries() == []
    assert journal(tmp_path / "none").cut_off() is None


def test_an_operation_without_an_end_was_cut_off(tmp_path: Path) -> None:
    here = journal(tmp_path / "journal.jsonl")
    here.begin("start", "one").record("", "failed")
    assert here.cut_off() is None
    operation = here.begin("start", "two")
    operation.record("data", "begin")
    found = here.cut_off()
    assert found is not None
    assert (found.operation, found.what) == (operation.id, "two")
    operation.record("", "done")
    assert here.cut_off() is None


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.data())
def test_cut_at_any_byte_it_holds_the_whole_lines_and_takes_more(texts: list[str], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        operation = journal(path).begin("start", "")
        for text in texts:
            operation.record("step", "done", text)
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        kept = [entry.what for entry in journal(path).entries()]
        assert kept == ["", *texts][:whole]
        operation.record("step", "done", "after")
        assert [entry.what for entry in journal(path).entries()] == [*kept, "after"]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("{}\n")
    with pytest.raises(SfpError, match=r"journal\.jsonl line 1 is not a line of a journal"):
        journal(tmp_path / "journal.jsonl").entries()


def test_a_newer_version_is_refused_and_unknown_fields_are_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal(path).begin("start", "")
    line = json.loads(path.read_text())
    path.write_text(json.dumps({**line, "chain": "00"}) + "\n")
    assert journal(path).entries()[0].kind == "start"
    path.write_text(json.dumps({**line, "version": 2}) + "\n")
    with pytest.raises(SfpError, match="newer sfp server"):
        journal(path).entries()


def test_ids_are_uuids_that_sort_by_time() -> None:
    one, other = operation_id(Still()), operation_id(Still())
    assert one != other
    assert one[:14] == other[:14]
    assert (one[14], one[19] in "89ab", len(one)) == ("7", True, 36)
