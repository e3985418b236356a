"""What each type of task accepts, and the pointer and words of what it does not."""

from typing import Any

import pytest

from sfp_server.server.worker.types import TYPES

REPOSITORY = "https://github.com/acme/crm"

ACCEPTED = [
    ("ping", None),
    ("ping", {}),
    ("ping", {"echo": {"any": ["thing", 1]}}),
    ("command", {"argv": ["true"]}),
    ("command", {"argv": ["sh", "-c", ""], "stdin": "", "outputs": ["out/**", "*.txt"]}),
    ("sf", {"repository": REPOSITORY, "args": ["project", "convert", "source"]}),
    ("sf", {"repository": "git@github.com:acme/crm.git", "args": ["--version"], "ref": "feature/x_1.2-y"}),
    ("sf", {"repository": "ssh://git@git.acme.com:2222/crm", "args": ["--version"], "ref": "8d1f2c3"}),
    ("sf", {"repository": "git://127.0.0.1:9418/crm", "args": ["x"], "directory": "a/b", "outputs": ["**/*.zip"]}),
    ("sf", {"repository": "http://git.acme.com/crm.git", "args": ["x"], "ref": "v1.0+build"}),
]

REFUSED = [
    ("ping", {"ecko": 1}, "/ecko", "did you mean echo?"),
    ("ping", [], "", "must be an object"),
    ("command", {}, "/argv", "is required"),
    ("command", {"argv": []}, "/argv", "must be a list of 1 to 1000 texts"),
    ("command", {"argv": [" "]}, "/argv/0", "must name a program"),
    ("command", {"argv": ["a", 1]}, "/argv/1", "must be a text"),
    ("command", {"argv": ["a\0b"]}, "/argv/0", "NUL"),
    ("command", {"argv": ["a"], "env": {}}, "/env", "is not known"),
    ("command", {"argv": ["a"], "outputs": ["../x"]}, "/outputs/0", "without .."),
    ("command", {"argv": ["a"], "outputs": ["/etc/passwd"]}, "/outputs/0", "must be a path inside"),
    ("command", {"argv": ["a"], "outputs": ["a**"]}, "/outputs/0", "as a whole part"),
    ("command", {"argv": ["a"], "a/b": 1}, "/a~1b", "is not known"),
    ("sf", {"args": ["x"]}, "/repository", "is required"),
    ("sf", {"repository": REPOSITORY}, "/args", "is required"),
    ("sf", {"repository": 1, "args": ["x"]}, "/repository", "must be a text"),
    ("sf", {"repository": "file:///etc", "args": ["x"]}, "/repository", "is file"),
    ("sf", {"repository": "ext::sh -c id", "args": ["x"]}, "/repository", "must be a URL"),
    ("sf", {"repository": "/srv/crm", "args": ["x"]}, "/repository", "must be a URL"),
    ("sf", {"repository": "--upload-pack=id", "args": ["x"]}, "/repository", "must be a URL"),
    ("sf", {"repository": "ssh://-oProxyCommand=id/x", "args": ["x"]}, "/repository", "is not the URL"),
    ("sf", {"repository": "https://u:p@github.com/a/b", "args": ["x"]}, "/repository", "password or token"),
    ("sf", {"repository": "https://ghp_x@github.com/a/b", "args": ["x"]}, "/repository", "password or token"),
    ("sf", {"repository": "ssh://git:p@github.com/a/b", "args": ["x"]}, "/repository", "password or token"),
    ("sf", {"repository": REPOSITORY, "args": ["x"], "ref": "--exec=id"}, "/ref", "must be a branch"),
    ("sf", {"repository": REPOSITORY, "args": ["x"], "ref": "a..b"}, "/ref", "must be a branch"),
    ("sf", {"repository": REPOSITORY, "args": ["x"], "ref": "+a:b"}, "/ref", "must be a branch"),
    ("sf", {"repository": REPOSITORY, "args": ["x"], "ref": ""}, "/ref", "must not be empty"),
    ("sf", {"repository": REPOSITORY, "args": ["x"], "directory": "../.."}, "/directory", "without .."),
]


@pytest.mark.parametrize(("name", "data"), ACCEPTED)
def test_accepted(name: str, data: Any) -> None:
    assert TYPES[name].validate(data) == []


@pytest.mark.parametrize(("name", "data", "pointer", "words"), REFUSED)
def test_refused(name: str, data: Any, pointer: str, words: str) -> None:
    (problem,) = TYPES[name].validate(data)
    assert problem.pointer == pointer
    assert words in problem.message


def test_all_problems_are_told_at_once() -> None:
    problems = TYPES["sf"].validate({"repository": "", "args": [1], "ref": "a b", "branch": "x"})
    assert [problem.pointer for problem in problems] == ["/branch", "/repository", "/ref", "/args/0"]


def test_only_command_is_for_owners_alone() -> None:
    assert {name for name, type_ in TYPES.items() if type_.OWNER_ONLY} == {"command"}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("data", [None, 1, "x", [], [None], {"": None}, {"args": None, "argv": 1, "outputs": [{}]}])
def test_no_data_breaks_it(name: str, data: Any) -> None:
    assert all(problem.message for problem in TYPES[name].validate(data))
