"""Start-up, against a bare botocore script and `aws`: `python -m tests.benchmarks.startup [PATH-OF-AWS]`.

The `aws` command is best in a virtual environment of its own (`pip install awscli`), since it pins its botocore.
"""

import os
import shutil
import sys

from tests.benchmarks.timing import python, race, ratio
from tests.helpers.cli import SWF
from tests.helpers.stub_service import StubService

BREAKS = " \t\n\"'@><=;|&(:"
"""What breaks words for bash, unless somebody changed it."""

BARE = """
import json, os
import botocore.session

client = botocore.session.Session().create_client(
    "swf", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL_SWF"]
)
reply = client.count_pending_activity_tasks(domain="y", taskList={"name": "x"})
print(json.dumps({"count": reply["count"], "truncated": reply["truncated"]}))
"""


def main() -> None:
    """Print the times and the ratios."""
    aws = sys.argv[1] if len(sys.argv) > 1 else shutil.which("aws")
    stub = StubService()
    stub.reply("CountPendingActivityTasks", {"count": 3, "truncated": False})
    env = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "LANG": "C.UTF-8",
        "AWS_ENDPOINT_URL_SWF": stub.url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    pending = [SWF, "pending", "-d", "y", "-t", "x", "-o", "json"]
    peers = {"swf pending": pending, "bare botocore": python(BARE)}
    if aws:
        count = [aws, "swf", "count-pending-activity-tasks", "--domain", "y", "--task-list", "name=x"]
        peers["aws swf count-pending…"] = count
    calls = race(peers, env)
    ratio("swf pending / bare botocore", calls["swf pending"], calls["bare botocore"], 0.75)
    if aws:
        ratio("swf pending / aws", calls["swf pending"], calls["aws swf count-pending…"], 0.45)
    else:
        print("no aws command: not compared")
    stub.close()

    complete = {"_SWF_COMPLETE": "bash"}
    asked = {
        "python -c pass": (python("pass"), {}),
        "swf --help": ([SWF, "--help"], {}),
        "swf --version": ([SWF, "--version"], {}),
        "complete a command": ([SWF, BREAKS, "swf pe"], complete),
        "complete an option": ([SWF, BREAKS, "swf poll --ti"], complete),
        "complete a value": ([SWF, BREAKS, "swf poll -o t"], complete),
    }
    # Each has an environment of its own, so that `env` sets it, for all of them alike.
    commands = {
        name: ["env", *(f"{key}={value}" for key, value in extra.items()), *command]
        for name, (command, extra) in asked.items()
    }
    quick = race(commands, env)
    for name in list(asked)[1:]:
        ratio(f"{name} / python -c pass", quick[name], quick["python -c pass"], 5)


if __name__ == "__main__":
    main()
