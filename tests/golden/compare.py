"""Comparing with files that people reviewed. After a change that is meant: SFP_GOLDEN=write python -m pytest …"""

import os
from pathlib import Path

HERE = Path(__file__).parent


def golden(name: str, content: str) -> None:
    """The content is that of the golden file; with SFP_GOLDEN=write it becomes so, for `git diff` to show."""
    path = HERE / name
    if os.environ.get("SFP_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    assert path.exists(), f"no golden file {name}: SFP_GOLDEN=write makes it"
    assert content == path.read_text("utf-8")
