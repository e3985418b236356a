"""The environment of a service: what its file says, a few things of ours that programs need, and its marks."""

from collections.abc import Mapping

from sfp_server.engine.supervisor.spec import Bundle, Spec

# What a program may need to find its way on this machine. Nothing else of the caller's environment goes on: it may
# hold what is nobody's business, and a service must not differ by the terminal that started it.
_PASSED = frozenset(
    """
    PATH HOME USER LOGNAME LANG LC_ALL LC_CTYPE TZ TMPDIR LD_LIBRARY_PATH PYTHONPATH PYTHONDONTWRITEBYTECODE
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
    """.split()  # noqa: SIM905  # as lines that people read
)

RUN_MARK = "SUPERVISOR_RUN"


def marks(bundle: Bundle, name: str) -> tuple[str, str]:
    """What tells a service's processes from all others: whose they are, and of which instance (names may be shared)."""
    return f"SFP_SERVICE={bundle.tenant}/{name}", f"{RUN_MARK}={bundle.run}"


def passed(own: Mapping[str, str]) -> dict[str, str]:
    """What of an environment goes on to the daemon and to the services."""
    return {name: value for name, value in own.items() if name in _PASSED}


def environment(bundle: Bundle, spec: Spec, own: Mapping[str, str]) -> dict[str, str]:
    """The settings in which a service, its checks and its one-off commands run."""
    return {**passed(own), "PYTHONUNBUFFERED": "1", **bundle.environment(spec)}


def marked_environment(bundle: Bundle, spec: Spec, own: Mapping[str, str]) -> dict[str, str]:
    """The same with the marks by which `down` finds what a service left behind."""
    marked = (mark.partition("=") for mark in marks(bundle, spec.name))
    return {**environment(bundle, spec, own), **{name: value for name, _, value in marked}}
