"""The real programs read what is rendered: Docker Compose, Caddy, systemd."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sfp_server.ops import compose_settings
from sfp_server.ops.config import parse
from tests.golden.compose_cases import CASES, HEAD, RELEASE, bundle

every_case = pytest.mark.parametrize("case", CASES)
SYSTEMD = shutil.which("systemd-analyze")


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def said(folder: Path, *argv: str, **environment: str) -> str:
    result = subprocess.run(
        argv, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.e2e
@every_case
def test_compose_reads_every_bundle_as_it_was_meant(case: str, tmp_path: Path) -> None:
    folder = written(tmp_path, bundle(CASES[case]).files)
    said(folder, "docker", "compose", "config", "--quiet")
    whole = json.loads(said(folder, "docker", "compose", "--profile", "*", "config", "--format", "json"))
    wanted = compose_settings.environment(parse(HEAD + CASES[case]), RELEASE)
    for name, service in whole["services"].items():
        own = "api" if name.startswith("api-") else name
        assert _undoubled(service.get("environment") or {}) == wanted[own]
        assert service.get("security_opt") == ["no-new-privileges:true"]


@pytest.mark.e2e
def test_an_older_engine_is_not_asked_to_look_more_often_at_a_start(tmp_path: Path) -> None:
    folder = written(tmp_path, bundle(CASES["acme-minio-bundled"]).files)
    both = ("--file", "compose.yml", "--file", "compose.engine-24.yml")
    whole = json.loads(said(folder, "docker", "compose", *both, "--profile", "*", "config", "--format", "json"))
    checks = [service["healthcheck"] for service in whole["services"].values() if "healthcheck" in service]
    assert len(checks) == len(whole["services"]) - 1, "all but the job"
    assert all("start_interval" not in check and check["interval"] == "5s" for check in checks)


@pytest.mark.e2e
@pytest.mark.parametrize("slot", ["api-a", "api-b"])
def test_the_profile_chooses_the_api(slot: str, tmp_path: Path) -> None:
    folder = written(tmp_path, bundle(CASES["acme-minio-bundled"]).files)
    listed = said(folder, "docker", "compose", "--profile", slot, "config", "--services").split()
    assert [name for name in listed if name.startswith("api-")] == [slot]
    assert "migrate" not in listed
    assert set(listed) - {slot} == set(bundle(CASES["acme-minio-bundled"]).services) - {"api"}


@every_case
def test_caddy_takes_every_caddyfile(case: str, tmp_path: Path, caddy: str) -> None:
    folder = written(tmp_path, bundle(CASES[case]).files)
    said(folder, caddy, "fmt", "--diff", "Caddyfile")
    text = (folder / "Caddyfile").read_text()
    (folder / "Caddyfile").write_text(text.replace("/run/secrets", str(_certificate(tmp_path))))
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    said(folder, caddy, "validate", "--config", "Caddyfile", **homes)
    adapted = json.loads(said(folder, caddy, "adapt", "--config", "Caddyfile"))
    assert adapted["admin"]["listen"] == "unix//run/caddy/admin.sock"
    assert _policies(adapted) == _expected(CASES[case])


@pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd here to ask")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    folder = written(tmp_path, bundle(CASES["acme-minio-bundled"]).files)
    for missing in ("docker.service", "network-online.target"):
        (folder / missing).write_text(
            "[Unit]\nDescription=x\n" + "[Service]\nExecStart=/bin/true\n" * ("ser" in missing)
        )
    result = subprocess.run(
        [str(SYSTEMD), "verify", "sfp-server.service"], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )  # fmt: skip
    about_it = [line for line in result.stderr.splitlines() if "sfp-server" in line and "not executable" not in line]
    assert about_it == []


def test_the_unit_starts_no_service() -> None:
    text = bundle(CASES["acme-minio-bundled"]).files["sfp-server.service"].decode()
    assert re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE) == [
        "/usr/bin/docker version --format {{.Server.Version}}",
        "/usr/bin/test -f /opt/sfp-server/tenants/acme/current/manifest.json",
    ]
    assert "Type=oneshot" in text


def _undoubled(environment: Mapping[str, str]) -> dict[str, str]:
    """Compose doubles a dollar in what it prints, so that it could be read again."""
    return {name: value.replace("$$", "$") for name, value in environment.items()}


def _policies(adapted: Mapping[str, Any]) -> list[str]:
    """How Caddy would come by certificates: the names of its issuers."""
    policies = adapted["apps"].get("tls", {}).get("automation", {}).get("policies", [])
    return [issuer["module"] + (":staging" if "staging" in str(issuer) else "")
            for policy in policies for issuer in policy.get("issuers", [])]  # fmt: skip


def _expected(settings: str) -> list[str]:
    if "staging: true" in settings:
        return ["acme:staging"]
    return ["internal"] if "mode: internal" in settings else []


def _certificate(folder: Path) -> Path:
    """A certificate and its key where Caddy is told to find them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sfp.acme.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = made.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return folder
