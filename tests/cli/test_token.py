"""`application-token`, against a server that speaks from a script."""

import pytest

from sfp_server.cli import run
from tests.fakes.api import Answer, FakeApi, speaking
from tests.golden.compare import golden

TOKEN = "sfp_app_" + "0" * 36
MADE = {"id": "t1", "name": "ci", "token": TOKEN, "role": "application", "createdAt": "2026-11-23T00:00:00.000Z",
        "expiresAt": "2026-12-23T00:00:00.000Z"}  # fmt: skip
LISTED = {
    "id": "t1", "name": "ci", "role": "application", "createdAt": "2026-11-23T00:00:00.000Z", "createdBy": "owner",
    "expiresAt": "2026-11-24T00:00:00.000Z", "lastUsedAt": None,
}  # fmt: skip


def token(server: FakeApi, *arguments: str, command: str = "application-token") -> int:
    return run([command, *arguments, "--sfp-server-url", server.url])


@pytest.fixture(autouse=True)
def owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFP_SERVER_TOKEN", "sfp_app_owner")


def test_create_prints_the_token_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({"POST /application-tokens": Answer(MADE, 201)}) as server:
        assert token(server, "create", "-n", "ci", "-x", "30") == 0
    said = capsys.readouterr()
    assert said.out == f"{TOKEN}\n"
    assert said.err == "Token t1 for ci, role application until 2026-12-23. Keep it now: only its hash is stored.\n"
    assert server.asked[0].body == {"name": "ci", "expiresIn": 30, "role": "application"}


def test_create_quietly_says_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({"POST /application-tokens": Answer(MADE, 201)}) as server:
        assert token(server, "create", "--name", "ci", "--quiet", command="token") == 0
    assert capsys.readouterr() == (f"{TOKEN}\n", "")


@pytest.mark.parametrize(
    ("arguments", "line", "answer", "recorded"),
    [
        (["create", "-n", "ci"], "POST /application-tokens", Answer(MADE, 201), "application-token.json"),
        (["list"], "GET /application-tokens", Answer({"items": [LISTED], "next": None}), "application-tokens.json"),
        (["revoke", "-i", "t1"], "DELETE /application-tokens/t1", Answer(None, 204), "application-token-revoked.json"),
    ],
)
def test_every_document_is_as_recorded(
    arguments: list[str], line: str, answer: Answer, recorded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking({line: answer}) as server:
        assert token(server, *arguments, "--json") == 0
    golden(f"cli/{recorded}", capsys.readouterr().out)


def test_list_shows_state_and_days(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({"GET /application-tokens": Answer({"items": [LISTED], "next": None})}) as server:
        assert token(server, "list") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "t1", "ci", "application", "expired", "2026-11-23", "2026-11-24", "never",
    ]  # fmt: skip


def test_revoke_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({"DELETE /application-tokens/t1": Answer(None, 204)}) as server:
        assert token(server, "revoke", "--id", "t1") == 0
    assert capsys.readouterr().out == "Revoked t1: it is refused from now on.\n"


def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({}) as server:
        assert token(server, "create", "-n", "ci", "--dry-run") == 0
        assert token(server, "revoke", "-i", "t1", "--dry-run") == 0
    assert server.asked == []
    assert capsys.readouterr().err.count("Would send: ") == 2
