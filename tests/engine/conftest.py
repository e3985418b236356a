import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.ordinary import OrdinaryUser, ordinary_user


@pytest.fixture
def ordinary() -> Iterator[OrdinaryUser]:
    """An ordinary user with a folder that they can reach (pytest's own lie below one that is root's alone)."""
    base = Path(tempfile.mkdtemp(prefix="sfp-user-"))
    try:
        user = ordinary_user(base)
        if user is None:
            pytest.skip("no Python on this machine can be used by somebody who is not root")
        yield user
    finally:
        shutil.rmtree(base)
