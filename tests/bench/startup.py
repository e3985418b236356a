"""How long the command line takes to show its help, beside a bare Typer program and Tutor's `--version`."""

import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

HELLO = """
import typer
app = typer.Typer(rich_markup_mode=None, add_completion=False)
@app.command()
def hello() -> None:
    "Say hello."
app()
"""
RUNS = 25


def run(peers: Path) -> None:
    """Print the medians and the ratios. `peers` is the environment that holds Tutor."""
    medians = _interleaved(
        {
            "hello": [sys.executable, "-c", HELLO, "--help"],
            "ours": [str(Path(sys.executable).parent / "sfp-server"), "--help"],
            "tutor": [str(peers / "bin" / "tutor"), "--version"],
        }
    )
    ours = medians["ours"]
    print(f"startup  sfp-server --help     {ours * 1000:7.1f} ms")
    for name, peer, goal in (("typer hello --help", "hello", "1.10"), ("tutor --version", "tutor", "0.50")):
        ratio = ours / medians[peer]
        print(f"startup  {name:20}  {medians[peer] * 1000:7.1f} ms   ratio {ratio:.2f} (goal {goal})")


def _interleaved(commands: Mapping[str, Sequence[str]]) -> Mapping[str, float]:
    """Medians in seconds; the commands take turns, so that a busy moment meets them all."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(RUNS + 2):
        for name, command in commands.items():
            taken = _time(command)
            if turn >= 2:  # the first turns warm the caches
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _time(command: Sequence[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - began
