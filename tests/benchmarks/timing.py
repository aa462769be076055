"""Time whole processes side by side, and print how they compare."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def race(runs: Mapping[str, Sequence[str]], env: Mapping[str, str], rounds: int = 25) -> dict[str, float]:
    """Run each command once a round, in turns, so that noise hits all alike; give the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, command in runs.items():
            started = time.perf_counter()
            subprocess.run(command, env=dict(env), stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"{name:32} median {statistics.median(values) * 1000:7.1f} ms   least {min(values) * 1000:7.1f} ms")
    return {name: statistics.median(values) for name, values in seconds.items()}


def ratio(title: str, ours: float, theirs: float, most: float) -> None:
    """Print how a time or a size of ours compares with another, and the most that is promised."""
    print(f"{title:60} {ours / theirs:6.2f}   at most {most:.2f}")


def python(code: str) -> list[str]:
    """Return the command that runs some Python."""
    return [sys.executable, "-c", code]
