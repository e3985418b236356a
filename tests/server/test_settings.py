"""The environment, read strictly."""

from pathlib import Path

import pytest

from sfp_server.errors import SfpError
from sfp_server.server.settings import Settings, load

API = {
    "SFP_TENANT": "demo",
    "SFP_VERSION": "1",
    "SFP_CONFIG_VERSION": "1",
    "SFP_PUBLIC_URL": "http://x",
    "SFP_LISTEN": "[::1]:8080",
    "SFP_DATABASE_URL": "postgresql://sfp_api@/sfp_of_acme?host=/run/sfp",
    "SFP_REDIS_URL": "unix:///run/redis.sock",
    "SFP_OBJECTS_URL": "file:///objects",
}


def test_what_is_given_is_read() -> None:
    settings = load({**API, "SFP_WORKERS": "1,4,0", "SFP_TASK_TIMEOUT": "90", "UNRELATED": "x"}, "api")
    assert settings.listen == ("::1", 8080)
    assert dict(settings.workers) == {"critical": 1, "normal": 4, "batch": 0}
    assert (settings.task_timeout, settings.database_name) == (90.0, "sfp_of_acme")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = {
        "SFP_LISTEN": "8080",
        "SFP_WORKERS": "1,2",
        "SFP_DATABASE_URL": "mysql://u:secret@db/x",
        "SFP_LOG_LEVEL": "loud",
        "SFP_TASK_ATTEMPTS": "0",
        "SFP_SANDBOX_DIR": "here",
    }
    with pytest.raises(SfpError) as raised:
        load({**API, **wrong, "SFP_TENANT": ""}, "api")
    message = str(raised.value)
    assert all(name in message for name in [*wrong, "SFP_TENANT: is missing"])
    assert "secret" not in message


@pytest.mark.parametrize("program", ["api", "dispatcher", "launcher", "migrate"])
def test_what_a_program_needs_is_missed(program: str) -> None:
    with pytest.raises(SfpError, match="SFP_VERSION: is missing"):
        load({}, program)


def test_secrets_are_files(tmp_path: Path) -> None:
    settings = Settings(secrets=tmp_path)
    (tmp_path / "signing-key").write_text("value\n")
    assert settings.secret("signing-key") == "value"
    assert settings.optional_secret("other") == ""
    with pytest.raises(SfpError, match="the secret other is missing"):
        settings.secret("other")


@pytest.mark.parametrize("image", ["worker", "worker:0.1.0", "worker@sha256:12", "a b@sha256:" + "0" * 64])
def test_the_sandboxes_image_is_named_by_its_digest(image: str) -> None:
    with pytest.raises(SfpError, match="SFP_SANDBOX_IMAGE: must be an image by its digest"):
        load({"SFP_SANDBOX_IMAGE": image})
    good = "registry:5000/sfp/worker:0.1.0@sha256:" + "0" * 64
    assert load({"SFP_SANDBOX_IMAGE": good}).sandbox_image == good
