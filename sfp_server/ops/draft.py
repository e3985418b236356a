"""A change of an instance's own files before it is made: what would be written, and how it differs.

`init` and `config set` make a draft, show it, and write it or leave it. What is not asked for stays as it is: the
comments of a file, settings that nobody named, and every secret.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from sfp_server.errors import CheckError, UsageError
from sfp_server.ops import config as configs
from sfp_server.ops import config_versions, files, secrets, yamlfile
from sfp_server.ops.config import Config
from sfp_server.ops.config_words import masked
from sfp_server.ops.instance import Instance
from sfp_server.ops.secrets import Secrets
from sfp_server.ops.templating import template
from sfp_server.ops.wishes import Wishes

_REFUSED = "Nothing was changed. What is possible: sfp server config schema"


@dataclass(frozen=True)
class Draft:
    """The files of an instance as they would be. `before` is the text of `server.yml`, nothing where there is none;
    `fresh` names the secrets that are new or other than before, `given` those of them that were not generated here."""

    instance: Instance
    config: Config
    before: str | None
    after: str
    values: Secrets
    fresh: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return self.before != self.after or bool(self.fresh)

    def difference(self) -> list[str]:
        """`server.yml` before and after, as a unified difference."""
        name = str(self.instance.settings_file)
        before, after = masked(self.before or "").splitlines(), masked(self.after).splitlines()
        return list(unified_diff(before, after, name, name, lineterm="", n=1))

    def write(self) -> None:
        """Write what changes. A new instance appears whole; files that are there are each replaced whole."""
        if not self.instance.folder.exists():
            content = {"server.yml": (self.after.encode(), 0o644), "secrets.yml": (self._secrets(), 0o600)}
            return files.make_folder(self.instance.folder, content)
        if self.fresh:
            files.replace(self.instance.secrets_file, self._secrets(), 0o600)
        if self.before != self.after:
            kept = 0o644 if self.before is None else self.instance.settings_file.stat().st_mode & 0o777
            files.replace(self.instance.settings_file, self.after.encode(), kept)

    def _secrets(self) -> bytes:
        return secrets.text(self.instance.tenant, self.values)


def broken(instance: Instance) -> bool:
    """Whether the `server.yml` that is there says nothing that holds. One of a newer form is not broken: the error says
    so, and it is never written over."""
    path, text = str(instance.settings_file), configs.text_of(instance)
    try:
        document = yamlfile.read(text, path)
    except CheckError:
        return True
    config_versions.newest(document.data, path)
    try:
        configs.validate(document, path)
    except CheckError:
        return True
    return False


def starter(config: Config) -> str:
    """A new `server.yml` for these settings, with a word on every setting there is."""
    return template("server.yml.j2", **config.model_dump(mode="json"))


def new(instance: Instance, wishes: Wishes) -> Draft:
    """An instance that is not there, or whose `server.yml` is to be made anew. Secrets that are there are kept."""
    data = {"config_version": configs.VERSION, **wishes.settings, "tenant": instance.tenant}
    try:
        config = configs.validate(yamlfile.Document(data, wishes.lines), wishes.source)
    except CheckError as error:
        raise UsageError(error.message, error.hint) from None
    before = configs.text_of(instance) if instance.settings_file.exists() else None
    values, fresh = _values(instance, wishes.secrets)
    return Draft(instance, config, before, starter(config), values, fresh, _both(fresh, wishes))


def changed(instance: Instance, wishes: Wishes) -> Draft:
    """An instance that is there, with the settings that were asked for in place."""
    before = configs.text_of(instance)
    after = config_versions.upgraded(before, str(instance.settings_file))
    for path, value in leaves(wishes.settings):
        after = _with(after, path, value)
    values, fresh = _values(instance, wishes.secrets)
    return Draft(instance, _accepted(instance, before, after), before, after, values, fresh, _both(fresh, wishes))


def revised(instance: Instance, path: tuple[str, ...], value: Any) -> Draft:
    """An instance with one setting changed."""
    before = configs.text_of(instance)
    after = _with(config_versions.upgraded(before, str(instance.settings_file)), path, value)
    return Draft(instance, _accepted(instance, before, after), before, after, {})


def leaves(data: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of nested settings with its path."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _with(text: str, path: tuple[str, ...], value: Any) -> str:
    """The text with a value in place; the same text where it says so already."""
    return text if _at(yamlfile.read(text, "").data, path) == value else yamlfile.with_value(text, path, value)


def _at(data: Any, path: tuple[str, ...]) -> Any:
    """The value at a path; an Ellipsis where there is none, which equals nothing that a file can say."""
    for key in path:
        data = data.get(key, ...) if isinstance(data, dict) else ...
    return data


def _accepted(instance: Instance, before: str, after: str) -> Config:
    """The settings in a changed text. What the change made wrong was asked for in a wrong way."""
    try:
        config = configs.parse(after, str(instance.settings_file))
    except CheckError as error:
        if before == after:
            raise
        raise UsageError(error.message, _REFUSED) from None
    if config.tenant != instance.tenant:
        raise UsageError("tenant: an instance cannot be renamed.", _REFUSED)
    return config


def _both(fresh: tuple[str, ...], wishes: Wishes) -> tuple[str, ...]:
    return tuple(name for name in fresh if name in wishes.secrets)


def _values(instance: Instance, given: Secrets) -> tuple[Secrets, tuple[str, ...]]:
    """All secrets with those that are new: what is there stays, but for what was given; the rest is generated."""
    there: Secrets = {}
    if instance.secrets_file.exists():
        there = secrets.load(instance)
    elif instance.data.exists():
        raise CheckError(
            f"{instance.secrets_file} is gone, and {instance.data} can be opened only with what it held.",
            "Restore it from your copy.",
        )
    values = {**secrets.generate(), **there, **given}
    return values, tuple(name for name, value in values.items() if there.get(name) != value)
