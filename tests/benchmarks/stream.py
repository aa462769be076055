"""`swf work --stream` beside a process per task, and beside nothing: `python -m tests.benchmarks.stream`.

All with 4 slots on one local SWF, in a process of its own. The handler imports boto3 (botocore, if there is no
boto3), and returns its input: kept running, and started anew for each task. The bare botocore loop runs nothing.
"""

import argparse
import signal
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.timing import python
from tests.benchmarks.work import BARE, DOMAIN, SLOTS, Bench, environment, served
from tests.helpers.cli import SWF

LIBRARY = "boto3" if find_spec("boto3") else "botocore.session"

HANDLER = f"""
import json, sys
import {LIBRARY}
for line in sys.stdin:
    print(json.dumps({{"result": json.loads(line)["input"]}}), flush=True)
"""

COMMAND = f"""
import sys
import {LIBRARY}
print(sys.stdin.read())
"""

NOTHING = BARE.replace('subprocess.run(["true"])', "pass")
"""The bare loop that runs nothing."""


def main() -> None:
    """Print tasks a second, and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        for name, text in (("handler.py", HANDLER), ("command.py", COMMAND)):
            Path(home, name).write_text(text)
        with served(environment(home), hold=2) as env:
            bench = Bench(env)
            swf = [SWF, "work", "-d", DOMAIN, "-t", "LIST", "-j", str(SLOTS)]
            stream = [*swf, "--stream", "--", sys.executable, f"{home}/handler.py"]
            command = [*swf, "--", sys.executable, f"{home}/command.py"]
            nothing = [*python(NOTHING), "LIST"]
            pairs = [
                (bench.measure(stream, given.tasks), bench.measure(nothing, given.tasks)) for _ in range(given.rounds)
            ]
            slow = statistics.median(bench.measure(command, 24, warm_up=SLOTS).rate for _ in range(3))
    rate = statistics.median(ours.rate for ours, _ in pairs)
    print(f"swf work --stream, a handler that imports {LIBRARY}: {rate:.1f} tasks/s")
    print(f"swf work, the same as a process per task: {slow:.1f} tasks/s")
    print(f"bare botocore that runs nothing: {statistics.median(bare.rate for _, bare in pairs):.1f} tasks/s")
    print(f"--stream / a process per task: {rate / slow:.1f}; at least 20")
    ratios = [ours.rate / bare.rate for ours, bare in pairs]
    print(f"--stream / bare botocore that runs nothing: {statistics.median(ratios):.2f}; at least 0.75")


if __name__ == "__main__":
    main()
