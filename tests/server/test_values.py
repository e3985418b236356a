"""Small values: ids, SCRAM verifiers, files of statements, migrations, problems, log lines."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.errors import SfpError
from sfp_server.server import scram, sql
from sfp_server.server.http.answers import _pointer
from sfp_server.server.ids import is_id, new_id
from sfp_server.server.logs import redact
from sfp_server.server.migrations import packaged, parse
from sfp_server.server.principal import Principal, system
from sfp_server.server.problems import Problem


def test_ids_are_uuid7_in_order_and_never_the_same() -> None:
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    value = uuid.UUID(made[0])
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert abs((value.int >> 80) - time.time() * 1000) < 5000
    assert [text[:18] for text in made] == sorted(text[:18] for text in made)


@pytest.mark.parametrize(
    "text", ["", "x", "0192F4A1-0000-7000-8000-000000000000", "{0192f4a1-0000-7000-8000-000000000000}"]
)
def test_other_spellings_are_no_ids(text: str) -> None:
    assert not is_id(text)
    assert is_id(new_id())


def test_a_scram_verifier_is_as_postgres_makes_it() -> None:
    # RFC 7677's example: user "user", password "pencil".
    made = scram.verifier("pencil", bytes.fromhex("5b6d99689d12358eeca04b14123 6fa81".replace(" ", "")), 4096)
    assert made.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.text())
def test_a_verifier_matches_its_password_only(password: str, other: str) -> None:
    made = scram.verifier(password, b"salt", 1)
    assert scram.matches(password, made)
    assert not scram.matches(password + "x", made)
    assert not scram.matches(password, other)


def test_statements_have_names_and_sentences() -> None:
    text = "-- name: one\n-- The first.\nSELECT 1;\n\n-- name: two\n-- The second.\nSELECT 2;\n"
    assert sql.parse(text, "x.sql") == {"one": "-- The first.\nSELECT 1", "two": "-- The second.\nSELECT 2"}
    for wrong in ("-- name: a\nSELECT 1;", "-- name: a\n-- Only words.", text + text):
        with pytest.raises(SfpError, match=r"x\.sql"):
            sql.parse(wrong, "x.sql")


def test_migrations_declare_whether_they_are_compatible() -> None:
    with pytest.raises(SfpError, match="compatible"):
        parse("0001_pre_x.sql", b"SELECT 1;")
    with pytest.raises(SfpError, match="NNNN_pre"):
        parse("1_x.sql", b"-- compatible: yes\n")
    assert [migration.number for migration in packaged()] == list(range(1, len(packaged()) + 1))


def test_claims_carry_who_asks_and_nothing_empty() -> None:
    principal = Principal("application", "7", "ci", "application", frozenset({"b", "a"})).seen("r-1", "")
    assert principal.claims() == (
        '{"sub":"7","role":"authenticated","sfp_role":"application","kind":"application","name":"ci",'
        '"permissions":["a","b"],"request_id":"r-1"}'
    )
    assert '"role":"service_role"' in system("x").claims()


def test_problems_point_into_the_body() -> None:
    problem = Problem(422, "invalid", "Not valid", "", [{"pointer": "/a", "detail": "no"}])
    assert problem.document("r")["errors"] == [{"pointer": "#/a", "detail": "no"}]
    assert [_pointer(key) for key in ("data", "a.b[0].c", "a[...]", "x/y")] == ["", "/a/b/0/c", "/a", "/x~1y"]


@pytest.mark.parametrize("text", ["at sfp_app_S3CRET", "Bearer S3CRET", '{"u": "/f?expires=1&signature=S3CRET"}'])
def test_log_lines_hold_no_secrets(text: str) -> None:
    assert "S3CRET" not in redact(text)
