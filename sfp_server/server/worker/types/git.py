"""A working copy of a repository at a ref, taken without trust: nothing that the repository holds is executed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sfp_server.server.worker.types.base import Context, Ended, Problem, TaskError

PROTOCOLS: Final = ("https", "http", "ssh", "git")

# git-check-ref-format(1), and no refspec, option or reflog syntax.
_NO_REF = re.compile(r"^[-+/.@]$|^[-+/]|[\s\x00-\x1f\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$")
_SCP = re.compile(r"^(\w[\w.-]*@)?\w[\w.-]*:(?P<path>[^/\s:-]\S*)$")
_COMMIT = re.compile(r"^[0-9a-fA-F]{7,40}$")

_CONFIG: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "protocol.file.allow": "never",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.quotePath": "false",
}

_MISSING: Final = (
    "repository not found", "does not appear to be a git repository", "access denied or repository not exported",
    "could not read username", "could not read password", "authentication failed", "permission denied",
    "host key verification failed", "not found", "returned error: 403", "returned error: 401",
)  # fmt: skip
_NO_SUCH_REF: Final = ("couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref")
_NOT_SHALLOW: Final = ("dumb http transport does not support shallow",)


def repository_problems(url: str) -> list[Problem]:
    """Why a repository's address cannot be accepted."""
    message = _refusal(url)
    return [Problem("/repository", message)] if message else []


def ref_problems(ref: str) -> list[Problem]:
    """Why this cannot be a branch, a tag or a commit."""
    return [Problem("/ref", "must be a branch, a tag or a commit")] if _NO_REF.search(ref) else []


def environment() -> dict[str, str]:
    """What keeps git from asking, from reading other configurations, and from running what it fetched."""
    numbered = dict(_numbered())
    return {
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **numbered,
    }


def clone(context: Context, repository: str, ref: str | None) -> tuple[Path, str]:
    """The working copy and its commit. Only what is needed is fetched, where the server can do that."""
    copy = context.work / "repository"
    copy.mkdir()
    _must(context, copy, "init", "--quiet")
    _must(context, copy, "remote", "add", "origin", repository)
    found = _fetched(context, copy, repository, ref)
    commit = _must(context, copy, "rev-parse", "--verify", f"{found}^{{commit}}").output.strip()
    context.log(f"Cloning {short_name(repository)} at {ref or 'its default branch'} ({commit[:7]})")
    _must(context, copy, "checkout", "--quiet", "--detach", commit)
    return copy, commit


def changed(context: Context, copy: Path) -> list[Path]:
    """The files that are new or different from the commit, ignored ones too."""
    listed = _must(
        context, copy, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored", "--no-renames"
    )
    entries = [entry for entry in listed.output.split("\0") if len(entry) > 3]
    return [copy / entry[3:] for entry in entries if "D" not in entry[:2]]


def short_name(repository: str) -> str:
    """`acme/crm` for any address of it."""
    scp = None if "://" in repository else _SCP.match(repository)
    path = scp["path"] if scp else urlsplit(repository).path
    return path.strip("/").removesuffix(".git") or repository


def _refusal(url: str) -> str:
    if "://" not in url:
        return "" if _SCP.match(url) else "must be a URL: https, http, ssh or git"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL"
    if parts.scheme not in PROTOCOLS:
        return f"must be https, http, ssh or git, is {parts.scheme}"
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        return "must not hold a user name, password or token"
    if not parts.hostname or parts.hostname.startswith("-") or any(c.isspace() for c in url):
        return "is not the URL of a repository"
    return ""


def _numbered() -> Iterator[tuple[str, str]]:
    for at, (key, value) in enumerate(_CONFIG.items()):
        yield f"GIT_CONFIG_KEY_{at}", key
        yield f"GIT_CONFIG_VALUE_{at}", value


def _fetched(context: Context, copy: Path, repository: str, ref: str | None) -> str:
    """Fetch what the ref means and return a name for it. An abbreviated commit, or a server that hands out no single
    commits, needs the whole history."""
    ended = _fetch(context, copy, "--depth=1", "origin", ref or "HEAD")
    if ended.code == 0:
        return "FETCH_HEAD"
    said = ended.errors.lower()
    if any(text in said for text in _NOT_SHALLOW) or (ref and _COMMIT.match(ref) and _is_ref_trouble(said)):
        return _fetched_whole(context, copy, repository, ref)
    raise _trouble(ended, repository, ref)


def _fetched_whole(context: Context, copy: Path, repository: str, ref: str | None) -> str:
    everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/remotes/origin/HEAD")
    ended = _fetch(context, copy, "origin", *everything)
    if ended.code:
        raise _trouble(ended, repository, ref)
    for name in (f"refs/remotes/origin/{ref or 'HEAD'}", f"refs/tags/{ref}", ref or "HEAD"):
        if _git(context, copy, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").code == 0:
            return name
    raise _no_ref(repository, ref)


def _fetch(context: Context, copy: Path, *arguments: str) -> Ended:
    return _git(context, copy, "fetch", "--quiet", "--no-tags", "--no-write-commit-graph", *arguments)


def _trouble(ended: Ended, repository: str, ref: str | None) -> TaskError:
    """What git said, in one line that says what to do."""
    said, name = ended.errors.lower(), short_name(repository)
    if _is_ref_trouble(said):
        return _no_ref(repository, ref)
    if any(text in said for text in _MISSING):
        return TaskError(f"the repository {name} does not exist or cannot be read", f"Tried: {repository}")
    if "not allowed" in said and "transport" in said:
        return TaskError(f"the repository {name} uses a protocol that is not allowed", "Use https, http, ssh or git.")
    return TaskError(f"could not fetch {name}: {ended.last_words}", f"Tried: {repository}", retry=True)


def _is_ref_trouble(said: str) -> bool:
    return any(text in said for text in _NO_SUCH_REF)


def _no_ref(repository: str, ref: str | None) -> TaskError:
    if ref is None:
        return TaskError(f"{short_name(repository)} is empty", "Push a commit, or name a ref.")
    return TaskError(f"{short_name(repository)} has no branch, tag or commit {ref}", f"Tried: {repository}")


def _must(context: Context, copy: Path, *arguments: str) -> Ended:
    ended = _git(context, copy, *arguments)
    if ended.code:
        raise TaskError(f"git {arguments[0]} failed: {ended.last_words}")
    return ended


def _git(context: Context, copy: Path, *arguments: str) -> Ended:
    try:
        return context.run(["git", *arguments], copy, environment(), quiet=("out", "err"))
    except FileNotFoundError:
        raise TaskError("git is not installed where tasks run", "Install git on the machine of the server.") from None
