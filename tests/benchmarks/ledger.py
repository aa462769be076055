"""What the ledger adds to `swf poll`: `python -m tests.benchmarks.ledger [ROUNDS]`.

Beside the same call with SWF_LEDGER=off, against a service that always has a task; at most 15 ms are promised.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from tests.helpers.cli import SWF, TASK
from tests.helpers.stub_service import StubService

_MOST = 15.0  # ms


def _seconds(command: list[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the times and the difference. An argument is the number of rounds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    stub = StubService()
    stub.reply("PollForActivityTask", TASK)
    # The ledger is where it would be: on a disk, not on what may be a file system in memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL_SWF": stub.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        poll = [SWF, "poll", "-d", "y", "-t", "x"]
        off = {**env, "SWF_LEDGER": "off"}
        for _ in range(3):  # makes the database, and warms what is read
            _seconds(poll, env), _seconds(poll, off)
        kept: list[float] = []
        without: list[float] = []
        for number in range(rounds):
            # In turns, and each first as often as the other: noise hits both alike.
            for times, its_env in [(kept, env), (without, off)][:: 1 if number % 2 else -1]:
                times.append(_seconds(poll, its_env))
        rows = json.loads(
            subprocess.run([SWF, "held", "-o", "json"], env=env, capture_output=True, check=True).stdout
        )
        assert len(rows) == rounds + 3, "not all of them were kept"
        for name, times in (("swf poll", kept), ("swf poll, SWF_LEDGER=off", without)):
            print(f"{name:32} median {median(times) * 1000:7.1f} ms   least {min(times) * 1000:7.1f} ms")
        differences = [one - other for one, other in zip(kept, without, strict=True)]
        print(f"the ledger adds {(median(kept) - median(without)) * 1000:.1f} ms by the medians of {rounds} rounds,")
        print(f"{median(differences) * 1000:.1f} ms by the median of their differences; at most {_MOST:.0f} ms")
    stub.close()


if __name__ == "__main__":
    main()
