"""`python -m tests.bench PEERS [startup|queue]…`: every figure beside a peer's, taken in the same run."""

import sys
from pathlib import Path

from tests.bench import queue, startup

BENCHES = {"startup": startup.run, "queue": queue.run}


def main(peers: Path, chosen: list[str]) -> None:
    for name in chosen or BENCHES:
        BENCHES[name](peers)


main(Path(sys.argv[1]), sys.argv[2:])
