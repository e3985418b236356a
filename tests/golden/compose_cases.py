"""The settings under which Compose bundles are looked at: the edge, where files and data lie, how many tasks."""

from functools import cache
from itertools import cycle, product
from pathlib import Path

from sfp_server.cmd.base import Secret
from sfp_server.ops import secrets
from sfp_server.ops.config import parse
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import Release
from sfp_server.ops.releases import read
from sfp_server.ops.render import Bundle, render

INSTANCE = Instance(Path("/opt/sfp-server"), "acme")
RELEASE: Release = read(Path(__file__).parent / "compose/release.json")
VALUES = {name: Secret(f"canary-{number}-{name}") for number, name in enumerate(secrets.GENERATED)}
HEAD = "config_version: 1\ntenant: acme\n"
DOMAIN = "domain: sfp.acme.com\n"

TLS = {
    "acme": DOMAIN,
    "internal": DOMAIN + "tls: {mode: internal}\n",
    "files": DOMAIN + "tls: {mode: files, certificate: /etc/ssl/sfp/chain.pem, key: /etc/ssl/sfp/key.pem}\n",
    "off": DOMAIN + "tls: {mode: off}\n",
}
STORES = {
    "minio": "",
    "seaweedfs": "objects: seaweedfs\n",
    "bucket": "objects: {bucket: acme-sfp, endpoint: 'https://s3.eu-1.example.com', region: eu-1}\n",
}
DATABASES = {
    "bundled": "",
    "outside": "database: {url: 'postgresql://owner@db.acme.com:5433/sfp?sslmode=require'}\n",
}
WORKERS = ("", "workers: {critical: 2, normal: 10, batch: 3}\n", "workers: {critical: 0, normal: 0, batch: 0}\n")
MORE = {
    "staging": DOMAIN + "tls: {staging: true, email: admin@acme.com}\n",
    "ipv6": DOMAIN + "http: {ipv6: true}\n",
    "ipv6-files": TLS["files"] + "http: {ipv6: true, address: '::1'}\n" + STORES["bucket"],
    "local": "tls: {mode: off}\n",
    "local-ipv6": "tls: {mode: off}\nhttp: {address: '::1', port: 4029}\n",
    "local-internal": "tls: {mode: internal}\n" + STORES["seaweedfs"],
    "proxy": DOMAIN + "tls: {mode: off, trusted_proxies: [192.0.2.7, '2001:db8::/64']}\nhttp: {address: 0.0.0.0}\n",
    "proxy-ipv6": DOMAIN + "tls: {mode: off, trusted_proxies: ['2001:db8::/64']}\nhttp: {address: '::', ipv6: true}\n",
    "odd": DOMAIN
    + 'database: {url: "postgresql://o\'w$ner@db/s{p}?options=-c%20search_path%3D$$x#\'\\""}\n'
    + 'objects: {bucket: b, endpoint: "https://s3.acme.com/a$HOME/it\'s#1"}\n',
}


def _combined() -> dict[str, str]:
    """Every way of TLS with every store and every database; the counts of workers take turns."""
    counts = cycle(WORKERS)
    return {
        f"{tls}-{store}-{database}": TLS[tls] + STORES[store] + DATABASES[database] + next(counts)
        for tls, store, database in product(TLS, STORES, DATABASES)
    }


CASES = {**_combined(), **MORE}
REVIEWED = ("acme-minio-bundled", "files-bucket-outside", "local-internal", "proxy")
"""Those whose files lie here, for people to read and for a change to show."""


def bundle(settings: str, values: secrets.Secrets = VALUES, instance: Instance = INSTANCE) -> Bundle:
    """The bundle of settings that follow the usual head."""
    return _usual(settings) if (values, instance) == (VALUES, INSTANCE) else _made(settings, values, instance)


@cache
def _usual(settings: str) -> Bundle:
    return _made(settings, VALUES, INSTANCE)


def _made(settings: str, values: secrets.Secrets, instance: Instance) -> Bundle:
    return render(parse(HEAD + settings), RELEASE, instance, values)
