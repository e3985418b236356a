"""Which release an instance runs: the installed package on the embedded engine, a manifest's on Compose."""

from pathlib import Path

from sfp_server.errors import CheckError, UsageError
from sfp_server.ops import release
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import Release


def chosen(config: Config, instance: Instance, file: Path | None = None) -> Release:
    """The release of an instance's settings; `file` is a manifest that wins over them."""
    if config.engine == "embedded":
        if file is not None:
            raise UsageError("engine embedded runs the installed package.", "Leave --release out.")
        return release.installed()
    return read(file or _named(config, instance))


def read(file: Path) -> Release:
    """The release in a manifest."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise CheckError(f"cannot read the release {file}: {(error.strerror or '').lower()}.", _HINT) from None
    except UnicodeDecodeError:
        raise CheckError(f"{file} is no release manifest: it is not UTF-8 text.", _HINT) from None
    return release.parse(text, str(file))


_HINT = "Name a release's manifest: sfp server config set release.file PATH"


def _named(config: Config, instance: Instance) -> Path:
    """A path that does not begin with / begins in the instance's folder."""
    if config.release.file is None:
        raise CheckError("no release is named that could run.", _HINT)
    return instance.folder / Path(config.release.file).expanduser()
