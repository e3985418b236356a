from collections.abc import Iterator

import pytest

from tests.fakes.toy_images import Toys, toy_images


@pytest.fixture(scope="session")
def toys() -> Iterator[Toys]:
    with toy_images() as made:
        yield made
