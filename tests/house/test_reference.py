"""What the README and the starter say is what there is."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.house import reference, tree


@pytest.mark.parametrize("name", reference.SECTIONS)
def test_the_readmes_reference_is_up_to_date(name: str) -> None:
    section = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", reference.README.read_text(), re.DOTALL)
    assert section is not None, f"the README has no section {name}: python -m tests.house.reference"
    assert section[1] == reference.SECTIONS[name](), "write it again: python -m tests.house.reference"


def settings(model: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        for nested in reference.nested_models(field.annotation):
            yield from settings(nested, (*above, name))


def test_every_setting_stands_in_the_starter() -> None:
    """Set or commented out: `workers:` and below it `critical: …`."""
    from sfp_server.ops.config import Config

    text = (tree.ROOT / "templates" / "server.yml.j2").read_text()
    missing = [
        ".".join(path) for path in settings(Config) if not re.search(rf'\b{path[-1]}:|setting\("{path[-1]}"', text)
    ]
    assert missing == []
