"""The steps of a start, from what is wanted and how the instance was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from sfp_server.cmd import linux
from sfp_server.cmd.base import Cmd
from sfp_server.errors import CheckError, RemoteError
from sfp_server.host.base import Result, must
from sfp_server.ops.instance import make_run_folder
from sfp_server.ops.plan import Step
from sfp_server.ops.site import MANIFEST, Seen, Site, Wanted
from sfp_server.ops.state import DATA_SERVICES, alive

UP = 120.0
"""Seconds that a service may take to become healthy."""

_LAST_LINES = 10


@dataclass(frozen=True)
class Start:
    """A start of `wanted` on an instance that was found as `seen`."""

    site: Site
    wanted: Wanted
    seen: Seen

    def steps(self) -> list[Step]:
        return [
            Step("render", self._render, self._remove_part),
            *([Step("toolchain", self._prepare_toolchain)] if self.wanted.toolchain else []),
            Step("engine", self._ask_engine),
            Step("data", self._bring_up_data, self._back),
            Step("migrate", self._migrate, no_return=self._replaces_schema()),
            Step("services", self._bring_up_all),
            Step("verify", self._verify),
            Step("current", self._link, self._link_back),
        ]

    @property
    def _bundle(self) -> str:
        return str(self.site.folder_of(self.wanted.name))

    def _render(self) -> str:
        """Write what differs, the manifest last: a folder that has one is whole."""
        files = sorted(self.wanted.bundle.files.items(), key=lambda file: file[0] == MANIFEST)
        for name, content in files:
            self._put(f"{self._bundle}/{name}", content, 0o644)
        for service, secrets in self.wanted.secrets.items():
            for name, secret in secrets.items():
                self._put(f"{self.site.instance.secrets}/{service}/{name}", secret.reveal().encode(), 0o400)
        self._make_folders()
        return f"{self.wanted.name}, {len(files)} files"

    def _put(self, path: str, content: bytes, mode: int) -> None:
        if self.site.observed.get(path) != content:
            self.site.host.put(path, content, mode)

    def _make_folders(self) -> None:
        instance = self.site.instance
        for folder in (instance.data, instance.logs):
            must(self.site.host, linux.private_folder(folder))
        if self.site.dry:
            self.site.host.run(linux.private_folder(instance.run))
        else:
            make_run_folder(instance)  # it may lie under /tmp, where a link could stand in its place

    def _remove_part(self) -> str:
        """What this start wrote in part; a whole release may stay, for its logs can be read with it."""
        whole = self.site.observed.get(f"{self._bundle}/{MANIFEST}") is not None
        never_started = self.seen.release is None and not whole
        must(self.site.host, linux.remove(*([] if whole else [self._bundle]), *self._secrets_of(never_started)))
        return "" if whole else "removed what was written"

    def _secrets_of(self, never_started: bool) -> list[str]:
        return [str(self.site.instance.secrets)] if never_started else []

    def _prepare_toolchain(self) -> str:
        """Without it an instance still runs, and all tasks but those of the Salesforce CLI: so it only says why."""
        command = self.wanted.toolchain or Cmd(())
        last = ""
        try:
            for line in self.site.host.stream(command):
                self.site.reporter.note(last := line)
        except RemoteError:
            return f"not there, so tasks of type sf fail: {last}" if last else "not there, so tasks of type sf fail"
        return last

    def _ask_engine(self) -> str:
        found = self.site.engine.problems(self._bundle)
        if found:
            raise CheckError("\n".join([f"{self.site.engine.name} cannot run here: {found[0]}", *found[1:]]))
        return f"{self.site.engine.name}, nothing in the way"

    def _bring_up_data(self) -> str:
        names = [name for name in self.wanted.services if name in DATA_SERVICES]
        if names:
            self.site.engine.up(self._bundle, names, UP)
        return _listed(names)

    def _back(self) -> str:
        """Stop what this start started; what ran before runs again as it did, unless the schema has moved on."""
        running = alive(self.seen.services)
        if not running:
            self.site.engine.down(self._bundle)
            return "stopped what this start had started"
        fresh = [name for name in self.wanted.services if name not in running]
        if fresh:
            self.site.engine.down(self._bundle, fresh)
        if self.seen.release is not None and str(self.seen.release) != self._bundle:
            self.site.engine.up(str(self.seen.release), running, UP)
        return f"as it was: {_listed(running)}"

    def _replaces_schema(self) -> bool:
        """Whether something runs now that the migrated schema may not suit."""
        before = self.seen.manifest.get("schema_version")
        return bool(alive(self.seen.services)) and before != self.wanted.manifest.get("schema_version")

    def _migrate(self) -> str:
        result = self.site.engine.run_once(self._bundle, "migrate", ["--apply"])
        if not result.ok:
            raise RemoteError("\n".join(_failure(result)))
        return result.stdout.strip().rpartition("\n")[2]

    def _bring_up_all(self) -> str:
        self.site.engine.up(self._bundle, timeout=UP)
        self._warn_of_plain_sandboxes()
        return _listed([name for name in self.wanted.services if name not in DATA_SERVICES])

    def _warn_of_plain_sandboxes(self) -> None:
        """What the launcher found when it last came up; it goes on all the same, for trials."""
        ready = [
            line for line in self.site.engine.logs(self._bundle, ["launcher"], tail=200) if "launcher ready" in line
        ]
        if ready and '"isolation": "plain"' in ready[-1]:
            self.site.reporter.note(
                "tasks run as plain processes, not kept apart from this machine: install bubblewrap"
            )

    def _verify(self) -> str:
        """What serves is what was rendered: the API's own word for it."""
        if self.site.dry:
            self.site.reporter.note(f"ask   {self.site.api} for its health and versions")
            return ""
        versions = self.site.ask(self.site.api).get("versions", {})
        wrong = [name for name, value in self._versions().items() if str(versions.get(name)) != str(value)]
        if wrong:
            told = [f"{name} is {versions.get(name)}, not {self._versions()[name]}" for name in wrong]
            raise CheckError(f"what serves at {self.site.api} does not belong to this release: {', '.join(told)}")
        return ", ".join(f"{name} {value}" for name, value in self._versions().items())

    def _versions(self) -> dict[str, object]:
        manifest = self.wanted.manifest
        names = {"release": "release", "schema": "schema_version", "configuration": "config_version"}
        return {shown: manifest[name] for shown, name in names.items() if name in manifest}

    def _link(self) -> str:
        must(self.site.host, linux.link(f"releases/{self.wanted.name}", self.site.instance.current))
        return self.wanted.name

    def _link_back(self) -> str:
        if self.seen.linked is None:
            must(self.site.host, linux.remove(self.site.instance.current))
            return "no release is current"
        must(self.site.host, linux.link(self.seen.linked, self.site.instance.current))
        return f"{self.seen.linked} is current"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _failure(result: Result) -> list[str]:
    lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()][-_LAST_LINES:]
    *before, last = lines or [f"it said nothing, exit code {result.code}"]
    return [f"migrate failed: {last.removeprefix('Error: ')}", *(f"migrate | {line}" for line in before)]
