"""The main commands at work against a local SWF, step by step."""

import subprocess
from collections.abc import Callable, Mapping
from typing import Final

STEPS: Final = (
    ("Schedule a task on the task list `resize`, as a workflow's decider would.",
     "swf local schedule --task-list resize --activity resize --workflow-id video-7 --input in.png"),
    ("One task is waiting.", "swf pending --task-list resize"),
    ("Poll for it, as a worker does.", "swf poll --task-list resize > task.json"),
    ("This machine records the task until it is closed.", "swf held"),
    ("Send a heartbeat; the response says whether to stop.", "swf heartbeat --task task.json --details 'half way'"),
    ("Complete the task.", "swf complete --task task.json --result out.png"),
    ("Nothing is waiting, and nothing is held.", "swf pending --task-list resize && swf held"),
)  # fmt: skip

_SETTINGS: Final = ("SWF_DOMAIN", "SWF_STATE_DIR")
"""The variables that point the commands at the local SWF, and at a record of their own."""

END: Final = """\
Done: one task went from scheduled to completed on a local SWF, which ends now.
Next: run `swf local serve` for a local SWF that stays, or `swf --help` for all commands.
"""


def walk(env: Mapping[str, str], folder: str, show: Callable[[str], None]) -> int:
    """Show and run each step in a shell. Return 0, or the exit code of the first step that fails.

    The user's own settings of `swf`, such as SWF_OUTPUT, have no effect on it.
    """
    env = {name: value for name, value in env.items() if not name.startswith("SWF_") or name in _SETTINGS}
    for why, command in STEPS:
        show(f"# {why}\n$ {command}\n")
        code = subprocess.run(["sh", "-c", command], env=env, cwd=folder, check=False).returncode
        if code:
            return code
        show("\n")
    show(END)
    return 0
