"""Settings: whole, in range, and wrong ones told all at once in our words."""

from pathlib import Path

import pytest

from sfp_server.errors import CheckError
from sfp_server.ops.config import Config, load, parse
from sfp_server.ops.config_words import known, masked, shown
from sfp_server.ops.instance import Instance

MINIMAL = "config_version: 1\ntenant: acme\nengine: embedded\n"


def refused(text: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        parse(text, "f")
    return caught.value.message.splitlines()


def test_what_is_not_said_has_a_default() -> None:
    config = parse(MINIMAL)
    assert (config.workers.critical, config.tasks.attempts, config.tasks.timeout) == (1, 3, 3600)
    assert (config.resources.sandbox.memory, config.database, config.toolchain) == (2 << 30, "bundled", "auto")


def test_times_and_sizes_have_units() -> None:
    text = MINIMAL + "tasks: {timeout: 90m}\nresources: {sandbox: {memory: 512M, cpus: 1, pids: 100}}\n"
    config = parse(text)
    assert config.tasks.timeout == 5400
    assert config.resources.sandbox.memory == 512 << 20
    dumped = config.model_dump(mode="json")
    assert (dumped["tasks"]["timeout"], dumped["resources"]["sandbox"]["memory"]) == ("90m", "512m")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("engine: embedded\nhttp: {port: 4000}\n", "http://127.0.0.1:4000"),
        ("engine: embedded\ndomain: sfp.acme.com\n", "http://127.0.0.1:3029"),
        ("domain: sfp.acme.com\n", "https://sfp.acme.com"),
        ("tls: {mode: off}\n", "http://127.0.0.1:3029"),
        ("tls: {mode: off}\nhttp: {address: '::1'}\n", "http://[::1]:3029"),
        ("tls: {mode: off}\nhttp: {address: 0.0.0.0}\n", "http://127.0.0.1:3029"),
        ("tls: {mode: internal}\n", "https://localhost"),
        ("domain: sfp.acme.com\ntls: {mode: off}\n", "https://sfp.acme.com"),
    ],
)
def test_the_address_of_the_server(text: str, url: str) -> None:
    assert parse(f"config_version: 1\ntenant: acme\n{text}").public_url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers: {critical: x}", 'workers.critical: must be 0 to 10, is "x"'),
        ("workers: {normal: 11}", "workers.normal: must be 0 to 10, is 11"),
        ("workers: {normal: true}", "workers.normal: must be 0 to 10, is true"),
        ("workers: 1.5", "workers: must be a mapping of critical, normal, batch, is 1.5"),
        ("wrokers: {critical: 1}", "wrokers: unknown key, did you mean workers?"),
        ("workers: {critcal: 1}", "workers.critcal: unknown key, did you mean workers.critical?"),
        ("attempts: 3", "attempts: unknown key, did you mean tasks.attempts?"),
        ("zzz: 3", "zzz: unknown key"),
        ("tasks: {timeout: 8d}", 'tasks.timeout: must be a time from 1s to 7d, like 90s, 60m or 2h, is "8d"'),
        ("tasks: {timeout: -5}", "tasks.timeout: must be a time from 1s to 7d, like 90s, 60m or 2h, is -5"),
        ("domain: https://a.b", 'domain: must be a host name like sfp.acme.com, is "https://a.b"'),
        ("deployment: mine", 'deployment: must be self or managed, is "mine"'),
        ("target: aws", "target: must be local with engine embedded, is aws"),
        ("database: bundeld", 'database: must be bundled, or {url: …}, is "bundeld"'),
        ("database: {}", "database.url: is missing"),
        ("objects: {bucket: b, endpoint: x}", 'objects.endpoint: must be an http or https address, is "x"'),
        ("http: {port: 70000}", "http.port: must be a port, 1 to 65535, is 70000"),
        ("http: {address: here}", 'http.address: must be an IP address like 127.0.0.1 or ::1, is "here"'),
        ("http: {address: '::1%lo'}", 'http.address: must be an IP address like 127.0.0.1 or ::1, is "::1%lo"'),
        ("http: {address: '::1'}", "http.address: must be 127.0.0.1 with engine embedded, is ::1"),
        ("objects: minio", "objects: must be bundled or a bucket with engine embedded, is minio"),
        ("tls: {email: nobody}", 'tls.email: must be an e-mail address, is "nobody"'),
        ("tls: {key: key.pem}", 'tls.key: must be a path on the host, from / on, is "key.pem"'),
        ("tls: {staging: 1}", "tls.staging: must be true or false, is 1"),
        (
            "tls: {trusted_proxies: [10.0.0.1/8]}",
            'tls.trusted_proxies: must be a list of addresses and networks like [10.0.0.0/8], is "10.0.0.1/8"',
        ),
        ("secrets: {A: b}", "secrets: do not belong here; init --config-file FILE takes them to secrets.yml"),
        ('workerCounts: "1,2"', 'workerCounts: must be three numbers "critical,normal,batch", is "1,2"'),
        ("release: {version: latest}", 'release.version: must be a version like 1.4.0, is "latest"'),
    ],
)
def test_one_thing_wrong_is_one_line_with_its_place(text: str, said: str) -> None:
    assert refused(f"{MINIMAL}{text}\n") == [f"f line 4: {said}"]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    assert refused("config_version: 1\nengine: x\nworkers:\n  batch: -1\ntolchain: auto\n") == [
        "f has 4 problems:",
        "            tenant: is missing",
        '  line 2    engine: must be compose or embedded, is "x"',
        "  line 4    workers.batch: must be 0 to 10, is -1",
        "  line 5    tolchain: unknown key, did you mean toolchain?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenant: a\n", "domain: is missing; tls.mode acme needs one, internal and off do not"),
        ("tenant: a\ntls: {mode: off}\ntarget: aws\n", "domain: is missing; a server on aws needs a host name"),
        ("tenant: a\ndomain: a.b\nhttp: {address: 0.0.0.0}\n", "must be of this machine alone with tls.mode acme"),
        ("tenant: a\ndomain: a.b\ntls: {mode: files, key: /k}\n", "tls.certificate: is missing; tls.mode is files"),
    ],
)
def test_settings_that_do_not_go_together(text: str, said: str) -> None:
    assert refused(text)[0].endswith(said)


def test_no_password_stands_in_an_address_nor_in_the_error_about_it() -> None:
    said = refused(MINIMAL + 'database: {url: "postgresql://me:hunter2@db/sfp"}\n')[0]
    assert "hunter2" not in said
    assert "postgresql://me:••••@db/sfp" in said


def test_masked_hides_what_stands_behind_the_names_of_secrets() -> None:
    text = '+  "GITHUB_TOKEN": "ghp_1"\n signing-key: abc\n# keys: none\n key: /etc/x.pem'
    assert masked(text).splitlines() == [
        '+  "GITHUB_TOKEN": ••••',
        " signing-key: ••••",
        "# keys: none",
        " key: /etc/x.pem",
    ]


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 500)) < 70


def test_the_file_names_the_tenant_of_its_folder(tmp_path: Path) -> None:
    instance = Instance(tmp_path, "other")
    instance.folder.mkdir(parents=True)
    instance.settings_file.write_text(MINIMAL)
    with pytest.raises(CheckError, match="tenant: must be other as its folder"):
        load(instance)


def test_every_setting_is_known_by_its_full_name_and_described() -> None:
    names = set(known(Config))
    assert {"workers.critical", "resources.sandbox.memory", "database.url", "objects.region"} <= names
    described = str(Config.model_json_schema())
    assert "The public host name" in described
