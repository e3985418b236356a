"""Preflight as a function of facts."""

from dataclasses import replace

import pytest

from sfp_server.errors import CheckError
from sfp_server.ops.check import MINIMUM_FREE, Facts, Holder, count, problems, refuse

GOOD = Facts("/i/demo", "/i/demo/secrets.yml", 0o600, MINIMUM_FREE, {3029: "The API"}, {})


def texts(facts: Facts) -> list[str]:
    return [problem.text for problem in problems(facts)]


def test_nothing_is_in_the_way() -> None:
    assert problems(GOOD) == []
    assert count(GOOD) == 3
    refuse([])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o777, 0o601])
def test_secrets_that_others_can_read(mode: int) -> None:
    assert texts(replace(GOOD, secrets_mode=mode)) == [f"/i/demo/secrets.yml can be read by others (mode {mode:04o})."]


def test_a_disk_with_too_little_room() -> None:
    (problem,) = problems(replace(GOOD, free=MINIMUM_FREE - 1))
    assert problem.text == "the disk that holds /i/demo has 1023 MiB free; 1.0 GiB is needed."
    assert problem.hint.endswith("df -h /i/demo")


def test_a_port_that_is_taken() -> None:
    (problem,) = problems(replace(GOOD, taken={3029: Holder("nginx", 812)}))
    assert problem.text == "port 3029 on this machine is taken by nginx (pid 812)."
    assert problem.hint == "The API needs it. Stop nginx, or take another: sfp server config set http.port PORT"


def test_a_port_whose_holder_is_not_to_be_seen() -> None:
    assert texts(replace(GOOD, taken={3029: Holder()})) == ["port 3029 on this machine is taken."]


def test_what_cannot_be_known_is_no_problem() -> None:
    assert problems(replace(GOOD, secrets_mode=None, free=None)) == []


def test_all_are_told_at_once_each_with_its_hint() -> None:
    bad = replace(GOOD, secrets_mode=0o644, free=0)
    with pytest.raises(CheckError) as caught:
        refuse(problems(bad))
    assert caught.value.exit_code == 3
    assert caught.value.message.splitlines() == [
        "2 things stand in the way.",
        "  /i/demo/secrets.yml can be read by others (mode 0644).",
        "    Make it yours alone: chmod 600 /i/demo/secrets.yml",
        "  the disk that holds /i/demo has 0 MiB free; 1.0 GiB is needed.",
        "    Make room, or move the instances: --base-dir DIR on a larger disk. What is full: df -h /i/demo",
    ]
